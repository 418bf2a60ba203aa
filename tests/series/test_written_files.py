"""Files written in many of the ways that CF allows, read back against the field that they were made of.

``ZSSD_TEST_EXAMPLES`` says how many (default 100).
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import cftime
import netCDF4
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zssd_cli.grids.latlon import Region, block_grid
from zssd_cli.grids.regridders import make_regrid
from zssd_cli.series.reading import open_source
from zssd_cli.times import format_time

EXAMPLES = int(os.environ.get("ZSSD_TEST_EXAMPLES", "100"))
NAMES = {"msl": ("psl", "msl", "PMSL", "slp", "prmsl"), "u10": ("uas", "u10", "10u", "U_10M")}
UNITS = {
    "msl": {"Pa": 1.0, "hPa": 100.0, "mb": 100.0, "kPa": 1000.0},
    "u10": {"m s-1": 1.0, "m/s": 1.0, "knots": 1852 / 3600, "ms-1": 1.0},
}
CALENDARS = ("standard", "proleptic_gregorian", "noleap", "360_day", "all_leap")


def field(name: str, lat: np.ndarray, lon: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """The truth in canonical units, (time, lat, lon)."""
    t, y, x = np.meshgrid(hours / 24, np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
    wave = np.sin(t + 2 * y) * np.cos(x + 0.3 * t) + 0.3 * np.cos(3 * x) * np.cos(y)
    return {"msl": 101000 + 1500 * wave, "u10": 1 + 9 * wave}[name]


@dataclass(frozen=True)
class Way:
    """One way to write a file."""

    name: str
    short: str
    units: str
    rows: int
    columns: int
    poles: bool
    origin: float
    flip_lat: bool
    flip_lon: bool
    repeat_column: bool
    bounds: str
    dims: tuple[str, ...]
    calendar: str
    time_unit: str
    shuffled: bool
    storage: str
    fill: str
    holes: bool
    split: bool
    coordinates: str
    format: str


@st.composite
def ways(draw) -> Way:
    name = draw(st.sampled_from(("msl", "u10")))
    return Way(
        name=name,
        short=draw(st.sampled_from(NAMES[name])),
        units=draw(st.sampled_from(list(UNITS[name]))),
        rows=draw(st.integers(18, 30)),
        columns=draw(st.sampled_from((24, 30, 36, 48))),
        poles=draw(st.booleans()),
        origin=draw(st.sampled_from((0.0, -180.0, 0.7, -3.75, 180.0, 20.0))),
        flip_lat=draw(st.booleans()),
        flip_lon=draw(st.booleans()),
        repeat_column=draw(st.booleans()),
        bounds=draw(st.sampled_from(("none", "true", "half at the seam", "shifted", "missing"))),
        dims=draw(st.permutations(("time", "lat", "lon"))),
        calendar=draw(st.sampled_from(CALENDARS)),
        time_unit=draw(st.sampled_from(("hours", "days", "seconds", "minutes", "nanoseconds", "microseconds"))),
        shuffled=draw(st.booleans()),
        storage=draw(st.sampled_from(("f4", "f8", "i2"))),
        fill=draw(st.sampled_from(("declared", "missing_value", "default"))),
        holes=draw(st.booleans()),
        split=draw(st.booleans()),
        coordinates=draw(st.sampled_from(("lat lon", "latitude longitude", "y x", "two-dimensional"))),
        format=draw(st.sampled_from(("NETCDF4", "NETCDF3_64BIT_OFFSET", "NETCDF4_CLASSIC"))),
    )


def axes(way: Way) -> tuple[np.ndarray, np.ndarray]:
    """Centres in the order of the file."""
    lat = np.linspace(-90, 90, way.rows) if way.poles else (np.arange(way.rows) + 0.5) * 180 / way.rows - 90
    lon = way.origin + np.arange(way.columns) * 360 / way.columns
    if way.repeat_column:
        lon = np.append(lon, lon[0] + 360)
    return lat[:: -1 if way.flip_lat else 1], lon[:: -1 if way.flip_lon else 1]


def bounds_of(way: Way, centres: np.ndarray, kind: str) -> np.ndarray | None:
    """Bounds, perhaps wrong ones."""
    half = abs(centres[1] - centres[0]) / 2
    pairs = np.stack([centres - half, centres + half], 1)
    if kind == "lat":
        pairs = pairs.clip(-90, 90)
    if way.bounds == "none":
        return None
    if way.bounds == "half at the seam" and kind == "lon":
        first, last = int(np.argmin(centres)), int(np.argmax(centres))
        pairs[first, 0], pairs[last, 1] = centres[first], centres[last] + 2 * half
    elif way.bounds == "shifted":
        pairs = pairs + half
    elif way.bounds == "missing":
        pairs[1] = np.nan
    return pairs


def write(path: Path, way: Way, hours: np.ndarray, lat: np.ndarray, lon: np.ndarray, holes: np.ndarray) -> None:
    """One file of these hours."""
    values = field(way.name, lat, lon, hours) / UNITS[way.name][way.units]
    flat = way.coordinates != "two-dimensional" and not way.coordinates.startswith("y")
    ys, xs = way.coordinates.split() if flat else ("y", "x")
    names = {"time": "time", "lat": ys, "lon": xs}
    with netCDF4.Dataset(path, "w", format=way.format) as data:
        data.createDimension("time", hours.size)
        data.createDimension("bnds", 2)
        known = (("lat", lat, "north", "Y"), ("lon", lon, "east", "X"))
        for kind, centres, _, _ in known:
            data.createDimension(names[kind], centres.size)
        for kind, centres, side, axis in known:
            if way.coordinates == "two-dimensional":
                grid = np.meshgrid(lat, lon, indexing="ij")[0 if kind == "lat" else 1]
                coordinate = data.createVariable(kind, "f8", (ys, xs))
                coordinate[:] = grid
            else:
                coordinate = data.createVariable(names[kind], "f8", (names[kind],))
                coordinate[:] = centres
                coordinate.axis = axis
                pairs = bounds_of(way, centres, kind)
                if pairs is not None:
                    coordinate.bounds = f"{kind}_bnds"
                    data.createVariable(f"{kind}_bnds", "f8", (names[kind], "bnds"))[:] = pairs
            coordinate.units = f"degrees_{side}"
        long = way.format == "NETCDF4"
        unit = way.time_unit if long or way.time_unit not in ("nanoseconds", "microseconds") else "hours"
        scale = {
            "hours": 1,
            "days": 1 / 24,
            "seconds": 3600,
            "minutes": 60,
            "nanoseconds": 3600e9,
            "microseconds": 3600e6,
        }[unit]
        time = data.createVariable("time", "i8" if unit.endswith("oseconds") else "f8", ("time",))
        time.setncatts({"units": f"{unit} since 2010-01-01", "calendar": way.calendar})
        time[:] = hours * scale
        fill = {"f4": np.float32(1e20), "f8": 1e20, "i2": np.int16(-32767)}[way.storage]
        options = {"fill_value": fill} if way.fill == "declared" else {}
        array = data.createVariable(way.short, way.storage, tuple(names[d] for d in way.dims), **options)
        array.set_auto_maskandscale(False)
        array.units = way.units
        if way.fill == "missing_value":
            array.missing_value = fill
        if way.coordinates == "two-dimensional":
            array.coordinates = "lat lon"
        stored, default = values, netCDF4.default_fillvals[way.storage]
        if way.storage == "i2":
            low, high = values.min(), values.max()
            array.scale_factor, array.add_offset = (high - low) / 60000, (high + low) / 2
            stored = np.rint((values - array.add_offset) / array.scale_factor)
        stored = np.where(holes, float(fill) if way.fill != "default" else float(default), stored)
        order = [("time", "lat", "lon").index(d) for d in way.dims]
        array[:] = stored.transpose(order).astype(way.storage)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES <= 100)
@given(ways(), st.integers(0, 2**31))
def test_no_way_of_writing_gives_a_wrong_number(way, seed):
    rng = np.random.default_rng(seed)
    lat, lon = axes(way)
    hours = np.arange(4) * 6.0
    holes = np.zeros((4, lat.size, lon.size), bool)
    if way.holes:
        holes[:, : lat.size // 3, lon.size // 2 :] = rng.random((4, lat.size // 3, lon.size - lon.size // 2)) < 0.3
    if way.repeat_column:  # the first and the last column are one meridian
        first, last = (0, -1) if not way.flip_lon else (-1, 0)
        holes[:, :, last] = holes[:, :, first]
    order = rng.permutation(4) if way.shuffled else np.arange(4)
    parts = [order[:2], order[2:]] if way.split else [order]
    with TemporaryDirectory() as folder:
        paths = []
        for k, part in enumerate(parts):
            paths.append(Path(folder) / f"{k}.nc")
            write(paths[-1], way, hours[part], lat, lon, holes[part])
        source = open_source(paths, way.name)
        try:
            check(source, way, hours, lat, lon, holes)
        finally:
            source.close()


def check(source, way: Way, hours, lat, lon, holes) -> None:
    """Dates, every value at its place, and block means."""
    start = cftime.datetime(2010, 1, 1, calendar=way.calendar)
    assert [format_time(t) for t in source.times] == [format_time(start + timedelta(hours=h)) for h in hours]
    grid = source.grid
    assert grid.circular
    values = source.read(0, 4)[:, 0]
    expected = field(way.name, grid.lat, grid.lon, hours)
    span = np.ptp(expected)
    where = np.isnan(values)
    np.testing.assert_allclose(values[~where], expected[~where], atol=2e-4 * span + 0.01 * (way.name == "msl"))
    rows = np.abs(grid.lat[:, None] - lat).argmin(1)
    columns = np.abs((grid.lon[:, None] - lon + 180) % 360 - 180).argmin(1)
    np.testing.assert_array_equal(where, holes[:, rows][:, :, columns])
    blocks = block_grid(30.0, Region(0, 360, 0, 60))
    means = make_regrid(source.cells[way.name], blocks)[0](values)
    fine = np.linspace(0.05, 29.95, 300)
    for i, south in enumerate((0.0, 30.0)):  # all round, so that the seam is among them, whatever the file's bounds
        weight = np.cos(np.deg2rad(south + fine))
        inside = field(way.name, south + fine, np.linspace(0.25, 359.75, 720), hours).reshape(4, 300, 12, 60).mean(3)
        truth = np.average(inside, axis=1, weights=weight)
        seen = ~np.isnan(means[:, i])
        np.testing.assert_allclose(means[:, i][seen], truth[seen], atol=0.04 * span)
