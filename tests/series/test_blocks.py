"""A chunk of many times is read once, whatever the order; what is held does not grow."""

import netCDF4
import numpy as np
import pytest

from zssd_cli.series import blocks, pieces
from zssd_cli.series.reading import open_source

TIMES, ROWS, COLUMNS = 40, 6, 8


@pytest.fixture
def chunked(tmp_path):
    """psl with 16 times in a chunk, packed, and its values."""
    path = tmp_path / "p.nc"
    values = 100000 + np.random.default_rng(0).integers(0, 900, (TIMES, ROWS, COLUMNS)).astype(float)
    with netCDF4.Dataset(path, "w") as data:
        for name, axis, units in (
            ("time", np.arange(TIMES) * 6.0, "hours since 2010-01-01"),
            ("lat", np.linspace(-75, 75, ROWS), "degrees_north"),
            ("lon", np.arange(COLUMNS) * 45.0, "degrees_east"),
        ):
            data.createDimension(name, axis.size)
            data.createVariable(name, "f8", (name,))[:] = axis
            data[name].units = units
        psl = data.createVariable("psl", "i2", ("time", "lat", "lon"), zlib=True, chunksizes=(16, ROWS, COLUMNS))
        psl.setncatts({"units": "Pa", "scale_factor": 1.0, "add_offset": 100000.0})
        psl[:] = values
    return path, values


@pytest.mark.parametrize("most", [blocks.MOST, ROWS * COLUMNS * 8 * 5])
def test_a_chunk_is_read_once(chunked, monkeypatch, most):
    """Or, where it is too large to be held, once for each even part of it."""
    path, values = chunked
    monkeypatch.setattr(blocks, "MOST", most)
    source, reads, read = open_source(path, "msl"), [], pieces._read

    def counted(piece, array, positions):
        reads.append(len(positions))
        return read(piece, array, positions)

    monkeypatch.setattr(pieces, "_read", counted)
    for k in range(TIMES):
        np.testing.assert_allclose(source.fields("msl", k, k + 1)[0], values[k])
    assert sum(reads) <= TIMES
    assert max(reads) * ROWS * COLUMNS * 4 <= most
    np.testing.assert_allclose(source.fields("msl", 10, 35), values[10:35])
    np.testing.assert_allclose(source.fields("msl", 3, 4)[0], values[3])
    assert len(source._series[0].pieces[0].blocks._held) == 1
