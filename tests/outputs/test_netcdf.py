"""The output file: whole or not at all, every date and every missing value as given."""

import cftime
import netCDF4
import numpy as np
import pytest
import xarray as xr

from zssd_cli.errors import OutputError
from zssd_cli.grids.latlon import Region, fine_grid
from zssd_cli.outputs.conventions import CONVENTIONS
from zssd_cli.outputs.memory import MemorySink
from zssd_cli.outputs.netcdf import FILL, create_output
from zssd_cli.outputs.sink import Contents

GRID = fine_grid(Region(-1, 1, 88, 90))
VARIABLES = {"msl": {"zssd_observed": "yes"}, "u10": {"zssd_observed": "no"}}


def dates(*days, calendar="standard"):
    return tuple(cftime.datetime(*day, calendar=calendar) for day in days)


TIMES = dates((2010, 1, 1, 0), (2010, 1, 1, 6))
EMPTY = Contents(GRID, TIMES, 1, VARIABLES, {})


def write(path, times=TIMES, members=2, values=None):
    shape = (1, members, len(VARIABLES), *GRID.shape)
    values = np.zeros(shape, np.float32) if values is None else values
    with create_output(path, Contents(GRID, times, members, VARIABLES, {"title": "t", "number": 2})) as out:
        for index in range(len(times)):
            out.write(slice(index, index + 1), slice(0, members), values + index)
        out.attribute("after", 1.5)
        out.attribute("of", "x", "u10")


def test_values_and_missing_ones(tmp_path):
    values = np.random.default_rng(0).normal(size=(1, 2, 2, *GRID.shape)).astype(np.float32)
    values[0, 1, 0, 3, 4] = np.nan
    write(tmp_path / "o.nc", values=values)
    with netCDF4.Dataset(tmp_path / "o.nc") as data:
        np.testing.assert_array_equal(data["msl"][0].filled(np.nan), values[0, :, 0])
        np.testing.assert_array_equal(data["u10"][1].filled(np.nan), values[0, :, 1] + 1)
        assert data["msl"][0].mask.sum() == 1
        assert data["msl"]._FillValue == FILL
        assert (data.Conventions, data.title, data.number, data.after) == (CONVENTIONS, "t", 2, 1.5)
        assert (data["u10"].of, data["u10"].zssd_observed) == ("x", "no")


def test_bounds_end_at_the_pole(tmp_path):
    write(tmp_path / "o.nc")
    with netCDF4.Dataset(tmp_path / "o.nc") as data:
        assert data["lat"][-1] == data["lat_bnds"][-1, 1] == 90
        assert data["lat"].bounds == "lat_bnds"
        assert (data["lon_bnds"][0, 0], data["lon_bnds"][-1, 1]) == (-1.125, 1.125)


@pytest.mark.parametrize(
    "times",
    [
        dates((2010, 2, 30, 0), (2010, 2, 30, 6), calendar="360_day"),
        dates((2012, 2, 28, 18), (2012, 3, 1, 0), calendar="noleap"),
        dates((2012, 2, 30, 0), calendar="360_day"),
        dates((1, 1, 1, 3), (1, 1, 1, 9), calendar="noleap"),
        dates((0, 12, 31, 21), (1, 1, 1, 3), calendar="365_day"),
        dates((1582, 10, 4, 18), (1582, 10, 15, 0)),
        dates((1582, 10, 5, 0), calendar="proleptic_gregorian"),
        dates((12000, 1, 1, 0), calendar="noleap"),
        dates((1850, 1, 1, 7, 31, 52), (2100, 12, 31, 23, 59, 59), calendar="noleap"),
        tuple(cftime.datetime(1850 + k, 1 + k % 12, 1, k % 24, k % 3 * 20) for k in range(250)),
    ],
)  # fmt: skip
def test_dates_come_back_exactly(tmp_path, times):
    write(tmp_path / "o.nc", times, members=1)
    with netCDF4.Dataset(tmp_path / "o.nc") as data:
        time = data["time"]
        back = cftime.num2date(time[:], time.units, time.calendar, has_year_zero=times[0].has_year_zero)
        assert [(d.timetuple()[:6], d.microsecond) for d in back] == [(d.timetuple()[:6], 0) for d in times]


def test_bounds_of_time_are_kept_and_read_with_it(tmp_path):
    """Dates of the input's own calendar, in both sinks, decoded by xarray as the times are."""
    days = dates((2010, 2, 30, 0), (2010, 2, 30, 6), (2010, 2, 30, 12), calendar="360_day")
    contents = Contents(GRID, days[1:], 1, VARIABLES, {}, list(zip(days[:-1], days[1:], strict=True)))
    sink = MemorySink()
    with create_output(tmp_path / "o.nc", contents), sink(contents):
        pass
    with netCDF4.Dataset(tmp_path / "o.nc") as data:
        assert data["time"].bounds == "time_bnds"
        assert data["time_bnds"].ncattrs() == []
        np.testing.assert_array_equal(data["time_bnds"][:], [[0, 6], [6, 12]])
    with xr.open_dataset(tmp_path / "o.nc") as data:
        assert data["time_bnds"].values[1, 0] == days[1]
        for name in ("time", "time_bnds"):
            xr.testing.assert_identical(data[name].variable, sink.dataset[name].variable)


def test_each_field_names_its_height_or_level(tmp_path):
    contents = Contents(GRID, TIMES, 1, {name: {} for name in ("msl", "u10", "z500", "z250")}, {})
    with create_output(tmp_path / "o.nc", contents):
        pass
    with netCDF4.Dataset(tmp_path / "o.nc") as data:
        named = {name: getattr(data[name], "coordinates", None) for name in contents.variables}
        assert named == {"msl": None, "u10": "height", "z500": "plev_50000", "z250": "plev_25000"}
        height, level = data["height"], data["plev_25000"]
        assert (float(height[...]), height.standard_name, height.units, height.positive, height.axis) == (
            10.0, "height", "m", "up", "Z",
        )  # fmt: skip
        assert (float(level[...]), level.standard_name, level.units, level.positive) == (
            25000,
            "air_pressure",
            "Pa",
            "down",
        )
        assert (data["u10"].grid_mapping, data["crs"].grid_mapping_name, data["crs"].earth_radius) == (
            "crs", "latitude_longitude", 6371229.0,
        )  # fmt: skip


def test_a_mask_is_made_when_first_needed(tmp_path):
    """Times before and after count as observed everywhere; other variables get no mask."""
    times = dates(*((2010, 1, 1, hour) for hour in (0, 6, 12)))
    contents = Contents(GRID, times, 1, VARIABLES, {})
    cells = np.zeros(GRID.shape, bool)
    cells[2:4, 5] = True
    sink = MemorySink()
    with create_output(tmp_path / "o.nc", contents) as file, sink(contents) as memory:
        for out in (file, memory):
            out.mark_drawn(1, "u10", cells)
    with xr.open_dataset(tmp_path / "o.nc") as data:
        mask = data["u10_observed"]
        assert (mask.dtype, mask.dims, "msl_observed" in data) == (np.int8, ("time", "lat", "lon"), False)
        np.testing.assert_array_equal(mask, ~(np.array([False, True, False])[:, None, None] & cells))
        assert (mask.attrs["flag_values"].tolist(), mask.attrs["flag_meanings"]) == ([0, 1], "inferred observed")
        assert data["u10"].attrs["ancillary_variables"] == "u10_observed"
        xr.testing.assert_identical(mask.variable, sink.dataset["u10_observed"].variable)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (dates((2010, 1, 31, 18), (2010, 2, 1, 0)), ("2010-01-31T18:00:00Z", "2010-02-01T00:00:00Z", "PT6H", "PT6H")),
        (dates((2010, 1, 1), (2010, 1, 2), (2010, 1, 4, 6)), ("2010-01-01T00:00:00Z", "2010-01-04T06:00:00Z", "P3DT6H", None)),
        (dates((2010, 1, 1, 7, 31, 52)), ("2010-01-01T07:31:52Z", "2010-01-01T07:31:52Z", "P0D", None)),
        (dates((2010, 2, 30), (2010, 3, 1), calendar="360_day"), (None, None, None, None)),
    ],
)  # fmt: skip
def test_coverage_in_time_is_that_of_the_real_calendar(tmp_path, times, expected):
    write(tmp_path / "o.nc", times, members=1)
    with netCDF4.Dataset(tmp_path / "o.nc") as data:
        kinds = ("start", "end", "duration", "resolution")
        assert tuple(getattr(data, f"time_coverage_{kind}", None) for kind in kinds) == expected


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(143)])
def test_nothing_is_left_when_the_block_fails(tmp_path, error):
    seen = []
    with pytest.raises(type(error)), create_output(tmp_path / "o.nc", EMPTY):  # noqa: PT012
        seen.extend(tmp_path.iterdir())
        raise error
    assert [path.suffix for path in seen] == [".part"]
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "o.nc"
    path.write_text("old")
    with pytest.raises(ValueError, match="x"), create_output(path, EMPTY):
        raise ValueError("x")  # noqa: EM101
    assert path.read_text() == "old"
    write(path)
    with netCDF4.Dataset(path) as data:
        assert data["msl"].shape == (2, 2, *GRID.shape)
    assert path.stat().st_mode & 0o777 in (0o644, 0o664, 0o600)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device. Free space"),
        (PermissionError(13, "Permission denied"), "Permission denied. Choose a folder"),
        (RuntimeError("NetCDF: HDF error"), "is the disk full"),
    ],
)
def test_failures_of_the_disk_are_output_errors(tmp_path, failure, words):
    with pytest.raises(OutputError, match=words), create_output(tmp_path / "o.nc", EMPTY):
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_other_errors_keep_their_names(tmp_path):
    with (
        pytest.raises(RuntimeError, match="size mismatch"),
        create_output(tmp_path / "o.nc", EMPTY),
    ):
        raise RuntimeError("size mismatch")  # noqa: EM101


def test_folder_that_does_not_exist(tmp_path):
    with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
        write(tmp_path / "no" / "o.nc")
