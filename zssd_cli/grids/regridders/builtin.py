"""Exact separable weights between rectilinear grids (:func:`zssd_cli.grids.regrid.separable`)."""

from zssd_cli.errors import ConfigError
from zssd_cli.grids.cells import Cells
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.grids.regrid import Regrid, separable

ORDER = 0


def takes(cells: Cells) -> bool:
    """Rectilinear ones."""
    return cells.grid is not None


def make(cells: Cells, target: LatLonGrid) -> Regrid:
    """Conservative; other cells than those of a rectilinear grid are a :class:`ConfigError`."""
    if cells.grid is None:
        msg = (
            "The input's grid is not rectilinear; --regridder builtin cannot take it. "
            "Use --regridder conservative or leave --regridder out."
        )
        raise ConfigError(msg)
    return separable(cells.grid, target)
