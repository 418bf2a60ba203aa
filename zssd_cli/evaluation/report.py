"""Paired evaluation: an output against a reanalysis of the same times, beside simple interpolations of it."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, get_type_hints

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from zssd_cli import __version__
from zssd_cli.errors import ConfigError, InputError
from zssd_cli.evaluation.alignment import CommonPoints, OutputFile, common_points, common_times, covered_blocks, extent
from zssd_cli.evaluation.baselines import BASELINES, TEXTBOOK, textbook_wind
from zssd_cli.evaluation.scores import Scores, ScoreSums
from zssd_cli.evaluation.spectra import WAVEBANDS, SpectrumSums, WavelengthBins, decibels, log_spectral_distance
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.grids.regrid import WHOLE, separable
from zssd_cli.series.protocol import Series

OURS = "zssd"
TRUTH = "reference"
WIND_SPEED = "wind_speed"

Fields = dict[str, dict[str, np.ndarray]]
"""Method, variable -> (member, lat, lon)."""


@dataclass(frozen=True)
class Row:
    """Scores of one variable and one method.

    ``lsd`` is the log spectral distance in dB and ``bands`` the mean power against the truth's in dB in the bands
    1-2, 2-4 and 4-10 degrees of great circle.
    """

    variable: str
    units: str
    method: str
    observed: bool
    scores: Scores
    lsd: float
    bands: tuple[float, ...]


@dataclass(frozen=True)
class Spectra:
    """Mean power density of one variable by wavelength in degrees, per method and of the truth."""

    variable: str
    units: str
    wavelength: np.ndarray
    power: dict[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """Everything that a report shows."""

    rows: tuple[Row, ...]
    spectra: tuple[Spectra, ...]
    times: int
    members: int
    points: int
    extent: str
    scale: float | None
    notes: tuple[str, ...] = field(default=())


def choose_variables(output: OutputFile, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """The variables to score, None for all; a :class:`ConfigError` where the output lacks one, or none is named."""
    if wanted == ():
        msg = f"--vars: expected some of {', '.join(output.variables)}, got none. Leave it out to score all."
        raise ConfigError(msg)
    absent = [name for name in wanted or () if name not in output.variables]
    if absent:
        msg = (
            f"{output.path}: no {', '.join(absent)}, it holds {', '.join(output.variables)}. Choose among these "
            "with --vars."
        )
        raise ConfigError(msg)
    return wanted or output.variables


def check_paired(output: OutputFile, paired: bool) -> None:
    """Refuse point-by-point scores of a free-running model, unless the user vouches for the times."""
    if output.source_id and not paired:
        msg = (
            f"{output.path}: made from {output.source_id}; a free-running climate model cannot be scored point by "
            "point. "
            "Pass --paired if its weather follows the reference (nudged, reanalysis-driven or coarsened reanalysis)."
        )
        raise InputError(msg)


def evaluate_paired(
    output: OutputFile,
    reference: Series,
    name: str,
    scale: float | None = None,
    on_time: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score an output and the baselines on the same points and times.

    Parameters
    ----------
    output
        What ``zssd downscale`` wrote.
    reference
        The truth on the 0.25 degree grid; may cover more or less than the output in space and time.
    name
        How to call the reference in messages.
    scale
        Side of the blocks in degrees that the baselines start from; None for the output's own filter scale.
    on_time
        Called with (done, all) after every time.

    Returns
    -------
    Scores over the cells inside blocks that the reference covers wholly.

    Raises
    ------
    InputError
        No common variable, time or point.
    """
    variables = tuple(v for v in output.variables if v in reference.variables)
    if not variables:
        msg = (
            f"{name}: expected one of {', '.join(output.variables)}, got {', '.join(reference.variables) or 'nothing'}."
        )
        raise InputError(msg)
    if reference.grid is None:
        msg = f"{name}: expected the 0.25 degree latitude-longitude grid, got another kind of grid. Regrid it first."
        raise InputError(msg)
    scale = scale if scale is not None else output.filter_scale
    pairs = common_times(output.times, reference.times)
    points, blocks, notes = _scored_points(output, reference.grid, name, scale)
    sums = _Sums(points.grid)
    for done, when in enumerate(pairs, 1):
        sums.add(*_fields(output, reference, variables, when, points, blocks))
        if on_time is not None:
            on_time(done, len(pairs))
    rows, spectra = sums.results(output)
    if not rows:
        msg = f"{name}: no cell is present in both output and reference. Check their missing values."
        raise InputError(msg)
    if absent := [v for v in output.variables if v not in variables]:
        notes.append(f"Not in the reference, so not scored: {', '.join(absent)}.")
    if len(pairs) < len(output.times):
        notes.append(
            f"{len(output.times) - len(pairs)} of the output's {len(output.times)} times are not in the reference."
        )
    size = points.grid.shape[0] * points.grid.shape[1]
    shown = scale if blocks is not None else None
    return Evaluation(rows, spectra, len(pairs), output.members, size, extent(points.grid), shown, tuple(notes))


def _scored_points(
    output: OutputFile, reference: LatLonGrid, name: str, scale: float | None
) -> tuple[CommonPoints, LatLonGrid | None, list[str]]:
    """Common cells, cut to whole blocks of the reference where there are such; else no blocks and a note."""
    points = common_points(output.grid, reference, name)
    if scale is None:
        return points, None, ["The output does not tell its filter scale: no baselines. Pass --scale."]
    blocks = covered_blocks(reference, scale)
    inside = points.within(blocks) if blocks is not None else None
    if inside is None:
        return points, None, [f"The reference covers no whole block of {scale:g} degree there: no baselines."]
    return inside, blocks, []


def _fields(
    output: OutputFile,
    reference: Series,
    variables: tuple[str, ...],
    when: tuple[int, int],
    points: CommonPoints,
    blocks: LatLonGrid | None,
) -> tuple[Fields, dict[str, np.ndarray]]:
    """All methods' members and the truth at one time on the common points."""
    raw = reference.read(when[1], when[1] + 1)[0]
    fields: Fields = {OURS: {}, **{method: {} for method in BASELINES if blocks is not None}}
    truth = {}
    for name in variables:
        whole = raw[reference.variables.index(name)]
        truth[name] = whole[np.ix_(*points.theirs)]
        rows, columns = points.ours
        fields[OURS][name] = output.read(name, when[0])[:, rows[:, None], columns[None, :]]
        if blocks is not None and reference.grid is not None:
            coarse = separable(reference.grid, blocks, WHOLE)(whole)
            for method, interpolate in BASELINES.items():
                fields[method][name] = interpolate(coarse, blocks, points.grid)[None].astype(np.float32)
    if {"u10", "v10"} <= set(variables):
        if blocks is not None and reference.grid is not None and "msl" in reference.variables:
            coarse = separable(reference.grid, blocks, WHOLE)(raw[reference.variables.index("msl")])
            wind = textbook_wind(coarse, blocks, points.grid)[:, None].astype(np.float32)
            fields[TEXTBOOK] = {"u10": wind[0], "v10": wind[1]}
        for part in fields.values():
            part[WIND_SPEED] = np.hypot(part["u10"], part["v10"])
        truth[WIND_SPEED] = np.hypot(truth["u10"], truth["v10"])
    return fields, truth


class _Sums:
    """Scores and spectra of every variable and method, accumulated over times."""

    def __init__(self, grid: LatLonGrid) -> None:
        self._area = grid.area
        self._bins = WavelengthBins(grid)
        self._scores: dict[tuple[str, str], ScoreSums] = {}
        self._spectra: dict[tuple[str, str], SpectrumSums] = {}

    def add(self, fields: Fields, truth: dict[str, np.ndarray]) -> None:
        """One time; a cell counts where every method has a value."""
        for name, y in truth.items():
            finite = np.isfinite(y)
            methods = {method: part[name] for method, part in fields.items() if name in part}
            for members in methods.values():
                finite &= np.isfinite(members).all(0)
            weights = np.where(finite, self._area, 0.0)
            gaps = np.where(finite, 0.0, np.nan).astype(np.float32)
            for method, members in methods.items():
                self._scores.setdefault((name, method), ScoreSums()).add(members, y, weights)
                self._spectra.setdefault((name, method), SpectrumSums(self._bins)).add(members + gaps)
            self._spectra.setdefault((name, TRUTH), SpectrumSums(self._bins)).add(y[None] + gaps)

    def results(self, output: OutputFile) -> tuple[tuple[Row, ...], tuple[Spectra, ...]]:
        """Rows by variable, then method; variables without a single cell are left out."""
        rows: list[Row] = []
        spectra: dict[str, Spectra] = {}
        for (name, method), sums in self._scores.items():
            scores = sums.result()
            if math.isnan(scores.mae):
                continue
            parts = ("u10", "v10") if name == WIND_SPEED else (name,)
            units = output.units[parts[0]]
            power, bands = self._spectra[name, method].result()
            truth, truth_bands = self._spectra[name, TRUTH].result()
            decibel = tuple(decibels(bands, truth_bands).tolist())
            seen = all(output.observed[part] for part in parts)
            rows.append(Row(name, units, method, seen, scores, log_spectral_distance(power, truth), decibel))
            shown = spectra.setdefault(name, Spectra(name, units, self._bins.centres, {TRUTH: truth}))
            shown.power[method] = power
        return tuple(rows), tuple(spectra.values())


def _columns() -> tuple[tuple[str, Callable[[Row], float]], ...]:
    """Headings of the table and what stands below: the scores that have a heading, and the spectral distance."""

    def column(name: str) -> Callable[[Row], float]:
        return lambda row: getattr(row.scores, name)

    hints = get_type_hints(Scores, include_extras=True)
    named = [(kind.__metadata__[0], column(name)) for name, kind in hints.items() if hasattr(kind, "__metadata__")]
    return (*named, ("LSD\ndB", lambda row: row.lsd))


COLUMNS = _columns()


def number(value: float) -> str:
    """Three significant digits, an exponent only beyond what a column holds, a dash for NaN."""
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 1e5:
        return f"{value:.0e}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def plural(count: int, noun: str) -> str:
    """``1 time``, ``2 times``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def as_table(evaluation: Evaluation) -> Table:
    """The report for a terminal of 80 columns: a row per variable and method, the output's own rows in bold."""
    blocks = f", baselines from {evaluation.scale:g} degree blocks" if evaluation.scale else ""
    counts = f"{plural(evaluation.times, 'time')}, {plural(evaluation.members, 'member')}"
    hidden = any(not row.observed for row in evaluation.rows)
    table = Table(
        title=f"Paired scores: {counts}, {evaluation.extent}{blocks}",
        caption="* inferred: not in the coarse input" if hidden else None,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", no_wrap=True)
    for header, _ in COLUMNS:
        table.add_column(header, justify="right", no_wrap=True)
    previous = None
    for row in evaluation.rows:
        if row.variable != previous:
            table.add_section()
            table.add_row(Text(f"{row.variable}{'' if row.observed else '*'} [{row.units}]", style="italic"))
        previous = row.variable
        cells = [number(value(row)) for _, value in COLUMNS]
        table.add_row(f"  {row.method}", *cells, style="bold" if row.method == OURS else None)
    return table


def as_dict(evaluation: Evaluation, **extra: Any) -> dict[str, Any]:  # noqa: ANN401
    """The report for machines: the table's numbers and the spectra; NaN becomes None."""
    report = {
        "kind": "paired",
        "zssd_version": __version__,
        **extra,
        **{key: getattr(evaluation, key) for key in ("times", "members", "points", "extent", "scale", "notes")},
        "scores": [
            {
                "variable": r.variable,
                "units": r.units,
                "method": r.method,
                "observed": r.observed,
                **asdict(r.scores),
                "lsd_db": r.lsd,
            }
            | {
                f"power_{low:g}_{high:g}_degree_db": value
                for (low, high), value in zip(WAVEBANDS, r.bands, strict=True)
            }
            for r in evaluation.rows
        ],
        "spectra": [
            {
                "variable": s.variable,
                "wavelength_degree": s.wavelength.tolist(),
                "power": {k: v.tolist() for k, v in s.power.items()},
            }
            for s in evaluation.spectra
        ],
    }
    return _without_nan(report)


def _without_nan(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
