"""What both kinds of ``zssd train`` share: where they may write, and how a signal stops them."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from zssd_cli.commands.shared import check_targets, listed_by
from zssd_cli.errors import ConfigError, OutputError


def given_files(
    inputs: Sequence[str], held_out: Sequence[str] | None
) -> tuple[tuple[str | Path, ...], tuple[str | Path, ...]]:
    """Files to train on and to validate with; the processes of torchrun have one standard input and cannot share a list on it."""
    if "-" in (*inputs, *(held_out or ())) and os.environ.get("WORLD_SIZE", "1") != "1":
        msg = "-: the processes of torchrun cannot share a list on standard input; give a folder or a quoted pattern."
        raise ConfigError(msg)
    train, validation = listed_by({"FILES": inputs, "--held-out": held_out})
    return train, validation


def state_of(output: Path) -> Path:
    """The state to go on from, beside the prior to write."""
    return output.with_name(output.name + ".state")


def check_name(output: Path) -> None:
    """Refuse names that no prior is looked for under, and folders."""
    if output.suffix != ".safetensors" or output.is_dir():
        got = "a folder" if output.is_dir() else f"{output.suffix!r}"
        msg = f"-o {output}: expected a file with the ending .safetensors, got {got}; name one, such as prior.safetensors."
        raise OutputError(msg)


def check_output(
    output: Path, inputs: Callable[[], Iterable[Path]], *, resume: bool, overwrite: bool, log: Path | None = None
) -> None:
    """Refuse to write over a prior, its state or anything that is read; remove what a killed training left half written."""
    state = state_of(output)
    check_targets({"-o": output, "the state of -o": state, "--log": log}, inputs)
    if output.exists() and not overwrite:
        msg = f"{output} exists. Choose another name with -o, or pass --overwrite."
        raise OutputError(msg)
    if state.exists() and not resume and not overwrite:
        msg = f"{state} holds an earlier training. Pass --resume to go on, or --overwrite to start anew."
        raise OutputError(msg)


@contextmanager
def stop_signals() -> Iterator[Callable[[], int]]:
    """Signals that ask for a stop after the current step: the number of the one that came, else 0.

    Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 (Slurm's warning), but for those that are ignored, as SIGHUP is under nohup.
    """
    asked: list[int] = []
    every = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    names = [name for name in every if signal.getsignal(name) != signal.SIG_IGN]
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
