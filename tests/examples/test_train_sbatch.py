"""The Slurm example with stand-ins for torchrun and scontrol: what it runs, and what it does when the time is up."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.examples.conftest import early_signal

SCRIPT = Path(__file__).parents[2] / "examples" / "slurm" / "train.sbatch"
STAND_IN = """#!/bin/bash
echo "$@" > arguments
trap 'sleep .2; echo saved > state; exit 1' TERM
touch started
for k in $(seq {tenths}); do sleep .1; done
exit {code}
"""


@pytest.fixture
def job(tmp_path):
    """Start the script in a folder with the stand-ins; what still runs at the end of the test is killed."""
    started = []

    def start(code=0, tenths=18_000, **variables):
        for name, text in (
            ("python", STAND_IN.format(code=code, tenths=tenths)),
            ("scontrol", '#!/bin/bash\necho "$@" > requeued\n'),
        ):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ERA5": "/data", "SLURM_JOB_ID": "42"}
        process = subprocess.Popen(
            ["bash", SCRIPT], cwd=tmp_path, env=environment | variables, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_what_it_runs_and_how_it_ends(job, tmp_path):
    for code in (0, 3):
        process = job(code, 0)
        process.communicate(timeout=1800)
        assert process.returncode == code
        assert not (tmp_path / "requeued").exists()
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[:5] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "8"]
    assert arguments[5:9] == ["-m", "zssd_cli", "train", "/data/era5_*.nc"]
    assert "--resume" in arguments
    assert arguments[arguments.index("--preset") + 1] == "large"


def test_a_warning_stops_the_training_saves_and_requeues(job, tmp_path):
    process = job()
    for _ in range(18_000):
        if (tmp_path / "started").exists():
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGUSR1)
    text, _ = process.communicate(timeout=1800)
    assert process.returncode == 0
    assert (tmp_path / "state").read_text() == "saved\n"
    assert (tmp_path / "requeued").read_text() == "requeue 42\n"
    assert "back into the queue" in text


def test_a_warning_while_the_training_is_being_started(job, tmp_path):
    process = job(**early_signal(tmp_path, signal.SIGUSR1, "training"))
    text, _ = process.communicate(timeout=300)
    assert (process.returncode, (tmp_path / "requeued").read_text()) == (0, "requeue 42\n"), text
