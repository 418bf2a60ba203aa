r"""The prior at high noise: the denoiser of the climatological Gaussian, in closed form [ours].

Under heavy noise only the mean and the covariance of the data matter, and the best denoiser is linear:

.. math:: D(x) = m + W (x - m), \qquad W = B (B + \sigma^2)^{-1},

m the zonal mean of climatology, B the covariance by bands of latitude (:mod:`zssd_cli.climate.covariance`). This is
where a network is weakest: it saw patches of 16 degrees, and few of them at these levels; and it is where the large
scales of variables that are not observed are decided. The increments of the bands are interpolated in latitude.

W is a low-pass filter: all but the largest scales drown in the noise. So everything happens on the few wavenumbers that
W lets through (:func:`cutoff`), and what lies beyond a region's rim is filled on a coarse torus that just holds them.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from zssd_cli.climate.covariance import TORUS, Band, BandSpectrum, assemble, latitude_bands, ring_sums
from zssd_cli.grids.latlon import LatLonGrid

REACH = 90
"""Largest lag in cells that the convolution keeps: the weights of B (B + sigma^2)^-1 are short but for the highest noise."""
FILLS = 8
"""How often what lies beyond a region's rim is filled with its own estimate; the globe has no rim but the poles."""
DROPPED = 0.01
"""Standard deviation of what the wavenumbers that are left out would have added to a denoised cell."""
FINEST = 144
"""Wavenumbers above this many cycles per TORUS cells never matter; the spectra hold an odd-even artefact of the lag rows there."""
KEPT_BYTES = 200_000_000
"""Symbols are kept for the next batch up to this size."""


def odd_size(least: int) -> int:
    """Smallest odd length of at least ``least`` that the FFT likes: 3^a 5^b 7^c. Odd, so that no wavenumber lacks its twin."""
    size = least + 1 - least % 2
    while True:
        rest = size
        for factor in (3, 5, 7):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 2


def cutoff(spectrum: BandSpectrum, sigma: float) -> int:
    """Largest wavenumber, in cycles per TORUS cells, that matters to W at this noise level.

    W x of what lies beyond has a standard deviation of at most :data:`DROPPED`, x the noise.
    """
    largest = spectrum.values[..., -1]
    rings = ring_sums((largest / (largest + sigma**2)).square())[: FINEST + 1]
    beyond = sigma / TORUS * rings.flip(0).cumsum(0).sqrt().flip(0)
    return max(4, int((beyond > DROPPED).sum()))


@dataclass(frozen=True)
class Lattice:
    """The wavenumbers in use along one axis of a torus: -``top`` to ``top`` cycles per ``size`` cells."""

    size: int
    top: int

    @property
    def count(self) -> int:
        """Cells of the coarse torus that holds just these wavenumbers."""
        return 2 * self.top + 1

    @cached_property
    def order(self) -> Tensor:
        """The wavenumbers as an FFT orders them, (count,)."""
        return torch.cat([torch.arange(self.top + 1), torch.arange(-self.top, 0)])

    @cached_property
    def cells(self) -> int:
        """Cells of a coarse torus on which a product of two functions of these wavenumbers can be formed."""
        return min(odd_size(4 * self.top + 1), self.size)

    def crop(self, spectrum: Tensor) -> Tensor:
        """Our wavenumbers among all of a longer axis, (B, C, size, X) -> (B, C, count, X)."""
        return torch.cat([spectrum[:, :, : self.top + 1], spectrum[:, :, -self.top :]], 2)

    def embed(self, spectrum: Tensor) -> Tensor:
        """Among all wavenumbers of the coarse torus, zero elsewhere, (B, C, count, X) -> (B, C, cells, X)."""
        zeros = spectrum.new_zeros(*spectrum.shape[:2], self.cells - self.count, spectrum.shape[3])
        return torch.cat([spectrum[:, :, : self.top + 1], zeros, spectrum[:, :, self.top + 1 :]], 2)

    def inside(self, length: int) -> Tensor:
        """1 on the first ``length`` fine cells and 0 on the others, as smooth as the coarse torus resolves it, (cells,)."""
        indicator = torch.zeros(self.size)
        indicator[:length] = 1
        waves = torch.fft.rfft(indicator, norm="forward")[: min(2 * self.top, self.cells // 2) + 1]
        return torch.fft.irfft(waves, n=self.cells, norm="forward")


def lattice(size: int, cut: int) -> Lattice:
    """Wavenumbers of a torus of ``size`` cells up to ``cut`` cycles per TORUS cells."""
    wanted = math.ceil(cut * size / TORUS)
    return Lattice(size, min(odd_size(2 * wanted + 1) // 2, (size - 1) // 2))


def symbol(spectrum: BandSpectrum, sigma: float, cut: int, rows: Lattice, columns: Lattice) -> Tensor:
    """W, kept up to REACH cells, on the wavenumbers of another torus: (C, C, rows.count, columns.top + 1).

    Cutting a kernel off and reading its spectrum between wavenumbers is a product with a Dirichlet kernel per axis.
    """
    part = spectrum.on_torus(sigma)
    step = TORUS // part.period
    part, east = part.cropped(cut // step), torch.arange(0, cut // step * step + 1, step)
    near = torch.cat([east, -east[1:].flip(0)])
    half = assemble(part.values / (part.values + sigma**2), part.vectors) * step**2
    # the weights are real functions of the lag, which gives the negative wavenumbers along x
    opposite = half[..., 1:].flip((2, 3)).roll(1, 2).conj()
    full = torch.cat([half, opposite], 3)
    down, across = dirichlet(rows.order, rows.size, near), dirichlet(torch.arange(columns.top + 1), columns.size, near)
    return torch.complex(down @ full.real @ across.T, -(down @ full.imag @ across.T))


def dirichlet(wanted: Tensor, size: int, near: Tensor) -> Tensor:
    """From the wavenumbers ``near`` of TORUS cells to those ``wanted`` of ``size`` cells, (wanted, near)."""
    half = torch.pi * (wanted.double()[:, None] / size - near.double() / TORUS)
    width = 2 * REACH + 1
    ratio = torch.where(half == 0, width, (width * half).sin() / half.sin())
    return (ratio / TORUS).float()


@dataclass(frozen=True)
class Step:
    """What one band needs at one noise level.

    Attributes
    ----------
    near
        Rows that enter.
    own
        Rows on which the band has a weight.
    rows, columns
        Wavenumbers in use.
    symbol
        W on them, (C, C, rows.count, columns.top + 1).
    """

    near: slice
    own: slice
    rows: Lattice
    columns: Lattice
    symbol: Tensor


class GaussianDenoiser:
    """The linear denoiser on one domain.

    Parameters
    ----------
    lags, signs
        Covariances and mirror signs of the prior.
    zonal
        Climatological mean per variable and row of the global grid, standardised, (C, 721).
    grid
        The domain.
    device
        Where the fields are.
    bands
        The bands of the domain, where they are at hand.
    """

    def __init__(
        self,
        lags: Tensor,
        signs: Tensor,
        zonal: Tensor,
        grid: LatLonGrid,
        device: str | torch.device = "cpu",
        bands: list[Band] | None = None,
    ) -> None:
        self._bands = latitude_bands(lags, signs, grid.lat) if bands is None else bands
        rows = np.rint((grid.lat + 90) * 4).astype(int)
        self._mean = zonal[:, rows, None].to(device)
        self._weights = torch.stack([band.weight for band in self._bands]).to(device)
        self._circular = grid.circular
        self._height, width = grid.shape
        self._width = width if grid.circular else odd_size(width + REACH)
        self._device = device
        self._steps: dict[float, list[Step]] = {}

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        steps = self.steps(sigma)
        top = max(step.columns.top for step in steps)
        waves = torch.fft.rfft(x - self._mean, n=self._width, norm="forward")[..., : top + 1]
        result = waves.new_zeros(*x.shape[:2], height, top + 1)
        for step, weight in zip(steps, self._weights, strict=True):
            used = step.columns.top + 1
            spectrum = self._smooth(step, waves[:, :, step.near, :used], width)
            own = torch.arange(step.own.start, step.own.stop) - step.near.start
            angle = 2 * torch.pi / step.rows.size * own[:, None] * step.rows.order
            back = torch.polar(torch.ones_like(angle), angle).to(self._device)
            result[:, :, step.own, :used] += weight[step.own, None] * (back @ spectrum)
        return self._mean + torch.fft.irfft(result, n=self._width, norm="forward")[..., :width]

    def _smooth(self, step: Step, waves: Tensor, width: int) -> Tensor:
        """W times the field on the rows ``step.near``, given and returned by wavenumber.

        What lies beyond the rim is not known, which is not the same as no anomaly: it is filled with its own estimate,
        a few times over (expectation-maximisation, whose fixed point is the denoiser given the domain alone).
        """
        rows, columns = step.rows, step.columns
        known = rows.crop(torch.fft.fft(waves, n=rows.size, dim=2, norm="forward"))
        smooth = torch.einsum("ijyx,bjyx->biyx", step.symbol, known)
        if self._circular:
            return smooth
        unknown = (1 - rows.inside(waves.shape[2])[:, None] * columns.inside(width)).to(self._device)
        for _ in range(FILLS - 1):
            guess = torch.fft.ifft(rows.embed(smooth), dim=2, norm="forward")
            guess = torch.fft.irfft(guess, n=columns.cells, norm="forward") * unknown
            guess = torch.fft.rfft(guess, norm="forward")[..., : columns.top + 1]
            guess = rows.crop(torch.fft.fft(guess, dim=2, norm="forward"))
            smooth = torch.einsum("ijyx,bjyx->biyx", step.symbol, known + guess)
        return smooth

    def steps(self, sigma: float) -> list[Step]:
        """One :class:`Step` per band; those of all noise levels are kept as long as they are small."""
        if sigma in self._steps:
            return self._steps[sigma]
        steps = [self._step(band, sigma) for band in self._bands]
        kept = sum(s.symbol.nbytes for level in [*self._steps.values(), steps] for s in level)
        if kept <= KEPT_BYTES:
            self._steps[sigma] = steps
        return steps

    def _step(self, band: Band, sigma: float) -> Step:
        cut = cutoff(band.spectrum, sigma)
        touched = torch.nonzero(band.weight > 0).flatten()
        first, last = int(touched[0]), int(touched[-1]) + 1
        low, high = max(first - REACH, 0), min(last + REACH, self._height)
        rows, columns = lattice(odd_size(high - low + REACH), cut), lattice(self._width, cut)
        part = symbol(band.spectrum, sigma, cut, rows, columns).to(self._device)
        return Step(slice(low, high), slice(first, last), rows, columns, part)
