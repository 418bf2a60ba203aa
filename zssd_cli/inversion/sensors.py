"""Measured heads and conductivities from a CSV or NetCDF file, checked before any work is done with them."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.inversion.flow import Sensors
from zssd_cli.inversion.problem import FlowProblem, LogK
from zssd_cli.inversion.quantities import factor
from zssd_cli.watchdog import watched

SMALLEST_ERROR = 1e-6
"""Metres; less is a slip, and no arithmetic resolves it."""
COLUMNS = ("x", "y", "head", "error")
K_COLUMNS = ("k", "k_error")
"""May be there, and empty in rows without a measured conductivity, which may have no head."""
CAMPAIGN = "campaign"
"""In the tables of steady flow: which of the times, numbered, a row was measured at."""
UNITS = {"time": "s", "k": "m/s", "k_error": "1"}
"""Of a column; metres else."""
_NAMES = {"metre": "m", "metres": "m", "meter": "m", "meters": "m", "sec": "s", "second": "s", "seconds": "s"}
_HEADER = re.compile(r"^\s*([^\[(]*?)\s*(?:[\[(]\s*(.*?)\s*[\])])?\s*$")
FAR = 6.0
"""Standard deviations of the expected ln K between which measured conductivities are believed."""


@dataclass(frozen=True, eq=False)
class Conductivities:
    """Measured conductivities: places x, y [m], natural logarithm of K [m s-1] and its error's standard deviation, all (P,)."""

    x: np.ndarray
    y: np.ndarray
    log_k: np.ndarray
    error: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a file of measurements holds; notes are for the user."""

    sensors: Sensors
    conductivities: Conductivities
    notes: tuple[str, ...]


def read_measured(path: Path, problem: FlowProblem, log_k: LogK) -> Measured:
    """Read measurements and check them against the domain.

    Parameters
    ----------
    path
        CSV with a header, or NetCDF with one-dimensional variables: x, y, head, error [m], and time [s] where the
        problem is transient; k [m s-1] and k_error (standard deviation of its natural logarithm) where conductivities were
        measured. Other units are converted where the file names them.
    problem
        The domain.
    log_k
        What is expected of the conductivity.

    Raises
    ------
    InputError
        Whatever must not be used: see the tests for a list.
    """
    path = Path(path)
    if not path.is_file():
        msg = (
            f"{path}: expected a CSV or NetCDF file of sensors, got {'a folder' if path.is_dir() else 'no such file'}."
        )
        raise InputError(msg)
    wanted = (*COLUMNS, "time") if problem.transient else COLUMNS
    netcdf = path.suffix.lower() in (".nc", ".nc4", ".cdf", ".netcdf")
    table, notes = _read_netcdf(path, wanted) if netcdf else _read_csv(path, wanted)
    table["row"] = np.arange(1.0, table["x"].size + 1)
    _check_numbers(path, table, ("x", "y"))
    _check_places(path, table, problem)
    points = _conductivities(path, {name: table.pop(name) for name in K_COLUMNS if name in table} | table, log_k)
    if len(points):
        has_head = ~(np.isnan(table["head"]) & np.isnan(table["error"]))
        table = {name: values[has_head] for name, values in table.items()}
    if not table["head"].size:
        _refuse(path, "expected at least one head, got none.")
    _check_numbers(path, table, wanted)
    _check_errors(path, table)
    table, repeated = _drop_duplicates(path, table)
    _check_heads(path, table, problem)
    step = _steps(path, table, problem) if problem.transient else None
    sensors = Sensors(table["x"], table["y"], table["head"], table["error"], step)
    return Measured(sensors, points, (*notes, *repeated, *_campaigns(table)))


def _conductivities(path: Path, table: dict[str, np.ndarray], log_k: LogK) -> Conductivities:
    """The rows with a measured conductivity, each place once."""
    if not set(K_COLUMNS) <= table.keys():
        return Conductivities(*np.zeros((4, 0)))
    there = ~(np.isnan(table["k"]) & np.isnan(table["k_error"]))
    table = {name: table[name][there] for name in ("x", "y", *K_COLUMNS, "row")}
    _check_numbers(path, table, K_COLUMNS)
    for name, least in (("k", 0.0), ("k_error", 0.01)):
        bad = np.flatnonzero(table[name] <= least if name == "k" else table[name] < least)
        if bad.size:
            what = "a positive number" if name == "k" else f"at least {least:g}, the standard deviation of ln K"
            _refuse(path, f"sensor {table['row'][bad[0]]:.0f}, {name}: expected {what}, got {table[name][bad[0]]:g}.")
    _, first = np.unique(np.stack([table[name] for name in ("x", "y", *K_COLUMNS)]), axis=1, return_index=True)
    table = {name: values[np.sort(first)] for name, values in table.items()}
    places = list(zip(table["x"], table["y"], strict=True))
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice:
        _refuse(
            path, f"two conductivities are given at ({twice[0]:g}, {twice[1]:g}). Keep one, or their geometric mean."
        )
    found = np.log(table["k"])
    if len(found) and abs(float(np.median(found)) - log_k.mean) > FAR * abs(log_k.std):
        low, high = sorted(np.exp([log_k.mean - 2 * log_k.std, log_k.mean + 2 * log_k.std]))
        got = f"median {np.exp(np.median(found)):.2g} m/s"
        _refuse(
            path, f"k ({got}) does not fit the expected {low:.2g} to {high:.2g} m/s. Expected m/s: m/d or cm/s instead?"
        )
    return Conductivities(table["x"], table["y"], found, table["k_error"])


def _refuse(path: Path, what: str) -> NoReturn:
    msg = f"{path}: {what}"
    raise InputError(msg)


def _factor(path: Path, name: str, units: str) -> tuple[float, tuple[str, ...]]:
    """To SI, and a note where something is converted."""
    wanted, given = UNITS.get(name, "m"), _NAMES.get(units.strip().lower(), units.strip())
    if given.lower() in ("", wanted) or (wanted == "1" and given.lower() in ("-", "ln", "none")):
        return 1.0, ()
    if wanted == "1":
        _refuse(path, f"{name}: expected the standard deviation of ln K, without unit, got {units!r}.")
    try:
        scale = factor(given, wanted)
    except ValueError as error:
        _refuse(path, f"{name}: {error}. Correct the unit, or convert the file.")
    return scale, (f"{name} converted from {units.strip()}",) if scale != 1 else ()


def _check_columns(path: Path, found: list[str], wanted: tuple[str, ...]) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        has = ", ".join(found)[:200] or "nothing"
        _refuse(path, f"expected columns {', '.join(wanted)}, got no {', '.join(missing)}; it has {has}.")
    twice = [name for name in wanted if found.count(name) > 1]
    if twice:
        _refuse(path, f"column {twice[0]} is given twice. Leave one.")


def _optional(path: Path, found: list[str]) -> tuple[str, ...]:
    """The columns of measured conductivities where they are there, both or none."""
    there = [name for name in K_COLUMNS if name in found]
    if len(there) == 1:
        lacks = next(name for name in K_COLUMNS if name not in there)
        _refuse(path, f"it has a column {there[0]}, expected {lacks}, too (k_error: standard deviation of ln K).")
    return tuple(there)


def _read_csv(path: Path, wanted: tuple[str, ...]) -> tuple[dict[str, np.ndarray], list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        _refuse(path, f"cannot be read as text ({getattr(error, 'strerror', None) or 'not UTF-8'}).")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        _refuse(path, f"expected a header with {', '.join(wanted)} and a row for each sensor, got an empty file.")
    delimiter = max(",;\t", key=lines[0].count)
    rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    matches = [_HEADER.match(cell) for cell in rows[0]]
    names = [match[1].lower() if match else "" for match in matches]
    optional = _optional(path, names)
    _check_columns(path, names, (*wanted, *optional))
    if len(rows) == 1:
        _refuse(path, "expected a row for each sensor, got no rows after the header.")
    for index, row in enumerate(rows[1:], 1):
        if len(row) > len(names):
            _refuse(path, f"sensor {index}: expected {len(names)} columns, got {len(row)} (a decimal comma?).")
    table: dict[str, np.ndarray] = {}
    notes: list[str] = []
    empty = {*optional, "head", "error"} if optional else set()
    units = {name: (match[2] or "").strip() for name, match in zip(names, matches, strict=True) if match}
    _check_all_named(path, units)
    for name in (*wanted, *optional):
        column = names.index(name)
        scale, said = _factor(path, name, units[name])
        cells = [(row[column].strip() if column < len(row) else "") for row in rows[1:]]
        numbers = [
            np.nan if not cell and name in empty else _number(path, cell, name, index)
            for index, cell in enumerate(cells, 1)
        ]
        table[name] = scale * np.array(numbers)
        notes += said
    if "time" in names and "time" not in wanted:
        column = names.index("time")
        table[CAMPAIGN] = _numbered([row[column].strip() if column < len(row) else "" for row in rows[1:]])
    return table, notes


def _numbered(times: Sequence[str]) -> np.ndarray:
    """Texts as numbers, the same for the same text, NaN for none."""
    numbers = np.unique(times, return_inverse=True)[1].astype(np.float64)
    return np.where(np.isin(times, ("", "nan")), np.nan, numbers)


def _campaigns(table: dict[str, np.ndarray]) -> tuple[str, ...]:
    """A note where heads of several times are to be those of one steady state."""
    times = np.unique(table.get(CAMPAIGN, np.zeros(0)))
    count = int(np.isfinite(times).sum())
    told = f"heads of {count} times are taken for those of one state: the domain says steady flow, which knows no time"
    return (told,) if count > 1 else ()


def _check_all_named(path: Path, units: dict[str, str]) -> None:
    """Refuse a column in feet beside one that names no unit and may be in feet, too; ``units`` are those named."""
    named = [name for name in COLUMNS if units[name] and _NAMES.get(units[name].lower(), units[name]) != "m"]
    silent = [name for name in COLUMNS if not units[name]]
    if named and silent:
        _refuse(
            path,
            f"{named[0]} is in {units[named[0]]}, {silent[0]} names no unit. Name the unit of every column, such as error [m].",
        )


def _number(path: Path, text: str, name: str, index: int) -> float:
    try:
        return float(text)
    except ValueError:
        _refuse(path, f"sensor {index}, {name}: expected a number, got {text[:40]!r}.")


def _read_netcdf(path: Path, wanted: tuple[str, ...]) -> tuple[dict[str, np.ndarray], list[str]]:
    notes: list[str] = []
    try:
        with watched(path), xr.open_dataset(path, decode_times=False) as data:
            found = [str(name) for name in data.variables]
            wanted = (*wanted, *_optional(path, found))
            _check_columns(path, found, wanted)
            table = {}
            units = {name: str(data[name].attrs.get("units", "")).strip() for name in wanted}
            _check_all_named(path, units)
            for name in wanted:
                scale, said = _factor(path, name, units[name])
                table[name] = scale * np.asarray(data[name].values, dtype=np.float64)
                notes += said
            if "time" in found and "time" not in wanted and data["time"].dims == data["x"].dims:
                table[CAMPAIGN] = _numbered(data["time"].values.astype(str).tolist())
    except (OSError, ValueError, TypeError) as error:
        _refuse(path, f"cannot be read as NetCDF ({' '.join(str(error).split())[:120]}).")
    shapes = {array.shape for array in table.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        _refuse(path, f"expected {', '.join(wanted)} on one dimension, got shapes {sorted(shapes)}.")
    if not table["x"].size:
        _refuse(path, "expected at least one sensor, got none.")
    return table, notes


def _check_numbers(path: Path, table: dict[str, np.ndarray], names: tuple[str, ...]) -> None:
    for name in names:
        bad = np.flatnonzero(~np.isfinite(table[name]))
        if bad.size:
            row, value = table["row"][bad[0]], table[name][bad[0]]
            _refuse(path, f"sensor {row:.0f}, {name}: expected a finite number, got {value}. Remove it.")


def _check_errors(path: Path, table: dict[str, np.ndarray]) -> None:
    bad = np.flatnonzero(table["error"] < SMALLEST_ERROR)
    if bad.size:
        got = f"{table['error'][bad[0]]:g}. State a real one."
        least = f"expected a standard deviation of at least {SMALLEST_ERROR:g} m"
        _refuse(path, f"sensor {table['row'][bad[0]]:.0f}, error: {least}, got {got}")


def _check_places(path: Path, table: dict[str, np.ndarray], problem: FlowProblem) -> None:
    west, east, south, north = problem.extent
    outside = (table["x"] < west) | (table["x"] > east) | (table["y"] < south) | (table["y"] > north)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        _refuse(
            path,
            f"sensor {first + 1} at ({table['x'][first]:g}, {table['y'][first]:g}) lies outside the domain x {west:g} to"
            f" {east:g} m, y {south:g} to {north:g} m ({outside.sum()} of {outside.size} do). Same origin and units?",
        )
    active = problem.inside
    dry = [not active[problem.cell_of(*place)] for place in zip(table["x"], table["y"], strict=True)]
    if any(dry):
        first = dry.index(True)
        where = f"({table['x'][first]:g}, {table['y'][first]:g})"
        _refuse(
            path,
            f"sensor {first + 1} at {where} lies in an inactive cell ({sum(dry)} do). Remove it, or mend the outline.",
        )


def _drop_duplicates(path: Path, table: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Keep the first of equal rows; two heads at one place and time are an error."""
    seen: dict[tuple[float, ...], int] = {}
    keep = []
    for index in range(table["x"].size):
        place = tuple(float(table[name][index]) for name in ("x", "y", "time") if name in table)
        first = seen.setdefault(place, index)
        if first == index:
            keep.append(index)
        elif table["head"][first] != table["head"][index]:
            two = [first, index]
            (one, other), heads = table["row"][two], table["head"][two]
            again = CAMPAIGN in table and np.unique(table[CAMPAIGN][two]).size > 1
            steady = ", at different times while the domain says steady flow" if again else ""
            remedy = (
                "Keep one campaign, or means; or describe flow in time (storage, time_steps, initial_head)."
                if again
                else "Keep one, or their mean."
            )
            _refuse(
                path,
                f"sensors {one:.0f} and {other:.0f} are both at ({place[0]:g}, {place[1]:g}) and say"
                f" {heads[0]:g} and {heads[1]:g} m{steady}. {remedy}",
            )
    dropped = table["x"].size - len(keep)
    notes = (f"{dropped} repeated rows left out",) if dropped else ()
    return {name: values[keep] for name, values in table.items()}, notes


def _check_heads(path: Path, table: dict[str, np.ndarray], problem: FlowProblem) -> None:
    """Without sources heads lie between the fixed ones; with sources they lie at least in their neighbourhood."""
    known = problem.boundary_heads
    if problem.transient:
        known = np.append(known, np.ravel(problem.initial_head))
    low, high = float(known.min()), float(known.max())
    sources = (
        np.any(problem.recharge) or problem.wells or any(s.kind == "flux" and np.any(s.value) for s in problem.sides)
    )
    slack = 20 * max(high - low, 1.0) if sources else max(0.1 * (high - low), 5 * float(table["error"].max()))
    middle = float(np.median(table["head"]))
    if not low - slack <= middle <= high + slack:
        _refuse(
            path,
            f"the heads (median {middle:g}) do not fit the fixed heads of the domain ({low:g} to {high:g} m)."
            " Expected metres above the same datum: feet, centimetres or depths instead?",
        )


def _steps(path: Path, table: dict[str, np.ndarray], problem: FlowProblem) -> np.ndarray:
    """Index of the time step that ends at each time."""
    times = table["time"]
    ends = np.cumsum(problem.time_steps)
    step = np.abs(times[:, None] - ends).argmin(1)
    wrong = np.flatnonzero(np.abs(times - ends[step]) > 1e-3 * np.asarray(problem.time_steps)[step])
    if wrong.size:
        _refuse(
            path,
            f"sensor {table['row'][wrong[0]]:.0f}, time: expected the end of a time step ({', '.join(f'{t:g}' for t in ends[:6])} s"
            f"{' ...' if ends.size > 6 else ''}), got {times[wrong[0]]:g}.",
        )
    return step
