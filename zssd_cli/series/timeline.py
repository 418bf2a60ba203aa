"""One sorted axis of dates over many files in any calendar, and how far apart its steps are."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import timedelta

import cftime
import numpy as np

from zssd_cli.errors import InputError, OutsideRange
from zssd_cli.times import format_time, parse_partial, seconds_apart

_REAL_WORLD = {"standard", "gregorian", "proleptic_gregorian"}
_SPACINGS = ((1 / 24, "1hr"), (3 / 24, "3hr"), (6 / 24, "6hr"), (12 / 24, "12hr"), (1.0, "day"))

_REGULAR = 0.75
"""Share of the steps that must be equal before a longer one counts as a gap."""

UNKNOWN_TIME = cftime.DatetimeGregorian(1, 1, 1)
"""Stands for the time of a field that has none."""


def is_unknown(date: cftime.datetime) -> bool:
    """True for :data:`UNKNOWN_TIME`, also under another name of the real calendar; dates of other calendars are known."""
    # dates of different calendars do not compare, so their parts do
    return date.calendar in _REAL_WORLD and date.timetuple()[:6] == UNKNOWN_TIME.timetuple()[:6]


def common_calendar(calendars: dict[str, str]) -> str:
    """The calendar of all files, given per file; real-world calendars go together.

    Raises
    ------
    InputError
        The files have calendars that cannot be put on one axis.
    """
    distinct = list(dict.fromkeys(calendars.values()))
    if len(distinct) > 1 and not set(distinct) <= _REAL_WORLD:
        files = [next(path for path, name in calendars.items() if name == calendar) for calendar in distinct[:2]]
        msg = f"{files[0]} has the calendar {distinct[0]} but {files[1]} has {distinct[1]}; give files of one calendar."
        raise InputError(msg)
    return distinct[0]


def to_calendar(dates: tuple[cftime.datetime, ...], calendar: str) -> tuple[cftime.datetime, ...]:
    """The same dates labelled with another real-world calendar, so that they compare."""
    if not dates or (dates[0].calendar == calendar and not dates[0].has_year_zero ^ _year_zero(calendar)):
        return dates
    zero = _year_zero(calendar)
    if any(date.year <= 0 for date in dates):
        return dates
    return tuple(
        cftime.datetime(d.year, d.month, d.day, d.hour, d.minute, d.second, calendar=calendar, has_year_zero=zero)
        for d in dates
    )


def _year_zero(calendar: str) -> bool:
    return cftime.datetime(1, 1, 1, calendar=calendar).has_year_zero


def in_range(dates: tuple[cftime.datetime, ...], time_range: tuple[str | None, str | None]) -> np.ndarray:
    """Positions of the (sorted) dates within an inclusive range of partial ISO dates.

    Raises
    ------
    ConfigError
        A bound is no date of the calendar.
    OutsideRange
        No date lies in the range.
    """
    first, last = time_range
    begin, end = 0, len(dates)
    like = {"calendar": dates[0].calendar, "has_year_zero": dates[0].has_year_zero}
    if first is not None:
        begin = bisect_left(dates, parse_partial(first, **like))
    if last is not None:
        end = bisect_right(dates, parse_partial(last, **like, end=True))
    if begin >= end:
        asked = f"{first or 'the beginning'} to {last or 'the end'}"
        span = f"{format_time(dates[0])} to {format_time(dates[-1])}"
        msg = f"No time step lies in the range {asked}: the files run from {span}; choose another range."
        raise OutsideRange(msg)
    return np.arange(begin, end)


def spacing_name(dates: tuple[cftime.datetime, ...]) -> str | None:
    """CMIP6 frequency (1hr, 3hr, 6hr, 12hr, day, mon, yr) from the median spacing of sorted dates, else None."""
    if len(dates) < 2:
        return None
    usual = float(np.median(seconds_apart(dates))) / 86400
    for length, name in _SPACINGS:
        if abs(usual - length) < 0.02 * length:
            return name
    if 27.5 <= usual <= 31.5:
        return "mon"
    return "yr" if 359.5 <= usual <= 366.5 else None


def gaps_and_step(times: Sequence[cftime.datetime]) -> tuple[tuple[cftime.datetime, ...], timedelta | None]:
    """Dates that are absent between the first and the last of a regular series, and its step."""
    if len(times) < 3:
        return (), None
    seconds = seconds_apart(times)
    usual = float(np.median(seconds))
    if np.isclose(seconds, usual).mean() < _REGULAR:
        return (), None
    step = timedelta(seconds=usual)
    gaps = []
    for place in np.flatnonzero(np.rint(seconds / usual) > 1).tolist():
        gaps += [times[place] + k * step for k in range(1, round(seconds[place] / usual))]
    return tuple(gaps), step


def usual_step(times: Sequence[cftime.datetime]) -> timedelta | None:
    """The step of a regular series, None of another."""
    return gaps_and_step(times)[1]


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
