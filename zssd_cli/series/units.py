"""Units in: what files call their units as a scale and an offset to canonical units, checked against what is plausible.

A label is believed only as far as the values bear it out: hPa values that are labelled Pa are an error, and a missing
label is replaced only where a single known unit makes the values plausible.
"""

import re
from functools import lru_cache

import numpy as np

from zssd_cli.errors import BadField, InputError
from zssd_cli.variables import Variable

GRAVITY = 9.80665
"""Standard gravity [m s-2]: geopotential [m2 s-2] = geopotential height [m] x this."""

_PRESSURE = {"pa": 1.0, "hpa": 100.0, "kpa": 1000.0}
_SPEED = {"m s-1": 1.0, "knot": 1852.0 / 3600.0, "km h-1": 1.0 / 3.6, "mile h-1": 0.44704, "cm s-1": 0.01}
_GEOPOTENTIAL = {"m2 s-2": 1.0, "m": GRAVITY, "dam": 10.0 * GRAVITY, "km": 1000.0 * GRAVITY}

_TABLES: dict[str, dict[str, float]] = {"Pa": _PRESSURE, "m s-1": _SPEED, "m2 s-2": _GEOPOTENTIAL}
_SHOWN = {"pa": "Pa", "hpa": "hPa", "kpa": "kPa"}

_SPELLINGS = {
    "pa": ("pascal", "pascals", "n m-2", "kg m-1 s-2"),
    "hpa": ("mb", "mbar", "mbars", "millibar", "millibars", "hectopascal", "hectopascals"),
    "kpa": ("kilopascal", "kilopascals"),
    "m s-1": (
        "mps",
        "ms-1",
        "m sec-1",
        "meter s-1",
        "meters s-1",
        "metre s-1",
        "metres s-1",
        "meter second-1",
        "meters second-1",
    ),
    "knot": ("knots", "kt", "kts", "kn"),
    "km h-1": ("km hr-1", "km hour-1", "kmh", "kph"),
    "mile h-1": ("mph",),
    "m2 s-2": ("j kg-1",),
    "m": ("gpm", "m gp", "geopotential meter", "geopotential meters", "geopotential metre", "meter", "meters", "metre"),
    "dam": ("gpdam", "dagpm", "decametre", "decameter"),
}
_SYNONYMS = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}


def _normalise(units: str) -> str:
    """``m/s``, ``m s**-1``, ``m.s^-1`` and ``m s-1`` alike as ``m s-1``, in lower case."""
    text = units.strip().strip("[]()").lower()
    for spelled, plain in (("\u2212", "-"), ("\u207b\u00b9", "-1"), ("**", ""), ("^", ""), ("*", " "), (".", " ")):
        text = text.replace(spelled, plain)
    if "/" in text:
        above, *below = text.split("/")
        inverse = [re.sub(r"^([a-z]+)(\d*)$", lambda m: f"{m[1]}-{m[2] or 1}", part.strip(" ()")) for part in below]
        text = " ".join([above.strip(" ()"), *inverse])
    text = " ".join(text.replace("_", " ").split())
    return _SYNONYMS.get(text, text)


Line = tuple[float, float]
"""Scale and offset: canonical value = scale x value + offset."""


@lru_cache(maxsize=256)
def _line(units: str, canonical: str) -> Line | None:
    """From ``units`` to canonical units, None where there is no way."""
    known = _TABLES.get(canonical, {})
    plain = _normalise(units)
    if plain in known:
        return known[plain], 0.0
    if plain == _normalise(canonical):
        return 1.0, 0.0
    return _line_by_pint(units, canonical)


def _line_by_pint(units: str, canonical: str) -> Line | None:
    """The same from pint, for units that the table lacks."""
    from cf_xarray.units import units as registry  # noqa: PLC0415  slow import, rarely needed

    try:
        source, target = registry.parse_units(units), registry.parse_units(canonical)
        if canonical == "m2 s-2" and source.dimensionality == registry.parse_units("m").dimensionality:
            return GRAVITY * float(registry.Quantity(1.0, source).to("m").magnitude), 0.0
        zero, one = (float(registry.Quantity(value, source).to(target).magnitude) for value in (0.0, 1.0))
    except Exception:  # noqa: BLE001  whatever pint says about it, these units are not known
        return None
    return one - zero, zero


def line(units_from: str, variable: Variable) -> Line:
    """Scale and offset that turn values in ``units_from`` into the variable's canonical units.

    Raises
    ------
    InputError
        The units are not known or are of another kind.
    """
    found = _line(units_from, variable.units)
    if found is None:
        msg = f"{variable.name}: units {units_from!r} cannot be converted to {variable.units}; correct the attribute."
        raise InputError(msg)
    return found


def convert(values: np.ndarray, units_from: str, variable: Variable) -> np.ndarray:
    """Values of any shape in canonical units and their own precision; raises as :func:`line`."""
    values = np.asarray(values)
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    scale, offset = line(units_from, variable)
    scaled = values if scale == 1.0 else values * values.dtype.type(scale)
    return scaled if offset == 0.0 else scaled + values.dtype.type(offset)


def plausible_units(values: np.ndarray, variable: Variable) -> tuple[str, ...]:
    """Known units in which every finite value (there must be one) is in the variable's plausible range."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return ()
    low, high = float(finite.min()), float(finite.max())
    known = _TABLES.get(variable.units, {})
    return tuple(
        _SHOWN.get(name, name)
        for name, scale in known.items()
        if low * scale >= variable.minimum and high * scale <= variable.maximum
    )


def infer_units(values: np.ndarray, variable: Variable) -> str:
    """The only known unit that makes the values plausible.

    Raises
    ------
    InputError
        None or several units do.
    """
    fitting = plausible_units(values, variable)
    if len(fitting) == 1:
        return fitting[0]
    why = f"values fit {' or '.join(fitting)}" if fitting else "values fit no known unit"
    msg = f"{variable.name}: the units attribute is missing and the {why}; set it (such as {variable.units!r})."
    raise InputError(msg)


def check_plausible(values: np.ndarray, units_from: str, variable: Variable) -> None:
    """Raise :class:`BadField` where values, already in canonical units, leave the plausible range."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return
    low, high = float(finite.min()), float(finite.max())
    if low >= variable.minimum and high <= variable.maximum:
        return
    scale, offset = line(units_from, variable)
    shown = f"{variable.name}: values {(low - offset) / scale:.6g}..{(high - offset) / scale:.6g}"
    given = (finite - offset) / scale
    guesses = [name for name in plausible_units(given, variable) if _line(name, variable.units) != (scale, offset)]
    if guesses and variable.minimum > 0:
        msg = (
            f"{shown} look like {guesses[0]} but the units attribute says {units_from!r}; correct the units attribute."
        )
    else:
        msg = (
            f"{shown} {units_from} are outside the plausible range {variable.minimum:g}..{variable.maximum:g} "
            f"{variable.units}; correct the units attribute, or declare the fill value with _FillValue."
        )
    raise BadField(msg)
