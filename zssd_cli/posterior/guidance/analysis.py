r"""``analysis``: the soft, multivariate correction that a data assimilation scheme calls an analysis step [ours].

For a Gaussian prior with covariance B the denoiser given a coarse observation y = A x0 + e, e ~ N(0, S), is

.. math:: E[x_0 | x, y] = D + V A^T (A V A^T + S)^{-1} (y - A D), \qquad V = B \sigma^2 (B + \sigma^2)^{-1}.

What runs is this with S + :data:`MODEL_ERROR`^2 diag(A V A^T) in the place of S at every level, and with little gain
for those waves along the coarse grid to which the cut-off of V at some blocks gives a negative variance (:data:`CUT`).

With D from the network and B from climatology (:mod:`zssd_cli.climate.covariance`) this is the guidance. Because B knows
that pressure and wind go together, an observed pressure moves the winds.

B depends on latitude: the increment is computed for every 10 degree band as if the band's statistics held everywhere,
and the bands' increments are interpolated linearly in latitude. Within a band everything is a convolution:

* A V A^T acts on the coarse grid; the system is solved there by conjugate gradients, preconditioned with the same
  convolution on a torus (exact but for the rim and for missing cells);
* V A^T from coarse to fine is one small matrix from a neighbourhood of coarse cells to the fine cells of a block, the
  same for every block.

A's cosine weights inside a block are left out of V A^T and A V A^T (not of the residual y - A D); the iteration over
noise levels takes care of the difference.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zssd_cli.climate.covariance import MAX_LAG, TORUS, Band, BandSpectrum, embedded, latitude_bands, ring_sums
from zssd_cli.grids.latlon import FINE_STEP
from zssd_cli.posterior.guidance import LONG, Denoise, Guidance, GuidedDenoise, Method, Observation, Setup
from zssd_cli.posterior.guidance.projection import sequential

ITERATIONS = 150
TOLERANCE = 1e-3
KEPT = 40
MODEL_ERROR = 0.1
"""Error of B itself, as a share of the block means' conditional standard deviation: keeps badly known combinations small."""
CUT = 30.0
"""A negative variance counts as so many times its size: the same gain then makes a misfit grow by a 30th at most. With 3 it grows
from move to move near the poles; left alone altogether, regions of a few blocks are not fitted any more."""
DROPPED = 3e-4
"""Share of the largest element of V A^T that the wavenumbers that are left out would add at most."""
FINE = 0.5
"""Up to this noise level gains are made on half the torus: what is not known yet reaches no further (docs/benchmarks.md)."""
SIGHT = 60
"""How far beyond its band (in fine cells) an increment looks for observations: further away B is another one."""


@dataclass(frozen=True)
class PlacedBand:
    """One band of latitude that touches the domain.

    Attributes
    ----------
    spectrum
        Its statistics.
    weight
        Its weight on every fine row, (H,).
    blocks
        Rows of blocks on which the weight is not zero (one more than the coarse rows where the last fine row is cut).
    seen
        Coarse rows whose observations enter: those of ``blocks`` and what lies within 15 degrees.
    """

    spectrum: BandSpectrum
    weight: Tensor
    blocks: slice
    seen: slice


@dataclass(frozen=True)
class Gain:
    """What one band needs at one noise level.

    Attributes
    ----------
    coarse
        Spectrum of A V A^T + S on the coarse torus, (h', w' // 2 + 1, n, n), n observed variables.
    inverse
        Its inverse, the preconditioner.
    fine
        V A^T as a matrix from (n, 2r + 1, 2r + 1) coarse neighbours, the northernmost and easternmost first, to (C, s, s) fine
        cells of a block, divided by ``scale`` and kept in half precision: the globe needs several hundred of them.
    scale
        Its largest element.
    reach
        r, the neighbourhood in blocks.
    size
        (h', w') of the coarse torus.
    """

    coarse: Tensor
    inverse: Tensor
    fine: Tensor
    scale: float
    reach: int
    size: tuple[int, int]


def place(band: Band, factor: int, coarse_rows: int) -> PlacedBand:
    """Where a band lies on a coarse grid of ``coarse_rows`` rows with blocks of ``factor`` fine rows."""
    touched = torch.nonzero(band.weight > 0).flatten()
    first, last = int(touched[0]) // factor, int(touched[-1]) // factor
    margin = -(-SIGHT // factor)
    seen = slice(max(first - margin, 0), min(last + 1 + margin, coarse_rows))
    return PlacedBand(band.spectrum, band.weight, slice(first, last + 1), seen)


class Analysis:
    """The guidance for one coarse grid; keeps the gains of the noise levels that it has met.

    Parameters
    ----------
    lags
        Lag covariances of the prior, (bands, C, C, lags, lags).
    signs
        Mirror signs of the variables, (C,).
    bands
        The bands of the only fine grid that will be met, where they are at hand.
    """

    def __init__(self, lags: Tensor, signs: Tensor, bands: list[Band] | None = None) -> None:
        self.lags, self.signs, self.bands = lags, signs, bands
        self._last: tuple[Observation, AnalysisSolver] | None = None

    def __call__(self, denoise: Denoise, observation: Observation) -> GuidedDenoise:
        """Bind the observation."""
        solver = self.solver(observation)

        def guided(x: Tensor, sigma: float, _next: float) -> Tensor:
            x0 = denoise(x, sigma)
            return x0 + solver.increment(observation.residual(x0), ~observation.values.isnan(), sigma)

        return guided

    def solver(self, observation: Observation) -> "AnalysisSolver":
        """The linear algebra for the observation's grids and variables, the same for every batch on them."""
        if self._last is None or not _alike(self._last[0], observation):
            self._last = (observation, AnalysisSolver(self.lags, self.signs, observation, self.bands))
        return self._last[1]


def _alike(one: Observation, other: Observation) -> bool:
    same = one.operator is other.operator and one.channels == other.channels
    return same and torch.equal(one.error, other.error)


def block_window(factor: int, period: int) -> Tensor:
    """Transform of the mean over a block of ``factor`` cells whose first and last cells are shared, (period,)."""
    weights = torch.ones(factor + 1)
    weights[0] = weights[-1] = 0.5
    return (weights / factor * _turn(torch.arange(period)[:, None], torch.arange(factor + 1), period)).sum(1)


def relevant(spectrum: BandSpectrum, factor: int, sigma: float) -> int:
    """Largest wavenumber of half the torus that matters to V A^T: what lies beyond adds under :data:`DROPPED` of the largest element."""
    largest, window = spectrum.powers(sigma).amax(0), block_window(factor, TORUS // 2).abs()
    rings = ring_sums(largest * window[:, None] * window[: largest.shape[1]])
    return int((rings.flip(0).cumsum(0).flip(0) > DROPPED * rings.sum()).sum())


def _turn(wavenumber: Tensor, cells: Tensor | int, period: int) -> Tensor:
    """e^{2 pi i k d / n}, the factor of a shift by d cells."""
    angle = 2 * torch.pi / period * wavenumber * cells
    return torch.polar(torch.ones_like(angle), angle)


def _at_lags(symbol: Tensor, step: int, reach: int, period: int) -> Tensor:
    """Lag function at multiples of ``step`` cells, -reach ... reach of them each way, from its rfft2: (..., 2r + 1, 2r + 1)."""
    lags = step * torch.arange(-reach, reach + 1)[:, None]
    rows = torch.fft.fftfreq(symbol.shape[-2], 1 / symbol.shape[-2])
    columns = torch.arange(symbol.shape[-1])
    twice = torch.where((columns == 0) | (2 * columns == period), 1.0, 2.0) / period**2
    return ((_turn(rows, lags, period) @ symbol) @ (twice * _turn(columns, lags, period)).T).real


class AnalysisSolver:
    """Increments V A^T (A V A^T + S)^-1 d for one pair of grids."""

    def __init__(self, lags: Tensor, signs: Tensor, observation: Observation, bands: list[Band] | None = None) -> None:
        fine, coarse = observation.operator.fine, observation.operator.coarse
        self.channels, self.error = list(observation.channels), observation.error
        self.device = observation.values.device
        self.circular = fine.circular
        self.shape, self.columns = fine.shape, coarse.shape[1]
        self.factor = round(float(coarse.lat_edges[1] - coarse.lat_edges[0]) / FINE_STEP)
        bands = latitude_bands(lags, signs, fine.lat) if bands is None else bands
        self.bands = [place(band, self.factor, coarse.shape[0]) for band in bands]
        self._gains: dict[float, list[Gain]] = {}

    def gains(self, sigma: float) -> list[Gain]:
        """Gains of every band at this noise level; those of the first KEPT levels are kept."""
        if sigma in self._gains:
            return self._gains[sigma]
        gains = [self._gain(band, sigma) for band in self.bands]
        if len(self._gains) < KEPT:
            self._gains[sigma] = gains
        return gains

    def _gain(self, band: PlacedBand, sigma: float) -> Gain:
        s, observed, step = self.factor, self.channels, 2 if sigma <= FINE else 1
        period = TORUS // step
        r = max(1, min(-(-MAX_LAG // s) + 1, period // 2 // s - 1))
        cut = relevant(band.spectrum, s, sigma) * 2 // step
        # lag function c(d) as rfft2; covariance with a block at lag e is sum_q w_q c(e + q)
        symbol = band.spectrum.conditional(sigma, cut, step)[:, observed]
        rows = torch.fft.fftfreq(symbol.shape[-2], 1 / symbol.shape[-2])
        columns, window = torch.arange(symbol.shape[-1]), block_window(s, period)
        down, across = window[rows.long()], window[columns]
        kernel = _at_lags(symbol[observed] * (down.abs().square()[:, None] * across.abs().square()), s, r, period)
        # backwards: the fine cells of a block seen from the block r further north and east first, so that they lie in their order
        down, across = (w * _turn(k, s * r, period) for w, k in ((down, rows), (across, columns)))
        half = embedded((symbol * (down[:, None] * across)).conj().resolve_conj(), period)
        cells = s * (2 * r + 1)
        half = torch.fft.irfft(torch.fft.ifft(half, dim=2)[:, :, :cells], n=period)[..., :cells]
        scale = max(float(half.max()), -float(half.min()))
        half = half.unflatten(3, (-1, s)).unflatten(2, (-1, s))  # C, n, lag_y, phase_y, lag_x, phase_x
        fine = (half.permute(0, 3, 5, 1, 2, 4) / scale).half().flatten(3).flatten(0, 2)
        # on this torus the rows and columns do not meet themselves, but where the domain is the whole circle
        size = (band.seen.stop - band.seen.start + r, self.columns if self.circular else self.columns + r)
        coarse = self._coarse_spectrum(kernel, size)
        return Gain(coarse, torch.linalg.inv(coarse), fine.to(self.device), scale, r, size)

    def _coarse_spectrum(self, kernel: Tensor, size: tuple[int, int]) -> Tensor:
        """Block covariance (n, n, 2r + 1, 2r + 1) plus observation error as a symbol on the coarse torus."""
        n, r = kernel.shape[0], kernel.shape[-1] // 2
        lags = torch.arange(-r, r + 1)
        torus = torch.zeros(n, n, *size)
        lag_y, lag_x = (lags % size[0])[:, None].expand(-1, lags.numel()), (lags % size[1]).expand(lags.numel(), -1)
        for row in range(n):
            for column in range(n):
                torus[row, column].index_put_((lag_y, lag_x), kernel[row, column], accumulate=True)
        symbol = torch.fft.rfft2(torus).permute(2, 3, 0, 1).conj()
        symbol = (symbol + symbol.mH) / 2
        values, vectors = torch.linalg.eigh(symbol)
        # V is cut off at r blocks; where that leaves a negative variance the increment would point the wrong way: it must stay small
        most = float(values.max())
        values = torch.where(values > 0, values, -CUT * values).clamp(min=1e-5 * most)
        symbol = vectors @ (values[..., None] * vectors.mH)
        variance = kernel[torch.arange(n), torch.arange(n), r, r]
        symbol = symbol + torch.diag(MODEL_ERROR**2 * variance).to(symbol.dtype)
        return (symbol + torch.diag(self.error.cpu().square()).to(symbol.dtype)).to(self.device)

    def solve(self, gain: Gain, residual: Tensor, present: Tensor) -> Tensor:
        """(A V A^T + S)^-1 d over the present cells: preconditioned conjugate gradients, each sample on its own."""
        mask = present.to(residual)

        def convolve(symbol: Tensor, x: Tensor) -> Tensor:
            product = torch.einsum("yxij,bjyx->biyx", symbol, torch.fft.rfft2(x, s=gain.size))
            return mask * torch.fft.irfft2(product, s=gain.size)[..., : x.shape[2], : x.shape[3]]

        w, r = torch.zeros_like(residual), residual * mask
        z = convolve(gain.inverse, r)
        p, rz = z, (r * z).sum((1, 2, 3), keepdim=True)
        target = TOLERANCE**2 * r.square().sum((1, 2, 3))
        for _ in range(ITERATIONS):
            active = (r.square().sum((1, 2, 3)) > target)[:, None, None, None]
            if not active.any():
                break
            q = convolve(gain.coarse, p)
            # a sample that has converged stays as it is, so that it does not depend on the others
            step = active * rz / (p * q).sum((1, 2, 3), keepdim=True).clamp(min=1e-30)
            w, r = w + step * p, r - step * q
            z = convolve(gain.inverse, r)
            rz_next = (r * z).sum((1, 2, 3), keepdim=True)
            p, rz = z + rz_next / rz.clamp(min=1e-30) * p, rz_next
        return w

    def spread(self, band: PlacedBand, gain: Gain, w: Tensor) -> Tensor:
        """V A^T w, w on the rows ``band.seen``, on the fine cells of the rows ``band.blocks``: (B, C, rows * s, blocks * s)."""
        r, seen, blocks = gain.reach, band.seen, band.blocks
        below, above = seen.start - (blocks.start - r), blocks.stop + r - seen.stop
        padded = F.pad(w, (r, r, 0, 0), mode="circular") if self.circular else F.pad(w, (r, r + 1))
        side = 2 * r + 1
        near = (
            F.unfold(F.pad(padded, (0, 0, below, above)), side)
            .unflatten(1, (-1, side, side))
            .flip((2, 3))
            .flatten(1, 3)
        )
        fine = (gain.fine.float() @ (gain.scale * near)).unflatten(2, (blocks.stop - blocks.start, -1))
        return F.pixel_shuffle(fine, self.factor)

    def increment(self, residual: Tensor, present: Tensor, sigma: float) -> Tensor:
        """The correction of the denoised field, (B, n, h, w) -> (B, C, H, W)."""
        (height, width), s = self.shape, self.factor
        result = residual.new_zeros(len(residual), self.bands[0].spectrum.count, height, width)
        for band, gain in zip(self.bands, self.gains(sigma), strict=True):
            w = self.solve(gain, residual[:, :, band.seen], present[:, :, band.seen])
            fine = self.spread(band, gain, w)
            top, bottom = band.blocks.start * s, min(band.blocks.stop * s, height)
            result[:, :, top:bottom] += fine[:, :, : bottom - top, :width] * band.weight[top:bottom, None].to(result)
        return result


def make(setup: Setup) -> Guidance:
    """The analysis by the climate's covariances, then the step for wind speed."""
    return sequential(Analysis(setup.lags, setup.signs, setup.bands))


METHOD = Method(
    make,
    steps=12,  # of another sampler than the default: LONG has its own number
    sampler=LONG,
    exact=True,
    increment=0.12,
    gains=lambda levels: 1 + int((levels > FINE).sum()),
)
