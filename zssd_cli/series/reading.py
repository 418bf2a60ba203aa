"""Climate-model output and reanalysis in: many files, one sorted series of fields in canonical units, read lazily.

A wrong number is worse than none: whatever does not fit together (grids, calendars, units, levels, times) is an
:class:`~zssd_cli.errors.InputError` of one line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cftime
import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.grids.cells import CellCenters
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.series.layout import Layout, describe, same_place
from zssd_cli.series.opening import expand, open_datasets, undecoded
from zssd_cli.series.pieces import Piece, find_piece
from zssd_cli.series.provenance import frequency_of, provenance
from zssd_cli.series.timeline import common_calendar, in_range, spacing_name, to_calendar
from zssd_cli.times import format_time
from zssd_cli.variables import Variable, lookup

__all__ = ["CellCenters", "Input", "Source", "open_source"]

Input = str | Path | Sequence[str | Path] | xr.Dataset
"""Files and patterns, or a Dataset in memory."""


@dataclass(frozen=True, eq=False)
class _Series:
    """One variable over all files: its pieces and, per date, the piece and the position in it."""

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


@dataclass(frozen=True, eq=False)
class Source:
    """A series of fields on disk or in memory.

    Attributes
    ----------
    variables
        Canonical names found, in the order asked.
    missing
        Canonical names asked for that no file holds.
    grid
        The rectilinear grid, latitude and longitude ascending; None for other grids.
    points
        The cells of a curvilinear or unstructured grid; None for rectilinear ones.
    times
        Sorted dates without duplicates, in the files' calendar.
    calendar
        Its CF name.
    cell_methods
        Per variable, where the files say.
    frequency
        1hr, 3hr, 6hr, 12hr, day, mon, yr or what the files say; None if unknown.
    attributes
        Provenance to hand on: source_id, experiment_id, tracking_id, history, source_files ...
    notes
        One-line warnings worth showing.
    """

    variables: tuple[str, ...]
    missing: tuple[str, ...]
    grid: LatLonGrid | None
    points: CellCenters | None
    times: tuple[cftime.datetime, ...]
    calendar: str
    cell_methods: dict[str, str]
    frequency: str | None
    attributes: dict[str, str]
    notes: tuple[str, ...]
    _shape: tuple[int, ...] = field(repr=False)
    _series: tuple[_Series, ...] = field(repr=False)
    _datasets: tuple[xr.Dataset, ...] = field(repr=False)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Fields from time ``start`` up to but not including ``stop``.

        Returns
        -------
        float32 (time, variable, lat, lon), or (time, variable, *points.lat.shape), canonical units, NaN where missing.

        Raises
        ------
        InputError
            Data that cannot be read, fields without any value, values that are not plausible.
        """
        if not 0 <= start < stop <= len(self.times):
            msg = f"Time steps {start} to {stop} are not within the {len(self.times)} of the files; choose others."
            raise InputError(msg)
        dates = self.times[start:stop]
        block = np.empty((len(dates), len(self.variables), *self._shape), dtype=np.float32)
        for index, series in enumerate(self._series):

            def store(where: slice, fields: np.ndarray, index: int = index) -> None:
                block[where, index] = fields

            series.read(dates, store)
        return block

    def held(self, variable: str) -> dict[cftime.datetime, Path]:
        """Every date at which the files hold a variable, sorted, also those that other variables lack, and its file."""
        series = self._series[self.variables.index(variable)]
        return {date: series.pieces[number].path for date, (number, _) in sorted(series.places.items())}

    def file(self, variable: str, date: cftime.datetime) -> Path:
        """The file that holds a variable at a date of :meth:`held`."""
        series = self._series[self.variables.index(variable)]
        return series.pieces[series.places[date][0]].path

    def field(self, variable: str, date: cftime.datetime) -> np.ndarray:
        """One variable at a date of :meth:`held`, (lat, lon); raises as :meth:`read` does."""
        fields: list[np.ndarray] = []
        self._series[self.variables.index(variable)].read([date], lambda _, values: fields.append(values[0]))
        return fields[0].astype(np.float32)

    def close(self) -> None:
        """Close the files."""
        for dataset in self._datasets:
            dataset.close()


def open_source(
    paths: Input,
    variables: Sequence[str | Variable] | str,
    *,
    time_range: tuple[str | None, str | None] | None = None,
    allow_no_time: bool = False,
) -> Source:
    """Open files, or a Dataset in memory, as one series.

    Parameters
    ----------
    paths
        Files and glob patterns: split in time, by variable, or both; or a Dataset, decoded as ``xarray.open_dataset`` does.
    variables
        Canonical or CMIP6 names (or rows of the table of variables), in the wanted order.
    time_range
        First and last date, inclusive, as partial ISO dates in the files' calendar (``2010``, ``2010-02-30``); None
        for an open end.
    allow_no_time
        Accept a single field without a time; it gets year 1, January 1 and a note.

    Raises
    ------
    InputError
        Files that cannot be read or do not fit together, none of the variables found, no common or selected times.
    ConfigError
        Unknown variable names or malformed dates.
    """
    variables = [variables] if isinstance(variables, str) else variables
    wanted = tuple(dict.fromkeys(name if isinstance(name, Variable) else lookup(name) for name in variables))
    datasets: list[xr.Dataset] = []
    try:
        if isinstance(paths, xr.Dataset):
            opened: dict[Path, tuple[xr.Dataset, ...]] = {
                Path(paths.encoding.get("source", "Dataset")): (undecoded(paths),)
            }
        else:
            opened = {}
            for path in expand([paths] if isinstance(paths, str | Path) else paths):
                opened[path] = open_datasets(path, wanted)
                datasets.extend(opened[path])
        return _assemble(opened, wanted, datasets, time_range or (None, None), allow_no_time=allow_no_time)
    except BaseException:
        for dataset in datasets:
            dataset.close()
        raise


def _assemble(
    opened: Mapping[Path, tuple[xr.Dataset, ...]],
    wanted: tuple[Variable, ...],
    datasets: list[xr.Dataset],
    time_range: tuple[str | None, str | None],
    *,
    allow_no_time: bool,
) -> Source:
    pieces, notes = _collect(opened, wanted, allow_no_time=allow_no_time)
    layout = _common_layout(pieces)
    calendar = common_calendar({str(piece.path): piece.calendar for piece in pieces})
    found = tuple(variable for variable in wanted if any(piece.variable == variable for piece in pieces))
    series = tuple(_series([p for p in pieces if p.variable == variable], calendar, notes) for variable in found)
    times = _common_times(found, series, notes)
    times = tuple(times[position] for position in in_range(times, time_range))
    for one in series:
        one.check(times[0])
    headers = [dataset.attrs for several in opened.values() for dataset in several]
    return Source(
        variables=tuple(variable.name for variable in found),
        missing=tuple(variable.name for variable in wanted if variable not in found),
        grid=layout.grid,
        points=layout.points,
        times=times,
        calendar=calendar,
        cell_methods={
            p.variable.name: str(p.array.attrs["cell_methods"])
            for p in reversed(pieces)
            if "cell_methods" in p.array.attrs
        },
        frequency=frequency_of(headers) or spacing_name(times),
        attributes=provenance(headers, list(opened), notes),
        notes=tuple(dict.fromkeys(notes)),
        _shape=layout.shape,
        _series=series,
        _datasets=tuple(datasets),
    )


def _collect(
    opened: Mapping[Path, tuple[xr.Dataset, ...]], wanted: tuple[Variable, ...], *, allow_no_time: bool
) -> tuple[list[Piece], list[str]]:
    """Every wanted variable in every file."""
    pieces: list[Piece] = []
    notes: list[str] = []
    remarks: list[str] = []
    names: dict[str, None] = {}
    for path, several in opened.items():
        before = len(pieces)
        for variable in wanted:
            results = [find_piece(dataset, path, variable, allow_no_time=allow_no_time) for dataset in several]
            found = [result for result in results if isinstance(result, Piece)]
            pieces.extend(found[:1])
            remarks.extend(result for result in results if isinstance(result, str) and not found)
        names |= dict.fromkeys(name for dataset in several for name in _shown_names(dataset))
        if len(pieces) == before and len(opened) > 1:
            notes.append(f"{path.name} holds none of the variables and is not used")
    if not pieces:
        asked = ", ".join(f"{v.name} ({v.cmip6})" if v.name != v.cmip6 else v.name for v in wanted)
        held = ", ".join(list(names)[:12]) + (", ..." if len(names) > 12 else "")
        why = f"; {remarks[0]}" if remarks else ""
        first = next(iter(opened))
        what = first if len(opened) == 1 else f"{first} and {len(opened) - 1} more"
        msg = f"{what}: none of {asked} found, it holds {held or 'no fields'}{why}; choose other files or variables."
        raise InputError(msg)
    notes.extend(_gathered(pieces))
    present = {piece.variable.name for piece in pieces}
    return pieces, notes + [remark for remark in remarks if remark.split(" ")[0] not in present]


def _gathered(pieces: list[Piece]) -> list[str]:
    """The notes of all pieces, each once with the files it is about."""
    about: dict[str, dict[str, None]] = {}
    for piece in pieces:
        for note in piece.notes:
            about.setdefault(note, {})[piece.path.name] = None
    return [f"{next(iter(n))}{f' and {len(n) - 1} more' if len(n) > 1 else ''}: {note}" for note, n in about.items()]


def _shown_names(dataset: xr.Dataset) -> list[str]:
    """Names of arrays that could be fields, for messages."""
    bounds = {str(v.attrs.get("bounds")) for v in dataset.variables.values()}
    names = [str(name) for name, array in dataset.data_vars.items() if array.ndim > 1 and str(name) not in bounds]
    return [name for name in names if not name.endswith(("_bnds", "_bounds"))]


def _common_layout(pieces: list[Piece]) -> Layout:
    first = pieces[0]
    for other in pieces[1:]:
        if not same_place(first.layout, other.layout):
            msg = (
                f"{other.path}: {other.variable.name} is on another grid ({describe(other.layout)}) than "
                f"{first.variable.name} of {first.path.name} ({describe(first.layout)}); "
                "bring them to one grid, for instance with cdo remapcon."
            )
            raise InputError(msg)
    return first.layout


def _series(pieces: list[Piece], calendar: str, notes: list[str]) -> _Series:
    """The dates of one variable over its files; refuses dates that occur twice."""
    places: dict[cftime.datetime, tuple[int, int]] = {}
    for number, piece in enumerate(pieces):
        dates = to_calendar(piece.times, calendar)
        if any(later < earlier for earlier, later in zip(dates[:-1], dates[1:], strict=True)):
            notes.append(f"{piece.path.name}: the time axis is not in order and was sorted")
        for position, date in enumerate(dates):
            if date in places:
                other = pieces[places[date][0]].path
                where = f"twice in {piece.path}" if other == piece.path else f"in both {other} and {piece.path}"
                msg = (
                    f"{piece.variable.name} at {format_time(date)} is {where}; give each time once, "
                    "for instance merged with cdo -O mergetime --skip_same_time."
                )
                raise InputError(msg)
            places[date] = (number, position)
    return _Series(tuple(pieces), places)


def _common_times(
    found: tuple[Variable, ...], series: tuple[_Series, ...], notes: list[str]
) -> tuple[cftime.datetime, ...]:
    """Sorted dates that every variable has."""
    common = set(series[0].places).intersection(*(one.places for one in series[1:]))
    if not common:
        spans = "; ".join(
            f"{v.name} {format_time(min(s.places))}..{format_time(max(s.places))}"
            for v, s in zip(found, series, strict=True)
        )
        msg = f"The variables have no time in common ({spans}); give files of the same times or fewer variables."
        raise InputError(msg)
    longest = max(len(one.places) for one in series)
    if len(common) < longest:
        notes.append(f"{longest - len(common)} of {longest} times are left out because not every variable has them")
    return tuple(sorted(common))
