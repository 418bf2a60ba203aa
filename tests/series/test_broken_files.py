"""Files that are none: one line each, never a traceback, never rubbish read past the end."""

import netCDF4
import numpy as np
import pytest

from zssd_cli.errors import InputError
from zssd_cli.series.classic import missing_bytes
from zssd_cli.series.reading import open_source

FORMATS = ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4"]


def open_and_read(paths):
    source = open_source(paths, ["msl"])
    return source.read(0, len(source.times))


def refused(paths) -> str:
    with pytest.raises(InputError) as caught:
        open_and_read(paths)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"PK\x03\x04rest", "is a zip archive"),
        (b"\x1f\x8b\x08\x00rest", "is compressed with gzip"),
        (b"<!DOCTYPE html><html>", "is a text or web page"),
        (b"time,psl\n2010,101325\n", "is text ('time,psl' ...)"),
        (b"CDF\x01", "the NetCDF header is broken"),
        (b"CDF\x05" + b"\xff" * 40, "the NetCDF header is broken"),
        (b"\x89HDF\r\n\x1a\n" + b"\x00" * 200, "cannot be read"),
    ],
)
def test_files_that_are_no_netcdf(tmp_path, capfd, content, message):
    path = tmp_path / "in.nc"
    path.write_bytes(content)
    text = refused([path])
    assert text.startswith(f"{path}: ")
    assert message in text
    assert capfd.readouterr() == ("", "")


def test_paths_that_lead_nowhere(tmp_path):
    assert refused([tmp_path / "absent.nc"]) == f"{tmp_path}/absent.nc: no such file; check the path."
    assert "no file matches the pattern" in refused([str(tmp_path / "*.nc")])
    assert refused([tmp_path]).startswith(f"{tmp_path}: is a directory without a file that ends in .nc, .nc4")
    assert "No input file given" in refused([])


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.97])
def test_truncated_files(make, capfd, format_, part):
    path = make(format=format_, hours=np.arange(50.0))
    whole = path.read_bytes()
    assert missing_bytes(path) == 0
    path.write_bytes(whole[: int(part * len(whole))])
    text = refused([path])
    assert text.startswith(f"{path}: ")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("format_", FORMATS)
def test_complete_files_with_records_and_odd_sizes_lack_nothing(tmp_path, format_):
    path = tmp_path / "in.nc"
    with netCDF4.Dataset(path, "w", format=format_) as data:
        data.createDimension("time", None)
        data.createDimension("x", 3)
        data.setncatts({"title": "odd", "number": np.int16(3), "list": np.arange(3.0)})
        for name, kind, dims in (
            ("a", "i2", ("time", "x")),
            ("b", "i1", ("time",)),
            ("c", "f8", ("x",)),
            ("d", "S1", ("x",)),
        ):
            data.createVariable(name, kind, dims).units = "1"
        data["a"][:5] = np.ones((5, 3))
    assert missing_bytes(path) == 0
    if format_ != "NETCDF4":
        path.write_bytes(path.read_bytes()[:-8])
        assert missing_bytes(path) > 0


def test_a_single_record_variable_is_not_padded(tmp_path):
    path = tmp_path / "in.nc"
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as data:
        data.createDimension("time", None)
        data.createDimension("x", 3)
        data.createVariable("a", "i2", ("time", "x"))[:5] = np.ones((5, 3))
    assert missing_bytes(path) == 0


@pytest.mark.parametrize("format_", FORMATS)
def test_damage_anywhere_gives_a_result_or_one_line(make, capfd, format_):
    """Overwrite bytes all over the file: nothing but InputError may come out."""
    path = make("whole.nc", format=format_)
    whole = path.read_bytes()
    damaged = path.with_name("damaged.nc")
    random = np.random.default_rng(1)
    messages, lowest, highest = [], np.inf, -np.inf
    for _ in range(60):
        start = int(random.integers(0, min(len(whole), 2500)))
        content = bytearray(whole)
        content[start : start + 8] = random.bytes(8)
        damaged.write_bytes(content)
        try:
            block = open_and_read([damaged])
        except InputError as error:
            messages.append(str(error))
        else:
            lowest = min(lowest, np.nanmin(block))
            highest = max(highest, np.nanmax(block))
    assert messages
    assert not any("\n" in message for message in messages)
    assert lowest >= 84000
    assert highest <= 112000
    assert capfd.readouterr().out == ""


def test_damaged_data_inside_an_hdf5_file(make):
    path = make(hours=np.arange(100.0))
    with netCDF4.Dataset(path, "a") as data:
        data.createVariable("msl", "f4", ("time", "lat", "lon"), zlib=True, fletcher32=True, chunksizes=(100, 4, 8))
        data["msl"][:] = 101000 + np.random.default_rng(0).normal(size=(100, 4, 8))
        data["msl"].units = "Pa"
    content = bytearray(path.read_bytes())
    content[-4000:-3000] = bytes(1000)
    path.write_bytes(content)
    assert "in.nc: " in refused([path])


def test_grib_without_cfgrib_says_what_to_install(tmp_path, monkeypatch):
    import zssd_cli.series.grib as grib

    monkeypatch.setattr(grib, "find_spec", lambda name: None)
    path = tmp_path / "in.grib"
    path.write_bytes(b"GRIB\x00\x00\x00\x01")
    assert "is GRIB, which needs cfgrib: pip install cfgrib eccodes" in refused([path])


@pytest.mark.grib
def test_broken_grib(tmp_path):
    pytest.importorskip("cfgrib")
    path = tmp_path / "in.grib"
    path.write_bytes(b"GRIB\x00\x00\x00\x01" + b"\x00" * 100)
    assert refused([path]).startswith(f"{path}: ")
