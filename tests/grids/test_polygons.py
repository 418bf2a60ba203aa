"""Overlaps of polygons with blocks: whole spheres, rectilinear weights, poles, the seam, chunks."""

import shutil
import subprocess

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import SphericalVoronoi

from zssd_cli.grids import polygons
from zssd_cli.grids.conservative import latitude_weights, longitude_weights
from zssd_cli.grids.corners import to_vectors
from zssd_cli.grids.latlon import LatLonGrid, Region, block_grid
from zssd_cli.grids.polygons import overlap_weights

GLOBE = block_grid(5.0)


def box_corners(lat_edges, lon_edges):
    """Corners of the cells of a rectilinear grid, (n, 4) each."""
    south, west = np.meshgrid(lat_edges[:-1], lon_edges[:-1], indexing="ij")
    north, east = np.meshgrid(lat_edges[1:], lon_edges[1:], indexing="ij")
    lat = np.stack([south, south, north, north], -1).reshape(-1, 4)
    lon = np.stack([west, east, east, west], -1).reshape(-1, 4)
    return lat, lon


def rotated(lat, lon, pole_lat, pole_lon):
    """Where the points of a grid lie whose north pole has been moved there."""
    lat, lon, tilt = np.deg2rad(lat), np.deg2rad(lon), np.deg2rad(90.0 - pole_lat)
    x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    x, z = x * np.cos(tilt) + z * np.sin(tilt), z * np.cos(tilt) - x * np.sin(tilt)
    return np.rad2deg(np.arctan2(z, np.hypot(x, y))), np.rad2deg(np.arctan2(y, x)) + pole_lon


def separable_weights(lat_edges, lon_edges, target):
    return np.kron(latitude_weights(lat_edges, target.lat_edges), longitude_weights(lon_edges, target.lon_edges))


@pytest.mark.parametrize("start", [0.0, -180.0, 359.0, 17.3])
@pytest.mark.parametrize(
    "target", [GLOBE, block_grid(5.0, Region(-20, 45, 30, 75)), block_grid(10.0, Region(170, 200, -90, 0))]
)
def test_rectilinear_cells_give_the_separable_weights(start, target):
    rng = np.random.default_rng(0)
    lat_edges = np.concatenate([[-90.0], np.sort(rng.uniform(-89, 89, 40)), [90.0]])
    lon_edges = start + np.concatenate([[0.0], np.sort(rng.uniform(0, 360, 70)), [360.0]])
    got = overlap_weights(*box_corners(lat_edges, lon_edges), target).toarray()
    np.testing.assert_allclose(got, separable_weights(lat_edges, lon_edges, target), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "turn", ["reversed", "shifted", "filled up", "longitudes of polar corners lost", "other turns"]
)
def test_the_same_cells_written_otherwise(turn):
    lat_edges, lon_edges = np.linspace(-90, 90, 46), np.linspace(0, 360, 91)
    lat, lon = box_corners(lat_edges, lon_edges)
    if turn == "reversed":
        lat, lon = lat[:, ::-1], lon[:, ::-1]
    elif turn == "shifted":
        lat, lon = np.roll(lat, 1, 1), np.roll(lon, 1, 1)
    elif turn == "filled up":
        lat, lon = (np.concatenate([a, a[:, -1:], a[:, -1:]], 1) for a in (lat, lon))
    elif turn == "other turns":
        lon = lon + 360.0 * np.random.default_rng(0).integers(-1, 2, lon.shape)
    else:
        lon = np.where(np.abs(lat) == 90.0, 0.0, lon)
    got = overlap_weights(lat, lon, GLOBE).toarray()
    np.testing.assert_allclose(got, separable_weights(lat_edges, lon_edges, GLOBE), rtol=0, atol=1e-10)


def check_whole_sphere(lat, lon, target=GLOBE, tolerance=1e-9):
    weights = overlap_weights(lat, lon, target)
    assert weights.data.min() >= 0
    np.testing.assert_allclose(weights.sum(1), 1.0, rtol=0, atol=tolerance)
    area = target.area.ravel() @ weights
    assert area.sum() == pytest.approx(4 * np.pi, rel=1e-9)
    return area


@pytest.mark.parametrize("pole", [(90.0, 0.0), (39.25, -162.0), (0.0, 20.0), (89.0, 5.0), (-35.0, 181.0), (85.0, 0.0)])
def test_a_rotated_globe_covers_the_sphere(pole):
    lat, lon = box_corners(np.linspace(-90, 90, 61), np.linspace(0, 360, 91))
    check_whole_sphere(*rotated(lat, lon, *pole))


def test_sides_across_the_pole():
    """A rotated grid whose pole lies on the equator has corners, and turned by half a cell sides, at the poles."""
    for half in (0.0, 2.0):
        lat, lon = box_corners(np.linspace(-90, 90, 46), np.linspace(half, 360 + half, 91))
        check_whole_sphere(*rotated(lat, lon, 0.0, 0.0))


def test_a_cell_that_holds_a_pole_and_is_larger_than_the_blocks():
    for sign in (1, -1):
        lat, lon = np.full((1, 360), sign * 78.0), np.arange(360.0)[None]
        weights = overlap_weights(lat, lon, GLOBE).toarray()[:, 0].reshape(GLOBE.shape)
        inside = np.abs(GLOBE.lat) > 80
        np.testing.assert_allclose(weights[inside & (GLOBE.lat * sign > 0)], 1.0, rtol=1e-12)
        rows = (np.sin(np.deg2rad(80)) - np.sin(np.deg2rad(78))) / (np.sin(np.deg2rad(80)) - np.sin(np.deg2rad(75)))
        np.testing.assert_allclose(weights[(GLOBE.lat * sign > 75) & (GLOBE.lat * sign < 80)], rows, rtol=3e-4)
        assert not weights[GLOBE.lat * sign < 75].any()


def test_sides_of_equal_latitudes_are_great_circles_but_for_boxes():
    """A square round the pole: its middle of a side lies nearer to the pole than its corners."""
    lat, lon = np.full((1, 4), 80.0), np.array([[0.0, 90, 180, 270]])
    area = GLOBE.area.ravel() @ overlap_weights(lat, lon, GLOBE).toarray()[:, 0]
    corner = np.arccos(np.tan(np.deg2rad(10)) * np.cos(np.pi / 4) / np.tan(np.deg2rad(10)))
    side = 2 * np.arctan(1 / (np.tan(corner) * np.cos(np.deg2rad(10))))
    assert area == pytest.approx(4 * side - 2 * np.pi, rel=1e-4)


def voronoi(count, seed=0):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    cells = SphericalVoronoi(points / np.linalg.norm(points, axis=1)[:, None])
    cells.sort_vertices_of_regions()
    most = max(map(len, cells.regions))
    index = np.array([[*region, *[region[-1]] * (most - len(region))] for region in cells.regions])
    x, y, z = np.moveaxis(cells.vertices[index], -1, 0)
    return np.rad2deg(np.arcsin(np.clip(z, -1, 1))), np.rad2deg(np.arctan2(y, x)), cells.calculate_areas()


def test_polygons_of_great_circles_have_their_areas():
    lat, lon, areas = voronoi(2000)
    got = check_whole_sphere(lat, lon)

    np.testing.assert_allclose(got, areas, rtol=1e-4, atol=1e-6)


def test_a_cell_without_corners_covers_nothing_and_chunks_change_nothing(monkeypatch):
    lat, lon, _ = voronoi(500, 1)
    lat[3], lon[40, 1] = np.nan, np.nan
    at_once = overlap_weights(lat, lon, GLOBE)
    monkeypatch.setattr(polygons, "CHUNK", 7)
    np.testing.assert_allclose(overlap_weights(lat, lon, GLOBE).toarray(), at_once.toarray(), rtol=0, atol=1e-15)
    assert at_once[:, [3, 40]].nnz == 0
    assert at_once.shape == (36 * 72, 500)


def test_blocks_of_a_region_have_the_weights_of_the_globes_blocks():
    lat, lon, _ = voronoi(800, 2)
    target = block_grid(5.0, Region(-20, 40, -60, 90))
    columns = np.rint((target.lon - GLOBE.lon[0]) / 5).astype(int) % 72
    rows = np.rint((target.lat - GLOBE.lat[0]) / 5).astype(int)
    blocks = (rows[:, None] * 72 + columns).ravel()
    got = overlap_weights(lat, lon, target).toarray()
    np.testing.assert_allclose(got, overlap_weights(lat, lon, GLOBE).toarray()[blocks], rtol=0, atol=1e-12)


def test_uneven_blocks():
    target = LatLonGrid(
        np.array([0.0, 50]), np.array([10.0, 100]), np.array([-40.0, 40, 60]), np.array([-20.0, 40, 160])
    )
    lat, lon, _ = voronoi(300, 3)
    np.testing.assert_allclose(overlap_weights(lat, lon, target).sum(1), 1.0, rtol=0, atol=1e-9)


@pytest.mark.skipif(shutil.which("cdo") is None, reason="needs cdo")
def test_blocks_of_cdo_remapcon(tmp_path):
    lat, lon = rotated(*box_corners(np.linspace(-90, 90, 37), np.linspace(0, 360, 73)), 39.25, -162.0)
    field = np.random.default_rng(0).normal(size=len(lat))
    given, out, grid = tmp_path / "in.nc", tmp_path / "out.nc", tmp_path / "grid"
    x, y, z = np.moveaxis(to_vectors(lat, lon).mean(1), -1, 0)
    centre = {"units": "degrees_north", "bounds": "lat_b"}, {"units": "degrees_east", "bounds": "lon_b"}
    coords = {"lat": ("cell", np.rad2deg(np.arctan2(z, np.hypot(x, y))), centre[0]),
              "lon": ("cell", np.rad2deg(np.arctan2(y, x)), centre[1]),
              "lat_b": (("cell", "corner"), lat), "lon_b": (("cell", "corner"), lon)}  # fmt: skip
    attributes = {"coordinates": "lat lon", "CDI_grid_type": "unstructured"}
    xr.Dataset({"field": ("cell", field, attributes)}, coords).to_netcdf(given)
    grid.write_text("gridtype=lonlat\nxsize=72\nysize=36\nxfirst=2.5\nxinc=5\nyfirst=-87.5\nyinc=5\n")
    subprocess.run(["cdo", "-s", "-b", "F64", f"remapcon,{grid}", given, out], check=True, capture_output=True)
    with xr.open_dataset(out) as data:
        theirs = data["field"].values
    np.testing.assert_allclose(
        (overlap_weights(lat, lon, GLOBE) @ field).reshape(GLOBE.shape), theirs, rtol=0, atol=5e-4
    )
