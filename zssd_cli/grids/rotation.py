r"""Winds along the axes of a rotated or projected grid turned to east and north.

Where the grid's x axis lies :math:`\alpha` anticlockwise of east,

.. math:: u = x \cos \alpha - y \sin \alpha, \qquad v = x \sin \alpha + y \cos \alpha .

* ``rotated_latitude_longitude``: x runs round the rotated pole :math:`P`: along :math:`P \times r` at a point :math:`r`.
* ``lambert_conformal_conic``, ``polar_stereographic``: :math:`\alpha = -n (\lambda - \lambda_0)` with the cone's constant n,
  1 and -1 at the poles (Snyder 1987, Map Projections, eq. 14-4, 15-3, 21-8).
* Other curvilinear grids: the direction from each centre's neighbour before to the one after along x.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from zssd_cli.errors import InputError
from zssd_cli.grids.cells import CellCenters
from zssd_cli.grids.corners import to_vectors, torn, with_neighbours


def grid_angle(
    points: CellCenters, mapping: Mapping[str, Any] | None = None, *, x_descends: bool = False
) -> np.ndarray:
    """The angle from east to the grid's x axis at each centre, radians anticlockwise, the shape of ``points.lat``.

    Parameters
    ----------
    points
        Centres, (n_y, n_x); any shape where ``mapping`` says how the grid lies.
    mapping
        Attributes of the grid mapping variable (CF conventions, appendix F), if the file has one.
    x_descends
        The grid's own x coordinate falls along the last dimension. Matters where the centres alone tell the angle.

    Raises
    ------
    InputError
        A grid that is unstructured or in pieces without a mapping that is known here, or a mapping that lacks a number.
    """
    name = str((mapping or {}).get("grid_mapping_name", ""))
    if mapping is not None and name == "rotated_latitude_longitude":
        pole = to_vectors(_number(mapping, "grid_north_pole_latitude"), _number(mapping, "grid_north_pole_longitude"))
        return _direction(points, np.cross(pole, to_vectors(points.lat, points.lon)))
    if mapping is not None and name in _CONES:
        cone, meridian = _CONES[name](mapping)
        return -np.deg2rad(cone * ((points.lon - meridian + 180.0) % 360.0 - 180.0))
    if points.lat.ndim != 2 or torn(points.lat, points.lon):
        kind = "unstructured" if points.lat.ndim != 2 else "of several pieces"
        msg = (
            f"winds along a grid's own axes cannot be turned to east and north: the grid is {kind} and its "
            f"grid_mapping_name is {name!r}. Give eastward_wind and northward_wind."
        )
        raise InputError(msg)
    wide = with_neighbours(to_vectors(points.lat, points.lon).swapaxes(0, 1)).swapaxes(0, 1)
    return _direction(points, (wide[:, 2:] - wide[:, :-2]) * (-1 if x_descends else 1))


def to_east_north(x_wind: np.ndarray, y_wind: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eastward and northward wind from those along x and y, (..., *cells), and :func:`grid_angle`, (*cells)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return x_wind * cosine - y_wind * sine, x_wind * sine + y_wind * cosine


def _direction(points: CellCenters, along: np.ndarray) -> np.ndarray:
    """The angle from east to vectors, (..., 3), at the points."""
    lat, lon = np.deg2rad(points.lat), np.deg2rad(points.lon)
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=-1)
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=-1)
    return np.arctan2((along * north).sum(-1), (along * east).sum(-1))


def _number(mapping: Mapping[str, Any], name: str, position: int = 0) -> float:
    values = np.atleast_1d(mapping.get(name, np.nan))
    value = float(values[min(position, values.size - 1)])
    if not np.isfinite(value):
        msg = f"the grid mapping {mapping['grid_mapping_name']} lacks {name}; repair the file or give eastward_wind."
        raise InputError(msg)
    return value


def _lambert(mapping: Mapping[str, Any]) -> tuple[float, float]:
    """The cone's constant, on the sphere, and the central meridian."""
    first, second = (np.deg2rad(_number(mapping, "standard_parallel", k)) for k in (0, 1))
    cone = float(np.sin(first))
    if abs(first - second) > 1e-9:
        slopes = np.log(np.tan(np.pi / 4 + second / 2) / np.tan(np.pi / 4 + first / 2))
        cone = float(np.log(np.cos(first) / np.cos(second)) / slopes)
    return cone, _number(mapping, "longitude_of_central_meridian")


def _stereographic(mapping: Mapping[str, Any]) -> tuple[float, float]:
    pole = np.sign(_number(mapping, "latitude_of_projection_origin"))
    return float(pole), _number(mapping, "straight_vertical_longitude_from_pole")


_CONES = {"lambert_conformal_conic": _lambert, "polar_stereographic": _stereographic}
