"""The shell scripts over archives: run on a small world with the toy prior, twice, and what they leave."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from tests.commands.conftest import Model, prior_file  # noqa: F401  a fixture
from tests.examples.conftest import early_signal

EXAMPLES = Path(__file__).parents[2] / "examples"
ROOT = EXAMPLES.parent
NAME = "psl_6hrPlevPt_TOY-ESM_ssp245_{}_gn_201001010000-201112311800.nc"
END_OF_YEAR = (8748.0, 8754.0, 8760.0, 8766.0)
"""Two times in 2010, two in 2011."""
SET = "TOY-ESM_ssp245_r1i1p1f1_gn"


@pytest.fixture
def world(tmp_path, prior_file):  # noqa: F811
    """A folder with blanks that holds an archive, and ``zssd`` with the toy prior, ``sbatch``, ``squeue`` and ``scontrol`` on PATH."""
    folder, tools = tmp_path / "a folder", tmp_path / "bin"
    (folder / "cmip6").mkdir(parents=True)
    tools.mkdir()
    Model(folder / "cmip6")(NAME.format("r1i1p1f1"), hours=END_OF_YEAR, attributes={"variant_label": "r1i1p1f1"})
    texts = {
        "zssd": f'#!/bin/sh\nexec "{sys.executable}" -m zssd_cli "$@"\n',
        "sbatch": '#!/bin/sh\necho "$DATASET $FIRST $*" >> submitted\n',
        "squeue": "#!/bin/sh\ncat queue 2> /dev/null || true\n",
        "scontrol": '#!/bin/sh\necho "$@" > requeued\n',
    }
    for name, text in texts.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    toy = f"--weights {prior_file} --region 0,10,40,50 --steps 2 --guidance projection --device cpu"

    def start(script, *arguments, **variables):
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "OPTIONS": toy}
        return subprocess.Popen(
            ["bash", EXAMPLES / script, *arguments], cwd=folder, env=environment | variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(script, *arguments, **variables):
        process = start(script, *arguments, **variables)
        out, err = process.communicate(timeout=1800)
        return subprocess.CompletedProcess(script, process.returncode, out, err)

    run.folder, run.toy, run.start, run.zssd = folder, toy, start, tools / "zssd"
    return run


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nc")}


@pytest.mark.slow
def test_an_archive(world):
    out = world.folder / "fi ne"
    (world.folder / "cmip6" / "broken.nc").write_text("no NetCDF")
    done = world("archive.sh", "cmip6", "fi ne", YEARS="2010/2011")
    assert done.returncode == 3, done.stderr
    assert "Summary    2 written, 1 failed" in done.stdout
    assert "1 failed of broken: " in done.stdout
    assert sorted(path.name for path in out.glob("*.nc")) == [f"{SET}_{year}.nc" for year in (2010, 2011)]
    with netCDF4.Dataset(out / f"{SET}_2011.nc") as data:
        assert data["u10"].shape == (2, 1, 41, 41)
        assert data["u10"].zssd_observed == "no"
    assert "TOY-ESM" in (out / "inspect" / f"{SET}.txt").read_text()
    before = stamps(out)
    (world.folder / "cmip6" / "broken.nc").unlink()
    done = world("archive.sh", "cmip6", "fi ne", YEARS="2010/2011")
    assert (done.returncode, "Summary    2 whole" in done.stdout) == (0, True), done.stderr
    assert "2 outputs with 4 times are there" in done.stdout
    assert stamps(out) == before
    done = world("archive.sh", "cmip6")
    assert (done.returncode, "CMIP6_FOLDER OUTPUT_FOLDER" in done.stderr) == (2, True)


@pytest.mark.slow
def test_a_slurm_array(world):
    """Submitted, one task run, the rest submitted, out of time and back into the queue."""
    at = {"ARCHIVE": "cmip6", "OUT": "fi ne", "YEARS": "2005/2030", "LIMIT": ""}
    task = at | {"DATASET": SET, "FIRST": "2005", "SLURM_ARRAY_JOB_ID": "7"}
    script, submitted = "slurm/downscale.sbatch", world.folder / "submitted"
    assert world(script, **at).returncode == 0
    assert submitted.read_text().startswith(f"{SET} 2005 --job-name zssd-{SET} --array 5,6%32 ")
    done = world(script, **task, SLURM_ARRAY_TASK_ID="5")
    assert done.returncode == 0, done.stderr
    with netCDF4.Dataset(world.folder / "fi ne" / f"{SET}_2010.nc") as data:
        assert data["msl"].shape == (2, 1, 41, 41)
    (world.folder / "queue").write_text("7\n")
    assert "in the queue" in world(script, **at).stdout
    (world.folder / "queue").unlink()
    submitted.unlink()
    world(script, **at)
    assert "--array 6%32" in submitted.read_text()
    before = stamps(world.folder / "fi ne")
    assert world(script, **task, SLURM_ARRAY_TASK_ID="5").returncode == 0
    assert stamps(world.folder / "fi ne") == before
    report = (world.folder / "fi ne" / "reports" / f"{SET}_2010.jsonl").read_text().splitlines()
    assert json.loads(report[-1])["status"] == "whole"


TASK = {
    "ARCHIVE": "cmip6",
    "OUT": "fi ne",
    "DATASET": SET,
    "FIRST": "2005",
    "SLURM_ARRAY_JOB_ID": "7",
    "SLURM_ARRAY_TASK_ID": "5",
}
WAITS = """#!/bin/bash
[ "$1" = downscale ] || exit 0
trap 'sleep .3; echo stopped by USR1; exit 138' USR1
trap 'sleep .3; echo stopped by TERM; exit 143' TERM
mkdir -p "fi ne"
echo '{"status": "begun", "dataset": "a", "times": 2}' > "fi ne/report.jsonl"
echo $$ > running
while true; do sleep .05; done
"""


def signalled(world, number, script, *arguments, **variables):
    """Exit code and stdout of a script that got a signal while its zssd was at work; zssd must be gone, too."""
    world.zssd.write_text(WAITS)
    process, running = world.start(script, *arguments, **variables), world.folder / "running"
    deadline = time.monotonic() + 300
    while not (running.exists() and running.read_text().endswith("\n")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    out, _ = process.communicate(timeout=300)
    with pytest.raises(ProcessLookupError):
        os.kill(int(running.read_text()), 0)
    return process.returncode, out


@pytest.mark.parametrize(
    ("number", "said", "code"),
    [
        (signal.SIGUSR1, "stopped by USR1", 138), (signal.SIGTERM, "stopped by TERM", 143), (signal.SIGINT, "stopped by TERM", 143),
    ],
)  # fmt: skip
def test_a_signal_to_the_archive_script_alone_reaches_zssd(world, number, said, code):
    returned, out = signalled(world, number, "archive.sh", "cmip6", "fi ne")
    assert (returned, said in out, "Out of time" in out) == (code, True, code == 138)


def test_slurms_warning_reaches_zssd_and_the_task_goes_back(world):
    returned, out = signalled(world, signal.SIGUSR1, "slurm/downscale.sbatch", **TASK)
    assert (returned, "stopped by USR1" in out, "ended with 138" in out) == (0, True, True)
    assert (world.folder / "requeued").read_text() == "requeue 7_5\n"


def test_a_signal_while_zssd_is_being_started(world):
    world.zssd.write_text(WAITS)
    done = world("archive.sh", "cmip6", "fi ne", **early_signal(world.folder, signal.SIGTERM, "process"))
    assert done.returncode == 143, done.stderr
    done = world("slurm/downscale.sbatch", **TASK, **early_signal(world.folder, signal.SIGUSR1, "process"))
    assert (done.returncode, "ended with 138" in done.stdout) == (0, True), done.stderr
    assert (world.folder / "requeued").read_text() == "requeue 7_5\n"


def test_the_archive_script_says_that_time_is_up(world):
    world.zssd.write_text(WAITS.replace("while true", "exit 75; while true"))
    done = world("archive.sh", "cmip6", "fi ne")
    assert (done.returncode, "Call this again" in done.stdout, "1 begun" in done.stdout) == (75, True, True)


@pytest.mark.parametrize("code", [75, 138, 1])
def test_a_task_out_of_time_goes_back_into_the_queue(world, code):
    world.zssd.write_text(f"#!/bin/sh\nexit {code}\n")
    done = world("slurm/downscale.sbatch", **TASK)
    requeued = world.folder / "requeued"
    assert done.returncode == (1 if code == 1 else 0)
    assert (requeued.read_text() if requeued.exists() else "") == ("" if code == 1 else "requeue 7_5\n")


@pytest.mark.slow
def test_a_study(world):
    """One model, two periods: bias, members, scores, change and pictures; a second call does nothing, other settings are refused."""
    folder = world.folder
    hours = [6.0 * k for k in range(40)]
    run = {"attributes": {"experiment_id": "historical"}, "hours": hours}
    Model(folder)("hist.nc", **run, change=lambda values: values + 500.0)
    late = run | {"since": "hours since 2050-01-01 00:00:00", "attributes": {"experiment_id": "ssp585"}}
    Model(folder)("future.nc", **late, change=lambda values: values + 800.0)
    fine = {"lat": np.arange(35.0, 55.1, 0.25), "lon": np.arange(-5.0, 15.1, 0.25)}
    Model(folder)("era5.nc", ("psl", "uas", "vas"), hours=hours, attributes={"source_id": "TOY-REANALYSIS"}, **fine)
    toy = world.toy.replace("--region 0,10,40,50 ", "")
    at = {
        "HIST": "hist.nc", "FUTURE": "future.nc", "ERA5": "era5.nc", "REGION": "0,10,40,50", "YEARS": "2010", "MEMBERS": "2",
        "THEN": "2010-01-02", "NOW": "2050-01-02", "OPTIONS": toy,
    }  # fmt: skip
    done = world("study.sh", "stu dy", **at)
    assert done.returncode == 0, done.stdout + done.stderr
    out = folder / "stu dy"
    with netCDF4.Dataset(out / "historical.nc") as past, netCDF4.Dataset(out / "scenario.nc") as future:
        assert past["msl"].shape == future["msl"].shape == (4, 2, 41, 41)
        assert past.zssd_debias.startswith("quantile delta mapping")
        # 300 Pa apart in the model, and so after its bias of 500 Pa is gone
        assert np.mean(future["msl"][:]) - np.mean(past["msl"][:]) == pytest.approx(300, abs=60)
    assert "Distributional scores: 4 times" in (out / "evaluation.md").read_text()
    assert "Change from historical to future" in (out / "change.md").read_text()
    pictures = {path.name for path in out.glob("*.png")}
    assert pictures == {"evaluation.png"} | {
        f"{p}-{k}.png" for p in ("historical", "scenario") for k in ("spread", "members")
    }
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = world("study.sh", "stu dy", **at)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in out.iterdir() if path.name != "settings.txt"} == {
        path: stamp for path, stamp in before.items() if path.name != "settings.txt"
    }
    other = world("study.sh", "stu dy", **(at | {"MEMBERS": "3"}))
    assert (other.returncode, "holds a study with other settings" in other.stderr) == (1, True)
