"""Several processes draw, whichever of them dies, and the bytes are those of one; what they lack is said in one line.

One cluster of two workers serves all tests that join one. Times are never measured: what is waited for comes, however slow the machine.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import netCDF4
import psutil
import pytest

dask, distributed = (pytest.importorskip(name) for name in ("dask", "distributed"))

from tests.commands.conftest import FAST, Model  # noqa: E402
from tests.commands.test_resume import HOURS, contents_of, holed  # noqa: E402
from zssd_cli.errors import ConfigError  # noqa: E402
from zssd_cli.outputs.parts import Parts  # noqa: E402
from zssd_cli.workers import cluster  # noqa: E402
from zssd_cli.workers.drawing import AHEAD  # noqa: E402

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1", "localhost", "::1"])]
MOMENT = "2026-01-01T01:00:00Z"
CHILD = f"""
import sys
import zssd_cli.times
zssd_cli.times.now_utc = lambda: "{MOMENT}"
from zssd_cli.app import main
words, sys.argv = sys.argv[1:], ["zssd", "downscale"]
if __name__ == "__main__":
    main(words)
"""
SETTINGS = (*FAST, "--members", "2", "--precision", "float32")
PATIENCE = 1800


@pytest.fixture(scope="module")
def client():
    """Two workers, each of which is told another GPU."""
    with cluster.started(2, 1, ["5", "7"]) as client:
        yield client


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """psl whole and uas with holes and repeated fields."""
    model = Model(tmp_path_factory.mktemp("world"))
    return [model("psl.nc", ("psl",), hours=HOURS), model("uas.nc", ("uas",), hours=HOURS, change=holed)]


@pytest.fixture
def downscale(zssd, world, monkeypatch):
    """Two members of the world."""
    monkeypatch.setattr("zssd_cli.times.now_utc", lambda: MOMENT)
    for room in ("api", "posterior.resuming", "posterior.provenance"):
        monkeypatch.setattr(f"zssd_cli.{room}.now_utc", lambda: MOMENT)

    def call(out, *options, inputs=world):
        monkeypatch.setattr(sys, "argv", ["zssd", "downscale"])
        return zssd("downscale", *inputs, "-o", out, *SETTINGS, *options)

    return call


@pytest.fixture
def whole(downscale, tmp_path):
    """What one process writes."""
    (tmp_path / "whole").mkdir()
    done = downscale(tmp_path / "whole" / "out.nc")
    assert done.code == 0, done.err
    return tmp_path / "whole" / "out.nc"


def address(client) -> str:
    return client.scheduler_info()["address"]


def test_workers_write_what_one_process_writes(client, downscale, whole, tmp_path, monkeypatch):
    """Also the doubts; never more than two batches of a worker are on their way."""
    flying, most, submit, keep = [0], [0], distributed.Client.submit, Parts.keep

    def counted(self, *arguments, **options):
        flying[0] += 1
        most[0] = max(most[0], flying[0])
        return submit(self, *arguments, **options)

    def kept(self, *arguments):
        keep(self, *arguments)
        flying[0] -= 1

    monkeypatch.setattr(distributed.Client, "submit", counted)
    monkeypatch.setattr(Parts, "keep", kept)
    done = downscale(tmp_path / "out.nc", "--scheduler", address(client))
    assert done.code == 0, done.err
    assert f"Workers    2 at {address(client)}" in done.err
    assert "a field that repeats the one before it" in done.err
    assert (tmp_path / "out.nc").read_bytes() == whole.read_bytes()
    assert most == [2 * AHEAD]
    with netCDF4.Dataset(whole) as data:
        assert "T06:00:00 and 1 more times" in data.zssd_doubts
        assert data.zssd_threads == 1


def test_a_store_and_a_scheduler_file(client, downscale, tmp_path):
    pytest.importorskip("zarr")
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": address(client)}))
    (tmp_path / "one").mkdir()
    assert downscale(tmp_path / "one" / "out.zarr").code == 0
    done = downscale(tmp_path / "out.zarr", "--scheduler", file)
    assert done.code == 0, done.err
    assert contents_of(tmp_path / "out.zarr") == contents_of(tmp_path / "one" / "out.zarr")


def test_a_killed_worker_loses_nothing(client, downscale, whole, tmp_path, monkeypatch):
    """Killed when the first batch is there, with others on their way to it; another process takes its place."""
    doomed, keep = list(client.run(os.getpid).values())[:1], Parts.keep

    def kept(self, *arguments):
        keep(self, *arguments)
        if doomed:
            os.kill(doomed.pop(), signal.SIGKILL)

    monkeypatch.setattr(Parts, "keep", kept)
    done = downscale(tmp_path / "out.nc", "--scheduler", address(client))
    assert done.code == 0, done.err
    assert doomed == []
    assert (tmp_path / "out.nc").read_bytes() == whole.read_bytes()


def start(out: Path, world, prior_file, *options: str) -> subprocess.Popen:
    """The command in a process group of its own."""
    words = ["downscale", *world, "-o", out, *SETTINGS, "--weights", prior_file, *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, words)], env=environment, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def batches(parts) -> int:
    """How many a folder keeps: a line of the manifest each, after its first."""
    manifest = parts / "manifest.jsonl"
    return max(manifest.read_bytes().count(b"\n") - 1, 0) if manifest.exists() else 0


def wait_for(there) -> None:
    end = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_stopped_in_the_middle(client, downscale, whole, world, prior_file, tmp_path, number):
    """Killed, or interrupted from the keyboard: no process is left, and others go on, together or one alone."""
    out, parts = tmp_path / "out.nc", tmp_path / "out.nc.parts"
    process = start(out, world, prior_file, "--workers", "2")
    wait_for(lambda: process.poll() is not None or batches(parts))
    assert process.poll() is None, process.communicate()[1]
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    (os.kill if number == signal.SIGKILL else os.killpg)(process.pid, number)
    said = process.communicate(timeout=PATIENCE)[1]
    _, left = psutil.wait_procs(workers, timeout=PATIENCE)
    assert left == []
    assert process.returncode == (130 if number == signal.SIGINT else -number), said
    assert not out.exists()
    if number == signal.SIGINT:
        assert said.splitlines()[-1] == "zssd: interrupted"
        assert "Traceback" not in said
    shutil.copytree(parts, tmp_path / "again.nc.parts")
    assert downscale(out, "--resume").code == 0
    done = downscale(tmp_path / "again.nc", "--resume", "--scheduler", address(client))
    assert done.code == 0, done.err
    assert out.read_bytes() == whole.read_bytes() == (tmp_path / "again.nc").read_bytes()


def test_a_time_limit_waits_for_what_is_drawn(client, downscale, whole, tmp_path, monkeypatch):
    """A worker gets no second batch that would end too late, and no first one."""
    keep = Parts.keep

    def slow(self, batch, arrays, noted):
        keep(self, batch, arrays, {**noted, "seconds": 3000.0})

    out = tmp_path / "out.nc"
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "keep", slow)
        done = downscale(out, "--scheduler", address(client), "--time-limit", "45m")
    assert done.code == 75, done.err
    assert done.err.splitlines()[-2] == "Stopped    by --time-limit: a batch takes up to 50 min"
    kept = batches(tmp_path / "out.nc.parts")
    assert kept == 2 * AHEAD
    assert downscale(out, "--resume", "--scheduler", address(client)).code == 0
    assert out.read_bytes() == whole.read_bytes()


def test_one_gpu_a_worker(client, monkeypatch):
    seen = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
    assert sorted(seen.values()) == ["5", "7"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cluster.visible_devices(4, 2) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, MIG-abc,6")
    assert cluster.visible_devices(3, 2) == ["3", "MIG-abc"]
    with pytest.raises(
        ConfigError, match="--workers 4: each needs a GPU of its own, this machine has 3 GPUs. Give --workers 3"
    ):
        cluster.visible_devices(3, 4)


def test_what_a_worker_says_is_one_line(client, downscale, model, world, tmp_path, monkeypatch):
    """Other versions, files that are not there, and a field that is wrong."""
    out, joined = tmp_path / "out.nc", ("--scheduler", address(client))

    def line(*options, **inputs) -> str:
        done = downscale(out, *options, **inputs)
        assert done.code == 1
        assert not out.exists()
        assert "Traceback" not in done.err
        return done.err.splitlines()[-1]

    with monkeypatch.context() as patch:
        patch.setattr("zssd_cli.posterior.provenance.__version__", "9.9")
        said = line(*joined)
    assert said.startswith("zssd: error: Worker tcp://127.0.0.1:")
    assert "would not draw the same numbers: version is " in said
    assert "expected 9.9" in said
    with monkeypatch.context() as patch:
        patch.setattr("zssd_cli.commands.crew.expand", lambda paths: [Path("/elsewhere/psl.nc")])
        assert "/elsewhere/psl.nc: no such file" in line(*joined)
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "__version__", "9.9")
        assert "The scheduler: expected zssd 9.9, got " in line(*joined)

    def wrong(values):
        values[2] = 1e9
        return values

    inputs = [model("wrong.nc", ("psl",), hours=HOURS, change=wrong)]
    assert line(*joined, "--overwrite", inputs=inputs) == line("--overwrite", inputs=inputs)


def test_what_cannot_be_joined_is_refused(downscale, tmp_path, monkeypatch):
    out = tmp_path / "out.nc"
    assert "give one of them" in downscale(out, "--workers", 2, "--scheduler", "tcp://127.0.0.1:1").err
    assert "no such file. Start one with dask scheduler" in downscale(out, "--scheduler", tmp_path / "none.json").err
    (tmp_path / "bad.json").write_text("{}")
    for bad in ("tcp://127.0.0.1:1", tmp_path / "bad.json"):
        monkeypatch.setattr(cluster, "PATIENCE", 0.5)
        done = downscale(out, "--scheduler", bad)
        assert done.code == 1
        assert done.err.splitlines()[-1].startswith(f"zssd: error: --scheduler {bad}: no Dask scheduler answers there")
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    done = downscale(out, "--workers", 2)
    assert (
        done.err
        == "zssd: error: --workers and --scheduler need Dask: pip install 'zssd[dask]' (or dask and distributed).\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["bad.json"]


def test_dask_is_left_as_it_was(client, downscale, tmp_path):
    """Whatever else uses Dask in this process goes on without the cluster."""
    assert downscale(tmp_path / "out.nc", "--scheduler", address(client)).code == 0
    assert dask.config.get("scheduler", None) is None
    assert dask.delayed(sum)([1, 2]).compute() == 3


def test_processes_that_do_not_start_are_one_line(zssd, model, tmp_path, monkeypatch):
    def refuse(**_):
        msg = "Nanny failed to start."
        raise RuntimeError(msg)

    monkeypatch.setattr("distributed.SpecCluster", refuse)
    done = zssd("downscale", model(), "-o", tmp_path / "out.nc", *FAST, "--workers", "2")
    assert (done.code, "the processes did not start (Nanny failed to start.)" in done.err) == (1, True), done.err
    assert not (tmp_path / "out.nc").exists()
