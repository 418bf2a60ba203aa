r"""Low-pass on the sphere: analyses finer than ERA5 brought near its effective resolution.

A Gaussian of standard deviation s kilometres: wavelength :math:`\lambda` keeps :math:`e^{-2 (\pi s / \lambda)^2}` of its
amplitude. Separable in latitude and longitude; what lies beyond the data is taken as its mirror image.
"""

import numpy as np
from scipy.fft import dct, idct, irfft, rfft

KM_PER_CELL = 27.8
"""A quarter of a degree of latitude."""
NARROWEST = 80.0
"""Latitude from which the zonal filter grows no wider in cells: around a pole wind turns with longitude and must not be averaged away."""


def lowpass(field: np.ndarray, lat: np.ndarray, km: float, *, circular: bool) -> np.ndarray:
    """Filter 0.25 degree fields (..., lat, lon); ``km`` is the Gaussian's standard deviation, 0 returns the field."""
    if km == 0:
        return field
    cells = km / KM_PER_CELL
    rows, columns = field.shape[-2:]
    smooth = idct(dct(field, axis=-2) * _response(np.arange(rows) / (2 * rows), cells)[:, None], axis=-2)
    wide = cells / np.cos(np.deg2rad(np.minimum(np.abs(lat), NARROWEST)))[:, None]
    if circular:
        waves = _response(np.fft.rfftfreq(columns), wide)
        result = irfft(rfft(smooth) * waves, n=columns)
    else:
        result = idct(dct(smooth) * _response(np.arange(columns) / (2 * columns), wide))
    return result.astype(field.dtype)


def _response(frequency: np.ndarray, cells: float | np.ndarray) -> np.ndarray:
    """Of a Gaussian of ``cells`` standard deviation at a frequency in cycles per cell."""
    return np.exp(-2 * (np.pi * frequency * cells) ** 2)
