"""The table of variables: names, units, plausible ranges and levels, read from ``variables.toml``."""

import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

from zssd_cli.errors import ConfigError


@dataclass(frozen=True)
class Variable:
    """One variable as zssd knows it.

    Attributes
    ----------
    name
        Canonical (ERA5) name: msl, u10, v10, si10, z500, z250.
    cmip6
        Short name in CMIP6 output.
    aliases
        Other short names that say variable and level at once.
    standard_name, long_name, units
        CF attributes of the output; ``units`` are the canonical units.
    standard_names
        CF standard names that are accepted on input, together with ``level`` or ``height``.
    minimum, maximum
        Plausible range in canonical units.
    jump
        Largest plausible difference of neighbouring cells at most 1.5 degrees apart, in canonical units.
    level
        Pressure level in Pa, None at the surface.
    height
        Height above ground in m where it matters, else None.
    profiles
        Short names of the quantity on pressure levels, from which ``level`` is taken.
    long_names
        Long names that say variable and level at once.
    odd
        Whether a mirror at the equator reverses its sign.
    grib
        GRIB short names, at ``level`` where there is one.
    shown
        Factor and units in which pictures show it, None for its own.
    colours
        Colour map of pictures.
    """

    name: str
    cmip6: str
    aliases: tuple[str, ...]
    standard_name: str
    standard_names: tuple[str, ...]
    long_name: str
    units: str
    minimum: float
    maximum: float
    jump: float = float("inf")
    level: float | None = None
    height: float | None = None
    profiles: tuple[str, ...] = ()
    long_names: tuple[str, ...] = ()
    odd: bool = False
    grib: tuple[str, ...] = ()
    shown: tuple[float, str] | None = None
    colours: str = "viridis"

    @property
    def attributes(self) -> dict[str, str]:
        """CF attributes of the output."""
        return {"standard_name": self.standard_name, "long_name": self.long_name, "units": self.units}

    @property
    def component(self) -> bool:
        """True for components of the wind, which blow both ways."""
        return self.standard_name in ("eastward_wind", "northward_wind")

    @property
    def quantum(self) -> float:
        """Smallest difference that a training sees: a power of two near a sixteen thousandth of the plausible range."""
        return 2.0 ** math.floor(math.log2((self.maximum - self.minimum) / 2**14))

    @property
    def own_names(self) -> tuple[str, ...]:
        """Short names that stand for this variable and no other, best first, in lower case."""
        first = (self.name,) if self.cmip6 in self.profiles else (self.name, self.cmip6)
        return tuple(name.lower() for name in (*first, *self.aliases))


def row(name: str, columns: dict[str, Any]) -> Variable:
    """A row of the table."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in columns.items()}
    return Variable(name=name, **values)


def _load() -> dict[str, Variable]:
    table = tomllib.loads(files("zssd_cli").joinpath("variables.toml").read_text(encoding="utf-8"))
    return {name: row(name, columns) for name, columns in table.items()}


VARIABLES: dict[str, Variable] = _load()


def lookup(name: str) -> Variable:
    """The variable of that canonical, CMIP6 or other known name, in upper or lower case.

    Raises
    ------
    ConfigError
        The name is unknown, or stands for several variables (``zg``).
    """
    wanted = name.strip().lower()
    matches = [variable for variable in VARIABLES.values() if wanted in variable.own_names]
    if matches:
        return matches[0]
    several = [variable.name for variable in VARIABLES.values() if wanted in variable.profiles]
    if several:
        msg = f"Variable {name!r} lives on several levels: give {' or '.join(several)}."
        raise ConfigError(msg)
    near = get_close_matches(wanted, _every_name(VARIABLES.values()), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    known = ", ".join(f"{v.name} ({v.cmip6})" for v in VARIABLES.values())
    msg = f"Variable {name!r} is not known, expected one of {known}.{hint}"
    raise ConfigError(msg)


def _every_name(variables: Iterable[Variable]) -> list[str]:
    return [name for variable in variables for name in variable.own_names]
