"""Conservative weights of ESMF by way of xESMF, imported only here.

ESMF itself has no wheel on PyPI; it comes with conda (see environment.yml). Cells that form no rectilinear grid become an ESMF
mesh of polygons, with the same corners as :mod:`~zssd_cli.grids.regridders.conservative` uses. The weights are computed once,
kept in the user's cache, and applied as a sparse matrix; blocks that ESMF does not map are missing, never 0.
"""

import contextlib
import hashlib
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, load_npz, save_npz

from zssd_cli.errors import ConfigError
from zssd_cli.files import atomic_path
from zssd_cli.grids.cells import CellCenters, Cells
from zssd_cli.grids.corners import to_vectors
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.grids.regrid import Regrid, weighted

ORDER = 10

MISSING = (
    "The weights of --regridder xesmf need xESMF with ESMF, which pip alone cannot install. Use 'conda env create -f environment.yml' "
    "(then pip install 'zssd[esmf]'), or leave --regridder out: what is built in takes every grid."
)


def takes(cells: Cells) -> bool:
    """Whatever has cells."""
    return cells.grid is not None or cells.points is not None


def make(cells: Cells, target: LatLonGrid) -> Regrid:
    """Conservative; a :class:`~zssd_cli.errors.ConfigError` says what ESMF lacks or where it failed."""
    # ESMF writes PET0.ESMF_LogFile into the working folder
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        backend = _backend()
        try:
            weights = _kept(backend, cells, target)
        except Exception as error:
            msg = f"ESMF cannot make the weights: {_line(error)}. Use another --regridder or leave it out."
            raise ConfigError(msg) from error
    if cells.points is None:
        return weighted(weights, target.shape, 2)
    return weighted(weights, target.shape, cells.points.lat.ndim)


def _backend() -> Any:
    """The module that wraps ESMF."""
    try:
        from xesmf import backend
    except Exception as error:
        # xESMF tries two names of ESMF's package: what broke the first is only in the context
        chain: list[BaseException] = [error]
        while (earlier := chain[-1].__cause__ or chain[-1].__context__) is not None:
            chain.append(earlier)
        broken = [one for one in chain if not isinstance(one, ModuleNotFoundError)]
        if not broken:
            raise ConfigError(MISSING) from error
        msg = (
            f"xESMF is installed but does not start: {_line(broken[-1])}. Activate its conda environment, which sets "
            "ESMFMKFILE, or leave --regridder out: what is built in takes every grid."
        )
        raise ConfigError(msg) from error
    return backend


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0].rstrip(".")


def _kept(backend: Any, cells: Cells, target: LatLonGrid) -> csr_matrix:
    """The weights from the user's cache, where they lie under a hash of the grids' numbers, the method and ESMF's version."""
    import pooch

    grids = [target] if cells.points is not None else [target, _rectilinear(cells)]
    numbers = [edges for grid in grids for edges in (grid.lat_edges, grid.lon_edges)]
    if cells.points is not None:
        numbers += cells.points.corners
    digest = hashlib.sha256(f"conservative {getattr(backend.ESMF, '__version__', None)}".encode())
    for part in numbers:
        digest.update(str(part.shape).encode() + np.asarray(part, dtype=np.float64).tobytes())
    path = Path(pooch.os_cache("zssd")) / "esmf" / f"{digest.hexdigest()[:32]}.npz"
    with contextlib.suppress(OSError, ValueError, zipfile.BadZipFile):
        return csr_matrix(load_npz(path))
    weights = _weights(backend, cells, target)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            save_npz(file, weights)
    return weights


def _rectilinear(cells: Cells) -> LatLonGrid:
    if cells.grid is None:
        msg = "a source has a grid or points"
        raise ValueError(msg)
    return cells.grid


def _weights(backend: Any, cells: Cells, target: LatLonGrid) -> csr_matrix:
    """Shares of the blocks, (h w, cells)."""
    if cells.points is not None:
        source, index = _mesh(backend, cells.points)
        count = cells.points.lat.size
    else:
        source = _grid(backend, _rectilinear(cells))
        count = _rectilinear(cells).area.size
        index = np.arange(count)
    regrid = backend.esmf_regrid_build(source, _grid(backend, target), "conservative", ignore_degenerate=True)
    found = regrid.get_weights_dict(deep_copy=True)
    share, block, cell = (np.asarray(found[name]) for name in ("weights", "row_dst", "col_src"))
    shape = (target.lat.size * target.lon.size, count)
    return csr_matrix((np.nan_to_num(share), (block.astype(int) - 1, index[cell.astype(int) - 1])), shape=shape)


def _grid(backend: Any, grid: LatLonGrid) -> Any:
    """A rectilinear grid; ESMF's first dimension is the longitude."""
    lon, lat = np.meshgrid(grid.lon, grid.lat, indexing="ij")
    lon_edges, lat_edges = np.meshgrid(grid.lon_edges, grid.lat_edges, indexing="ij")
    result = backend.Grid.from_xarray(np.asfortranarray(lon), np.asfortranarray(lat))
    backend.add_corner(result, np.asfortranarray(lon_edges), np.asfortranarray(lat_edges))
    return result


def _mesh(backend: Any, points: CellCenters) -> tuple[Any, np.ndarray]:
    """A mesh of the cells that count, corners anticlockwise and none twice in a row, and their indices."""
    lat, lon = points.corners
    vectors = to_vectors(lat, lon)
    middle = vectors.mean(1)
    turns = np.einsum("nkx,nx->n", np.cross(vectors, np.roll(vectors, -1, axis=1)), middle)
    clockwise = (turns < 0)[:, None]
    lat, lon = np.where(clockwise, lat[:, ::-1], lat), np.where(clockwise, lon[:, ::-1], lon)
    vectors = to_vectors(lat, lon)
    new = np.linalg.norm(vectors - np.roll(vectors, 1, axis=1), axis=2) > 1e-9
    used = np.flatnonzero(np.isfinite(turns) & (new.sum(1) > 2))
    new = new[used]
    nodes = np.stack([lon[used][new], lat[used][new]], axis=1)
    number = np.arange(len(nodes), dtype=np.int32)
    mesh = backend.Mesh(2, 2, coord_sys=backend.ESMF.CoordSys.SPH_DEG)
    mesh.add_nodes(len(nodes), number + 1, nodes.ravel(), np.zeros(len(nodes), dtype=np.int32))
    elements = np.arange(used.size, dtype=np.int32) + 1
    mesh.add_elements(used.size, elements, new.sum(1).astype(np.int32), number)
    return mesh, used
