"""Configuration: every knob of a prior and of its training, validated; unknown keys are errors."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from zssd_cli import defaults

MOST = 1_000_000_000
"""Of steps, patches and whatever else is counted: more is a slip."""
GLOBE = 1440
"""Cells around the globe."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_Features = Annotated[int, Field(ge=4, le=8192, multiple_of=4)]
# the upper bounds keep a damaged header from asking for memory without end; no network comes near them


class UNetConfig(_Strict):
    """Shape of the network."""

    channels: Annotated[tuple[_Features, ...], Field(min_length=1, max_length=12)] = (24, 80, 160, 240)
    """Features at full, half, quarter ... resolution."""
    blocks: Annotated[int, Field(ge=1, le=100)] = 2
    """Residual blocks per level and direction (the finest level has one, in the decoder)."""
    embedding: Annotated[int, Field(ge=8, le=8192, multiple_of=8)] = 192
    """Width of the noise-level embedding."""
    token: Annotated[int, Field(ge=8, le=8192)] = 64
    """Width of a time token."""
    attention_from: Annotated[int, Field(ge=0, le=MOST)] = 2
    """Time attention from this level (0 is the finest) down."""

    @model_validator(mode="after")
    def _some_attention(self) -> Self:
        # without any, the time tokens would be parameters that no gradient reaches
        if self.attention_from >= len(self.channels):
            msg = (
                f"attention_from is {self.attention_from}, expected a level of channels, 0 to {len(self.channels) - 1}"
            )
            raise ValueError(msg)
        return self


def misfit(factor: int, network: UNetConfig) -> str:
    """Why a network on means of ``factor`` x ``factor`` cells cannot go round the globe, empty where it can."""
    stride = factor * 2 ** (len(network.channels) - 1)
    if GLOBE % stride == 0:
        return ""
    return f"means of {factor} cells and {len(network.channels)} resolutions need a multiple of {stride} cells, the globe has {GLOBE}"


class MoreData(_Strict):
    """Training files beside the main ones: other analyses, or fields that lack a variable or hold one too smooth."""

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    """Paths or patterns; what they hold of the prior's variables is used."""
    share: Annotated[float, Field(gt=0, lt=1)]
    """Share of the training patches."""
    smooth: tuple[str, ...] = ()
    """Variables whose small scales are missing: they enter the climatological covariances, the network never sees them."""
    lowpass_km: Annotated[float, Field(ge=0, le=500)] = 0.0
    """As in :class:`TrainConfig`."""


class TrainConfig(_Strict):
    """How a prior is trained. Every field can be set in a YAML file or by a flag of ``zssd train``."""

    variables: Annotated[tuple[str, ...], Field(min_length=1)] = defaults.VARIABLES
    lowpass_km: Annotated[float, Field(ge=0, le=500)] = 0.0
    """Standard deviation of a Gaussian filter on the sphere for data finer than what the prior should draw; 0: none."""
    more: tuple[MoreData, ...] = ()
    """Further files; the main ones have what is left of the shares."""
    max_missing: Annotated[float, Field(ge=0, lt=1)] = defaults.MAX_MISSING
    """Largest share of the times of each origin that is left out because of missing or implausible values; more is an error."""
    any_frequency: bool = False
    """Accept means over hours, days or months although a prior is to know fields at one moment."""
    network: UNetConfig = UNetConfig()
    coarse: Annotated[int, Field(ge=1, le=16)] = 1
    """Cells on a side of the means that the network learns; more than 1: a second network, for high noise, for the prior of ``--from``."""
    coarse_above: Annotated[float, Field(ge=1, le=50)] = 5.0
    """Noise level from which on that second network is asked."""
    coarse_learned_above: Annotated[float, Field(ge=1, le=50)] | None = None
    """Noise level that it learns from four fifths of on, ``coarse_above`` at most; None: that of ``coarse_above``."""
    patch: Annotated[int, Field(ge=16, le=1440, multiple_of=8)] = 64
    """Side of a training patch in 0.25 degree cells, or in means of ``coarse`` x ``coarse`` of them."""
    batch: Annotated[int, Field(ge=1, le=MOST)] = 16
    """Patches per step, over all processes."""
    patches_per_field: Annotated[int, Field(ge=1, le=1024)] = 16
    """Patches cut from a field before another one is read: more read less, fewer mix better."""
    steps: Annotated[int, Field(ge=1, le=MOST)] = 5000
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    warmup: Annotated[int, Field(ge=1, le=MOST)] = 300
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    ema: Annotated[float, Field(gt=0, lt=1)] = 0.999
    clip: Annotated[float, Field(gt=0)] = 1.0
    mirror: bool = True
    """Mirror hemispheres at random: flip latitude, reverse v and sin(latitude)."""
    time_dropout: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of patches whose season and hour are hidden; 1 trains a prior that knows neither."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    bf16: bool = False
    """Autocast to bfloat16: pays on processors and GPUs that have it, is ten times slower on those that have not."""
    compile: bool = False
    """Compile the network (a minute at the start, needs a C compiler on a CPU): 1.6 times faster on two CPU cores."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5.0
    """Minutes between two saved states."""
    validate_every: Annotated[int, Field(ge=1, le=MOST)] = 500
    log_every: Annotated[int, Field(ge=1, le=MOST)] = 10
    """Steps between two lines of the log."""

    @property
    def coarse_learned(self) -> float:
        """Noise level of which a second network learns four fifths and more."""
        return self.coarse_above if self.coarse_learned_above is None else self.coarse_learned_above


PRESETS: dict[str, dict[str, Any]] = {
    # a CPU: under two hours on two cores, a prior for trying things out
    "tiny": {"network": {"channels": (16, 48, 96), "blocks": 1}, "batch": 16, "patch": 64, "steps": 5000},
    # a laptop's GPU: the network of the default prior
    "small": {"network": {}, "batch": 32, "patch": 64, "steps": 40_000, "warmup": 1000, "bf16": True},
    # one data-centre GPU
    "base": {
        "network": {"channels": (64, 128, 256, 384), "blocks": 2, "embedding": 256},
        "batch": 128, "patch": 96, "patches_per_field": 128, "steps": 200_000, "warmup": 2000, "learning_rate": 5e-4, "ema": 0.9995,
        "bf16": True, "compile": True, "validate_every": 2000,
    },
    # eight or more of them, with torchrun
    "large": {
        "network": {"channels": (96, 192, 384, 512), "blocks": 3, "embedding": 384},
        "batch": 512, "patch": 128, "patches_per_field": 128, "steps": 300_000, "warmup": 5000, "learning_rate": 4e-4, "ema": 0.9999,
        "bf16": True, "compile": True, "validate_every": 2000,
    },
}  # fmt: skip
"""Settings by the machine that they are sized for; a file's settings and flags win over them."""


def efolding_hours(kind: str) -> tuple[str, float | None]:
    """A time noise taken apart: ``smooth`` or ``ar1`` and HOURS, None for others; :class:`ValueError` for unknown ones."""
    if kind in ("independent", "fixed"):
        return kind, None
    match = re.fullmatch(r"(smooth|ar1):(\d+(?:\.\d+)?)", kind)
    if match is None or not 1 / 60 <= float(match[2]) <= 1e6:
        msg = "expected smooth:HOURS (such as smooth:5), ar1:HOURS, independent or fixed"
        raise ValueError(msg)
    return match[1], float(match[2])


def _known_time_noise(kind: str) -> str:
    efolding_hours(kind)
    return kind


def _hours(given: Any) -> Any:
    """``6h`` as 6."""
    match = re.fullmatch(r"(\d+)h?", given) if isinstance(given, str) else None
    return int(match[1]) if match else given


_Error = Annotated[float, Field(ge=0, le=10)]


class DownscaleConfig(_Strict):
    """How a coarse series is turned into a fine one. Every field is recorded in the output."""

    filter_scale: Annotated[float, Field(ge=1, le=10)] = defaults.FILTER_SCALE
    """Side in degrees of the blocks whose means guide the prior."""
    members: Annotated[int, Field(ge=1, le=10_000)] = defaults.MEMBERS
    seed: Annotated[int, Field(ge=0, lt=2**63)] = defaults.SEED
    guidance: str = defaults.GUIDANCE
    """Name of a file of :mod:`zssd_cli.posterior.guidance`."""
    sampler: Literal["dpmpp_2m", "dpmpp_2m_long", "dpmpp_2m_sde", "ddim", "ddpm"] | None = None
    """None: the guidance's own."""
    steps: Annotated[int, Field(ge=2, le=10_000)] | None = None
    """Denoising steps per sample; None: the guidance's own."""
    spacing: Literal["karras", "log-snr", "long"] | None = None
    """Noise levels: Karras et al. (2022), uniform in log sigma, or that with a last step to 0 as long as the others.

    None: karras; long for ``dpmpp_2m_long``, for ``ddpm`` those of its own schedule.
    """
    obs_error: _Error | dict[str, _Error] = defaults.OBS_ERROR
    """Standard deviation of the error of the block means, in standard deviations of each variable; for all or by name."""
    products: Annotated[int, Field(ge=2, le=50)] = defaults.PRODUCTS
    """Products with the network's Jacobian per step of mmps, one back-propagation each."""
    time_noise: Annotated[str, AfterValidator(_known_time_noise)] = defaults.TIME_NOISE
    """Noise of consecutive times: ``smooth:HOURS`` or ``ar1:HOURS`` (e-folding time), ``independent`` or ``fixed`` (the same at all)."""
    gaussian_above: Annotated[float, Field(ge=0)] | None = None
    """Noise level above which the climatological Gaussian stands in for the network (not for ucg and dps).

    None: 40; 10 where some variables are inferred and the prior has no network for high noise, as the Gaussian does that better.
    """
    zeta: Annotated[float, Field(gt=0)] | None = None
    """Step size of ucg and dps; None: what was measured to be best for each."""
    regridder: str = defaults.AUTO
    """Name of a file of :mod:`zssd_cli.grids.regridders`; auto: the first that takes the input's cells."""
    any_frequency: bool = False
    """Accept daily or monthly means although the prior knows instantaneous fields only."""
    subdaily: Annotated[Literal[1, 2, 3, 4, 6, 8, 12] | None, BeforeValidator(_hours)] = None
    """Hours between moments that are drawn from daily means (:mod:`zssd_cli.posterior.subdaily`); None: the input holds moments."""
    window_cells: Annotated[int, Field(ge=128 * 128)] = 600_000
    """Largest number of cells that the network sees at once."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network; auto: bfloat16 where the machine has it and the guidance needs no gradient."""

    def error_of(self, variable: str) -> float:
        """Error of one observed variable, in its standard deviations."""
        return self.obs_error.get(variable, defaults.OBS_ERROR) if isinstance(self.obs_error, dict) else self.obs_error
