"""Regridding of curvilinear and unstructured input by xESMF, imported only here.

ESMF itself has no wheel on PyPI; it comes with conda (see environment.yml). The weights are computed once and applied
as a sparse matrix; cells that ESMF does not map are missing, never 0.
"""

import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.fields.reading import Source
from zssd_cli.grids.latlon import LatLonGrid

MISSING = (
    "This input's grid is not rectilinear and needs xESMF with ESMF, which pip alone cannot install. Use "
    "'conda env create -f environment.yml' (then pip install 'zssd[esmf]'), or remap first: cdo remapcon,r180x90 in.nc out.nc."
)


def esmf_regrid(source: Source, target: LatLonGrid):  # noqa: ANN201 - see Regrid in zssd_cli.grids.regrid
    """Conservative where the cells' corners are known, else bilinear (curvilinear) or nearest (unstructured)."""
    try:
        import xesmf
    except Exception as error:
        raise ConfigError(MISSING) from error
    import xarray as xr
    from scipy.sparse import csr_matrix

    out = xr.Dataset(
        coords={"lat": target.lat, "lon": target.lon, "lat_b": ("lat_b", target.lat_edges), "lon_b": ("lon_b", target.lon_edges)}
    )
    cells = source.grid if source.grid is not None else source.points
    if source.grid is not None:
        grid = xr.Dataset(
            coords={
                "lat": cells.lat, "lon": cells.lon,
                "lat_b": ("lat_b", cells.lat_edges), "lon_b": ("lon_b", cells.lon_edges),
            }
        )
        regridder = xesmf.Regridder(grid, out, "conservative", periodic=cells.circular)
    elif cells.lat.ndim == 2:
        grid = xr.Dataset(coords={"lat": (("y", "x"), cells.lat), "lon": (("y", "x"), cells.lon)})
        regridder = xesmf.Regridder(grid, out, "bilinear", unmapped_to_nan=True)
    else:
        stream = xr.Dataset(coords={"lat": ("cell", cells.lat), "lon": ("cell", cells.lon)})
        regridder = xesmf.Regridder(stream, out, "nearest_s2d", locstream_in=True)
    coo = regridder.weights.data.to_scipy_sparse()
    weights = csr_matrix(coo)
    shape = target.shape

    def regrid(values: np.ndarray) -> np.ndarray:
        lead = values.shape[: -cells.lat.ndim] if source.grid is None else values.shape[:-2]
        flat = values.reshape(int(np.prod(lead, dtype=int)), -1).astype(np.float64)
        valid = ~np.isnan(flat)
        total = (weights @ np.where(valid, flat, 0).T).T
        share = (weights @ valid.T.astype(np.float64)).T
        share[~np.isfinite(total)] = 0
        with np.errstate(invalid="ignore"):
            result = np.where(share >= 0.5, total / np.maximum(share, 1e-12), np.nan)
        return result.reshape(*lead, *shape)

    return regrid
