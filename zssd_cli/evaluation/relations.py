r"""How variables go together: wind with the gradient of pressure, and the wind's divergence and vorticity.

With the wind V = u + iv and the geostrophic wind G of the same field's pressure as complex numbers (mirrored in the southern
hemisphere), cells at least 10 degrees from the equator:

* correlation :math:`|\overline{VG^*}| / \sqrt{\overline{|V|^2}\,\overline{|G|^2}}`, 1 where wind is a turned and slowed geostrophic wind;
* ratio :math:`|\overline{VG^*}| / \overline{|G|^2}`: how much drag slows it;
* angle of :math:`\overline{VG^*}` in degrees: how far drag turns it towards low pressure.

No number is good in itself: it should be the reference's.
"""

import numpy as np

from zssd_cli.evaluation.baselines import EARTH, geostrophic_wind
from zssd_cli.grids.latlon import LatLonGrid

AWAY_FROM_EQUATOR = 10.0
WIND_PRESSURE = ("wind_pressure_correlation", "wind_pressure_ratio", "wind_pressure_angle")
MEMBERS = 2
"""Members that these are measured on: more times say more than more members of one time."""


def wind_pressure_sums(pressure: np.ndarray, u: np.ndarray, v: np.ndarray, grid: LatLonGrid) -> np.ndarray:
    """Sums of one time over members and cells: real and imaginary part of V G*, |V|^2 and |G|^2; fields (m, lat, lon).

    Cells where something is missing are left out.
    """
    total = np.zeros(4)
    if min(grid.shape) < 2:
        return total
    weight = np.where(np.abs(grid.lat)[:, None] >= AWAY_FROM_EQUATOR, grid.area, 0.0)
    mirror = np.where(grid.lat < 0, -1.0, 1.0)[:, None]
    for p, east, north in zip(pressure[:MEMBERS], u[:MEMBERS], v[:MEMBERS], strict=True):
        geostrophic = geostrophic_wind(p.astype(np.float64), grid)
        ours, theirs = east + 1j * mirror * north, geostrophic[0] + 1j * mirror * geostrophic[1]
        keep = np.isfinite(ours) & np.isfinite(theirs)
        w, a, b = weight[keep], ours[keep], theirs[keep]
        product = w @ (a * b.conj())
        total += [product.real, product.imag, w @ np.abs(a) ** 2, w @ np.abs(b) ** 2]
    return total


def wind_pressure(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Correlation, ratio and angle from sums (..., 4), (...) each."""
    product = sums[..., 0] + 1j * sums[..., 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.abs(product) / np.sqrt(sums[..., 2] * sums[..., 3])
        ratio = np.abs(product) / sums[..., 3]
    angle = np.where(np.isfinite(correlation), np.rad2deg(np.angle(product)), np.nan)
    return dict(zip(WIND_PRESSURE, (correlation, ratio, angle), strict=True))


def divergence_and_vorticity(u: np.ndarray, v: np.ndarray, grid: LatLonGrid) -> tuple[np.ndarray, np.ndarray]:
    """Of a wind (..., lat, lon) [m s-1] on the sphere [s-1]; rows at the poles are NaN.

    Centred differences; one-sided ones at rims.
    """
    phi, lam = np.deg2rad(grid.lat), np.deg2rad(grid.lon)
    cosine = np.where(np.abs(grid.lat) > 90 - 1e-6, np.nan, np.cos(phi))[:, None]

    def eastward(field: np.ndarray) -> np.ndarray:
        if grid.circular:
            return (np.roll(field, -1, -1) - np.roll(field, 1, -1)) / (2 * (lam[1] - lam[0]))
        return np.gradient(field, lam, axis=-1)

    def northward(field: np.ndarray) -> np.ndarray:
        return np.gradient(field * np.cos(phi)[:, None], phi, axis=-2)

    scale = EARTH * cosine
    return (eastward(u) + northward(v)) / scale, (eastward(v) - northward(u)) / scale
