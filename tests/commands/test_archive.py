"""Many files in, many outputs out: grouped by their facets, split in time, gone on with, and told one by one."""

import io
import json
import os
import re
import signal

import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.commands.conftest import FAST
from zssd_cli.api import downscale
from zssd_cli.commands import run_downscale
from zssd_cli.outputs.parts import Parts
from zssd_cli.posterior import downscaling

NAME = "{}_6hrPlevPt_TOY-ESM_ssp245_{}_gn_{}.nc"
END_OF_YEAR = (8748.0, 8754.0, 8760.0, 8766.0)
"""Two times in 2010, two in 2011."""


def fields(path) -> np.ndarray:
    with netCDF4.Dataset(path) as data:
        return np.ma.filled(data["msl"][:], np.nan)


@pytest.fixture
def archive(model, tmp_path):
    """Two members, the first with wind in a file of its own; a file of another variable, one far away in time, a broken one."""
    folder = tmp_path / "cmip6" / "deep"
    folder.mkdir(parents=True)
    model.folder = folder
    for member in ("r1i1p1f1", "r2i1p1f1"):
        model(NAME.format("psl", member, "201001010000-201001010600"), attributes={"variant_label": member})
    model(
        NAME.format("uas", "r1i1p1f1", "201001010000-201001010600"), ("uas",), attributes={"variant_label": "r1i1p1f1"}
    )
    model(NAME.format("tas", "r1i1p1f1", "201001010000-201001010600"), ("tas",))
    (folder / NAME.format("psl", "r1i1p1f1", "205001010000-205012311800")).write_text("never opened")
    (folder / "broken.nc").write_text("no NetCDF")
    (folder / ".hidden.nc").write_text("hidden")
    (folder / "half.nc.part").write_text("half")
    return tmp_path / "cmip6"


def test_a_folder_of_data_sets(zssd, archive, tmp_path):
    """The broken one costs a line and the exit code, the others are written; a second call leaves them as they are."""
    out, report = tmp_path / "fine", tmp_path / "report.jsonl"
    call = ("downscale", archive, "-o", f"{out}/", "--years", "2010", "--report", report, *FAST)
    done = zssd(*call)
    assert done.code == 3, done.err
    names = [f"TOY-ESM_ssp245_r{n}i1p1f1_gn_201001010000-201001010600.nc" for n in (1, 2)]
    assert sorted(path.name for path in out.iterdir()) == names
    assert "left out: tas_" in done.err
    assert "psl_6hrPlevPt_TOY-ESM_ssp245_r1i1p1f1_gn_205001010000-205012311800.nc lies outside" in done.err
    assert "Failed     broken: " in done.err
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted(line["status"] for line in lines) == ["failed", "left out", "left out", "written", "written"]
    with netCDF4.Dataset(out / names[0]) as data:
        assert data["u10"].zssd_observed == "yes"
        assert data.zssd_variant_label == "r1i1p1f1"
    with netCDF4.Dataset(out / names[1]) as data:
        assert data["u10"].zssd_observed == "no"
    before = [(out / name).read_bytes() for name in names]
    assert "Pass --resume to keep what is whole" in zssd(*call).err
    done = zssd(*call, "--resume")
    assert (done.code, done.err.count("is there already")) == (3, 2)
    assert [(out / name).read_bytes() for name in names] == before
    (archive / "deep" / "broken.nc").unlink()
    assert zssd(*call, "--resume").code == 0


def test_members_are_not_joined_in_one_output(zssd, archive, tmp_path):
    (archive / "deep" / "broken.nc").unlink()
    done = zssd("downscale", archive, "-o", tmp_path / "out.nc", "--years", "2010", *FAST)
    assert done.code == 1
    assert "r1i1p1f1 and r2i1p1f1: give files of one, or let zssd downscale -o FOLDER/" in done.err


def test_years_are_the_bits_of_the_whole(zssd, model, tmp_path):
    source, whole = model(hours=END_OF_YEAR), tmp_path / "whole.nc"
    assert zssd("downscale", source, "-o", whole, *FAST).code == 0
    done = zssd("downscale", source, "-o", tmp_path / "out.nc", "--split", "year", *FAST)
    assert done.code == 0, done.err
    years = [fields(tmp_path / f"out_{year}.nc") for year in (2010, 2011)]
    np.testing.assert_array_equal(np.concatenate(years), fields(whole))
    before = (tmp_path / "out_2010.nc").stat().st_mtime_ns
    (tmp_path / "out_2011.nc").unlink()
    assert zssd("downscale", source, "-o", tmp_path / "out.nc", "--split", "year", "--resume", *FAST).code == 0
    assert (tmp_path / "out_2010.nc").stat().st_mtime_ns == before
    assert (tmp_path / "out_2011.nc").exists()


def test_an_output_for_every_input(zssd, model, tmp_path):
    """Wind lies in one file, pressure in two: two outputs, each with the files that it is made of."""
    (
        model("p1.nc", hours=(0.0, 6.0)),
        model("p2.nc", hours=(12.0, 18.0)),
        model("u.nc", ("uas",), hours=(0.0, 6, 12, 18)),
    )
    inputs = [tmp_path / name for name in ("p1.nc", "p2.nc", "u.nc")]
    assert zssd("downscale", *inputs, "-o", tmp_path / "out.nc", "--split", "input", *FAST).code == 0
    first, second = (tmp_path / f"out_20100101{a}-20100101{b}.nc" for a, b in (("0000", "0600"), ("1200", "1800")))
    with netCDF4.Dataset(first) as one, netCDF4.Dataset(second) as other:
        assert (one.zssd_source_files, other.zssd_source_files) == ("p1.nc;u.nc", "p2.nc;u.nc")


def test_a_list_on_standard_input(zssd, archive, tmp_path, monkeypatch):
    files = sorted(map(str, (archive / "deep").glob("*r2i1p1f1*")))
    for content in ("# psl\n\n" + "\n".join(files), "\0".join(files) + "\0"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        done = zssd("downscale", "-", "-o", tmp_path / "out.nc", "--overwrite", *FAST)
        assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--years", "2010", "--time", "2010"), "--years and --time both choose times"),
        (("--years", "2010-01"), "--years: expected FIRST/LAST"),
        (("--split", "decade"), "--split: expected year, month, input"),
        (("--split", "year", "--plot", "x.png"), "--plot draws one output"),
        (("--format", "grib"), "--format: expected nc or zarr, got 'grib'"),
        (("--format", "zarr"), "--format zarr is of outputs in a folder, got -o "),
        (("--report", "x.jsonl"), "--report is of calls with many outputs"),
        (("--split", "year", "--steps", "1.5"), "--steps"),
    ],
)
def test_options_that_do_not_go_together(zssd, model, tmp_path, options, words):
    done = zssd("downscale", model(), "-o", tmp_path / "out.nc", *FAST, *options)
    assert done.code in (1, 2)
    assert words in done.err


def test_the_limit_of_time_counts_over_all(zssd, archive, tmp_path, monkeypatch):
    """An output took longer than what is left: the next is not begun."""
    (archive / "deep" / "broken.nc").unlink()
    monkeypatch.setattr("zssd_cli.commands.run_archive._Run.slowest", 4000.0, raising=False)
    monkeypatch.setattr("zssd_cli.commands.run_archive.time.monotonic", iter(np.arange(0, 1e6, 700.0)).__next__)
    report = tmp_path / "r.jsonl"
    call = ("downscale", archive, "-o", f"{tmp_path}/fine/", "--years", "2010", *FAST, "--report", report)
    done = zssd(*call, "--time-limit", "1h")
    assert done.code == 75, done.err
    assert {json.loads(line)["status"] for line in report.read_text().splitlines()} >= {"not begun"}


def test_python_takes_folders_too(archive, prior_file):
    (archive / "deep" / "broken.nc").unlink()
    for path in (archive / "deep").glob("*r1i1p1f1*"):
        path.unlink()
    fine = downscale(archive, weights=prior_file, region="0,10,40,50", steps=2, guidance="projection")
    assert fine.sizes["time"] == 2


def test_inspect_takes_folders_and_lists(zssd, archive, monkeypatch):
    (archive / "deep" / "broken.nc").unlink()
    for path in (archive / "deep").glob("*r1i1p1f1*"):
        path.unlink()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{archive}\n".encode())))
    for source in (archive, "-"):
        done = zssd("inspect", source)
        assert (done.code, "TOY-ESM" in done.out) == (0, True), done.err


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_stores_and_urls_out_of_a_list(zssd, model, tmp_path, monkeypatch, zarr_format):
    """A Zarr store of either version, as a folder and as a URL, gives what the file gives."""
    pytest.importorskip("zarr")
    source = model()
    with xr.open_dataset(source, decode_times=False) as data:
        data.to_zarr(tmp_path / "in.zarr", zarr_format=zarr_format, consolidated=False)
    assert zssd("downscale", source, "-o", tmp_path / "file.nc", *FAST).code == 0
    for number, line in enumerate((tmp_path / "in.zarr", f"file://{tmp_path}/in.zarr")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{line}\n".encode())))
        done = zssd("downscale", "-", "-o", tmp_path / f"{number}.nc", *FAST)
        assert done.code == 0, done.err
        np.testing.assert_array_equal(fields(tmp_path / f"{number}.nc"), fields(tmp_path / "file.nc"))


def test_months_into_stores(zssd, model, tmp_path):
    """Of a folder, as Zarr: the values of one long file, and a second call touches nothing."""
    pytest.importorskip("zarr")
    model.folder = tmp_path / "cmip6"
    model.folder.mkdir()
    source = model("psl.nc", hours=(732.0, 738.0, 744.0, 750.0))
    assert zssd("downscale", source, "-o", tmp_path / "whole.nc", *FAST).code == 0
    call = ("downscale", model.folder, "-o", f"{tmp_path}/fine/", "--split", "month", "--format", "zarr", *FAST)
    done = zssd(*call)
    assert done.code == 0, done.err
    stores = sorted((tmp_path / "fine").iterdir())
    assert [path.name[-12:] for path in stores] == ["_201001.zarr", "_201002.zarr"]
    months = [xr.open_zarr(path)["msl"].to_numpy() for path in stores]
    np.testing.assert_array_equal(np.concatenate(months), fields(tmp_path / "whole.nc"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "fine").rglob("*")}
    done = zssd(*call, "--resume")
    assert (done.code, done.err.count("is there already")) == (0, 2)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "fine").rglob("*")} == before


def test_mean_and_spread_packed_for_every_data_set(zssd, archive, tmp_path):
    (archive / "deep" / "broken.nc").unlink()
    options = ("--years", "2010", "--members", 3, *FAST)
    assert zssd("downscale", archive, "-o", f"{tmp_path}/all/", *options).code == 0
    done = zssd("downscale", archive, "-o", f"{tmp_path}/kept/", "--keep-spread", "--pack", *options)
    assert done.code == 0, done.err
    paths = sorted((tmp_path / "kept").iterdir())
    assert len(paths) == 2
    for path in paths:
        with xr.open_dataset(path) as kept, xr.open_dataset(tmp_path / "all" / path.name) as members:
            drawn = members["msl"].astype(float)
            assert abs(kept["msl"] - drawn.mean("member")).max() < 0.3
            assert abs(kept["msl_spread"] - drawn.std("member", ddof=1)).max() < 0.05


def test_a_signal_in_the_middle_of_a_folder(zssd, archive, tmp_path, monkeypatch):
    """What is finished is whole, the rest is not there, and --resume makes it."""
    (archive / "deep" / "broken.nc").unlink()
    call = ("downscale", archive, "-o", f"{tmp_path}/fine/", "--years", "2010", "--report", tmp_path / "r.jsonl", *FAST)
    make, count = run_downscale.execute, iter(range(9))

    def signalled(*arguments):
        if next(count) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return make(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(run_downscale, "execute", signalled)
        done = zssd(*call)
    assert done.code == 143, done.err
    (first,) = (tmp_path / "fine").iterdir()
    before = first.read_bytes()
    statuses = [json.loads(line)["status"] for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert statuses.count("written") == statuses.count("not begun") == 1
    assert zssd(*call, "--resume").code == 0
    assert (first.read_bytes(), len(list((tmp_path / "fine").iterdir()))) == (before, 2)


def test_an_automatic_scale_is_one_for_all_years_of_a_data_set(zssd, model, tmp_path):
    """The first year is smooth and the second rough, so that each alone would have its own."""

    def rough_later(values):
        values[2:] += 500.0 * np.random.default_rng(1).standard_normal(values[2:].shape)
        return values

    lat, lon = np.arange(20.0, 70.1, 2.0), np.arange(0.0, 60.1, 2.0)
    source = model("in.nc", hours=END_OF_YEAR, lat=lat, lon=lon, change=rough_later)
    call = ("downscale", source, "-o", tmp_path / "out.nc", *FAST, "--filter-scale", "auto")
    done = zssd(*call, "--split", "year")
    assert (done.code, done.err.count("(--filter-scale auto)")) == (0, 1), done.err
    scales = {netCDF4.Dataset(tmp_path / f"out_{year}.nc").zssd_filter_scale for year in (2010, 2011)}
    assert zssd(*call).code == 0
    with netCDF4.Dataset(tmp_path / "out.nc") as data:
        assert {data.zssd_filter_scale} == scales == {5.0}
        assert "(--filter-scale auto)" in data.zssd_notes


def test_an_output_that_a_signal_stopped_in_its_middle_is_told_as_begun(zssd, model, tmp_path, monkeypatch):
    """The first year is written, the second has kept a batch, the third has nothing."""
    source = model(hours=(0.0, 8760.0, 8766.0, 17520.0))
    call = ("downscale", source, "-o", tmp_path / "out.nc", "--split", "year", "--report", tmp_path / "r.jsonl", *FAST)
    keep, count = Parts.keep, iter(range(9))

    def signalled(*arguments):
        keep(*arguments)
        if next(count) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "keep", signalled)
        patch.setattr(downscaling, "plan_batch", lambda *_: 1)
        done = zssd(*call)
    assert done.code == 143, done.err
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["written", "begun"]
    assert lines[1]["output"].endswith("out_2011.nc")


def test_a_dry_run_tells_what_is_the_same_for_all_outputs_once(zssd, model, tmp_path):
    done = zssd("downscale", model(hours=END_OF_YEAR), "-o", tmp_path / "out.nc", "--split", "year", "--dry-run", *FAST)
    assert done.code == 0, done.err
    assert (done.err.count("Dry run"), done.err.count("timed calls of the network")) == (2, 1)


def test_a_dry_run_of_many_ends_with_the_sum_of_time_and_disk(zssd, model, tmp_path):
    """What is kept beside an output until its end goes before the next one begins, so that the largest counts alone."""
    call = ("downscale", model(hours=END_OF_YEAR), "-o", tmp_path / "out.nc", "--members", 40, "--dry-run", *FAST)
    whole, parts = zssd(*call).err, zssd(*call, "--split", "year").err
    assert "2 outputs" not in whole
    total = re.compile(
        r"(\d+) network calls, .* ([\d.]+) MB on disk and ([\d.]+) MB more until the end; nothing written"
    )
    (alone,), (*each, both) = total.findall(whole), total.findall(parts)
    assert "All        2 outputs: " in parts
    assert "Dry run    out_2011.nc: " in parts
    assert int(both[0]) == sum(int(one[0]) for one in each) == int(alone[0])
    assert both[1] == alone[1]
    assert both[2] == max(each, key=lambda one: float(one[2]))[2] != alone[2]
