"""Guidance: how the coarse field steers the prior. One file of this folder is one guidance, ``--guidance`` takes its name.

A guidance is a transform of a denoiser. The prior's denoiser answers "what is the clean field, given this noisy one?";
a guided denoiser answers the same question given the coarse observation as well. Samplers fold guided denoisers and do
not know which they got. (``ucg`` and ``dps`` are defined by the ancestral step and want the ``ddpm`` sampler.)

A guidance's file says as ``METHOD``, a :class:`Method`, how it is made, what it needs and what it costs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor

from zssd_cli.climate.covariance import Band
from zssd_cli.config import DownscaleConfig
from zssd_cli.discovery import modules, names
from zssd_cli.errors import ConfigError
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.operators.wind import WindSpeed

Denoise = Callable[[Tensor, float], Tensor]
"""The prior on the whole domain: (x (B, C, H, W), sigma) -> E[x0 | x], same shape."""

GuidedDenoise = Callable[[Tensor, float, float], Tensor]
"""The same given the observation; the third argument is the sampler's next noise level (only ``ucg`` and ``dps`` use it)."""


@dataclass(frozen=True)
class ObservedSpeed:
    """Block means of wind speed as an observation.

    Attributes
    ----------
    values
        Standardised block means, (B, h, w), NaN where missing.
    wind
        How the speed comes from the field.
    error
        Standard deviation of the observation's error, in units of ``wind.scale``.
    unresolved
        Noise level -> variance of both wind components together that the denoised field lacks [m2 s-2].
    """

    values: Tensor
    wind: WindSpeed
    error: float
    unresolved: Callable[[float], Tensor | float] = lambda _: 0.0


def _unless_missing(values: Tensor, residual: Tensor) -> Tensor:
    return residual.masked_fill(values.isnan(), 0.0)


@dataclass(frozen=True)
class Observation:
    """A coarse field and how it came from the fine one: a linear part per channel, and perhaps wind speed.

    Attributes
    ----------
    values
        Standardised block means, (B, observed, h, w), NaN where missing; no channels where only speed is observed.
    channels
        Index of every observed variable among the prior's C variables.
    operator
        Block means of the fine domain.
    error
        Standard deviation of the observation's error per observed variable, standardised units, (observed,).
    speed
        Block means of wind speed, None where they are not observed.
    """

    values: Tensor
    channels: tuple[int, ...]
    operator: Coarsen
    error: Tensor
    speed: ObservedSpeed | None = None

    def residual(self, x0: Tensor) -> Tensor:
        """Y - A x0 of the observed variables, 0 where y is missing: (B, observed, h, w). A field that is not finite shows."""
        return _unless_missing(self.values, self.values - self.operator(x0[:, list(self.channels)]))

    def speed_residual(self, x0: Tensor, sigma: float = 0.0) -> Tensor:
        """The same of wind speed, of a field denoised at ``sigma``: (B, h, w)."""
        if self.speed is None:
            return x0.new_zeros(len(x0), *self.operator.coarse.shape)
        predicted = self.operator(self.speed.wind(x0, self.speed.unresolved(sigma)))
        return _unless_missing(self.speed.values, self.speed.values - predicted)

    def full_residual(self, x0: Tensor, sigma: float = 0.0) -> Tensor:
        """Everything observed: (B, observed, h, w) or, with speed as the last channel, (B, observed + 1, h, w)."""
        if self.speed is None:
            return self.residual(x0)
        return torch.cat([self.residual(x0), self.speed_residual(x0, sigma)[:, None]], 1)

    @property
    def variance(self) -> Tensor:
        """Error variance of everything observed, (observed, 1, 1), speed last."""
        error = self.error if self.speed is None else torch.cat([self.error, self.error.new_tensor([self.speed.error])])
        return error.square()[:, None, None]


class Guidance(Protocol):
    """A transform from the prior's denoiser to a guided one."""

    def __call__(self, denoise: Denoise, observation: Observation) -> GuidedDenoise:
        """Bind the observation."""
        ...


@dataclass(frozen=True)
class Setup:
    """What a guidance may be made of.

    Attributes
    ----------
    config
        The settings of the run.
    lags, signs
        Lag covariances of the prior, (bands, C, C, lags, lags), and the mirror signs of its variables, (C,).
    bands
        The bands of latitude of the domain; None where they are not at hand.
    gaussian_above
        Noise level above which the climatological Gaussian is the prior.
    """

    config: DownscaleConfig
    lags: Tensor
    signs: Tensor
    bands: list[Band] | None
    gaussian_above: float


LONG = "dpmpp_2m_long"
OWN_SPACING = {"ddpm": "ddpm", LONG: "long"}
"""Noise levels of samplers that do not take karras by default."""
LONG_STEPS = 8
"""Steps that :data:`LONG` takes by default, whatever the guidance."""


@dataclass(frozen=True)
class Method:
    """A guidance: how it is made, what it needs, what it costs.

    Attributes
    ----------
    make
        From the setup of a run to the guidance.
    steps, sampler
        What is used where the user asks for none (:data:`LONG` has its own number of steps).
    zeta
        Side of the blocks in degrees -> the best step size that was measured there, ascending; empty: it has no such thing.
    stepwise
        True where the guidance moves the sampler's step: no other sampler will do, the network is the prior at every level, and
        sampling starts from pure noise.
    exact
        True where block means whose error is meant as none are made exact at the end.
    backward
        Back-propagations through the network per step.
    increment
        Work of a step per cell beside the network's, in units of a network call's.
    gains
        How many gains of every band of latitude stay in memory, given the noise levels that are walked.
    """

    make: Callable[[Setup], Guidance]
    steps: int = 20
    sampler: str = "dpmpp_2m"
    zeta: Mapping[float, float] = field(default_factory=dict)
    stepwise: bool = False
    exact: bool = False
    backward: Callable[[DownscaleConfig], int] = lambda _: 0
    increment: float = 0.0
    gains: Callable[[Tensor], int] = lambda _: 0

    def zeta_of(self, config: DownscaleConfig) -> float | None:
        """Step size: the user's, else between those of the nearest blocks that were measured; None where the guidance has none."""
        if not self.zeta:
            return None
        return config.zeta or float(np.interp(config.filter_scale, list(self.zeta), list(self.zeta.values())))

    def steps_of(self, config: DownscaleConfig) -> int:
        """Denoising steps per sample."""
        return config.steps or (LONG_STEPS if self.sampler_of(config) == LONG else self.steps)

    def sampler_of(self, config: DownscaleConfig) -> str:
        """The sampler; long steps are made for levels of their own."""
        other = self.sampler == LONG and config.spacing not in {None, OWN_SPACING[LONG]}
        return config.sampler or ("dpmpp_2m" if other else self.sampler)

    def spacing_of(self, config: DownscaleConfig) -> str:
        """The spacing of the noise levels: some samplers have their own."""
        return config.spacing or OWN_SPACING.get(self.sampler_of(config), "karras")


def by_name(name: str) -> Method:
    """The method of a guidance's file; an unknown name is a :class:`ConfigError`."""
    known = names(__name__)
    if name not in known:
        msg = f"--guidance: expected one of {', '.join(known)}, got {name!r}."
        raise ConfigError(msg)
    return cast(Method, modules(__name__)[name].METHOD)
