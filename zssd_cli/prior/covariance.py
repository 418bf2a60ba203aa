r"""Climatological covariance of the standardised variables: what pressure says about wind before any network is asked.

In a band of latitude the fields are taken as stationary: :math:`C_{ij}(\delta) = E[a_i(p)\,a_j(p + \delta)]` of the
anomalies :math:`a` from the zonal mean, for lags :math:`\delta` up to 20 degrees, from all pairs of cells whose midpoint
lies in the band. Both hemispheres feed one set of bands through the mirror (flip latitude, reverse v). The covariance
is tapered with a Hann window in both lags, made positive by clipping the spectrum, and is all that the ``analysis``
guidance needs: geostrophy, the anisotropy of cells and the width of weather systems at every latitude are in it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BAND_WIDTH = 10.0
HALF_BAND = 10.0
MAX_LAG = 80
TORUS = 240


def band_centres() -> np.ndarray:
    """Latitudes of the measured bands in the northern hemisphere: 5, 15, ... 85."""
    return np.arange(BAND_WIDTH / 2, 90, BAND_WIDTH)


def measure_lags(anomalies: list[np.ndarray], signs: np.ndarray) -> np.ndarray:
    """Lag covariances of global standardised anomalies.

    Parameters
    ----------
    anomalies
        Fields (C, 721, 1440), latitude ascending, zonal mean removed.
    signs
        What a mirror at the equator does to each variable, (C,).

    Returns
    -------
    Array (bands, C, C, MAX_LAG + 1, 2 MAX_LAG + 1), float32: covariance of variable i at a point with variable j
    at a point ``lag`` rows further north (0..MAX_LAG) and columns further east (-MAX_LAG..MAX_LAG); not tapered.
    """
    centres = band_centres()
    both = [field for a in anomalies for field in (a, a[:, ::-1] * signs[:, None, None])]
    lat = np.linspace(-90, 90, both[0].shape[1])
    count, columns = both[0].shape[0], both[0].shape[2]
    total = np.zeros((centres.size, count, count, MAX_LAG + 1, 2 * MAX_LAG + 1))
    pairs = np.zeros((centres.size, MAX_LAG + 1))
    columns_east = np.arange(-MAX_LAG, MAX_LAG + 1) % columns
    for field in both:
        spectrum = torch.fft.rfft(torch.as_tensor(np.ascontiguousarray(field), dtype=torch.float32))
        for lag in range(MAX_LAG + 1):
            middle = (lat[: lat.size - lag] + lat[lag:]) / 2
            for band, centre in enumerate(centres):
                rows = np.flatnonzero(np.abs(middle - centre) <= HALF_BAND)
                south = spectrum[:, rows[0] : rows[-1] + 1].conj()
                north = spectrum[:, rows[0] + lag : rows[-1] + lag + 1]
                lags = torch.fft.irfft(torch.einsum("iyk,jyk->ijk", south, north), n=columns)
                total[band, :, :, lag] += lags.numpy()[..., columns_east] / columns
                pairs[band, lag] += rows.size
    return (total / pairs[:, None, None, :, None]).astype(np.float32)


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

    def conditional(self, sigma: float) -> Tensor:
        r"""Spectrum of :math:`V = B \sigma^2 (B + \sigma^2)^{-1}`, the covariance of x0 given x0 + sigma n: (ky, kx, C, C)."""
        shrunk = self.values * (sigma**2 / (self.values + sigma**2))
        return torch.einsum("yxir,yxr,yxjr->yxij", self.vectors, shrunk.to(self.vectors.dtype), self.vectors.conj())


def band_spectrum(lags: np.ndarray | Tensor, signs: np.ndarray | None = None) -> BandSpectrum:
    """Taper, embed and diagonalise the lag covariance of one band.

    Parameters
    ----------
    lags
        (C, C, MAX_LAG + 1, 2 MAX_LAG + 1) as from :func:`measure_lags`.
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
    if signs is not None:
        mirror = torch.as_tensor(signs, dtype=torch.float64)
        full = full.flip(2) * mirror[:, None, None, None] * mirror[None, :, None, None]
    torus = torch.zeros(*full.shape[:2], TORUS, TORUS, dtype=torch.float64)
    torus[:, :, : 2 * MAX_LAG + 1, : 2 * MAX_LAG + 1] = full
    torus = torus.roll((-MAX_LAG, -MAX_LAG), (2, 3))
    # Cov(x_i(p), x_j(p + lag)) = sum_k S_ij(k) e^{i k lag}; the covariance operator's symbol is its conjugate
    spectrum = torch.fft.rfft2(torus).permute(2, 3, 0, 1).conj()
    spectrum = (spectrum + spectrum.mH) / 2
    values, vectors = torch.linalg.eigh(spectrum)
    return BandSpectrum(values.clamp(min=1e-10).float(), vectors.to(torch.complex64))
