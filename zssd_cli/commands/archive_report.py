"""What became of every data set: lines for scripts as they are done, and the table at the end."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from zssd_cli.commands.shared import say
from zssd_cli.files import disk_errors
from zssd_cli.series.archive import shown
from zssd_cli.series.leaving import LeftOut
from zssd_cli.text import plural
from zssd_cli.timing import duration

_MOST = 20
"""Failures that are told again at the end."""


@dataclass(frozen=True)
class Outcome:
    """What became of one output, or of a data set that gave none.

    Attributes
    ----------
    dataset, files
        What it was made of.
    status
        ``written``, ``whole`` (it was there), ``planned`` (a dry run), ``failed``, ``left out``, ``begun``
        (stopped in its middle, --resume goes on) or ``not begun``.
    output, times, seconds
        The file, its number of times, and how long it took.
    error
        Why it failed or was left out.
    """

    dataset: str
    files: tuple[Path, ...]
    status: str
    output: Path | None = None
    times: int = 0
    seconds: float = 0.0
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dataset": self.dataset,
            "files": [shown(path) for path in self.files],
            "status": self.status,
            "output": None if self.output is None else str(self.output),
            "times": self.times,
            "seconds": self.seconds,
            "error": self.error or None,
        }


class Report:
    """Outcomes, and a JSON line for each in a file, if one is wanted, as soon as it is known."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None
        self.outcomes: list[Outcome] = []

    def __enter__(self) -> "Report":
        """Begin the file anew."""
        if self._path is not None:
            with disk_errors(self._path):
                self._file = self._path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def add(self, outcome: Outcome) -> None:
        """Note an outcome."""
        self.outcomes.append(outcome)
        self._write(outcome)

    def left_out(self, left: LeftOut) -> None:
        """Note every file that was left out."""
        reasons = ((left.other, "holds none of the variables"), (left.outside, "lies outside of the times asked for"))
        for files, why in reasons:
            for path in files:
                self._write(Outcome("", (path,), "left out", error=why))

    def _write(self, outcome: Outcome) -> None:
        if self._file is not None and self._path is not None:
            with disk_errors(self._path):
                self._file.write(json.dumps(outcome.as_dict()) + "\n")
                self._file.flush()


def summary(console: Console, outcomes: list[Outcome], left: LeftOut, seconds: float) -> None:
    """A row for every data set, a line for every failure, and counts."""
    rows = Table("data set", "files", "times", "result", box=box.SIMPLE, pad_edge=False)
    rows.columns[0].overflow = rows.columns[3].overflow = "fold"
    for name in dict.fromkeys(outcome.dataset for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.dataset == name]
        files = {path for outcome in mine for path in outcome.files}
        result = mine[0].status if len(mine) == 1 else _counts(mine)
        rows.add_row(name, str(len(files)), str(sum(o.times for o in mine) or ""), result)
    console.print(rows)
    for status in ("failed", "left out"):
        told = _reasons([outcome for outcome in outcomes if outcome.status == status])
        for line in told[:_MOST]:
            say(console, f"{status.capitalize():10} {line}")
        if len(told) > _MOST:
            say(console, f"           and {len(told) - _MOST} more {status}")
    more = f"; {plural(len(left), 'file')} left out" if len(left) else ""
    say(console, f"Result     {_counts(outcomes)}{more}; in {duration(seconds)}")


def _reasons(outcomes: list[Outcome]) -> list[str]:
    """A line for every reason of a data set: years of one often fail for the same."""
    alike: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        alike.setdefault((outcome.dataset, outcome.error), []).append(outcome)
    return [
        f"{mine[0].output or name}: {error}" if len(mine) == 1 else f"{name}, {len(mine)} outputs: {error}"
        for (name, error), mine in alike.items()
    ]


def _counts(outcomes: list[Outcome]) -> str:
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in counts.items())
