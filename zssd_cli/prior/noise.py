r"""Noise levels: how much noise a denoiser sees in training and at which levels a sampler visits it.

Everything is written in the variance-exploding convention of Karras et al. (2022): :math:`x_\sigma = x_0 + \sigma n`.
The paper's DDPM variable is the same thing scaled, :math:`x_t = x_\sigma \sqrt{\bar\alpha_t}` with
:math:`\sigma_t = \sqrt{(1 - \bar\alpha_t) / \bar\alpha_t}`, so one network serves both.
"""

import math

import torch
from torch import Tensor

SIGMA_MIN = 0.002
SIGMA_MAX = 120.0


def karras_sigmas(steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX, rho: float = 7.0) -> Tensor:
    """``steps`` descending levels and a final 0, shape (steps + 1,). Karras et al. (2022), eq. 5."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return torch.cat([(high + ramp * (low - high)) ** rho, torch.zeros(1, dtype=torch.float64)])


def log_snr_sigmas(steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX) -> Tensor:
    """Levels that are uniform in log sigma (half the log-SNR) and a final 0, shape (steps + 1,)."""
    levels = torch.linspace(math.log(sigma_max), math.log(sigma_min), steps, dtype=torch.float64).exp()
    return torch.cat([levels, torch.zeros(1, dtype=torch.float64)])


def long_sigmas(steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX) -> Tensor:
    """As :func:`log_snr_sigmas`, but ``sigma_min`` is where one step more would end; and a final 0, shape (steps + 1,)."""
    levels = log_snr_sigmas(steps + 1, sigma_min, sigma_max)
    return torch.cat([levels[:-2], levels[-1:]])


def ddpm_sigmas(steps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02) -> Tensor:
    """Sigma of Ho et al.'s (2020) linear beta schedule from the noisiest level down, and a final 0, shape (steps + 1,).

    Fewer than 1000 steps visit levels of the 1000-step schedule at even distances (Nichol and Dhariwal 2021), more
    scale the betas down: the first level stays near 157 and the last near 0.01 whatever the number of steps.
    """
    count = max(steps, 1000)
    betas = torch.linspace(beta_min, beta_max, count, dtype=torch.float64) * (1000 / count)
    abar = torch.cumprod(1 - betas, 0)
    levels = ((1 - abar) / abar).sqrt()[torch.linspace(count - 1, 0, steps).round().long()]
    return torch.cat([levels, torch.zeros(1, dtype=torch.float64)])


def coarse_training_sigmas(count: int, generator: torch.Generator, above: float, factor: int) -> Tensor:
    """Noise levels of means of factor x factor cells, (count,): log-uniform, the fine field's being four fifths of ``above`` and more."""
    low, high = math.log(0.8 * above / factor), math.log(SIGMA_MAX * 1.3 / factor)
    return (torch.rand(count, generator=generator) * (high - low) + low).exp()


def training_sigmas(count: int, generator: torch.Generator) -> Tensor:
    """Noise levels for training, shape (count,).

    Log-normal as in Karras et al. (2022) but lower and wider (mean -1.5, standard deviation 1.9 in log sigma), because smooth
    atmospheric fields keep their fine detail at low noise; one level in eight is log-uniform, so that the rare high
    levels, where the mean of a whole domain is decided, are learned too.
    """
    normal = torch.randn(count, generator=generator) * 1.9 - 1.5
    low, high = math.log(SIGMA_MIN / 2), math.log(SIGMA_MAX * 1.3)
    uniform = torch.rand(count, generator=generator) * (high - low) + low
    pick = torch.rand(count, generator=generator) < 1 / 8
    return torch.where(pick, uniform, normal.clamp(low, high)).exp()
