"""The example of the Python interface runs as it stands and draws what it says."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "notebook.py"


def test_the_notebook_runs(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    assert "msl: observed yes, ('time', 'member', 'lat', 'lon'), Pa" in done.stdout
    assert "u10: observed no" in done.stdout
    assert "v10: CRPS" in done.stdout
    assert (tmp_path / "notebook.png").stat().st_size > 20_000
