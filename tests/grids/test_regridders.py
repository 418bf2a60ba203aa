"""Regridders by name: one file is one regridder, ``auto`` takes the first that can."""

import sys
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from zssd_cli.errors import ConfigError
from zssd_cli.grids import regridders
from zssd_cli.grids.cells import CellCenters
from zssd_cli.grids.latlon import LatLonGrid, Region, block_grid
from zssd_cli.grids.regrid import separable
from zssd_cli.grids.regridders import make_regrid

BOX = block_grid(5.0, Region(0, 20, 40, 60))


@dataclass(frozen=True)
class Given:
    """Cells as a source has them."""

    grid: LatLonGrid | None = None
    points: CellCenters | None = None


RECTILINEAR = Given(block_grid(2.5, Region(0, 20, 40, 60)))
SCATTERED = Given(points=CellCenters(np.linspace(40, 60, 300), np.linspace(0, 20, 300)))


def test_auto_takes_the_first_that_can():
    field = np.random.default_rng(0).normal(size=RECTILINEAR.grid.shape)
    regrid, name = make_regrid(RECTILINEAR, BOX)
    assert name == "builtin"
    np.testing.assert_array_equal(regrid(field), separable(RECTILINEAR.grid, BOX)(field))


def test_the_builtin_one_refuses_other_cells():
    with pytest.raises(ConfigError, match="not rectilinear"):
        make_regrid(SCATTERED, BOX, "builtin")


def test_scattered_cells_go_to_xesmf(monkeypatch):
    """A pretended xESMF maps every cell of its 0.5 degree grid to the first point: the blocks are that point's value."""

    def regridder(source, target, method, **_):
        assert (method, source.lat.size) == ("nearest_s2d", 300)
        size = target.lat.size * target.lon.size
        weights = csr_matrix((np.ones(size), (np.arange(size), np.zeros(size, int))), shape=(size, 300))
        return SimpleNamespace(weights=SimpleNamespace(data=SimpleNamespace(to_scipy_sparse=lambda: weights)))

    monkeypatch.setitem(sys.modules, "xesmf", SimpleNamespace(Regridder=regridder))
    regrid, name = make_regrid(SCATTERED, BOX)
    assert name == "xesmf"
    blocks = regrid(np.arange(300.0)[None] + [[7.0], [9.0]])
    assert blocks.shape == (2, *BOX.shape)
    np.testing.assert_allclose(blocks, np.array([7.0, 9.0])[:, None, None] * np.ones(BOX.shape))


def test_a_new_regridder_is_a_file(new_file):
    text = (
        "ORDER = -1\ndef takes(cells): return cells.grid is not None\n"
        "def make(cells, target): return lambda values: values[..., :1, :1] * 0 + 7.0\n"
    )
    new_file(regridders, "seventh", text)
    regrid, name = make_regrid(RECTILINEAR, BOX)
    assert (name, float(regrid(np.zeros((2, 2)))[0, 0])) == ("seventh", 7.0)
    assert make_regrid(RECTILINEAR, BOX, "builtin")[1] == "builtin"
