"""What must fit together before anything is read: series that are fitted, and a file with the run that it adjusts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import cftime
import numpy as np

from zssd_cli.debias.calibration import Calibration, load
from zssd_cli.debias.seasons import Seasons
from zssd_cli.errors import ConfigError, InputError
from zssd_cli.grids.extent import SLACK, cell_width, common_region, covered_region, scale_for
from zssd_cli.grids.latlon import LatLonGrid, Region
from zssd_cli.posterior.domain import make_domain
from zssd_cli.series.interval import DAILY
from zssd_cli.series.protocol import CoarseSeries
from zssd_cli.times import format_time

FEW_YEARS = 20
"""Fewer make quantiles of a season uncertain."""
UNEVEN = 1.25
"""Ratio of the shares of a series' times in a part of the year from which on its distribution there is taken for another."""
ADJUSTED = "bias_adjustment"
"""Attribute of a source that says that it was adjusted already."""


class Series(CoarseSeries, Protocol):
    """A series, and what was asked for in vain."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Canonical names asked for that no file holds."""


def period(times: Sequence[cftime.datetime]) -> str:
    """First and last day."""
    return "/".join(format_time(time).partition("T")[0] for time in (times[0], times[-1]))


def check(series: Mapping[str, Series]) -> list[str]:
    """Refuse series that must not be compared; notes on those that are doubtful.

    Raises
    ------
    InputError
        A variable that one of them lacks, intervals of different kinds, an adjusted run, runs of two models.
    """
    reference, historical = series["reference"], series["historical"]
    for name, one in series.items():
        if one.missing:
            msg = f"--{name}: {', '.join(one.missing)} not found there; give files that hold it, or leave it out of --vars."
            raise InputError(msg)
        if one.kind != historical.kind:
            msg = (
                f"--{name} holds {one.averaging or one.kind}, --historical {historical.kind}; distributions of different "
                "intervals differ without any bias. Give files of one kind."
            )
            raise InputError(msg)
        refuse_adjusted(one, f"--{name}")
    if "target" in series:
        _same(series["target"].attributes, historical.attributes, "--target", "--historical")
    for name in ("historical", "target"):
        model = series[name].attributes.get("source_id") if name in series else None
        if model and model == reference.attributes.get("source_id"):
            msg = f"--reference is of source_id {model}, as --{name}; expected a reanalysis. Give that as --reference."
            raise InputError(msg)
    notes = [f"--{name}: {note}" for name, one in series.items() for note in one.notes]
    for name, one in series.items():
        years = len({time.year for time in one.times})
        if years < FEW_YEARS:
            notes.append(
                f"--{name} holds {years} years ({period(one.times)}); fewer than {FEW_YEARS} make quantiles uncertain"
            )
    common = {t.year for t in reference.times} & {t.year for t in historical.times}
    if len(common) < min(FEW_YEARS, len({t.year for t in historical.times})):
        notes.append(
            f"--reference ({period(reference.times)}) and --historical ({period(historical.times)}) share {len(common)} years; "
            "the climate's change between them counts as bias"
        )
    return notes


def refuse_adjusted(source: CoarseSeries, which: str) -> None:
    """Raise :class:`InputError` where a series says that its bias was adjusted already."""
    if ADJUSTED in source.attributes:
        msg = f"{which} is bias-adjusted already ({source.attributes[ADJUSTED]}); give the model's own output."
        raise InputError(msg)


def _same(mine: Mapping[str, str], its: Mapping[str, str], what: str, of: str) -> None:
    for key in ("source_id",):
        if mine.get(key) and its.get(key) and mine[key] != its[key]:
            msg = f"{what} is of {key} {mine[key]}, {of} of {its[key]}; a bias belongs to one model. Give files of one."
            raise InputError(msg)


def same_hours(reference: CoarseSeries, historical: CoarseSeries) -> tuple[list[int], str | None]:
    """Numbers of the reference's times at the hours that the model has, all of daily means; a note where it has others."""
    if historical.kind == DAILY:
        return list(range(len(reference.times))), None
    hours = {(time.hour, time.minute) for time in historical.times}
    there = [n for n, time in enumerate(reference.times) if (time.hour, time.minute) in hours]
    found = {(reference.times[n].hour, reference.times[n].minute) for n in there}
    if found == hours:
        return there, None
    shown = [
        " ".join(f"{hour:02d}:{minute:02d}" for hour, minute in sorted({(t.hour, t.minute) for t in one.times}))
        for one in (reference, historical)
    ]
    note = f"--reference has the hours {shown[0]}, --historical {shown[1]}; the cycle of the day counts as bias"
    return list(range(len(reference.times))), note


def same_seasons(series: Mapping[str, Series], seasons: Seasons) -> list[str]:
    """Notes on series that hold more or less of a part of the year than the historical run: its distribution is of other dates."""
    shares = {name: seasons.members(one.times).mean(1) for name, one in series.items()}
    its, notes = shares.pop("historical"), []
    for name, share in shares.items():
        apart = np.maximum(share, its) / np.maximum(np.minimum(share, its), 1e-9)
        worst = int(apart.argmax())
        if apart[worst] > UNEVEN:
            notes.append(
                f"--{name} has {share[worst]:.1%} of its times in part {worst + 1} of {seasons.count} of the year, --historical "
                f"{its[worst]:.1%}; the cycle of the year counts as bias. Give files of whole years"
            )
    return notes


def blocks(series: Mapping[str, Series], step: float, region: Region | None) -> LatLonGrid:
    """Blocks that a downscaling of this region takes, those around it included.

    Raises
    ------
    ConfigError
        Blocks that are finer than a series' cells, or no region in common.
    """
    places = [cells for one in series.values() for cells in {id(c): c for c in one.cells.values()}.values()]
    for name, one in series.items():
        widest = max(cell_width(cells) for cells in one.cells.values())
        if widest > SLACK * step:
            enough = scale_for(widest)
            remedy = f"Use --filter-scale {enough:g}." if enough else "Give finer fields."
            msg = f"Filter scale {step:g} is finer than the cells of --{name}, {widest:.3g} degrees. {remedy}"
            raise ConfigError(msg)
    if region is None:
        region = common_region([covered_region(cells, step) for cells in places])
    return make_domain(region, step).coarse


def adjustment_for(
    path: str | Path | None, source: CoarseSeries, filter_scale: float, *, anyway: bool = False
) -> Calibration | None:
    """The file's adjustment, checked by :func:`check_run`; None for None."""
    if path is None:
        return None
    calibration = load(Path(path))
    check_run(calibration, source, filter_scale, anyway=anyway)
    return calibration


def check_run(calibration: Calibration, source: CoarseSeries, filter_scale: float, *, anyway: bool) -> None:
    """Refuse a file that was not fitted for this run.

    Parameters
    ----------
    calibration
        The file.
    source
        What is to be downscaled.
    filter_scale
        Side of its blocks.
    anyway
        Accept another model, experiment or kind of interval.

    Raises
    ------
    ConfigError
        Blocks of another size, a variable, a time, a model, an experiment that the file does not know.
    InputError
        The run was adjusted already.
    """
    path = calibration.path
    if not np.isclose(calibration.filter_scale, filter_scale):
        msg = (
            f"The bias file {path} holds blocks of {calibration.filter_scale:g} degrees, this run takes {filter_scale:g}. "
            f"Pass --filter-scale {calibration.filter_scale:g}, or fit one with --filter-scale {filter_scale:g}."
        )
        raise ConfigError(msg)
    lacking = [name for name in source.variables if name not in calibration.variables]
    if lacking:
        msg = (
            f"The bias file {path} holds {', '.join(calibration.variables)}, not {', '.join(lacking)} of the input. "
            f"Fit one with --vars {','.join(source.variables)}, or leave the files of {', '.join(lacking)} out."
        )
        raise ConfigError(msg)
    refuse_adjusted(source, "The input")
    calibration.check_times(source.times)
    if not anyway:
        _of_one_kind(calibration, source)


def _of_one_kind(calibration: Calibration, source: CoarseSeries) -> None:
    runs = [calibration.sources[name] for name in ("historical", "target") if name in calibration.sources]
    mine = {**source.attributes, "fields": source.kind}
    for key in ("source_id", "experiment_id", "fields"):
        known = {value for run in runs for value in run.get(key, "").split(";") if value}
        its = {value for value in mine.get(key, "").split(";") if value}
        if known and its - known:
            msg = (
                f"The bias file {calibration.path} was fitted on {key} {', '.join(sorted(known))}, the input is {', '.join(sorted(its))}. "
                "Fit one for it, or pass --debias-anyway."
            )
            raise ConfigError(msg)
