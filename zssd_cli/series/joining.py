"""From the pieces of many files to one series per variable: whatever does not fit together is an error of one line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cftime
import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.series.blocks import Blocks
from zssd_cli.series.doubts import Watch
from zssd_cli.series.finding import Found
from zssd_cli.series.interval import DAY, Interval, interval_of
from zssd_cli.series.layout import Layout, describe, same_place
from zssd_cli.series.leaving import LeftOut
from zssd_cli.series.listing import Listed
from zssd_cli.series.pieces import Piece, find_piece
from zssd_cli.series.timeline import to_calendar
from zssd_cli.times import format_time, order, seconds_apart
from zssd_cli.variables import Variable


@dataclass(frozen=True, eq=False)
class VariableSeries:
    """One variable over all files: its pieces and, per date in order, the piece and the position in it."""

    pieces: tuple[Piece, ...]
    places: dict[cftime.datetime, tuple[int, int]]

    def check(self, date: cftime.datetime) -> None:
        """Raise :class:`InputError` where the field of a date is not plausible."""
        piece, position = self.places[date]
        self.pieces[piece].check(position)

    def read(self, dates: Sequence[cftime.datetime], store: Callable[[slice, np.ndarray], None]) -> None:
        """Read dates file by file and hand each run of fields to ``store(slice of dates, fields)``."""
        places = [self.places[date] for date in dates]
        first = 0
        for last in range(1, len(places) + 1):
            if last == len(places) or places[last][0] != places[first][0]:
                piece = self.pieces[places[first][0]]
                store(slice(first, last), piece.read([position for _, position in places[first:last]]))
                first = last

    @property
    def variable(self) -> Variable:
        """What it is a series of."""
        return self.pieces[0].variable

    @property
    def layout(self) -> Layout:
        """The cells of its files, which all have the same."""
        return self.pieces[0].layout

    @property
    def files(self) -> str:
        """Its first file and the number of the others."""
        more = len({piece.path for piece in self.pieces}) - 1
        return self.pieces[0].path.name + (f" and {more} more" if more else "")

    def bounds(self, dates: Sequence[cftime.datetime]) -> tuple[tuple[cftime.datetime, cftime.datetime], ...] | None:
        """Averaging intervals of dates; None where a file gives none or fields are of moments."""
        found = []
        for date in dates:
            piece, position = self.places[date]
            bounds = self.pieces[piece].stamps.bounds
            if bounds is None or self.interval.hours == 0:
                return None
            found.append(bounds[position])
        return tuple(found)

    @cached_property
    def interval(self) -> Interval:
        """Over which time its fields are averaged."""
        return interval_of([piece.evidence for piece in self.pieces], tuple(self.places))


def collect(
    opened: Mapping[Path, tuple[xr.Dataset, ...]],
    wanted: tuple[Variable, ...],
    watch: Watch,
    left: LeftOut,
    *,
    allow_no_time: bool,
) -> tuple[list[Piece], list[str]]:
    """Every wanted variable in every file, and notes; listed files without any are added to ``left``.

    Raises
    ------
    InputError
        None is there, or one is there and cannot be used.
    """
    pieces: list[Piece] = []
    notes: list[str] = []
    remarks: list[tuple[Path, Variable, Found]] = []
    for path, several in opened.items():
        before = len(pieces)
        for variable in wanted:
            results = [find_piece(dataset, path, variable, watch, allow_no_time=allow_no_time) for dataset in several]
            found = [result for result in results if isinstance(result, Piece)]
            pieces.extend(found[:1])
            remarks.extend((path, variable, r) for r in results if not isinstance(r, Piece) and r.remark and not found)
        if len(pieces) == before and isinstance(path, Listed):
            left.other.append(path)
        elif len(pieces) == before and len(opened) > 1:
            notes.append(f"{path.name} holds none of the variables and is not used")
    present = {piece.variable for piece in pieces}
    _refuse_unguiding(remarks, present)
    said = [f"{v.name} not found in {path.name}: {found.remark}" for path, v, found in remarks if v not in present]
    if not pieces:
        raise InputError(_nothing(opened, wanted, said))
    return pieces, [*notes, *_gathered(pieces), *said]


def _refuse_unguiding(remarks: list[tuple[Path, Variable, Found]], present: set[Variable]) -> None:
    """A speed under the name of a component is used as what it is, or it is an error."""
    for path, variable, found in remarks:
        if found.speed and not any(one.standard_name == "wind_speed" for one in present):
            msg = f"{path}: {found.remark}, expected {variable.long_name.lower()} as its name says; rename it to sfcWind, or leave it out."
            raise InputError(msg)


def _nothing(opened: Mapping[Path, tuple[xr.Dataset, ...]], wanted: tuple[Variable, ...], said: list[str]) -> str:
    names = dict.fromkeys(name for several in opened.values() for dataset in several for name in shown_names(dataset))
    asked = ", ".join(f"{v.name} ({v.cmip6})" if v.name != v.cmip6 else v.name for v in wanted)
    held = ", ".join(list(names)[:12]) + (", ..." if len(names) > 12 else "")
    why = f"; {said[0]}" if said else ""
    first = next(iter(opened))
    what = first if len(opened) == 1 else f"{first} and {len(opened) - 1} more"
    return f"{what}: none of {asked} found, it holds {held or 'no fields'}{why}; choose other files or variables."


def _gathered(pieces: list[Piece]) -> list[str]:
    """The notes of all pieces, each once with the files it is about."""
    about: dict[str, dict[str, None]] = {}
    for piece in pieces:
        for note in piece.notes:
            about.setdefault(note, {})[piece.path.name] = None
    return [f"{next(iter(n))}{f' and {len(n) - 1} more' if len(n) > 1 else ''}: {note}" for note, n in about.items()]


def shown_names(dataset: xr.Dataset) -> list[str]:
    """Names of arrays that could be fields, for messages."""
    bounds = {str(v.attrs.get("bounds")) for v in dataset.variables.values()}
    names = [str(name) for name, array in dataset.data_vars.items() if array.ndim > 1 and str(name) not in bounds]
    return [name for name in names if not name.endswith(("_bnds", "_bounds"))]


def join(pieces: list[Piece], variable: Variable, calendar: str, notes: list[str]) -> VariableSeries:
    """The dates of one variable over its files.

    Raises
    ------
    InputError
        Files on other cells than the first, dates that occur twice.
    """
    blocks = Blocks()
    mine = [replace(piece, blocks=blocks) for piece in pieces if piece.variable == variable]
    places: dict[cftime.datetime, tuple[int, int]] = {}
    for number, piece in enumerate(mine):
        if not same_place(mine[0].layout, piece.layout):
            raise InputError(_elsewhere(mine[0], piece))
        dates = to_calendar(piece.times, calendar)
        if (seconds_apart(dates) < 0).any():
            notes.append(f"{piece.path.name}: the time axis is not in order and was sorted")
        for position, date in enumerate(dates):
            if date in places:
                raise InputError(_twice(mine[places[date][0]], piece, date))
            places[date] = (number, position)
    return VariableSeries(tuple(mine), {date: places[date] for date in sorted(places, key=order)})


def _twice(first: Piece, other: Piece, date: cftime.datetime) -> str:
    same = first.path == other.path
    where = f"twice in {other.path}" if same else f"in both {first.path} and {other.path}"
    conflict = first.origin.conflict(other.origin)
    remedy = (
        f"they are of {conflict}: give files of one, or let zssd downscale -o FOLDER/ make an output of each."
        if conflict
        else "give each time once, for instance merged with cdo -O mergetime --skip_same_time."
    )
    return f"{other.variable.name} at {format_time(date)} is {where}; {remedy}"


def _elsewhere(first: Piece, other: Piece) -> str:
    return (
        f"{other.path}: {other.variable.name} is on another grid ({describe(other.layout)}) than "
        f"{first.variable.name} of {first.path.name} ({describe(first.layout)}); "
        "bring them to one grid, for instance with cdo remapcon."
    )


def common_layout(series: Sequence[VariableSeries]) -> Layout:
    """The cells that all variables share; raises :class:`InputError` where one has others."""
    first = series[0]
    for other in series[1:]:
        if not same_place(first.layout, other.layout):
            raise InputError(_elsewhere(first.pieces[0], other.pieces[0]))
    return first.layout


def refuse_other_intervals(series: Sequence[VariableSeries]) -> None:
    """Raise :class:`InputError` where one variable is a mean over a day or more and another is not, or over another time."""
    first = series[0]
    for other in series[1:]:
        a, b = first.interval, other.interval
        known = all(interval.told or not interval.is_mean for interval in (a, b))
        if known and (a.is_mean or b.is_mean) and not (a.is_mean and b.is_mean and a.kind == b.kind):
            msg = (
                f"{first.variable.name} of {first.files} is {_kind(a)} but {other.variable.name} of {other.files} is {_kind(b)}: "
                "a common time stamp does not make them fields of one time; give files of one frequency."
            )
            raise InputError(msg)


def _kind(interval: Interval) -> str:
    if interval.is_mean:
        return f"a {interval.kind} mean ({interval.said})"
    said = f" ({interval.said})" if interval.evidence else ""
    return f"no mean over a day or more{said}"


def averaging(series: Sequence[VariableSeries]) -> tuple[str | None, list[str]]:
    """Why the fields are not of moments, None where they are; and notes on shorter means."""
    why: str | None = None
    notes = []
    for one in series:
        name, interval = one.variable.name, one.interval
        if interval.doubt:
            why = why or f"fields of {name} of which the file does not tell whether they are means: {interval.doubt}"
        elif interval.is_mean:
            why = why or f"{interval.kind} means of {name} ({interval.said})"
        elif interval.hours == 0 and (interval.step or 0) >= DAY:
            notes.append(f"{name}: taken as moments a day or more apart ({interval.said})")
        elif interval.hours is not None and interval.hours > 1:
            notes.append(
                f"{name} is a mean over {interval.hours:g} hours ({interval.said}), smoother than the weather of a moment"
            )
        elif interval.hours is None and any(piece.evidence.mean for piece in one.pieces):
            notes.append(f"{name} is a mean over an unknown time ({interval.said})")
    return why, notes
