"""Where the sampling happens: blocks around the region, the halo that is cut off, and which block a cell lies in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zssd_cli.errors import ConfigError
from zssd_cli.grids.bounds import rectilinear_grid
from zssd_cli.grids.extent import common_region, covered_region
from zssd_cli.grids.latlon import (
    GLOBE,
    NAMED_REGIONS,
    LatLonGrid,
    Region,
    block_grid,
    describe_extent,
    fine_grid,
    parse_region,
)
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.domain import make_domain
from zssd_cli.series.layout import Layout

REGIONS = NAMED_REGIONS | {
    "seam": parse_region("170,-170,-10,10"),
    "greenwich": parse_region("-5,7.3,45.2,60"),
    "ends-at-360": Region(350, 360, 40, 60),
    "north-pole": Region(0, 30, 70, 90),
    "south-pole": Region(-120.3, -90, -90, -80.1),
    "from-180": Region(-180, 180, -90, 90),
    "ring": Region(-180, 180, 30, 40),
    "nearly-all": Region(-175, 170, -10, 10),
    "all-but-one-cell": Region(0, 359.5, 0, 10),
    "small": Region(3, 3.5, 3, 3.5),
    "far-east": Region(500, 540, 0, 30),
    "far-west": Region(-360, -330, 0, 30),
}


@pytest.mark.parametrize("step", [5.0, 2.5, 1.5])
@pytest.mark.parametrize("name", REGIONS)
def test_geometry(name, step):
    region = REGIONS[name]
    domain = make_domain(region, step)
    output, fine, coarse = domain.output, domain.fine, domain.coarse
    np.testing.assert_array_equal(output.lat, fine_grid(region).lat)
    np.testing.assert_array_equal(output.lon, fine_grid(region).lon)
    rows, columns = domain.crop
    np.testing.assert_allclose(fine.lat[rows], output.lat, atol=1e-9)
    np.testing.assert_allclose(
        np.exp(1j * np.deg2rad(fine.lon[columns])), np.exp(1j * np.deg2rad(output.lon)), atol=1e-9
    )
    assert columns.max() < fine.shape[1]
    assert fine.circular == coarse.circular
    # a halo of four degrees, where the globe does not end first
    assert fine.lat[0] <= max(output.lat[0] - 4, -90)
    assert fine.lat[-1] >= min(output.lat[-1] + 4, 90)
    if not fine.circular:
        assert columns[0] >= 16
        assert fine.shape[1] - 1 - columns[-1] >= 16
        assert fine.shape[1] < 1440
    # every block is covered by fine cells: its weights add up to one
    x = np.ones(fine.shape)
    for weights, edges in (("lat", coarse.lat_edges), ("lon", coarse.lon_edges)):
        low, high = getattr(fine, f"{weights}_edges")[[0, -1]]
        assert low <= edges[0] + 0.126
        assert high >= edges[-1] - 0.126
    assert Coarsen(fine, coarse)._down[0].sum(1).numpy() == pytest.approx(x[: coarse.shape[0], 0], rel=1e-5)


def touched(domain, row, column):
    """Output cells that lie in or on the edge of a block, found point by point."""
    coarse = domain.coarse
    lat, lon = domain.output.lat, domain.output.lon
    rows = (coarse.lat_edges[row] <= lat) & (lat <= coarse.lat_edges[row + 1])
    width = coarse.lon_edges[column + 1] - coarse.lon_edges[column]
    offset = (lon - coarse.lon_edges[column]) % 360
    columns = (offset <= width) | (offset == 0)
    return rows[:, None] & columns


@pytest.mark.parametrize("step", [5.0, 1.5])
@pytest.mark.parametrize("name", REGIONS)
def test_unseen_cells_touch_missing_blocks_only(name, step):
    domain = make_domain(REGIONS[name], step)
    missing = np.random.default_rng(0).random(domain.coarse.shape) < 0.8
    seen = np.zeros(domain.output.shape, dtype=bool)
    for row, column in np.argwhere(~missing):
        seen |= touched(domain, row, column)
    np.testing.assert_array_equal(domain.unseen(missing), ~seen)
    assert domain.unseen(np.ones(domain.coarse.shape, bool)).all()
    assert not domain.unseen(np.zeros(domain.coarse.shape, bool)).any()


def test_a_ring_that_starts_at_minus_180_is_rotated():
    domain = make_domain(REGIONS["from-180"], 5.0)
    assert domain.fine.circular
    assert domain.fine.lon[0] == 0
    rows, columns = domain.crop
    assert columns[0] == 720
    assert sorted(columns) == list(range(1440))
    assert rows.tolist() == list(range(721))


def test_poles_are_not_passed():
    domain = make_domain(REGIONS["north-pole"], 5.0)
    assert domain.fine.lat_edges[-1] == 90
    assert domain.coarse.lat_edges[-1] == 90
    assert make_domain(REGIONS["south-pole"], 5.0).coarse.lat_edges[0] == -90


@settings(max_examples=50)
@given(
    st.floats(-180, 180), st.floats(0.25, 360), st.floats(-90, 89), st.floats(0.25, 180), st.sampled_from([1.5, 5.0])
)
def test_any_region(west, width, south, height, step):
    region = Region(round(west, 2), min(round(west, 2) + width, round(west, 2) + 360), south, min(south + height, 90))
    domain = make_domain(region, step)
    rows, columns = domain.crop
    assert rows.min() >= 0
    assert rows.max() < domain.fine.shape[0]
    assert columns.max() < domain.fine.shape[1]
    offset = (domain.output.lon - domain.fine.lon[columns]) % 360
    np.testing.assert_allclose(np.minimum(offset, 360 - offset), 0, atol=1e-6)
    assert domain.fine.circular or len(np.unique(columns)) == columns.size
    assert not domain.unseen(np.zeros(domain.coarse.shape, bool)).any()


def test_covered_region_is_whole_blocks():
    lat, lon = np.arange(31.0, 59.0, 1.0), np.arange(-8.0, 24.0, 1.0)
    grid, _, _ = rectilinear_grid(lat, lon)
    assert covered_region(Layout((), grid), 5.0) == Region(-5, 20, 35, 55)
    whole, _, _ = rectilinear_grid(np.linspace(-89, 89, 90), np.arange(1, 361, 2.0))
    assert covered_region(Layout((), whole), 5.0) == GLOBE
    assert block_grid(5.0, covered_region(Layout((), whole), 5.0)).shape == (36, 72)


def test_variables_share_a_region():
    a, b = Region(-20, 30, 30, 60), Region(340, 380, 40, 70)
    assert common_region([a, b]) == Region(-20, 20, 40, 60)
    assert common_region([GLOBE, b]) == common_region([b, GLOBE]) == b
    assert common_region([GLOBE, GLOBE]) == GLOBE
    with pytest.raises(ConfigError, match="no region in common"):
        common_region([a, Region(100, 120, 30, 60)])


def test_a_source_smaller_than_a_block_is_refused():
    edges = np.array([1.0, 2.0, 3.0])
    grid = LatLonGrid(edges[1:] - 0.5, edges[1:] - 0.5, edges, edges)
    with pytest.raises(ConfigError, match="not even one whole block of 5 degrees") as caught:
        covered_region(Layout((), grid), 5.0)
    assert "longitude 1 to 3, latitude 1 to 3" in str(caught.value)
    assert describe_extent(grid) in str(caught.value)


def test_a_region_smaller_than_a_cell_is_refused():
    with pytest.raises(ConfigError, match="smaller than one"):
        make_domain(Region(0, 0.1, 0, 10), 5.0)


@pytest.mark.parametrize(
    ("region", "rows"), [(Region(-30, 0, 40, 60), 4), (Region(-30, 0, 41, 59), 4), (Region(170, 200, 40, 60), 4)]
)
def test_the_core_holds_the_output(region, rows):
    """The halo has no weight, the rest that of its area."""
    domain = make_domain(region, 5.0)
    seen = domain.core > 0
    assert seen.any(1).sum() == rows
    assert seen.sum() == seen.any(1).sum() * seen.any(0).sum() < seen.size
    np.testing.assert_allclose(domain.core[seen], domain.coarse.area[seen])
    north, south = np.flatnonzero(seen.any(1))[[-1, 0]]
    assert domain.core[north].max() < domain.core[south].max()
