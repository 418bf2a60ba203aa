"""Cyclones of one field: lows of pressure inside a closed contour, and the wind around them.

In the style of TempestExtremes' DetectNodes (Ullrich et al. 2021, doi:10.5194/gmd-14-5023-2021): local minima, the deepest
within a distance, from which pressure rises by so much within so many degrees of great circle in every direction. Central
pressure and place are those of a parabola through the neighbouring cells. No warm core is asked for.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

DEGREE_KM = 111.195
"""Of a degree of great circle."""
GALE = 17.0


@dataclass(frozen=True)
class Criteria:
    """What counts as a cyclone.

    Attributes
    ----------
    rise, within
        Pressure rises by ``rise`` [Pa] within ``within`` degrees of great circle in all directions.
    apart
        Of minima closer than this [degrees] the deepest counts.
    wind_radius
        The strongest wind is looked for within so many degrees.
    poleward
        Latitudes beyond this are left out [degrees].
    """

    rise: float = 200.0
    within: float = 5.5
    apart: float = 6.0
    wind_radius: float = 3.0
    poleward: float = 90.0


@dataclass(frozen=True)
class Low:
    """One cyclone at one time.

    Attributes
    ----------
    lat, lon
        Degrees; longitude -180 to 180.
    pressure
        Central pressure [Pa].
    wind, rmw, gales
        Strongest wind [m s-1], its distance [km], and the distance to which the mean wind around is 17 m s-1 or more [km];
        NaN where there is no wind, no gale.
    """

    lat: float
    lon: float
    pressure: float
    wind: float = float("nan")
    rmw: float = float("nan")
    gales: float = float("nan")


def distance(lat: np.ndarray | float, lon: np.ndarray | float, lat_0: float, lon_0: float) -> np.ndarray:
    """Degrees of great circle from a point."""
    a, b = np.deg2rad(lat), np.deg2rad(lat_0)
    half = np.sin((a - b) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(np.deg2rad(np.asarray(lon) - lon_0) / 2) ** 2
    return np.rad2deg(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


def detect(
    pressure: np.ndarray,
    lat: np.ndarray,
    lon: np.ndarray,
    wind: np.ndarray | None = None,
    criteria: Criteria | None = None,
) -> list[Low]:
    """Cyclones of a field, the deepest first.

    Parameters
    ----------
    pressure
        Sea level pressure [Pa], (lat, lon), NaN where missing.
    lat, lon
        Cell centres, ascending.
    wind
        Wind speed on the same cells [m s-1], or None.
    criteria
        None for the defaults.
    """
    criteria = criteria or Criteria()
    whole = bool(lon[-1] - lon[0] + (lon[-1] - lon[0]) / (lon.size - 1) > 359.9)
    filled = np.where(np.isfinite(pressure), pressure, np.inf)
    lowest = ndimage.minimum_filter(filled, 3, mode=("nearest", "wrap" if whole else "nearest"))
    minima = (filled == lowest) & np.isfinite(pressure) & (np.abs(lat) <= criteria.poleward)[:, None]
    minima[[0, -1]] = False
    if not whole:
        minima[:, [0, -1]] = False
    rows, columns = np.nonzero(minima)
    found: list[tuple[int, int]] = []
    taken = np.empty((0, 2))
    for k in np.argsort(filled[rows, columns], kind="stable"):
        row, column = int(rows[k]), int(columns[k])
        if taken.size and distance(taken[:, 0], taken[:, 1], lat[row], lon[column]).min() < criteria.apart:
            continue
        taken = np.vstack([taken, [lat[row], lon[column]]])
        if _closed(pressure, lat, lon, (row, column), criteria, whole):
            found.append((row, column))
    return [_low(pressure, lat, lon, wind, place, criteria, whole) for place in found]


def _window(
    lat: np.ndarray, lon: np.ndarray, place: tuple[int, int], reach: float, whole: bool
) -> tuple[np.ndarray, ...]:
    """Rows and columns within ``reach`` degrees of a cell and one more, across the seam where the circle is whole."""
    row, column = place
    rows = np.flatnonzero(np.abs(lat - lat[row]) <= reach)
    rows = np.arange(max(rows[0] - 1, 0), min(rows[-1] + 2, lat.size))
    step = (lon[-1] - lon[0]) / (lon.size - 1)
    narrow = max(np.cos(np.deg2rad(min(abs(lat[row]) + reach, 89.0))), 0.02)
    half = min(int(np.ceil(reach / narrow / step)) + 1, (lon.size - 1) // 2)
    columns = np.arange(column - half, column + half + 1)
    return rows, columns % lon.size if whole else columns[(columns >= 0) & (columns < lon.size)]


def _closed(
    pressure: np.ndarray, lat: np.ndarray, lon: np.ndarray, place: tuple[int, int], criteria: Criteria, whole: bool
) -> bool:
    """Whether the cells that hang together below the contour end within the distance, and inside the field."""
    rows, columns = _window(lat, lon, place, criteria.within, whole)
    here = pressure[np.ix_(rows, columns)]
    # what is missing is no wall
    below, _ = ndimage.label(~(here >= pressure[place] + criteria.rise))
    centre = below[np.flatnonzero(rows == place[0])[0], np.flatnonzero(columns == place[1])[0]]
    basin = below == centre
    away = distance(lat[rows][:, None], lon[columns][None, :], lat[place[0]], lon[place[1]])
    rim = np.concatenate([basin[0], basin[-1], basin[:, 0], basin[:, -1]])
    return bool(away[basin].max() <= criteria.within and not rim.any())


def _low(
    pressure: np.ndarray,
    lat: np.ndarray,
    lon: np.ndarray,
    wind: np.ndarray | None,
    place: tuple[int, int],
    criteria: Criteria,
    whole: bool,
) -> Low:
    row, column = place
    around = np.take(pressure[row], [column - 1, column, column + 1], mode="wrap" if whole else "clip")
    dy, drop_y = _parabola(pressure[row - 1 : row + 2, column])
    dx, drop_x = _parabola(around)
    step_y, step_x = (lat[row + 1] - lat[row - 1]) / 2, (lon[-1] - lon[0]) / (lon.size - 1)
    y, x = float(lat[row] + dy * step_y), float(lon[column] + dx * step_x)
    centre = float(pressure[place] + drop_y + drop_x)
    x = (x + 180) % 360 - 180
    if wind is None:
        return Low(y, x, centre)
    rows, columns = _window(lat, lon, place, 4 * criteria.wind_radius, whole)
    speed, away = wind[np.ix_(rows, columns)], distance(lat[rows][:, None], lon[columns][None, :], y, x)
    near = np.where((away <= criteria.wind_radius) & np.isfinite(speed), speed, -1.0)
    strongest = int(near.argmax())
    if near.flat[strongest] < 0:
        return Low(y, x, centre)
    rmw = float(away.flat[strongest])
    return Low(y, x, centre, float(near.flat[strongest]), rmw * DEGREE_KM, _gales(speed, away, rmw, step_y))


def _parabola(three: np.ndarray) -> tuple[float, float]:
    """Place, in steps from the middle, and depth below it of the minimum of a parabola through three values."""
    slope, bend = (three[2] - three[0]) / 2, (three[2] - 2 * three[1] + three[0]) / 2
    if not np.isfinite(bend) or bend <= 0:
        return 0.0, 0.0
    return float(np.clip(-slope / (2 * bend), -1, 1)), float(-(slope**2) / (4 * bend))


def _gales(speed: np.ndarray, away: np.ndarray, rmw: float, step: float) -> float:
    """Distance [km] to which the mean wind around is of gale force, outward from its maximum; NaN for none."""
    width = max(step, 0.25)
    rings = np.arange(0, away.max(), width)
    number, good = np.digitize(away, rings) - 1, np.isfinite(speed)
    count = np.bincount(number[good], minlength=rings.size)
    total = np.bincount(number[good], speed[good], minlength=rings.size)
    mean = total / np.maximum(count, 1)
    start = int(mean[: int(rmw / width) + 2].argmax())
    if mean[start] < GALE:
        return float("nan")
    weak = np.flatnonzero(mean[start:] < GALE)
    if weak.size == 0:
        return float("nan")
    last = start + int(weak[0])
    share = (mean[last - 1] - GALE) / (mean[last - 1] - mean[last])
    return float((rings[last - 1] + width / 2 + share * width) * DEGREE_KM)
