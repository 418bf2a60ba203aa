"""What a series of files covers: per variable the files and times it has, those it lacks, and the gaps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import cftime
import numpy as np

from zssd_cli.errors import BadField, EmptyField, InputError, MissingValues
from zssd_cli.series.protocol import FieldSource
from zssd_cli.series.timeline import gaps_and_step, is_unknown, short, spans, usual_step
from zssd_cli.times import format_time, order

__all__ = [
    "Coverage", "Faults", "check_first_fields", "coverage", "faults", "refuse_lacking", "short", "spans", "usual_step", "whole_field",
]  # fmt: skip


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


def coverage(source: FieldSource) -> tuple[Coverage, ...]:
    """A row for every variable that was asked for, in that order of the found ones, then those that no file holds."""
    held = {name: dict(source.held(name)) for name in source.variables}
    every: dict[cftime.datetime, Path] = {}
    for dates in held.values():
        every = dates | every
    if any(len(dates) < len(every) for dates in held.values()):
        every = {date: every[date] for date in sorted(every, key=order)}
    rows = []
    for name in (*source.variables, *source.missing):
        dates = held.get(name, {})
        # a date is slow to look up, which is left out where the answer is all or none
        lacking = every if not dates else {}
        if 0 < len(dates) < len(every):
            lacking = {date: path for date, path in every.items() if date not in dates}
        times = tuple(dates)
        gaps, step = gaps_and_step(times)
        rows.append(Coverage(name, len(set(dates.values())), times, lacking, gaps, step))
    return tuple(rows)


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


def check_first_fields(source: FieldSource) -> None:
    """Read a field of every variable of every file: units and values are known before a long run.

    It is the first one of the file; where that is bad, the middle and the last one must be: single bad times are left out.

    Raises
    ------
    InputError
        A file whose fields are not plausible or cannot be read; file and time are named.
    """
    for name in source.variables:
        dates: dict[Path, list[cftime.datetime]] = {}
        for date, path in source.held(name).items():
            dates.setdefault(path, []).append(date)
        for several in dates.values():
            _check_some(source, name, tuple(dict.fromkeys((several[0], several[len(several) // 2], several[-1]))))


def _check_some(source: FieldSource, name: str, dates: Sequence[cftime.datetime]) -> None:
    """Pass with the first good field; else raise what is wrong with the first that has values, if any."""
    bad: list[BadField] = []
    for date in dates:
        try:
            whole_field(source, name, date)
        except BadField as error:
            bad.append(error)
        else:
            return
    refused = [error for error in bad if not isinstance(error, MissingValues)]
    if refused:
        raise refused[0]


def whole_field(source: FieldSource, name: str, date: cftime.datetime) -> np.ndarray:
    """A field without missing values, (lat, lon).

    Raises
    ------
    BadField
        Values that are missing (:class:`MissingValues`) or not plausible; file, variable and time are named.
    InputError
        The file cannot be read.
    """
    try:
        values = source.field(name, date)
    except InputError as error:
        text = str(error)
        when = format_time(date)
        msg = text if when in text or is_unknown(date) else f"{text.rstrip('.')} (first seen at {when})."
        raise type(error)(msg) from error
    holes = int(np.isnan(values).sum())
    if holes:
        msg = (
            f"{source.file(name, date)}: {name} at {format_time(date)} has {holes} missing values; "
            "training needs whole fields."
        )
        raise MissingValues(msg)
    return values


@dataclass(frozen=True)
class Faults:
    """What is wrong with the fields of one variable, by date.

    Attributes
    ----------
    variable
        Canonical name.
    empty, holed
        Dates without a single value, and with some missing.
    refused
        Dates of values that are not plausible, with what is said about them.
    unreadable
        Dates that cannot be read at all, with what is said about them.
    """

    variable: str
    empty: tuple[cftime.datetime, ...]
    holed: tuple[cftime.datetime, ...]
    refused: dict[cftime.datetime, str]
    unreadable: dict[cftime.datetime, str]


def faults(source: FieldSource, name: str, done: Callable[[], object] = lambda: None) -> Faults:
    """Read every field of a variable at the source's times; ``done`` is called after each."""
    empty: list[cftime.datetime] = []
    holed: list[cftime.datetime] = []
    refused: dict[cftime.datetime, str] = {}
    unreadable: dict[cftime.datetime, str] = {}
    for date in source.times:
        try:
            whole_field(source, name, date)
        except EmptyField:
            empty.append(date)
        except MissingValues:
            holed.append(date)
        except BadField as error:
            refused[date] = str(error)
        except InputError as error:
            unreadable[date] = str(error)
        done()
    return Faults(name, tuple(empty), tuple(holed), refused, unreadable)
