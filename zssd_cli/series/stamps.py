"""The dates of one file: which coordinate tells when a field is valid, in which units, and over which bounds."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta

import cftime
import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.times import format_time

_SINCE = re.compile(r"\bsince\b", re.IGNORECASE)
_SAME = {"365_day": "noleap", "366_day": "all_leap", "gregorian": "standard"}
_SECONDS = {
    "nanosecond": 1e-9, "nanosec": 1e-9, "ns": 1e-9, "nsec": 1e-9, "microsecond": 1e-6, "us": 1e-6, "microsec": 1e-6,
    "millisecond": 1e-3, "ms": 1e-3, "msec": 1e-3, "millisec": 1e-3, "second": 1.0, "sec": 1.0, "s": 1.0,
    "minute": 60.0, "min": 60.0, "hour": 3600.0, "hr": 3600.0, "h": 3600.0, "day": 86400.0, "d": 86400.0, "week": 604800.0,
}  # fmt: skip
_LEADS = {
    "prediction_timedelta", "lead_time", "leadtime", "lead", "step", "forecast_period", "forecast_hour", "fhr", "fhour",
    "lead_hours", "forecast_lead_time",
}  # fmt: skip
_STARTS = re.compile(
    r"\b(init|initial|initiali[sz]ation|reference|forecast start|issued?|base|run|analysis|cycle)\b", re.IGNORECASE
)
_LEADING = re.compile(r"\b(lead ?time|forecast (hour|period|lead|step)|hours? since init)", re.IGNORECASE)
_ZONE = re.compile(r"\d\s*(?!UTC$|GMT$|Z$|utc$|gmt$|z$)(?:[A-Za-z]{2,5}|[+-]\d:\d\d|(?<=:\d\d\s)[+-]\d{1,2})$")
"""Zones that cftime passes over in silence."""
_LONGEST_LEAD = 400 * 86400.0
ROUNDED_WITHIN = 5.0
"""Seconds within which a time is taken for the full minute next to it: files store fractions of days with few digits."""
_MOST = 0.7
"""Share of the times at one end of their bounds that makes it their place."""
_WHOLE = (3600, 1800, 900, 600, 300, 60)
_MISSING = np.iinfo(np.int64).min
"""What xarray writes for a date that is not there."""


@dataclass(frozen=True, eq=False)
class Stamps:
    """When the fields of an array are valid.

    Attributes
    ----------
    dim
        The array's dimension along which they lie; None for a single time.
    dates
        In the file's order.
    calendar
        Its CF name.
    bounds
        First and last date of the interval of every time; None where the file gives none.
    notes
        What was not as it should be, a line each.
    moved
        The dates are the middles of the bounds, not what the file says.
    """

    dim: str | None
    dates: tuple[cftime.datetime, ...]
    calendar: str
    bounds: tuple[tuple[cftime.datetime, cftime.datetime], ...] | None = None
    notes: tuple[str, ...] = ()
    moved: bool = False

    @property
    def widths(self) -> np.ndarray | None:
        """Hours between the bounds of every time."""
        if self.bounds is None:
            return None
        return np.array([(high - low).total_seconds() / 3600 for low, high in self.bounds])


def find_time(array: xr.DataArray) -> xr.DataArray | None:
    """The time coordinate of an array, along one of its dimensions or scalar; None where there is none.

    The time at which a forecast is valid comes before the time at which it began. Dimensions of one step are dropped.
    """
    candidates = [_squeezed(c) for name, c in array.coords.items() if _is_time(str(name), c)]
    candidates.sort(key=lambda c: (_rank(c), c.ndim == 0, str(c.name)))
    return candidates[0] if candidates else None


def _squeezed(coordinate: xr.DataArray) -> xr.DataArray:
    single = {d: 0 for d in coordinate.dims if coordinate.sizes[d] == 1}
    return coordinate.isel(single) if coordinate.ndim > 1 and single else coordinate


def _rank(coordinate: xr.DataArray) -> int:
    """Valid times first, times at which forecasts began last."""
    name, standard = str(coordinate.name).lower(), str(coordinate.attrs.get("standard_name", ""))
    if name == "valid_time":
        return 0
    if standard == "forecast_reference_time" or (_is_start_name(name) and standard != "time"):
        return 4
    return 1 if standard == "time" else 2 if name == "time" else 3


def _is_start_name(name: str) -> bool:
    return _STARTS.search(name.lower().replace("_", " ")) is not None


def _is_time(name: str, coordinate: xr.DataArray) -> bool:
    attributes = coordinate.attrs
    if _is_lead(name, coordinate):
        return False
    return (
        attributes.get("standard_name") == "time"
        or _SINCE.search(str(attributes.get("units", ""))) is not None
        or name.lower() in ("time", "valid_time")
        or attributes.get("axis") == "T"
    )


def _is_lead(name: str, coordinate: xr.DataArray) -> bool:
    units = str(coordinate.attrs.get("units", ""))
    if _SINCE.search(units):
        return False
    said = _LEADING.search(str(coordinate.attrs.get("long_name", ""))) is not None and _unit(units) in _SECONDS
    return said or coordinate.attrs.get("standard_name") == "forecast_period" or name.lower() in _LEADS


def stamps(dataset: xr.Dataset, array: xr.DataArray) -> Stamps | None:
    """When the fields of an array of a dataset are stamped, lead times added; None where no coordinate tells.

    Raises
    ------
    InputError
        Units or calendar that cannot be decoded, missing values, two dimensions, dates that are those of initialisation.
    """
    time = find_time(array)
    if time is None:
        return None
    dim = str(time.dims[0]) if time.ndim == 1 else None
    dates, notes = _decoded(time)
    valid, more = _valid(dataset, array, time, dates)
    bounds = _bounds(dataset, time) if valid == dates else None  # those of a forecast's beginning are not the field's
    return Stamps(dim, valid, calendar_name(time.attrs), bounds, (*notes, *more))


def centred(stamped: Stamps) -> Stamps:
    """Means that are stamped at an end of their bounds dated at the middle, with a note."""
    if stamped.bounds is None:
        return stamped
    dates, notes = _centred(stamped.dates, stamped.bounds)
    return replace(stamped, dates=dates, notes=(*stamped.notes, *notes), moved=bool(notes))


def calendar_name(attributes: dict) -> str:
    """The calendar that a time coordinate's attributes give, one lower-case name per calendar; ``standard`` if none."""
    name = str(attributes.get("calendar", "standard")).strip().lower() or "standard"
    return _SAME.get(name, name)


def decode(coordinate: xr.DataArray) -> tuple[cftime.datetime, ...]:
    """Dates of a time coordinate, (n,) or scalar, rounded to the second or, where they lie next to one, to the full minute.

    Raises
    ------
    InputError
        Units or calendar that cannot be decoded, missing values, more than one dimension, no values.
    """
    return _decoded(coordinate)[0]


def _decoded(coordinate: xr.DataArray) -> tuple[tuple[cftime.datetime, ...], tuple[str, ...]]:
    name = coordinate.name
    if coordinate.ndim > 1 or coordinate.size == 0:
        fault = "is empty" if coordinate.size == 0 else f"has {coordinate.ndim} dimensions, expected 1"
        msg = f"time coordinate {name!r} {fault}; give a file with a plain time axis."
        raise InputError(msg)
    values = np.atleast_1d(coordinate.values)
    _check_numbers(name, values)
    dates = _numbers_to_dates(values, coordinate.attrs)
    unit = _SECONDS.get(_unit(str(coordinate.attrs.get("units", ""))), 1.0)
    step = float(np.spacing(np.abs(values).max())) * unit if values.dtype.kind == "f" else 0.0
    dates, quantum = _rounded(tuple(_to_second(date) for date in dates), max(step, ROUNDED_WITHIN))
    if step > ROUNDED_WITHIN and quantum:
        return dates, (
            f"{name} is stored with a resolution of {step:.0f} s; times are rounded to {quantum // 60} minutes",
        )
    return dates, ()


def _check_numbers(name: object, values: np.ndarray) -> None:
    bad = values.dtype.kind not in "fiu" or not np.isfinite(values).all()
    if (
        bad
        or np.abs(values.astype(np.float64)).max() > 1e19
        or (values.dtype == np.int64 and (values == _MISSING).any())
    ):
        msg = (
            f"time coordinate {name!r} holds missing or non-numeric values; repair it, for instance with cdo settaxis."
        )
        raise InputError(msg)


def _numbers_to_dates(values: np.ndarray, attributes: dict) -> tuple[cftime.datetime, ...]:
    units, calendar = str(attributes.get("units", "")), calendar_name(attributes)
    _, since, start = units.partition(" since ")
    if _ZONE.search(start):
        msg = f"time units {units!r} name a time zone that cannot be read, expected UTC; give the date in UTC, or the zone as +06:00."
        raise InputError(msg)
    known = _unit(units)
    if since and _SECONDS.get(known, 1.0) < 1e-6:  # cftime knows no nanoseconds
        values, units = values // 1000 if values.dtype.kind in "iu" else values / 1000, f"microseconds since {start}"
    elif since and known == "week":
        values, units = values * 7, f"days since {start}"
    try:
        dates = cftime.num2date(
            values, units, calendar, only_use_cftime_datetimes=True, only_use_python_datetimes=False
        )
    except Exception as error:
        msg = (
            f"time units {attributes.get('units', '')!r} with calendar {calendar!r} cannot be decoded, "
            "expected '<unit> since <date>'; repair them, for instance with cdo settaxis."
        )
        raise InputError(msg) from error
    return tuple(np.atleast_1d(dates))


def _unit(units: str) -> str:
    """The unit of ``hours since 1900-01-01`` or of ``hours``, in the singular."""
    word = units.strip().lower().split(" ")[0]
    return word if word in _SECONDS else word.removesuffix("s")


def _to_second(date: cftime.datetime) -> cftime.datetime:
    if date.microsecond == 0:
        return date
    rounded = date + timedelta(microseconds=500_000)
    return rounded - timedelta(microseconds=rounded.microsecond)


def _rounded(dates: tuple[cftime.datetime, ...], within: float) -> tuple[tuple[cftime.datetime, ...], int]:
    """Dates on the longest full interval that all of them lie next to, and its seconds; as they are, 0, where there is none."""
    seconds = np.array([date.hour * 3600 + date.minute * 60 + date.second for date in dates])
    for quantum in _WHOLE:
        shift = (seconds + quantum // 2) % quantum - quantum // 2
        if within < quantum / 4 and np.abs(shift).max() <= within:
            if not shift.any():
                return dates, 0
            moved = tuple(date - timedelta(seconds=int(s)) for date, s in zip(dates, shift, strict=True))
            return (moved, quantum) if len(set(moved)) == len(set(dates)) else (dates, 0)
    return dates, 0


def _valid(
    dataset: xr.Dataset, array: xr.DataArray, time: xr.DataArray, dates: tuple[cftime.datetime, ...]
) -> tuple[tuple[cftime.datetime, ...], tuple[str, ...]]:
    """Dates at which the fields are valid: the lead time is added where the dates are those of initialisation."""
    if str(time.name).lower() == "valid_time":
        return dates, ()
    standard, words = str(time.attrs.get("standard_name", "")), f"{time.name} {time.attrs.get('long_name', '')}"
    begins = standard == "forecast_reference_time" or _is_start_name(words)
    lead = _lead(dataset, array, time)
    seconds = 0.0 if lead is None else _lead_seconds(lead)
    if lead is None and begins:
        said = f"{time.name} calls itself a time of initialisation and no lead time stands beside it"
        return dates, (f"{said}: the fields are taken as those of that time",)
    if lead is None or seconds == 0:
        return dates, ()
    said = f"{seconds / 3600:g} h of {lead.name}"
    start = next((c for n, c in array.coords.items() if n != time.name and _is_start(str(n), c)), None)
    if start is not None and not begins and not _equal(start, dates):
        return dates, ()
    if not begins and start is None and str(lead.name).lower() == "forecast_period" and lead.name not in array.dims:
        msg = (
            f"{time.name} may be the time of initialisation or of validity: {said} stand beside it and no "
            "forecast_reference_time; name the time valid_time, or remove the lead time with ncks -C -x -v."
        )
        raise InputError(msg)
    valid = tuple(_to_second(date + timedelta(seconds=seconds)) for date in dates)
    note = f"{time.name} is taken as the time of initialisation: {said} are added, {format_time(valid[0])} is the first"
    return valid, (note,)


def _lead(dataset: xr.Dataset, array: xr.DataArray, time: xr.DataArray) -> xr.DataArray | None:
    """The one lead time of an array, also where the file does not name it among the coordinates; None for one along time."""
    known = {**{str(n): c for n, c in array.coords.items()}, **{str(n): dataset[n] for n in dataset.data_vars}}
    for name, candidate in known.items():
        if name in (str(time.name), str(array.name)) or candidate.size != 1 or not _is_lead(name, candidate):
            continue
        if not (candidate.ndim == 1 and candidate.dims == time.dims):
            return candidate
    return None


def _equal(start: xr.DataArray, dates: tuple[cftime.datetime, ...]) -> bool:
    """Whether a reference time is the same as the dates."""
    try:
        begun = _decoded(_squeezed(start))[0]
    except InputError:
        return False
    return len(begun) in (1, len(dates)) and all(
        format_time(a) == format_time(b) for a, b in zip(begun, dates, strict=False)
    )


def _is_start(name: str, coordinate: xr.DataArray) -> bool:
    """The time at which a forecast began, beside the time at which it is valid."""
    if not _SINCE.search(str(coordinate.attrs.get("units", ""))):
        return False
    standard = str(coordinate.attrs.get("standard_name", ""))
    return standard == "forecast_reference_time" or _is_start_name(name)


def _lead_seconds(lead: xr.DataArray) -> float:
    value, units = np.asarray(lead.values).reshape(()), str(lead.attrs.get("units", ""))
    scale = _SECONDS.get(_unit(units))
    if value.dtype.kind == "m":
        seconds = float(value / np.timedelta64(1, "s"))
    elif value.dtype.kind not in "fiu" or not np.isfinite(value) or scale is None:
        msg = (
            f"lead time {lead.name!r} has the units {units!r}, expected hours, days or the like; set them with ncatted."
        )
        raise InputError(msg)
    else:
        seconds = float(value) * scale
    if not 0 <= seconds <= _LONGEST_LEAD:
        msg = (
            f"lead time {lead.name!r} is {seconds / 86400:g} days, expected 0 to {_LONGEST_LEAD / 86400:g}; correct it."
        )
        raise InputError(msg)
    return seconds


def _bounds(dataset: xr.Dataset, time: xr.DataArray) -> tuple[tuple[cftime.datetime, cftime.datetime], ...] | None:
    """The time bounds of a file; None where it has none that can be read."""
    attributes = {**time.encoding, **time.attrs}
    names = [attributes.get("bounds"), attributes.get("climatology"), f"{time.name}_bnds", f"{time.name}_bounds"]
    found = [dataset[n] for n in names if n in dataset.variables and dataset[n].shape[-1:] == (2,)]
    if not found or found[0].ndim != time.ndim + 1:
        return None
    array, name = found[0], found[0].name
    units = str(array.attrs.get("units", "")) or str(time.attrs.get("units", ""))
    attributes = {**time.attrs, "units": units if _SINCE.search(units) else str(time.attrs.get("units", ""))}
    values = np.asarray(array.values).reshape(-1, 2)
    try:
        _check_numbers(name, values)
        dates = _numbers_to_dates(values.ravel(), attributes)
    except InputError:
        return None
    pairs = [(_to_second(a), _to_second(b)) for a, b in zip(dates[::2], dates[1::2], strict=True)]
    return tuple((min(pair), max(pair)) for pair in pairs)


def _centred(
    dates: tuple[cftime.datetime, ...], bounds: tuple[tuple[cftime.datetime, cftime.datetime], ...]
) -> tuple[tuple[cftime.datetime, ...], tuple[str, ...]]:
    """Dates in the middle of their bounds where most lie at the same end of them; a first record may have bounds of no length."""
    wide = [k for k, (low, high) in enumerate(bounds) if low < high]
    if len(dates) != len(bounds) or not wide:
        return dates, ()
    for place, end in (("end", 1), ("beginning", 0)):
        at_end = [k for k in wide if dates[k] == bounds[k][end]]
        if len(at_end) >= _MOST * len(wide):
            middle = tuple(_to_second(low + (high - low) / 2) for low, high in bounds)
            k = at_end[0]
            first = (
                f"{format_time(dates[k])} is the {place} of {format_time(bounds[k][0])} to {format_time(bounds[k][1])}"
            )
            return middle, (f"times are the {place}s of averaging intervals ({first}); fields are dated at the middle",)
    return dates, ()
