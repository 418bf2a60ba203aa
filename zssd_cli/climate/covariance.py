r"""Climatological covariance of the standardised variables: what pressure says about wind before any network is asked.

In a band of latitude the fields are taken as stationary: :math:`C_{ij}(\delta) = E[a_i(p)\,a_j(p + \delta)]` of the
anomalies :math:`a` from the zonal mean, for lags :math:`\delta` up to 40 degrees, from all pairs of cells whose midpoint
lies in the band. Both hemispheres feed one set of bands through the mirror (flip latitude, reverse v). The covariance
is tapered with a Hann window in both lags (a shorter one leaks the power of the largest pressure systems into the
synoptic scales and hides how strongly wind goes with pressure: with 20 degrees the regression of v10 on msl kept 23
percent of the wind's amplitude, with 40 degrees 57), made positive by clipping the spectrum, and is all that the
``analysis`` guidance needs: geostrophy, the anisotropy of cells and the width of weather systems at every latitude are in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BAND_WIDTH = 10.0
HALF_BAND = 10.0
MAX_LAG = 160
TORUS = 384
SHORT_RANGE = 4.0
"""Below this noise level V reaches less than TORUS / 4 cells and half the torus holds it."""


def band_centres() -> np.ndarray:
    """Latitudes of the measured bands in the northern hemisphere: 5, 15, ... 85."""
    return np.arange(BAND_WIDTH / 2, 90, BAND_WIDTH)


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
                rows = np.flatnonzero(np.abs(middle - centre) <= HALF_BAND)
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
        """The same on the torus that holds what a noise level sees: half of it below SHORT_RANGE."""
        step = 2 if sigma < SHORT_RANGE else 1
        return BandSpectrum(self.values[::step, ::step], self.vectors[::step, ::step])

    def cropped(self, cut: int) -> "BandSpectrum":
        """The wavenumbers -``cut`` to ``cut`` only, in the FFT's order."""
        if 2 * cut + 1 >= self.period:
            return self
        rows = torch.cat([torch.arange(cut + 1), torch.arange(-cut, 0)])
        return BandSpectrum(self.values[rows, : cut + 1], self.vectors[rows, : cut + 1])

    def conditional(self, sigma: float, cut: int = TORUS) -> Tensor:
        r"""Lag function of :math:`V = B \sigma^2 (B + \sigma^2)^{-1}`, the covariance of x0 given x0 + sigma n.

        Returns its rfft2, (C, C, n, n // 2 + 1) with n = TORUS, or TORUS // 2 below SHORT_RANGE; less where cropped.
        """
        part = self.on_torus(sigma).cropped(cut)
        return assemble(part.values * (sigma**2 / (part.values + sigma**2)), part.vectors)

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


def band_spectrum(lags: np.ndarray | Tensor, signs: np.ndarray | None = None) -> BandSpectrum:
    """Taper, embed and diagonalise the lag covariance of one band.

    Parameters
    ----------
    lags
        (C, C, MAX_LAG + 1, 2 MAX_LAG + 1) as from :meth:`LagSums.result`.
    signs
        Mirror signs (C,): given, the band's twin in the southern hemisphere is returned.
    """
    half = torch.as_tensor(lags, dtype=torch.float64)
    lag = torch.arange(-MAX_LAG, MAX_LAG + 1, dtype=torch.float64)
    hann = 0.5 * (1 + torch.cos(torch.pi * lag / (MAX_LAG + 1)))
    half = half * hann[MAX_LAG:, None] * hann
    # C_ij(-y, -x) = C_ji(y, x) gives the lags to the south
    south = half[:, :, 1:].flip((2, 3)).transpose(0, 1)
    full = torch.cat([south, half], 2)
    full[:, :, MAX_LAG] = (full[:, :, MAX_LAG] + full[:, :, MAX_LAG].flip(-1).transpose(0, 1)) / 2
    torus = torch.zeros(*full.shape[:2], TORUS, TORUS, dtype=torch.float64)
    torus[:, :, : 2 * MAX_LAG + 1, : 2 * MAX_LAG + 1] = full
    torus = torus.roll((-MAX_LAG, -MAX_LAG), (2, 3))
    # Cov(x_i(p), x_j(p + lag)) = sum_k S_ij(k) e^{i k lag}; the covariance operator's symbol is its conjugate
    spectrum = torch.fft.rfft2(torus).permute(2, 3, 0, 1).conj()
    spectrum = (spectrum + spectrum.mH) / 2
    values, vectors = torch.linalg.eigh(spectrum)
    result = BandSpectrum(values.clamp(min=1e-10).float(), vectors.to(torch.complex64))
    return result if signs is None else result.mirrored(torch.as_tensor(signs))


@dataclass(frozen=True)
class Band:
    """One band of latitude: its statistics and its weight on every row of a grid, (H,).

    Weights fall linearly from the band's centre to its neighbours' and add up to 1 on every row.
    """

    spectrum: BandSpectrum
    weight: Tensor


def latitude_bands(lags: Tensor, signs: Tensor, lat: np.ndarray) -> list[Band]:
    """The bands of both hemispheres that matter for the rows ``lat`` (degrees, ascending).

    This diagonalises; do it once for all that needs the bands.
    """
    north = band_centres()
    centres = np.concatenate([-north[::-1], north])
    rows = np.clip(lat, centres[0], centres[-1])
    weights = np.maximum(1 - np.abs(rows[None] - centres[:, None]) / BAND_WIDTH, 0)
    bands, known = [], {}
    for centre, weight in zip(centres, weights, strict=True):
        if weight.max() > 0:
            index = int(np.argmin(np.abs(north - abs(centre))))
            if index not in known:
                known[index] = band_spectrum(lags[index])
            spectrum = known[index] if centre > 0 else known[index].mirrored(signs)
            bands.append(Band(spectrum, torch.as_tensor(weight, dtype=torch.float32)))
    return bands
