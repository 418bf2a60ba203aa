"""What a series of files covers: per variable the files and times it has, those it lacks, and the gaps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import cftime
import numpy as np

from zssd_cli.errors import InputError
from zssd_cli.series.reading import Source
from zssd_cli.series.timeline import is_unknown
from zssd_cli.times import format_time

_REGULAR = 0.75
"""Share of the steps that must be equal before a longer one counts as a gap."""


@dataclass(frozen=True)
class Coverage:
    """One variable of a source.

    Attributes
    ----------
    variable
        Canonical name.
    files
        How many hold it.
    times
        Its dates, sorted.
    lacking
        Dates that another variable has and this one has not, sorted, and the file of the other.
    gaps
        Dates that a regular series would have in between, every one of every gap.
    step
        The usual step, None where there is none.
    """

    variable: str
    files: int
    times: tuple[cftime.datetime, ...]
    lacking: dict[cftime.datetime, Path]
    gaps: tuple[cftime.datetime, ...]
    step: timedelta | None


def coverage(source: Source) -> tuple[Coverage, ...]:
    """A row for every variable that was asked for, in that order of the found ones, then those that no file holds."""
    held = {name: source.held(name) for name in source.variables}
    every: dict[cftime.datetime, Path] = {}
    for dates in held.values():
        every = dates | every
    rows = []
    for name in (*source.variables, *source.missing):
        dates = held.get(name, {})
        lacking = {date: every[date] for date in sorted(every.keys() - dates.keys())}
        times = tuple(dates)
        gaps, step = _gaps(times)
        rows.append(Coverage(name, len(set(dates.values())), times, lacking, gaps, step))
    return tuple(rows)


def _gaps(times: Sequence[cftime.datetime]) -> tuple[tuple[cftime.datetime, ...], timedelta | None]:
    """Dates that are absent between the first and the last of a regular series, and its step."""
    if len(times) < 3:
        return (), None
    seconds = np.array([(b - a).total_seconds() for a, b in zip(times[:-1], times[1:], strict=True)])
    usual = float(np.median(seconds))
    if np.isclose(seconds, usual).mean() < _REGULAR:
        return (), None
    step = timedelta(seconds=usual)
    gaps = []
    for start, length in zip(times[:-1], seconds, strict=True):
        gaps += [start + k * step for k in range(1, round(length / usual))]
    return tuple(gaps), step


def spans(dates: Iterable[cftime.datetime], step: timedelta | None, most: int = 3) -> str:
    """Dates in words: runs of regular dates as first..last (count), the first ``most`` of them."""
    runs: list[list[cftime.datetime]] = []
    for date in dates:
        if runs and step is not None and date - runs[-1][-1] == step:
            runs[-1].append(date)
        else:
            runs.append([date])
    words = [short(run[0]) + (f"..{short(run[-1])} ({len(run)})" if len(run) > 1 else "") for run in runs[:most]]
    return ", ".join(words) + (f" and {len(runs) - most} more" if len(runs) > most else "")


def short(date: cftime.datetime) -> str:
    """ISO text to the minute; ``no time`` where the file has none."""
    return "no time" if is_unknown(date) else format_time(date)[:16]


def refuse_lacking(rows: Sequence[Coverage]) -> None:
    """Raise :class:`InputError` where a variable lacks times that another one has."""
    for row in rows:
        if row.lacking and row.times:
            step = next((other.step for other in rows if other.step is not None), None)
            other = next(iter(row.lacking.values()))
            msg = (
                f"{row.variable} is absent at {len(row.lacking)} of {len(row.lacking) + len(row.times)} times: "
                f"{spans(row.lacking, step)}, for which {other} holds others. "
                "Add its files, or pass --allow-missing to leave these times out."
            )
            raise InputError(msg)


def check_first_fields(source: Source) -> None:
    """Read the first field of every variable of every file: units, values and holes are known before a long run.

    Raises
    ------
    InputError
        A field is not plausible or not whole; file and time are named.
    """
    for name in source.variables:
        seen: set[Path] = set()
        for date, path in source.held(name).items():
            if path not in seen:
                seen.add(path)
                whole_field(source, name, date)


def whole_field(source: Source, name: str, date: cftime.datetime) -> np.ndarray:
    """A field without missing values, (lat, lon); errors name file, variable and time."""
    try:
        values = source.field(name, date)
    except InputError as error:
        text = str(error)
        when = format_time(date)
        msg = text if when in text or is_unknown(date) else f"{text.rstrip('.')} (first seen at {when})."
        raise InputError(msg) from error
    holes = int(np.isnan(values).sum())
    if holes:
        msg = (
            f"{source.file(name, date)}: {name} at {format_time(date)} has {holes} missing values; "
            "training needs whole fields. Leave that time out, and start the training anew without it."
        )
        raise InputError(msg)
    return values
