"""From the input's own grid to coarse blocks, conservatively, missing cells left out.

Rectilinear grids use the exact separable weights of :mod:`zssd_cli.grids.conservative`. Everything else needs xESMF
(:mod:`zssd_cli.grids.esmf`). A block of which less than half is covered by valid input is missing.
"""

from collections.abc import Callable

import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.grids.conservative import latitude_weights, longitude_weights
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.series.reading import Source

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


def make_regrid(source: Source, target: LatLonGrid, choice: str) -> tuple[Regrid, str]:
    """The regridder for a source and its name (``builtin`` or ``xesmf``); ``choice`` may be ``auto``."""
    if choice not in ("auto", "builtin", "xesmf"):
        msg = f"--regridder: expected auto, builtin or xesmf, got {choice!r}."
        raise ConfigError(msg)
    if source.grid is not None and choice != "xesmf":
        return separable(source.grid, target), "builtin"
    if choice == "builtin":
        msg = (
            "The input's grid is not rectilinear; the built-in regridder cannot take it. "
            "Use --regridder xesmf or remap it first (cdo remapcon,r180x90)."
        )
        raise ConfigError(msg)
    from zssd_cli.grids.esmf import esmf_regrid

    return esmf_regrid(source, target), "xesmf"
