"""Where the cells of a field lie: on a rectilinear grid, or anywhere."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from zssd_cli.grids.corners import cell_corners
from zssd_cli.grids.latlon import LatLonGrid


@dataclass(frozen=True, eq=False)
class CellCenters:
    """Cells that form no rectilinear grid.

    Attributes
    ----------
    lat, lon
        Centres in degrees, (n_y, n_x) for curvilinear and (n,) for unstructured grids.
    lat_vertices, lon_vertices
        Corners of the cells in degrees, the shape of ``lat`` with the corners as last dimension; None if unknown.
    """

    lat: np.ndarray
    lon: np.ndarray
    lat_vertices: np.ndarray | None = None
    lon_vertices: np.ndarray | None = None

    @cached_property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes of the corners, (cells, corners) each; see :func:`~zssd_cli.grids.corners.cell_corners`."""
        return cell_corners(self.lat, self.lon, self.lat_vertices, self.lon_vertices)


class Cells(Protocol):
    """A series, as far as a regridder needs it: either a grid or points."""

    @property
    def grid(self) -> LatLonGrid | None:
        """The rectilinear grid; None for other cells."""

    @property
    def points(self) -> CellCenters | None:
        """The cells of a curvilinear or unstructured grid; None for rectilinear ones."""
