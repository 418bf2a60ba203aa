"""Many small jobs in one process, and what stays of them: memory, open files, temporary files, the cache.

``python -m tests.faults.load [JOBS]`` prints a line for every twentieth; :mod:`tests.faults.test_load` does a few.
"""

import contextlib
import ctypes
import gc
import io
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import zssd_cli
from tests.commands.conftest import FAST, Model, toy_prior
from zssd_cli.app import main
from zssd_cli.prior.checkpoint import save_prior
from zssd_cli.static import load_static


@dataclass(frozen=True)
class Left:
    """What a process holds.

    Attributes
    ----------
    memory
        Resident megabytes.
    handles
        Open files, sockets and pipes.
    files
        Names in the temporary folder, the cache and the folder of outputs.
    """

    memory: float
    handles: int
    files: tuple[str, ...]


class Jobs:
    """Small jobs of several kinds in a folder, the same ones again and again; some of them fail, as they should."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._scratch, self._cache = folder, folder / "tmp", folder / "cache"
        for inner in (self._scratch, self._cache, folder / "out"):
            inner.mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(self._scratch)
        os.environ["XDG_CACHE_HOME"] = str(self._cache)
        self._prior = folder / "toy.safetensors"
        save_prior(self._prior, toy_prior(load_static().sha256))
        self._given = Model(folder)("in.nc", ("psl", "uas", "vas"))
        self._broken = folder / "broken.nc"
        self._broken.write_bytes(self._given.read_bytes()[:5000])
        self._fine = folder / "fine.nc"
        self._call(self._downscale(self._given, self._fine), 0)

    def _downscale(self, given: Path, output: Path) -> list[str]:
        return ["downscale", str(given), *FAST, "--weights", str(self._prior), "-q", "--overwrite", "-o", str(output)]

    def _call(self, words: list[str], expected: int) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                main(words)
            except SystemExit as stop:
                if int(stop.code or 0) != expected:
                    msg = f"{words}: exit code {stop.code}: {said.getvalue()}"
                    raise AssertionError(msg) from None

    @property
    def kinds(self) -> tuple[Callable[[], object], ...]:
        """One of each."""
        out, region = self._folder / "out", (0, 10, 40, 50)
        settings = {"steps": 2, "guidance": "projection", "device": "cpu", "weights": self._prior}
        return (
            lambda: self._call(self._downscale(self._given, out / "fine.nc"), 0),
            lambda: self._call(["inspect", str(self._given), "--json", str(out / "found.json")], 0),
            lambda: self._call(self._downscale(self._given, out / "fine.zarr"), 0),
            lambda: self._call(self._downscale(self._broken, out / "none.nc"), 1),
            lambda: zssd_cli.downscale(str(self._given), region=region, **settings).close(),
            lambda: self._call(["plot", str(self._fine), "-o", str(out / "map.png")], 0),
            lambda: self._call(["track", str(self._fine), "-o", str(out / "tracks.csv")], 0),
            lambda: self._call(["inspect", str(self._broken)], 1),
            lambda: self._call(["weights", "list"], 0),
        )

    def left(self) -> Left:
        """What there is now."""
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            # what glibc keeps for the next job is no leak
            ctypes.CDLL(None).malloc_trim(0)
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        files = (
            path for place in (self._scratch, self._cache, self._folder / "out") for path in sorted(place.rglob("*"))
        )
        # torch makes a folder for what it compiles when a part of it is imported
        names = (str(path.relative_to(self._folder)) for path in files if "torchinductor" not in str(path))
        return Left(memory, len(os.listdir("/proc/self/fd")), tuple(names))


def run(count: int) -> None:
    """So many jobs."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="zssd-load-") as folder:
        jobs = Jobs(Path(folder))
        kinds = jobs.kinds
        for k in range(count):
            kinds[k % len(kinds)]()
            if (k + 1) % 20 == 0:
                left = jobs.left()
                line = f"{k + 1} jobs: {left.memory:.0f} MB, {left.handles} handles, {len(left.files)} files"
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
