"""What two files share: times whatever the calendar, cells whatever the turn of longitude."""

import cftime
import netCDF4
import numpy as np
import pytest
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.evaluation.alignment import (
    common_points,
    common_times,
    covered_blocks,
    longest_run,
    open_output,
    with_speed,
)
from zssd_cli.grids.latlon import LatLonGrid, fine_grid, parse_region


def dates(calendar: str, *days: int) -> tuple[cftime.datetime, ...]:
    return tuple(cftime.datetime(2010, 2, day, 6, calendar=calendar) for day in days)


def test_times_match_across_calendars() -> None:
    assert common_times(dates("360_day", 1, 2, 30), dates("standard", 2, 1, 3)) == [(0, 1), (1, 0)]


def test_no_common_time_is_refused() -> None:
    with pytest.raises(InputError, match="free-running climate model cannot be scored point by point") as error:
        common_times(dates("noleap", 1, 2), dates("noleap", 4))
    assert "2010-02-01T06:00 to 2010-02-02T06:00" in str(error.value)
    assert "2010-02-04T06:00" in str(error.value)
    with pytest.raises(InputError, match="No common time"):
        common_times(dates("noleap", 1), ())


@pytest.mark.parametrize(
    ("ours", "theirs", "west", "east"),
    [
        ("-80,0,20,70", "globe", -80, 0),
        ("globe", "-30,20,20,70", -30, 20),
        ("-80,0,20,70", "300,360,0,50", -60, 0),
        ("350,380,0,10", "-20,5,0,10", 350, 365),
        ("globe", "globe", 0, 359.75),
    ],
)
def test_cells_match_across_turns(ours: str, theirs: str, west: float, east: float) -> None:
    a, b = fine_grid(parse_region(ours)), fine_grid(parse_region(theirs))
    points = common_points(a, b, "ref.nc")
    assert (points.grid.lon[0], points.grid.lon[-1]) == (west, east)
    for grid, (rows, columns) in ((a, points.ours), (b, points.theirs)):
        np.testing.assert_array_equal(grid.lat[rows], points.grid.lat)
        np.testing.assert_allclose((grid.lon[columns] - points.grid.lon) % 360, 0)
    assert points.grid.circular == (ours == theirs == "globe")


def test_no_overlap_names_both_extents() -> None:
    with pytest.raises(InputError, match=r"no overlap.*-80\.\.0 E.*100\.\.110 E"):
        common_points(fine_grid(parse_region("-80,0,20,70")), fine_grid(parse_region("100,110,20,30")), "ref.nc")


def test_other_resolutions_are_refused() -> None:
    centres = np.arange(10.0)
    grid = LatLonGrid(centres, centres, np.arange(11) - 0.5, np.arange(11) - 0.5)
    with pytest.raises(InputError, match=r"ref\.nc: expected latitude on multiples of 0\.25 degree, got steps 1 to 1"):
        common_points(fine_grid(), grid, "ref.nc")


def test_whole_blocks_only() -> None:
    blocks = covered_blocks(fine_grid(parse_region("4,31.75,57,72.75")), 5)
    np.testing.assert_allclose(blocks.lat_edges, [60, 65, 70])
    np.testing.assert_allclose(blocks.lon_edges, [5, 10, 15, 20, 25, 30])
    assert covered_blocks(fine_grid(), 5).shape == (36, 72)
    assert covered_blocks(fine_grid(parse_region("4,8,57,72.75")), 5) is None
    points = common_points(fine_grid(), fine_grid(parse_region("4,31.75,57,72.75")), "r").within(blocks)
    assert (points.grid.lat[0], points.grid.lat[-1], points.grid.lon[0], points.grid.lon[-1]) == (60, 70, 5, 30)


def test_blocks_elsewhere_leave_nothing() -> None:
    blocks = covered_blocks(fine_grid(parse_region("100,120,0,20")), 5)
    assert common_points(fine_grid(), fine_grid(parse_region("0,20,0,20")), "r").within(blocks) is None


def test_longest_run() -> None:
    np.testing.assert_array_equal(longest_run(np.array([1, 0, 1, 1, 0], dtype=bool)), [2, 3])
    assert longest_run(np.zeros(3, dtype=bool)).size == 0


@pytest.mark.parametrize("content", [b"", b"GRIB", None])
def test_unreadable_outputs(tmp_path, content) -> None:
    path = tmp_path / "out.nc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="got no such file" if content is None else "not a readable NetCDF"):
        open_output(path)


def test_files_of_another_layout(tmp_path) -> None:
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as data:
        data.createDimension("lat", 3)
        data.createVariable("msl", "f4", ("lat",))
    with pytest.raises(InputError, match=r"expected fields with dimensions \(time, member, lat, lon\)"):
        open_output(tmp_path / "x.nc")


@pytest.fixture
def output(tmp_path, make_output) -> xr.Dataset:
    """Three times, two members, pressure and wind."""
    with xr.open_dataset(make_output(tmp_path / "out.nc", "-3,0,40,42")) as data:
        return data.load()


@pytest.mark.parametrize(
    "order", [("time", "lon", "lat", "member"), ("member", "lat", "lon", "time"), ("lon", "lat", "time", "member")]
)
@pytest.mark.parametrize("down", [False, True])
def test_dimensions_in_any_order(tmp_path, output, order, down) -> None:
    turned = output.isel(lat=slice(None, None, -1)) if down else output
    turned.transpose(*order).to_netcdf(tmp_path / "turned.nc")
    file = open_output(tmp_path / "turned.nc")
    assert (file.members, len(file.times), file.grid.shape) == (2, 3, (9, 13))
    np.testing.assert_array_equal(file.read("u10", 2), output["u10"][2])
    file.close()


def test_a_file_without_members_in_another_order(tmp_path, output) -> None:
    output.isel(member=1, drop=True).transpose("lon", "time", "lat").to_netcdf(tmp_path / "one.nc")
    file = open_output(tmp_path / "one.nc")
    assert file.members == 1
    np.testing.assert_array_equal(file.read("msl", 1), output["msl"][1, 1:])
    file.close()


@pytest.mark.parametrize(
    ("name", "factor", "units"),
    [
        ("msl", 0.01, "hPa"),
        ("msl", 0.01, "mbar"),
        ("msl", 0.01, None),
        ("u10", 1.0, "ms-1"),
        ("u10", 3.6, "km/h"),
        ("u10", 100.0, "cm s-1"),
    ],
)
def test_other_units_are_converted(output, name, factor, units) -> None:
    other = output.copy()
    other[name] = output[name] * np.float32(factor)
    other[name].attrs = {} if units is None else {"units": units}
    file = open_output(other)
    assert file.units[name] == {"msl": "Pa", "u10": "m s-1"}[name]
    np.testing.assert_allclose(file.read(name, 1), output[name][1], rtol=1e-6)


@pytest.mark.parametrize(
    ("factor", "units", "words"),
    [
        (0.01, "Pa", "out.nc: msl: values .* look like hPa but the units attribute says 'Pa'"),
        (1.0, "hPa", "out.nc: msl: values .* look like Pa but the units attribute says 'hPa'"),
        (1.0, "K", "out.nc: msl: units 'K' cannot be converted to Pa"),
    ],
)
def test_units_that_the_values_belie_are_refused(tmp_path, output, factor, units, words) -> None:
    """What ``cdo divc,100`` leaves: other values under the old units."""
    other = output.copy()
    other["msl"] = output["msl"] * factor
    other["msl"].attrs = {"units": units}
    other.encoding["source"] = str(tmp_path / "out.nc")
    with pytest.raises(InputError, match=words):
        open_output(other).read("msl", 0)


def test_masks_and_bounds_are_no_fields(output) -> None:
    other = output.assign(
        u10_observed=output["u10"][:, 0].astype(np.int8), time_bnds=(("time", "bnds"), np.zeros((3, 2)))
    )
    other["u10"].attrs["zssd_observed"] = "partly"
    file = open_output(other)
    assert file.variables == ("msl", "u10", "v10")
    assert file.observed == {"msl": True, "u10": True, "v10": False}


def test_speed_of_a_reference_that_has_only_components(world) -> None:
    source = world("-3,0,40,42")
    derived = with_speed(source)
    assert derived.variables == ("msl", "u10", "v10", "si10")
    fields = derived.read(1, 3)
    np.testing.assert_array_equal(fields[:, :3], source.read(1, 3))
    np.testing.assert_allclose(fields[:, 3], np.hypot(fields[:, 1], fields[:, 2]), rtol=1e-6)
    assert with_speed(derived) is derived
    assert with_speed(world("-3,0,40,42", ("msl", "u10"))).variables == ("msl", "u10")
