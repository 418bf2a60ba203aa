"""Which way a wind component points: east and north, or along the axes of a grid that is turned against them."""

import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.series.layout import Layout
from zssd_cli.variables import Variable

_ALONG_GRID = ("x_wind", "y_wind", "grid_eastward_wind", "grid_northward_wind")


def refuse_turned(dataset: xr.Dataset, array: xr.DataArray, layout: Layout, variable: Variable) -> None:
    """Raise :class:`InputError` where a component points along the axes of a turned grid, also after that was remapped."""
    along = str(array.attrs.get("standard_name", ""))
    if not variable.component or along not in _ALONG_GRID:
        return
    mapping = turned_by(dataset, array)
    if mapping is None and layout.grid is not None:
        return
    grid = f"a grid of {mapping}" if mapping else "a curvilinear grid"
    msg = (
        f"{array.name} is {along} along the axes of {grid}, expected {variable.standard_name}; "
        "turn the wind to east and north first (cdo rotuvb,uas,vas), then remap it."
    )
    raise InputError(msg)


def turned_by(dataset: xr.Dataset, array: xr.DataArray) -> str | None:
    """The mapping of a grid whose axes are not east and north, also where only its traces are left; None for none."""
    named = str(array.attrs.get("grid_mapping", array.encoding.get("grid_mapping", ""))).split(":")[0].strip()
    mappings = [dataset[named].attrs] if named in dataset.variables else [v.attrs for v in dataset.variables.values()]
    for attributes in mappings:
        mapping = str(attributes.get("grid_mapping_name", ""))
        if mapping and mapping != "latitude_longitude":
            return mapping
    if "CORDEX_domain" in dataset.attrs or {"rlat", "rlon"} & {str(d) for d in dataset.dims}:
        return "rotated_latitude_longitude"
    return None
