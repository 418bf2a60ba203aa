"""Kill a downscaling with SIGKILL at random moments and resume it: the output must have the bytes of one that nobody killed.

python benchmarks/resume.py [--kills 20] [--times 1000] [--seed 0] [--endings .nc .zarr] [--region 0,64,20,52] [--memory] [--manifest N]

128 x 256 cells unless told otherwise, the toy prior of the tests, two denoising steps, a member. Kills are spread over the run: --drawing
of them (a share) each after a random number of further batches and a random part of the next one, the others at random moments of
the writing of the output. The first process is given a moment of the day as its clock shows it, which the whole run is given too; those
that resume have later ones. ``--memory`` instead compares the peak memory of 10 and of --times times; ``--manifest`` times the opening of
a folder of so many batches.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from tests.commands.conftest import Model, toy_prior
from zssd_cli.outputs.parts import Parts
from zssd_cli.prior.checkpoint import save_prior
from zssd_cli.static import load_static

ROOT = Path(__file__).parents[1]
CHILD = """
import sys, time
moment = int(sys.argv.pop(1))
import zssd_cli.times
zssd_cli.times.now_utc = lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
from zssd_cli.app import main
main()
"""
BEGIN = 1_800_000_000


def main() -> None:
    """Both formats, or the memory, or a long manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--drawing", type=float, default=0.6)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--endings", nargs="+", default=(".nc", ".zarr"))
    parser.add_argument("--region", default="0,64,20,52")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--manifest", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zssd-resume-") as name:
        folder = Path(name)
        save_prior(folder / "toy.safetensors", toy_prior(load_static().sha256))
        if options.manifest:
            open_long(folder, options.manifest)
            return
        if options.memory:
            compare_memory(folder, options.times, options.endings, options.region)
            return
        Model(folder)("in.nc", ("psl", "uas"), hours=[6.0 * k for k in range(options.times)])
        rng = random.Random(options.seed)
        same = [Killing(folder, f"out{ending}", options, rng).run() for ending in options.endings]
    sys.exit(0 if all(same) else 1)


def start(folder: Path, source: Path, output: str, moment: int, region: str, *options: str) -> subprocess.Popen:
    """A downscaling in a process of its own; its messages go to a file beside it."""
    command = [
        sys.executable, "-c", CHILD, str(moment), "downscale", source, "-o", output, "--weights", "toy.safetensors",
        "--region", region, "--steps", "2", "--members", "1", "--guidance", "projection", "--device", "cpu", "--resume", *options,
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (folder / "log.txt").open("a") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)


class Killing:
    """One whole run, and one that is killed and resumed."""

    def __init__(self, folder: Path, output: str, options: argparse.Namespace, rng: random.Random) -> None:
        self.folder, self.output, self.options, self.rng = folder, output, options, rng
        self.there, self.parts = folder / "killed" / output, folder / "killed" / f"{output}.parts"
        self.count, self.old = 0, set[str]()

    def start(self, name: str, moment: int) -> subprocess.Popen:
        """A process in a folder of that name."""
        return start(self.folder / name, self.folder / "in.nc", self.output, moment, self.options.region)

    def run(self) -> bool:
        """Kill and resume; True where the bytes are those of the whole run."""
        for name in ("whole", "killed"):
            (self.folder / name).mkdir(exist_ok=True)
            (self.folder / name / "toy.safetensors").unlink(missing_ok=True)
            (self.folder / name / "toy.safetensors").symlink_to(self.folder / "toy.safetensors")
        began = time.monotonic()
        process = self.start("whole", BEGIN)
        drawn = self.wait(process, lambda: self.half(self.folder / "whole"))
        if process.wait() != 0:
            sys.exit((self.folder / "whole" / "log.txt").read_text())
        taken = time.monotonic() - began
        each, writing = (drawn - began) / self.options.times, began + taken - drawn
        print(f"{self.output}: whole in {taken:.0f} s, of which {writing:.1f} s after the last batch", flush=True)
        total = round(self.options.drawing * self.options.kills)
        goals = sorted(self.rng.sample(range(self.options.times), total))
        for goal in goals:
            self.kill(lambda goal=goal: self.lines() > goal, self.rng.uniform(0, 2 * each))
        for _ in range(self.options.kills - total):
            self.kill(lambda: self.half(self.folder / "killed"), self.rng.uniform(0, writing))
        if self.start("killed", BEGIN + 1).wait() != 0:
            sys.exit((self.folder / "killed" / "log.txt").read_text())
        first, second = digest(self.folder / "whole" / self.output), digest(self.there)
        left = sorted(path.name for path in (self.folder / "killed").iterdir())
        print(f"  {self.count} kills: sha256 {second[:16]}, whole {first[:16]}: {first == second}; {left}")
        return first == second

    def wait(self, process: subprocess.Popen, reached: Callable[[], bool]) -> float:
        """Until something is so or the process has ended."""
        while process.poll() is None and not reached():
            time.sleep(0.003)
        return time.monotonic()

    def kill(self, reached: Callable[[], bool], pause: float) -> None:
        """Start a process and kill it so many seconds after something is so."""
        moment = BEGIN if not self.parts.exists() else BEGIN + 3600 * (self.count + 1)
        self.old = {path.name for path in (self.folder / "killed").glob(f".{self.output}.*.part")}
        process = self.start("killed", moment)
        self.wait(process, reached)
        try:
            process.wait(pause)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.count += 1
        else:
            print(f"  ended by itself with {process.returncode}", flush=True)
            if process.returncode != 0:
                sys.exit((self.folder / "killed" / "log.txt").read_text())
            return
        half = [p.name for p in (self.folder / "killed").glob(".*")]
        print(
            f"  kill {self.count:>2}: {self.lines()} batches, output there: {self.there.exists()}, {half}", flush=True
        )

    def lines(self) -> int:
        """Batches in the manifest."""
        path = self.parts / "manifest.jsonl"
        return max(path.read_bytes().count(b"\n") - 1, 0) if path.exists() else 0

    def half(self, folder: Path) -> bool:
        """Whether an output is being written by the process that runs now."""
        names = {path.name for path in folder.glob(f".{self.output}.*.part")}
        return bool(names - self.old)


def remove(path: Path) -> None:
    """A file or a store."""
    if path.is_dir():
        subprocess.run(["rm", "-r", path], check=True)
    else:
        path.unlink()


def digest(path: Path) -> str:
    """sha256 of a file, or of names and contents of all files of a folder."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            whole.update(f"{file.relative_to(path)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def compare_memory(folder: Path, times: int, endings: Sequence[str], region: str) -> None:
    """Peak memory by length."""
    for ending in endings:
        for count in (10, times):
            source = Model(folder)(f"in{count}.nc", ("psl", "uas"), hours=[6.0 * k for k in range(count)])
            began = time.monotonic()
            process = start(folder, source, f"out{count}{ending}", BEGIN, region)
            parts = 0
            while not (done := os.wait4(process.pid, os.WNOHANG))[0]:
                parts = max(parts, sum(f.stat().st_size for f in folder.glob(f"out{count}{ending}.parts/fields.bin")))
                time.sleep(0.1)
            if done[1]:
                sys.exit((folder / "log.txt").read_text())
            files = [f for f in folder.rglob("*") if f"out{count}{ending}" in str(f) and f.is_file()]
            print(
                f"{count:>5} times {ending:>5}: peak {done[2].ru_maxrss / 1024:.0f} MB, {time.monotonic() - began:.1f} s, "
                f"parts {parts / 1e6:.1f} MB, output {sum(f.stat().st_size for f in files) / 1e6:.1f} MB in {len(files)} files",
                flush=True,
            )


def open_long(folder: Path, count: int) -> None:
    """Seconds and memory to open a folder of so many batches."""
    parts = Parts.begin(folder / "o.parts", {"command": "x", "created": "y", "settings": {}})
    parts.keep("times-0-1-members-0-1", {"values.0": np.zeros((1, 3, 2, 2), np.float32)}, {"seconds": 1.0})
    (line,) = parts.lines
    parts.close()
    with (folder / "o.parts" / "manifest.jsonl").open("a") as file:
        file.writelines(json.dumps(line | {"batch": f"times-{k}-{k + 1}-members-0-1"}) + "\n" for k in range(1, count))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    parts = Parts(folder / "o.parts")
    taken, more = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{len(parts)} batches opened in {taken:.1f} s with {more / 1024:.0f} MB more memory")


if __name__ == "__main__":
    main()
