"""Kill a tiny training with SIGKILL at random moments: it must resume each time, and no file may ever be unreadable.

python benchmarks/kill9.py [--kills 10] [--steps 400] [--seed 0]

The training saves its state after every few steps, so that many kills fall into the writing of a file.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from tests.worlds import write_world
from zssd_cli.grids.latlon import Region
from zssd_cli.prior.checkpoint import load_prior, read_safetensors

SETTINGS = """
network: {channels: [8, 16], blocks: 1, embedding: 16, token: 8, attention_from: 1}
patch: 16
batch: 2
warmup: 2
checkpoint_minutes: 0.0005
"""


def main() -> None:
    """Train, kill, resume; compare with a training that nobody killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="zssd-kill9-") as name:
        folder = Path(name)
        write_world(folder / "era5.nc", Region(-6, 0, 44, 50), times=3)
        (folder / "tiny.yaml").write_text(f"{SETTINGS}steps: {options.steps}\n")
        killed, state = folder / "killed.safetensors", folder / "killed.safetensors.state"
        done = kills = 0
        print(f"{'kill':>4} {'after':>7} {'step of the state':>18}  left half written")
        while kills < options.kills:
            process = start(folder, killed)
            wait_for_progress(process, state, done)
            pause = rng.uniform(0, 2.0)
            time.sleep(pause)
            if process.poll() is not None:
                sys.exit(f"the training ended with {process.returncode} before kill {kills + 1}; ask for more --steps")
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            done = check(state)
            left = len(list(folder.glob(".*.part")))
            print(f"{kills:>4} {pause:>6.2f}s {done:>18}  {left}", flush=True)
        for output in (killed, folder / "whole.safetensors"):
            if start(folder, output).wait() != 0:
                sys.exit(f"the training of {output.name} failed")
            load_prior(output)
        first, second = (read_safetensors(path)[0] for path in (killed, folder / "whole.safetensors"))
        equal = first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
        left = len(list(folder.glob(".*.part")))
        print(f"{kills} kills, every state readable, every resumption went on; {left} half-written files left")
        print(
            f"the prior is {'bit for bit that of an unbroken training' if equal else 'NOT that of an unbroken training'}"
        )
        sys.exit(0 if equal and not left else 1)


def start(folder: Path, output: Path) -> subprocess.Popen:
    """The training in a process of its own; its messages go to a file beside it."""
    command = [
        sys.executable,
        "-m",
        "zssd_cli",
        "train",
        "era5.nc",
        "--config",
        "tiny.yaml",
        "-o",
        output.name,
        "--resume",
    ]
    with (folder / "log.txt").open("a") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def wait_for_progress(process: subprocess.Popen, state: Path, done: int) -> None:
    """Until the state has been written anew: the resumed training works."""
    before = state.stat().st_mtime_ns if state.exists() else 0
    begin = time.monotonic()
    while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
        time.sleep(0.02)
        if time.monotonic() - begin > 300:
            sys.exit(f"no progress beyond step {done} within 300 s")


def check(state: Path) -> int:
    """Read every file that a resumed training would read; its step."""
    tensors, meta = read_safetensors(state)
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        sys.exit(f"{state} holds values that are not finite")
    return int(meta["step"])


if __name__ == "__main__":
    main()
