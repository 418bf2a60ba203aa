"""Conservative weights between rectilinear grids: row sums, means, closed forms, and the package xarray-regrid."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from zssd_cli.grids.conservative import latitude_weights, longitude_weights


def random_edges(low, high, cells):
    """Strategy: ascending edges from low to high with uneven cells."""
    widths = st.lists(st.floats(0.1, 10), min_size=cells[0], max_size=cells[1])
    return widths.map(lambda w: low + (high - low) * np.append(0.0, np.cumsum(w)) / np.sum(w))


@given(random_edges(-90, 90, (1, 40)), random_edges(-90, 90, (1, 40)))
def test_latitude_rows_sum_to_one_and_the_mean_is_kept(source, target):
    weights = latitude_weights(source, target)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-12)
    assert (weights >= 0).all()
    area = np.diff(np.sin(np.deg2rad(source))), np.diff(np.sin(np.deg2rad(target)))
    np.testing.assert_allclose(area[1] @ weights, area[0], rtol=1e-9, atol=1e-12)


@given(random_edges(0, 360, (1, 40)), random_edges(0, 360, (1, 40)), st.floats(-360, 360), st.floats(-360, 360))
def test_longitude_rows_sum_to_one_wherever_the_circles_begin(source, target, turn_source, turn_target):
    source, target = source + turn_source, target + turn_target
    weights = longitude_weights(source, target)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-9)
    np.testing.assert_allclose(np.diff(target) @ weights, np.diff(source), rtol=1e-9, atol=1e-9)


@given(random_edges(-20, 50, (1, 20)), st.integers(-1, 1))
def test_a_whole_turn_changes_nothing(target, turns):
    source = np.linspace(-30, 60, 37)
    np.testing.assert_allclose(
        longitude_weights(source + 360 * turns, target), longitude_weights(source, target), atol=1e-12
    )


def test_rows_sum_to_the_covered_fraction_at_the_rim():
    weights = longitude_weights(np.array([2.0, 6, 10]), np.array([0.0, 5, 10, 15]))
    np.testing.assert_allclose(weights, [[3 / 5, 0], [1 / 5, 4 / 5], [0, 0]])
    weights = latitude_weights(np.array([30.0, 60, 90]), np.array([0.0, 90]))
    np.testing.assert_allclose(weights, [[np.sqrt(3) / 2 - 0.5, 1 - np.sqrt(3) / 2]])


def test_seam():
    weights = longitude_weights(np.array([0.0, 90, 180, 270, 360]), np.array([-45.0, 45, 135]))
    np.testing.assert_allclose(weights, [[0.5, 0, 0, 0.5], [0.5, 0.5, 0, 0]])


def test_sine_of_latitude_against_its_integral():
    """The mean of sin(lat) over a zone is (sin a + sin b) / 2; fine cells give it to second order."""
    source, target = np.linspace(-90, 90, 1801), np.array([-90.0, -37, 0, 12, 90])
    centres = (source[1:] + source[:-1]) / 2
    got = latitude_weights(source, target) @ np.sin(np.deg2rad(centres))
    s = np.sin(np.deg2rad(target))
    np.testing.assert_allclose(got, (s[1:] + s[:-1]) / 2, atol=1e-6)


def regular(step):
    """Centres and edges of a global grid of cells."""
    lat, lon = np.arange(-90 + step / 2, 90, step), np.arange(step / 2, 360, step)
    return lat, lon, np.linspace(-90, 90, lat.size + 1), np.linspace(0, 360, lon.size + 1)


def both(field, fine, coarse):
    """The field on the coarse grid by our weights and by xarray-regrid, without the rows at the poles.

    xarray-regrid pads the poles with an extra row, so its first and last rows are its own.
    """
    pytest.importorskip("xarray_regrid")
    lat, lon, lat_edges, lon_edges = regular(fine)
    target_lat, target_lon, target_lat_edges, target_lon_edges = regular(coarse)
    ours = latitude_weights(lat_edges, target_lat_edges) @ field @ longitude_weights(lon_edges, target_lon_edges).T
    data = xr.DataArray(field, coords={"latitude": lat, "longitude": lon}, dims=("latitude", "longitude"))
    target = xr.Dataset(coords={"latitude": target_lat, "longitude": target_lon})
    theirs = data.regrid.conservative(target, latitude_coord="latitude").values
    return ours[1:-1], theirs[1:-1]


@pytest.mark.parametrize(("fine", "coarse"), [(1.0, 5.0), (2.0, 10.0), (1.5, 7.5)])
def test_agrees_with_xarray_regrid_where_cells_nest(fine, coarse):
    lat, lon, *_ = regular(fine)
    ours, theirs = both(np.random.default_rng(0).normal(size=(lat.size, lon.size)), fine, coarse)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("fine", "coarse"), [(2.0, 5.0), (1.5, 2.5), (1.25, 3.0)])
def test_agrees_with_xarray_regrid_where_cells_are_cut(fine, coarse):
    """It cuts cells in proportion to latitude, not to its sine: up to tan(lat) step / 2 of a part of a cell."""
    lat, lon, *_ = regular(fine)
    y, x = np.meshgrid(np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
    field = 250 + 40 * np.cos(y) ** 2 + 5 * np.cos(y) * np.sin(3 * x)
    ours, theirs = both(field, fine, coarse)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.02)
    assert np.abs(ours - theirs).max() > 0
