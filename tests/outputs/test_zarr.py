"""The Zarr store: what the NetCDF file holds, whole or not at all."""

import sys

import numpy as np
import pytest
import xarray as xr

from tests.outputs.test_netcdf import EMPTY, GRID, TIMES, dates
from zssd_cli.errors import OutputError
from zssd_cli.outputs.netcdf import create_output
from zssd_cli.outputs.sink import Contents
from zssd_cli.outputs.zarr import create_store

zarr = pytest.importorskip("zarr")
DAYS = dates((2010, 2, 30, 0), (2010, 2, 30, 6), (2010, 2, 30, 12), calendar="360_day")
CONTENTS = [
    Contents(GRID, TIMES, 2, {"msl": {"zssd_observed": "yes"}, "u10": {}}, {"title": "t", "number": 2, "share": np.float64(0.1)}),
    Contents(GRID, DAYS[1:], 2, {"u10": {}, "z500": {}, "z250": {}}, {}, list(zip(DAYS[:-1], DAYS[1:], strict=True))),
]  # fmt: skip


def fill(create, path, contents):
    """Members and times one by one, as a processor draws them; a hole, a mask and attributes that come at the end."""
    values = np.random.default_rng(0).normal(size=(2, 2, len(contents.variables), *GRID.shape)).astype(np.float32)
    values[0, 1, :, 3, 4] = np.nan
    cells = np.zeros(GRID.shape, bool)
    cells[2:4, 5] = True
    with create(path, contents) as out:
        for time in range(2):
            for member in range(2):
                where = slice(time, time + 1), slice(member, member + 1)
                out.write(*where, values[where])
        out.mark_drawn(1, "u10", cells)
        out.attribute("after", np.float64(1.5))
        out.attribute("zssd_observed", "partly", "u10")


@pytest.mark.parametrize("contents", CONTENTS)
@pytest.mark.parametrize("decoded", [True, False])
def test_xarray_reads_what_it_reads_of_the_file(tmp_path, contents, decoded):
    fill(create_output, tmp_path / "o.nc", contents)
    fill(create_store, tmp_path / "o.zarr", contents)
    with (
        xr.open_dataset(tmp_path / "o.nc", decode_times=decoded) as file,
        xr.open_dataset(
            tmp_path / "o.zarr", engine="zarr", chunks=None, decode_times=decoded, consolidated=True
        ) as store,
    ):
        xr.testing.assert_identical(store.load(), file.load())
        assert {name: v.dtype for name, v in store.variables.items()} == {n: v.dtype for n, v in file.variables.items()}
        assert np.isnan(store["u10"].values).sum() == 1


def test_layout(tmp_path):
    fill(create_store, tmp_path / "o.zarr", CONTENTS[0])
    group = zarr.open_group(tmp_path / "o.zarr", mode="r")
    assert group.metadata.zarr_format == 3
    assert group.metadata.consolidated_metadata is not None
    assert group["u10"].chunks == (1, 1, *GRID.shape)
    assert group["u10_observed"].chunks == (1, *GRID.shape)


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_old_store_stays_until_the_new_one_is_whole(tmp_path, error):
    fill(create_store, tmp_path / "o.zarr", CONTENTS[0])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    expected = OutputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), create_store(tmp_path / "o.zarr", EMPTY):
        raise error
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    with create_store(tmp_path / "o.zarr", EMPTY):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "o.zarr"]
    assert zarr.open_group(tmp_path / "o.zarr", mode="r")["msl"].shape == (2, 1, *GRID.shape)


@pytest.mark.parametrize("version", [None, "2.18.7"])
def test_without_the_library_it_is_one_line(tmp_path, monkeypatch, version):
    if version is None:
        monkeypatch.setattr("zssd_cli.outputs.zarr.find_spec", lambda name: None)
    else:
        monkeypatch.setattr(sys.modules["zarr"], "__version__", version)
    with pytest.raises(OutputError, match=r'pip install "zssd\[zarr\]"'), create_store(tmp_path / "o.zarr", EMPTY):
        pass
    assert list(tmp_path.iterdir()) == []
