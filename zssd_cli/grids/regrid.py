"""From the input's own rectilinear grid to coarse blocks, conservatively, missing cells left out.

A block of which less than half is covered by valid input is missing. Other grids: :mod:`zssd_cli.grids.regridders`.
"""

from collections.abc import Callable

import numpy as np

from zssd_cli.grids.conservative import latitude_weights, longitude_weights
from zssd_cli.grids.latlon import LatLonGrid

MIN_COVERAGE = 0.5
Regrid = Callable[[np.ndarray], np.ndarray]
"""(..., source cells) -> (..., h, w), NaN where missing."""


def separable(source: LatLonGrid, target: LatLonGrid) -> Regrid:
    """Conservative regridding between rectilinear grids; sums in double precision."""
    rows = latitude_weights(source.lat_edges, target.lat_edges)
    columns = longitude_weights(source.lon_edges, target.lon_edges).T
    whole = np.outer(rows.sum(1), columns.sum(0))

    def regrid(values: np.ndarray) -> np.ndarray:
        valid = ~np.isnan(values)
        total = rows @ np.where(valid, values, 0.0).astype(np.float64) @ columns
        share = whole if valid.all() else rows @ valid.astype(np.float64) @ columns
        return np.where(share >= MIN_COVERAGE, total / np.maximum(share, 1e-12), np.nan)

    return regrid
