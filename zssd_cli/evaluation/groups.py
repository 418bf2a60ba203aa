"""Which cells and times are scored together: the whole, seasons, hours, land and sea, heights, regions.

Groups of cells and of times are not crossed. Season is that of the northern calendar (DJF is December to February everywhere).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cftime
import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.grids.latlon import LatLonGrid, parse_region
from zssd_cli.static import StaticFields

ALL = "all"
CELL_KINDS, TIME_KINDS = ("surface", "height"), ("season", "hour")
KINDS = (*TIME_KINDS, *CELL_KINDS)
SEASONS = ("DJF", "MAM", "JJA", "SON")
HEIGHTS = (200.0, 500.0, 1000.0, 2000.0)
"""Bounds of the classes of surface height [m]; sea is in the lowest."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Names of all groups, those of cells first.

    Attributes
    ----------
    cells
        Names of the groups of cells; the first is :data:`ALL`.
    times
        Names of the groups of times.
    masks
        (groups of cells, lat, lon), True where a cell belongs.
    """

    cells: tuple[str, ...]
    times: tuple[str, ...]
    masks: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return self.cells + self.times

    def of(self, time: cftime.datetime) -> list[int]:
        """Positions in :attr:`names` of the groups of times that a time belongs to."""
        return [self.names.index(name) for name in (season(time), hour(time)) if name in self.times]


def season(time: cftime.datetime) -> str:
    """Name of the group."""
    return f"season={SEASONS[time.month % 12 // 3]}"


def hour(time: cftime.datetime) -> str:
    """Name of the group."""
    return f"hour={time.hour:02d}"


def parse_kinds(text: str | Sequence[str] | None) -> tuple[str, ...]:
    """``season,hour,surface,height`` or some of them; a :class:`ConfigError` names others."""
    given = text.split(",") if isinstance(text, str) else text or ()
    kinds = tuple(dict.fromkeys(part.strip() for part in given if part.strip()))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        msg = (
            f"--by: expected some of {', '.join(KINDS)}, got {', '.join(unknown)}. Regions are asked for with --region."
        )
        raise ConfigError(msg)
    return kinds


def make_groups(
    grid: LatLonGrid,
    times: Sequence[cftime.datetime],
    kinds: Sequence[str],
    regions: Sequence[str],
    static: StaticFields | None,
) -> Groups:
    """The groups of an evaluation.

    Parameters
    ----------
    grid
        The scored cells.
    times
        The scored times.
    kinds
        Some of :data:`KINDS`.
    regions
        Names or ``W,E,S,N``.
    static
        Land and heights; only asked of where a kind wants them.

    Raises
    ------
    ConfigError
        A region that is none, or holds none of the cells.
    """
    masks: dict[str, np.ndarray] = {ALL: np.ones(grid.shape, dtype=bool)}
    if static is not None and set(kinds) & set(CELL_KINDS):
        height, land = static.channels(grid)[:2]
        masks |= _surface(land) if "surface" in kinds else {}
        masks |= _heights(height * 1000) if "height" in kinds else {}
    for region in regions:
        masks[f"region={region}"] = _region(region, grid)
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    named: list[str] = []
    for kind, name_of in (("season", season), ("hour", hour)):
        named += sorted({name_of(time) for time in times}) if kind in kinds else []
    return Groups(tuple(masks), tuple(named), np.stack(list(masks.values())))


def _surface(land: np.ndarray) -> dict[str, np.ndarray]:
    return {"surface=land": land >= 0.5, "surface=sea": land < 0.5}


def _heights(height: np.ndarray) -> dict[str, np.ndarray]:
    bounds = (-np.inf, *HEIGHTS, np.inf)
    names = [f"below {HEIGHTS[0]:g} m", *(f"{a:g}-{b:g} m" for a, b in zip(HEIGHTS, HEIGHTS[1:], strict=False))]
    names.append(f"above {HEIGHTS[-1]:g} m")
    return {
        f"height={name}": (height >= low) & (height < high)
        for name, low, high in zip(names, bounds, bounds[1:], strict=False)
    }


def _region(text: str, grid: LatLonGrid) -> np.ndarray:
    box = parse_region(text)
    rows = (grid.lat >= box.south - 1e-6) & (grid.lat <= box.north + 1e-6)
    columns = (grid.lon - box.west + 1e-6) % 360 <= box.east - box.west + 2e-6
    mask = rows[:, None] & columns[None, :]
    if not mask.any():
        msg = f"--region {text}: holds none of the scored cells; choose one within what output and reference share."
        raise ConfigError(msg)
    return mask
