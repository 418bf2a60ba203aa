"""Which outputs a call makes: a data set, or its years, months or input files, each with the files and times it is made of."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import cftime

from zssd_cli.api import open_observed, time_range
from zssd_cli.errors import ConfigError
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.series.archive import Dataset
from zssd_cli.series.reading import Source
from zssd_cli.times import format_time

SPLITS = ("year", "month", "input")


@dataclass(frozen=True)
class Target:
    """One output.

    Attributes
    ----------
    dataset
        Name of the data set that it is made of.
    files
        Those of its files that hold the times.
    times
        First and last time as ``--time`` takes them.
    count
        How many times.
    output
        The file or store.
    """

    dataset: str
    files: tuple[Path, ...]
    times: str
    count: int
    output: Path


def check_split(split: str | None) -> None:
    """Another word than those of SPLITS is a :class:`ConfigError`."""
    if split is not None and split not in SPLITS:
        msg = f"--split: expected {', '.join(SPLITS)}, got {split!r}."
        raise ConfigError(msg)


def targets(
    dataset: Dataset, prior: Prior, settings: dict[str, Any], split: str | None, place: Callable[[str], Path]
) -> tuple[Target, ...]:
    """The outputs of a data set, in the order of their times.

    Parameters
    ----------
    dataset
        Its files; they are opened once, to know their times.
    prior
        It says what is read.
    settings
        ``time`` and ``strict`` of the call.
    split
        One of SPLITS; None: all in one.
    place
        From a period (``2015``, ``201501``, ``201501010000-201512311800``) to the output.

    Raises
    ------
    ZssdError
        The files cannot be read or do not fit together.
    """
    asked = time_range(settings.get("time"))
    with closing(open_observed(dataset.files, prior, asked, strict=bool(settings.get("strict")))) as source:
        return tuple(
            Target(dataset.name, files, f"{format_time(times[0])}/{format_time(times[-1])}", len(times), place(label))
            for label, times, files in _periods(source, dataset.files, split)
        )


def _periods(
    source: Source, files: tuple[Path, ...], split: str | None
) -> Iterator[tuple[str, list[cftime.datetime], tuple[Path, ...]]]:
    """Label, times and files of every period."""

    def holding(date: cftime.datetime) -> tuple[Path, ...]:
        return tuple(source.file(name, date) for name in source.variables)

    keys: dict[str | None, Callable[[cftime.datetime], object]] = {
        None: lambda _: None,
        "year": lambda date: date.year,
        "month": lambda date: (date.year, date.month),
        "input": holding,
    }
    for _, group in groupby(source.times, keys[split]):
        times = list(group)
        used = {path for date in times for path in holding(date)}
        yield label(times[0], times[-1], split), times, tuple(path for path in files if path in used)


def label(first: cftime.datetime, last: cftime.datetime, split: str | None) -> str:
    """A period as CMIP writes it: ``2015``, ``201501``, or first and last time to the minute, one where they are the same."""
    if split in ("year", "month"):
        return _digits(first)[: 4 if split == "year" else 6]
    begin, end = _digits(first), _digits(last)
    return begin if begin == end else f"{begin}-{end}"


def _digits(date: cftime.datetime) -> str:
    return f"{date.year:04d}{date.month:02d}{date.day:02d}{date.hour:02d}{date.minute:02d}"
