"""Numbers with units of their own: ``5 m/d``, ``-200 gpm``, ``1 in/yr`` become SI; a number alone is SI already.

``pint`` knows the units; its dimension must be the one that is asked for, so that a rate is never taken for a velocity.
"""

import re
from functools import lru_cache, partial
from typing import Annotated, Any

from pydantic import BeforeValidator

_MORE = ("gpd = gallon / day", "gpm = gallon / minute", "cfs = foot ** 3 / second", "cfd = foot ** 3 / day")
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*)")
_POWER = re.compile(r"([A-Za-z])\^?(-?\d)")
_PRODUCT = re.compile(r"(?<=[A-Za-z0-9])\s+(?=[A-Za-z])")
_TOWER = re.compile(r"(\*\*|\^)[^A-Za-z]*(\*\*|\^)|.{60}|\d{4}")
"""What no unit is, and what would keep pint busy for ever."""
SI = {
    "m": "a length such as 3 m or 10 ft",
    "s": "a time such as 3600 s or 2 d",
    "m/s": "a velocity such as 1e-5 m/s, 5 ft/d or 100 gpd/ft2",
    "m**3/s": "a rate such as -2e-4 m3/s, -100 m3/d or -50 gpm",
}
"""Unit -> what it is called in errors."""


MOST = {"m/s": 1.0, "m**3/s": 10.0}
"""Unit -> the largest number alone that is believed: gravel and karst, a field of large wells; 5 stands for 5 m/d, 50 for 50 gpm."""


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint  # noqa: PLC0415  a sixth of a second, and only files with units need it

    registry: Any = pint.UnitRegistry()
    for line in _MORE:
        registry.define(line)
    return registry


@lru_cache(maxsize=256)
def factor(units: str, wanted: str) -> float:
    """What a number in these units is multiplied with to be in the wanted ones (a key of :data:`SI`).

    Raises
    ------
    ValueError
        Units that are not known, of another kind, or with an offset.
    """
    if _TOWER.search(units):
        msg = f"expected {SI[wanted]}, got {units[:40]!r}"
        raise ValueError(msg)
    spelled = _PRODUCT.sub(" * ", _POWER.sub(r"\1**\2", units.strip()))
    try:
        return float(_registry().Quantity(1.0, spelled).to(wanted).magnitude)
    except Exception as error:
        msg = f"expected {SI[wanted]}, got units {units!r}"
        raise ValueError(msg) from error


def to_si(value: Any, wanted: str) -> Any:
    """Text with a unit in SI; whatever else stays as it is, for others to check.

    Raises
    ------
    ValueError
        Text that is no number with a unit of the right kind, yes or no, or a number alone that cannot be meant in SI.
    """
    if isinstance(value, bool):
        msg = f"expected {SI[wanted]}, got {value}"
        raise ValueError(msg)  # noqa: TRY004  pydantic's
    if isinstance(value, int | float) and abs(value) > MOST.get(wanted, float("inf")):
        msg = f"expected {SI[wanted]}, got {value:g} without a unit, which is SI and more than {MOST[wanted]:g}; write the unit"
        raise ValueError(msg)
    if not isinstance(value, str):
        return value
    match = _NUMBER.fullmatch(value)
    if match is None:
        msg = f"expected {SI[wanted]}, got {value[:40]!r}"
        raise ValueError(msg)
    if not match[2].strip():
        return to_si(float(match[1]), wanted)
    return float(match[1]) * factor(match[2], wanted)


LARGEST = {"m": 1e9, "s": 1e12, "m/s": 1e3, "m**3/s": 1e9}
"""Unit -> what no aquifer exceeds, whatever it is written in: beyond, results would be numbers that mean nothing."""


def _checked(value: Any, wanted: str, least: float, *, more: bool) -> Any:
    """As :func:`to_si`; refused below ``least``, at it where a number has to be ``more``, and beyond :data:`LARGEST`."""
    found, most = to_si(value, wanted), LARGEST[wanted]
    if isinstance(found, bytes):
        msg = f"expected {SI[wanted]}, got {found[:40]!r}"
        raise ValueError(msg)  # noqa: TRY004  pydantic's
    try:
        found = float(found)
    except (TypeError, ValueError):
        return found  # pydantic's to refuse
    if least < found <= most if more else least <= found <= most:
        return found
    unit = wanted.replace("**", "")
    bound = f"at most {most:g}" if found > most else f"more than {least:g}" if more else f"at least {least:g}"
    own = isinstance(value, str) and not value.strip().endswith(f" {unit}")
    msg = f"expected {bound} {unit}, got {f'{value[:40]}, which is ' if own else ''}{found:.4g} {unit}"
    raise ValueError(msg)


def _within(unit: str, least: float | None = None, *, more: bool = False) -> BeforeValidator:
    """Of a finite number in SI; from -:data:`LARGEST` where no ``least`` is given."""
    return BeforeValidator(partial(_checked, wanted=unit, least=-LARGEST[unit] if least is None else least, more=more))


Length = Annotated[float, _within("m")]
NotNegativeLength = Annotated[float, _within("m", 0.0)]
PositiveLength = Annotated[float, _within("m", 0.0, more=True)]
PositiveTime = Annotated[float, _within("s", 0.0, more=True)]
Velocity = Annotated[float, _within("m/s")]
PositiveVelocity = Annotated[float, _within("m/s", 0.0, more=True)]
Rate = Annotated[float, _within("m**3/s")]
