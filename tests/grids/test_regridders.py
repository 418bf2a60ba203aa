"""Regridders by name: one file is one regridder, ``auto`` takes the first that can."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import coo_matrix

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.grids import regridders
from zssd_cli.grids.cells import CellCenters
from zssd_cli.grids.conservative import latitude_weights, longitude_weights
from zssd_cli.grids.corners import to_vectors
from zssd_cli.grids.latlon import LatLonGrid, Region, block_grid
from zssd_cli.grids.polygons import overlap_weights
from zssd_cli.grids.regrid import separable
from zssd_cli.grids.regridders import make_regrid

BOX = block_grid(5.0, Region(0, 20, 40, 60))


@dataclass(frozen=True)
class Given:
    """Cells as a source has them."""

    grid: LatLonGrid | None = None
    points: CellCenters | None = None


RECTILINEAR = Given(block_grid(2.5, Region(0, 20, 40, 60)))
_spread = np.random.default_rng(1).uniform(-0.2, 0.2, (2, 60, 60))
_lat, _lon = np.meshgrid(np.linspace(35, 65, 60), np.linspace(-8, 28, 60), indexing="ij")
SCATTERED = Given(points=CellCenters((_lat + _spread[0]).ravel(), (_lon + _spread[1]).ravel()))
CURVILINEAR = Given(points=CellCenters(_lat + 0.02 * (_lon - 10), _lon + 0.1 * (_lat - 50)))
_twice = np.append(np.arange(3600), np.arange(50))
HOLED = Given(points=CellCenters(SCATTERED.points.lat[_twice], SCATTERED.points.lon[_twice]))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path_factory.mktemp(name))


@pytest.fixture
def new_package(tmp_path, monkeypatch):
    """A package of one module, found first."""

    def make(name, module, text):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        for loaded in (name, f"{name}.{module}"):
            monkeypatch.delitem(sys.modules, loaded, raising=False)

    return make


def test_auto_takes_the_first_that_can():
    field = np.random.default_rng(0).normal(size=RECTILINEAR.grid.shape)
    regrid, name = make_regrid(RECTILINEAR, BOX)
    assert name == "builtin"
    np.testing.assert_array_equal(regrid(field), separable(RECTILINEAR.grid, BOX)(field))


def test_the_builtin_one_refuses_other_cells():
    with pytest.raises(ConfigError, match="not rectilinear"):
        make_regrid(SCATTERED, BOX, "builtin")


@pytest.mark.parametrize("cells", [SCATTERED, CURVILINEAR], ids=["scattered", "curvilinear"])
def test_other_cells_are_averaged_without_esmf(cells, monkeypatch):
    monkeypatch.setitem(sys.modules, "xesmf", None)
    regrid, name = make_regrid(cells, BOX)
    assert name == "conservative"
    shape = cells.points.lat.shape
    np.testing.assert_allclose(regrid(np.full((2, 3, *shape), 7.5, dtype=np.float32)), np.full((2, 3, *BOX.shape), 7.5))
    # a field that is linear in space has its value at the block's centre of mass as block mean
    blocks = regrid(np.sin(np.deg2rad(cells.points.lat)))
    s = np.sin(np.deg2rad(BOX.lat_edges))
    np.testing.assert_allclose(blocks, np.repeat((s[1:, None] + s[:-1, None]) / 2, 4, axis=1), atol=3e-4)


def test_missing_cells_and_blocks_that_are_not_nearly_covered():
    regrid, _ = make_regrid(CURVILINEAR, BOX)
    lat, lon = CURVILINEAR.points.lat, CURVILINEAR.points.lon
    inside = (lat > 45) & (lat < 50) & (lon > 5) & (lon < 10)
    stack = np.ones((3, *lat.shape))
    stack[0, *np.argwhere(inside)[40]] = np.nan
    stack[1][inside & (lat < 45.6)] = np.nan
    blocks = regrid(stack)
    assert np.isfinite(blocks[[0, 2]]).all()
    assert np.argwhere(np.isnan(blocks[1])).tolist() == [[1, 1]]
    np.testing.assert_allclose(blocks[np.isfinite(blocks)], 1)


def test_blocks_beyond_the_cells_are_missing():
    regrid, _ = make_regrid(CURVILINEAR, block_grid(5.0, Region(-40, 60, 0, 90)))
    blocks = regrid(np.ones(CURVILINEAR.points.lat.shape))
    assert np.isnan(blocks[:, 0]).all()
    assert np.isfinite(blocks).sum() == 6 * 6


def test_cells_that_overlap_are_refused():
    points = CURVILINEAR.points
    wide = [
        part + side for part, side in ((points.lat[..., None], [-2, -2, 2, 2]), (points.lon[..., None], [-3, 3, 3, -3]))
    ]
    with pytest.raises(InputError, match="cells overlap: .* covered more than once, up to"):
        make_regrid(Given(points=CellCenters(points.lat, points.lon, *wide)), BOX)


def test_the_conservative_one_leaves_rectilinear_cells_to_the_builtin_one():
    with pytest.raises(ConfigError, match="Use builtin"):
        make_regrid(RECTILINEAR, BOX, "conservative")


class PretendedESMF:
    """xESMF's backend as far as it is used: overlaps by our own polygons, kept apart from ours by their corners alone."""

    ESMF = SimpleNamespace(CoordSys=SimpleNamespace(SPH_DEG="degrees"))

    class Grid(SimpleNamespace):
        @classmethod
        def from_xarray(cls, lon, lat):
            assert lon.flags["F_CONTIGUOUS"]
            assert lon.shape == lat.shape
            return cls(shape=lon.shape)

    class Mesh:
        def __init__(self, parametric, spatial, coord_sys):
            assert (parametric, spatial, coord_sys) == (2, 2, "degrees")

        def add_nodes(self, count, ids, coordinates, owners):
            assert ids.tolist() == list(range(1, count + 1))
            assert not owners.any()
            self.nodes = coordinates.reshape(count, 2)

        def add_elements(self, count, ids, sizes, nodes):
            assert ids.tolist() == list(range(1, count + 1))
            cells = np.split(self.nodes[nodes], np.cumsum(sizes)[:-1])
            assert all(len(np.unique(cell, axis=0)) == len(cell) > 2 for cell in cells)
            most = sizes.max()
            self.lon, self.lat = np.moveaxis([cell[np.minimum(range(most), len(cell) - 1)] for cell in cells], -1, 0)
            area = np.cross(
                to_vectors(self.lat, self.lon), to_vectors(*(np.roll(a, -1, 1) for a in (self.lat, self.lon)))
            )
            assert (np.einsum("nkx,nx->n", area, to_vectors(self.lat, self.lon).mean(1)) > 0).all()

    @staticmethod
    def add_corner(grid, lon, lat):
        grid.lon, grid.lat = lon[:, 0], lat[0]

    @staticmethod
    def esmf_regrid_build(source, target, method, *, ignore_degenerate):
        Path("PET0.ESMF_LogFile").write_text("log")
        assert (method, ignore_degenerate) == ("conservative", True)
        blocks = LatLonGrid(
            *((edges[1:] + edges[:-1]) / 2 for edges in (target.lat, target.lon)), target.lat, target.lon
        )
        if isinstance(source, PretendedESMF.Mesh):
            weights = overlap_weights(source.lat, source.lon, blocks).tocoo()
        else:
            rows, columns = latitude_weights(source.lat, target.lat), longitude_weights(source.lon, target.lon)
            weights = coo_matrix(np.kron(rows, columns))
        found = {"weights": weights.data, "row_dst": weights.row + 1, "col_src": weights.col + 1}
        return SimpleNamespace(get_weights_dict=lambda deep_copy: found)


def pretend(monkeypatch, backend=PretendedESMF):
    monkeypatch.setitem(sys.modules, "xesmf", SimpleNamespace(backend=backend))


@pytest.mark.parametrize("cells", [RECTILINEAR, SCATTERED, CURVILINEAR, HOLED], ids=str)
def test_xesmf_is_conservative_for_all_cells(cells, monkeypatch, tmp_path):
    pretend(monkeypatch)
    monkeypatch.chdir(tmp_path)
    regrid, name = make_regrid(cells, BOX, "xesmf")
    assert (name, Path.cwd(), list(tmp_path.iterdir())) == ("xesmf", tmp_path, [])
    field = np.random.default_rng(0).normal(size=(2, *(cells.grid.shape if cells.grid else cells.points.lat.shape)))
    field[0].flat[3] = np.nan
    np.testing.assert_allclose(regrid(field), make_regrid(cells, BOX)[0](field), rtol=0, atol=1e-9)


def test_xesmf_makes_the_weights_of_a_grid_once(monkeypatch, tmp_path):
    made = []

    def build(source, target, *arguments, **options):
        made.append(target)
        return PretendedESMF.esmf_regrid_build(source, target, *arguments, **options)

    pretend(monkeypatch, type("Counting", (PretendedESMF,), {"esmf_regrid_build": staticmethod(build)}))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    field = np.random.default_rng(0).normal(size=CURVILINEAR.points.lat.shape)
    first = make_regrid(CURVILINEAR, BOX, "xesmf")[0](field)
    (kept,) = (tmp_path / "zssd" / "esmf").iterdir()
    np.testing.assert_array_equal(make_regrid(CURVILINEAR, BOX, "xesmf")[0](field), first)
    assert len(made) == 1
    moved = Given(points=CellCenters(CURVILINEAR.points.lat + 1e-3, CURVILINEAR.points.lon))
    make_regrid(moved, BOX, "xesmf")
    make_regrid(CURVILINEAR, block_grid(2.5, Region(0, 20, 40, 60)), "xesmf")
    assert len(made) == 3
    kept.write_bytes(b"broken")
    np.testing.assert_array_equal(make_regrid(CURVILINEAR, BOX, "xesmf")[0](field), first)
    assert len(made) == 4


def test_xesmf_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "xesmf", None)
    with pytest.raises(ConfigError, match="pip alone cannot install"):
        make_regrid(RECTILINEAR, BOX, "xesmf")


def test_xesmf_without_its_makefile_says_so(new_package):
    """As xESMF 0.9: a second name of ESMF is tried, whose absence hides why the first one failed."""
    new_package("xesmf", "backend", "try:\n    raise ImportError('The ESMFMKFILE environment variable is not available.')\n"
                "except ImportError:\n    import ESMF_of_old\n")  # fmt: skip
    with pytest.raises(
        ConfigError, match="does not start: ImportError: The ESMFMKFILE environment variable is not available. Act"
    ):
        make_regrid(RECTILINEAR, BOX, "xesmf")


def test_an_error_of_esmf_is_one_line(monkeypatch):
    def fail(*_, **__):
        msg = "ESMC_FieldRegridStore failed with rc = 506.\n Please check the log files (named PET0.ESMF_LogFile)"
        raise ValueError(msg)

    pretend(monkeypatch, type("Failing", (PretendedESMF,), {"esmf_regrid_build": staticmethod(fail)}))
    with pytest.raises(
        ConfigError, match="ValueError: ESMC_FieldRegridStore failed with rc = 506. Use another"
    ) as caught:
        make_regrid(CURVILINEAR, BOX, "xesmf")
    assert "\n" not in str(caught.value)


def test_a_new_regridder_is_a_file(new_file):
    text = (
        "ORDER = -1\ndef takes(cells): return cells.grid is not None\n"
        "def make(cells, target): return lambda values: values[..., :1, :1] * 0 + 7.0\n"
    )
    new_file(regridders, "seventh", text)
    regrid, name = make_regrid(RECTILINEAR, BOX)
    assert (name, float(regrid(np.zeros((2, 2)))[0, 0])) == ("seventh", 7.0)
    assert make_regrid(RECTILINEAR, BOX, "builtin")[1] == "builtin"
