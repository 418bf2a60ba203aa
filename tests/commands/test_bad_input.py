"""What cannot be done is said in one line: what, expected, got, what to do. Nothing is written or left behind."""

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file

from tests.commands.conftest import BOX, FAST, Done, toy_prior
from zssd_cli.outputs import netcdf as writing
from zssd_cli.prior.checkpoint import save_prior

pytestmark = pytest.mark.filterwarnings("error")


def listing(folder: Path) -> dict[str, int]:
    """Every file below a folder and its size."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*")}


def assert_one_line(done: Done, *words: str) -> None:
    assert done.code == 1, done.err
    assert done.out == ""
    assert done.err.startswith("zssd: error: ")
    assert done.err.count("\n") == 1
    assert len(done.err) < 700
    for word in words:
        assert word in done.err


@pytest.fixture
def refused(zssd, tmp_path):
    """Run a call that must fail; checks the exit code, the one line, that it says these words, and the folder."""

    def call(words, *arguments, settings=FAST, out="out.nc") -> str:
        before = listing(tmp_path)
        output = () if out is None else ("-o", tmp_path / out)
        done = zssd("downscale", *arguments, *output, *settings)
        assert_one_line(done, *words)
        assert listing(tmp_path) == before
        return done.err

    return call


# The input file


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("no such file",)),
        (b"", ("empty (0 bytes)",)),
        (b"time,psl\n1,2\n", ("is text",)),
        (b"<html>not found</html>", ("web page",)),
        (b"CDF\x01", ("header is broken",)),
        (b"\x89HDF\r\n\x1a\n" + b"\x00" * 500, ("cannot be read",)),
        (b"\x80\x02}q\x00.", ("cannot be read",)),
    ],
)
def test_no_netcdf(refused, tmp_path, content, words):
    path = tmp_path / "in.nc"
    if content is not None:
        path.write_bytes(content)
    refused((str(path), *words), path)


def test_truncated(refused, model):
    path = model()
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    refused((str(path),), path)


def test_folder_and_empty_pattern(refused, tmp_path):
    (tmp_path / "model").mkdir()
    refused(("is a directory",), tmp_path / "model")
    refused(("no file matches",), tmp_path / "*.nc")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(refused, model):
    path = model()
    path.chmod(0)
    refused(("Permission denied",), path)


def test_nothing_to_infer_from(refused, model):
    refused(("none of msl (psl)", "it holds tas"), model(names=("tas",)))


def missing_everywhere(values):
    return np.full_like(values, np.nan)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": ("uas",), "units": None}, ("units",)),
        ({"names": ("uas",), "units": "Pa"}, ("units", "m s-1")),
        ({"units": "m s-1"}, ("units", "Pa")),
        ({"change": lambda values: values / 100}, ("Pa",)),
        ({"change": missing_everywhere}, ("2010-01-01T00:00:00",)),
        ({"hours": (0.0, 6.0, 6.0)}, ("twice", "2010-01-01T06:00:00")),
        ({"since": "fortnights ago"}, ("time units",)),
        ({"calendar": "mayan"}, ("calendar",)),
        ({"hours": (0.0, 24.0), "attributes": {"frequency": "day"}}, ("daily", "--any-frequency")),
        ({"hours": (0.0, 24.0, 48.0), "attributes": {"frequency": ""}}, ("daily", "--any-frequency")),
        ({"hours": (0.0, 744.0), "attributes": {"frequency": "mon"}}, ("monthly", "--any-frequency")),
        ({"lat": np.arange(-30.0, -9, 2), "lon": np.arange(0.0, 30, 2)}, ("no value in the region", "latitude 40")),
        ({"lat": np.arange(-80.0, 81, 20), "lon": np.arange(0.0, 360, 20)}, ("20 degrees", "coarser than 10")),
    ],
)
def test_content(refused, model, options, words):
    refused(words, model(**options))


def test_daily_means_on_request(zssd, model, tmp_path):
    source = model(hours=(0.0, 24.0), attributes={"frequency": "day"})
    assert zssd("downscale", source, "-o", tmp_path / "o.nc", "--any-frequency", *FAST).code == 0


def test_a_missing_time_step_is_named(zssd, model, tmp_path):
    """Found when the first time is drawn already: that is kept, nothing stands under the output's name."""

    def second_missing(values):
        values[1] = np.nan
        return values

    source = model(change=second_missing)
    done = zssd("downscale", source, "-o", tmp_path / "out.nc", *FAST)
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("zssd: error: ")
    assert "2010-01-01T06:00:00" in done.err.splitlines()[-1]
    assert sorted(tmp_path.iterdir()) == [source, tmp_path / "out.nc.parts"]


def test_too_small_for_one_block(refused, model):
    source = model(lat=np.arange(41.0, 44.1), lon=np.arange(1.0, 4.1))
    refused(("not even one whole block of 5 degrees", "--filter-scale"), source, settings=FAST[2:])


def write_cells(path: Path, dims: dict[str, int], attributes: dict[str, str]) -> Path:
    """A pressure on stations (one dimension) or on a curvilinear grid (two)."""
    shape = tuple(dims.values())
    with netCDF4.Dataset(path, "w") as data:
        for name, size in dims.items():
            data.createDimension(name, size)
        data.createDimension("time", 1)
        time = data.createVariable("time", "f8", ("time",))
        time.units = "hours since 2010-01-01"
        time[:] = 0
        place = np.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
        for name, values, units in (("lat", 45 + 20 * place, "north"), ("lon", 100 + 30 * place**3, "east")):
            data.createVariable(name, "f8", tuple(dims))[:] = values
            data[name].units = f"degrees_{units}"
        psl = data.createVariable("psl", "f4", ("time", *dims))
        psl.setncatts({"units": "Pa", "coordinates": "lat lon"})
        psl[:] = 101000 + 1000 * place
        data.setncatts({"frequency": "6hrPt"} | attributes)
    return path


def curvilinear(path: Path) -> Path:
    """A pressure on cells of 1.5 degrees, 30 to 60 N and 10 W to 30 E, whose rows are not parallels."""
    j, i = np.meshgrid(np.arange(26), np.arange(36), indexing="ij")
    write_cells(path, {"j": 26, "i": 36}, {})
    with netCDF4.Dataset(path, "a") as data:
        data["lat"][:], data["lon"][:] = 28 + 1.5 * j + 0.1 * i, -15 + 1.5 * i - 0.1 * j
    return path


def test_curvilinear_cells_need_no_further_library(zssd, refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xesmf", None)
    path, out = curvilinear(tmp_path / "cells.nc"), tmp_path / "o.nc"
    done = zssd("downscale", path, "-o", out, *FAST[2:])
    assert done.code == 0, done.err
    with netCDF4.Dataset(out) as data:
        assert data.zssd_regridder == "conservative"
        assert 28 <= data["lat"][0] <= 40
        assert data["lat"][-1] <= 68
        assert data["lon"].size < 240  # the region is what the cells cover, not the globe
    refused(("not rectilinear", "--regridder"), path, settings=(*FAST[2:], "--regridder", "builtin"))
    refused(
        ("no value in the region", "the input covers longitude"),
        path,
        settings=(*FAST[2:], "--region", "100,120,30,50"),
    )


def test_stations(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xesmf", None)
    refused((), write_cells(tmp_path / "s.nc", {"station": 5}, {"featureType": "timeSeries"}))


@pytest.mark.parametrize(
    "attributes",
    [
        {"source_id": "x" * 300_000},
        {"tracking_id": "a\nb\r\n\x1b[31mred"},
        {"frequency": "6hr\n" * 50},
        {"history": "\n\n"},
        {"source_id": 5, "tracking_id": np.array([1.0, 2.0])},
    ],
)
def test_odd_attributes_do_no_harm(zssd, model, tmp_path, attributes):
    done = zssd("downscale", model(attributes=attributes), "-o", tmp_path / "out.nc", *FAST)
    assert done.code == 0
    assert "\x1b" not in done.err


@pytest.mark.parametrize("attributes", [{"units": "Pa\n" * 2000}, {"standard_name": "\x1b[2J", "units": "P\x1ba"}])
def test_odd_attributes_of_the_variable(zssd, model, tmp_path, attributes):
    done = zssd("downscale", model(**attributes), "-o", tmp_path / "out.nc", *FAST)
    if done.code:
        assert_one_line(done)
        assert "\x1b" not in done.err


def test_attributes_that_are_not_utf8(zssd, model, tmp_path):
    path = tmp_path / "classic.nc"
    with xr.open_dataset(model(attributes={"history": "caf#~#~", "title": "#~#~"}), decode_times=False) as data:
        data.to_netcdf(path, format="NETCDF3_CLASSIC")
    path.write_bytes(path.read_bytes().replace(b"#~#~", b"\xe9\xff\xfe\xc0"))
    assert zssd("downscale", path, "-o", tmp_path / "out.nc", *FAST).code == 0


# The options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--vars", "msl,snow"), ("snow",)),
        (("--vars", "z500"), ("the prior knows msl, u10, v10", "z500")),
        (("--vars", ","), ("the prior knows", "nothing")),
        (("--region", ""), ("Region ''", "W,E,S,N")),
        (("--region", "atlantis"), ("atlantis", "W,E,S,N", "europe")),
        (("--region", "0,10,40"), ("W,E,S,N",)),
        (("--region", "0,10,50,40"), ("-90 <= S < N <= 90",)),
        (("--region", "0,10,40,95"), ("N=95",)),
        (("--region", "0,800,40,50"), ("E=800",)),
        (("--region", "nan,10,40,50"), ("finite",)),
        (("--region", "0.1,0.2,40,40.1"), ("smaller than one output cell",)),
        (("--filter-scale", "1"), ("finer than the input's cells of 5 degrees", "--filter-scale 5")),
        (("--filter-scale", "7"), ("divides 90", "got 7")),
        (("--filter-scale", "12"), ("--filter-scale", "equal to 10", "got 12")),
        (("--filter-scale", "180"), ("ilter", "got 180")),
        (("--filter-scale", "inf"), ("--filter-scale",)),
        (("--filter-scale", "-5"), ("--filter-scale", "greater than", "got -5")),
        (("--guidance", "magic"), ("--guidance", "one of analysis, dps, mmps, projection, ucg", "magic")),
        (("--sampler", "euler"), ("--sampler", "dpmpp_2m", "euler")),
        (("--spacing", "even"), ("--spacing", "log-snr", "even")),
        (("--time-noise", "ar1"), ("--time-noise: expected smooth:HOURS", "ar1:HOURS", "got 'ar1'")),
        (("--time-noise", "ar1:0"), ("--time-noise", "ar1:HOURS")),
        (("--obs-error", "x"), ("--obs-error", "msl=0.02,u10=0.1", "'x'")),
        (("--obs-error", "msl=0.1,u10"), ("--obs-error", "NAME=NUMBER")),
        (("--obs-error", "wind=0.1"), ("'wind'", "not known")),
        (("--obs-error", "-1"), ("--obs-error", "from 0 to 10", "-1")),
        (("--products", "1"), ("--products", "greater than", "got 1")),
        (("--members", "100000"), ("--members", "10000")),
        (("--time", ""), ("--time: expected START/END", "got ''")),
        (("--time", "/"), ("--time: expected START/END", "got '/'")),
        (("--time", "yesterday"), ("yesterday", "ISO date")),
        (("--time", "2010-02-30"), ("2010-02-30", "does not exist")),
        (("--time", "1990/1999"), ("1990 to 1999", "2010-01-01T00:00:00")),
        (("--regridder", "magic"), ("--regridder", "magic")),
        (("--device", "tpu"), ("--device", "auto, cpu or cuda")),
        (("--plot", "p.pdf"), ("--plot", ".png")),
        (("--plot", "no/such/p.png"), ("no/such", "does not exist")),
        (("--static", "absent.nc"), ("absent.nc: expected a NetCDF file, got no such file",)),
        (("--static", "."), ("expected a NetCDF file, got a folder",)),
    ],
)
def test_options(refused, model, options, words):
    refused(words, model(), settings=(*FAST, *options))


def test_xesmf_on_request_without_it(refused, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "xesmf", None)
    refused(("--regridder xesmf", "need xESMF", "conda"), model(), settings=(*FAST, "--regridder", "xesmf"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_no_gpu(refused, model):
    refused(("no GPU", "--device cpu"), model(), settings=(*FAST, "--device", "cuda"))


@pytest.mark.parametrize(
    "options", [("--steps", "1"), ("--steps", "many"), ("--seed", "-1"), ("--members", "0"), ("-x",)]
)
def test_usage(zssd, model, tmp_path, options):
    source = model()
    done = zssd("downscale", source, "-o", tmp_path / "out.nc", *options)
    assert done.code == 2
    assert "Usage: zssd downscale" in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == [source]


def test_debug(zssd, tmp_path):
    done = zssd("downscale", tmp_path / "absent.nc", "-o", tmp_path / "out.nc", "--debug")
    assert done.code == 1
    assert done.err.startswith("Traceback (most recent call last)")
    assert done.err.splitlines()[-1].startswith("zssd: error: ")


# The weights


def test_weights_that_are_absent_or_unsafe(refused, model, tmp_path):
    refused(("expected a file",), model(), "--weights", tmp_path / "absent.safetensors")
    refused(("Unknown prior",), model(), "--weights", "no-such-prior")
    for name in ("w.pt", "w.pkl", "w.ckpt"):
        (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
        refused(("pickle",), model(), "--weights", tmp_path / name)
    (tmp_path / "w.safetensors").write_bytes(pickle.dumps({"a": 1}))
    refused(("not a readable safetensors",), model(), "--weights", tmp_path / "w.safetensors")


def test_weights_that_are_damaged(refused, model, tmp_path, prior_file):
    path, content = tmp_path / "w.safetensors", prior_file.read_bytes()
    for size in (0, 4, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        refused((str(path),), model(), "--weights", path)
    save_file({"a": torch.zeros(1)}, path)
    refused(("expected a zssd prior", "got 'none'"), model(), "--weights", path)
    save_file({"a": torch.zeros(1)}, path, {"format": "zssd-prior-2", "header": "{"})
    refused(("damaged or of another version",), model(), "--weights", path)


def test_weights_for_other_static_fields(refused, model, tmp_path):
    save_prior(tmp_path / "w.safetensors", toy_prior("0" * 64))
    words = ("other static fields", "expected hash 000000000000", "--static")
    refused(words, model(), "--weights", tmp_path / "w.safetensors")


def test_weights_that_were_changed(refused, model, tmp_path, prior_file, monkeypatch):
    """A prior of the registry is not used before its hash is right."""
    row = f"""
[toy]
file = "toy.safetensors"
sha256 = "{"0" * 64}"
size = 1
variables = ["msl"]
card = "toy.md"
description = "toy"
default = true
"""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "registry.toml").write_text(row)
    (folder / "toy.safetensors").write_bytes(prior_file.read_bytes())
    monkeypatch.setattr("zssd_cli.prior.registry.shipped_folder", lambda: folder)
    refused(("is damaged", "expected sha256 0000", "got "), model(), "--weights", "toy")


# The output


def test_output_exists(refused, model, tmp_path):
    (tmp_path / "out.nc").write_text("mine")
    refused(("out.nc exists", "--overwrite"), model())
    assert (tmp_path / "out.nc").read_text() == "mine"


def test_output_in_no_folder(refused, model):
    refused(("does not exist", "mkdir -p"), model(), out="no/out.nc")


def test_output_is_a_folder_or_device(refused, model, tmp_path):
    (tmp_path / "out.nc").mkdir()
    refused(("is a folder",), model(), "--overwrite")
    os.mkfifo(tmp_path / "pipe.nc")
    refused(("no regular file",), model(), "--overwrite", out="pipe.nc")


def test_output_is_the_input(refused, model):
    source = model()
    content = source.read_bytes()
    refused(("is one of the inputs",), source, "--overwrite", out="in.nc")
    assert source.read_bytes() == content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_must_not_be_written(refused, model, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    refused(("cannot be written", "Permission denied"), model(), out="locked/out.nc")


@pytest.mark.parametrize(
    "failure",
    [OSError(28, "No space left on device"), RuntimeError("NetCDF: HDF error"), PermissionError(13, "denied")],
)
def test_writing_fails_half_way(zssd, model, tmp_path, monkeypatch, failure):
    def fail(self, *arguments):
        raise failure

    monkeypatch.setattr(writing.FieldWriter, "write", fail)
    """Of one batch nothing is left; of several what was drawn is kept, to be written when the disk allows."""
    source = model(hours=(0.0,))
    done = zssd("downscale", source, "-o", tmp_path / "out.nc", *FAST, "--quiet")
    assert_one_line(done, "out.nc", "cannot be written")
    assert list(tmp_path.iterdir()) == [source]
    done = zssd("downscale", source, "-o", tmp_path / "out.nc", *FAST, "--quiet", "--members", 2)
    kept, error = done.err.splitlines()
    assert kept.startswith("Kept       2 of 2 batches in ")
    assert_one_line(replace(done, err=f"{error}\n"), "out.nc", "cannot be written")
    assert sorted(tmp_path.iterdir()) == [source, tmp_path / "out.nc.parts"]


@pytest.fixture
def full_disk(tmp_path):
    """A folder with room for 200 kB, where the machine lets us make one."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_disk_is_full(zssd, model, full_disk):
    """What was finished before it was full is kept and good."""
    call = ("downscale", model(), "-o", full_disk / "out.nc", *FAST, "--quiet", "--members", 20)
    done = zssd(*call)
    kept, error = done.err.splitlines()
    assert kept.startswith("Kept       ")
    assert_one_line(replace(done, err=f"{error}\n"), "out.nc", "cannot be written", "Free space")
    assert [path.name for path in full_disk.iterdir()] == ["out.nc.parts"]
    assert zssd(*call, "--resume").err.startswith(kept[: kept.index(" in ")])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_signals_leave_what_is_finished(model, tmp_path, prior_file, number, code):
    """And nothing under the output's own name; how to go on is said."""
    source, folder = model(), tmp_path / "out.nc.parts"
    # a shell's background job ignores SIGINT, and so would its children
    attentive = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", attentive + "from zssd_cli.app import main; main()"]
    command += ["downscale", source, "-o", tmp_path / "out.nc", "--members", "1000", "--quiet"]
    command += ["--guidance", "projection", "--weights", prior_file, "--region", BOX]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        manifest, deadline = folder / "manifest.jsonl", time.monotonic() + 1800

        def finished():
            return manifest.read_bytes().count(b"\n") - 1 if manifest.exists() else 0

        while finished() < 1 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(number)
        _, err = process.communicate(timeout=1800)
    assert process.returncode == code
    lines = err.splitlines()
    assert re.fullmatch(
        rf"Kept       \d+ of 2000 batches in {folder}; the same command with --resume goes on", lines[0]
    )
    said = {130: "interrupted", 143: "terminated by SIGTERM", 138: "stopped by SIGUSR1"}
    assert lines[1:] == [f"zssd: {said[code]}"]
    assert sorted(tmp_path.iterdir()) == sorted([source, folder])


# Real files that break tools


def test_every_odd_file_gives_a_result_or_one_line(zssd, shared_data, tmp_path):
    files = sorted(path for path in (shared_data / "cmip6" / "odd").rglob("*") if path.is_file())
    assert len(files) > 30
    for path in files:
        out = tmp_path / f"{path.name}.nc"
        done = zssd("downscale", path, "-o", out, "--steps", 2, "--guidance", "projection", "--region", BOX)
        if done.code == 0:
            assert out.is_file()
            continue
        assert not out.exists()
        last = done.err.splitlines()[-1]
        assert done.code == 1
        assert last.startswith("zssd: error: "), f"{path.name}: {done.err}"
        assert "Traceback" not in done.err
    assert not list(tmp_path.glob(".*"))
