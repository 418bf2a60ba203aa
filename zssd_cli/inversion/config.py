"""Settings of a latent prior (which random fields it learns, the networks, their training). Unknown keys are errors."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zssd_cli.config import MOST


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_Features = Annotated[int, Field(ge=8, le=8192)]
_Positive = Annotated[float, Field(gt=0)]


class FieldsConfig(_Strict):
    """A family of random fields on a square of ``cells`` x ``cells``."""

    kind: Literal["grf", "bimaterial", "darcy-flow"] = "grf"
    """``grf``: Gaussian, mean 0 and variance 1; ``bimaterial``: a smooth Gaussian field cut into -1 and 1; ``darcy-flow``: the
    two materials of the benchmark of Li et al. (2021), which has no further settings."""
    cells: Annotated[int, Field(ge=16, le=4096, multiple_of=8)] = 64
    covariances: Annotated[tuple[Literal["exponential", "gaussian"], ...], Field(min_length=1)] = (
        "exponential",
        "gaussian",
    )
    """Drawn from with equal chances; two-material fields do not ask."""
    lengths: tuple[_Positive, _Positive] = (0.1, 0.35)
    """Range of the correlation lengths along both principal axes, in sides of the square, log-uniform."""
    fraction: tuple[_Positive, _Positive] = (0.25, 0.75)
    """Bimaterial: range of the expected share of the second material."""

    @property
    def binary(self) -> bool:
        """True where fields have two values, -1 and 1."""
        return self.kind != "grf"

    @model_validator(mode="after")
    def _ranges(self) -> "FieldsConfig":
        if self.lengths[0] > self.lengths[1] or self.lengths[1] > 0.5:
            msg = f"lengths: expected low <= high <= 0.5, got {self.lengths}"
            raise ValueError(msg)
        if self.fraction[0] > self.fraction[1] or self.fraction[1] >= 1:
            msg = f"fraction: expected low <= high < 1, got {self.fraction}"
            raise ValueError(msg)
        return self


class AutoencoderConfig(_Strict):
    """Shape of the autoencoder; its latent has an eighth of the field's side."""

    latent: Annotated[int, Field(ge=1, le=1024)] = 8
    """Channels of the latent."""
    channels: tuple[_Features, _Features, _Features] = (24, 48, 96)
    """Features at a half, a quarter and an eighth of the resolution."""


class FlowConfig(_Strict):
    """Shape of the diffusion network in the latent."""

    width: Annotated[int, Field(ge=16, le=8192, multiple_of=8)] = 64
    blocks: Annotated[int, Field(ge=1, le=100)] = 4
    embedding: Annotated[int, Field(ge=8, le=8192, multiple_of=4)] = 64


class LatentTrainConfig(_Strict):
    """How a latent prior is trained: first the autoencoder, then the diffusion model in its latent."""

    kind: Literal["latent"]
    fields: FieldsConfig = FieldsConfig()
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    network: FlowConfig = FlowConfig()
    autoencoder_steps: Annotated[int, Field(ge=1, le=MOST)] = 2000
    prior_steps: Annotated[int, Field(ge=1, le=MOST)] = 3000
    batch: Annotated[int, Field(ge=1, le=MOST)] = 32
    """Fields per step of the autoencoder."""
    prior_batch: Annotated[int, Field(ge=1, le=MOST)] = 128
    """Latents per step of the diffusion model."""
    bank: Annotated[int, Field(ge=16, le=MOST)] = 8192
    """Fields that are encoded at once for the diffusion model."""
    bank_steps: Annotated[int, Field(ge=1, le=MOST)] = 500
    """Steps after which a new bank is drawn."""
    learning_rate: _Positive = 2e-3
    warmup: Annotated[int, Field(ge=1, le=MOST)] = 100
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    ema: Annotated[float, Field(gt=0, lt=1)] = 0.998
    clip: _Positive = 1.0
    chain_steps: Annotated[int, Field(ge=1, le=100)] = 6
    """Steps of the deterministic chain that users of the prior run."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    bf16: bool = False
    """Autocast to bfloat16: pays on processors that have it, is ten times slower on those that have not."""
    checkpoint_minutes: _Positive = 5.0
    validate_every: Annotated[int, Field(ge=1, le=MOST)] = 500

    @property
    def steps(self) -> int:
        """Steps of both stages together."""
        return self.autoencoder_steps + self.prior_steps
