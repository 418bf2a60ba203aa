"""Dates in any CF calendar: calendar-free season and hour, ISO text, and partial dates as bounds of a selection."""

import re
import time
from collections.abc import Iterable
from datetime import timedelta

import cftime
import numpy as np

from zssd_cli.errors import ConfigError

_PARTIAL = re.compile(
    r"(?P<year>\d{1,6})(?:-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2})"
    r"(?:[T ](?P<hour>\d{1,2})(?::(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:\.0*)?)?)?)?)?)?Z?",
)
_FIELDS = ("year", "month", "day", "hour", "minute", "second")
_STEPS = {
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
    "minute": timedelta(minutes=1),
    "second": timedelta(seconds=1),
}


def _first_of_year(year: int, calendar: str, has_year_zero: bool) -> cftime.datetime:
    return cftime.datetime(year, 1, 1, calendar=calendar, has_year_zero=has_year_zero)


def _next_year(year: int, has_year_zero: bool) -> int:
    return 1 if year == -1 and not has_year_zero else year + 1


def year_day_fractions(time: cftime.datetime) -> tuple[float, float]:
    """Calendar-free season and hour.

    Parameters
    ----------
    time
        A date in any CF calendar.

    Returns
    -------
    Fraction of the year and fraction of the day, both in [0, 1): 0 is the first of January, midnight.
    """
    zero = time.has_year_zero
    start = _first_of_year(time.year, time.calendar, zero)
    end = _first_of_year(_next_year(time.year, zero), time.calendar, zero)
    seconds = time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6
    return (time - start) / (end - start), seconds / 86400


def format_time(time: cftime.datetime) -> str:
    """ISO 8601 text, ``2010-02-30T06:00:00``, in the date's own calendar."""
    sign = "-" if time.year < 0 else ""
    date = f"{sign}{abs(time.year):04d}-{time.month:02d}-{time.day:02d}"
    return f"{date}T{time.hour:02d}:{time.minute:02d}:{time.second:02d}"


def parse_partial(text: str, calendar: str, *, end: bool = False, has_year_zero: bool | None = None) -> cftime.datetime:
    """First (or last) second of a partial ISO date in a calendar.

    Parameters
    ----------
    text
        ``2010``, ``2010-01``, ``2010-01-30``, ``2010-01-30T06`` or finer; a trailing Z is ignored.
    calendar
        CF calendar in which the date must exist.
    end
        Give the last second of the year, month, day, hour or minute instead of the first.
    has_year_zero
        As in :class:`cftime.datetime`; None for the calendar's own rule.

    Raises
    ------
    ConfigError
        The text is no date, or no date of this calendar.
    """
    match = _PARTIAL.fullmatch(text.strip())
    if match is None:
        msg = f"Date {text!r}: expected an ISO date such as 2010, 2010-01, 2010-01-30 or 2010-01-30T06:00."
        raise ConfigError(msg)
    given = {name: int(match[name]) for name in _FIELDS if match[name] is not None}
    parts = {"month": 1, "day": 1} | given
    try:
        first = cftime.datetime(**parts, calendar=calendar, has_year_zero=has_year_zero)
    except (ValueError, OverflowError) as error:
        msg = f"Date {text!r} does not exist in the calendar {calendar!r} of the files: give a date that does."
        raise ConfigError(msg) from error
    return _period_end(first, list(given)[-1]) if end else first


def _period_end(first: cftime.datetime, finest: str) -> cftime.datetime:
    """Last second of the year, month, day ... that begins at ``first``."""
    if finest in _STEPS:
        return first + _STEPS[finest] - timedelta(seconds=1)
    year = first.year
    month = first.month + 1 if finest == "month" else 13
    if month > 12:
        year, month = _next_year(year, first.has_year_zero), 1
    following = cftime.datetime(year, month, 1, calendar=first.calendar, has_year_zero=first.has_year_zero)
    return following - timedelta(seconds=1)


def order(date: cftime.datetime) -> int:
    """A number that sorts dates of one calendar as they compare, in a fiftieth of the time."""
    days = (date.year * 12 + date.month - 1) * 31 + date.day - 1
    return ((days * 24 + date.hour) * 3600 + date.minute * 60 + date.second) * 1_000_000 + date.microsecond


def seconds_apart(dates: Iterable[cftime.datetime]) -> np.ndarray:
    """Seconds from each date to the next one, (n - 1,), of dates of one calendar; in a tenth of the time that subtraction takes."""
    days: dict[tuple[int, int, int], int] = {}
    numbers = []
    for date in dates:
        key = (date.year, date.month, date.day)
        day = days.get(key)
        if day is None:
            day = days[key] = date.toordinal()
        numbers.append((day, date.hour * 3600 + date.minute * 60 + date.second, date.microsecond))
    steps = np.diff(np.array(numbers, dtype=np.int64).reshape(-1, 3), axis=0)
    return steps @ np.array([86400.0, 1.0, 1e-6])


def now_utc() -> str:
    """The present moment as histories and logs note it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
