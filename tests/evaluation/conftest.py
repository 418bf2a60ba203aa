"""A small world: a truth on 0.25 degree, an output that is the truth plus known errors."""

from pathlib import Path

import cftime
import netCDF4
import numpy as np
import pytest

from zssd_cli.grids.latlon import LatLonGrid, fine_grid, parse_region

UNITS = {"msl": "Pa", "u10": "m s-1", "v10": "m s-1"}
TIMES = "hours since 2010-01-01 00:00:00"


def smooth_field(name: str, time: int, grid: LatLonGrid) -> np.ndarray:
    """Waves of a few degrees that move with time, (lat, lon)."""
    lat, lon = np.deg2rad(grid.lat)[:, None], np.deg2rad(grid.lon)[None, :]
    wave = np.sin(12 * lon + 5 * lat + time) + 0.5 * np.cos(40 * lon - 30 * lat + 2 * time) + 0.2 * np.sin(150 * lon)
    size = 1000.0 if name == "msl" else 6.0
    return ({"msl": 101000.0, "u10": 2.0, "v10": -1.0}[name] + size * wave).astype(np.float32)


class World:
    """Stands for :class:`zssd_cli.series.reading.Source`."""

    def __init__(self, region: str, variables: tuple[str, ...] = ("msl", "u10", "v10"), steps: int = 3, start: int = 1):
        self.variables, self.grid = variables, fine_grid(parse_region(region))
        self.times = tuple(cftime.datetime(2010, 1, start + k, calendar="standard") for k in range(steps))
        self.missing, self.closed = (), False
        self.averaging, self.kind = None, "moments"
        self._start = start

    def read(self, start: int, stop: int) -> np.ndarray:
        return np.stack(
            [
                np.stack([smooth_field(v, self._start + t, self.grid) for v in self.variables])
                for t in range(start, stop)
            ]
        )

    def close(self) -> None:
        self.closed = True


def write_output(path: Path, region: str, shifts=(-1.0, 1.0), steps: int = 3, scale="5", **attributes: str) -> Path:
    """An output whose members are the truth plus ``shifts`` (times 100 for pressure)."""
    grid = fine_grid(parse_region(region))
    with netCDF4.Dataset(path, "w") as data:
        for name, size in (("time", steps), ("member", len(shifts)), ("lat", grid.lat.size), ("lon", grid.lon.size)):
            data.createDimension(name, size)
        time = data.createVariable("time", "f8", ("time",))
        time.setncatts({"units": TIMES, "calendar": "standard"})
        time[:] = 24.0 * np.arange(steps)
        data.createVariable("lat", "f8", ("lat",))[:] = grid.lat
        data.createVariable("lon", "f8", ("lon",))[:] = grid.lon
        for name, units in UNITS.items():
            variable = data.createVariable(name, "f4", ("time", "member", "lat", "lon"))
            variable.setncatts({"units": units, "zssd_observed": "yes" if name == "msl" else "no"})
            factor = 100.0 if name == "msl" else 1.0
            for t in range(steps):
                truth = smooth_field(name, 1 + t, grid)
                variable[t] = np.stack([truth + shift * factor for shift in shifts])
        data.setncatts(({"zssd_filter_scale": scale} if scale else {}) | attributes)
    return path


@pytest.fixture
def world():
    return World


@pytest.fixture
def make_output():
    return write_output
