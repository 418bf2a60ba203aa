"""Kill a downscaling with SIGKILL at random moments and resume it: the output must have the bytes of one that nobody killed.

python benchmarks/resume.py [--kills 10] [--times 40] [--seed 0] [--endings .nc .zarr] [--memory]

A small region and the toy prior of the tests, two denoising steps. The first process is given a moment of the day as its clock
shows it, which the whole run is given too; those that resume have later ones. ``--memory`` instead compares the peak memory of 10 and of
--times times, and the cost of keeping what is finished.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.commands.conftest import Model, toy_prior
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
    """Both formats, or the memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--endings", nargs="+", default=(".nc", ".zarr"))
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zssd-resume-") as name:
        folder = Path(name)
        save_prior(folder / "toy.safetensors", toy_prior(load_static().sha256))
        if options.memory:
            compare_memory(folder, options.times)
            return
        Model(folder)("in.nc", ("psl", "uas"), hours=[6.0 * k for k in range(options.times)])
        rng = random.Random(options.seed)
        same = [killed(folder, f"out{ending}", options.kills, rng) for ending in options.endings]
    sys.exit(0 if all(same) else 1)


def start(folder: Path, source: Path, output: str, moment: int, *options: str) -> subprocess.Popen:
    """A downscaling in a process of its own; its messages go to a file beside it."""
    command = [
        sys.executable, "-c", CHILD, str(moment), "downscale", source, "-o", output, "--weights", "toy.safetensors",
        "--region", "0,10,40,50", "--steps", "2", "--members", "2", "--device", "cpu", "--resume", *options,
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (folder / "log.txt").open("a") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)


def killed(folder: Path, output: str, kills: int, rng: random.Random) -> bool:
    """Kill and resume; True where the bytes are those of the whole run."""
    for name in ("whole", "killed"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "toy.safetensors").unlink(missing_ok=True)
        (folder / name / "toy.safetensors").symlink_to(folder / "toy.safetensors")
    began = time.monotonic()
    process = start(folder / "whole", folder / "in.nc", output, BEGIN)
    if process.wait() != 0:
        sys.exit((folder / "whole" / "log.txt").read_text())
    taken = time.monotonic() - began
    there, parts = folder / "killed" / output, folder / "killed" / f"{output}.parts"
    print(f"{output}: whole in {taken:.1f} s", flush=True)
    count = resumed = 0
    while count < kills:
        moment = BEGIN if not parts.exists() else BEGIN + 3600 * (count + 1)
        process = start(folder / "killed", folder / "in.nc", output, moment)
        begun, pause = time.monotonic(), rng.uniform(0.3, 1.0) * taken
        try:
            process.wait(pause)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            count += 1
            kept = len(list(parts.glob("[!.]*.safetensors")))
            half = [p.name for p in (folder / "killed").glob(".*")]
            print(
                f"  kill {count:>2} after {pause:5.2f} s: {kept} parts, output there: {there.exists()}, {half}",
                flush=True,
            )
        else:
            resumed, taken = resumed + 1, min(taken, time.monotonic() - begun)
            if process.returncode != 0:
                sys.exit((folder / "killed" / "log.txt").read_text())
            if digest(there) != digest(folder / "whole" / output):
                print("  NOT the bytes of the whole run")
                return False
            remove(there)
    if start(folder / "killed", folder / "in.nc", output, BEGIN if not parts.exists() else 1).wait() != 0:
        sys.exit((folder / "killed" / "log.txt").read_text())
    first, second = digest(folder / "whole" / output), digest(there)
    print(f"  {count} kills, finished {resumed + 1} times: sha256 {second[:16]}, whole {first[:16]}: {first == second}")
    return first == second


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


def compare_memory(folder: Path, times: int) -> None:
    """Peak memory by length, for both formats."""
    for count in (10, times):
        source = Model(folder)(f"in{count}.nc", ("psl", "uas"), hours=[6.0 * k for k in range(count)])
        for ending in (".nc", ".zarr"):
            began = time.monotonic()
            process = start(folder, source, f"out{count}{ending}", BEGIN, "--members", "1")
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                sys.exit((folder / "log.txt").read_text())
            size = sum(f.stat().st_size for f in folder.rglob("*") if f"out{count}{ending}" in str(f) and f.is_file())
            print(
                f"{count:>5} times {ending:>5}: peak {usage.ru_maxrss / 1024:.0f} MB, {time.monotonic() - began:.1f} s, "
                f"{size / 1e6:.1f} MB written",
                flush=True,
            )


if __name__ == "__main__":
    main()
