"""Which array of a file is the wanted variable: by short name, else by CF standard name with its level or height."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.variables import Variable

_PRESSURE_NAMES = {
    "plev",
    "pressure_level",
    "isobaricinhpa",
    "isobaricinpa",
    "plevel",
    "pressure",
    "level",
    "lev",
    "air_pressure",
}
_TO_PASCAL = {
    "pa": 1.0,
    "pascal": 1.0,
    "hpa": 100.0,
    "mb": 100.0,
    "mbar": 100.0,
    "millibar": 100.0,
    "millibars": 100.0,
    "kpa": 1000.0,
}
_CLOSE = 0.01
"""A pressure level within one percent is the level meant."""


@dataclass(frozen=True)
class Found:
    """A variable in a dataset: the array at the right level, still lazy, or a remark why it is not there."""

    array: xr.DataArray | None
    remark: str | None = None


def find(dataset: xr.Dataset, variable: Variable) -> Found:
    """The array that holds ``variable``, its level selected.

    Raises
    ------
    InputError
        Several arrays of the file claim the same standard name and nothing tells which is meant, or the standard name
        of an array contradicts its short name (surface pressure named psl).
    """
    names = {str(name).lower(): str(name) for name in dataset.data_vars}
    remark = None
    for own in variable.own_names:
        if own in names:
            array = dataset[names[own]]
            _refuse_contradiction(array, variable)
            if _at_surface(array) if variable.level is None else _own_level(array, variable.level):
                return Found(array)
            remark = f"{array.name} is on a pressure level"
    if variable.level is not None:
        return _find_on_level(dataset, variable, variable.level, names)
    found = _find_by_standard_name(dataset, variable)
    return Found(found.array, found.remark or remark)


def _refuse_contradiction(array: xr.DataArray, variable: Variable) -> None:
    standard_name = array.attrs.get("standard_name")
    if standard_name in variable.refused:
        msg = (
            f"{array.name} has the standard_name {standard_name}, expected {' or '.join(variable.standard_names)}; "
            "correct the attribute if the data are what the name says."
        )
        raise InputError(msg)


def relevant_scalars(array: xr.DataArray) -> dict[str, xr.DataArray]:
    """Size-1 coordinates that belong to this array: those that its ``coordinates`` attribute names, if it has one."""
    named = array.encoding.get("coordinates", array.attrs.get("coordinates"))
    allowed = set(str(named).split()) if named else None
    return {
        str(name): coordinate
        for name, coordinate in array.coords.items()
        if coordinate.size == 1 and (name in array.dims or allowed is None or str(name) in allowed)
    }


def pressure_levels(name: str, coordinate: xr.DataArray) -> np.ndarray | None:
    """Levels in Pa, (n,), where a coordinate is a pressure axis, else None."""
    if coordinate.dtype.kind not in "fiu" or coordinate.ndim > 1:
        return None
    units = str(coordinate.attrs.get("units", "")).strip().lower()
    named = name.lower() in _PRESSURE_NAMES or coordinate.attrs.get("standard_name") == "air_pressure"
    values = np.atleast_1d(np.asarray(coordinate.values, dtype=np.float64))
    if units in _TO_PASCAL:
        return values * _TO_PASCAL[units]
    if named and not units and np.isfinite(values).all() and values.size:
        return values * (100.0 if values.max() <= 1100.0 else 1.0)
    return None


def _pressure_axis(array: xr.DataArray) -> tuple[str, np.ndarray] | None:
    """Name and levels [Pa] of the array's pressure dimension or scalar coordinate."""
    candidates = {str(d): array[d] for d in array.dims if d in array.coords} | relevant_scalars(array)
    for name, coordinate in candidates.items():
        levels = pressure_levels(name, coordinate)
        if levels is not None:
            return name, levels
    return None


def _height(array: xr.DataArray) -> float | None:
    """Height above ground [m] from a size-1 coordinate, None if unknown."""
    for name, coordinate in relevant_scalars(array).items():
        is_height = coordinate.attrs.get("standard_name") == "height" or name.lower() in ("height", "heightaboveground")
        if is_height and coordinate.dtype.kind in "fiu":
            return float(coordinate.values.reshape(()))
    return None


def _at_surface(array: xr.DataArray) -> bool:
    """Not on a pressure level."""
    return _pressure_axis(array) is None


def _own_level(array: xr.DataArray, level: float) -> bool:
    """A name such as z500 is believed unless a pressure coordinate contradicts it."""
    axis = _pressure_axis(array)
    return axis is None or (axis[1].size == 1 and _nearest(axis[1], level) is not None)


def _nearest(levels: np.ndarray, level: float) -> int | None:
    position = int(np.nanargmin(np.abs(levels - level)))
    return position if abs(levels[position] - level) <= _CLOSE * level else None


def _find_on_level(dataset: xr.Dataset, variable: Variable, level: float, names: dict[str, str]) -> Found:
    candidates = [names[name] for name in variable.profiles if name in names]
    candidates += [
        str(name) for name, a in dataset.data_vars.items() if a.attrs.get("standard_name") in variable.standard_names
    ]
    remark = None
    for name in dict.fromkeys(candidates):
        array = dataset[name]
        axis = _pressure_axis(array)
        if axis is None:
            remark = f"{name} has no pressure axis"
            continue
        position = _nearest(axis[1], level)
        if position is None:
            shown = ", ".join(f"{value / 100:g}" for value in axis[1][:12])
            remark = f"{name} has no {level / 100:g} hPa level (levels {shown} hPa)"
            continue
        return Found(array.isel({axis[0]: position}) if axis[0] in array.dims else array)
    return Found(None, remark)


def _find_by_standard_name(dataset: xr.Dataset, variable: Variable) -> Found:
    named = [a for a in dataset.data_vars.values() if a.attrs.get("standard_name") in variable.standard_names]
    fitting = [a for a in named if _at_surface(a) and _right_height(a, variable)]
    if len(fitting) > 1:
        several, name = ", ".join(str(a.name) for a in fitting), fitting[0].attrs["standard_name"]
        msg = f"{variable.name}: {several} all have the standard_name {name}; rename the right one to {variable.cmip6}."
        raise InputError(msg)
    if fitting:
        return Found(fitting[0])
    return Found(None, f"{named[0].name} is {named[0].attrs['standard_name']} on other levels" if named else None)


def _right_height(array: xr.DataArray, variable: Variable) -> bool:
    """A standard name alone says nothing about the height: where one matters it must be in the file."""
    if variable.height is None:
        return True
    height = _height(array)
    return height is not None and abs(height - variable.height) <= 0.1 * variable.height
