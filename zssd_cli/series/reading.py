"""Climate-model output and reanalysis in: many files, one sorted series of fields in canonical units, read lazily.

A wrong number is worse than none: whatever does not fit together (grids, calendars, units, levels, times) is an
:class:`~zssd_cli.errors.InputError` of one line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cftime
import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.grids.cells import CellCenters, Cells
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.series.common import common_times
from zssd_cli.series.doubts import Watch
from zssd_cli.series.drs import Range
from zssd_cli.series.interval import Interval
from zssd_cli.series.joining import (
    VariableSeries,
    averaging,
    collect,
    common_layout,
    join,
    refuse_other_intervals,
)
from zssd_cli.series.layout import Layout, same_place
from zssd_cli.series.leaving import LeftOut, by_name
from zssd_cli.series.listing import Listed, expand
from zssd_cli.series.opening import open_datasets, undecoded
from zssd_cli.series.provenance import adjusted_already, mixed_grids, provenance, refuse_mixed
from zssd_cli.series.timeline import common_calendar, spacing_name
from zssd_cli.variables import Variable, lookup

__all__ = ["CellCenters", "Input", "Source", "open_source"]

Input = str | Path | Sequence[str | Path] | xr.Dataset
"""Files, patterns and folders, or a Dataset in memory."""


@dataclass(frozen=True)
class Facts:
    """How one variable of a source was understood.

    Attributes
    ----------
    array, units
        Its name and units in the first file.
    why
        Why that array is the variable.
    files, times
        How many there are.
    interval
        Over which time its fields are averaged.
    """

    array: str
    units: str
    why: str
    files: int
    times: int
    interval: Interval


@dataclass(frozen=True, eq=False)
class Source:
    """A series of fields on disk or in memory.

    Attributes
    ----------
    variables
        Canonical names found, in the order asked.
    missing
        Canonical names asked for that no file holds.
    cells
        Per variable, where its cells lie: staggered winds have their own.
    times
        Sorted dates without duplicates, in the files' calendar.
    calendar
        Its CF name.
    cell_methods
        Per variable, where the files say.
    frequency
        1hr, 3hr, 6hr, 12hr, day, mon, yr or what the files say; None if unknown.
    averaging
        Why the fields are no moments (daily means ..., with the evidence); None where they are or nothing tells.
    time_bounds
        First and last date of the averaging interval of every time; None where a variable has none, or others.
    attributes
        Provenance to hand on: source_id, experiment_id, tracking_id, history, source_files ...
    notes
        One-line warnings worth showing.
    watch
        Gathers the doubts about fields that are read.
    """

    variables: tuple[str, ...]
    missing: tuple[str, ...]
    cells: dict[str, Cells]
    times: tuple[cftime.datetime, ...]
    calendar: str
    cell_methods: dict[str, str]
    frequency: str | None
    averaging: str | None
    time_bounds: tuple[tuple[cftime.datetime, cftime.datetime], ...] | None
    attributes: dict[str, str]
    notes: tuple[str, ...]
    _series: tuple[VariableSeries, ...] = field(repr=False)
    _datasets: tuple[xr.Dataset, ...] = field(repr=False)
    watch: Watch = field(repr=False)

    @property
    def grid(self) -> LatLonGrid | None:
        """The rectilinear grid that all variables share, latitude and longitude ascending; None for other cells.

        Raises
        ------
        InputError
            The variables are on different cells.
        """
        return common_layout(self._series).grid

    @property
    def points(self) -> CellCenters | None:
        """The cells of a curvilinear or unstructured grid that all variables share; None for a rectilinear one; raises as :attr:`grid`."""
        return common_layout(self._series).points

    @property
    def kind(self) -> str:
        """moments, daily, monthly ... means; ``unclear`` where the files contradict themselves."""
        interval = self._series[0].interval
        return "unclear" if interval.doubt else f"{interval.kind} means" if interval.is_mean else "moments"

    @property
    def doubts(self) -> tuple[str, ...]:
        """Lines on impossible fields among those that were read so far."""
        return self.watch.lines()

    def read(self, start: int, stop: int) -> np.ndarray:
        """Fields from time ``start`` up to but not including ``stop``.

        Returns
        -------
        float32 (time, variable, lat, lon), or (time, variable, *points.lat.shape), canonical units, NaN where missing.

        Raises
        ------
        InputError
            Data that cannot be read, fields without any value, values that are not plausible, variables on different cells.
        """
        common_layout(self._series)
        return np.stack([self.fields(name, start, stop) for name in self.variables], 1)

    def fields(self, variable: str, start: int, stop: int) -> np.ndarray:
        """One variable on its own cells, float32 (time, lat, lon) or (time, *points.lat.shape); otherwise as :meth:`read`."""
        if not 0 <= start < stop <= len(self.times):
            msg = f"Time steps {start} to {stop} are not within the {len(self.times)} of the files; choose others."
            raise InputError(msg)
        series, dates = self._of(variable), self.times[start:stop]
        block = np.empty((len(dates), *series.layout.shape), dtype=np.float32)

        def store(where: slice, values: np.ndarray) -> None:
            block[where] = values

        series.read(dates, store)
        return block

    def facts(self, variable: str) -> Facts:
        """How a variable was understood."""
        series = self._of(variable)
        first = series.pieces[0]
        files = len({piece.path for piece in series.pieces})
        return Facts(str(first.array.name), first.units, first.why, files, len(series.places), series.interval)

    def _of(self, variable: str) -> VariableSeries:
        return self._series[self.variables.index(variable)]

    def held(self, variable: str) -> dict[cftime.datetime, Path]:
        """Every date at which the files hold a variable, sorted, also those that other variables lack, and its file."""
        series = self._of(variable)
        return {date: series.pieces[number].path for date, (number, _) in series.places.items()}

    def file(self, variable: str, date: cftime.datetime) -> Path:
        """The file that holds a variable at a date of :meth:`held`."""
        series = self._of(variable)
        return series.pieces[series.places[date][0]].path

    def field(self, variable: str, date: cftime.datetime) -> np.ndarray:
        """One variable at a date of :meth:`held`, (lat, lon); raises as :meth:`read` does."""
        fields: list[np.ndarray] = []
        self._of(variable).read([date], lambda _, values: fields.append(values[0]))
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
    strict: bool = False,
) -> Source:
    """Open files, or a Dataset in memory, as one series.

    Parameters
    ----------
    paths
        Files, glob patterns and folders: split in time, by variable, or both; or a Dataset, decoded as ``xarray.open_dataset`` does.
    variables
        Canonical or CMIP6 names (or rows of the table of variables), in the wanted order.
    time_range
        First and last date, inclusive, as partial ISO dates in the files' calendar (``2010``, ``2010-02-30``); None
        for an open end.
    allow_no_time
        Accept a single field without a time; it gets year 1, January 1 and a note.
    strict
        Impossible fields (:mod:`zssd_cli.series.doubts`) are errors.

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
    left = LeftOut()
    try:
        if isinstance(paths, xr.Dataset):
            opened: dict[Path, tuple[xr.Dataset, ...]] = {
                Path(paths.encoding.get("source", "Dataset")): (undecoded(paths),)
            }
        else:
            opened = {}
            given = expand([paths] if isinstance(paths, str | Path) else paths)
            for path in by_name(given, wanted, time_range, left):
                opened[path] = open_datasets(path, wanted)
                datasets.extend(opened[path])
        watch = Watch(strict)
        return _assemble(opened, wanted, datasets, watch, time_range or (None, None), left, allow_no_time=allow_no_time)
    except BaseException:
        for dataset in datasets:
            dataset.close()
        raise


def _assemble(
    opened: Mapping[Path, tuple[xr.Dataset, ...]],
    wanted: tuple[Variable, ...],
    datasets: list[xr.Dataset],
    watch: Watch,
    asked: Range,
    left: LeftOut,
    *,
    allow_no_time: bool,
) -> Source:
    pieces, notes = collect(opened, wanted, watch, left, allow_no_time=allow_no_time)
    calendar = common_calendar({str(piece.path): piece.stamps.calendar for piece in pieces})
    found = [variable for variable in wanted if any(piece.variable == variable for piece in pieces)]
    series = tuple(join(pieces, variable, calendar, notes) for variable in found)
    refuse_other_intervals(series)
    why, shorter = averaging(series)
    notes += [*shorter, *refuse_mixed([(p.path, p.origin, p.times) for p in pieces])]
    times = common_times(series, asked, notes, strict=watch.strict)
    for one in series:
        one.check(times[0])
    bounds = {one.bounds(times) for one in series}
    if asked != (None, None):
        left.outside += _outside(series, times)
    used = [path for path in opened if path not in {*left.other, *left.outside}]
    headers = [dataset.attrs for path in used for dataset in opened[path]]
    notes += mixed_grids(headers)
    return Source(
        variables=tuple(variable.name for variable in found),
        missing=tuple(variable.name for variable in wanted if variable not in found),
        cells=_cells(series),
        times=times,
        calendar=calendar,
        cell_methods={
            p.variable.name: str(p.array.attrs["cell_methods"])
            for p in reversed(pieces)
            if "cell_methods" in p.array.attrs
        },
        frequency=next((one.interval.name for one in series if one.interval.name), None) or spacing_name(times),
        averaging=why,
        time_bounds=bounds.pop() if len(bounds) == 1 else None,
        attributes=provenance(headers, used) | adjusted_already([*headers, *(p.array.attrs for p in pieces)]),
        notes=tuple(dict.fromkeys([*left.notes, *notes])),
        _series=series,
        _datasets=tuple(datasets),
        watch=watch,
    )


def _outside(series: tuple[VariableSeries, ...], times: tuple[cftime.datetime, ...]) -> list[Path]:
    """Listed files none of whose dates lies between the first and the last of the times."""
    within = {
        one.pieces[k].path for one in series for date, (k, _) in one.places.items() if times[0] <= date <= times[-1]
    }
    every = dict.fromkeys(piece.path for one in series for piece in one.pieces)
    return [path for path in every if isinstance(path, Listed) and path not in within]


def _cells(series: tuple[VariableSeries, ...]) -> dict[str, Cells]:
    """Layouts by variable; one and the same object where the cells are the same."""
    distinct: list[Layout] = []
    cells: dict[str, Cells] = {}
    for one in series:
        same = next((layout for layout in distinct if same_place(layout, one.layout)), None)
        if same is None:
            distinct.append(same := one.layout)
        cells[one.variable.name] = same
    return cells
