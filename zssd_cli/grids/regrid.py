"""From the input's own rectilinear grid to coarse blocks, conservatively, missing cells left out.

A block is missing of which valid input covers less than a share: half, where blocks guide, all of it, where they are a truth's.
Other grids: :mod:`zssd_cli.grids.regridders`.
"""

from collections.abc import Callable

import numpy as np

from zssd_cli.grids.conservative import latitude_weights, longitude_weights
from zssd_cli.grids.latlon import LatLonGrid

MIN_COVERAGE = 0.5
WHOLE = 1 - 1e-6
"""Coverage of a block that is whole but for rounding."""
Regrid = Callable[[np.ndarray], np.ndarray]
"""(..., source cells) -> (..., h, w), NaN where missing."""


def separable(source: LatLonGrid, target: LatLonGrid, coverage: float = MIN_COVERAGE) -> Regrid:
    """Conservative regridding between rectilinear grids; sums in double precision.

    Cells of ``target`` of which less than ``coverage`` is covered by values become NaN.
    """
    rows = latitude_weights(source.lat_edges, target.lat_edges)
    columns = longitude_weights(source.lon_edges, target.lon_edges).T
    whole = np.outer(rows.sum(1), columns.sum(0))

    def regrid(values: np.ndarray) -> np.ndarray:
        valid = ~np.isnan(values)
        total = rows @ np.where(valid, values, 0.0).astype(np.float64) @ columns
        share = whole if valid.all() else rows @ valid.astype(np.float64) @ columns
        return np.where(share >= coverage, total / np.maximum(share, 1e-12), np.nan)

    return regrid
