"""What a set of files holds, as it was understood and from which evidence: the page of ``zssd inspect``."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zssd_cli.defaults import FILTER_SCALE
from zssd_cli.defaults import VARIABLES as VARIABLES_OUT
from zssd_cli.errors import ConfigError, InputError
from zssd_cli.grids.cells import Cells
from zssd_cli.grids.extent import cell_width, common_region, covered_region, describe_cells, scale_for
from zssd_cli.series.coverage import coverage, spans
from zssd_cli.series.interval import DAILY
from zssd_cli.series.reading import Source
from zssd_cli.series.units import line
from zssd_cli.times import format_time
from zssd_cli.variables import VARIABLES
from zssd_cli.watchdog import watched

REFUSED = "cannot be used"
"""How a problem begins that stops zssd downscale."""
GUIDING = (*VARIABLES_OUT, "si10")
"""What guides the default prior."""


@dataclass(frozen=True)
class VariableFacts:
    """One variable as it was understood.

    Attributes
    ----------
    name, array
        Canonical name, and the name in the files.
    evidence
        Why the array is the variable.
    files, times
        How many there are.
    units, conversion
        Units of the file, and how they become canonical ones.
    cells
        Kind, size and place of its grid.
    width
        Typical side of a cell in degrees.
    interval, interval_evidence
        Over which time fields are averaged, and from what that was taken.
    read
        Times whose fields were read for what follows.
    minimum, mean, maximum
        Over those, canonical units; None without any value. The mean is not weighted.
    plausible
        Range of plausible values.
    missing
        Share of the cells without a value.
    """

    name: str
    array: str
    evidence: str
    files: int
    times: int
    units: str
    conversion: str
    cells: str
    width: float
    interval: str
    interval_evidence: str
    read: int
    minimum: float | None
    mean: float | None
    maximum: float | None
    plausible: tuple[float, float]
    missing: float


@dataclass(frozen=True)
class Inspection:
    """All that was understood.

    Attributes
    ----------
    files
        As given.
    origin
        Model, experiment, member and the like, where the files say.
    variables
        What was found.
    calendar, first, last, step, gaps
        The times that all variables share; step and gaps in words.
    notes
        What was not as it should be, and how it was taken.
    problems
        What ``zssd downscale`` refuses, with what to do.
    doubts
        Impossible fields among those that were read.
    command
        What would downscale the files; "" where nothing can.
    """

    files: tuple[str, ...]
    origin: dict[str, str] = field(default_factory=dict)
    variables: tuple[VariableFacts, ...] = ()
    calendar: str = ""
    times: int = 0
    first: str = ""
    last: str = ""
    step: str = ""
    gaps: str = ""
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    command: str = ""
    header: dict[str, list[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def inspect_source(
    source: Source, files: Sequence[str], *, thorough: bool = False, tick: Callable[[], None] = lambda: None
) -> Inspection:
    """Look at an opened series.

    Parameters
    ----------
    source
        All variables that the files hold.
    files
        As the user typed them.
    thorough
        Read every field, not three of each variable.
    tick
        Called after every field.
    """
    count = len(source.times)
    positions = range(count) if thorough else _some(count)
    problems: list[str] = []
    facts = tuple(_facts(source, name, positions, problems, tick) for name in source.variables)
    rows = {row.variable: row for row in coverage(source)}
    step = next((row.step for row in rows.values() if row.step is not None), None)
    gaps = next((spans(row.gaps, row.step) for row in rows.values() if row.gaps), "")
    if source.averaging is not None:
        remedy = "--subdaily 6h to draw some that keep the daily means, or " if source.kind == DAILY else ""
        problems.append(
            f"{source.averaging}: zssd downscale asks for moments; pass {remedy}--any-frequency to go on all the same"
        )
    command = ""
    try:
        command = _command(source, files, facts)
    except ConfigError as error:
        problems.append(f"{REFUSED}: {error}")
    return Inspection(
        files=tuple(files),
        origin={key: value for key, value in source.attributes.items() if key not in ("history", "source_files")},
        variables=facts,
        calendar=source.calendar,
        times=count,
        first=format_time(source.times[0]),
        last=format_time(source.times[-1]),
        step="" if step is None else f"{step.total_seconds() / 3600:g} h",
        gaps=gaps,
        notes=source.notes,
        problems=tuple(problems),
        doubts=source.doubts,
        command=command,
    )


def steps_of(source: Source, *, thorough: bool) -> int:
    """How often :func:`inspect_source` calls its tick."""
    count = len(source.times)
    return len(source.variables) * (count if thorough else len(_some(count)))


def _some(count: int) -> list[int]:
    """The first two times, the middle and the last."""
    return sorted({0, min(1, count - 1), count // 2, count - 1})


def _facts(
    source: Source, name: str, positions: Sequence[int], problems: list[str], tick: Callable[[], None]
) -> VariableFacts:
    variable, facts = VARIABLES[name], source.facts(name)
    low, high, total, seen, cells = np.inf, -np.inf, 0.0, 0, 0
    read = 0
    for position in positions:
        try:
            values = source.fields(name, position, position + 1).astype(np.float64)
        except InputError as error:
            problems.append(f"{REFUSED}: {error}")
        else:
            valid = values[np.isfinite(values)]
            low, high = min(low, float(valid.min())), max(high, float(valid.max()))
            total, seen, cells, read = total + float(valid.sum()), seen + valid.size, cells + values.size, read + 1
        tick()
    interval = facts.interval
    return VariableFacts(
        name=name,
        array=facts.array,
        evidence=facts.why,
        files=facts.files,
        times=facts.times,
        units=facts.units,
        conversion=_conversion(*line(facts.units, variable)),
        cells=_cells(source.cells[name]),
        width=round(cell_width(source.cells[name]), 4),
        interval=_interval(interval.hours, interval.kind if interval.hours else "", interval.name),
        interval_evidence=interval.said,
        read=read,
        minimum=low if seen else None,
        mean=total / seen if seen else None,
        maximum=high if seen else None,
        plausible=(variable.minimum, variable.maximum),
        missing=round(1 - seen / cells, 6) if cells else 1.0,
    )


def _interval(hours: float | None, kind: str, name: str | None) -> str:
    if hours is None:
        return f"every {name}" if name else "not told"
    return "moments" if hours == 0 else f"{kind} means"


def _conversion(scale: float, offset: float) -> str:
    if (scale, offset) == (1.0, 0.0):
        return "as it is"
    return f"times {scale:.8g}" + (f" plus {offset:.8g}" if offset else "")


def _cells(cells: Cells) -> str:
    if cells.grid is not None:
        rows, columns = cells.grid.shape
        steps = np.diff(cells.grid.lat)
        kind = "regular" if steps.size < 2 or np.ptp(steps) < 1e-3 * steps.mean() else "rectilinear"
        kind += ", all round" if cells.grid.circular else ", regional"
        return f"{kind}, {rows} x {columns}, {describe_cells(cells)}"
    shape = cells.points.lat.shape if cells.points is not None else ()
    kind = "curvilinear" if len(shape) == 2 else "unstructured"
    return f"{kind}, {' x '.join(map(str, shape))}, {describe_cells(cells)}"


def _command(source: Source, files: Sequence[str], facts: Sequence[VariableFacts]) -> str:
    guiding = [one for one in facts if one.name in GUIDING]
    widest = max((one.width for one in guiding), default=np.inf)
    scale = scale_for(widest, FILTER_SCALE)
    if scale is None:
        msg = f"nothing here guides the default prior, which takes {', '.join(GUIDING)} on cells of at most 10 degrees"
        raise ConfigError(msg)
    common_region([covered_region(source.cells[one.name], scale) for one in guiding])
    words = ["zssd", "downscale", *files, "--vars", ",".join(VARIABLES_OUT)]
    words += ["--filter-scale", f"{scale:g}"] if scale != FILTER_SCALE else []
    if source.averaging is not None:
        words += ["--subdaily", "6h"] if source.kind == DAILY else ["--any-frequency"]
    return shlex.join([*words, "-o", "out.nc"])


def headers(files: Sequence[Path]) -> dict[str, list[str]]:
    """For files that were not understood: their variables with dimensions and units, as far as they can be opened."""
    import xarray as xr  # noqa: PLC0415

    found: dict[str, list[str]] = {}
    for path in files:
        try:
            with watched(path), xr.open_dataset(path, decode_times=False, engine="netcdf4") as dataset:
                found[str(path)] = [
                    f"{name}({', '.join(map(str, array.dims))}) {array.attrs.get('units', '')}".strip()
                    for name, array in dataset.variables.items()
                ][:40]
        except (OSError, ValueError):
            found[str(path)] = []
    return found
