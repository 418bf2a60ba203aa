"""What cells that form no rectilinear grid cover, and how large they are."""

import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.grids.cells import CellCenters
from zssd_cli.grids.corners import to_vectors
from zssd_cli.grids.latlon import Region, block_grid
from zssd_cli.grids.polygons import overlap_weights
from zssd_cli.grids.regrid import POINTS_COVERAGE


def covered_region(points: CellCenters, step: float, coverage: float = POINTS_COVERAGE) -> Region:
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
        lat, lon = points.lat[np.isfinite(points.lat)], points.lon[np.isfinite(points.lon)]
        msg = (
            f"The input's cells lie within longitude {lon.min():g} to {lon.max():g}, latitude {lat.min():g} to {lat.max():g}, "
            f"and cover not even one whole block of {step:g} degrees. Give a larger area or a smaller --filter-scale."
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


def typical_width(points: CellCenters) -> float:
    """The median over the cells of the side of a square of equal area, degrees of a great circle."""
    corners = to_vectors(*points.corners)
    areas = np.linalg.norm(np.cross(corners, np.roll(corners, -1, axis=1)).sum(1), axis=1) / 2
    return float(np.rad2deg(np.sqrt(np.nanmedian(areas))))
