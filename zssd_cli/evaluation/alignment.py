"""What an output of ``zssd downscale`` and a reanalysis have in common: times, and points of the 0.25 degree grid."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.grids.conservative import latitude_weights, longitude_weights
from zssd_cli.grids.latlon import FINE_STEP, LatLonGrid, Region, block_grid, regular_grid
from zssd_cli.outputs.layout import KEPT
from zssd_cli.series.opening import is_zarr, one_line, reading, undecoded
from zssd_cli.series.protocol import Series
from zssd_cli.series.stamps import decode
from zssd_cli.series.units import check_plausible, convert, infer_units, plausible_units
from zssd_cli.variables import VARIABLES
from zssd_cli.watchdog import watched

COLUMNS_ROUND = round(360 / FINE_STEP)
LAYOUTS = ({"time", "member", "lat", "lon"}, {"time", "lat", "lon"})
SPEED, COMPONENTS = "si10", ("u10", "v10")


@dataclass(frozen=True)
class OutputFile:
    """What ``zssd downscale`` wrote, or gave, or what another tool made of that: dimensions in any order, other units.

    Attributes
    ----------
    path
        The NetCDF file or Zarr store.
    variables
        Canonical names of its fields.
    units, observed
        Per variable: canonical units, and whether the coarse input held it, if in part.
    grid
        0.25 degree grid, ascending.
    times
        In the file's calendar.
    members
        Number of members, 1 where the file has no such axis.
    filter_scale
        Scale of the coarse observation in degrees, None where the file does not tell.
    source_id
        The climate model that it came from, empty for a coarsened reanalysis.
    shares
        Variables that the coarse input held in part -> share of area and times.
    kind
        Moments, or daily, monthly ... means.
    """

    path: Path
    variables: tuple[str, ...]
    units: dict[str, str]
    observed: dict[str, bool]
    grid: LatLonGrid
    times: tuple[cftime.datetime, ...]
    members: int
    filter_scale: float | None
    source_id: str
    shares: dict[str, float]
    kind: str
    _data: xr.Dataset = field(repr=False)

    def read(self, name: str, index: int) -> np.ndarray:
        """One variable at one time, (member, lat, lon) float32 in canonical units, missing values NaN, latitude ascending.

        Raises
        ------
        InputError
            The units are not known, or the values (of a variable that is never negative) are plausible in others only.
        """
        array = self._data[name].isel(time=index).transpose(..., "lat", "lon")
        values, variable = array.to_numpy().reshape(-1, *self.grid.shape), VARIABLES[name]
        with reading(self.path):
            units = str(array.attrs.get("units", "")).strip() or infer_units(values, variable)
            canonical = convert(values, units, variable).astype(np.float32)
            if variable.minimum > 0 and plausible_units(values, variable):
                check_plausible(canonical, units, variable)
        south_up = float(self._data["lat"][0]) <= float(self._data["lat"][-1])
        return canonical if south_up else canonical[:, ::-1]

    @property
    def attributes(self) -> dict[str, Any]:
        """Global attributes."""
        return {str(name): value for name, value in self._data.attrs.items()}

    def close(self) -> None:
        """Close the file."""
        self._data.close()


def open_output(path: str | Path | xr.Dataset) -> OutputFile:
    """Read what an output holds, without its fields; a Dataset is one in memory.

    Raises
    ------
    InputError
        The file is absent, is no NetCDF, or is not laid out as ``zssd downscale`` does.
    """
    if isinstance(path, xr.Dataset):
        return _described(undecoded(path), Path(path.encoding.get("source", "the output")))
    path = Path(path)
    store = is_zarr(path)
    if not path.is_file() and not store:
        got = "a folder" if path.is_dir() else "no such file"
        msg = f"{path}: expected the file that zssd downscale wrote, got {got}. Check the path."
        raise InputError(msg)
    try:
        engine = "zarr" if store else "netcdf4"
        with watched(path):
            data = xr.open_dataset(path, engine=engine, chunks=None, decode_times=False, cache=False)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        msg = f"{path} is not a readable {'Zarr store' if store else 'NetCDF file'} ({reason}). Give the file that zssd downscale wrote."
        raise InputError(msg) from error
    try:
        return _described(data, path)
    except BaseException:
        data.close()
        raise


def refuse_means(out: OutputFile) -> None:
    """Raise :class:`InputError` where the members' mean was kept: it is smoother than any member, and no ensemble."""
    if KEPT in out.attributes:
        msg = f"{out.path} holds the {out.attributes[KEPT]}; the mean is smoother than weather. Give an output made without --keep-spread."
        raise InputError(msg)


def _described(data: xr.Dataset, path: Path) -> OutputFile:
    fields = {str(name): v for name, v in data.data_vars.items() if name in VARIABLES and set(v.dims) in LAYOUTS}
    if not fields or not {"time", "lat", "lon"} <= set(data.variables):
        msg = (
            f"{path}: expected fields with dimensions (time, member, lat, lon), got dimensions "
            f"{', '.join(map(str, data.sizes)) or 'none'}. Give the file that zssd downscale wrote."
        )
        raise InputError(msg)
    return OutputFile(
        path=path,
        variables=tuple(fields),
        units={name: VARIABLES[name].units for name in fields},
        observed={name: str(v.attrs.get("zssd_observed", "yes")).lower() != "no" for name, v in fields.items()},
        grid=_fine_axes(np.sort(data["lat"].to_numpy()), data["lon"].to_numpy(), path),
        times=_decoded(data["time"], path),
        members=max((data.sizes["member"] for v in fields.values() if "member" in v.dims), default=1),
        filter_scale=_number(data.attrs.get("zssd_filter_scale")),
        source_id=str(data.attrs.get("zssd_source_id", "")).strip(),
        shares={
            name: share
            for name, v in fields.items()
            if (share := _number(v.attrs.get("zssd_observed_share"))) is not None and share < 1
        },
        kind=str(data.attrs.get("zssd_fields", "moments")),
        _data=data,
    )


def _number(value: object) -> float | None:
    """A positive finite number, None for anything else."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def _decoded(time: xr.DataArray, path: Path) -> tuple[cftime.datetime, ...]:
    """Dates, rounded as those of a reference are."""
    try:
        return decode(time)
    except InputError as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error


def _fine_axes(lat: np.ndarray, lon: np.ndarray, path: Path | str) -> LatLonGrid:
    """Centres on multiples of 0.25 degree to a grid, or an :class:`InputError`."""
    for name, centres in (("latitude", lat), ("longitude", lon)):
        steps = np.diff(centres)
        on_grid = np.allclose(centres / FINE_STEP, np.rint(centres / FINE_STEP), atol=1e-2)
        if not on_grid or not np.allclose(steps, FINE_STEP, atol=1e-3):
            step = f"{steps.min():g} to {steps.max():g}" if steps.size else "none"
            msg = (
                f"{path}: expected {name} on multiples of 0.25 degree, got steps {step} from {centres[0]:g}. "
                "Regrid it to ERA5's grid first."
            )
            raise InputError(msg)
    return regular_grid(np.rint(lat / FINE_STEP) * FINE_STEP, np.rint(lon / FINE_STEP) * FINE_STEP)


@dataclass(frozen=True)
class WithSpeed:
    """A series of both wind components as one that has their speed too."""

    source: Series

    @property
    def variables(self) -> tuple[str, ...]:
        """Canonical names."""
        return (*self.source.variables, SPEED)

    @property
    def times(self) -> tuple[cftime.datetime, ...]:
        """The source's."""
        return self.source.times

    @property
    def grid(self) -> LatLonGrid | None:
        """The source's."""
        return self.source.grid

    def read(self, start: int, stop: int) -> np.ndarray:
        """The source's fields and the speed, (time, variable, lat, lon)."""
        fields = self.source.read(start, stop)
        wind = [fields[:, self.source.variables.index(part)] for part in COMPONENTS]
        return np.concatenate([fields, np.hypot(*wind)[:, None]], 1)


def with_speed(source: Series) -> Series:
    """The series itself where it has wind speed or lacks a component, else one that derives it."""
    derivable = SPEED not in source.variables and set(COMPONENTS) <= set(source.variables)
    return WithSpeed(source) if derivable else source


def common_times(ours: Sequence[cftime.datetime], theirs: Sequence[cftime.datetime]) -> list[tuple[int, int]]:
    """Pairs of indices whose year, month, day, hour and minute agree, whatever the calendars.

    Raises
    ------
    InputError
        No time agrees.
    """
    where: dict[tuple[int, ...], int] = {}
    for index, time in enumerate(theirs):
        where.setdefault(_stamp(time), index)
    pairs = [(i, where[_stamp(time)]) for i, time in enumerate(ours) if _stamp(time) in where]
    if not pairs:
        msg = (
            f"No common time: the output has {_span(ours)}, the reference {_span(theirs)}; "
            "a free-running climate model cannot be scored point by point. Give the reference of the same times."
        )
        raise InputError(msg)
    return pairs


def _stamp(time: cftime.datetime) -> tuple[int, ...]:
    return time.year, time.month, time.day, time.hour, time.minute


def _span(times: Sequence[cftime.datetime]) -> str:
    if len(times) == 0:
        return "no time"
    first, last = (f"{t.year:04d}-{t.month:02d}-{t.day:02d}T{t.hour:02d}:{t.minute:02d}" for t in (times[0], times[-1]))
    return first if len(times) == 1 else f"{first} to {last}"


@dataclass(frozen=True, eq=False)
class CommonPoints:
    """Cells that two 0.25 degree grids share.

    Attributes
    ----------
    grid
        The shared cells.
    ours, theirs
        (rows, columns) of the shared cells in the output and in the reference.
    """

    grid: LatLonGrid
    ours: tuple[np.ndarray, np.ndarray]
    theirs: tuple[np.ndarray, np.ndarray]

    def within(self, blocks: LatLonGrid) -> "CommonPoints | None":
        """Those whose centres lie in a box of blocks, None where there are none."""
        lat, lon = self.grid.lat, self.grid.lon
        rows = (lat >= blocks.lat_edges[0] - 1e-6) & (lat <= blocks.lat_edges[-1] + 1e-6)
        width = blocks.lon_edges[-1] - blocks.lon_edges[0]
        columns = (lon - blocks.lon_edges[0] + 1e-6) % 360 <= width + 2e-6
        run = longest_run(columns)
        if not rows.any() or run.size == 0:
            return None
        cut = np.flatnonzero(rows), run
        pick = [(side[0][cut[0]], side[1][cut[1]]) for side in (self.ours, self.theirs)]
        return CommonPoints(regular_grid(lat[cut[0]], lon[cut[1]]), *pick)


def longest_run(mask: np.ndarray) -> np.ndarray:
    """Indices of the longest unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    if edges.size == 0:
        return np.array([], dtype=np.int64)
    starts, ends = edges[::2], edges[1::2]
    best = int(np.argmax(ends - starts))
    return np.arange(starts[best], ends[best])


def common_points(ours: LatLonGrid, theirs: LatLonGrid, reference: Path | str) -> CommonPoints:
    """Cells in both grids, whatever turn their longitudes are in.

    Raises
    ------
    InputError
        The reference is off the 0.25 degree grid or elsewhere.
    """
    theirs = _fine_axes(theirs.lat, theirs.lon, reference)
    base, other = (theirs, ours) if ours.circular and not theirs.circular else (ours, theirs)
    rows = {int(i): k for k, i in enumerate(_index(other.lat))}
    columns = {int(i): k for k, i in enumerate(_index(other.lon) % COLUMNS_ROUND)}
    base_rows = np.flatnonzero([int(i) in rows for i in _index(base.lat)])
    base_columns = longest_run(np.array([int(i) in columns for i in _index(base.lon) % COLUMNS_ROUND]))
    if base_rows.size == 0 or base_columns.size == 0:
        msg = (
            f"{reference}: no overlap: the output covers {extent(ours)}, the reference {extent(theirs)}. Give a "
            "reference of the same region."
        )
        raise InputError(msg)
    lat, lon = base.lat[base_rows], base.lon[base_columns]
    other_rows = np.array([rows[int(i)] for i in _index(lat)])
    other_columns = np.array([columns[int(i)] for i in _index(lon) % COLUMNS_ROUND])
    sides = (base_rows, base_columns), (other_rows, other_columns)
    return CommonPoints(regular_grid(lat, lon), *(sides if base is ours else sides[::-1]))


def cells_within(grid: LatLonGrid, shared: LatLonGrid) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a 0.25 degree grid's cells that are those of ``shared``, all of which it holds."""
    rows = {int(i): k for k, i in enumerate(_index(grid.lat))}
    columns = {int(i): k for k, i in enumerate(_index(grid.lon) % COLUMNS_ROUND)}
    return (
        np.array([rows[int(i)] for i in _index(shared.lat)]),
        np.array([columns[int(i)] for i in _index(shared.lon) % COLUMNS_ROUND]),
    )


def _index(centres: np.ndarray) -> np.ndarray:
    return np.rint(centres / FINE_STEP).astype(np.int64)


def extent(grid: LatLonGrid) -> str:
    """``W..E, S..N`` of the centres."""
    return f"{grid.lon[0]:g}..{grid.lon[-1]:g} E, {grid.lat[0]:g}..{grid.lat[-1]:g} N"


def covered_blocks(grid: LatLonGrid, scale: float) -> LatLonGrid | None:
    """Blocks of ``scale`` degrees that lie wholly inside a grid; None where there is none."""
    south, north = max(grid.lat_edges[0], -90.0), min(grid.lat_edges[-1], 90.0)
    blocks = block_grid(scale, Region(float(grid.lon_edges[0]), float(grid.lon_edges[-1]), float(south), float(north)))
    rows = longest_run(latitude_weights(grid.lat_edges, blocks.lat_edges).sum(1) > 1 - 1e-6)
    columns = longest_run(longitude_weights(grid.lon_edges, blocks.lon_edges).sum(1) > 1 - 1e-6)
    if rows.size == 0 or columns.size == 0:
        return None
    lat_edges, lon_edges = blocks.lat_edges[rows[0] : rows[-1] + 2], blocks.lon_edges[columns[0] : columns[-1] + 2]
    return LatLonGrid(blocks.lat[rows], blocks.lon[columns], lat_edges, lon_edges)
