"""Distributional evaluation: the climate of an output beside that of a reanalysis. The two need not share a single time.

Interpolations start from the block means of the output's own first member, which are those of the input that it was made of, so
they are there for observed variables only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cftime
import numpy as np

from zssd_cli.errors import InputError
from zssd_cli.evaluation.alignment import CommonPoints, OutputFile, common_points, covered_blocks, extent
from zssd_cli.evaluation.baselines import BASELINES, TEXTBOOK, textbook_wind
from zssd_cli.evaluation.cellsums import Moment
from zssd_cli.evaluation.climate_sums import ClimateSums, coverage_notes
from zssd_cli.evaluation.groups import CELL_KINDS, Groups, make_groups
from zssd_cli.evaluation.histograms import Binning
from zssd_cli.evaluation.mapping import NAME as MAPPED
from zssd_cli.evaluation.mapping import QuantileMap
from zssd_cli.evaluation.options import Options
from zssd_cli.evaluation.pairedsums import Stage
from zssd_cli.evaluation.resampling import Blocks, Draws, time_blocks
from zssd_cli.evaluation.results import OURS, TRUTH, WIND_SPEED, Bootstrap, Evaluation
from zssd_cli.evaluation.scenery import Tick, cut, shared_variables
from zssd_cli.evaluation.summary import summary
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.grids.regrid import WHOLE, Regrid, separable
from zssd_cli.series.protocol import Series
from zssd_cli.static import load_static

YARDSTICK = "bilinear"
WINDS = ("u10", "v10")


@dataclass(eq=False)
class Climates:
    """An output and a reference over the same cells, and what is summed of them."""

    output: OutputFile
    reference: Series
    variables: tuple[str, ...]
    points: CommonPoints
    blocks: LatLonGrid | None
    stage: Stage
    binnings: dict[str, Binning] = field(default_factory=dict)
    sums: dict[str, ClimateSums] = field(default_factory=dict)

    @cached_property
    def given(self) -> tuple[str, ...]:
        """Variables that the coarse input held everywhere."""
        return tuple(n for n in self.variables if self.output.observed[n] and n not in self.output.shares)

    @cached_property
    def _coarsen(self) -> Regrid:
        if self.blocks is None:
            msg = "no blocks"
            raise ValueError(msg)
        return separable(self.output.grid, self.blocks, WHOLE)

    def of_reference(self, index: int) -> dict[str, np.ndarray]:
        """Fields (1, lat, lon) of the reference."""
        raw, names = self.reference.read(index, index + 1)[0], self.reference.variables
        return with_speed({n: raw[names.index(n)][np.ix_(*self.points.theirs)][None] for n in self.variables})

    def of_output(self, index: int) -> dict[str, dict[str, np.ndarray]]:
        """Fields (member, lat, lon) of the output and the interpolations."""
        fields = {OURS: cut(self.output, self.variables, index, self.points.ours)}
        if self.blocks is not None:
            coarse = {name: self._coarsen(self.output.read(name, index)[0]) for name in self.given}
            for method, make in BASELINES.items():
                fields[method] = {
                    n: make(means, self.blocks, self.points.grid)[None].astype(np.float32)
                    for n, means in coarse.items()
                }
            if "msl" in coarse and not set(WINDS) <= set(coarse) and set(WINDS) <= set(self.variables):
                wind = textbook_wind(coarse["msl"], self.blocks, self.points.grid)[:, None].astype(np.float32)
                fields[TEXTBOOK] = {"u10": wind[0], "v10": wind[1]} | {"msl": fields["bicubic"]["msl"]}
        return {system: with_speed(part) for system, part in fields.items() if part}

    def add(self, system: str, fields: dict[str, np.ndarray], time: cftime.datetime, when: Moment) -> None:
        """One time of one system."""
        self.sums.setdefault(system, ClimateSums(self.stage, self.binnings)).add(fields, time, when)

    def maps(self) -> dict[str, QuantileMap]:
        """Quantile maps from interpolated input to the reference."""
        ours, theirs = self.sums.get(YARDSTICK), self.sums[TRUTH]
        if ours is None:
            return {}
        return {
            name: QuantileMap(source, theirs.distributions[name], self.stage.maps)
            for name, source in ours.distributions.items()
            if name in theirs.distributions and name != WIND_SPEED
        }


def with_speed(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The fields, and the wind's speed where both components are there."""
    return fields | ({WIND_SPEED: np.hypot(*(fields[n] for n in WINDS))} if set(WINDS) <= set(fields) else {})


def evaluate_distributional(
    output: OutputFile, reference: Series, name: str, options: Options | None = None, on_time: Tick | None = None
) -> Evaluation:
    """Compare climates.

    Parameters
    ----------
    output
        What ``zssd downscale`` wrote.
    reference
        A reanalysis on the 0.25 degree grid, of any times.
    name
        How to call it in messages.
    options
        Settings.
    on_time
        Called with (done, all) after every time that was read.

    Returns
    -------
    Quantiles, Wasserstein distances, spectra, cycles and maps, with intervals over resampled times of both.

    Raises
    ------
    InputError
        No common variable or point.
    """
    options = options or Options()
    climates, groups, notes = _climates(output, reference, name, options)
    resampled = [time_blocks(times, options.block_days) for times in (reference.times, output.times)]
    replicates = climates.stage.draws.size - 1
    together = not output.source_id and bool(set(resampled[0].number) & set(resampled[1].number))
    seeds = options.seed, options.seed if together else options.seed + 1000
    draws = [Draws(replicates, seed, alone=b.count < 2) for seed, b in zip(seeds, resampled, strict=True)]
    count = len(reference.times) + len(output.times) * (2 if climates.blocks is not None and climates.given else 1)
    for done, _ in enumerate(_steps(climates, groups, resampled, draws, options.seed), 1):
        if on_time is not None:
            on_time(done, count)
    if not set(climates.sums[OURS].distributions) & set(climates.sums[TRUTH].distributions):
        msg = f"{name}: no cell is present in both output and reference. Check their missing values."
        raise InputError(msg)
    made = Bootstrap(replicates, min(blocks.count for blocks in resampled), resampled[1].words)
    notes += _interval_notes(options, resampled)
    notes += coverage_notes(output.times, reference.times)
    where, count = extent(climates.points.grid), len(reference.times)
    return summary(climates.sums, output, made, options, count, where, tuple(notes), together=together)


def _interval_notes(options: Options, resampled: Sequence[Blocks]) -> list[str]:
    notes = []
    for side, blocks in zip(("reference", "output"), resampled, strict=True):
        if options.replicates and blocks.count < 2:
            notes.append(
                f"All times of the {side} lie within {blocks.words}: intervals know nothing of its other times."
            )
        elif options.replicates and blocks.count < 10:
            notes.append(f"The {side} has {blocks.count} blocks of {blocks.words} only: take the intervals as a hint.")
    return notes


def _climates(output: OutputFile, reference: Series, name: str, options: Options) -> tuple[Climates, Groups, list[str]]:
    variables = shared_variables(output, reference, None, name)
    grid = reference.grid
    if grid is None:
        msg = f"{name}: expected the 0.25 degree latitude-longitude grid, got another kind of grid. Regrid it first."
        raise InputError(msg)
    points, notes = common_points(output.grid, grid, name), []
    scale = options.scale if options.scale is not None else output.filter_scale
    blocks = covered_blocks(output.grid, scale) if scale is not None else None
    inside = points.within(blocks) if blocks is not None else None
    points = inside or points
    if inside is None:
        blocks = None
        notes.append("The output tells no filter scale that it covers blocks of: no baselines. Pass --scale.")
    if absent := [v for v in output.variables if v not in variables]:
        notes.append(f"Not in the reference, so not compared: {', '.join(absent)}.")
    static = load_static() if set(options.by) & set(CELL_KINDS) else None
    groups = make_groups(points.grid, (*output.times, *reference.times), options.by, options.regions, static)
    single = all(time_blocks(times, options.block_days).count < 2 for times in (output.times, reference.times))
    stage = Stage(points.grid, groups, np.ones(1 if single else 1 + options.replicates), {})
    return Climates(output, reference, variables, points, blocks, stage), groups, notes


def _steps(
    climates: Climates, groups: Groups, blocks: Sequence[Blocks], draws: Sequence[Draws], seed: int
) -> Iterator[None]:
    """Read and add: the reference, the output, and once more the output for the quantile mapping."""

    def moment(side: int, k: int, time: cftime.datetime) -> Moment:
        return Moment(draws[side].of(blocks[side].number[k]), groups.of(time), (seed, k))

    for k, time in enumerate(climates.reference.times):
        climates.add(TRUTH, climates.of_reference(k), time, moment(0, k, time))
        yield
    for k, time in enumerate(climates.output.times):
        for system, fields in climates.of_output(k).items():
            climates.add(system, fields, time, moment(1, k, time))
        yield
    maps = climates.maps()
    for k, time in enumerate(climates.output.times) if maps else ():
        fields = climates.of_output(k)[YARDSTICK]
        mapped = {name: maps[name](fields[name]) for name in fields if name in maps}
        climates.add(MAPPED, with_speed(mapped), time, moment(1, k, time))
        yield
