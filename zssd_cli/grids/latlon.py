"""Rectilinear latitude-longitude grids: centres, edges and how a region is cut out of the globe."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zssd_cli.errors import ConfigError, InputError

FINE_STEP = 0.25


@dataclass(frozen=True, eq=False)
class LatLonGrid:
    """Cell centres and edges in degrees; latitude and longitude ascending, latitude edges within [-90, 90].

    Attributes
    ----------
    lat, lon
        Centres, (n_lat,) and (n_lon,). Longitude may start anywhere but spans at most 360 degrees.
    lat_edges, lon_edges
        Cell edges, (n_lat + 1,) and (n_lon + 1,).
    """

    lat: np.ndarray
    lon: np.ndarray
    lat_edges: np.ndarray
    lon_edges: np.ndarray

    def __post_init__(self) -> None:
        for name, centres, edges in (("latitude", self.lat, self.lat_edges), ("longitude", self.lon, self.lon_edges)):
            if centres.ndim != 1 or edges.shape != (centres.size + 1,) or not np.all(np.diff(edges) > 0):
                msg = f"The {name} edges must ascend, one more than the {centres.size} centres."
                raise InputError(msg)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_lat, n_lon)."""
        return self.lat.size, self.lon.size

    @cached_property
    def circular(self) -> bool:
        """True where the cells cover the whole circle of longitude."""
        return bool(np.isclose(self.lon_edges[-1] - self.lon_edges[0], 360.0, atol=1e-3))

    @cached_property
    def area(self) -> np.ndarray:
        """Cell areas on the unit sphere, (n_lat, n_lon)."""
        rows = np.diff(np.sin(np.deg2rad(self.lat_edges)))
        return rows[:, None] * np.deg2rad(np.diff(self.lon_edges))[None, :]


@dataclass(frozen=True)
class Region:
    """A box in degrees: ``west`` < ``east`` <= ``west`` + 360, ``south`` < ``north``."""

    west: float
    east: float
    south: float
    north: float

    def __post_init__(self) -> None:
        if not -90 <= self.south < self.north <= 90:
            msg = f"Region: expected -90 <= S < N <= 90, got S={self.south:g}, N={self.north:g}. Order is W,E,S,N."
            raise ConfigError(msg)
        if not (-360 <= self.west < self.east <= 540 and self.east - self.west <= 360):
            got = f"W={self.west:g}, E={self.east:g}"
            msg = f"Region: expected -360 <= W < E <= 540, at most 360 degrees wide, got {got}. Order is W,E,S,N."
            raise ConfigError(msg)

    @property
    def whole_circle(self) -> bool:
        """True where the region goes all the way round."""
        return self.east - self.west >= 360 - FINE_STEP


GLOBE = Region(0.0, 360.0, -90.0, 90.0)

NAMED_REGIONS = {
    "globe": GLOBE,
    "europe": Region(-15, 45, 30, 75),
    "north-atlantic": Region(-80, 0, 20, 70),
    "north-america": Region(-170, -50, 15, 75),
    "south-america": Region(-90, -30, -60, 15),
    "africa": Region(-20, 55, -40, 40),
    "asia": Region(45, 150, 0, 75),
    "australia": Region(105, 180, -50, 0),
    "southern-ocean": Region(0, 360, -75, -40),
    "mediterranean": Region(-10, 40, 28, 48),
}


def parse_region(text: str) -> Region:
    """``W,E,S,N`` in degrees or one of the names; raises :class:`ConfigError`."""
    if text.lower() in NAMED_REGIONS:
        return NAMED_REGIONS[text.lower()]
    try:
        west, east, south, north = (float(part) for part in text.split(","))
    except ValueError as error:
        msg = f"Region {text!r}: expected W,E,S,N in degrees or one of {', '.join(sorted(NAMED_REGIONS))}."
        raise ConfigError(msg) from error
    if not np.isfinite([west, east, south, north]).all():
        msg = f"Region {text!r}: every number must be finite."
        raise ConfigError(msg)
    if east <= west and east + 360 - west <= 360:
        east += 360
    return Region(west, east, south, north)


def fine_grid(region: Region = GLOBE) -> LatLonGrid:
    """The 0.25 degree grid of a region: cells centred on multiples of 0.25, those whose centres lie in the region.

    The globe has 721 x 1440 cells, half rows at the poles.
    """
    first = int(np.ceil(region.south / FINE_STEP - 1e-9))
    last = int(np.floor(region.north / FINE_STEP + 1e-9))
    lat = np.arange(first, last + 1) * FINE_STEP
    left = int(np.ceil(region.west / FINE_STEP - 1e-9))
    count = int(np.floor((region.east - left * FINE_STEP) / FINE_STEP + 1e-9)) + 1
    if region.whole_circle:
        count = round(360 / FINE_STEP)
    if last < first or count < 1:
        box = f"W={region.west:g}, E={region.east:g}, S={region.south:g}, N={region.north:g}"
        msg = f"Region: no 0.25 degree cell has its centre in {box}. Give a larger region."
        raise ConfigError(msg)
    lon = (left + np.arange(count)) * FINE_STEP
    return regular_grid(lat, lon)


def regular_grid(lat: np.ndarray, lon: np.ndarray, step: float = FINE_STEP) -> LatLonGrid:
    """Cells of ``step`` degrees around centres that far apart; half cells where a centre lies on a pole."""
    half = step / 2
    lat_edges = np.clip(np.append(lat - half, lat[-1] + half), -90, 90)
    return LatLonGrid(lat, lon, lat_edges, np.append(lon - half, lon[-1] + half))


def block_grid(step: float, region: Region = GLOBE) -> LatLonGrid:
    """Cells of ``step`` degrees with edges on multiples of ``step``, the smallest such box that holds the region.

    ``step`` must divide 90 (so that blocks end at the poles and the equator) and be a multiple of 0.25.
    """
    if not FINE_STEP <= step <= 90 or any(abs(r - round(r)) > 1e-9 for r in (90 / step, step / FINE_STEP)):
        msg = (
            f"Filter scale: expected a multiple of 0.25 degrees that divides 90, got {step:g}. "
            "Use --filter-scale 1, 1.5, 2.5, 3, 5 or 10, for instance."
        )
        raise ConfigError(msg)
    south, north = np.floor(region.south / step + 1e-9), np.ceil(region.north / step - 1e-9)
    lat_edges = np.arange(south, north + 1) * step
    if region.whole_circle:
        west, east = 0.0, 360.0 / step
    else:
        west, east = np.floor(region.west / step + 1e-9), np.ceil(region.east / step - 1e-9)
    lon_edges = np.arange(west, east + 1) * step
    if lon_edges[-1] - lon_edges[0] > 360 + 1e-9:
        lon_edges = lon_edges[: round(360 / step) + 1]
    return LatLonGrid((lat_edges[1:] + lat_edges[:-1]) / 2, (lon_edges[1:] + lon_edges[:-1]) / 2, lat_edges, lon_edges)


def describe_extent(grid: LatLonGrid) -> str:
    """Outer edges of a grid's cells in words."""
    west, east, south, north = grid.lon_edges[0], grid.lon_edges[-1], grid.lat_edges[0], grid.lat_edges[-1]
    return f"longitude {west:g} to {east:g}, latitude {south:g} to {north:g}"


def describe_centres(grid: LatLonGrid) -> str:
    """First and last cell centres of a grid in words."""
    west, east, south, north = grid.lon[0], grid.lon[-1], grid.lat[0], grid.lat[-1]
    return f"longitude {west:g} to {east:g}, latitude {south:g} to {north:g}"
