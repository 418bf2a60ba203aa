"""Two Dask workers beside one process: seconds of whole commands, in turn, and whether the bytes are the same.

python benchmarks/workers.py INPUT [--workers 2] [--rounds 2] [-- OPTIONS OF zssd downscale]

Everything runs with one thread a process. The first command of a pair changes from round to round; the start
(imports, prior, cluster) is in the times. Run it on a machine that does nothing else.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import netCDF4
import numpy as np


def seconds(command: list[str]) -> float:
    """Of a command that must end well."""
    began = time.monotonic()
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)  # noqa: S603
    return time.monotonic() - began


def content(path: Path) -> str:
    """sha256 of all values of an output; its history names the command and differs."""
    digest = hashlib.sha256()
    with netCDF4.Dataset(path) as data:
        data.set_auto_mask(False)
        for name, variable in data.variables.items():
            digest.update(name.encode() + np.ascontiguousarray(variable[...]).tobytes())
    return digest.hexdigest()[:16]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    options, more = parser.parse_known_args()
    more = [word for word in more if word != "--"]
    with tempfile.TemporaryDirectory() as folder:
        alone, crew = (Path(folder) / f"{name}.nc" for name in ("alone", "crew"))
        base = [sys.executable, "-m", "zssd_cli", "downscale", options.input, "-q", "--overwrite", *more]
        kinds = {alone: [], crew: ["--workers", str(options.workers)]}
        taken: dict[Path, list[float]] = {alone: [], crew: []}
        for k in range(options.rounds):
            for path in (alone, crew)[:: -1 if k % 2 else 1]:
                taken[path].append(seconds([*base, "-o", str(path), *kinds[path]]))
        one, several = (np.array(taken[path]) for path in (alone, crew))
        print("one process", *np.round(one, 1), f"s; {options.workers} workers", *np.round(several, 1), "s")
        print(f"ratio {np.median(one / several):.2f}; values {content(alone)} {content(crew)}")


if __name__ == "__main__":
    main()
