"""Guidance: how the coarse field steers the prior.

A guidance is a transform of a denoiser. The prior's denoiser answers "what is the clean field, given this noisy one?";
a guided denoiser answers the same question given the coarse observation as well. Samplers fold guided denoisers and do
not know which they got. (``ucg`` and ``dps`` are defined by the ancestral step and want the ``ddpm`` sampler.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from zssd_cli.operators.coarsen import Coarsen

Denoise = Callable[[Tensor, float], Tensor]
"""The prior on the whole domain: (x (B, C, H, W), sigma) -> E[x0 | x], same shape."""

GuidedDenoise = Callable[[Tensor, float, float], Tensor]
"""The same given the observation; the third argument is the sampler's next noise level (only ``ucg`` and ``dps`` use it)."""


@dataclass(frozen=True)
class Observation:
    """A coarse field and how it came from the fine one.

    Attributes
    ----------
    values
        Standardised block means, (B, observed, h, w), NaN where missing.
    channels
        Index of every observed variable among the prior's C variables.
    operator
        Block means of the fine domain.
    error
        Standard deviation of the observation's error per observed variable, standardised units, (observed,).
    """

    values: Tensor
    channels: tuple[int, ...]
    operator: Coarsen
    error: Tensor

    def residual(self, x0: Tensor) -> Tensor:
        """Y - A x0 of the observed variables, 0 where y is missing: (B, observed, h, w)."""
        return (self.values - self.operator(x0[:, list(self.channels)])).nan_to_num(0.0)


class Guidance(Protocol):
    """A transform from the prior's denoiser to a guided one."""

    def __call__(self, denoise: Denoise, observation: Observation) -> GuidedDenoise:
        """Bind the observation."""
        ...
