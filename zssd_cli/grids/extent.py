"""What the cells of an input cover, and how large they are."""

from collections.abc import Sequence

import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.grids.cells import CellCenters, Cells
from zssd_cli.grids.corners import to_vectors
from zssd_cli.grids.latlon import Region, block_grid, describe_extent
from zssd_cli.grids.polygons import overlap_weights
from zssd_cli.grids.regrid import MIN_COVERAGE

SCALES = (1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 6.0, 7.5, 10.0)
"""Usual sides of blocks in degrees."""
SLACK = 1.05
"""Cells so much wider than the blocks still count as not wider: 2.8125 degrees for 2.7."""


def covered_region(cells: Cells, step: float) -> Region:
    """The whole blocks of ``step`` degrees that cells cover; the globe where they cover that.

    Raises
    ------
    ConfigError
        Not even one block is covered.
    """
    grid = cells.grid
    if grid is None:
        if cells.points is None:
            msg = "cells are a grid or points"
            raise ValueError(msg)
        return covered_by_points(cells.points, step)
    south, north = np.ceil(grid.lat_edges[0] / step - 1e-3), np.floor(grid.lat_edges[-1] / step + 1e-3)
    west, east = np.ceil(grid.lon_edges[0] / step - 1e-3), np.floor(grid.lon_edges[-1] / step + 1e-3)
    if grid.circular:
        west, east = 0, round(360 / step)
    if north <= south or east <= west:
        msg = (
            f"The input covers {describe_extent(grid)}, not even one whole block of {step:g} degrees. "
            "Give a larger area or a smaller --filter-scale."
        )
        raise ConfigError(msg)
    return Region(west * step, east * step, south * step, north * step)


def common_region(regions: Sequence[Region]) -> Region:
    """What all regions share; raises :class:`ConfigError` where that is nothing."""
    common = regions[0]
    for other in regions[1:]:
        south, north = max(common.south, other.south), min(common.north, other.north)
        if common.whole_circle or other.whole_circle:
            west, east = (other.west, other.east) if common.whole_circle else (common.west, common.east)
        else:
            turn = 360.0 * round((common.west - other.west) / 360.0)
            west, east = max(common.west, other.west + turn), min(common.east, other.east + turn)
        if north <= south or east <= west:
            msg = "The variables cover no region in common. Give files of one region, or choose a --region."
            raise ConfigError(msg)
        common = Region(west, east, south, north)
    return common


def scale_for(width: float, least: float = 0.0) -> float | None:
    """The smallest usual block of at least ``least`` degrees that is not finer than cells of ``width``; None above 10 degrees."""
    return next((scale for scale in SCALES if scale >= least and SLACK * scale >= width), None)


def cell_width(cells: Cells) -> float:
    """Typical side of the cells in degrees: of a grid the wider of rows and columns."""
    if cells.grid is not None:
        return max(float(np.median(np.diff(edges))) for edges in (cells.grid.lat_edges, cells.grid.lon_edges))
    if cells.points is None:
        msg = "cells are a grid or points"
        raise ValueError(msg)
    return typical_width(cells.points)


def covered_by_points(points: CellCenters, step: float, coverage: float = MIN_COVERAGE) -> Region:
    """The smallest box, across the seam where that is smaller, of the blocks of ``step`` degrees that the cells cover.

    A block is covered where a share of at least ``coverage`` is. A box of the whole circle begins at longitude 0.

    Raises
    ------
    ConfigError
        Not even one block is covered.
    """
    blocks = block_grid(step)
    share = np.asarray(overlap_weights(*points.corners, blocks).sum(1)).reshape(blocks.shape)
    covered = share >= coverage
    if not covered.any():
        msg = (
            f"The input's cells lie within {_describe_points(points)}, and cover not even one whole block of {step:g} degrees. "
            "Give a larger area or a smaller --filter-scale."
        )
        raise ConfigError(msg)
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    south, north = float(blocks.lat_edges[rows[0]]), float(blocks.lat_edges[rows[-1] + 1])
    gaps = np.diff(np.append(columns, columns[0] + blocks.lon.size)) - 1
    if not gaps.any():
        return Region(0.0, 360.0, south, north)
    after = (int(np.argmax(gaps)) + 1) % columns.size
    west = float(blocks.lon_edges[columns[after]])
    east = west + (blocks.lon.size - int(gaps.max())) * step
    turn = 360.0 if east > 360.0 else 0.0
    return Region(west - turn, east - turn, south, north)


def describe_cells(cells: Cells) -> str:
    """Where cells lie, in words: the outer edges of a grid, the outermost centres of points."""
    if cells.grid is not None:
        return describe_extent(cells.grid)
    return "nothing" if cells.points is None else _describe_points(cells.points)


def _describe_points(points: CellCenters) -> str:
    lat, lon = points.lat[np.isfinite(points.lat)], points.lon[np.isfinite(points.lon)]
    return f"longitude {lon.min():g} to {lon.max():g}, latitude {lat.min():g} to {lat.max():g}"


def typical_width(points: CellCenters) -> float:
    """The median over the cells of the side of a square of equal area, degrees of a great circle."""
    corners = to_vectors(*points.corners)
    areas = np.linalg.norm(np.cross(corners, np.roll(corners, -1, axis=1)).sum(1), axis=1) / 2
    return float(np.rad2deg(np.sqrt(np.nanmedian(areas))))
