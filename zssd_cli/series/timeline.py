"""Times of files: decoding in any calendar, one sorted axis over many files, and how far apart its steps are."""

import re
from datetime import timedelta

import cftime
import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.times import format_time, parse_partial

_SINCE = re.compile(r"\bsince\b", re.IGNORECASE)
_REAL_WORLD = {"standard", "gregorian", "proleptic_gregorian"}
_SAME = {"365_day": "noleap", "366_day": "all_leap", "gregorian": "standard"}
_SPACINGS = ((1 / 24, "1hr"), (3 / 24, "3hr"), (6 / 24, "6hr"), (12 / 24, "12hr"), (1.0, "day"))

UNKNOWN_TIME = cftime.DatetimeGregorian(1, 1, 1)
"""Stands for the time of a field that has none."""


def is_unknown(date: cftime.datetime) -> bool:
    """True for :data:`UNKNOWN_TIME`, also under another name of the real calendar; dates of other calendars are known."""
    # dates of different calendars do not compare, so their parts do
    return date.calendar in _REAL_WORLD and date.timetuple()[:6] == UNKNOWN_TIME.timetuple()[:6]


def find_time(array: xr.DataArray) -> xr.DataArray | None:
    """The time coordinate of an array: along one of its dimensions or scalar; None where there is none.

    The time at which a forecast is valid comes before the time at which it began.
    """
    candidates = [c for name, c in array.coords.items() if _is_time(str(name), c)]
    candidates.sort(key=lambda c: (c.ndim == 0, _rank(c), str(c.name)))
    return candidates[0] if candidates else None


def _rank(coordinate: xr.DataArray) -> int:
    """Valid times first, reference times of forecasts last."""
    if str(coordinate.name).lower() == "valid_time":
        return 0
    return {"time": 1, "forecast_reference_time": 3}.get(str(coordinate.attrs.get("standard_name")), 2)


def _is_time(name: str, coordinate: xr.DataArray) -> bool:
    attributes = coordinate.attrs
    if attributes.get("standard_name") == "forecast_period":
        return False
    return (
        attributes.get("standard_name") == "time"
        or _SINCE.search(str(attributes.get("units", ""))) is not None
        or name.lower() in ("time", "valid_time")
        or attributes.get("axis") == "T"
    )


def calendar_name(attributes: dict) -> str:
    """The calendar that a time coordinate's attributes give, one lower-case name per calendar; ``standard`` if none."""
    name = str(attributes.get("calendar", "standard")).strip().lower() or "standard"
    return _SAME.get(name, name)


def decode(coordinate: xr.DataArray) -> tuple[cftime.datetime, ...]:
    """Dates of a time coordinate, rounded to the second.

    Raises
    ------
    InputError
        Units or calendar that cannot be decoded, missing values, more than one dimension, no values.
    """
    name, units = coordinate.name, str(coordinate.attrs.get("units", ""))
    if coordinate.ndim > 1 or coordinate.size == 0:
        fault = "is empty" if coordinate.size == 0 else f"has {coordinate.ndim} dimensions, expected 1"
        msg = f"time coordinate {name!r} {fault}; give a file with a plain time axis."
        raise InputError(msg)
    values = np.atleast_1d(coordinate.values)
    if (
        values.dtype.kind not in "fiu"
        or not np.isfinite(values).all()
        or np.abs(values.astype(np.float64)).max() > 1e19
    ):
        msg = (
            f"time coordinate {name!r} holds missing or non-numeric values; repair it, for instance with cdo settaxis."
        )
        raise InputError(msg)
    calendar = calendar_name(coordinate.attrs)
    try:
        dates = cftime.num2date(
            values, units, calendar, only_use_cftime_datetimes=True, only_use_python_datetimes=False
        )
    except Exception as error:
        msg = (
            f"time units {units!r} with calendar {calendar!r} cannot be decoded, expected '<unit> since <date>'; "
            "repair them, for instance with cdo settaxis."
        )
        raise InputError(msg) from error
    return tuple(_to_second(date) for date in np.atleast_1d(dates))


def _to_second(date: cftime.datetime) -> cftime.datetime:
    if date.microsecond == 0:
        return date
    rounded = date + timedelta(microseconds=500_000)
    return rounded - timedelta(microseconds=rounded.microsecond)


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
    InputError
        No date lies in the range.
    """
    first, last = time_range
    keep = np.ones(len(dates), dtype=bool)
    like = {"calendar": dates[0].calendar, "has_year_zero": dates[0].has_year_zero}
    if first is not None:
        begin = parse_partial(first, **like)
        keep &= np.array([date >= begin for date in dates])
    if last is not None:
        end = parse_partial(last, **like, end=True)
        keep &= np.array([date <= end for date in dates])
    if not keep.any():
        asked = f"{first or 'the beginning'} to {last or 'the end'}"
        span = f"{format_time(dates[0])} to {format_time(dates[-1])}"
        msg = f"No time step lies in the range {asked}: the files run from {span}; choose another range."
        raise InputError(msg)
    return np.flatnonzero(keep)


def spacing_name(dates: tuple[cftime.datetime, ...]) -> str | None:
    """CMIP6 frequency (1hr, 3hr, 6hr, 12hr, day, mon, yr) from the median spacing of sorted dates, else None."""
    if len(dates) < 2:
        return None
    days = [(later - earlier).total_seconds() / 86400 for earlier, later in zip(dates[:-1], dates[1:], strict=True)]
    usual = float(np.median(days))
    for length, name in _SPACINGS:
        if abs(usual - length) < 0.02 * length:
            return name
    if 27.5 <= usual <= 31.5:
        return "mon"
    return "yr" if 359.5 <= usual <= 366.5 else None
