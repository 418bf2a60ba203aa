"""From the input's own rectilinear grid to coarse blocks, conservatively, missing cells left out.

A block is missing of which valid input covers less than a share: .97, where blocks guide, all of it, where they are a truth's.
Other grids: :mod:`zssd_cli.grids.regridders`.
"""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix

from zssd_cli.grids.conservative import latitude_weights, longitude_weights
from zssd_cli.grids.latlon import LatLonGrid

MIN_COVERAGE = 0.97
"""The mean of a part stands for the whole block only where the part is nearly all of it. Block means of pressure are off by 67 to
146 Pa rms at a coverage of .52, 41 to 89 at .72, 23 to 48 at .84, 9 to 18 at .96 (a global field of .4 degrees, blocks of 5 degrees
cut by a meridian or a parallel); the error of an observation is 10 Pa by default. Limited areas and coasts have such blocks."""
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


def weighted(weights: csr_matrix, shape: tuple[int, int], axes: int, coverage: float = MIN_COVERAGE) -> Regrid:
    """Regridding by sparse weights, (h w, cells), to blocks of that shape; sums in double precision.

    The cells are the last ``axes`` dimensions of the values. Blocks of which less than ``coverage`` is covered by values
    become NaN.
    """
    whole = np.asarray(weights.sum(1)).ravel()

    def regrid(values: np.ndarray) -> np.ndarray:
        lead = values.shape[: values.ndim - axes]
        flat = values.reshape(int(np.prod(lead, dtype=int)), -1).astype(np.float64).T
        valid = ~np.isnan(flat)
        total = weights @ np.where(valid, flat, 0.0)
        share = whole[:, None] if valid.all() else weights @ valid.astype(np.float64)
        result = np.where(share >= coverage, total / np.maximum(share, 1e-12), np.nan)
        return result.T.reshape(*lead, *shape)

    return regrid
