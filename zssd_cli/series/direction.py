"""Which way a wind component points: east and north, or along the axes of a grid that is turned against them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.grids.rotation import grid_angle, to_east_north
from zssd_cli.series.finding import find
from zssd_cli.series.identity import ALONG_GRID
from zssd_cli.series.layout import Layout
from zssd_cli.variables import VARIABLES, Variable

_PLAIN = ("", "latitude_longitude")
_UNTURNED = ("regular_ll", "regular_gg", "reduced_gg", "reduced_ll", "sh")
_GRID_WORDS = re.compile(
    r"\bgrid[- ]?(relative|direction|oriented)|rotated (grid|pole)|\b[xy][- ]?component|(along|in|on) (the )?(model|rotated|native) grid",
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)
class Turn:
    """How a component along a grid's axis becomes one to the east or north.

    Attributes
    ----------
    other
        The component along the other axis, of the same file, dimensions and units.
    angle
        From east to the grid's x axis, radians anticlockwise, (*points).
    east
        True for the eastward component, which lies along x in the file.
    """

    other: xr.DataArray
    angle: np.ndarray
    east: bool

    def __call__(self, mine: np.ndarray, its: np.ndarray) -> np.ndarray:
        """The component to the east or north from both along the grid, (time, *points) each."""
        x, y = (mine, its) if self.east else (its, mine)
        return to_east_north(x, y, self.angle)[0 if self.east else 1]


def turn_of(dataset: xr.Dataset, array: xr.DataArray, layout: Layout, variable: Variable) -> Turn | None:
    """How to turn an array; None where it needs no turning.

    Raises
    ------
    InputError
        It points along the axes of a turned grid and the file does not tell how to turn it: the grid was remapped, the other
        component is not there, the grid is unstructured.
    """
    if not variable.component:
        return None
    mapping, along = mapping_of(dataset, array), _along(array)
    if along is None:
        _refuse_unclear(dataset, array, variable, mapping)
        return None
    if layout.points is None:
        if mapping is None and along in ("x_wind", "y_wind"):
            return None
        grid = mapping["grid_mapping_name"] if mapping else "another kind"
        msg = (
            f"{array.name} is {along}, along the axes of a grid of {grid} that was remapped since; "
            f"expected {variable.standard_name}: turn the wind first (cdo rotuvb,uas,vas), then remap it."
        )
        raise InputError(msg)
    other = _other_component(dataset, array, variable)
    descends = layout.dims[-1] in dataset.coords and bool(np.all(np.diff(dataset[layout.dims[-1]].values) < 0))
    if mapping is None and any(part in layout.dims[0].lower() for part in ("x", "lon", "west")):
        msg = (
            f"{array.name} has its dimensions in the order {layout.dims}, expected (y, x) for a wind along the grid's axes; "
            f"transpose them (ncpdq -a {layout.dims[-1]},{layout.dims[0]})."
        )
        raise InputError(msg)
    return Turn(
        other, grid_angle(layout.points, mapping, x_descends=descends), variable.standard_name == "eastward_wind"
    )


def _along(array: xr.DataArray) -> str | None:
    """The words by which an array says that it points along the axes of its grid; None where it does not."""
    standard, long_name = (str(array.attrs.get(key, "")) for key in ("standard_name", "long_name"))
    if any(standard in names for names in ALONG_GRID.values()):
        return standard
    turned = str(array.attrs.get("GRIB_gridType", "regular_ll")) not in _UNTURNED
    if turned and str(array.attrs.get("GRIB_uvRelativeToGrid", "")) == "1":
        return "relative to its grid (GRIB uvRelativeToGrid)"
    return f"along its grid (long_name {long_name!r})" if _GRID_WORDS.search(long_name) else None


def _refuse_unclear(
    dataset: xr.Dataset, array: xr.DataArray, variable: Variable, mapping: Mapping[str, Any] | None
) -> None:
    """Raise :class:`InputError` where a grid is, or was, turned and the array does not say which way it points."""
    named = str(array.attrs.get("standard_name", "")) == variable.standard_name
    weather = "OUTPUT FROM WRF" in str(dataset.attrs.get("TITLE", ""))
    if named or not (weather or mapping is not None):
        return
    grid = "WRF output" if weather else f"a grid of {mapping['grid_mapping_name']}" if mapping else "a turned grid"
    msg = (
        f"{array.name} is of {grid} and does not say whether it points east or along the grid's axes; set its standard_name to "
        f"{variable.standard_name}, or to {ALONG_GRID[variable.standard_name][0]} to have it turned."
    )
    raise InputError(msg)


def _other_component(dataset: xr.Dataset, array: xr.DataArray, variable: Variable) -> xr.DataArray:
    partner = next(
        v for v in VARIABLES.values() if v.component and v.height == variable.height and v.name != variable.name
    )
    other = find(dataset, partner).array
    alike = other is not None and other.dims == array.dims and other.attrs.get("units") == array.attrs.get("units")
    if other is not None and alike and _along(other) is None:
        msg = (
            f"{array.name} is {_along(array)} but {other.name} of the same file is not: one of them is named wrongly; "
            "correct its standard_name."
        )
        raise InputError(msg)
    if other is None or not alike:
        msg = (
            f"{array.name} is {_along(array)}, along the axes of its grid, and {partner.cmip6} is not in the "
            "same file with the same dimensions and units; give both in one file (cdo merge)."
        )
        raise InputError(msg)
    return other


def mapping_of(dataset: xr.Dataset, array: xr.DataArray) -> Mapping[str, Any] | None:
    """Attributes of the mapping of a grid whose axes are not east and north, also where only its traces are left."""
    named = str(array.attrs.get("grid_mapping", array.encoding.get("grid_mapping", ""))).split(":")[0].strip()
    mappings = [dataset[named].attrs] if named in dataset.variables else [v.attrs for v in dataset.variables.values()]
    turned = [attributes for attributes in mappings if str(attributes.get("grid_mapping_name", "")) not in _PLAIN]
    if turned:
        return turned[0]
    return {"grid_mapping_name": "a CORDEX domain"} if "CORDEX_domain" in dataset.attrs else None
