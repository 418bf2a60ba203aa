"""A run that is killed goes on where it was and writes the bytes of one that nobody killed; what it needs for that is refused in
one line where it is not there."""

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace

import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.commands.conftest import BOX, FAST, Model
from zssd_cli.api import plan
from zssd_cli.commands.keeping import parse_limit
from zssd_cli.errors import ConfigError, OutputError
from zssd_cli.outputs import parts as parts_module
from zssd_cli.outputs.netcdf import FieldWriter
from zssd_cli.outputs.parts import FIELDS, MANIFEST, Parts
from zssd_cli.posterior import resuming
from zssd_cli.posterior.resuming import going_on, header

HOURS = (0.0, 6.0, 12.0, 18.0)
BATCHES = 2 * len(HOURS)
"""Batches of two members: on a processor every sample is one."""


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.fixture
def clock(monkeypatch):
    """Sets the time of day, which every output is dated with."""

    def at(hour: int) -> None:
        moment = time.struct_time((2026, 1, 1, hour, 0, 0, 3, 1, 0))
        monkeypatch.setattr("zssd_cli.times.time.gmtime", lambda *_: moment)

    at(1)
    return at


def holed(values):
    """No value in some blocks of the last two times; the second and the fourth time repeat the one before."""
    values[2, 32:34, 0] = np.nan
    values[1], values[3] = values[0], values[2]
    return values


@pytest.fixture
def world(model):
    """psl whole and uas with holes, repeated fields: masks, shares and doubts are in the output."""
    return [model("psl.nc", ("psl",), hours=HOURS), model("uas.nc", ("uas",), hours=HOURS, change=holed)]


@pytest.fixture
def kill(monkeypatch):
    """Let the disk be as it is when a process is killed at its n-th kept batch, at a chosen point of keeping it."""

    def at(number: int, point: str) -> None:
        count, keep = iter(range(1, 100)), Parts.keep

        def leave(self) -> None:
            shutil.copytree(self.folder, self.folder.with_suffix(".saved"))
            raise Killed

        def dying(self, batch, arrays, noted):
            last = next(count) == number
            if last and point == "before":
                leave(self)
            keep(self, batch, arrays, noted)
            if not last:
                return
            manifest = self.folder / MANIFEST
            lines = manifest.read_bytes().splitlines(keepends=True)
            if point == "unlisted":
                manifest.write_bytes(b"".join(lines[:-1]))
            elif point == "line":
                manifest.write_bytes(b"".join([*lines[:-1], lines[-1][: len(lines[-1]) // 2]]))
            elif point == "fields":
                os.truncate(self.folder / FIELDS, json.loads(lines[-1])["offset"] + 5)
            leave(self)

        monkeypatch.setattr(Parts, "keep", dying)

    return at


@pytest.fixture
def downscale(zssd, world, monkeypatch):
    """Two members of the world into a folder of its own; a killed process leaves what it left."""

    def call(out, *options, words="zssd downscale"):
        out.parent.mkdir(exist_ok=True)
        monkeypatch.setattr(sys, "argv", words.split())
        try:
            return zssd("downscale", *world, "-o", out, *FAST, "--members", 2, *options)
        except Killed:
            folder = out.with_name(f"{out.name}.parts")
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_suffix(".saved").rename(folder)
            return None

    return call


def manifest(out) -> list[dict]:
    return [json.loads(line) for line in (out.with_name(f"{out.name}.parts") / MANIFEST).read_text().splitlines()]


@pytest.fixture
def whole(downscale, tmp_path, clock):
    """The output of a run that nobody stopped."""
    done = downscale(tmp_path / "whole" / "out.nc")
    assert done.code == 0, done.err
    return tmp_path / "whole" / "out.nc"


def test_a_signal_between_a_line_and_its_count(downscale, tmp_path, whole, monkeypatch):
    """The first batch's line is on the disk when the signal comes: the batch is kept."""
    out, append = tmp_path / "stopped" / "out.nc", Parts._append

    def stopped(self, line):
        append(self, line)
        raise SystemExit(128 + signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "_append", stopped)
        done = downscale(out)
    assert done.code == 128 + signal.SIGTERM
    kept = f"Kept       1 of {BATCHES} batches in {out}.parts; the same command with --resume goes on"
    assert kept in done.err.splitlines()
    done = downscale(out, "--resume")
    assert f"Resumed    1 of {BATCHES} batches are finished" in done.err.splitlines()
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("point", ["before", "unlisted", "line", "fields", "after"])
def test_killed_and_resumed_gives_the_same_bytes(downscale, kill, tmp_path, whole, clock, monkeypatch, point):
    """Killed at the third batch and again at the third one after that; dated and called as the first process was."""
    out = tmp_path / "killed" / "out.nc"
    keep = Parts.keep
    for number, hour in ((3, 1), (3, 5)):
        clock(hour)
        kill(number, point)
        assert downscale(out, *(("--resume",) if hour > 1 else ())) is None
        monkeypatch.setattr(Parts, "keep", keep)
    (out.parent / ".out.nc.abcd-f_h.part").write_text("half of an output")
    clock(9)
    done = downscale(out, "--resume", words="zssd downscale --resume")
    assert done.code == 0, done.err
    finished = 6 if point == "after" else 4
    assert f"Resumed    {finished} of {BATCHES} batches are finished" in done.err.splitlines()
    assert out.read_bytes() == whole.read_bytes()
    with netCDF4.Dataset(out) as data:
        assert data.history.startswith("2026-01-01T01:00:00Z zssd downscale\n")
        assert data["u10"].zssd_observed == "partly"
        assert "a field that repeats the one before it" in data.zssd_doubts
        assert "T06:00:00 and 1 more times" in data.zssd_doubts
    assert list(out.parent.iterdir()) == [out]


def contents_of(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_store_too(downscale, kill, tmp_path, monkeypatch, clock):
    """Killed while it is drawn, and again while it is put together."""
    pytest.importorskip("zarr")
    whole, out, keep = tmp_path / "whole" / "out.zarr", tmp_path / "killed" / "out.zarr", Parts.keep
    assert downscale(whole).code == 0
    kill(3, "line")
    assert downscale(out) is None
    monkeypatch.setattr(Parts, "keep", keep)
    clock(4)
    with monkeypatch.context() as patch:
        patch.setattr("zssd_cli.outputs.zarr.StoreWriter.mark_drawn", lambda *_: (_ for _ in ()).throw(RuntimeError))
        assert downscale(out, "--resume").code == 1
    assert [path.name for path in out.parent.iterdir()] == ["out.zarr.parts"]
    assert downscale(out, "--resume").code == 0
    assert contents_of(out) == contents_of(whole)
    assert "is there already" in downscale(out, "--resume").err
    assert list(out.parent.iterdir()) == [out]


def test_other_settings_are_refused_by_name(downscale, kill, tmp_path, monkeypatch, world):
    """Also an input that was changed; nothing of what is finished is touched."""
    out = tmp_path / "o" / "out.nc"
    keep = Parts.keep
    kill(3, "after")
    assert downscale(out) is None
    monkeypatch.setattr(Parts, "keep", keep)
    before = manifest(out)
    done = downscale(out, "--resume", "--seed", 5, "--steps", 3)
    assert done.code == 1
    assert "seed was 0, is 5; steps was 2, is 3. Give those (--steps 2 --seed 0), or --overwrite" in done.err
    with netCDF4.Dataset(world[0], "a") as data:
        data["psl"][0, 0, 0] = data["psl"][0, 0, 0] + 1
    done = downscale(out, "--resume")
    assert done.code == 1
    assert "other settings: input psl.nc was " in done.err
    assert manifest(out) == before
    done = downscale(out)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "--resume to go on, or --overwrite to start anew" in done.err
    assert downscale(out, "--resume", "--overwrite").code == 1
    assert downscale(out, "--overwrite").code == 0
    assert list(out.parent.iterdir()) == [out]


def test_a_copied_archive_and_another_node_go_on(downscale, kill, tmp_path, monkeypatch, world, whole, clock):
    """Moments of files and the machine are said, not refused; which machine drew what is recorded."""
    out, keep = tmp_path / "o" / "out.nc", Parts.keep
    kill(3, "after")
    assert downscale(out) is None
    monkeypatch.setattr(Parts, "keep", keep)
    shutil.copytree(out.parent, tmp_path / "copy")
    os.utime(world[0], (1e9, 1e9))
    done = downscale(out, "--resume")
    assert done.code == 0
    note = "Note       psl.nc changed or was copied since; size and samples are the same: taken as it was"
    assert note in done.err.splitlines()
    assert out.read_bytes() == whole.read_bytes()
    out = tmp_path / "copy" / "out.nc"
    monkeypatch.setattr("torch.get_num_threads", lambda: 77)
    done = downscale(out, "--resume")
    assert done.code == 0
    assert "Another machine than at the beginning (threads was" in done.err
    with netCDF4.Dataset(out) as data, netCDF4.Dataset(whole) as first:
        assert data.zssd_threads == first.zssd_threads != 77
        assert "threads 77, device cpu" in data.zssd_also_drawn_on
        np.testing.assert_array_equal(data["u10"][:], first["u10"][:])
    done = downscale(out, "--resume")
    assert (done.code, done.err.splitlines()[-1][:10]) == (0, "Whole     ")


def test_precision_stays_as_begun_unless_asked_for(downscale, kill, tmp_path, monkeypatch):
    out, keep = tmp_path / "o" / "out.nc", Parts.keep
    monkeypatch.setattr("zssd_cli.posterior.machine.has_bfloat16", lambda _: False)
    kill(3, "after")
    assert downscale(out) is None
    monkeypatch.setattr(Parts, "keep", keep)
    monkeypatch.setattr("zssd_cli.posterior.machine.has_bfloat16", lambda _: True)
    done = downscale(out, "--resume", "--precision", "bfloat16")
    assert done.code == 1
    assert "precision was float32, is bfloat16" in done.err
    done = downscale(out, "--resume")
    assert done.code == 0
    assert "Goes on in float32, as it was begun; this machine's own choice is bfloat16" in done.err
    with netCDF4.Dataset(out) as data:
        assert data.zssd_precision == "float32"


def test_a_damaged_batch_is_named_and_drawn_again(downscale, kill, tmp_path, monkeypatch, whole, clock):
    """Hashes are compared where a batch is loaded; sizes tell nothing here."""
    out, keep = tmp_path / "o" / "out.nc", Parts.keep
    kill(3, "after")
    assert downscale(out) is None
    monkeypatch.setattr(Parts, "keep", keep)
    with (out.with_name("out.nc.parts") / FIELDS).open("r+b") as file:
        file.seek(manifest(out)[2]["offset"] + 50)
        file.write(b"damaged")
    done = downscale(out, "--resume")
    assert done.code == 1
    assert "is damaged: times-0-1-members-1-2 is not what was stored. The same command with --resume" in done.err
    done = downscale(out, "--resume")
    assert done.code == 0
    assert f"Resumed    {BATCHES - 1} of {BATCHES}" in done.err
    assert out.read_bytes() == whole.read_bytes()


def test_no_time_left_to_write_the_output(downscale, tmp_path, monkeypatch, whole, clock):
    """All is drawn; the next call, which has the whole limit, goes ahead even where it looks too short."""
    out = tmp_path / "o" / "out.nc"
    monkeypatch.setattr("zssd_cli.commands.run_downscale.rehearsed", lambda *_: 7200.0)
    done = downscale(out, "--time-limit", "1h")
    assert done.code == 75
    assert "Stopped    by --time-limit: all is drawn, the output takes about 2.0 h to write" in done.err
    done = downscale(out, "--time-limit", "1h", "--resume")
    assert done.code == 0
    assert "writing takes about 2.0 h, more than --time-limit leaves" in done.err
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_a_rehearsal_leaves_nothing(downscale, tmp_path, ending):
    out = tmp_path / "o" / f"out.{ending}"
    assert downscale(out, "--time-limit", "1h").code == 0
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("where", ["zssd_cli.posterior.resuming._arrays", "zssd_cli.outputs.netcdf.FieldWriter.write"])
def test_signals_stop_cleanly(downscale, tmp_path, monkeypatch, whole, number, where, clock):
    """In the third batch, and while the output is written."""
    out, count = tmp_path / "o" / "out.nc", iter(range(100))
    module, name = where.rsplit(".", 1)
    target = FieldWriter if name == "write" else resuming
    before = getattr(target, name)

    def signalled(*arguments):
        if next(count) == 2:
            os.kill(os.getpid(), number)
        return before(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(target, name, signalled)
        done = downscale(out)
    assert done.code == 128 + number
    assert f"Kept       {BATCHES if name == 'write' else 2} of {BATCHES} batches" in done.err
    assert [path.name for path in out.parent.iterdir()] == ["out.nc.parts"]
    assert downscale(out, "--resume").code == 0
    assert out.read_bytes() == whole.read_bytes()


def test_mean_and_spread_packed(downscale, zssd, tmp_path, monkeypatch, world):
    """Refused by evaluate, drawn by --plot; what is drawn serves another layout."""
    plain, out = tmp_path / "o" / "plain.nc", tmp_path / "o" / "out.nc"
    assert downscale(plain).code == 0
    done = downscale(out, "--keep-spread", "--pack", "--plot", tmp_path / "p.png")
    assert done.code == 0, done.err
    assert "Packed     msl within 0.214 Pa, msl_spread within 0.0268 Pa, u10 within" in done.err
    with xr.open_dataset(out) as data, xr.open_dataset(plain) as members:
        assert abs(data["msl"] - members["msl"].astype(float).mean("member")).max() < 0.22
        assert abs(data["msl_spread"] - members["msl"].astype(float).std("member", ddof=1)).max() < 0.03
    done = zssd("evaluate", out, "--reference", plain)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "holds the mean and spread of the members" in done.err
    assert "Whole" in downscale(out, "--keep-spread", "--pack", "--resume").err
    done = downscale(out, "--resume")
    assert done.code == 1
    assert "is of another call" in done.err
    done = downscale(tmp_path / "o" / "one.nc", "--keep-spread", "--members", 1)
    assert done.code == 1
    assert "--keep-spread: expected two members or more" in done.err


def test_an_error_after_the_first_batch_keeps_what_is_finished(downscale, tmp_path, monkeypatch, whole, clock):
    """What the disk refuses is one line; the folder stays, nothing stands under the output's own name."""
    out, keep = tmp_path / "o" / "out.nc", Parts.keep

    def full(self, batch, arrays, noted):
        if len(self) == 2:
            monkeypatch.setattr("zssd_cli.outputs.parts._write", no_space)
        keep(self, batch, arrays, noted)

    def no_space(file, data, place):
        write(file, data[:10], place)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "keep", full)
        write = parts_module._write
        done = downscale(out)
        monkeypatch.setattr("zssd_cli.outputs.parts._write", write)
    kept, error = done.err.splitlines()[-2:]
    assert kept == f"Kept       2 of {BATCHES} batches in {out}.parts; the same command with --resume goes on"
    assert error.startswith("zssd: error: ")
    assert "Free space" in error
    assert [path.name for path in out.parent.iterdir()] == ["out.nc.parts"]
    assert downscale(out, "--resume").code == 0
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_nothing_is_left_of_a_run_that_finished_nothing(downscale, tmp_path, monkeypatch, failure):
    def fail(results):
        raise failure

    monkeypatch.setattr("zssd_cli.posterior.resuming._arrays", fail)
    done = downscale(tmp_path / "o" / "out.nc")
    assert done.code == (130 if failure is KeyboardInterrupt else 1)
    assert "Kept" not in done.err
    assert list((tmp_path / "o").iterdir()) == []


def test_a_time_limit_stops_before_the_batch_that_would_end_too_late(downscale, tmp_path, monkeypatch, whole):
    out, keep = tmp_path / "o" / "out.nc", Parts.keep

    def slow(self, batch, arrays, noted):
        keep(self, batch, arrays, {**noted, "seconds": 3000.0 if len(self) == 2 else 1.0})

    monkeypatch.setattr(Parts, "keep", slow)
    done = downscale(out, "--time-limit", "45m")
    assert done.code == 75
    assert done.err.splitlines()[-2:] == [
        "Stopped    by --time-limit: a batch takes up to 50 min",
        f"Kept       3 of {BATCHES} batches in {out}.parts; the same command with --resume goes on",
    ]
    done = downscale(out, "--time-limit", "45m", "--resume")
    assert done.code == 1
    assert "--time-limit leaves no time for a batch, which takes up to 50 min" in done.err
    assert downscale(out, "--time-limit", "2h", "--resume").code == 0
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("text", "seconds"), [("3h50m", 13800), ("45m", 2700), ("90s", 90), ("1h1m1s", 3661), (None, None)]
)
def test_limits(text, seconds):
    assert parse_limit(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "3", "50m3h", "0s", "3 h", "-3h"])
def test_no_limits(text):
    with pytest.raises(ConfigError, match="--time-limit: expected hours"):
        parse_limit(text)


def test_a_finished_output_is_left_as_it_is(downscale, whole):
    """Killed after its folder was removed, a run has nothing to do; another call's output is not taken for it."""
    before = whole.read_bytes()
    done = downscale(whole, "--resume")
    assert done.code == 0
    assert done.err.splitlines()[-1] == f"Whole      {whole} is there already, with these settings"
    done = downscale(whole, "--resume", "--seed", 1)
    assert done.code == 1
    assert "is of another call: seed was 0, is 1. These options ask for it as it is: --seed 0. Else choose" in done.err
    assert whole.read_bytes() == before


def test_all_that_differs_is_named_and_the_options_given_back(zssd, model, kill, tmp_path, monkeypatch):
    """An archive begun when other defaults held: what is told, typed, goes on with it."""
    call = (
        "downscale",
        model("psl.nc", hours=HOURS[:2]),
        "-o",
        tmp_path / "fine" / "x.nc",
        "--region",
        BOX,
        "--device",
        "cpu",
    )
    (tmp_path / "fine").mkdir()
    old = ("--sampler", "dpmpp_2m", "--steps", 2, "--time-noise", "ar1:5")
    assert zssd(*call, *old, "--keep-spread", "--members", 2).code == 0
    done = zssd(*call, "--resume")
    assert done.code == 1
    for words in (
        "members was 2, is 1", "sampler was dpmpp_2m, is dpmpp_2m_long", "steps was 2, is 8", "spacing was karras, is long",
        "time_noise was ar1:5, is smooth:5", "kept was mean and spread of the members, is not given",
    ):  # fmt: skip
        assert words in done.err
    options = done.err.partition("ask for it as it is: ")[2].partition(". Else")[0].split()
    assert zssd(*call, "--resume", *options).err.splitlines()[-1].startswith("Whole ")
    done = zssd(*call, *options, "--resume", "--region", "0,10,45,50", "--time", "2010-01-01T00")
    assert done.code == 1
    assert "another region; other times. Choose another name" in done.err
    (tmp_path / "fine" / "x.nc").unlink()
    keep = Parts.keep
    kill(1, "after")
    with pytest.raises(Killed):
        zssd(*call, *old)
    monkeypatch.setattr(Parts, "keep", keep)
    done = zssd(*call, "--resume")
    assert done.code == 1
    assert "spacing was karras, is long" in done.err
    options = done.err.partition("Give those (")[2].partition(")")[0].split()
    assert zssd(*call, "--resume", *options).code == 0


def test_an_output_of_other_files_is_not_taken_for_whole(zssd, tmp_path):
    """Files of another year, model or version may have the same names, times and attributes; their values tell them apart."""
    out = tmp_path / "out.nc"
    for folder, more in (("first", 0.0), ("second", 50.0)):
        (tmp_path / folder).mkdir()
        Model(tmp_path / folder)("psl.nc", change=lambda values, more=more: values + more)
    call = ("-o", out, *FAST, "--seed", 3)
    assert zssd("downscale", tmp_path / "first" / "psl.nc", *call).code == 0
    before = out.read_bytes()
    assert "is there already" in zssd("downscale", tmp_path / "first" / "psl.nc", *call, "--resume").err
    done = zssd("downscale", tmp_path / "second" / "psl.nc", *call, "--resume")
    assert done.code == 1
    assert "exists and is of another call: other input files. Choose another name" in done.err
    assert out.read_bytes() == before


def test_batches_are_those_of_the_beginning(world, prior_file, tmp_path):
    """Of two times and both members at first; less memory is free when the run goes on."""

    def draw(folder, batch, until=None):
        with plan(world, members=2, weights=prior_file, region=BOX, steps=2, guidance="projection") as planned:
            planned = replace(planned, job=replace(planned.job, batch=batch))
            fresh = not folder.exists()
            parts = Parts.begin(folder, header(planned.job, planned.settings(), "x")) if fresh else Parts(folder)
            planned = replace(planned, job=going_on(planned.job, planned.settings(), parts))
            stops = iter([None, until])
            with suppress(Killed):
                planned.draw(parts, before_each=lambda: exec_stop(next(stops)))
            parts.close()
            return [line["batch"] for line in parts.lines], (folder / FIELDS).read_bytes()

    def exec_stop(error):
        if error is not None:
            raise error

    first, _ = draw(tmp_path / "cut", 4, Killed())
    assert first == ["times-0-2-members-0-2"]
    _, resumed = draw(tmp_path / "cut", 1)
    names, at_once = draw(tmp_path / "whole", 4)
    assert len(names) == 2
    assert resumed == at_once


def test_two_processes_do_not_work_in_one_folder(tmp_path):
    parts = Parts.begin(tmp_path / "o.parts", {})
    with pytest.raises(OutputError, match="Another process is at work"):
        Parts(tmp_path / "o.parts")
    parts.close()
    Parts(tmp_path / "o.parts").remove()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_else_is_not_touched(tmp_path):
    (tmp_path / "o.parts").mkdir()
    (tmp_path / "o.parts" / "mine").write_text("x")
    with pytest.raises(OutputError, match="no folder of zssd's"):
        Parts.begin(tmp_path / "o.parts", {})
    assert (tmp_path / "o.parts" / "mine").read_text() == "x"
