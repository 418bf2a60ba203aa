"""Winds of rotated and projected grids turned to east and north, against winds and projections in closed form."""

import numpy as np
import pytest

from zssd_cli.errors import InputError
from zssd_cli.grids.cells import CellCenters
from zssd_cli.grids.corners import to_degrees, to_vectors
from zssd_cli.grids.rotation import grid_angle, to_east_north

ROTATED = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0,
}


def rotated_grid(lat, lon, mapping=ROTATED):
    """Centres of a regular grid in rotated coordinates, and the unit vectors of its two axes, (n_y, n_x, 3)."""
    lat, lon = np.meshgrid(np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
    tilt, turn = (np.deg2rad(mapping[f"grid_north_pole_{name}"]) for name in ("latitude", "longitude"))
    pole = np.array([np.cos(tilt) * np.cos(turn), np.cos(tilt) * np.sin(turn), np.sin(tilt)])
    front = np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), -np.cos(tilt)])
    side = np.cross(pole, front)

    def place(x, y, z):
        return x[..., None] * front + y[..., None] * side + z[..., None] * pole

    centres = place(np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat))
    along = place(-np.sin(lon), np.cos(lon), np.zeros_like(lon))
    up = place(-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat))
    return CellCenters(*to_degrees(centres)), along, up


def solid_body(points, axis):
    """Wind of a rotation about an axis: as vectors, and its parts to east and north, (n_y, n_x)."""
    wind = np.cross(np.asarray(axis, float), to_vectors(points.lat, points.lon))
    lat, lon = np.deg2rad(points.lat), np.deg2rad(points.lon)
    east = -np.sin(lon) * wind[..., 0] + np.cos(lon) * wind[..., 1]
    north = -np.sin(lat) * (np.cos(lon) * wind[..., 0] + np.sin(lon) * wind[..., 1]) + np.cos(lat) * wind[..., 2]
    return wind, east, north


@pytest.mark.parametrize("axis", [(0, 0, 10.0), (3.0, -8, 4)])
@pytest.mark.parametrize(("mapping", "tolerance"), [(ROTATED, 1e-12), (None, 6e-3)])
@pytest.mark.parametrize("area", ["europe", "globe"])
def test_a_rotating_wind_on_a_rotated_grid(axis, mapping, tolerance, area):
    lat, lon = (np.arange(-20, 20, 1.0), np.arange(-25, 15, 1.0)) if area == "europe" else (
        np.arange(-89, 90, 2.0), np.arange(-180, 180, 2.0))  # fmt: skip
    points, along, up = rotated_grid(lat, lon)
    wind, east, north = solid_body(points, axis)
    x_wind, y_wind = (wind * along).sum(-1), (wind * up).sum(-1)
    assert np.abs(x_wind - east).max() > 1
    got = to_east_north(np.stack([x_wind, 2 * x_wind]), np.stack([y_wind, 2 * y_wind]), grid_angle(points, mapping))
    for part, right in zip(got, (east, north), strict=True):
        np.testing.assert_allclose(part, [right, 2 * right], rtol=0, atol=10 * tolerance)


def test_columns_from_east_to_west_are_told_or_known_from_the_mapping():
    points, *_ = rotated_grid(np.arange(-5, 5, 1.0), np.arange(-8, 8, 1.0))
    back = CellCenters(points.lat[:, ::-1], points.lon[:, ::-1])
    right = grid_angle(points)[:, ::-1]
    np.testing.assert_allclose(grid_angle(back, x_descends=True), right, atol=1e-12)
    np.testing.assert_allclose(grid_angle(back, ROTATED), grid_angle(points, ROTATED)[:, ::-1], atol=1e-12)
    rows = CellCenters(points.lat[::-1], points.lon[::-1])
    np.testing.assert_allclose(grid_angle(rows), grid_angle(points)[::-1], atol=1e-12)


def lambert_angle(lat, lon, mapping):
    """By the inverse projection of two points of a line of constant y, on the sphere: sampled, not derived."""
    first, second = np.deg2rad(np.resize(mapping["standard_parallel"], 2))
    n = np.sin(first) if first == second else np.log(np.cos(first) / np.cos(second)) / np.log(
        np.tan(np.pi / 4 + second / 2) / np.tan(np.pi / 4 + first / 2))  # fmt: skip
    scale = np.cos(first) * np.tan(np.pi / 4 + first / 2) ** n / n
    rho = scale / np.tan(np.pi / 4 + np.deg2rad(lat) / 2) ** n
    turn = n * np.deg2rad(lon - mapping["longitude_of_central_meridian"])
    x, y = rho * np.sin(turn) + 1e-6, -rho * np.cos(turn)
    rho, turn = np.sign(n) * np.hypot(x, y), np.arctan2(np.sign(n) * x, -np.sign(n) * y)
    new_lat = 2 * np.arctan((scale / rho) ** (1 / n)) - np.pi / 2
    new_lon = turn / n + np.deg2rad(mapping["longitude_of_central_meridian"])
    return np.arctan2(new_lat - np.deg2rad(lat), (new_lon - np.deg2rad(lon)) * np.cos(np.deg2rad(lat)))


@pytest.mark.parametrize("parallels", [25.0, (30.0, 60.0), (-20.0, -50.0), [49.5]])
def test_lambert(parallels):
    mapping = {
        "grid_mapping_name": "lambert_conformal_conic",
        "standard_parallel": parallels,
        "longitude_of_central_meridian": 175.0,
    }
    lat, lon = np.array([30.0, 45, 60]) * np.sign(np.ravel(parallels)[0]), np.array([150.0, 175, 215])
    got = grid_angle(CellCenters(lat, lon - 360 * (lon > 180)), mapping)
    np.testing.assert_allclose(got, lambert_angle(lat, lon, mapping), atol=1e-5)
    assert abs(got[0]) > 0.1


@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_polar_stereographic_agrees_with_the_centres(pole):
    x, y = np.meshgrid(np.arange(-0.3, 0.3, 0.02) + 0.011, np.arange(-0.3, 0.3, 0.02) + 0.007)
    sign, meridian = np.sign(pole), -45.0
    lat = sign * (90 - 2 * np.rad2deg(np.arctan(np.hypot(x, y) / 2)))
    points = CellCenters(lat, meridian + np.rad2deg(np.arctan2(x, -sign * y)))
    mapping = {
        "grid_mapping_name": "polar_stereographic",
        "latitude_of_projection_origin": pole,
        "straight_vertical_longitude_from_pole": meridian,
    }
    apart = grid_angle(points, mapping) - grid_angle(points)
    assert np.abs((apart + np.pi) % (2 * np.pi) - np.pi)[np.hypot(x, y) > 0.1].max() < 0.02


def test_what_cannot_be_turned_is_refused():
    scattered = CellCenters(np.linspace(0, 10, 9), np.linspace(0, 10, 9))
    with pytest.raises(InputError, match="unstructured.*'oblique'"):
        grid_angle(scattered, {"grid_mapping_name": "oblique"})
    with pytest.raises(InputError, match="lacks grid_north_pole_longitude"):
        grid_angle(scattered, {**ROTATED, "grid_north_pole_longitude": np.nan})
    assert grid_angle(scattered, ROTATED).shape == (9,)
    points, *_ = rotated_grid(np.arange(-5, 5, 1.0), np.arange(-8, 8, 1.0))
    pieces = CellCenters(np.roll(points.lat, 5, 0), np.roll(points.lon, 5, 0))
    with pytest.raises(InputError, match="of several pieces"):
        grid_angle(pieces)
