"""Which array of a file is the wanted variable: by short name, else by CF standard name with its level or height, else by long name.

An array that bears a variable's name and fails a check is an error: it is never passed over, for then the variable would be inferred.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.series.identity import is_ensemble_mean, is_speed, named_at_length, refuse_other
from zssd_cli.variables import VARIABLES, Variable

_PRESSURE_NAMES = {
    "plev", "pressure_level", "isobaricinhpa", "isobaricinpa", "plevel", "pressure", "level", "lev", "air_pressure",
}  # fmt: skip
_TO_PASCAL = {
    "pa": 1.0, "pascal": 1.0, "hpa": 100.0, "mb": 100.0, "mbar": 100.0, "millibar": 100.0, "millibars": 100.0, "kpa": 1000.0,
}  # fmt: skip
_CLOSE = 0.01
"""A pressure level within one percent is the level meant."""
_NEAR_GROUND = 20.0
"""Height [m] above which a wind is none of the surface: hubs of turbines, masts."""


@dataclass(frozen=True)
class Found:
    """A variable in a dataset.

    Attributes
    ----------
    array
        At the right level, still lazy; None where the variable is not there.
    remark
        Why it is not there.
    notes
        What was not as it should be, a line each.
    speed
        An array has the variable's name but holds a wind speed, as which it may guide.
    why
        Why the array is the variable.
    """

    array: xr.DataArray | None
    remark: str | None = None
    notes: tuple[str, ...] = ()
    speed: bool = False
    why: str = ""


def find(dataset: xr.Dataset, variable: Variable) -> Found:
    """The array that holds ``variable``, its level selected.

    Raises
    ------
    InputError
        Several arrays of the file claim the variable and nothing tells which is meant; an array has its name but says by
        standard name, long name, methods, GRIB keys or level that it is something else.
    """
    names: dict[str, str] = {}
    for name in sorted(map(str, dataset.data_vars), key=lambda name: (is_speed(dataset[name]), name != name.lower())):
        names.setdefault(name.lower(), name)  # u10 beside U10: the component comes first
    for own in variable.own_names:
        if own in names and own not in variable.profiles:
            return _by_own_name(dataset, dataset[names[own]], variable)
    if variable.level is not None:
        return _find_on_level(dataset, variable, variable.level, names)
    found = _find_by_standard_name(dataset, variable)
    if found.array is None:
        found = _find_by_long_name(dataset, variable) or found
    return found


def _by_own_name(dataset: xr.Dataset, array: xr.DataArray, variable: Variable) -> Found:
    if variable.component and is_speed(array):
        why = array.attrs.get("standard_name") or array.attrs.get("long_name")
        return Found(None, f"{array.name} is a wind speed ({why})", speed=True)
    refuse_other(array, variable)
    notes = (f"{array.name} is an ensemble mean, smoother than any weather",) if is_ensemble_mean(array) else ()
    why = f"short name {array.name}" + _also(array)
    axis = _pressure_axis(array)
    if axis is None:
        return Found(array, notes=(*notes, *_height_notes(array, variable)), why=why)
    name, levels = axis
    shown = ", ".join(f"{level / 100:g}" for level in levels[:6]) + (", ..." if levels.size > 6 else "")
    if variable.level is not None:
        if levels.size == 1 and _nearest(levels, variable.level) is not None:
            return Found(array, notes=notes, why=f"{why} at {shown} hPa")
    elif levels.size == 1 and (_surely_at_surface(array, variable) or _stray(dataset, name)):
        note = f"{array.name}: its coordinate {name} = {shown} hPa is not believed, the variable is one of the surface"
        return Found(array, notes=(*notes, note), why=why)
    expected = "the surface" if variable.level is None else f"{variable.level / 100:g} hPa"
    msg = (
        f"{array.name} is on the pressure level {shown} hPa (coordinate {name}), expected {expected} as its name says; "
        f"remove the coordinate (ncks -C -x -v {name}) if it does not belong to it, or rename the array."
    )
    raise InputError(msg)


def _height_notes(array: xr.DataArray, variable: Variable) -> tuple[str, ...]:
    """A height that contradicts the name: near the ground it was left by another variable (2 m, of tas), above it is an error."""
    height = _height(array)
    if variable.height is None or height is None or _right_height(array, variable):
        return ()
    if height <= _NEAR_GROUND:
        return (
            f"{array.name}: its height of {height:g} m is not believed, the variable is one of {variable.height:g} m",
        )
    msg = (
        f"{array.name} is at a height of {height:g} m, expected {variable.height:g} m as its name says; "
        "remove the coordinate (ncks -C -x -v height) if it does not belong to it, or rename the array."
    )
    raise InputError(msg)


def _also(array: xr.DataArray) -> str:
    """What else an array says of itself."""
    said = [f"{key} {array.attrs[key]}" for key in ("standard_name", "long_name") if array.attrs.get(key)]
    height = _height(array)
    return "".join(f", {words}" for words in (*said, *([f"height {height:g} m"] if height is not None else [])))


def _surely_at_surface(array: xr.DataArray, variable: Variable) -> bool:
    """Standard name, CMIP6 name or height say so: a pressure that xarray left from another variable does not count."""
    if variable.height is None:
        return "sea_level" in variable.standard_name
    return str(array.name).lower() == variable.cmip6.lower() or _right_height(array, variable)


def _stray(dataset: xr.Dataset, coordinate: str) -> bool:
    """Whether a sea-level pressure of the file carries the coordinate too, to which it cannot belong."""
    sea_level = VARIABLES["msl"]
    names = [name for name in map(str, dataset.data_vars) if name.lower() in sea_level.own_names]
    return any(coordinate in relevant_scalars(dataset[name]) for name in names)


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
        chosen = array.isel({axis[0]: position}) if axis[0] in array.dims else array
        return Found(chosen, why=f"{name}{_also(array)} at {level / 100:g} hPa")
    return Found(None, remark)


def _find_by_standard_name(dataset: xr.Dataset, variable: Variable) -> Found:
    named = [a for a in dataset.data_vars.values() if a.attrs.get("standard_name") in variable.standard_names]
    fitting = [a for a in named if _pressure_axis(a) is None and _right_height(a, variable)]
    found = _only(fitting, variable, "standard_name")
    if found is not None:
        return found
    return Found(None, f"{named[0].name} is {named[0].attrs['standard_name']} on other levels" if named else None)


def _find_by_long_name(dataset: xr.Dataset, variable: Variable) -> Found | None:
    """An array without a standard name whose long name is one of the variable's (CAM's U10 is a wind speed)."""
    wanted = {named_at_length(name) for name in variable.long_names}
    fitting = [
        array
        for array in dataset.data_vars.values()
        if not array.attrs.get("standard_name")
        and named_at_length(str(array.attrs.get("long_name", ""))) in wanted
        and _pressure_axis(array) is None
    ]
    return _only(fitting, variable, "long_name")


def _only(fitting: list[xr.DataArray], variable: Variable, key: str) -> Found | None:
    if len(fitting) > 1:
        several, name = ", ".join(str(a.name) for a in fitting), fitting[0].attrs[key]
        msg = f"{variable.name}: {several} all have the {key} {name}; rename the right one to {variable.cmip6}."
        raise InputError(msg)
    if not fitting:
        return None
    refuse_other(fitting[0], variable)
    return Found(fitting[0], why=f"{fitting[0].name}{_also(fitting[0])}")


def _right_height(array: xr.DataArray, variable: Variable) -> bool:
    """A standard name alone says nothing about the height: where one matters it must be in the file."""
    if variable.height is None:
        return True
    height = _height(array)
    return height is not None and abs(height - variable.height) <= 0.1 * variable.height
