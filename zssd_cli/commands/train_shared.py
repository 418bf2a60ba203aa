"""What both kinds of ``zssd train`` share: where they may write, and how a signal stops them."""

import glob
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from zssd_cli.errors import OutputError
from zssd_cli.files import check_target


def state_of(output: Path) -> Path:
    """The state to go on from, beside the prior to write."""
    return output.with_name(output.name + ".state")


def check_name(output: Path) -> None:
    """Refuse names that no prior is looked for under, and folders."""
    if output.suffix != ".safetensors" or output.is_dir():
        got = "a folder" if output.is_dir() else f"{output.suffix!r}"
        msg = f"-o {output}: expected a file with the ending .safetensors, got {got}; name one, such as prior.safetensors."
        raise OutputError(msg)


def check_output(output: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to write over a prior or its state; remove what a killed training left half written."""
    check_target(output, "-o")
    state = state_of(output)
    if output.exists() and not overwrite:
        msg = f"{output} exists. Choose another name with -o, or pass --overwrite."
        raise OutputError(msg)
    if state.exists() and not resume and not overwrite:
        msg = f"{state} holds an earlier training. Pass --resume to go on, or --overwrite to start anew."
        raise OutputError(msg)
    for left in output.parent.glob(f".{glob.escape(output.name)}*.part"):
        left.unlink(missing_ok=True)


@contextmanager
def stop_signals() -> Iterator[Callable[[], int]]:
    """Ctrl-C, SIGTERM and SIGUSR1 (Slurm's warning) ask for a stop after the current step: the signal's number, else 0."""
    asked: list[int] = []
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.signal(name, lambda number, _: asked.append(number)) for name in names]
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)


def leave_stopped(console: Console, step: int, number: int) -> NoReturn:
    """Say how to go on, and leave with 128 plus the signal's number."""
    console.print(f"Stopped    at step {step}; the same command with --resume goes on", soft_wrap=True)
    raise SystemExit(128 + number)
