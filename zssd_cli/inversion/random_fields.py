r"""Random conductivity fields: stationary Gaussian fields by circulant embedding, and two-material fields cut out of them.

The covariance of two cells is :math:`\rho(d)` with :math:`d^2 = (x'/\ell_1)^2 + (y'/\ell_2)^2` in axes rotated by a
random angle: exponential :math:`\rho = e^{-d}` (rough, the usual model of log-conductivity) or Gaussian
:math:`\rho = e^{-d^2}` (smooth). Laid out on a torus three times as wide as the square, its Fourier transform gives the
eigenvalues (Dietrich and Newsam 1997); the square then sees no periodic neighbour, and eigenvalues below zero, which
the finite torus brings for long correlations, are cut (a few 1e-4 of the variance).

The fields of the Darcy benchmark are not stationary: :math:`N(0, (-\Delta + 9)^{-2})` on the unit square with zero-flux sides,
without its mean, cut at 0 (Li et al. 2021, section 5.2 and its published generator).

Everything is a function of the seed. Streams keep apart what must not be mixed: training, tuning of methods, held out.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zssd_cli.inversion.config import FieldsConfig

TORUS = 3
"""Side of the torus in sides of the square."""

STREAMS = {"training": 0, "tuning": 1, "held-out": 2}


def generator(*seed: int) -> torch.Generator:
    """A random generator that is a function of all the numbers given."""
    key = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(key) >> 1)


def numbered_fields(config: FieldsConfig, stream: str, numbers: Sequence[int]) -> Tensor:
    """Fields by number, each a function of (stream, number) alone.

    Parameters
    ----------
    config
        Family of fields.
    stream
        One of ``STREAMS``.
    numbers
        Which fields, not negative.

    Returns
    -------
    Tensor (len(numbers), cells, cells), float32, without unit.
    """
    return torch.cat([draw_fields(config, 1, generator(STREAMS[stream], int(number))) for number in numbers])


def draw_fields(config: FieldsConfig, count: int, rng: torch.Generator) -> Tensor:
    """Independent fields of a family with their parameters drawn anew for each, (count, cells, cells), float32."""
    if config.kind == "darcy-flow":
        return torch.where(zero_flux_fields(config.cells, count, rng) >= 0, 1.0, -1.0)
    low, high = (math.log(value) for value in config.lengths)
    lengths = (low + (high - low) * torch.rand(count, 2, generator=rng)).exp()
    angles = math.pi * torch.rand(count, generator=rng)
    names = ("gaussian",) if config.kind == "bimaterial" else config.covariances
    pick = torch.randint(len(names), (count,), generator=rng)
    smooth = torch.tensor([name == "gaussian" for name in names])[pick]
    fields = gaussian_fields(config.cells, lengths, angles, smooth, rng)
    if config.kind == "grf":
        return fields
    low, high = config.fraction
    share = low + (high - low) * torch.rand(count, 1, 1, generator=rng)
    level = torch.special.ndtri(1 - share)
    return torch.where(fields > level, 1.0, -1.0)


def gaussian_fields(cells: int, lengths: Tensor, angles: Tensor, smooth: Tensor, rng: torch.Generator) -> Tensor:
    """Stationary Gaussian fields of mean 0 and variance 1.

    Parameters
    ----------
    cells
        Side of the square in cells.
    lengths
        Correlation lengths along the two principal axes in sides of the square, (B, 2).
    angles
        Angle of the first axis against the x axis in radians, counted towards y, (B,).
    smooth
        True for the Gaussian, False for the exponential covariance, (B,).
    rng
        Source of the noise.

    Returns
    -------
    Tensor (B, cells, cells), rows along y, columns along x.
    """
    eigenvalues = torus_spectrum(cells, lengths, angles, smooth).clamp(min=0)
    side = TORUS * cells
    noise = torch.fft.rfft2(torch.randn(len(lengths), side, side, generator=rng))
    return torch.fft.irfft2(noise * eigenvalues.sqrt(), s=(side, side))[:, :cells, :cells].contiguous()


def zero_flux_fields(cells: int, count: int, rng: torch.Generator) -> Tensor:
    r"""Draws from :math:`N(0, (-\Delta + 9)^{-2})` with zero-flux sides and without their mean, (count, cells, cells).

    Coefficients of the cosines :math:`\cos(\pi k x) \cos(\pi l y)` at the centres of the cells.
    """
    waves = torch.arange(cells)
    cosines = torch.cos(math.pi * waves[:, None] * (waves + 0.5) / cells)
    cosines[1:] *= math.sqrt(2)
    amplitude = 1 / (math.pi**2 * (waves[:, None].square() + waves.square()) + 9.0)
    amplitude[0, 0] = 0
    return cosines.T @ (amplitude * torch.randn(count, cells, cells, generator=rng)) @ cosines


def torus_spectrum(cells: int, lengths: Tensor, angles: Tensor, smooth: Tensor) -> Tensor:
    """Eigenvalues of the covariance on the torus, negative ones included, (B, side, side // 2 + 1)."""
    side = TORUS * cells
    lag = torch.fft.fftfreq(side, d=1 / side) / cells
    y, x = lag[:, None], lag[None, :]
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    along = (x * cos + y * sin) / lengths[:, :1, None]
    across = (y * cos - x * sin) / lengths[:, 1:, None]
    square = along.square() + across.square()
    covariance = torch.exp(-torch.where(smooth[:, None, None], square, square.sqrt()))
    return torch.fft.rfft2(covariance).real
