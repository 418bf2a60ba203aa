"""What ``zssd train`` shows and logs: the table of the data, progress, JSON lines, and the estimate of ``--dry-run``."""

import json
import math
import resource
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from zssd_cli.commands.shared import Page
from zssd_cli.config import TrainConfig
from zssd_cli.errors import OutputError
from zssd_cli.series.coverage import Coverage, short, spans
from zssd_cli.times import now_utc
from zssd_cli.timing import amount, timed
from zssd_cli.training import loop as training
from zssd_cli.training.batches import Batches
from zssd_cli.training.loop import Trainer

MEASURED = 5
"""Steps that ``--dry-run`` times, after one that warms up."""


def data_table(origins: Sequence[tuple[str, Sequence[Coverage]]]) -> Table:
    """What each origin of the data holds and lacks, a row per variable."""
    table = Table("data", "variable", "files", "times", "first, last", "every", title="Training data", box=box.SIMPLE)
    table.add_column("absent", overflow="fold")
    for origin, rows in origins:
        usual = next((row.step for row in rows if row.step is not None), None)
        for row in rows:
            ends = " ".join(dict.fromkeys(short(time) for time in (*row.times[:1], *row.times[-1:])))
            every = f"{row.step.total_seconds() / 3600:g} h" if row.step else ""
            absent = [] if row.times else ["everything"]
            if row.lacking and row.times:
                absent.append(f"{len(row.lacking)} that others have: {spans(row.lacking, usual)}")
            if row.gaps:
                absent.append(f"{len(row.gaps)} in between: {spans(row.gaps, row.step)}")
            words = "; ".join(absent) or "nothing"
            table.add_row(origin, row.variable, str(row.files), str(len(row.times)), ends, every, words)
    return table


def report_console(quiet: bool) -> Console:
    """Standard error; wide where nobody watches, so that a job's log holds whole lines."""
    console = Page(stderr=True, quiet=quiet)
    return console if console.is_terminal else Page(stderr=True, quiet=quiet, width=150)


def progress_bar(console: Console, *, rate: bool = True) -> Progress:
    """Steps, loss, patches per second unless ``rate`` is false, and the time left."""
    columns = [TextColumn("Step"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.4f}")]
    columns += [TextColumn("{task.fields[rate]:.1f} patches/s")] if rate else []
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console)


class TrainingLog:
    """JSON lines: means over the steps since the last line.

    Parameters
    ----------
    path
        File; what it holds up to ``step`` is kept, so that the lines of a resumed training follow each other.
    step
        Where the training starts.
    every
        Steps between two lines.
    """

    def __init__(self, path: Path, step: int, every: int) -> None:
        self._path, self._every = path, every
        self._clear()
        kept = [line for line in self._lines() if step and _step_of(line) <= step]
        self._write("".join(kept), "w")

    def _clear(self) -> None:
        self._losses: list[float] = []
        self._seconds = 0.0
        self._patches = 0
        self._pending: training.StepReport | None = None
        self._by_variable: defaultdict[str, list[float]] = defaultdict(list)

    def _lines(self) -> list[str]:
        return (
            self._path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            if self._path.exists()
            else []
        )

    def add(self, now: training.StepReport, trainer: Trainer) -> None:
        """Take in one step."""
        self._losses.append(now.last)
        self._patches += trainer.config.batch
        self._seconds += trainer.config.batch / now.rate
        for name, value in trainer.losses.items():
            self._by_variable[name].append(value)
        if now.step % self._every == 0 or now.validation:
            self._flush(now, trainer)
        else:
            self._pending = now

    def close(self, trainer: Trainer) -> None:
        """Write what has come since the last line."""
        if self._pending is not None:
            self._flush(self._pending, trainer)

    def _flush(self, now: training.StepReport, trainer: Trainer) -> None:
        line: dict[str, Any] = {
            "step": now.step,
            "loss": _mean(self._losses),
            "losses": {name: _mean(values) for name, values in self._by_variable.items()},
            "learning_rate": trainer.optimiser.param_groups[0]["lr"],
            "patches_per_second": self._patches / self._seconds,
            "time": now_utc(),
        }
        if now.validation:
            line["held_out"] = now.validation
        self._write(json.dumps(line) + "\n", "a")
        self._clear()

    def _write(self, text: str, mode: str) -> None:
        try:
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            msg = f"The log {self._path} cannot be written: {error.strerror}. Free some space, or name another with --log."
            raise OutputError(msg) from error


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _step_of(line: str) -> float:
    """Step of a line of the log, infinity where it was torn."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def estimate(console: Console, trainer: Trainer, batches: Batches) -> None:
    """Say how large the training is, how long it takes by a few measured steps, and what it needs; writes nothing."""
    # the processes step together: all of them as often
    step = timed(lambda: trainer.train_step(batches), MEASURED, math.inf)
    fastest, usual = (trainer.world.largest(int(1e6 * taken)) / 1e6 for taken in (step.fastest, step.usual))
    config, count = trainer.config, sum(p.numel() for p in trainer.denoiser.parameters())
    device = trainer.world.device
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _resident()
    patches = amount(config.steps * config.batch)
    rows = {
        "Parameters": f"{amount(count)}; the state takes {16 * count / 1e6:.1f} MB",
        "Patches": f"{config.steps} steps of {config.batch} = {patches} of {config.patch} x {config.patch} {_cells(config)}",
        "Memory": f"{peak / 2**30:.1f} GiB at its peak in these steps, on {device}",
        "Time": f"{_span(fastest * config.steps)} to {_span(usual * config.steps)}: {fastest:.3f} s a step, "
        f"{config.batch / fastest:.1f} patches/s (the fastest of {step.count} measured, as if idle; the median is {usual:.3f} s)",
    }
    for name, text in rows.items():
        console.print(f"{name:<10} {text}", highlight=False, soft_wrap=True)
    console.print("Nothing was written: --dry-run.", highlight=False)


def _cells(config: TrainConfig) -> str:
    return "cells" if config.coarse == 1 else f"means of {config.coarse} x {config.coarse} cells"


def _resident() -> int:
    """Largest resident memory of this process in bytes; macOS counts bytes, Linux kibibytes."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
