"""What two files share: times whatever the calendar, cells whatever the turn of longitude."""

import cftime
import netCDF4
import numpy as np
import pytest

from zssd_cli.errors import InputError
from zssd_cli.evaluation.alignment import common_points, common_times, covered_blocks, longest_run, open_output
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
