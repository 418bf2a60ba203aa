"""Exact first-order conservative means of curvilinear and unstructured cells (:mod:`zssd_cli.grids.polygons`)."""

import numpy as np

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.grids.cells import Cells
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.grids.polygons import overlap_weights
from zssd_cli.grids.regrid import Regrid, weighted

ORDER = 5
TWICE = 1.05
"""Coverage above means that cells overlap."""
SOME = 0.02
"""The share of such blocks that the seams of sound grids may have."""


def takes(cells: Cells) -> bool:
    """Those that form no rectilinear grid."""
    return cells.points is not None


def make(cells: Cells, target: LatLonGrid) -> Regrid:
    """Conservative.

    Raises
    ------
    ConfigError
        The cells of a rectilinear grid.
    InputError
        Cells that overlap.
    """
    if cells.points is None:
        msg = "--regridder conservative is for curvilinear and unstructured grids; the input's is rectilinear. Use builtin."
        raise ConfigError(msg)
    weights = overlap_weights(*cells.points.corners, target)
    share = np.asarray(weights.sum(1)).ravel()
    twice, covered = np.count_nonzero(share > TWICE), np.count_nonzero(share > 0)
    if twice > SOME * covered:
        msg = (
            f"The input's cells overlap: {twice} of {covered} blocks are covered more than once, up to {share.max():.3g} times; "
            "its coordinates or their bounds cannot be right. Repair them or remap the input first."
        )
        raise InputError(msg)
    return weighted(weights, target.shape, cells.points.lat.ndim)
