"""Regridding of curvilinear and unstructured input by xESMF, imported only here.

ESMF itself has no wheel on PyPI; it comes with conda (see environment.yml). The weights are computed once and applied
as a sparse matrix; cells that ESMF does not map are missing, never 0.
"""

from typing import Any

import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.grids.cells import Cells
from zssd_cli.grids.latlon import LatLonGrid, Region, block_grid
from zssd_cli.grids.regrid import MIN_COVERAGE, Regrid, separable

ORDER = 10

MISSING = (
    "--regridder xesmf and grids that are not rectilinear need xESMF with ESMF, which pip alone cannot install. "
    "Use 'conda env create -f environment.yml' (then pip install 'zssd[esmf]'), "
    "or remap first: cdo remapcon,r180x90 in.nc out.nc."
)


def takes(cells: Cells) -> bool:
    """Whatever has cells."""
    return cells.grid is not None or cells.points is not None


def make(cells: Cells, target: LatLonGrid) -> Regrid:
    """Conservative for rectilinear cells; others by way of a 0.5 degree grid, whose cells are then averaged.

    To the 0.5 degree grid curvilinear cells go bilinearly and unstructured ones by the nearest centre: a mean over
    every part of a block, not a sample at its middle.
    """
    try:
        import xesmf
    except Exception as error:
        raise ConfigError(MISSING) from error
    from scipy.sparse import csr_matrix

    west, east, south, north = target.lon_edges[0], target.lon_edges[-1], target.lat_edges[0], target.lat_edges[-1]
    middle = target if cells.points is None else block_grid(0.5, Region(west, east, south, north))
    average = separable(middle, target) if middle is not target else None
    weights = csr_matrix(_regridder(xesmf, cells, middle).weights.data.to_scipy_sparse())
    axes = 2 if cells.points is None else cells.points.lat.ndim

    def regrid(values: np.ndarray) -> np.ndarray:
        lead = values.shape[:-axes]
        flat = values.reshape(int(np.prod(lead, dtype=int)), -1).astype(np.float64)
        valid = ~np.isnan(flat)
        total = (weights @ np.where(valid, flat, 0).T).T
        share = (weights @ valid.T.astype(np.float64)).T
        share[~np.isfinite(total)] = 0
        with np.errstate(invalid="ignore"):
            result = np.where(share >= MIN_COVERAGE, total / np.maximum(share, 1e-12), np.nan)
        result = result.reshape(*lead, *middle.shape)
        return result if average is None else average(result)

    return regrid


def _regridder(xesmf: Any, cells: Cells, target: LatLonGrid) -> Any:
    """The xesmf.Regridder that suits the kind of cells."""
    import xarray as xr

    def as_dataset(grid: LatLonGrid) -> xr.Dataset:
        edges = {"lat_b": ("lat_b", grid.lat_edges), "lon_b": ("lon_b", grid.lon_edges)}
        return xr.Dataset(coords={"lat": grid.lat, "lon": grid.lon, **edges})

    points = cells.points
    if cells.grid is not None:
        return xesmf.Regridder(as_dataset(cells.grid), as_dataset(target), "conservative", periodic=cells.grid.circular)
    if points is None:
        msg = "a source has a grid or points"
        raise ValueError(msg)
    if points.lat.ndim == 2:
        grid = xr.Dataset(coords={"lat": (("y", "x"), points.lat), "lon": (("y", "x"), points.lon)})
        return xesmf.Regridder(grid, as_dataset(target), "bilinear", unmapped_to_nan=True)
    stream = xr.Dataset(coords={"lat": ("cell", points.lat), "lon": ("cell", points.lon)})
    return xesmf.Regridder(stream, as_dataset(target), "nearest_s2d", locstream_in=True)
