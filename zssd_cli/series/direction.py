"""Which way a wind component points: east and north, or along the axes of a grid that is turned against them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.grids.rotation import grid_angle, to_east_north
from zssd_cli.series.finding import find
from zssd_cli.series.layout import Layout
from zssd_cli.variables import VARIABLES, Variable

_ALONG_GRID = ("x_wind", "y_wind", "grid_eastward_wind", "grid_northward_wind")
_PLAIN = ("", "latitude_longitude")


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
    along = str(array.attrs.get("standard_name", ""))
    if not variable.component or along not in _ALONG_GRID:
        return None
    mapping = mapping_of(dataset, array)
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
    angle = grid_angle(layout.points, mapping, x_descends=descends)
    return Turn(other, angle, variable.standard_name == "eastward_wind")


def _other_component(dataset: xr.Dataset, array: xr.DataArray, variable: Variable) -> xr.DataArray:
    partner = next(
        v for v in VARIABLES.values() if v.component and v.height == variable.height and v.name != variable.name
    )
    other = find(dataset, partner).array
    if other is None or other.dims != array.dims or other.attrs.get("units") != array.attrs.get("units"):
        msg = (
            f"{array.name} is {array.attrs['standard_name']}, along the axes of its grid, and {partner.cmip6} is not in the "
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
