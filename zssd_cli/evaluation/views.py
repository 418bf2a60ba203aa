"""What pictures show of an output: its cells within a region, its members, its times, and other fields on the same cells.

Only what is shown is read, one member and time after the other. ``wind`` is the speed of u10 and v10, shown with arrows, and
with isobars where there is pressure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cftime
import numpy as np
import xarray as xr

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.evaluation.alignment import OutputFile, longest_run, open_output
from zssd_cli.grids.extent import SCALES, cell_width, scale_for
from zssd_cli.grids.latlon import FINE_STEP, LatLonGrid, Region, block_grid, fine_grid, regular_grid
from zssd_cli.grids.regridders import make_regrid
from zssd_cli.outputs.conventions import mask_name
from zssd_cli.pictures import style
from zssd_cli.series.protocol import CoarseSeries
from zssd_cli.series.timeline import in_range
from zssd_cli.times import format_time
from zssd_cli.variables import VARIABLES, lookup

WIND, COMPONENTS, PRESSURE, SPEED = "wind", ("u10", "v10"), "msl", "si10"
REAL_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
Blocks = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Edges of rows, edges of columns, values."""


class Beside(Protocol):
    """Other fields of the same times."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Canonical names."""

    def blocks(self, name: str, time: cftime.datetime) -> Blocks:
        """A field and the edges of its cells, ascending, canonical units."""


@dataclass(frozen=True, eq=False)
class Held:
    """Fields in hand, whatever the time: block means by name."""

    fields: Mapping[str, Blocks]

    @property
    def variables(self) -> tuple[str, ...]:
        """Canonical names."""
        return tuple(self.fields)

    def blocks(self, name: str, time: cftime.datetime) -> Blocks:
        """As they are."""
        del time
        return self.fields[name]


@dataclass(frozen=True, eq=False)
class Read:
    """Fields of files: a coarse input or a reanalysis, matched by date."""

    series: CoarseSeries
    what: str

    @property
    def variables(self) -> tuple[str, ...]:
        """Canonical names."""
        return self.series.variables

    def blocks(self, name: str, time: cftime.datetime) -> Blocks:
        """The field of that date; points as means over blocks of about their size.

        Raises
        ------
        InputError
            There is no such date.
        """
        stamps = [format_time(date) for date in self.series.times]
        if format_time(time) not in stamps:
            msg = (
                f"{self.what} has no {format_time(time)}, but {stamps[0]} to {stamps[-1]}. Give the file of that time."
            )
            raise InputError(msg)
        index = stamps.index(format_time(time))
        cells, values = self.series.cells[name], self.series.fields(name, index, index + 1)
        grid = cells.grid
        if grid is None:
            grid = block_grid(scale_for(cell_width(cells)) or SCALES[-1])
            values = make_regrid(cells, grid)[0](values)
        return grid.lat_edges, grid.lon_edges, values[0]


def on_cells(blocks: Blocks, grid: LatLonGrid) -> np.ndarray:
    """The value of the block in which each cell's centre lies, NaN outside; a centre on the outermost edge is inside."""
    lat_edges, lon_edges, values = (np.asarray(part, dtype=np.float64) for part in blocks)
    lon = (grid.lon - lon_edges[0] + 1e-9) % 360 + lon_edges[0]
    on_edge = np.isclose((grid.lon - lon_edges[-1]) % 360, 0, atol=1e-6) & (lon_edges[-1] - lon_edges[0] < 359.9)
    columns = np.where(on_edge, values.shape[1] - 1, np.searchsorted(lon_edges, lon, "right") - 1)
    rows = np.searchsorted(lat_edges, grid.lat, "right") - 1
    rows = np.where(np.isclose(grid.lat, lat_edges[-1], atol=1e-6), values.shape[0] - 1, rows)
    inside = ((rows >= 0) & (rows < values.shape[0]))[:, None] & ((columns >= 0) & (columns < values.shape[1]))[None]
    taken = values[np.clip(rows, 0, values.shape[0] - 1)[:, None], np.clip(columns, 0, values.shape[1] - 1)[None]]
    return np.where(inside, taken, np.nan)


@dataclass(frozen=True, eq=False)
class View:
    """A part of an output.

    Attributes
    ----------
    output
        The opened file or Dataset.
    grid
        The cells that are shown.
    rows, columns
        Where they are in the output, latitude ascending.
    members
        Positions of the members that are shown.
    indices
        Positions of the times that are shown.
    """

    output: OutputFile
    grid: LatLonGrid
    rows: np.ndarray
    columns: np.ndarray
    members: tuple[int, ...]
    indices: tuple[int, ...]

    def time(self, index: int) -> cftime.datetime:
        """Date of a time of the output."""
        return self.output.times[index]

    def field(self, name: str, index: int, member: int) -> np.ndarray:
        """One variable, (lat, lon) in canonical units; ``wind`` and si10 of the components where need be."""
        if name in (WIND, SPEED) and SPEED not in self.output.variables:
            return np.hypot(*(self.field(part, index, member) for part in COMPONENTS))
        name = SPEED if name == WIND else name
        data = self.output._data
        if "member" in data[name].dims:
            one = replace(self.output, _data=data.isel(member=[member]))
            return one.read(name, index)[0][np.ix_(self.rows, self.columns)]
        return self.output.read(name, index)[0][np.ix_(self.rows, self.columns)]

    def mean_and_spread(self, name: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (of a sample) over the members that are shown, one after the other."""
        mean, squares = np.zeros(self.grid.shape), np.zeros(self.grid.shape)
        for count, member in enumerate(self.members, 1):
            field = self.field(name, index, member).astype(np.float64)
            step = field - mean
            mean = mean + step / count
            squares = squares + step * (field - mean)
        return mean, np.sqrt(squares / max(len(self.members) - 1, 1))

    def observed(self, name: str) -> bool:
        """Whether the input held a variable; of the wind, both components or its speed."""
        known = self.output.observed
        if name == WIND:
            return known.get(SPEED, False) or all(known.get(part, False) for part in COMPONENTS)
        return known.get(name, all(known.get(part, False) for part in COMPONENTS))

    def drawn(self, name: str, index: int) -> np.ndarray | None:
        """True where an observed variable was drawn at a time, (lat, lon); None where nothing was or the file does not tell."""
        parts = COMPONENTS if name == WIND else (name,)
        masks = [mask_name(part) for part in parts if mask_name(part) in self.output._data]
        if not masks or not self.observed(name):
            return None
        found = np.zeros(self.grid.shape, bool)
        data = self.output._data
        south_up = float(data["lat"][0]) <= float(data["lat"][-1])
        for mask in masks:
            cells = data[mask].isel(time=index).transpose("lat", "lon").to_numpy()
            found |= (cells if south_up else cells[::-1])[np.ix_(self.rows, self.columns)] == 0
        return found

    def shows(self, name: str) -> bool:
        """Whether the output has it or what it is made of."""
        made = name in (WIND, SPEED) and set(COMPONENTS) <= set(self.output.variables)
        return name in self.output.variables or made or (name == WIND and SPEED in self.output.variables)

    def has_arrows(self) -> bool:
        """Whether there are both components."""
        return set(COMPONENTS) <= set(self.output.variables)


def open_view(
    source: str | Path | xr.Dataset | OutputFile,
    *,
    region: Region | None = None,
    times: tuple[str | None, str | None] | None = None,
    members: Sequence[int] | None = None,
) -> View:
    """Part of an output: all of it unless told otherwise.

    Raises
    ------
    InputError
        No output, or nothing of it within the region.
    ConfigError
        Members or times that are not there.
    """
    output = source if isinstance(source, OutputFile) else open_output(source)
    wanted = tuple(range(output.members)) if members is None else tuple(members)
    absent = [member for member in wanted if not 0 <= member < output.members]
    if absent:
        msg = f"--members: the file has members 0 to {output.members - 1}, got {absent[0]}. Give some of these, or all."
        raise ConfigError(msg)
    indices = tuple(int(i) for i in in_range(output.times, times or (None, None)))
    grid, rows, columns = _cut(output.grid, region)
    return View(output, grid, rows, columns, wanted, indices)


def _cut(grid: LatLonGrid, region: Region | None) -> tuple[LatLonGrid, np.ndarray, np.ndarray]:
    """The cells of a region, whatever turn of longitude it is in."""
    if region is None:
        return grid, np.arange(grid.lat.size), np.arange(grid.lon.size)
    wanted = fine_grid(region)
    rows = np.flatnonzero((grid.lat >= wanted.lat[0] - 1e-6) & (grid.lat <= wanted.lat[-1] + 1e-6))
    turn = round(360 / FINE_STEP)
    place = {int(number) % turn: k for k, number in enumerate(np.rint(grid.lon / FINE_STEP))}
    numbers = np.rint(wanted.lon / FINE_STEP).astype(int)
    run = longest_run(np.array([int(number) % turn in place for number in numbers]))
    if rows.size == 0 or run.size == 0:
        msg = (
            f"--region: the file covers longitude {grid.lon[0]:g} to {grid.lon[-1]:g}, latitude {grid.lat[0]:g} to "
            f"{grid.lat[-1]:g}, nothing of it within the region. Give another."
        )
        raise InputError(msg)
    columns = np.array([place[int(number) % turn] for number in numbers[run]])
    return regular_grid(grid.lat[rows], wanted.lon[run]), rows, columns


def default_variables(view: View) -> tuple[str, ...]:
    """Pressure, and the wind in one picture, then what else there is."""
    rest = [name for name in view.output.variables if name not in (PRESSURE, *COMPONENTS, SPEED)]
    lone = [name for name in COMPONENTS if name in view.output.variables and not view.has_arrows()]
    first = [name for name in (PRESSURE, WIND) if view.shows(name)]
    return (*first, *lone, *rest)


def chosen_variables(view: View, text: str | None) -> tuple[str, ...]:
    """Names of ``--var``; raises :class:`ConfigError` where the output lacks one."""
    if text is None:
        return default_variables(view)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    names = tuple(dict.fromkeys(part.lower() if part.lower() == WIND else lookup(part).name for part in parts))
    absent = [name for name in names if not view.shows(name)]
    if absent or not names:
        have = ", ".join([*view.output.variables, *([WIND] if view.shows(WIND) else [])])
        msg = f"--var: the file has {have}, got {', '.join(absent) or 'nothing'}. Choose from these."
        raise ConfigError(msg)
    return names


def chosen_members(text: str | None) -> tuple[int, ...] | None:
    """Numbers of ``--members``, None for all; raises :class:`ConfigError`."""
    if text is None or text.lower() == "all":
        return None
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        msg = f"--members: expected numbers as in the file, from 0, such as 0,1, or all; got {text!r}."
        raise ConfigError(msg) from error


def chosen_times(text: str | None) -> tuple[str | None, str | None] | None:
    """START/END of ``--time``, either of which may be empty; one date is all that lies within it."""
    if text is None:
        return None
    start, slash, end = text.partition("/")
    return start or None, (end if slash else start) or None


def beside_field(beside: Beside, name: str, time: cftime.datetime, grid: LatLonGrid) -> np.ndarray | None:
    """A field of other files on the cells of a view, None where they lack it."""
    if name == WIND and SPEED in beside.variables:
        name = SPEED
    if name in (WIND, SPEED) and name not in beside.variables:
        if not set(COMPONENTS) <= set(beside.variables):
            return None
        return np.hypot(*(on_cells(beside.blocks(part, time), grid) for part in COMPONENTS))
    return on_cells(beside.blocks(name, time), grid) if name in beside.variables else None


def shown_time(time: cftime.datetime) -> str:
    """A date for titles, with its calendar where that is not the real one."""
    text = format_time(time).replace("T", " ").removesuffix(":00")
    return text if time.calendar in REAL_CALENDARS else f"{text} ({time.calendar} calendar)"


def origin(view: View) -> str:
    """Where the fields come from, for titles."""
    attributes = view.output.attributes
    words = [str(attributes.get(key, "")).strip() for key in ("zssd_source_id", "zssd_experiment_id")]
    return " ".join(word for word in words if word) or view.output.path.name


def shown(name: str) -> tuple[float, str, str]:
    """Factor, units and quantity in which a variable is shown."""
    if name in (WIND, SPEED):
        return 1.0, "m s-1", "10 m wind speed"
    variable = VARIABLES[name]
    return *(variable.shown or (1.0, variable.units)), variable.long_name.lower()


def colours(name: str) -> str:
    """Colour map of a variable."""
    return style.WIND if name in (WIND, SPEED) else VARIABLES[name].colours


def each_field(view: View, name: str) -> Iterator[tuple[int, int, np.ndarray]]:
    """(time, member, field) of all that is shown."""
    for index in view.indices:
        for member in view.members:
            yield index, member, view.field(name, index, member)
