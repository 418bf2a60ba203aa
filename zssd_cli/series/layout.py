"""Where the cells of an array lie, and how to turn its own order of dimensions and directions into (lat, lon)."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.grids.bounds import rectilinear_grid
from zssd_cli.grids.cells import CellCenters
from zssd_cli.grids.latlon import LatLonGrid

_NAMES = {
    "latitude": {"lat", "latitude", "nav_lat", "xlat", "tlat", "clat", "lats", "geolat"},
    "longitude": {"lon", "longitude", "nav_lon", "xlong", "tlong", "clon", "lons", "long", "geolon"},
}
_UNITS = {
    "latitude": {"degrees_north", "degree_north", "degrees_n", "degree_n", "degreen", "degreesn"},
    "longitude": {"degrees_east", "degree_east", "degrees_e", "degree_e", "degreee", "degreese"},
}
_PLAIN_UNITS = {"", "1", "degree", "degrees", "deg", "radian", "radians", "rad"}
_STATIONS = {
    "station",
    "stations",
    "location",
    "locations",
    "site",
    "sites",
    "obs",
    "profile",
    "trajectory",
    "city",
    "cities",
    "ncities",
}
_MESHES = {
    "ncells",
    "ncell",
    "ncol",
    "cell",
    "cells",
    "i",
    "values",
    "nod2",
    "ncells_2",
    "cell2d",
    "grid_size",
    "lndgrid",
    "nface",
    "nmesh2d_face",
}
_POLE, _FARTHEST = 90.0 + 1e-3, 721.0
"""Largest latitude and longitude that are no fill values."""
_SLACK = 0.01
"""Part of a cell by which two files may write the same centre with other digits."""
_FEW_POINTS = 200
"""Fewer scattered points than this, without a model's name for the dimension, are stations."""


@dataclass(frozen=True, eq=False)
class Layout:
    """The horizontal part of an array.

    Attributes
    ----------
    dims
        The array's horizontal dimensions in the order (lat, lon), or those of the points.
    grid, points
        Where the cells lie; exactly one is not None.
    rows, columns
        Positions along ``dims`` that give the grid's order; None for points.
    notes
        What was not as it should be, a line each.
    """

    dims: tuple[str, ...]
    grid: LatLonGrid | None = None
    points: CellCenters | None = None
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_lat, n_lon), or the shape of the points."""
        if self.grid is not None:
            return self.grid.shape
        return () if self.points is None else self.points.lat.shape

    @property
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes: of the grid's rows and columns, or of the points."""
        place = self.grid if self.grid is not None else self.points
        if place is None:
            msg = "a layout has a grid or points"
            raise ValueError(msg)
        return place.lat, place.lon

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """Values (time, *dims) in the file's order as (time, lat, lon) or (time, *points)."""
        if self.rows is None or self.columns is None:
            return values
        return values[:, self.rows[:, None], self.columns[None, :]]


def find_layout(dataset: xr.Dataset, array: xr.DataArray) -> Layout:
    """The layout of an array of a dataset.

    Raises
    ------
    InputError
        No latitudes and longitudes, broken ones, station data, a single point.
    """
    lat, lon = (_find_coordinate(dataset, array, kind) for kind in ("latitude", "longitude"))
    if lat.ndim == 0 or lon.ndim == 0:
        msg = (
            f"{array.name} is a single point or line, expected a field in latitude and longitude; give a gridded file."
        )
        raise InputError(msg)
    if lat.dims != lon.dims and lat.ndim == lon.ndim == 1:
        return _rectilinear(dataset, lat, lon)
    if set(lat.dims) != set(lon.dims):
        msg = f"{array.name}: latitude has the dimensions {lat.dims} but longitude {lon.dims}; repair the coordinates."
        raise InputError(msg)
    if lat.ndim == 1:
        _refuse_stations(dataset, array, lat)
    return _points(dataset, lat, lon.transpose(*lat.dims))


def _find_coordinate(dataset: xr.Dataset, array: xr.DataArray, kind: str) -> xr.DataArray:
    """The latitude or longitude of an array: dimension coordinates first, then auxiliary ones."""
    found = [
        dataset[name]
        for name, candidate in dataset.variables.items()
        if set(candidate.dims) <= set(array.dims)
        and candidate.dtype.kind in "fiu"
        and _is_kind(str(name), candidate, kind)
    ]
    if not found:
        rotated = any(
            str(v.attrs.get("standard_name", "")).startswith(("grid_l", "projection_"))
            for v in dataset.variables.values()
        )
        hint = (
            "it has only rotated or projected coordinates"
            if rotated
            else f"dimensions are {', '.join(map(str, array.dims))}"
        )
        msg = f"{array.name} has no {kind} coordinate ({hint}); add coordinates in degrees_north and degrees_east."
        raise InputError(msg)
    named = str(array.encoding.get("coordinates", array.attrs.get("coordinates", ""))).split()
    # coordinates of two dimensions that the array names come before its axes, which are nominal then (MOM's tripolar grids)
    found.sort(key=lambda c: (not (c.ndim == 2 and str(c.name) in named), c.name not in array.dims, str(c.name) not in named,
                              c.ndim == 0, str(c.name)))  # fmt: skip
    return found[0]


def _is_kind(name: str, candidate: xr.Variable, kind: str) -> bool:
    standard_name = candidate.attrs.get("standard_name")
    if standard_name in ("latitude", "longitude"):
        return standard_name == kind
    units = str(candidate.attrs.get("units", "")).strip().lower()
    if str(standard_name).startswith("projection_") and units not in _UNITS[kind]:
        return False  # CDO names longitude and latitude so where a file has a grid_mapping, and leaves their units
    if str(standard_name).startswith("grid_"):
        return False
    return units in _UNITS[kind] or (name.lower() in _NAMES[kind] and units in _PLAIN_UNITS)


def _degrees(coordinate: xr.DataArray, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return np.rad2deg(values) if str(coordinate.attrs.get("units", "")).strip().lower().startswith("rad") else values


def _bounds(dataset: xr.Dataset, coordinate: xr.DataArray) -> np.ndarray | None:
    """The bounds of a coordinate, its own dimensions first, from its ``bounds`` attribute or by the usual name."""
    named = coordinate.attrs.get("bounds", coordinate.encoding.get("bounds"))
    for name in (named, f"{coordinate.name}_bnds", f"{coordinate.name}_bounds", f"{coordinate.name}_vertices"):
        if (
            name in dataset.variables
            and dataset[name].ndim == coordinate.ndim + 1
            and set(coordinate.dims) < set(dataset[name].dims)
        ):
            corner = next(d for d in dataset[name].dims if d not in coordinate.dims)
            return _degrees(coordinate, dataset[name].transpose(*coordinate.dims, corner).values)
    return None


def _rectilinear(dataset: xr.Dataset, lat: xr.DataArray, lon: xr.DataArray) -> Layout:
    grid, rows, columns = rectilinear_grid(
        _degrees(lat, lat.values), _degrees(lon, lon.values), _bounds(dataset, lat), _bounds(dataset, lon)
    )
    dims = (str(lat.dims[0]), str(lon.dims[0]))
    return Layout(dims, grid=grid, rows=rows.order, columns=columns.order, notes=rows.notes + columns.notes)


def _points(dataset: xr.Dataset, lat: xr.DataArray, lon: xr.DataArray) -> Layout:
    """A curvilinear or unstructured grid, or a rectilinear one that was written with two-dimensional coordinates."""
    dims = tuple(str(d) for d in lat.dims)
    lats, lons = _degrees(lat, lat.values), _degrees(lon, lon.values)
    corners = _vertices(_bounds(dataset, lat), _bounds(dataset, lon))
    if corners[0] is not None:  # ocean models leave the centres of land out
        absent = ~((np.abs(lats) <= _POLE) & (np.abs(lons) <= _FARTHEST))
        lats, lons = np.where(absent, np.nan, lats), np.where(absent, np.nan, lons)
    else:
        _check_finite(lat, lats, _POLE)
        _check_finite(lon, lons, _FARTHEST)
    if lats.ndim == 2:
        for down, a, b in ((True, lats, lons), (False, lats.T, lons.T)):
            if min(lats.shape) > 1 and np.ptp(a, axis=1).max() < 1e-4 and np.ptp(b, axis=0).max() < 1e-4:
                grid, rows, columns = rectilinear_grid(a[:, 0], b[0])
                notes = rows.notes + columns.notes
                return Layout(
                    dims if down else dims[::-1], grid=grid, rows=rows.order, columns=columns.order, notes=notes
                )
    return Layout(dims, points=CellCenters(lats, lons, *corners))


def _vertices(lat: np.ndarray | None, lon: np.ndarray | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Corners of cells, None where they are missing or broken."""
    if lat is None or lon is None or lat.shape != lon.shape:
        return None, None
    if not (np.isfinite(lat).all() and np.isfinite(lon).all() and np.abs(lat).max() <= 91.0):
        return None, None
    return lat, lon


def _check_finite(coordinate: xr.DataArray, values: np.ndarray, largest: float) -> None:
    if values.size == 0 or not np.isfinite(values).all() or np.abs(values).max() > largest:
        msg = f"coordinate {coordinate.name!r} holds missing, fill or out-of-range values; repair the coordinates."
        raise InputError(msg)


def _refuse_stations(dataset: xr.Dataset, array: xr.DataArray, lat: xr.DataArray) -> None:
    dim = str(lat.dims[0]).lower()
    feature = str(dataset.attrs.get("featureType", "")).lower()
    if dim in _MESHES:
        return
    if dim in _STATIONS or feature in ("point", "timeseries", "profile", "trajectory") or lat.size < _FEW_POINTS:
        where = f"{lat.size} points along {lat.dims[0]!r}"
        msg = f"{array.name} is station data ({where}), expected a gridded field; give model output."
        raise InputError(msg)


def same_place(first: Layout, second: Layout) -> bool:
    """True where two layouts have the same cells but for the last digits."""
    if first.grid is not None and second.grid is not None:
        mine, its = first.grid, second.grid
        if mine.shape != its.shape:
            return False
        turn = 360.0 * round((mine.lon[0] - its.lon[0]) / 360.0)
        rows = np.allclose(mine.lat, its.lat, rtol=0, atol=_SLACK * _step(mine.lat))
        return rows and np.allclose(mine.lon, its.lon + turn, rtol=0, atol=_SLACK * _step(mine.lon))
    if first.points is not None and second.points is not None:
        a, b = first.points, second.points
        return (
            a.lat.shape == b.lat.shape
            and np.allclose(a.lat, b.lat, rtol=0, atol=1e-4, equal_nan=True)
            and np.allclose(
                (a.lon - b.lon + 180) % 360, np.where(np.isnan(a.lon), np.nan, 180), rtol=0, atol=1e-4, equal_nan=True
            )
        )
    return False


def _step(centres: np.ndarray) -> float:
    return float(np.abs(np.diff(centres)).min()) if centres.size > 1 else 1.0


def describe(layout: Layout) -> str:
    """The size and place of a layout for messages."""
    if layout.grid is not None:
        grid = layout.grid
        place = f"lat {grid.lat[0]:g}..{grid.lat[-1]:g}, lon {grid.lon[0]:g}..{grid.lon[-1]:g}"
        return f"{grid.shape[0]} x {grid.shape[1]} cells, {place}"
    return f"{' x '.join(str(n) for n in layout.shape)} points"
