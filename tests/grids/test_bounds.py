"""Cell edges: from bounds that hold together, else from the centres; poles and seam closed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zssd_cli.errors import InputError
from zssd_cli.grids.bounds import latitude_axis, longitude_axis, rectilinear_grid

GAUSSIAN = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(96)[0]))


def pairs(edges):
    return np.stack([edges[:-1], edges[1:]], axis=1)


def test_gaussian_rows_reach_the_poles():
    axis = latitude_axis(GAUSSIAN[::-1])
    assert axis.edges[0] == -90.0
    assert axis.edges[-1] == 90.0
    np.testing.assert_allclose(axis.centres, GAUSSIAN)
    np.testing.assert_allclose(axis.edges[1:-1], (GAUSSIAN[1:] + GAUSSIAN[:-1]) / 2)
    np.testing.assert_array_equal(axis.order, np.arange(96)[::-1])


def test_rows_on_the_poles_are_half_rows():
    axis = latitude_axis(np.linspace(-90, 90, 73))
    np.testing.assert_allclose(axis.edges[[0, 1, -2, -1]], [-90, -88.75, 88.75, 90])


def test_a_missing_polar_row_is_not_invented():
    axis = latitude_axis(np.arange(-87.5, 88, 2.5))
    np.testing.assert_allclose(axis.edges[[0, -1]], [-88.75, 88.75])


def test_region_is_extended_by_half_a_cell():
    axis = latitude_axis(np.array([10.0, 11.0, 12.0]))
    np.testing.assert_allclose(axis.edges, [9.5, 10.5, 11.5, 12.5])


def test_bounds_in_any_order_are_used():
    edges = np.array([10.0, 10.4, 11.5, 12.7])
    centres = np.array([10.2, 11.0, 12.0])
    for bounds in (pairs(edges), pairs(edges)[:, ::-1], pairs(edges)[::-1]):
        axis = latitude_axis(centres, bounds)
        np.testing.assert_allclose(axis.edges, edges)
        assert axis.notes == ()
    axis = latitude_axis(centres[::-1], pairs(edges)[::-1, ::-1])
    np.testing.assert_allclose(axis.edges, edges)
    np.testing.assert_array_equal(axis.order, [2, 1, 0])


@pytest.mark.parametrize(
    ("bounds", "note"),
    [
        ([[9.5, 10.6], [10.4, 11.5], [11.5, 12.5]], "overlap or leave gaps"),
        ([[9.5, 10.4], [10.6, 11.5], [11.5, 12.5]], "overlap or leave gaps"),
        ([[9.5, 10.5], [20.5, 21.5], [11.5, 12.5]], "do not enclose"),
        ([[0, 0], [0, 0], [0, 0]], "do not enclose"),
        ([[9.5, np.nan], [10.5, 11.5], [11.5, 12.5]], "missing values"),
        ([[9.97e36, 9.97e36], [10.5, 11.5], [11.5, 12.5]], "missing values"),
    ],
)
def test_bounds_that_do_not_hold_together_give_way_to_midpoints_with_a_note(bounds, note):
    axis = latitude_axis(np.array([10.0, 11.0, 12.0]), np.array(bounds, dtype=float))
    np.testing.assert_allclose(axis.edges, [9.5, 10.5, 11.5, 12.5])
    assert len(axis.notes) == 1
    assert note in axis.notes[0]


def test_bounds_beyond_the_pole_are_cut():
    centres = np.linspace(-90, 90, 181)
    axis = latitude_axis(centres, pairs(np.linspace(-90.5, 90.5, 182)))
    np.testing.assert_allclose(axis.edges[[0, 1, -1]], [-90, -89.5, 90])


@pytest.mark.parametrize("start", [0.0, -180.0, 0.9375, -280.0])
def test_the_circle_is_closed_exactly(start):
    lon = (start + np.arange(192) * 1.875).astype(np.float32)
    axis = longitude_axis(lon)
    assert axis.edges[-1] - axis.edges[0] == 360.0
    first = (start + 1e-3) % 1.875
    assert axis.centres[0] == pytest.approx(first, abs=2e-3)  # the origin of the file does not matter
    assert axis.edges[0] == pytest.approx(axis.centres[0] - 0.9375, abs=1e-4)
    np.testing.assert_allclose(axis.centres, (lon[axis.order] + 1e-3) % 360, atol=2e-3)


@pytest.mark.parametrize("start", [-180.0, -2.5, 20.0])
def test_the_same_cells_with_another_origin_are_the_same_axis(start):
    step = 2.5
    lon = start + np.arange(144) * step
    here, there = longitude_axis(np.arange(144) * step), longitude_axis(lon, np.stack([lon - 1.25, lon + 1.25], 1))
    np.testing.assert_allclose(there.centres, here.centres)
    np.testing.assert_allclose(there.edges, here.edges)


def test_half_cells_at_the_seam_are_not_believed():
    lon = np.arange(144) * 2.5
    bounds = np.stack([lon - 1.25, lon + 1.25], 1)
    bounds[0, 0], bounds[-1, 1] = 0.0, 360.0  # CESM2's own
    axis = longitude_axis(lon, bounds)
    np.testing.assert_allclose(np.diff(axis.edges), 2.5)
    assert axis.edges[0] == -1.25
    assert axis.notes == (
        "longitude bounds do not have their centres in the middle; midpoints between the centres are used instead",
    )


def test_unequal_cells_of_evenly_spaced_centres_are_not_believed():
    lat = np.arange(-40.0, 41.0, 10.0)
    edges = np.append(lat - 5, 45.0)
    edges[4] += 0.9  # within a tenth of a cell of the middle
    axis = latitude_axis(lat, np.stack([edges[:-1], edges[1:]], 1))
    np.testing.assert_allclose(axis.edges, np.arange(-45.0, 46.0, 10.0))
    assert "unequal cells" in axis.notes[0]


def test_longitude_bounds_across_the_seam():
    lon = np.arange(0.0, 360.0, 90.0)
    bounds = np.array([[315.0, 45.0], [45.0, 135.0], [135.0, 225.0], [225.0, 315.0]])
    axis = longitude_axis(lon, bounds)
    np.testing.assert_allclose(axis.edges, [-45, 45, 135, 225, 315])
    assert axis.notes == ()


def test_repeated_last_column_is_dropped():
    axis = longitude_axis(np.arange(0.0, 361.0, 45.0))
    assert axis.order.tolist() == list(range(8))
    assert axis.edges[-1] - axis.edges[0] == 360.0


@pytest.mark.parametrize(
    ("lon", "centres", "order"),
    [
        ([350, 355, 0, 5], [350, 355, 360, 365], [0, 1, 2, 3]),
        ([5, 0, 355, 350], [-10, -5, 0, 5], [3, 2, 1, 0]),
        ([170, 175, 180, -175], [170, 175, 180, 185], [0, 1, 2, 3]),
        ([0, 5, 10, 350, 355], [-10, -5, 0, 5, 10], [3, 4, 0, 1, 2]),
        ([20, 15, 10], [10, 15, 20], [2, 1, 0]),
        ([359, 1], [359, 361], [0, 1]),
    ],
)
def test_longitudes_across_the_seam_become_one_stretch(lon, centres, order):
    axis = longitude_axis(np.array(lon, dtype=float))
    np.testing.assert_allclose(axis.centres, centres)
    assert axis.order.tolist() == order
    assert axis.edges[-1] - axis.edges[0] < 60


@pytest.mark.parametrize(
    ("function", "values", "message"),
    [
        (latitude_axis, [10, 11, 11, 12], "latitude coordinate repeats a value at 11 .position 3 of 4"),
        (latitude_axis, [10, 12, 11, 13], "latitude coordinate changes direction at 11"),
        (latitude_axis, [100, 110, 120], "latitude runs from 100 to 120"),
        (latitude_axis, [10, np.nan, 12], "missing or fill values"),
        (latitude_axis, [10, 11, 9.97e36], "missing or fill values"),
        (latitude_axis, [10], "a single latitude .10. without bounds"),
        (latitude_axis, [], "latitude coordinate is empty"),
        (longitude_axis, [0, 10, 5, 20], "longitude coordinate changes direction at 5"),
        (longitude_axis, [0, 10, 10, 20], "longitude coordinate repeats a value"),
        (longitude_axis, [0, 1000, 2000], "longitude runs from 0 to 2000"),
    ],
)
def test_broken_centres_are_refused_in_one_line(function, values, message):
    with pytest.raises(InputError, match=message) as caught:
        function(np.array(values, dtype=float))
    assert "\n" not in str(caught.value)


def test_a_single_row_with_bounds_is_accepted():
    axis = latitude_axis(np.array([10.0]), np.array([[11.0, 9.0]]))
    np.testing.assert_allclose(axis.edges, [9, 11])


def test_grid_reorders_data_as_its_axes():
    lat, lon = np.array([60.0, 20.0, -20.0, -60.0]), np.array([180.0, 270.0, 0.0, 90.0])
    grid, rows, columns = rectilinear_grid(lat, lon)
    field = lat[:, None] * 1000 + lon[None, :]
    arranged = field[np.ix_(rows.order, columns.order)]
    np.testing.assert_allclose(arranged, grid.lat[:, None] * 1000 + grid.lon[None, :] % 360)
    assert grid.circular


@given(
    st.integers(2, 60),
    st.floats(-180, 360),
    st.booleans(),
    st.data(),
)
def test_global_longitudes_always_close_and_keep_every_column(n, start, descending, data):
    step = 360.0 / n
    lon = start + np.arange(n) * step
    lon = (lon + 180) % 360 - 180 if data.draw(st.booleans()) else lon
    lon = lon[::-1] if descending else lon
    if n < 4:
        return
    axis = longitude_axis(lon)
    assert sorted(axis.order.tolist()) == list(range(n))
    assert axis.edges[-1] - axis.edges[0] == pytest.approx(360.0, abs=1e-9)
    assert np.all(np.diff(axis.edges) > 0)
    np.testing.assert_allclose(np.cos(np.deg2rad(axis.centres)), np.cos(np.deg2rad(lon[axis.order])), atol=1e-9)
    np.testing.assert_allclose(np.diff(axis.edges), step, rtol=1e-6)


@given(st.lists(st.floats(-90, 90), min_size=2, max_size=40, unique_by=lambda x: round(x, 3)), st.booleans())
def test_latitude_edges_enclose_their_centres_and_stay_on_the_globe(values, descending):
    lat = np.sort(np.array(values))[:: -1 if descending else 1]
    axis = latitude_axis(lat)
    assert np.all(np.diff(axis.edges) > 0)
    assert np.all(axis.edges[:-1] <= axis.centres)
    assert np.all(axis.centres <= axis.edges[1:])
    assert axis.edges[0] >= -90
    assert axis.edges[-1] <= 90
    np.testing.assert_array_equal(lat[axis.order], axis.centres)


@given(st.lists(st.floats(0.2, 5.0), min_size=3, max_size=30), st.booleans(), st.booleans(), st.booleans())
def test_true_bounds_come_back_whatever_their_order(widths, swap_pairs, descending, reverse_rows):
    edges = -80 + np.append(0.0, np.cumsum(widths))
    centres = (edges[1:] + edges[:-1]) / 2
    bounds = pairs(edges)
    if swap_pairs:
        bounds = bounds[:, ::-1]
    if descending:
        centres, bounds = centres[::-1], bounds[::-1]
    if reverse_rows:
        bounds = bounds[::-1]
    axis = latitude_axis(centres, bounds)
    inner = slice(1, -1)
    np.testing.assert_allclose(axis.edges[inner], edges[inner], atol=1e-6)
