"""Paired evaluation: an output against a reanalysis of the same times, beside simple interpolations of it and another output."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.evaluation.alignment import (
    CommonPoints,
    OutputFile,
    cells_within,
    common_points,
    common_times,
    covered_blocks,
    extent,
)
from zssd_cli.evaluation.baselines import BASELINES, TEXTBOOK, textbook_wind
from zssd_cli.evaluation.cellsums import Moment
from zssd_cli.evaluation.groups import CELL_KINDS, make_groups
from zssd_cli.evaluation.options import Options, is_percentile, threshold
from zssd_cli.evaluation.outcome import outcome
from zssd_cli.evaluation.pairedsums import Fields, PairedSums, Stage
from zssd_cli.evaluation.pointwise import Threshold
from zssd_cli.evaluation.resampling import Draws, time_blocks
from zssd_cli.evaluation.results import AGAINST, OURS, WIND_SPEED, Bootstrap, Evaluation
from zssd_cli.evaluation.scenery import Tick, cut, shared_variables
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.grids.regrid import WHOLE, Regrid, separable
from zssd_cli.series.protocol import Series
from zssd_cli.static import load_static

ROUNDING = 1e-9
SAMPLED_TIMES = 8
"""Times of the truth from which a percentile is taken as threshold."""


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
            "point. Pass --paired if its weather follows the reference (nudged, reanalysis-driven or coarsened "
            "reanalysis), or --distributional to compare climates."
        )
        raise InputError(msg)


@dataclass(frozen=True, eq=False)
class Scene:
    """What is scored against what, where and when.

    Attributes
    ----------
    output, against
        What ``zssd downscale`` wrote, and another such file or None.
    reference
        The truth.
    variables
        Canonical names that all hold.
    moments
        Indices of the scored times in output, other output and reference.
    points, blocks
        The scored cells, and the blocks of the baselines or None.
    """

    output: OutputFile
    against: OutputFile | None
    reference: Series
    variables: tuple[str, ...]
    moments: tuple[tuple[int, int, int], ...]
    points: CommonPoints
    blocks: LatLonGrid | None

    @property
    def grid(self) -> LatLonGrid:
        """The scored cells."""
        return self.points.grid

    @cached_property
    def coarsen(self) -> Regrid:
        """Block means of the reference."""
        if self.reference.grid is None or self.blocks is None:
            msg = "no blocks"
            raise ValueError(msg)
        return separable(self.reference.grid, self.blocks, WHOLE)

    @cached_property
    def _against(self) -> tuple[np.ndarray, np.ndarray]:
        if self.against is None:
            msg = "nothing to compare with"
            raise ValueError(msg)
        return cells_within(self.against.grid, self.grid)

    def truth(self, moment: tuple[int, int, int]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """All of the reference (variable, lat, lon), and its variables on the scored cells."""
        raw = self.reference.read(moment[2], moment[2] + 1)[0]
        truth = {n: raw[self.reference.variables.index(n)][np.ix_(*self.points.theirs)] for n in self.variables}
        if {"u10", "v10"} <= set(truth):
            truth[WIND_SPEED] = np.hypot(truth["u10"], truth["v10"])
        return raw, truth

    def fields(self, moment: tuple[int, int, int]) -> tuple[Fields, dict[str, np.ndarray]]:
        """All systems' members and the truth at one time on the scored cells."""
        raw, truth = self.truth(moment)
        fields: Fields = {OURS: cut(self.output, self.variables, moment[0], self.points.ours)}
        if self.against is not None:
            fields[AGAINST] = cut(self.against, self.variables, moment[1], self._against)
        if self.blocks is not None:
            fields |= self._baselines(raw, self.blocks)
        for part in fields.values():
            if {"u10", "v10"} <= set(part):
                part[WIND_SPEED] = np.hypot(part["u10"], part["v10"])
        return fields, truth

    def _baselines(self, raw: np.ndarray, blocks: LatLonGrid) -> Fields:
        """From block means of the reference: interpolations, and the textbook's wind where there is pressure."""
        names, grid = self.reference.variables, self.grid
        coarse = {name: self.coarsen(raw[names.index(name)]) for name in names if name in (*self.variables, "msl")}
        fields: Fields = {
            method: {name: make(coarse[name], blocks, grid)[None].astype(np.float32) for name in self.variables}
            for method, make in BASELINES.items()
        }
        if {"u10", "v10"} <= set(self.variables) and "msl" in coarse:
            wind = textbook_wind(coarse["msl"], blocks, grid)[:, None].astype(np.float32)
            fields[TEXTBOOK] = {"u10": wind[0], "v10": wind[1]}
        return fields


def evaluate_paired(
    output: OutputFile,
    reference: Series,
    name: str,
    scale: float | None = None,
    on_time: Tick | None = None,
    *,
    against: OutputFile | None = None,
    options: Options | None = None,
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
    against
        Another output, scored on the same points and times.
    options
        All other settings.

    Returns
    -------
    Scores over the cells inside blocks that the reference covers wholly.

    Raises
    ------
    InputError
        No common variable, time or point.
    """
    options = options or Options()
    scene, notes = _scene(output, against, reference, name, scale if scale is not None else options.scale)
    times = [output.times[ours] for ours, _, _ in scene.moments]
    blocks = time_blocks(times, options.block_days)
    draws = Draws(options.replicates if blocks.count > 1 else 0, options.seed)
    static = load_static() if set(options.by) & set(CELL_KINDS) else None
    groups = make_groups(scene.grid, times, options.by, options.regions, static)
    stage = Stage(scene.grid, groups, draws.of(0), _thresholds(scene, options))
    sums = PairedSums(stage)
    with closing(sums), ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(scene.fields, scene.moments[0])
        for done, (time, block) in enumerate(zip(times, blocks.number, strict=True), 1):
            fields = coming.result()
            if done < len(times):
                coming = ahead.submit(scene.fields, scene.moments[done])
            sums.add(*fields, Moment(draws.of(block), groups.of(time), (options.seed, done)))
            if on_time is not None:
                on_time(done, len(times))
    if not any(one.cells for one in sums.variables.values()):
        msg = f"{name}: no cell is present in both output and reference. Check their missing values."
        raise InputError(msg)
    made = Bootstrap(draws.replicates, blocks.count, blocks.words)
    notes += [*_interval_notes(made, options.replicates), *_gap_notes(sums)]
    shown = None if scene.blocks is None else scale if scale is not None else options.scale or output.filter_scale
    return outcome(sums, output, against, made, options, len(times), extent(scene.grid), shown, tuple(notes))


def _interval_notes(made: Bootstrap, asked: int) -> Iterator[str]:
    if asked and made.blocks < 2:
        yield f"All times lie within {made.block}: no intervals. They need times far enough apart to differ."
    elif asked and made.blocks < 10:
        yield f"Intervals come from {made.blocks} blocks of {made.block} only: take them as a hint."


def _gap_notes(sums: PairedSums) -> Iterator[str]:
    """What was scored in part, because the reference or an output lacks values there or an interpolation of it does."""
    shares = {name: one.scored / one.offered for name, one in sums.variables.items()}
    told = ", ".join(f"{name} {share:.2%}" for name, share in shares.items() if share < 1 - ROUNDING)
    if told:
        yield f"Scored where all have values, of area and times: {told}. Spectra leave out parallels with gaps."


def _scene(
    output: OutputFile, against: OutputFile | None, reference: Series, name: str, scale: float | None
) -> tuple[Scene, list[str]]:
    """What all have in common, and notes on what they have not."""
    variables = shared_variables(output, reference, against, name)
    if reference.grid is None:
        msg = f"{name}: expected the 0.25 degree latitude-longitude grid, got another kind of grid. Regrid it first."
        raise InputError(msg)
    pairs = common_times(output.times, reference.times)
    moments = tuple((ours, 0, theirs) for ours, theirs in pairs)
    if against is not None:
        other = dict(common_times(output.times, against.times))
        moments = tuple((ours, other[ours], theirs) for ours, theirs in pairs if ours in other)
        if not moments:
            msg = (
                f"{against.path}: none of its times is in both {output.path} and {name}. Give files of the same times."
            )
            raise InputError(msg)
    points, blocks, notes = _scored_points(output, against, reference.grid, name, scale or output.filter_scale)
    if absent := [v for v in output.variables if v not in variables]:
        where = "reference" if against is None else "reference and in the other output"
        notes.append(f"Not in the {where}, so not scored: {', '.join(absent)}.")
    if len(moments) < len(output.times):
        left = len(output.times) - len(moments)
        where = "the reference" if against is None else "the reference or the other output"
        notes.append(f"{left} of the output's {len(output.times)} times are not in {where}.")
    return Scene(output, against, reference, variables, moments, points, blocks), notes


def _scored_points(
    output: OutputFile, against: OutputFile | None, reference: LatLonGrid, name: str, scale: float | None
) -> tuple[CommonPoints, LatLonGrid | None, list[str]]:
    """Common cells, cut to whole blocks of the reference where there are such; else no blocks and a note."""
    points = common_points(output.grid, reference, name)
    if against is not None:
        shared = common_points(points.grid, against.grid, against.path).grid
        points = CommonPoints(shared, cells_within(output.grid, shared), cells_within(reference, shared))
    if scale is None:
        return points, None, ["The output does not tell its filter scale: no baselines. Pass --scale."]
    blocks = covered_blocks(reference, scale)
    inside = points.within(blocks) if blocks is not None else None
    if inside is None:
        return points, None, [f"The reference covers no whole block of {scale:g} degree there: no baselines."]
    return inside, blocks, []


def _thresholds(scene: Scene, options: Options) -> dict[str, Threshold]:
    """Those of the scored variables; percentiles are taken from up to eight times of the truth."""
    known = (*scene.variables, *([WIND_SPEED] if {"u10", "v10"} <= set(scene.variables) else []))
    chosen: Mapping[str, str] = {name: text for name, text in options.thresholds.items() if name in known}
    wanted = {name: float(text[2:]) for name, text in chosen.items() if is_percentile(text)}
    values: dict[str, dict[float, float]] = {}
    if wanted:
        picked = np.unique(np.linspace(0, len(scene.moments) - 1, SAMPLED_TIMES).astype(int))
        sample = [scene.truth(scene.moments[k])[1] for k in picked]
        for name, level in wanted.items():
            values[name] = {level: float(np.nanpercentile(np.stack([truth[name] for truth in sample]), level))}
    return {name: threshold(text, values.get(name)) for name, text in chosen.items()}
