"""What ``zssd train`` looks for in its files before it trains, and what it says of the times that it leaves out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cftime
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from zssd_cli.commands.shared import bar, say
from zssd_cli.config import TrainConfig
from zssd_cli.errors import InputError, WeightsError
from zssd_cli.prior.checkpoint import load_prior
from zssd_cli.series.coverage import Faults, faults, short, spans, usual_step
from zssd_cli.training.data import Part
from zssd_cli.training.loop import Trainer


@dataclass(frozen=True)
class Checks:
    """What is checked, and whether anything follows.

    Attributes
    ----------
    dry_run
        Check, time a few steps and write nothing.
    allow_missing
        Times that only some variables have are no error.
    thorough
        Read every field.
    """

    dry_run: bool = False
    allow_missing: bool = False
    thorough: bool = False


def refuse_means(named: Mapping[str, Part], *, any_frequency: bool) -> None:
    """Raise :class:`InputError` where files of any origin hold means; ``named`` are the origins."""
    for name, part in named.items():
        why = part.source.averaging
        if why is not None and not any_frequency:
            msg = (
                f"The training files ({name}) hold {why}; a prior has to know fields at one moment, and one "
                "trained on means would draw weather that is too smooth. Use 6-hourly or finer fields, or pass --any-frequency."
            )
            raise InputError(msg)


def read_all(console: Console, named: Mapping[str, Part]) -> None:
    """Read every field of every origin and show what is bad.

    Raises
    ------
    InputError
        More times of an origin are bad than its training may leave out, or some cannot be read.
    """
    found: dict[str, list[Faults]] = {}
    columns = (TextColumn("Fields"), BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
    with bar(console, *columns) as progress:
        task = progress.add_task("", total=sum(len(p.source.times) * len(p.source.variables) for p in named.values()))
        for name, part in named.items():
            found[name] = [faults(part.source, v, lambda: progress.advance(task)) for v in part.source.variables]
    console.print(_table(found, named))
    for rows in found.values():
        for row in rows:
            for texts in (row.refused, row.unreadable):
                for text in list(texts.values())[:3]:
                    say(console, f"note       {text}")
    say_doubts(console, named)
    for name, part in named.items():
        _judge(name, part, found[name])


def say_doubts(console: Console, named: Mapping[str, Part]) -> None:
    """A line for every kind of impossible field among those that were read."""
    for name, part in named.items():
        for doubt in part.source.doubts:
            say(console, f"Doubt      {name}: {doubt}", style="bold yellow")


def _table(found: Mapping[str, Sequence[Faults]], named: Mapping[str, Part]) -> Table:
    table = Table("data", "variable", "times", title="Every field, read", box=box.SIMPLE)
    table.add_column("bad", overflow="fold")
    for name, rows in found.items():
        times = named[name].source.times
        step = usual_step(times)
        for row in rows:
            kinds = {
                "all missing": row.empty,
                "partly missing": row.holed,
                "implausible": tuple(row.refused),
                "unreadable": tuple(row.unreadable),
            }
            words = [f"{len(dates)} {kind}: {spans(dates, step)}" for kind, dates in kinds.items() if dates]
            table.add_row(name, row.variable, str(len(times)), "; ".join(words) or "none")
    return table


def _judge(name: str, part: Part, rows: Sequence[Faults]) -> None:
    """Raise :class:`InputError` where a training would stop."""
    for row in rows:
        for text in row.unreadable.values():
            msg = f"{text.rstrip('.')} ({len(row.unreadable)} fields of {row.variable} cannot be read)."
            raise InputError(msg)
    dates: set[cftime.datetime] = set()
    for row in rows:
        dates |= {*row.empty, *row.holed, *row.refused}
    total = len(part.source.times)
    if len(dates) > part.max_missing * total:
        msg = (
            f"The training files ({name}) have missing or implausible values at {len(dates)} of {total} times, the first "
            f"{short(min(dates))}: more than --max-missing {part.max_missing:g} allows to leave out. "
            "Mend the files, or pass a larger --max-missing."
        )
        raise InputError(msg)


def is_finished(output: Path, config: TrainConfig, start: str | None) -> bool:
    """True where the prior there is what a training with these settings, from the prior with this hash, ends with."""
    try:
        header = load_prior(output).header
        record = header.training if config.coarse == 1 or header.coarse is None else header.coarse.training
        theirs = TrainConfig.model_validate(record["settings"])
    except (WeightsError, KeyError, ValidationError):
        return False
    if record.get("started_from", {}).get("sha256") != start:
        return False
    names = [name for name in TrainConfig.model_fields if name not in Trainer.FREE]
    return record.get("steps") == config.steps and all(getattr(theirs, n) == getattr(config, n) for n in names)


def say_left_out(console: Console, named: Mapping[str, Part]) -> None:
    """A line for every origin of whose times some were left out, as far as they were met."""
    for name, part in named.items():
        words = part.holes.words()
        if words:
            say(console, f"note       {name}: {words}")
    say_doubts(console, named)
