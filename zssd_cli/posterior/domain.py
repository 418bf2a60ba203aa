"""Where the sampling happens: whole coarse blocks around the wanted region, with a halo that is cut off at the end."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.grids.extent import SLACK, scale_for
from zssd_cli.grids.latlon import FINE_STEP, LatLonGrid, Region, block_grid, fine_grid
from zssd_cli.grids.regrid import Regrid
from zssd_cli.grids.regridders import make_regrid
from zssd_cli.series.protocol import CoarseSeries

HALO_DEGREES = 4.0


@dataclass(frozen=True)
class Domain:
    """Grids of one run.

    Attributes
    ----------
    output
        0.25 degree cells that the user gets.
    fine
        0.25 degree cells that are sampled: all cells that touch a coarse block.
    coarse
        Blocks whose means are observed.
    """

    output: LatLonGrid
    fine: LatLonGrid
    coarse: LatLonGrid

    @cached_property
    def crop(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of ``fine`` that make up ``output``."""
        rows = np.rint((self.output.lat - self.fine.lat[0]) / FINE_STEP).astype(int)
        columns = np.rint((self.output.lon - self.fine.lon[0]) / FINE_STEP).astype(int) % 1440
        return rows, columns

    @cached_property
    def core(self) -> np.ndarray:
        """Area of the blocks that hold cells of ``output``, 0 in the halo: (h, w)."""
        west = self.coarse.lon_edges[0]
        lon = west + (self.output.lon - west) % 360
        rows = _holding(*_touched(self.coarse.lat_edges, self.output.lat, circular=False))
        columns = _holding(*_touched(self.coarse.lon_edges, lon, circular=self.coarse.circular))
        area = np.zeros(self.coarse.shape)
        area[np.ix_(rows, columns)] = self.coarse.area[np.ix_(rows, columns)]
        return area

    def unseen(self, missing: np.ndarray) -> np.ndarray:
        """Cells of ``output`` that touch missing blocks only: (h, w) -> (lat, lon), both boolean.

        A cell on the edge of two blocks touches both, so that a region keeps its first and its last row alike.
        """
        west = self.coarse.lon_edges[0]
        lon = west + (self.output.lon - west) % 360
        rows = _touched(self.coarse.lat_edges, self.output.lat, circular=False)
        columns = _touched(self.coarse.lon_edges, lon, circular=self.coarse.circular)
        return np.logical_and.reduce([missing[np.ix_(row, column)] for row in rows for column in columns])


def _touched(edges: np.ndarray, centres: np.ndarray, *, circular: bool) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the blocks on the lower and on the upper side of every centre, equal where it lies inside one."""
    count = edges.size - 1
    sides = np.searchsorted(edges, centres, side="left") - 1, np.searchsorted(edges, centres, side="right") - 1
    lower, upper = (side % count if circular else np.clip(side, 0, count - 1) for side in sides)
    return lower, upper


def _holding(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Blocks with a centre inside, not only on an edge; those at the edge where there is none."""
    inside = lower[lower == upper]
    return np.unique(inside if inside.size else [lower, upper])


def make_domain(region: Region, step: float) -> Domain:
    """Blocks of ``step`` degrees around ``region`` with a halo of about 4 degrees, all round where that closes it.

    Raises
    ------
    ConfigError
        A region smaller than one cell, or a step that does not fit the globe.
    """
    if min(region.north - region.south, region.east - region.west) < FINE_STEP * (1 - 1e-6):
        msg = (
            f"The region is {region.east - region.west:g} x {region.north - region.south:g} degrees, smaller than one "
            f"output cell: expected at least {FINE_STEP:g} each way. Give a larger --region."
        )
        raise ConfigError(msg)
    core = block_grid(step, region)
    halo = step * np.ceil(HALO_DEGREES / step)
    south, north = max(core.lat_edges[0] - halo, -90), min(core.lat_edges[-1] + halo, 90)
    west, east = core.lon_edges[0] - halo, core.lon_edges[-1] + halo
    if region.whole_circle or east - west + step > 360:
        west, east = 0.0, 360.0
    turn = 360 if west < -360 else -360 if east > 540 else 0
    around = Region(west + turn, east + turn, south, north)
    return Domain(fine_grid(region), fine_grid(around), block_grid(step, around))


def regridders_of(source: CoarseSeries, blocks: LatLonGrid, choice: str) -> tuple[tuple[Regrid, ...], str]:
    """One regridder for each variable, made once for equal cells, and their names."""
    made: dict[int, tuple[Regrid, str]] = {}
    for cells in source.cells.values():
        if id(cells) not in made:
            made[id(cells)] = make_regrid(cells, blocks, choice)
    names = dict.fromkeys(name for _, name in made.values())
    return tuple(made[id(source.cells[name])][0] for name in source.variables), ",".join(names)


def check_scale(widest: float, step: float) -> None:
    """Raise :class:`ConfigError` where blocks of ``step`` degrees are finer than cells of ``widest``."""
    if widest > SLACK * step:
        enough = scale_for(widest)
        remedy = f"Use --filter-scale {enough:g}." if enough else "Input coarser than 10 degrees cannot be downscaled."
        msg = (
            f"Filter scale {step:g} is finer than the input's cells of {widest:.3g} degrees, "
            f"whose edges would be taken for weather. {remedy}"
        )
        raise ConfigError(msg)
