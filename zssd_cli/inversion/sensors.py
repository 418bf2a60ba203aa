"""Measured heads from a CSV or NetCDF file, checked before any work is done with them."""

import csv
import re
from pathlib import Path
from typing import NoReturn

import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.inversion.flow import Sensors
from zssd_cli.inversion.problem import FlowProblem

SMALLEST_ERROR = 1e-6
"""Metres; less is a slip, and no arithmetic resolves it."""
COLUMNS = ("x", "y", "head", "error")
METRES = ("m", "metre", "metres", "meter", "meters")
SECONDS = ("s", "sec", "second", "seconds")
_HEADER = re.compile(r"^\s*([^\[(]*?)\s*(?:[\[(]\s*(.*?)\s*[\])])?\s*$")


def read_sensors(path: Path, problem: FlowProblem) -> tuple[Sensors, tuple[str, ...]]:
    """Read sensors and check them against the domain.

    Parameters
    ----------
    path
        CSV with a header, or NetCDF with one-dimensional variables: x, y, head, error [m], and time [s] where the
        problem is transient.
    problem
        The domain.

    Returns
    -------
    Sensors and notes for the user.

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
    table = _read_netcdf(path, wanted) if netcdf else _read_csv(path, wanted)
    _check_numbers(path, table)
    _check_places(path, table, problem)
    table, notes = _drop_duplicates(path, table)
    _check_heads(path, table, problem)
    step = _steps(path, table["time"], problem) if problem.transient else None
    return Sensors(table["x"], table["y"], table["head"], table["error"], step), notes


def _refuse(path: Path, what: str) -> NoReturn:
    msg = f"{path}: {what}"
    raise InputError(msg)


def _check_units(path: Path, name: str, units: str) -> None:
    """Refuse other units than metres (seconds for time): a silent conversion hides mistakes."""
    known = SECONDS if name == "time" else METRES
    if units and units.strip().lower() not in known:
        _refuse(path, f"{name}: expected units {known[0]}, got {units!r}. Convert the file.")


def _check_columns(path: Path, found: list[str], wanted: tuple[str, ...]) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        has = ", ".join(found)[:200] or "nothing"
        _refuse(path, f"expected columns {', '.join(wanted)}, got no {', '.join(missing)}; it has {has}.")
    twice = [name for name in wanted if found.count(name) > 1]
    if twice:
        _refuse(path, f"column {twice[0]} is given twice. Leave one.")


def _read_csv(path: Path, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
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
    _check_columns(path, names, wanted)
    if len(rows) == 1:
        _refuse(path, "expected a row for each sensor, got no rows after the header.")
    for index, row in enumerate(rows[1:], 1):
        if len(row) > len(names):
            _refuse(path, f"sensor {index}: expected {len(names)} columns, got {len(row)} (a decimal comma?).")
    table = {}
    for name in wanted:
        column = names.index(name)
        match = matches[column]
        _check_units(path, name, (match[2] if match else None) or "")
        table[name] = np.array([_number(path, row, column, name, index) for index, row in enumerate(rows[1:], 1)])
    return table


def _number(path: Path, row: list[str], column: int, name: str, index: int) -> float:
    text = row[column].strip() if column < len(row) else ""
    try:
        return float(text)
    except ValueError:
        _refuse(path, f"sensor {index}, {name}: expected a number, got {text[:40]!r}.")


def _read_netcdf(path: Path, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        with xr.open_dataset(path, decode_times=False) as data:
            _check_columns(path, [str(name) for name in data.variables], wanted)
            for name in wanted:
                _check_units(path, name, str(data[name].attrs.get("units", "")))
            table = {name: np.asarray(data[name].values, dtype=np.float64) for name in wanted}
    except (OSError, ValueError, TypeError) as error:
        _refuse(path, f"cannot be read as NetCDF ({' '.join(str(error).split())[:120]}).")
    shapes = {array.shape for array in table.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        _refuse(path, f"expected {', '.join(wanted)} on one dimension, got shapes {sorted(shapes)}.")
    if not table["x"].size:
        _refuse(path, "expected at least one sensor, got none.")
    return table


def _check_numbers(path: Path, table: dict[str, np.ndarray]) -> None:
    for name, values in table.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            _refuse(path, f"sensor {bad[0] + 1}, {name}: expected a finite number, got {values[bad[0]]}. Remove it.")
    bad = np.flatnonzero(table["error"] < SMALLEST_ERROR)
    if bad.size:
        got = f"{table['error'][bad[0]]:g}. State a real one."
        least = f"expected a standard deviation of at least {SMALLEST_ERROR:g} m"
        _refuse(path, f"sensor {bad[0] + 1}, error: {least}, got {got}")


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
            _refuse(
                path,
                f"sensors {first + 1} and {index + 1} are both at ({place[0]:g}, {place[1]:g}) and say"
                f" {table['head'][first]:g} and {table['head'][index]:g} m. Keep one, or their mean.",
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


def _steps(path: Path, times: np.ndarray, problem: FlowProblem) -> np.ndarray:
    """Index of the time step that ends at each time."""
    ends = np.cumsum(problem.time_steps)
    step = np.abs(times[:, None] - ends).argmin(1)
    wrong = np.flatnonzero(np.abs(times - ends[step]) > 1e-3 * np.asarray(problem.time_steps)[step])
    if wrong.size:
        _refuse(
            path,
            f"sensor {wrong[0] + 1}, time: expected the end of a time step ({', '.join(f'{t:g}' for t in ends[:6])} s"
            f"{' ...' if ends.size > 6 else ''}), got {times[wrong[0]]:g}.",
        )
    return step
