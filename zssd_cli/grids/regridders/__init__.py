"""Regridders from a source's cells to coarse blocks: one file is one regridder, ``--regridder`` takes its name.

A regridder's module says

* ``ORDER``: its place among those that ``auto`` tries, the first that takes the cells is used;
* ``takes(cells)``: whether it can regrid these cells;
* ``make(cells, target)``: the regridder, or a :class:`~zssd_cli.errors.ConfigError` of what it lacks.
"""

from typing import Protocol, cast

from zssd_cli.discovery import modules
from zssd_cli.errors import ConfigError
from zssd_cli.grids.cells import Cells
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.grids.regrid import Regrid

AUTO = "auto"


class Regridder(Protocol):
    """What a file of this folder holds."""

    ORDER: int

    def takes(self, cells: Cells) -> bool:
        """True for cells that it can regrid."""

    def make(self, cells: Cells, target: LatLonGrid) -> Regrid:
        """From these cells to blocks."""


def regridders() -> dict[str, Regridder]:
    """All of them by name, in the order in which ``auto`` tries them."""
    found = {name: cast(Regridder, module) for name, module in modules(__name__).items()}
    return dict(sorted(found.items(), key=lambda item: item[1].ORDER))


def make_regrid(cells: Cells, target: LatLonGrid, choice: str = AUTO) -> tuple[Regrid, str]:
    """The regridder of that name, or the first one that takes the cells, and its name.

    Raises
    ------
    ConfigError
        An unknown name, cells that the regridder cannot take, a library that it lacks.
    """
    known = regridders()
    if choice != AUTO and choice not in known:
        msg = f"--regridder: expected one of {', '.join((AUTO, *known))}, got {choice!r}."
        raise ConfigError(msg)
    name = choice if choice != AUTO else next(name for name, one in known.items() if one.takes(cells))
    return known[name].make(cells, target), name
