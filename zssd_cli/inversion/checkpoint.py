"""Latent priors on disk: one safetensors file, networks and whitening in half precision, settings in the header."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from zssd_cli.errors import WeightsError
from zssd_cli.files import atomic_path
from zssd_cli.inversion.config import AutoencoderConfig, FieldsConfig, FlowConfig
from zssd_cli.inversion.latent_prior import LatentPrior, Whitening, new_networks
from zssd_cli.prior.checkpoint import assemble, read_header, read_safetensors, write_safetensors

FORMAT = "zssd-latent-prior-1"


class LatentHeader(BaseModel):
    """What the header of a latent prior says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variables: tuple[str, ...]
    fields: FieldsConfig
    autoencoder: AutoencoderConfig
    network: FlowConfig
    chain_steps: Annotated[int, Field(ge=1, le=100)]
    training: dict[str, Any]
    """Steps, settings and measured errors on held-out fields, for people."""


def save_latent_prior(path: Path, prior: LatentPrior, header: LatentHeader) -> None:
    """Write a latent prior atomically, in half precision."""
    tensors = {f"autoencoder.{k}": v for k, v in prior.autoencoder.state_dict().items()}
    tensors |= {f"flow.{k}": v for k, v in prior.flow.state_dict().items()}
    tensors |= {"whitening.mean": prior.whitening.mean, "whitening.root": prior.whitening.root}
    if prior.texture is not None:
        tensors["texture"] = prior.texture
    halves = {k: v.half() for k, v in tensors.items()}
    with atomic_path(path) as temporary:
        write_safetensors(temporary, halves, {"format": FORMAT, "header": header.model_dump_json()})


def load_latent_prior(path: Path, device: str | torch.device = "cpu") -> tuple[LatentPrior, LatentHeader]:
    """Read a latent prior; raises :class:`WeightsError` where the file is damaged or not one."""
    tensors, meta = read_safetensors(path)
    if meta.get("format") != FORMAT:
        msg = (
            f"{path}: expected a prior of conductivity fields (format {FORMAT}), got {meta.get('format', 'none')!r}."
            " Name one such as darcy-grf, see zssd weights list."
        )
        raise WeightsError(msg)
    try:
        header = LatentHeader.model_validate(read_header(meta))
        prior = _assemble({k: v.float().to(device) for k, v in tensors.items()}, header)
    except (KeyError, ValueError, RuntimeError, TypeError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        msg = f"{path}: the weights are damaged or of another version ({reason}). Fetch them again or train anew."
        raise WeightsError(msg) from error
    return prior, header


def _assemble(tensors: dict[str, Tensor], header: LatentHeader) -> LatentPrior:
    broken = [key for key, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        msg = f"{broken[0]} holds values that are not finite"
        raise ValueError(msg)
    binary, side = header.fields.binary, header.fields.cells
    autoencoder, flow = (
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        for prefix in ("autoencoder.", "flow.")
    )
    make = partial(new_networks, header.autoencoder, header.network, side, binary=binary)
    networks = assemble(autoencoder, lambda: make()[0]), assemble(flow, lambda: make()[1])
    for network in networks:
        network.to(next(iter(tensors.values())).device).eval().requires_grad_(False)
    whitening = Whitening(tensors["whitening.mean"], tensors["whitening.root"])
    count, texture = whitening.mean.numel(), None if binary else tensors["texture"]
    if whitening.root.shape != (count, count) or (texture is not None and texture.shape != (side, side // 2 + 1)):
        msg = "whitening or texture do not fit the networks"
        raise ValueError(msg)
    if torch.linalg.cholesky_ex(whitening.root.double()).info:
        msg = "the whitening is no root of a covariance"
        raise ValueError(msg)
    return LatentPrior(*networks, whitening, texture, side, header.chain_steps)
