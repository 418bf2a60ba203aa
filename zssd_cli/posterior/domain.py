"""Where the sampling happens: whole coarse blocks around the wanted region, with a halo that is cut off at the end."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.grids.latlon import FINE_STEP, LatLonGrid, Region, block_grid, fine_grid

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
    def block_of(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of the block in which every row and column of ``output`` lies."""
        rows = np.searchsorted(self.coarse.lat_edges, self.output.lat, side="right") - 1
        west = self.coarse.lon_edges[0]
        columns = np.searchsorted(self.coarse.lon_edges, west + (self.output.lon - west) % 360, side="right") - 1
        return np.clip(rows, 0, self.coarse.lat.size - 1), np.clip(columns, 0, self.coarse.lon.size - 1)


def make_domain(region: Region, step: float) -> Domain:
    """Blocks of ``step`` degrees around ``region`` with a halo of about 4 degrees, all round where that closes the circle."""
    core = block_grid(step, region)
    halo = step * np.ceil(HALO_DEGREES / step)
    south, north = max(core.lat_edges[0] - halo, -90), min(core.lat_edges[-1] + halo, 90)
    west, east = core.lon_edges[0] - halo, core.lon_edges[-1] + halo
    if region.whole_circle or east - west + step > 360:
        west, east = 0.0, 360.0
    around = Region(west, east, south, north)
    return Domain(fine_grid(region), fine_grid(around), block_grid(step, around))


def source_region(grid: LatLonGrid, step: float) -> Region:
    """The whole blocks that a source covers; the globe where it covers that. Raises where it covers not even one."""
    south, north = np.ceil(grid.lat_edges[0] / step - 1e-3), np.floor(grid.lat_edges[-1] / step + 1e-3)
    west, east = np.ceil(grid.lon_edges[0] / step - 1e-3), np.floor(grid.lon_edges[-1] / step + 1e-3)
    if grid.circular:
        west, east = 0, round(360 / step)
    if north <= south or east <= west:
        msg = f"The input covers {describe_extent(grid)}, not even one whole block of {step:g} degrees. Give a larger area or a smaller --filter-scale."
        raise ConfigError(msg)
    return Region(west * step, east * step, south * step, north * step)


def describe_extent(grid: LatLonGrid) -> str:
    """Extent of a grid in words."""
    return f"longitude {grid.lon_edges[0]:g} to {grid.lon_edges[-1]:g}, latitude {grid.lat_edges[0]:g} to {grid.lat_edges[-1]:g}"
