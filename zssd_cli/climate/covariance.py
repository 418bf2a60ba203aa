r"""Climatological covariance of the standardised variables: what pressure says about wind before any network is asked.

In a band of latitude the fields are taken as stationary: :math:`C_{ij}(\delta) = E[a_i(p)\,a_j(p + \delta)]` of the
anomalies :math:`a` from the zonal mean, for lags :math:`\delta` up to 40 degrees, from all pairs of cells whose midpoint
lies in the band. Both hemispheres feed one set of bands through the mirror (flip latitude, reverse v). The covariance
is tapered with a Hann window in both lags (a shorter one leaks the power of the largest pressure systems into the
synoptic scales and hides how strongly wind goes with pressure: with 20 degrees the regression of v10 on msl kept 23
percent of the wind's amplitude, with 40 degrees 57), made positive by clipping the spectrum, and is all that the
``analysis`` guidance needs: geostrophy, the anisotropy of cells and the width of weather systems at every latitude are in it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from zssd_cli.climate.bands import BAND_WIDTH, band_centres, band_weights

MAX_LAG = 160
TORUS = 384
WHITE = 2 * math.pi / 100
"""Wavenumber per cell (25 degrees of wavelength) below which a red spectrum is taken as white before the taper."""


class LagSums:
    """Lag covariances of standardised anomalies, summed field by field.

    Parameters
    ----------
    lat
        Rows in degrees, ascending, 0.25 apart.
    circular
        True where the rows go all the way round.
    signs
        What a mirror at the equator does to each variable, (C,).
    channels
        Which of a prior's variables these are, where others are absent.
    """

    def __init__(
        self, lat: np.ndarray, circular: bool, signs: np.ndarray, channels: Sequence[int] | None = None
    ) -> None:
        self._lat, self._circular, self._signs = np.asarray(lat), circular, np.asarray(signs, dtype=np.float32)
        count = len(self._signs)
        self.channels = list(range(count) if channels is None else channels)
        self.total = np.zeros((band_centres().size, count, count, MAX_LAG + 1, 2 * MAX_LAG + 1))
        self.pairs = np.zeros((band_centres().size, MAX_LAG + 1, 2 * MAX_LAG + 1))

    def add(self, anomalies: np.ndarray) -> None:
        """Add one field (C, lat, lon) and its mirror image."""
        self._add(anomalies, self._lat)
        self._add(anomalies[:, ::-1] * self._signs[:, None, None], -self._lat[::-1])

    def _add(self, field: np.ndarray, lat: np.ndarray) -> None:
        columns = field.shape[2]
        length = columns if self._circular else columns + MAX_LAG
        spectrum = torch.fft.rfft(torch.as_tensor(np.ascontiguousarray(field)), n=length).permute(2, 0, 1).contiguous()
        east = np.arange(-MAX_LAG, MAX_LAG + 1)
        overlap = np.full(east.size, columns) if self._circular else np.maximum(columns - np.abs(east), 0)
        for lag in range(min(MAX_LAG + 1, lat.size)):
            middle = (lat[: lat.size - lag] + lat[lag:]) / 2
            for band, centre in enumerate(band_centres()):
                rows = np.flatnonzero(np.abs(middle - centre) <= BAND_WIDTH)
                if rows.size == 0:
                    continue
                south = spectrum[..., rows[0] : rows[-1] + 1].conj()
                north = spectrum[..., rows[0] + lag : rows[-1] + lag + 1]
                product = (south @ north.transpose(1, 2)).permute(1, 2, 0)
                self.total[band, :, :, lag] += torch.fft.irfft(product, n=length).numpy()[..., east % length]
                self.pairs[band, lag] += rows.size * overlap

    def result(self) -> np.ndarray:
        """Covariances (bands, C, C, MAX_LAG + 1, 2 MAX_LAG + 1), float32, not tapered.

        Entry [b, i, j, y, x] is the covariance of variable i at a point with variable j at a point y rows further
        north and x - MAX_LAG columns further east. A band without data repeats the nearest one that has some.
        """
        return merged([self])


def merged(sums: Sequence[LagSums]) -> np.ndarray:
    """:meth:`LagSums.result` of several sums, from grids and variables that may differ, together.

    Variables that were never seen at the same time have no covariance.
    """
    count = 1 + max(max(one.channels) for one in sums)
    lags = np.zeros((len(sums[0].total), count, count, *sums[0].total.shape[3:]), np.float32)
    for i, j in np.ndindex(count, count):
        both = [one for one in sums if i in one.channels and j in one.channels]
        if not both:
            continue
        pairs = np.sum([one.pairs for one in both], 0)
        total = np.sum([one.total[:, one.channels.index(i), one.channels.index(j)] for one in both], 0)
        known = np.flatnonzero(pairs[:, 0, MAX_LAG] > 0)
        nearest = known[np.abs(np.arange(len(lags))[:, None] - known).argmin(1)]
        lags[:, i, j] = (total / np.maximum(pairs, 1))[nearest]
    return lags


class Modes:
    """Eigen-decomposition of a covariance operator's symbol, at the wavenumbers that somebody asks for and once.

    Parameters
    ----------
    symbol
        Hermitian matrices, (TORUS, TORUS // 2 + 1, C, C).
    """

    def __init__(self, symbol: Tensor) -> None:
        self._symbol = symbol.to(torch.complex128)
        self._values = torch.zeros(symbol.shape[:-1])
        self._vectors = torch.zeros(symbol.shape, dtype=torch.complex64)
        self._known = torch.zeros(symbol.shape[:2], dtype=torch.bool)

    @property
    def count(self) -> int:
        """Variables, C."""
        return self._values.shape[-1]

    def at(self, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Variance per mode and rank, (rows, columns, C), above 0, and unitary matrices, (rows, columns, C, C), complex."""
        box = rows[:, None], columns
        wanted = torch.zeros_like(self._known)
        wanted[box] = True
        new = wanted & ~self._known
        if new.any():
            symbol = self._symbol[new]
            values, vectors = torch.linalg.eigh((symbol + symbol.mH) / 2)
            self._values[new], self._vectors[new] = values.clamp(min=1e-10).float(), vectors.to(torch.complex64)
            self._known |= new
        return self._values[box], self._vectors[box]


@dataclass(frozen=True)
class BandSpectrum:
    r"""One band's covariance on a doubly periodic square of TORUS cells.

    What is asked of it is computed up to a wavenumber ``cut`` and, with ``step`` 2, on half the torus: at every second wavenumber.

    Attributes
    ----------
    modes
        Of the band in the northern hemisphere.
    transfer
        T, acting on plane waves, (C, C, TORUS, TORUS // 2 + 1): the variables are T times those of ``modes``. None: they are the same.
    signs
        What the mirror at the equator does to each variable, (C,), for the band's twin on the other side of it.
    """

    modes: Modes
    transfer: Tensor | None = None
    signs: Tensor | None = None

    @property
    def count(self) -> int:
        """Variables, C."""
        return self.modes.count

    def covariance(self, cut: int = TORUS, step: int = 1) -> Tensor:
        """B as the rfft2 of its lag function, (C, C, rows, columns) of :func:`wavenumbers`."""
        return _gram(self._factor(cut, step, 0.5))

    def conditional(self, sigma: float, cut: int = TORUS, step: int = 1) -> Tensor:
        r"""The same of :math:`V = B \sigma^2 (B + \sigma^2)^{-1}`, the covariance of x0 given x0 + sigma n."""
        if step == 2:
            rows, columns = wavenumbers(cut, 2)
            prior = self._on_half[:, :, rows[:, None] // 2, columns // 2]
        else:
            prior = self.covariance(cut, step)
        return prior if math.isinf(sigma) else _shrunk(prior, sigma)

    def powers(self, sigma: float) -> Tensor:
        """What V's diagonal reaches at most on half the torus, (C, TORUS // 2, TORUS // 4 + 1)."""
        prior = self._on_half.diagonal().real.permute(2, 0, 1)
        return prior / (1 + prior / sigma**2)

    def variances(self, sigma: float) -> Tensor:
        """Of the variables in a cell given x0 + sigma n, (C,): V's diagonal at lag 0, with what half the torus makes of it."""
        power = self.conditional(sigma, TORUS, 2).diagonal().real
        period = power.shape[0]
        twice = torch.full((power.shape[1], 1), 2.0)
        twice[0] = twice[-1] = 1
        return (power * twice).sum((0, 1)) / period**2

    def root(self) -> Tensor:
        """The symmetric square root's kernel at lags -MAX_LAG ... MAX_LAG: noise convolved with it has this covariance, (C, C, y, x).

        Of the variables of ``modes``.
        """
        symbol = _gram(self._factor(TORUS, 1, 0.25)).conj()
        kernel = torch.fft.irfft2(symbol, s=(TORUS, TORUS)).roll((MAX_LAG, MAX_LAG), (2, 3))
        return kernel[:, :, : 2 * MAX_LAG + 1, : 2 * MAX_LAG + 1]

    def mirrored(self, signs: Tensor) -> "BandSpectrum":
        """The band's twin on the other side of the equator; ``signs`` (C,) is what the mirror does to each variable."""
        return BandSpectrum(self.modes, self.transfer, signs)

    @cached_property
    def _on_half(self) -> Tensor:
        return self.covariance(TORUS, 2)

    def _factor(self, cut: int, step: int, power: float) -> Tensor:
        """T U S^power, U and S from the modes, (C, C, rows, columns)."""
        rows, columns = wavenumbers(cut, step)
        values, vectors = self.modes.at(rows, columns)
        factor = (vectors * values[..., None, :] ** power).permute(2, 3, 0, 1).contiguous()
        if self.transfer is not None:
            transfer = self.transfer[:, :, rows[:, None], columns]
            factor = (transfer[:, :, None] * factor).sum(1)
        if self.signs is not None:
            factor = factor.flip(2).roll(1, 2) * self.signs.to(factor)[:, None, None, None]
        return factor


def wavenumbers(cut: int = TORUS, step: int = 1) -> tuple[Tensor, Tensor]:
    """Rows and columns of an rfft2 of TORUS cells: every ``step``-th, up to ``cut`` of them each way, in the order of FFTs."""
    period = TORUS // step
    rows = torch.arange(period)
    if 2 * cut + 1 < period:
        rows = torch.cat([torch.arange(cut + 1), torch.arange(period - cut, period)])
    return step * rows, step * torch.arange(min(cut, period // 2) + 1)


def embedded(symbol: Tensor, period: int) -> Tensor:
    """Rows -k ... k (..., rows, columns) among all ``period`` of a torus, zero elsewhere; the columns are left to irfft."""
    count = symbol.shape[-2]
    if count == period:
        return symbol
    result = symbol.new_zeros(*symbol.shape[:-2], period, symbol.shape[-1])
    top = count // 2 + 1
    result[..., :top, :], result[..., top - count :, :] = symbol[..., :top, :], symbol[..., top:, :]
    return result


def _gram(factor: Tensor) -> Tensor:
    """The conjugate of F F^H for matrices (C, C, ...)."""
    conjugate = factor.conj().resolve_conj()
    result = conjugate[:, None, 0] * factor[None, :, 0]
    for rank in range(1, factor.shape[1]):
        result.addcmul_(conjugate[:, None, rank], factor[None, :, rank])
    return result


def _shrunk(prior: Tensor, sigma: float) -> Tensor:
    """V = sigma^2 (1 + B / sigma^2)^-1 B / sigma^2 of matrices B (C, C, ...), which are overwritten: Gauss and Jordan, all at once."""
    right = prior.div_(sigma**2)
    left = right.clone()
    left.diagonal().add_(1)
    for k in range(len(left)):
        pivot, column = 1 / left[k, k].real, left[:, k, None].clone()
        beside, row = left[k, k + 1 :] * pivot, right[k] * pivot
        left[:, k + 1 :].addcmul_(column, beside[None], value=-1)
        right.addcmul_(column, row[None], value=-1)
        left[k, k + 1 :], right[k] = beside, row
    return right.mul_(sigma**2)


def ring_sums(weights: Tensor) -> Tensor:
    """Sums over both signs of the wavenumbers whose larger component is K, for K = 0 ... n // 2: (n, n // 2 + 1) -> (n // 2 + 1,)."""
    rows = torch.arange(weights.shape[0])
    rings = torch.maximum(torch.minimum(rows, rows.numel() - rows)[:, None], rows[: weights.shape[1]])
    twice = weights.double()
    twice[:, 1:-1] *= 2
    return torch.bincount(rings.flatten(), weights=twice.flatten())


def band_spectrum(lags: np.ndarray | Tensor, signs: np.ndarray | None = None, red: Sequence[int] = ()) -> BandSpectrum:
    """Taper and embed the lag covariance of one band.

    Parameters
    ----------
    lags
        (C, C, MAX_LAG + 1, 2 MAX_LAG + 1) as from :meth:`LagSums.result`.
    signs
        Mirror signs (C,): given, the band's twin in the southern hemisphere is returned.
    red
        Variables whose spectrum is so red that the taper would leak it into the small scales: they are tapered after
        (WHITE^2 - Laplacian) has been applied, and that is undone in the spectrum.
    """
    half = torch.as_tensor(lags, dtype=torch.float64)
    # C_ij(-y, -x) = C_ji(y, x) gives the lags to the south
    south = half[:, :, 1:].flip((2, 3)).transpose(0, 1)
    full = torch.cat([south, half], 2)
    full[:, :, MAX_LAG] = (full[:, :, MAX_LAG] + full[:, :, MAX_LAG].flip(-1).transpose(0, 1)) / 2
    for variable in red:
        full[variable] = _whitened(full[variable])
        full[:, variable] = _whitened(full[:, variable])
    lag = torch.arange(-MAX_LAG, MAX_LAG + 1, dtype=torch.float64)
    hann = 0.5 * (1 + torch.cos(torch.pi * lag / (MAX_LAG + 1)))
    full = full * hann[:, None] * hann
    torus = torch.zeros(*full.shape[:2], TORUS, TORUS, dtype=torch.float64)
    torus[:, :, : 2 * MAX_LAG + 1, : 2 * MAX_LAG + 1] = full
    torus = torus.roll((-MAX_LAG, -MAX_LAG), (2, 3))
    # Cov(x_i(p), x_j(p + lag)) = sum_k S_ij(k) e^{i k lag}; the covariance operator's symbol is its conjugate
    spectrum = torch.fft.rfft2(torus).permute(2, 3, 0, 1).conj()
    for variable in red:
        undone = 1 / _whitening()[..., None]
        spectrum[..., variable, :] *= undone
        spectrum[..., :, variable] *= undone
    return BandSpectrum(Modes(spectrum), None, None if signs is None else torch.as_tensor(signs))


def _whitened(lags: Tensor) -> Tensor:
    """(WHITE^2 - Laplacian) of lag functions (..., y, x); the outermost lags, which the taper removes, repeat their neighbours."""
    inner = lags[..., 1:-1, 1:-1]
    around = lags[..., 2:, 1:-1] + lags[..., :-2, 1:-1] + lags[..., 1:-1, 2:] + lags[..., 1:-1, :-2]
    white = (WHITE**2 + 4) * inner - around
    return torch.nn.functional.pad(white, (1, 1, 1, 1), mode="replicate")


def _whitening() -> Tensor:
    """The symbol of (WHITE^2 - Laplacian), (TORUS, TORUS // 2 + 1)."""
    rows = torch.fft.fftfreq(TORUS, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(TORUS, dtype=torch.float64)
    return WHITE**2 + 4 * (torch.pi * rows).sin() ** 2 + 4 * (torch.pi * columns).sin() ** 2


@dataclass(frozen=True)
class Band:
    """One band of latitude and its weight on every row of a grid, (H,).

    Attributes
    ----------
    spectrum
        Of the variables.
    own
        Of what is drawn: the same, but winds are deviations from the balanced wind where the prior has one.
    weight
        (H,).
    """

    spectrum: BandSpectrum
    own: BandSpectrum
    weight: Tensor


def latitude_bands(
    lags: Tensor,
    signs: Tensor,
    lat: np.ndarray,
    coupling: Callable[[int], Tensor] | None = None,
    red: Sequence[int] = (),
) -> list[Band]:
    """The bands of both hemispheres that matter for the rows ``lat`` (degrees, ascending).

    They diagonalise what is asked of them; make them once for all that needs them.

    Parameters
    ----------
    lags, signs
        See :class:`LagSums`.
    lat
        Rows.
    coupling
        Band -> T (C, C, TORUS, TORUS // 2 + 1): the variables are T times those of ``lags``. None: they are the same.
    red
        See :func:`band_spectrum`.
    """
    weights, centres = band_weights(lat)
    bands, known = [], {}
    for centre, weight in zip(centres, weights, strict=True):
        if weight.max() > 0:
            index = int(np.argmin(np.abs(band_centres() - abs(centre))))
            if index not in known:
                own = band_spectrum(lags[index], red=red)
                known[index] = own if coupling is None else BandSpectrum(own.modes, coupling(index)), own
            joint, own = known[index]
            if centre < 0:
                joint, own = joint.mirrored(signs), own.mirrored(signs)
            bands.append(Band(joint, own, torch.as_tensor(weight, dtype=torch.float32)))
    return bands
