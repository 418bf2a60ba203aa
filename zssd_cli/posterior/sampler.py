r"""From noise to a field: samplers that fold a guided denoiser over a falling sequence of noise levels.

A diffusion prior knows one thing: D(x, sigma), the best guess of the clean field given a noisy one. Sampling starts
from pure noise at a high level and walks down; each step moves the field part of the way towards D. Five ways to step,
all in the variance-exploding variable x = x0 + sigma n:

* ``ddpm``: ancestral sampling of Ho et al. (2020), first order, noise added at every step; the paper's, 1000 steps.
* ``ddim``: the same without added noise (Song et al. 2021).
* ``dpmpp_2m``: DPM-Solver++(2M), second-order multistep, no added noise (Lu et al. 2022, algorithm 2).
* ``dpmpp_2m_long``: the same for few and long steps [ours]. What the last two D's say of the next is followed further, and in the
  last step, too (:data:`FURTHER`, :data:`BEYOND`): long steps as published take power from the finest scales.
* ``dpmpp_2m_sde``: its stochastic form (Lu et al. 2022, appendix; k-diffusion's midpoint variant).
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from zssd_cli.posterior.guidance import LONG, GuidedDenoise

SAMPLERS = ("dpmpp_2m", LONG, "dpmpp_2m_sde", "ddim", "ddpm")
FURTHER = 0.05
"""The published half of the way from the D before, and so much more, times the square of the step in log sigma."""
LONGEST = 1.7
"""A step beyond counts as this one there; what was tried is 1.4 to 1.8."""
BEYOND = 0.25
"""The way that is followed in the last step. This and FURTHER by the spectra of a training field (``benchmarks/steps.py``)."""


def sample(
    denoise: GuidedDenoise,
    draw: Callable[[], Tensor],
    sigmas: Tensor,
    sampler: str = "dpmpp_2m",
    start: Tensor | float = 0.0,
) -> Iterator[Tensor]:
    """Walk down the noise levels; yields the denoised field of every step, the last one is the sample.

    Parameters
    ----------
    denoise
        Guided denoiser on the whole domain.
    draw
        Returns fresh unit noise of the field's shape (B, C, H, W) at every call.
    sigmas
        Falling noise levels that end with 0, (steps + 1,).
    sampler
        One of :data:`SAMPLERS`.
    start
        Clean field to which the first level's noise is added; 0 where that level drowns everything.
    """
    levels = [float(s) for s in sigmas]
    x = start + draw() * levels[0]
    previous, h_previous, long = None, 0.0, sampler == LONG
    for sigma, sigma_next in zip(levels[:-1], levels[1:], strict=True):
        x0 = denoise(x, sigma, sigma_next)
        if sigma_next == 0:
            yield torch.lerp(x0, previous, -BEYOND) if long and previous is not None else x0
            return
        yield x0
        h = math.log(sigma / sigma_next)
        guess = x0
        if previous is not None and sampler.startswith("dpmpp"):
            guess = torch.lerp(x0, previous, -(0.5 + FURTHER * min(h, LONGEST) ** 2 * long) * h / h_previous)
        ratio = sigma_next / sigma
        if sampler in ("ddim", "dpmpp_2m", LONG):
            x = torch.lerp(guess, x, ratio)
        else:
            # exact solution of the reverse SDE for a constant guess; for ddpm this is the ancestral posterior
            x = torch.lerp(guess, x, ratio**2) + sigma_next * math.sqrt(1 - ratio**2) * draw()
        previous, h_previous = x0, h
