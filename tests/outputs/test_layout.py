"""Mean and spread, packed integers and shards: the numbers that come back, in both formats."""

import numpy as np
import pytest
import xarray as xr

from tests.outputs.test_netcdf import GRID, dates
from zssd_cli.errors import ConfigError, OutputError
from zssd_cli.outputs.layout import Layout
from zssd_cli.outputs.memory import MemorySink
from zssd_cli.outputs.netcdf import create_output
from zssd_cli.outputs.packing import packing_of
from zssd_cli.outputs.sink import Contents
from zssd_cli.outputs.zarr import create_store, shard_of

TIMES = dates(*((2010, 1, 1 + k // 4, k % 4 * 6) for k in range(10)))
CONTENTS = Contents(GRID, TIMES, 3, {"msl": {"cell_methods": "area: mean"}, "u10": {}}, {"summary": "3 draws of msl"})
FORMATS = pytest.mark.parametrize(("ending", "create"), [("nc", create_output), ("zarr", create_store)])


def fields() -> np.ndarray:
    """(time, member, variable, lat, lon) with a hole."""
    values = np.random.default_rng(0).normal(size=(10, 3, 2, *GRID.shape)) * np.array([900.0, 8.0])[:, None, None]
    values += np.array([101325.0, 1.0])[:, None, None]
    values[4, :, :, 3, 4] = np.nan
    return values.astype(np.float32)


def written(path, create, layout, values, members_at_once=1):
    with layout.sink(lambda contents: create(path, contents))(CONTENTS) as out:
        for time in range(10):
            for first in range(0, 3, members_at_once):
                where = slice(time, time + 1), slice(first, first + members_at_once)
                out.write(*where, values[where])
        out.mark_drawn(7, "u10", np.ones(GRID.shape, bool))
        out.attribute("zssd_observed", "partly", "u10")
    engine = {"engine": "zarr"} if path.suffix == ".zarr" else {}
    with xr.open_dataset(path, chunks=None, **engine) as data:
        return data.load()


@FORMATS
def test_mean_and_spread(tmp_path, ending, create):
    """As numpy has them, the divisor one less than the members; the same bits however many members come at once."""
    values = fields()
    data = written(tmp_path / f"a.{ending}", create, Layout(spread=True), values)
    again = written(tmp_path / f"b.{ending}", create, Layout(spread=True), values, members_at_once=3)
    for i, name in enumerate(("msl", "u10")):
        assert data[name].dims == data[f"{name}_spread"].dims == ("time", "lat", "lon")
        np.testing.assert_allclose(data[name], values[:, :, i].astype(float).mean(1), rtol=1e-6)
        np.testing.assert_allclose(data[f"{name}_spread"], values[:, :, i].astype(float).std(1, ddof=1), rtol=1e-6)
        assert np.isnan(data[f"{name}_spread"]).sum() == 1
    assert "member" not in data.variables
    assert data["msl"].attrs["cell_methods"] == "area: mean realization: mean"
    assert data["msl_spread"].attrs["cell_methods"] == "area: mean realization: standard_deviation"
    assert data["msl"].attrs["ancillary_variables"] == "msl_spread"
    assert data["u10"].attrs["ancillary_variables"] == "u10_spread u10_observed"
    assert data["u10_spread"].attrs["zssd_observed"] == "partly"
    assert not data["u10_observed"][7].any()
    assert data["u10_observed"][:7].all()
    xr.testing.assert_equal(data, again)


def test_the_spread_in_memory(tmp_path):
    """What reading the file gives."""
    sink, values = MemorySink(), fields()
    with Layout(spread=True).sink(sink)(CONTENTS) as out:
        out.write(slice(0, 10), slice(0, 3), values)
    data = written(tmp_path / "a.nc", create_output, Layout(spread=True), values)
    for name in ("msl", "msl_spread", "u10", "u10_spread"):
        np.testing.assert_array_equal(sink.dataset[name], data[name])


def test_one_member_has_no_spread():
    with pytest.raises(ConfigError, match="--keep-spread: expected two members or more, got 1"):
        Layout(spread=True).check(1)


@FORMATS
@pytest.mark.parametrize("spread", [False, True])
def test_packed_values_come_back_within_the_stated_error(tmp_path, ending, create, spread):
    layout, values = Layout(spread=spread, packed=True), fields()
    data = written(tmp_path / f"a.{ending}", create, layout, values)
    plain = written(tmp_path / f"b.{ending}", create, Layout(spread=spread), values)
    for name in ("msl", "u10", *(("msl_spread", "u10_spread") if spread else ())):
        error = float(data[name].attrs["zssd_packing_error"].split()[0])
        off = abs(data[name].values.astype(float) - plain[name].values.astype(float))
        assert 0.4 * error < np.nanmax(off) <= error
        np.testing.assert_array_equal(np.isnan(data[name]), np.isnan(plain[name]))
        assert data[name].encoding["dtype"] == np.int16
    assert "msl within 0.214 Pa" in data.attrs["zssd_packed"]


@pytest.mark.parametrize("value", [83999.0, 112001.0])
def test_a_value_beyond_the_range_is_refused(value):
    packing = packing_of("msl")
    ends = packing.pack(np.array([84000.0, 112000.0, np.nan], np.float32))
    assert ends.tolist() == [-32767, 32767, -32768]
    with pytest.raises(OutputError, match=f"--pack: msl reaches {value:g} Pa, packed values go from 84000 to 112000"):
        packing.pack(np.array([value, 100000.0], np.float32))


@pytest.mark.parametrize(
    ("sizes", "field", "expected"),
    [
        ((146_000, 8), 128 * 256 * 4, (8, 8)),
        ((146_000, 8), 721 * 1440 * 4, (2, 8)),
        ((146_000, 100), 721 * 1440 * 4, (1, 16)),
        ((1, 1), 100, (1, 1)),
        ((146_000,), 721 * 1440, (16,)),
    ],
)
def test_shards(sizes, field, expected):
    """Eight megabytes or sixteen fields."""
    assert shard_of(sizes, field) == expected


def test_a_store_of_several_shards(tmp_path, monkeypatch):
    """Fewer files than fields, and the fields of all; also where they come in another order."""
    monkeypatch.setattr("zssd_cli.outputs.zarr.SHARD", 0)
    monkeypatch.setattr("zssd_cli.outputs.zarr.FEWEST", 6)
    values, path = fields(), tmp_path / "a.zarr"
    data = written(path, create_store, Layout(), values)
    np.testing.assert_array_equal(data["u10"], values[:, :, 1])
    assert len(list((path / "u10").rglob("c/**/0"))) >= 1
    assert sum(file.is_file() and "c" in file.parts for file in (path / "u10").rglob("*")) == 5
    with create_store(tmp_path / "b.zarr", CONTENTS) as out:
        for time in (9, 0, 5, 1, 8, 2, 7, 3, 6, 4):
            for member in (2, 0, 1):
                out.write(
                    slice(time, time + 1), slice(member, member + 1), values[time : time + 1, member : member + 1]
                )
    with xr.open_zarr(tmp_path / "b.zarr", chunks=None, consolidated=True) as other:
        np.testing.assert_array_equal(other["msl"], values[:, :, 0])
