"""The simple answers that a downscaling has to beat: nearest block, bilinear and bicubic interpolation of block means.

And for winds that the input lacks, the textbook's: the geostrophic wind of the interpolated pressure, slowed and turned by drag.

The interpolations act on the last two axes, wrap in longitude where the coarse grid covers the circle, repeat the outermost cells at
rims and poles, and pass NaN on to every cell that it would have touched.
"""

from collections.abc import Callable

import numpy as np

from zssd_cli.grids.latlon import LatLonGrid

Kernel = Callable[[np.ndarray], list[np.ndarray]]
"""Position between two centres, 0 to 1, to the weights of two or four neighbours."""


def _same_turn(lon: np.ndarray, coarse_grid: LatLonGrid) -> np.ndarray:
    """Longitudes shifted by whole turns to lie within half a turn of the middle of the coarse grid."""
    start = (coarse_grid.lon_edges[0] + coarse_grid.lon_edges[-1]) / 2 - 180
    return (np.asarray(lon, dtype=np.float64) - start) % 360 + start


def conservative(coarse: np.ndarray, coarse_grid: LatLonGrid, fine_grid: LatLonGrid) -> np.ndarray:
    """The value of the block that holds the cell's centre: (..., lat, lon) coarse to fine."""
    lon = _same_turn(fine_grid.lon, coarse_grid)
    rows = np.searchsorted(coarse_grid.lat_edges[1:-1], fine_grid.lat, side="right")
    columns = np.searchsorted(coarse_grid.lon_edges[1:-1], lon, side="right")
    return coarse[..., rows[:, None], columns[None, :]]


def _linear(fraction: np.ndarray) -> list[np.ndarray]:
    return [1 - fraction, fraction]


def _cubic(fraction: np.ndarray) -> list[np.ndarray]:
    """Cubic convolution with a = -1/2, exact for parabolas (Keys 1981, IEEE Trans. ASSP 29, eq. 15)."""
    t, t2, t3 = fraction, fraction**2, fraction**3
    return [(-t3 + 2 * t2 - t) / 2, (3 * t3 - 5 * t2 + 2) / 2, (-3 * t3 + 4 * t2 + t) / 2, (t3 - t2) / 2]


def _along(
    field: np.ndarray, axis: int, centres: np.ndarray, target: np.ndarray, wrap: bool, kernel: Kernel
) -> np.ndarray:
    """Interpolate one axis with a local kernel in the space of indices (equally spaced centres)."""
    n = centres.size
    where = target.astype(np.float64)
    if wrap:
        step = 360.0 / n
        position = ((where - centres[0]) % 360) / step
    else:
        position = np.interp(where, centres, np.arange(n))
    base = np.floor(position).astype(np.int64)
    weights = kernel(position - base)
    shape = [1] * field.ndim
    shape[axis] = -1
    total = np.zeros(())
    for k, weight in enumerate(weights):
        index = base + k - (len(weights) // 2 - 1)
        index = index % n if wrap else np.clip(index, 0, n - 1)
        total = total + np.take(field, index, axis=axis) * weight.reshape(shape)
    return total


def _interpolate(coarse: np.ndarray, coarse_grid: LatLonGrid, fine_grid: LatLonGrid, kernel: Kernel) -> np.ndarray:
    """Latitude first, longitude second."""
    rows = _along(coarse, coarse.ndim - 2, coarse_grid.lat, fine_grid.lat, wrap=False, kernel=kernel)
    lon = _same_turn(fine_grid.lon, coarse_grid)
    return _along(rows, coarse.ndim - 1, coarse_grid.lon, lon, wrap=coarse_grid.circular, kernel=kernel)


def bilinear(coarse: np.ndarray, coarse_grid: LatLonGrid, fine_grid: LatLonGrid) -> np.ndarray:
    """Linear interpolation between block centres: (..., lat, lon) coarse to fine."""
    return _interpolate(coarse, coarse_grid, fine_grid, _linear)


def bicubic(coarse: np.ndarray, coarse_grid: LatLonGrid, fine_grid: LatLonGrid) -> np.ndarray:
    """Cubic convolution between block centres: (..., lat, lon) coarse to fine."""
    return _interpolate(coarse, coarse_grid, fine_grid, _cubic)


BASELINES: dict[str, Callable[[np.ndarray, LatLonGrid, LatLonGrid], np.ndarray]] = {
    "conservative": conservative,
    "bilinear": bilinear,
    "bicubic": bicubic,
}

TEXTBOOK = "geostrophic"
"""Name of :func:`textbook_wind` among the methods."""
EARTH = 6.371e6
OMEGA = 7.292e-5
DENSITY = 1.2


def geostrophic_wind(pressure: np.ndarray, grid: LatLonGrid) -> np.ndarray:
    """Geostrophic wind (..., 2, lat, lon) [m s-1] of a pressure (..., lat, lon) [Pa].

    Air of 1.2 kg m-3; f is not taken below that of 5 degrees, cells not narrower than at 89.
    """
    phi = np.deg2rad(grid.lat)[:, None]
    f = 2 * OMEGA * np.where(phi < 0, -1, 1) * np.maximum(np.abs(np.sin(phi)), np.sin(np.deg2rad(5)))
    lat, lon = EARTH * np.deg2rad(grid.lat), EARTH * np.deg2rad(grid.lon)
    narrow = np.maximum(np.cos(phi), np.cos(np.deg2rad(89)))
    dy, dx = np.gradient(pressure, lat, axis=-2), np.gradient(pressure, lon, axis=-1) / narrow
    if grid.circular:
        step = lon[1] - lon[0]
        dx = (np.roll(pressure, -1, -1) - np.roll(pressure, 1, -1)) / (2 * step * narrow)
    return np.stack([-dy, dx], -3) / (DENSITY * f)


def textbook_wind(coarse: np.ndarray, coarse_grid: LatLonGrid, fine_grid: LatLonGrid) -> np.ndarray:
    """Wind at 10 m from block means of pressure alone: (..., lat, lon) coarse [Pa] to (..., 2, lat, lon) fine [m s-1].

    The geostrophic wind of the bicubic interpolation, times 0.7 and turned by 20 degrees towards low pressure, the rule of
    thumb for drag over the sea.
    """
    wind = geostrophic_wind(bicubic(coarse, coarse_grid, fine_grid), fine_grid)
    u, v = wind[..., 0, :, :], wind[..., 1, :, :]
    turn = np.where(fine_grid.lat < 0, -1, 1)[:, None] * np.deg2rad(20)
    return 0.7 * np.stack([np.cos(turn) * u - np.sin(turn) * v, np.sin(turn) * u + np.cos(turn) * v], -3)
