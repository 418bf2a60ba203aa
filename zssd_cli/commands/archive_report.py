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
from zssd_cli.timing import duration

_MOST = 3
"""Outputs of a data set that the table names before it counts."""


@dataclass(frozen=True)
class Outcome:
    """What became of one output, or of a data set that gave none.

    Attributes
    ----------
    dataset, files
        What it was made of.
    status
        ``written``, ``whole`` (it was there), ``planned`` (a dry run), ``failed``, ``left out`` or ``not begun``.
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
    """A row for every data set, and counts."""
    rows = Table("data set", "files", "times", "result", box=box.SIMPLE, pad_edge=False)
    rows.columns[0].overflow = rows.columns[3].overflow = "fold"
    for name in dict.fromkeys(outcome.dataset for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.dataset == name]
        files = {path for outcome in mine for path in outcome.files}
        rows.add_row(name, str(len(files)), str(sum(o.times for o in mine) or ""), "\n".join(_results(mine)))
    console.print(rows)
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    more = f"; {len(left)} files left out" if len(left) else ""
    say(console, f"Result     {told}{more}; in {duration(seconds)}")


def _results(outcomes: list[Outcome]) -> list[str]:
    lines = []
    for status in dict.fromkeys(outcome.status for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.status == status]
        told = [f"{o.output.name if o.output else ''} {o.error}".strip() for o in mine]
        lines.append(f"{status}: {told[0]}" if told[0] else status)
        lines += told[1:_MOST] + ([f"and {len(told) - _MOST} more"] if len(told) > _MOST else [])
    return lines
