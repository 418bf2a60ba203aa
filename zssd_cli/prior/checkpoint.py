"""Checkpoints on disk: safetensors only, with everything that a run needs in the header.

A prior is one file: network weights (the moving average, half precision), scales of the variables, climatological lag
covariances; in the header a JSON text with variables, network configuration, the hash of the static fields and the training data.
"""

import errno
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from zssd_cli.climate.balance import HATS, SEASONS, SURFACES, TERMS, WINDS, Balance, has_balance
from zssd_cli.climate.bands import band_centres
from zssd_cli.climate.covariance import MAX_LAG
from zssd_cli.climate.gaussian import Climate
from zssd_cli.config import UNetConfig
from zssd_cli.errors import WeightsError
from zssd_cli.files import atomic_path, check_regular
from zssd_cli.prior.coarse import Coarse, CoarseHeader
from zssd_cli.prior.denoiser import Denoiser
from zssd_cli.prior.unet import DETAILS, UNet
from zssd_cli.variables import lookup

Network = TypeVar("Network", bound=nn.Module)
FORMAT = "zssd-prior-2"
WITH_COARSE = "zssd-prior-3"
"""The same with a second network, for high noise; what knows format 2 alone refuses it."""
LONGEST_HEADER = 10_000_000
"""Characters of the JSON in a header."""
COARSE = "coarse."
"""Before the names of its tensors."""
LARGEST = {"mean": 1e9, "std": 1e9, "zonal": 1e3, "lags": 1e3, "detail_std": 1e3, f"{COARSE}detail_std": 1e3}
"""Size that no value of a tensor has; the last four are in standard deviations."""
BALANCE_SHAPES = {
    "coefficients": (len(WINDS), SURFACES, TERMS),
    "slopes": (band_centres().size, len(WINDS), 2),
    "spread": (band_centres().size, SEASONS, SURFACES, len(WINDS)),
    "pressure_spread": (HATS.size, SEASONS),
}


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors (copied, so that shared storage is no matter) and string metadata.

    Raises
    ------
    OSError
        The file cannot be written; the library hides the number of the error in its text.
    """
    try:
        save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, path, metadata)
        _sort_metadata(path)
    except SafetensorError as error:
        found = re.search(r"os error (\d+)", str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error


def _sort_metadata(path: Path) -> None:
    """Put the metadata in order, which the library writes in a random one, so that equal priors are equal files."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        if "__metadata__" not in header:
            return
        ordered = header | {"__metadata__": dict(sorted(header["__metadata__"].items()))}
        text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def read_header(meta: dict[str, str]) -> Any:
    """What the header of a prior says, parsed.

    Raises
    ------
    ValueError
        It is too long, too deep, or no JSON.
    KeyError
        There is none.
    """
    if len(meta["header"]) > LONGEST_HEADER:
        msg = f"its header has {len(meta['header'])} characters, expected {LONGEST_HEADER} at most"
        raise ValueError(msg)
    try:
        return json.loads(meta["header"])
    except RecursionError:
        msg = "its header is nested too deeply"
        raise ValueError(msg) from None


def assemble(tensors: Mapping[str, Tensor], make: Callable[[], Network]) -> Network:
    """A network of tensors that were read, which takes no memory of its own.

    Raises
    ------
    ValueError
        Another name, number or shape than those of the network.
    """
    with torch.device("meta"):
        network = make()
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    other = expected.keys() ^ tensors.keys() or {n for n, s in expected.items() if tensors[n].shape != s}
    if other:
        msg = f"its network is not the one that its header describes, such as {min(other)}"
        raise ValueError(msg)
    network.load_state_dict(tensors, assign=True)
    return network


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors and the metadata; a damaged file is a :class:`WeightsError`."""
    check_regular(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except FileNotFoundError as error:
        msg = f"Weights not found: {path}."
        raise WeightsError(msg) from error
    except (SafetensorError, OSError, ValueError) as error:
        msg = f"{path} is not a readable safetensors file ({error}). Fetch it again or train anew."
        raise WeightsError(msg) from error


class PriorHeader(BaseModel):
    """What the header of a prior says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variables: tuple[str, ...]
    network: UNetConfig
    time_known: bool
    """False where the prior was trained without season and hour."""
    static_sha256: str
    training: dict[str, Any]
    """Data, times, steps and settings of the training, for people."""
    coarse: CoarseHeader | None = None
    """None where there is no network for high noise."""


@dataclass(frozen=True)
class Prior:
    """A trained prior.

    Attributes
    ----------
    denoiser
        Network in evaluation mode, standardised units.
    mean, std
        Scales of the variables in physical units, (C,).
    zonal
        Climatological mean of the standardised variables per row of the global grid, (C, 721); 0 for balanced winds.
    lags
        Lag covariances, see :mod:`zssd_cli.climate.covariance`.
    header
        Everything else.
    balance
        The wind that goes with pressure, from which ``lags`` describe the deviation of winds; None where there is none.
    second
        The denoiser of means that ``header.coarse`` speaks of, None where ``denoiser`` serves all levels.
    """

    denoiser: Denoiser
    mean: Tensor
    std: Tensor
    zonal: Tensor
    lags: Tensor
    header: PriorHeader
    balance: Balance | None = None
    second: Denoiser | None = None

    @property
    def coarse(self) -> Coarse | None:
        """The network for high noise, if any."""
        if self.second is None or self.header.coarse is None:
            return None
        return Coarse(self.second, self.header.coarse)

    @property
    def climate(self) -> Climate:
        """All but the network."""
        return Climate(self.variables, self.mean, self.std, self.zonal, self.lags, self.signs, self.balance)

    @property
    def variables(self) -> tuple[str, ...]:
        """Canonical names, in channel order."""
        return self.header.variables

    @property
    def signs(self) -> Tensor:
        """What a mirror at the equator does to each variable, (C,)."""
        return mirror_signs(self.variables)


def mirror_signs(variables: tuple[str, ...]) -> Tensor:
    """-1 for what a mirror at the equator reverses, 1 for the rest, (C,)."""
    return torch.tensor([-1.0 if lookup(name).odd else 1.0 for name in variables])


def save_prior(path: Path, prior: Prior) -> None:
    """Write a prior atomically; the networks go to half precision."""
    tensors = _network_tensors("", prior.denoiser)
    tensors |= {name: getattr(prior, name).float() for name in ("mean", "std", "zonal", "lags")}
    if prior.coarse is not None:
        tensors |= _network_tensors(COARSE, prior.coarse.denoiser)
    if prior.balance is not None:
        tensors |= {f"balance.{name}": getattr(prior.balance, name).float() for name in BALANCE_SHAPES}
    with atomic_path(path) as temporary:
        alone = prior.coarse is None
        kind, header = (
            FORMAT if alone else WITH_COARSE,
            prior.header.model_dump_json(exclude={"coarse"} if alone else None),
        )
        write_safetensors(temporary, tensors, {"format": kind, "header": header})


def _network_tensors(prefix: str, denoiser: Denoiser) -> dict[str, Tensor]:
    tensors = {f"{prefix}network.{k}": v.half() for k, v in denoiser.network.state_dict().items()}
    return tensors | {f"{prefix}detail_std": denoiser.detail_std.float()}


def _denoiser(
    tensors: Mapping[str, Tensor], prefix: str, config: UNetConfig, header: PriorHeader, device: str | torch.device
) -> Denoiser:
    """A network of a file, in evaluation mode on the device."""
    start, count = f"{prefix}network.", len(header.variables)
    state = {k.removeprefix(start): v.float() for k, v in tensors.items() if k.startswith(start)}
    detail_std = tensors[f"{prefix}detail_std"].float()
    if detail_std.shape != (DETAILS, count) or not (detail_std > 0).all():
        msg = "scales of details do not fit the variables, or are not positive"
        raise ValueError(msg)
    denoiser = Denoiser(assemble(state, lambda: UNet(count, config)), header.time_known).eval().requires_grad_(False)
    denoiser.detail_std.copy_(detail_std)
    denoiser.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return denoiser


def load_prior(path: Path, device: str | torch.device = "cpu") -> Prior:
    """Read a prior; raises :class:`WeightsError` where the file is damaged or not one."""
    tensors, meta = read_safetensors(path)
    if meta.get("format") not in (FORMAT, WITH_COARSE):
        expected_format = (
            f"expected a zssd prior of format {FORMAT} or {WITH_COARSE}, got {meta.get('format', 'none')!r}"
        )
        msg = f"{path}: {expected_format}. Fetch or train one for this version."
        raise WeightsError(msg)
    try:
        header = PriorHeader.model_validate(read_header(meta))
        denoiser = _denoiser(tensors, "", header.network, header, device)
        second = None
        if header.coarse is not None:
            second = _denoiser(tensors, COARSE, header.coarse.network, header, device)
        _check_second(tensors, meta["format"], header)
        mean, std, zonal, lags = (tensors[k].float() for k in ("mean", "std", "zonal", "lags"))
        count = len(header.variables)
        shapes = (mean.shape, std.shape, zonal.shape, lags.shape)
        expected = (band_centres().size, count, count, MAX_LAG + 1, 2 * MAX_LAG + 1)
        if shapes != ((count,), (count,), (count, 721), expected) or not (std > 0).all():
            msg = "scales or covariances do not fit the variables"
            raise ValueError(msg)  # noqa: TRY301
        balance = _balance(tensors, header.variables)
        _check_values(tensors)
    except (KeyError, ValueError, RuntimeError, TypeError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        msg = f"{path}: the weights are damaged or of another version ({reason}). Fetch them again or train anew."
        raise WeightsError(msg) from error
    return Prior(denoiser, mean, std, zonal, lags, header, balance, second)


def _check_second(tensors: Mapping[str, Tensor], kind: str, header: PriorHeader) -> None:
    """The format, the header and the tensors agree on whether there is a second network."""
    said = header.coarse is not None
    if (kind == WITH_COARSE) != said or any(key.startswith(COARSE) for key in tensors) != said:
        msg = f"format {kind}, header and tensors disagree on whether it has a second network"
        raise ValueError(msg)


def _check_values(tensors: Mapping[str, Tensor]) -> None:
    for key, tensor in tensors.items():
        if not tensor.isfinite().all():
            msg = f"{key} holds values that are not finite"
            raise ValueError(msg)
        if tensor.numel() and tensor.abs().max() > LARGEST.get(key, torch.inf):
            msg = f"{key} holds values beyond {LARGEST[key]:g}"
            raise ValueError(msg)


def _balance(tensors: dict[str, Tensor], variables: tuple[str, ...]) -> Balance | None:
    found = {
        key.removeprefix("balance."): value.float() for key, value in tensors.items() if key.startswith("balance.")
    }
    if not found:
        return None
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    if (
        shapes != BALANCE_SHAPES
        or not has_balance(variables)
        or not all((found[name] > 0).all() for name in ("spread", "pressure_spread"))
    ):
        msg = "the balance does not fit the variables"
        raise ValueError(msg)
    return Balance(**found)
