"""Over which time fields are averaged, from all that files say about it: attributes, times, bounds, methods, GRIB keys.

A field of a moment and a mean that carry the same time stamp are different things. What a file says may be stale (attributes
survive averaging), so the evidence is compared and a contradiction is told, never resolved.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import cftime
import numpy as np
import xarray as xr

from zssd_cli.series.timeline import spacing_name
from zssd_cli.times import seconds_apart

HOURS = {"1hr": 1.0, "3hr": 3.0, "6hr": 6.0, "12hr": 12.0, "day": 24.0, "mon": 730.0, "yr": 8760.0}
_EVEN = 1.4
"""Longest over shortest step of dekads (8 to 11 days)."""
DAILY = "daily means"
"""Kind of a series of them."""
DAY = 20.0
"""Hours from which on a mean has lost the weather of a moment."""
_SAID = re.compile(r"(?<!sub)(?P<number>\d+)?\s*-?(?P<unit>hr|hour|h\b|day|dai|mon|yr|year|ann|dec)", re.IGNORECASE)
_UNITS = {
    "hr": 1.0, "hou": 1.0, "hour": 1.0, "h": 1.0, "day": 24.0, "dai": 24.0, "mon": 730.0, "yr": 8760.0, "year": 8760.0, "ann": 8760.0,
    "dec": 87600.0,
}  # fmt: skip
_CLIMATOLOGY = re.compile(r"(monC|hrCM|Clim)", re.IGNORECASE)
_METHOD = re.compile(r"((?:\w+\s*:\s*)+)(\w+)")
_CYCLE = re.compile(r"\b(within|over) (days|years)\b", re.IGNORECASE)
_ISO = re.compile(r"^P(?:(?P<date>\d+)(?P<dunit>[YMWD])|T(?P<time>\d+)H)$")
_ISO_HOURS = {"Y": 8760.0, "M": 730.0, "W": 168.0, "D": 24.0}
_CESM = re.compile(r"^(hour|day|month|year)_(\d+)$")
_RUNNING = re.compile(r"\b(\d+)[ -]?(hour|day|month)s?[ -](running |moving )?(mean|average)", re.IGNORECASE)
_TABLE_IN_NAME = re.compile(
    r"^[A-Za-z0-9]+_(?P<table>[A-Za-z]*mon|[A-Za-z]?\d+hr\w*|[A-Za-z]*day|AER\w+|CF\w+)_[\w-]+_[\w-]+_r\d+i\d+p\d+"
)
"""Names of CMIP5 and CMIP6: variable_table_model_experiment_member."""
_TITLED = re.compile(r"\b(daily|monthly|annual|yearly)[ -](mean|average)", re.IGNORECASE)
_TITLES = {"daily": 24.0, "monthly": 730.0, "annual": 8760.0, "yearly": 8760.0}
_CDO = re.compile(r"(?<![\w.])(?:y?(day|mon|year))(?:mean|avg)\b")
_MONTHLY_STREAMS = {"moda", "mnth", "msda", "mdfa", "edmo", "edmm", "ewmo", "ewmm", "wamo", "wamd", "swmm", "smma"}
_HISTORY_TAPES = ("CAM", "EAM")
"""Models that write cell_methods for means and none for moments, with bounds on every tape."""
_MOMENT = "point"
_MEANS = {"mean", "sum"}
_WORDS = {24.0: "daily", 730.0: "monthly", 8760.0: "yearly"}


@dataclass(frozen=True)
class Evidence:
    """What one file says about one variable.

    Attributes
    ----------
    declared
        Hours of the interval -> the words that say so.
    moment, mean
        Words that say that fields are of a moment, or means; "" where nothing does.
    width
        Hours between the bounds of a time, the median; None without bounds.
    """

    declared: Mapping[float, str] = field(default_factory=dict)
    moment: str = ""
    mean: str = ""
    width: float | None = None


@dataclass(frozen=True)
class Interval:
    """Of one variable of a series.

    Attributes
    ----------
    name
        CMIP6 frequency: 1hr, 3hr, 6hr, 12hr, day, mon, yr; None where nothing tells.
    hours
        Length of the averaging interval; 0 for moments, None where nothing tells.
    evidence
        What it was taken from.
    doubt
        A contradiction in the evidence, "" where there is none.
    told
        Whether more than the spacing of the times tells.
    step
        Hours between times that are evenly spaced.
    """

    name: str | None
    hours: float | None
    evidence: tuple[str, ...]
    doubt: str = ""
    told: bool = True
    step: float | None = None

    @property
    def is_mean(self) -> bool:
        """True where the weather of a moment is lost: means over a day or more."""
        return self.hours is not None and self.hours >= DAY

    @property
    def kind(self) -> str:
        """Of means, in words: 6-hourly, daily, monthly, 5-day."""
        hours = self.hours or 0.0
        for length, words in _WORDS.items():
            if abs(hours / length - 1) < 0.1:
                return words
        return f"{hours:.3g}-hour" if hours < DAY else f"{hours / 24:.3g}-day"

    @property
    def said(self) -> str:
        """The evidence in words."""
        return ", ".join(self.evidence)


def evidence_of(
    header: Mapping[str, object], array: xr.DataArray, file: str, time: str, bounds: np.ndarray | None
) -> Evidence:
    """What a file says.

    Parameters
    ----------
    header
        Global attributes.
    array
        The variable.
    file
        Name of the file; CMIP6 names hold the table.
    time
        Name of the time coordinate.
    bounds
        Hours from the first to the second bound of every time, (n,); None without bounds.
    """
    declared, moment = _by_attributes(header, file)
    words, mean = _by_words(header, array)
    declared = {**words, **declared}
    stream, step = (str(array.attrs.get(key, "")) for key in ("GRIB_stream", "GRIB_stepType"))
    if stream in _MONTHLY_STREAMS:
        declared, mean = {730.0: f"GRIB stream {stream}", **declared}, f"GRIB stream {stream}"
    if step == "instant" and not mean:
        moment = moment or "GRIB stepType instant"
    elif step.startswith("avg"):
        mean = f"GRIB stepType {step}"
    method = time_method(array, time)
    if method == _MOMENT:
        moment = f"cell_methods time: {method}"
    elif method in _MEANS:
        mean = f"cell_methods time: {method}"
    if not (method or moment or mean) and _text(header, "source") in _HISTORY_TAPES:
        moment = f"no cell_methods in a history file of {_text(header, 'source')}"
    width = None if bounds is None or bounds.size == 0 else float(np.median(np.abs(bounds)))
    if width == 0 and not mean:
        moment = moment or "time bounds of no length"
    elif width and not moment:
        mean = mean or f"time bounds {_shown(width)} apart"
    return Evidence(declared, moment, mean, width or None)


def _by_attributes(header: Mapping[str, object], file: str) -> tuple[dict[float, str], str]:
    """Hours that attributes made for it declare, or the table in a CMIP6 file's name; and words that say moment."""
    table = _text(header, "table_id").removeprefix("Table ").split(" ")[0]
    in_name = _TABLE_IN_NAME.match(file)
    declared: dict[float, str] = {}
    moment = ""
    for what, text in (
        ("frequency", _text(header, "frequency")),
        ("table_id", table),
        ("time_coverage_resolution", _text(header, "time_coverage_resolution")),
        ("time_period_freq", _text(header, "time_period_freq")),
        ("the file name's table", in_name["table"] if in_name and not table else ""),
    ):
        hours = said_hours(text)
        if hours is not None:
            declared.setdefault(hours, f"{what} {text}")
            moment = moment or (f"{what} {text}" if text.endswith("Pt") else "")
    return declared, moment


def _by_words(header: Mapping[str, object], array: xr.DataArray) -> tuple[dict[float, str], str]:
    """Hours of means that titles, long names, histories and cell methods speak of; and the words that say mean."""
    declared: dict[float, str] = {}
    mean = ""
    for what, text in (("title", _text(header, "title")), ("long_name", str(array.attrs.get("long_name", "")))):
        if titled := _TITLED.search(text):
            declared.setdefault(_TITLES[titled[1].lower()], f"{what} {titled[0]!r}")
        elif running := _RUNNING.search(text):
            mean = f"{what} {running[0]!r}"
            declared.setdefault(float(running[1]) * _UNITS[running[2].lower()[:3]], mean)
    if averaged := _CDO.search(_text(header, "history")):
        mean = f"history {averaged[0]!r}"
        declared.setdefault(_UNITS[averaged[1]], mean)
    if _CYCLE.search(str(array.attrs.get("cell_methods", ""))):
        declared.setdefault(730.0, "cell_methods of a cycle within or over days or years")
    return declared, mean


def said_hours(text: str) -> float | None:
    """Hours of a CMIP6 frequency, table, ISO duration or a word such as ``daily`` (6hrPlevPt: 6), None where it tells none."""
    if iso := _ISO.match(text):
        return float(iso["time"]) if iso["time"] else float(iso["date"]) * _ISO_HOURS[iso["dunit"]]
    if cesm := _CESM.match(text):
        return float(cesm[2]) * _UNITS[cesm[1][:3] if cesm[1] == "month" else cesm[1]]
    if _CLIMATOLOGY.search(text):
        return 730.0
    match = _SAID.search(text)
    if match is None:
        return None
    return float(match["number"] or 1) * _UNITS[match["unit"].lower()]


def time_method(array: xr.DataArray, time: str) -> str:
    """The method along time in ``cell_methods`` (mean, point, maximum ...), the last one; "" where there is none."""
    found = ""
    for match in _METHOD.finditer(str(array.attrs.get("cell_methods", ""))):
        names = {name.strip() for name in match[1].split(":")}
        if names & {"time", "t", time}:
            found = match[2].lower()
    return found


def interval_of(parts: Sequence[Evidence], dates: tuple[cftime.datetime, ...]) -> Interval:
    """The interval of a variable.

    Parameters
    ----------
    parts
        What each of its files says.
    dates
        All its dates, sorted.
    """
    found = _combined(parts)
    spacing, day_step = spacing_name(dates), _days_apart(dates)
    step = HOURS.get(spacing or "", day_step)
    words = [*found.declared.values(), *filter(None, dict.fromkeys((found.moment, found.mean)))]
    if step is not None:
        words.append(f"times {_shown(step)} apart")
    hours = _length(found, step)
    name = _name(next(iter(found.declared), None)) or spacing
    told = bool(found.declared or found.moment or found.mean or found.width)
    return Interval(name, hours, tuple(dict.fromkeys(words)), _contradiction(found, dates, step), told, step)


def _length(found: Evidence, step: float | None) -> float | None:
    """Hours of the interval, 0 for moments, None where nothing tells."""
    if found.moment:
        return 0.0
    if found.width:
        return found.width
    said = max(found.declared, default=None)
    if said is not None and (found.mean or said >= DAY):
        return said
    return step if found.mean or (step or 0) >= DAY else None


def _contradiction(found: Evidence, dates: Sequence[cftime.datetime], step: float | None) -> str:
    """What does not go together, in words; "" where all does."""
    kinds = {_class(said): words for said, words in found.declared.items()}
    if len(kinds) > 1:
        return _against(*list(kinds.values())[:2])
    said, words = next(iter(found.declared.items()), (None, ""))
    if found.moment and found.mean:
        return _against(found.moment, found.mean)
    if said is not None and found.width and not found.moment and _class(found.width) != _class(said):
        return _against(words, f"time bounds {_shown(found.width)} apart")
    if found.moment and found.width and found.width >= DAY:
        return _against(found.moment, f"time bounds {_shown(found.width)} apart")
    if said is not None and step is not None and _class(step) != _class(said):
        apart = f"times {_shown(step)} apart"
        if step < said:
            return _against(words, apart)
        if not found.moment and not (found.width and found.width < DAY):
            return _against(words, apart + (f" and {found.mean}" if found.mean else ""))
    if found.width and step and found.width >= DAY and step < 0.5 * found.width and not found.moment:
        return _against(f"time bounds {_shown(found.width)} apart", f"times {_shown(step)} apart")
    if not found.moment and not found.width and _first_days(dates):
        return (
            f"all {len(dates)} dates lie on one day of each of {len({(d.year, d.month) for d in dates})} months, "
            "the layout of monthly means by hour of day"
        )
    return ""


def _against(first: str, second: str) -> str:
    return f"{first} contradicts {second}"


def _class(hours: float) -> int:
    """0 within a day, 1 days, 2 months, 3 years."""
    return int(np.searchsorted([DAY, 24.0 * 26, 24.0 * 350], hours))


def _combined(parts: Iterable[Evidence]) -> Evidence:
    """Of all files of a variable: any word counts."""
    whole = Evidence()
    for part in parts:
        whole = replace(
            whole,
            declared={**part.declared, **whole.declared},
            moment=whole.moment or part.moment,
            mean=whole.mean or part.mean,
            width=max(filter(None, (whole.width, part.width)), default=None),
        )
    return whole


def _first_days(dates: Sequence[cftime.datetime]) -> bool:
    """Several hours of one and the same day (or the last) of several months, as archives of monthly means by hour of day stamp them."""
    months = {(date.year, date.month) for date in dates}
    same = len({date.day for date in dates}) == 1 or all((date + timedelta(days=1)).day == 1 for date in dates)
    return len(months) > 1 and same and len(dates) > len(months)


def _days_apart(dates: tuple[cftime.datetime, ...]) -> float | None:
    """Hours between times that are whole days apart and nearly evenly: pentads, dekads, weeks, seasons; None for others."""
    if len(dates) < 3:
        return None
    hours = seconds_apart(dates) / 3600
    even = hours.min() >= DAY and hours.max() <= _EVEN * hours.min()
    return float(np.median(hours)) if even else None


def _name(hours: float | None) -> str | None:
    return next((name for name, length in HOURS.items() if hours is not None and abs(hours / length - 1) < 0.05), None)


def _shown(hours: float) -> str:
    if hours < 48:
        return f"{hours:.3g} h"
    return (
        "a month"
        if 24 * 27 < hours < 24 * 32
        else "a year"
        if 24 * 359 < hours < 24 * 367
        else f"{hours / 24:.3g} days"
    )


def _text(attributes: Mapping[str, object], name: str) -> str:
    return str(attributes.get(name, "")).strip()
