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
ALIASED = 1e-3
"""Largest value of V, as a share of its peak, beyond TORUS / 4 cells for which half the torus holds it."""


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
    """

    def __init__(self, lat: np.ndarray, circular: bool, signs: np.ndarray) -> None:
        self._lat, self._circular, self._signs = np.asarray(lat), circular, np.asarray(signs, dtype=np.float32)
        count = len(self._signs)
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
    """:meth:`LagSums.result` of several sums, from grids that may differ, together."""
    pairs = np.sum([one.pairs for one in sums], 0)
    lags = np.sum([one.total for one in sums], 0) / np.maximum(pairs, 1)[:, None, None]
    known = np.flatnonzero(pairs[:, 0, MAX_LAG] > 0)
    nearest = known[np.abs(np.arange(len(lags))[:, None] - known).argmin(1)]
    return lags[nearest].astype(np.float32)


@dataclass(frozen=True)
class BandSpectrum:
    r"""Eigen-decomposition of one band's covariance on a doubly periodic square of TORUS cells.

    Attributes
    ----------
    values
        Variance per mode and rank, (TORUS, TORUS // 2 + 1, C), not negative.
    vectors
        Unitary matrices, (TORUS, TORUS // 2 + 1, C, C), complex.
    """

    values: Tensor
    vectors: Tensor

    @property
    def period(self) -> int:
        """Cells along a side of the torus."""
        return self.values.shape[0]

    def on_torus(self, sigma: float) -> "BandSpectrum":
        """The same on the smallest torus that holds V at this noise level: the whole one or half of it."""
        if self._reaches_far(sigma):
            return self
        return BandSpectrum(self.values[::2, ::2], self.vectors[::2, ::2])

    def _reaches_far(self, sigma: float) -> bool:
        """Whether V is not small beyond a quarter of the torus, along its axes."""
        if self.period < TORUS:
            return True
        if sigma not in self._far:
            variance = assemble(self.posterior(sigma), self.vectors).diagonal().permute(2, 0, 1).real
            lags = torch.fft.irfft2(variance, s=(TORUS, TORUS)).abs()
            quarter = slice(TORUS // 4, TORUS // 2)
            beyond = torch.maximum(lags[:, quarter, 0].amax(1), lags[:, 0, quarter].amax(1))
            self._far[sigma] = bool((beyond > ALIASED * lags[:, 0, 0]).any())
        return self._far[sigma]

    @cached_property
    def _far(self) -> dict[float, bool]:
        return {}

    def posterior(self, sigma: float) -> Tensor:
        r"""Eigenvalues of :math:`V = B \sigma^2 (B + \sigma^2)^{-1}`; those of B where sigma is infinite."""
        return self.values / (1 + self.values / sigma**2)

    def variances(self, sigma: float) -> Tensor:
        """Of the variables in a cell given x0 + sigma n, (C,): the diagonal of :meth:`conditional` at lag 0."""
        power = (self.vectors.abs().square() * self.posterior(sigma)[..., None, :]).sum(-1)
        power[:, 1 : (self.period + 1) // 2] *= 2
        return power.sum((0, 1)) / self.period**2

    def cropped(self, cut: int) -> "BandSpectrum":
        """The wavenumbers -``cut`` to ``cut`` only, in the FFT's order."""
        if 2 * cut + 1 >= self.period:
            return self
        rows = torch.cat([torch.arange(cut + 1), torch.arange(-cut, 0)])
        return BandSpectrum(self.values[rows, : cut + 1], self.vectors[rows, : cut + 1])

    def conditional(self, sigma: float, cut: int = TORUS) -> Tensor:
        r"""Lag function of :math:`V = B \sigma^2 (B + \sigma^2)^{-1}`, the covariance of x0 given x0 + sigma n.

        Returns its rfft2, (C, C, n, n // 2 + 1) with n the period of :meth:`on_torus`; less where cropped.
        """
        part = self.on_torus(sigma).cropped(cut)
        return assemble(part.posterior(sigma), part.vectors)

    def coupled(self, transfer: Tensor) -> "BandSpectrum":
        """Of T x, T (TORUS, TORUS // 2 + 1, C, C) acting on plane waves."""
        mixed = transfer.to(torch.complex128) @ self.vectors.to(torch.complex128)
        return diagonal((mixed * self.values.double()[..., None, :]) @ mixed.mH)

    def root(self) -> Tensor:
        """The symmetric square root's kernel at lags -MAX_LAG ... MAX_LAG: noise convolved with it has this covariance, (C, C, y, x)."""
        symbol = assemble(self.values.sqrt(), self.vectors).conj()
        kernel = torch.fft.irfft2(symbol, s=(TORUS, TORUS)).roll((MAX_LAG, MAX_LAG), (2, 3))
        return kernel[:, :, : 2 * MAX_LAG + 1, : 2 * MAX_LAG + 1]

    def mirrored(self, signs: Tensor) -> "BandSpectrum":
        """The band's twin on the other side of the equator; ``signs`` (C,) is what the mirror does to each variable."""
        values, vectors = (part.flip(0).roll(1, 0) for part in (self.values, self.vectors))
        return BandSpectrum(values, vectors * signs.to(vectors)[:, None])


def assemble(values: Tensor, vectors: Tensor) -> Tensor:
    """Matrices from eigenvalues (ky, kx, C) and vectors (ky, kx, C, C) as the rfft2 of a lag function, (C, C, ky, kx)."""
    product = (vectors.conj() * values[..., None, :]) @ vectors.transpose(-1, -2)
    return product.permute(2, 3, 0, 1)


def ring_sums(weights: Tensor) -> Tensor:
    """Sums over both signs of the wavenumbers whose larger component is K, for K = 0 ... n // 2: (n, n // 2 + 1) -> (n // 2 + 1,)."""
    rows = torch.arange(weights.shape[0])
    rings = torch.maximum(torch.minimum(rows, rows.numel() - rows)[:, None], rows[: weights.shape[1]])
    twice = weights.double()
    twice[:, 1:-1] *= 2
    return torch.bincount(rings.flatten(), weights=twice.flatten())


def band_spectrum(lags: np.ndarray | Tensor, signs: np.ndarray | None = None, red: Sequence[int] = ()) -> BandSpectrum:
    """Taper, embed and diagonalise the lag covariance of one band.

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
    result = diagonal(spectrum)
    return result if signs is None else result.mirrored(torch.as_tensor(signs))


def diagonal(symbol: Tensor) -> BandSpectrum:
    """Eigen-decomposition of a covariance operator's symbol (TORUS, TORUS // 2 + 1, C, C)."""
    values, vectors = torch.linalg.eigh((symbol + symbol.mH) / 2)
    return BandSpectrum(values.clamp(min=1e-10).float(), vectors.to(torch.complex64))


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

    This diagonalises; do it once for all that needs the bands.

    Parameters
    ----------
    lags, signs
        See :class:`LagSums`.
    lat
        Rows.
    coupling
        Band -> T (TORUS, TORUS // 2 + 1, C, C): the variables are T times those of ``lags``. None: they are the same.
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
                known[index] = own if coupling is None else own.coupled(coupling(index)), own
            joint, own = known[index]
            if centre < 0:
                joint, own = joint.mirrored(signs), own.mirrored(signs)
            bands.append(Band(joint, own, torch.as_tensor(weight, dtype=torch.float32)))
    return bands
