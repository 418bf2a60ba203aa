"""Small jobs one after the other leave nothing: the long run is ``python -m tests.faults.load``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import json, sys, tempfile
from dataclasses import asdict
from pathlib import Path
from tests.faults.load import Jobs
with tempfile.TemporaryDirectory() as folder:
    jobs = Jobs(Path(folder))
    seen = []
    for _ in range(3):
        for job in jobs.kinds:
            job()
        seen.append(asdict(jobs.left()))
print(json.dumps(seen))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="other systems do not say what a process holds")
def test_rounds_of_small_jobs_leave_nothing():
    """The first round loads libraries and fills what is kept for good; the memory of a leak of 3 MB a job shows after one round more."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=1800,
        cwd=Path(__file__).parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, second, third = json.loads(done.stdout.splitlines()[-1])
    assert third["handles"] == second["handles"]
    assert third["files"] == second["files"]
    outputs = {"found.json", "fine.nc", "fine.zarr", "map.png", "tracks.csv"}
    # matplotlib keeps its list of fonts
    expected = {("out", name) for name in outputs} | {("cache", "matplotlib")}
    assert {Path(name).parts[:2] for name in third["files"]} == expected
    assert third["memory"] - second["memory"] < 20
