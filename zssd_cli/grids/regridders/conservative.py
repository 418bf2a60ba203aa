"""Exact first-order conservative means of curvilinear and unstructured cells (:mod:`zssd_cli.grids.polygons`)."""

from zssd_cli.errors import ConfigError
from zssd_cli.grids.cells import Cells
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.grids.polygons import overlap_weights
from zssd_cli.grids.regrid import Regrid, weighted

ORDER = 5


def takes(cells: Cells) -> bool:
    """Those that form no rectilinear grid."""
    return cells.points is not None


def make(cells: Cells, target: LatLonGrid) -> Regrid:
    """Conservative; the cells of a rectilinear grid are a :class:`ConfigError`."""
    if cells.points is None:
        msg = "--regridder conservative is for curvilinear and unstructured grids; the input's is rectilinear. Use builtin."
        raise ConfigError(msg)
    weights = overlap_weights(*cells.points.corners, target)
    return weighted(weights, target.shape, cells.points.lat.ndim)
