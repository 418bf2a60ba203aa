"""Corners of cells: the file's where sound, guessed elsewhere; repeated cells once; what such cells cover."""

import numpy as np
import pytest

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.grids.cells import CellCenters
from zssd_cli.grids.corners import cell_corners, to_degrees, to_vectors
from zssd_cli.grids.extent import covered_by_points, typical_width
from zssd_cli.grids.latlon import Region, block_grid
from zssd_cli.grids.polygons import overlap_weights

GLOBE = block_grid(5.0)
POLE = (39.25, -162.0)


def turned(lat, lon, pole=POLE):
    """Points of a regular grid whose north pole lies elsewhere, degrees, (lat.size, lon.size) each."""
    x, y, z = np.moveaxis(to_vectors(*np.meshgrid(lat, lon, indexing="ij")), -1, 0)
    tilt = np.deg2rad(90.0 - pole[0])
    lats, lons = to_degrees(
        np.stack([z * np.sin(tilt) - x * np.cos(tilt), -y, z * np.cos(tilt) + x * np.sin(tilt)], -1)
    )
    return lats, lons + pole[1]


def quadrilaterals(lat_edges, lon_edges, pole=POLE):
    """True corners of the same cells, (n_y, n_x, 4) each."""
    return tuple(
        np.stack([part[:-1, :-1], part[:-1, 1:], part[1:, 1:], part[1:, :-1]], -1)
        for part in turned(lat_edges, lon_edges, pole)
    )


LAT_EDGES, LON_EDGES = np.linspace(-90, 90, 61), np.linspace(-180, 180, 121)
LAT, LON = turned((LAT_EDGES[1:] + LAT_EDGES[:-1]) / 2, (LON_EDGES[1:] + LON_EDGES[:-1]) / 2)
VERTICES = quadrilaterals(LAT_EDGES, LON_EDGES)
EUROPE = turned(np.arange(-22, 22, 1.0), np.arange(-25, 18, 1.0))


def fibonacci(count):
    """Points that are spread evenly, degrees."""
    index = np.arange(count) + 0.5
    return np.rad2deg(np.arcsin(1 - 2 * index / count)), (np.rad2deg(np.pi * (1 + 5**0.5) * index) + 180) % 360 - 180


def share(corners, target=GLOBE):
    return np.asarray(overlap_weights(*corners, target).sum(1)).reshape(target.shape)


def areas(corners):
    return GLOBE.area.ravel() @ overlap_weights(*corners, GLOBE)


def test_a_global_grid_closes_on_itself_by_its_own_data():
    for lat, lon in ((LAT, LON), (LAT.T, LON.T), (LAT[::-1], LON[:, ::-1][::-1])):
        corners = cell_corners(lat, lon)
        assert corners[0].shape == (lat.size, 4)
        np.testing.assert_allclose(share(corners), 1, rtol=0, atol=1e-6)


def test_guessed_corners_of_an_area_are_its_own():
    lat, lon = EUROPE
    guessed = cell_corners(lat, lon)
    own = quadrilaterals(np.arange(-22.5, 22, 1.0), np.arange(-25.5, 18, 1.0))
    apart = np.linalg.norm(to_vectors(*guessed) - to_vectors(*(part.reshape(-1, 4) for part in own)), axis=-1)
    assert np.rad2deg(apart.max()) < 0.01


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_overlap_columns_and_the_fold_count_once(columns):
    """As ORCA: the first columns again at the end, and the last row once more, from the other side."""
    fold = 6  # rows beyond the rotated pole are the same rows mirrored
    again = np.arange(120 + columns) % 120
    lat, lon = LAT[:, again], LON[:, again]
    beyond = slice(-1, -1 - fold, -1), (again + 60) % 120
    lat, lon = (np.concatenate([part, own[beyond[0]][:, beyond[1]]]) for part, own in ((lat, LAT), (lon, LON)))
    corners = cell_corners(lat, lon)
    kept = ~np.isnan(corners[0]).any(1)
    assert kept.sum() == LAT.size
    np.testing.assert_allclose(share(corners), 1, rtol=0, atol=1e-6)
    assert areas(corners)[~kept].max() == 0


def test_rows_of_a_grid_at_the_poles_are_wedges_not_copies():
    lat, lon = np.meshgrid(np.linspace(-90, 90, 46), np.arange(0, 360, 4.0), indexing="ij")
    corners = cell_corners(lat, lon)
    assert np.isfinite(corners[0]).all()
    np.testing.assert_allclose(share(corners), 1, rtol=0, atol=1e-6)


def test_the_files_corners_are_taken():
    centres = to_vectors(LAT, LON)[:, :, None]
    vertices = to_degrees(centres + 0.5 * (to_vectors(*VERTICES) - centres))
    got = cell_corners(LAT, LON, *vertices)
    np.testing.assert_array_equal(got, [part.reshape(-1, 4) for part in vertices])


@pytest.mark.parametrize("fault", ["missing", "crossed", "radians", "elsewhere", "all one point", "one corner"])
def test_corners_that_cannot_be_are_guessed_instead(fault):
    lat_vertices, lon_vertices = (part.copy() for part in VERTICES)
    if fault == "missing":
        lat_vertices[:] = 1e20
    elif fault == "crossed":
        lat_vertices, lon_vertices = (part[..., [0, 2, 1, 3]] for part in VERTICES)
    elif fault == "radians":
        lat_vertices, lon_vertices = np.deg2rad(VERTICES)
    elif fault == "elsewhere":
        lat_vertices, lon_vertices = np.roll(lat_vertices, 5, 0), np.roll(lon_vertices, 5, 0)
    elif fault == "all one point":
        lat_vertices[:], lon_vertices[:] = LAT[..., None], LON[..., None]
    else:
        lat_vertices, lon_vertices = lat_vertices[..., :1], lon_vertices[..., :1]
    np.testing.assert_array_equal(cell_corners(LAT, LON, lat_vertices, lon_vertices), cell_corners(LAT, LON))


@pytest.mark.parametrize("corners", [3, 4, 6])
def test_a_few_broken_corners_are_mended_by_the_guess(corners):
    lat, lon = EUROPE
    own = quadrilaterals(np.arange(-22.5, 22, 1.0), np.arange(-25.5, 18, 1.0))
    lat_vertices, lon_vertices = (part[..., np.minimum(np.arange(corners), 3)] for part in own)
    lat_vertices[10, 5], lon_vertices[30, 20] = np.nan, 1e30
    got, guess = cell_corners(lat, lon, lat_vertices, lon_vertices), cell_corners(lat, lon)
    assert np.isfinite(got).all()
    place = 10 * lat.shape[1] + 5
    np.testing.assert_array_equal(got[0][place, :4], guess[0][place])
    np.testing.assert_array_equal(got[0][place + 1, :3], lat_vertices[10, 6, :3])


def test_centres_that_are_missing_do_not_matter_where_corners_are_sound():
    lat, lon = LAT.copy(), LON.copy()
    lat[20:30, 5:40] = lon[20:30, 5:40] = np.nan
    np.testing.assert_allclose(share(cell_corners(lat, lon, *VERTICES)), 1, rtol=0, atol=1e-9)


def test_two_bounds_of_unstructured_cells_are_boxes():
    lat, lon = (part.ravel() for part in np.meshgrid(np.arange(-87, 90, 6.0), np.arange(3, 360, 6.0), indexing="ij"))
    corners = cell_corners(lat, lon, np.stack([lat - 3, lat + 3], -1), np.stack([lon - 3, lon + 3], -1))
    np.testing.assert_allclose(share(corners), 1, rtol=0, atol=1e-10)


def test_voronoi_cells_of_a_globe():
    lat, lon = fibonacci(5000)
    lat, lon = np.append(lat, lat[:7]), np.append(lon, lon[:7] + 360)
    corners = cell_corners(lat, lon)
    assert np.flatnonzero(np.isnan(corners[0]).any(1)).tolist() == list(range(5000, 5007))
    np.testing.assert_allclose(share(corners), 1, rtol=0, atol=1e-9)
    np.testing.assert_allclose(areas(corners)[100:4900] / (4 * np.pi / 5000), 1, rtol=0.01)


@pytest.mark.parametrize("centre", [(20.0, 50.0), (175.0, -70.0), (0.0, 88.0)])
def test_voronoi_cells_end_where_a_limited_area_ends(centre):
    lat, lon = fibonacci(20000)
    inside = to_vectors(lat, lon) @ to_vectors(*np.array(centre)[::-1]) > np.cos(np.deg2rad(20))
    corners = cell_corners(lat[inside], lon[inside])
    assert areas(corners).sum() == pytest.approx(inside.sum() * 4 * np.pi / 20000, rel=0.04)
    assert areas(corners).max() < 2 * 4 * np.pi / 20000


def test_too_few_cells_do_not_tell_their_size():
    with pytest.raises(InputError, match="1 x 4 cells"):
        cell_corners(np.zeros((1, 4)), np.arange(4.0)[None])
    with pytest.raises(InputError, match="5 cells without corners"):
        cell_corners(*fibonacci(5))


@pytest.mark.parametrize(("shift", "west", "east"), [(0.0, -20.0, 45.0), (150.0, 130.0, 195.0), (185.0, 165.0, 230.0)])
def test_the_region_of_an_area_is_the_box_of_its_whole_blocks(shift, west, east):
    lat, lon = np.meshgrid(np.arange(31.0, 74, 1.0), np.arange(-20.5, 46.5, 1.0) + shift, indexing="ij")
    lon = (lon + 180) % 360 - 180
    region = covered_by_points(CellCenters(lat, lon), 5.0)
    assert region == Region(west, east, 35, 70)


def test_the_region_of_a_rotated_area_and_of_globes():
    points = CellCenters(*EUROPE)
    region = covered_by_points(points, 5.0)
    covered = share(points.corners, block_grid(5.0, region)) >= 0.97
    assert all(covered[side].any() for side in (0, -1, (slice(None), 0), (slice(None), -1)))
    assert covered.sum() == (share(points.corners) >= 0.97).sum()
    assert region.west < 0 < region.east < 90
    assert covered_by_points(CellCenters(LAT, LON), 5.0) == Region(0, 360, -90, 90)
    assert covered_by_points(CellCenters(*fibonacci(3000)), 10.0) == Region(0, 360, -90, 90)
    cap = CellCenters(*(part[np.abs(LAT) > 62] for part in (LAT, LON)))
    assert covered_by_points(cap, 5.0) == Region(0, 360, -90, 90)


def test_an_area_of_no_whole_block_is_refused():
    small = CellCenters(*turned(np.arange(-2, 2, 0.5), np.arange(-2, 2, 0.5)))
    with pytest.raises(ConfigError, match="not even one whole block of 5 degrees"):
        covered_by_points(small, 5.0)


def test_typical_widths():
    assert typical_width(CellCenters(*EUROPE)) == pytest.approx(0.98, abs=0.02)
    assert typical_width(CellCenters(*fibonacci(5000))) == pytest.approx(
        np.rad2deg(np.sqrt(4 * np.pi / 5000)), rel=0.01
    )


def test_points_of_a_regular_grid_in_a_row_keep_their_narrow_polar_cells():
    lat, lon = (part.ravel() for part in np.meshgrid(np.arange(-89, 90, 2.0), np.arange(0, 360, 2.0), indexing="ij"))
    np.testing.assert_allclose(share(cell_corners(lat, lon)), 1, rtol=0, atol=1e-9)


def test_points_along_a_line_cover_no_area():
    place = np.linspace(-1, 1, 60)
    assert share(cell_corners(45 + 20 * place, 100 + 30 * place**3)).max() < 0.9


@pytest.mark.parametrize("axis", [0, 1])
def test_faces_of_a_cubed_sphere_side_by_side(axis):
    x, y = np.meshgrid(*[np.tan((np.arange(16) + 0.5) / 16 * np.pi / 2 - np.pi / 4)] * 2)
    one = np.ones_like(x)
    faces = (one, x, y), (-x, one, y), (-one, -x, y), (x, -one, y), (-y, x, one), (y, x, -one)
    lat, lon = to_degrees(np.concatenate([np.stack(face, -1) for face in faces], axis=axis))
    np.testing.assert_allclose(share(cell_corners(lat, lon)), 1, rtol=0, atol=1e-9)


def test_corners_half_a_cell_aside_are_not_believed():
    """As a file whose vertices belong to the staggered cells beside."""
    lat, lon = np.meshgrid(np.arange(31.0, 59.0, 2.0), np.arange(-9.0, 39.0, 2.0), indexing="ij")
    lat, lon = lat + 0.05 * lon, lon - 0.05 * lat
    offsets = ((-1, -1), (-1, 1), (1, 1), (1, -1))
    for aside in (0.0, 1.0):
        vertices = [np.stack([part + aside + step[k] for step in offsets], -1) for k, part in enumerate((lat, lon))]
        corners = CellCenters(lat, lon, *vertices).corners
        middle = corners[1].mean(1).reshape(lat.shape)[3:-3, 3:-3]
        np.testing.assert_allclose(middle, lon[3:-3, 3:-3], atol=0.1)
