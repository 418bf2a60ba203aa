"""Numbers with units of their own: ``5 m/d``, ``-200 gpm``, ``1 in/yr`` become SI; a number alone is SI already.

``pint`` knows the units; its dimension must be the one that is asked for, so that a rate is never taken for a velocity.
"""

import re
from functools import lru_cache, partial
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

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


_LENGTH, _TIME, _VELOCITY, _RATE = (BeforeValidator(partial(to_si, wanted=unit)) for unit in SI)
LARGEST = {"m": 1e9, "s": 1e12, "m/s": 1e3, "m**3/s": 1e9}
"""Unit -> what no aquifer exceeds, whatever it is written in: beyond, results would be numbers that mean nothing."""


def _within(unit: str, *, gt: float | None = None, ge: float | None = None) -> Any:
    least = -LARGEST[unit] if gt is None and ge is None else ge
    return Field(allow_inf_nan=False, le=LARGEST[unit], gt=gt, ge=least)


Length = Annotated[float, _LENGTH, _within("m")]
NotNegativeLength = Annotated[float, _LENGTH, _within("m", ge=0)]
PositiveLength = Annotated[float, _LENGTH, _within("m", gt=0)]
PositiveTime = Annotated[float, _TIME, _within("s", gt=0)]
Velocity = Annotated[float, _VELOCITY, _within("m/s")]
PositiveVelocity = Annotated[float, _VELOCITY, _within("m/s", gt=0)]
Rate = Annotated[float, _RATE, _within("m**3/s")]
