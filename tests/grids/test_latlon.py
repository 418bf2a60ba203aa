"""Regions, the 0.25 degree grid and coarse blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zssd_cli.errors import ConfigError, InputError, ZssdError
from zssd_cli.grids.latlon import GLOBE, NAMED_REGIONS, LatLonGrid, Region, block_grid, fine_grid, parse_region

STEPS = (0.25, 0.5, 1.0, 1.5, 2.5, 3.0, 5.0, 7.5, 10.0, 15.0, 45.0)
number = st.floats(-400, 600).map(lambda x: round(x, 3))


@st.composite
def regions(draw, smallest=0.25):
    west, south = draw(st.floats(-360, 180)), draw(st.floats(-90, 90 - smallest))
    east = west + draw(st.floats(smallest, 360))
    return Region(
        round(west, 4), min(round(east, 4), round(west, 4) + 360), south, draw(st.floats(south + smallest, 90))
    )


def test_the_globe():
    grid = fine_grid()
    assert grid.shape == (721, 1440)
    assert grid.circular
    assert (grid.lat[0], grid.lat[-1], grid.lon[0], grid.lon[-1]) == (-90, 90, 0, 359.75)
    assert (grid.lat_edges[0], grid.lat_edges[1], grid.lat_edges[-1]) == (-90, -89.875, 90)
    assert grid.area.sum() == pytest.approx(4 * np.pi, rel=1e-12)


@given(regions())
def test_fine_cells_are_those_whose_centres_lie_in_the_region(region):
    grid = fine_grid(region)
    np.testing.assert_array_equal(grid.lat * 4, np.rint(grid.lat * 4))
    np.testing.assert_array_equal(grid.lon * 4, np.rint(grid.lon * 4))
    assert region.south - 1e-6 <= grid.lat[0] < region.south + 0.25 + 1e-6
    assert region.north - 0.25 - 1e-6 < grid.lat[-1] <= region.north + 1e-6
    assert grid.lon[0] >= region.west - 1e-6
    assert grid.lon[-1] <= region.east + 1e-6
    assert grid.circular == region.whole_circle
    assert grid.circular or grid.lon[-1] > region.east - 0.25 - 1e-6
    assert grid.shape[1] <= 1440
    assert grid.lat_edges[0] >= -90
    assert grid.lat_edges[-1] <= 90


@given(regions(), st.sampled_from(STEPS))
def test_blocks_lie_on_multiples_and_hold_the_region(region, step):
    grid = block_grid(step, region)
    for edges in (grid.lat_edges, grid.lon_edges):
        np.testing.assert_allclose(edges / step, np.rint(edges / step), atol=1e-9)
        np.testing.assert_allclose(np.diff(edges), step)
    assert -90 <= grid.lat_edges[0] <= region.south + 1e-6
    assert 90 >= grid.lat_edges[-1] >= region.north - 1e-6
    width = grid.lon_edges[-1] - grid.lon_edges[0]
    assert width <= 360 + 1e-9
    if width < 360 - 1e-9:
        assert grid.lon_edges[0] <= region.west + 1e-6
        assert grid.lon_edges[-1] >= region.east - 1e-6
        assert grid.lon_edges[0] + step > region.west - 1e-6
        assert grid.lon_edges[-1] - step < region.east + 1e-6


@pytest.mark.parametrize("step", STEPS)
def test_blocks_tile_the_globe(step):
    grid = block_grid(step)
    assert grid.circular
    assert grid.shape == (round(180 / step), round(360 / step))
    assert grid.area.sum() == pytest.approx(4 * np.pi, rel=1e-12)


@pytest.mark.parametrize(
    "step",
    [0.0, -5.0, 0.1, 0.125, 0.3, 0.7, 4.0, 7.0, 12.0, 20.0, 36.0, 60.0, 180.0, 360.0, float("nan"), float("inf")],
)
def test_steps_that_do_not_tile_are_refused(step):
    with pytest.raises(ConfigError, match="Filter scale") as caught:
        block_grid(step)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-80,0,20,70", Region(-80, 0, 20, 70)),
        (" -80 , 0 , 20 , 70 ", Region(-80, 0, 20, 70)),
        ("170,-170,-10,10", Region(170, 190, -10, 10)),
        ("350,10,40,60", Region(350, 370, 40, 60)),
        ("350,360,40,60", Region(350, 360, 40, 60)),
        ("-180,180,-90,90", Region(-180, 180, -90, 90)),
        ("0,360,-90,90", GLOBE),
        ("Globe", GLOBE),
        ("north-atlantic", Region(-80, 0, 20, 70)),
    ],
)
def test_parse_region(text, expected):
    assert parse_region(text) == expected


@pytest.mark.parametrize("name", NAMED_REGIONS)
def test_every_named_region_has_cells_and_blocks(name):
    region = parse_region(name.upper())
    assert min(fine_grid(region).shape) > 40
    assert min(block_grid(5.0, region).shape) > 4


@pytest.mark.parametrize(
    "text",
    [
        "", "atlantis", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,10,0,10",
        "0,inf,0,10", "0,1e400,0,10", "0,10,10,0", "0,10,5,5",
        "0,10,-91,0", "0,10,0,90.1", "0,361,0,10", "700,710,0,10", "-400,-390,0,10", "20,10;0,10", "10,-360,0,10",
    ],
)  # fmt: skip
def test_bad_regions_are_one_line_errors(text):
    with pytest.raises(ConfigError, match="Region") as caught:
        parse_region(text)
    assert "\n" not in str(caught.value)


@given(number, number, number, number)
def test_any_four_numbers_give_a_grid_or_one_line(west, east, south, north):
    try:
        grid = fine_grid(parse_region(f"{west},{east},{south},{north}"))
    except ConfigError as error:
        lines, shape = str(error).count("\n") + 1, (1, 1)
    else:
        lines, shape = 1, grid.shape
    assert lines == 1
    assert shape[0] >= 1
    assert 1 <= shape[1] <= 1440


@pytest.mark.parametrize("region", [Region(0.05, 0.2, 0, 10), Region(0, 10, 10.01, 10.2)])
def test_a_region_between_the_cells_is_refused(region):
    with pytest.raises(ConfigError, match=r"no 0\.25 degree cell"):
        fine_grid(region)


def test_regions_that_touch_or_cross_the_seam_are_whole():
    assert fine_grid(parse_region("170,-170,-10,10")).shape == (81, 81)
    assert fine_grid(parse_region("350,360,-10,10")).lon[-1] == 360
    np.testing.assert_array_equal(block_grid(5, parse_region("352,8,-10,10")).lon_edges, [350, 355, 360, 365, 370])
    assert fine_grid(Region(-180, 180, 0, 10)).lon[0] == -180
    assert fine_grid(Region(-180, 180, 0, 10)).circular


@pytest.mark.parametrize(
    ("lat", "edges"),
    [([0.0, 1], [0.0, 1]), ([0.0, 1], [0.0, 2, 1]), ([[0.0]], [0.0, 1])],
    ids=["few", "order", "shape"],
)
def test_a_grid_refuses_edges_that_do_not_fit(lat, edges):
    good = np.array([0.5]), np.array([0.0, 1])
    with pytest.raises(InputError, match="edges"):
        LatLonGrid(np.array(lat), good[0], np.array(edges), good[1])
    assert issubclass(InputError, ZssdError)
