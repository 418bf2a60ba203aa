"""From three series (reference, historical run, run to adjust) to a file of quantiles."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from zssd_cli import __version__
from zssd_cli.debias import mapping
from zssd_cli.debias.calibration import Fitted, write
from zssd_cli.debias.checks import Series, period
from zssd_cli.debias.gathering import BlockMeans, gather
from zssd_cli.debias.mapping import Kind
from zssd_cli.debias.seasons import Decades, Seasons, decimal_year
from zssd_cli.files import atomic_path, disk_errors, scratch_folder
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.times import now_utc
from zssd_cli.variables import VARIABLES

KINDS = {"si10": Kind.RATIO}
"""Variables that have a zero: their quantiles' ratios are kept. All others: differences, components of the wind too (docs/debias.md)."""
YEARS = 30.0
"""Width of a decade's surroundings in which the run to adjust is ranked."""
Tick = Callable[[str, int], None]


@dataclass(frozen=True)
class Request:
    """What is fitted, checked and laid out.

    Attributes
    ----------
    series
        ``reference``, ``historical`` and, where a run is to be adjusted, ``target``.
    hours
        Numbers of the reference's times that are read.
    variables
        Canonical names.
    grid, filter_scale
        Blocks and their side.
    seasons
        Parts of the year.
    years
        Width of the spans.
    command
        What was called.
    """

    series: Mapping[str, Series]
    hours: Sequence[int]
    variables: tuple[str, ...]
    grid: LatLonGrid
    filter_scale: float
    seasons: Seasons
    years: float
    command: str

    def times(self, name: str) -> int:
        """Times of a series that are read."""
        return len(self.hours) if name == "reference" else len(self.series[name].times)


def fit(request: Request, output: Path, tick: Tick = lambda _, __: None) -> None:
    """Read everything once, take quantiles, write the file.

    Parameters
    ----------
    request
        From :func:`zssd_cli.debias.checks.check`.
    output
        NetCDF file; appears when it is whole.
    tick
        Called with the name of a series and the number of its times that were read, or with ``fit`` and a number of rows.
    """
    mapping.require()
    with disk_errors(output), scratch_folder(output) as folder:
        means = {
            name: gather(
                series, request.variables, request.grid, folder / name,
                request.hours if name == "reference" else None, partial(tick, name),
            )
            for name, series in request.series.items()
        }  # fmt: skip
        fitted = _quantiles(request, means, tick)
        with atomic_path(output) as temporary:
            write(temporary, fitted)


def _quantiles(request: Request, means: Mapping[str, BlockMeans], tick: Tick) -> Fitted:
    seasons, grid = request.seasons, request.grid
    spans = {
        name: _spans(means[name], request.years, whole=name == "historical")
        for name in ("historical", "target")
        if name in means
    }
    groups = {
        name: [span[None] & seasons.members(means[name].times) for span in decades.members(means[name].times)]
        for name, decades in spans.items()
    }
    of_reference = seasons.members(means["reference"].times)
    model_groups = [(name, group) for name in groups for group in groups[name]]
    counts = np.array([group.sum(1) for _, group in model_groups])
    limits = np.array([span for one in spans.values() for span in one.spans])
    middles, nodes = limits.mean(1), mapping.NODES.size
    years = {name: np.array([decimal_year(time) for time in means[name].times]) for name in groups}
    found: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for k, variable in enumerate(request.variables):
        reference = np.full((seasons.count, nodes, *grid.shape), np.nan, np.float32)
        model = np.full((len(model_groups), *reference.shape), np.nan, np.float32)
        slopes = np.zeros((len(model_groups), seasons.count, *grid.shape), np.float32)
        for rows in _row_slices(means, grid):
            parts = {name: one.of(k, rows) for name, one in means.items()}
            for season in range(seasons.count):
                its = [parts[name][group[season]] for name, group in model_groups]
                one = parts["reference"][of_reference[season]]
                when = [years[name][group[season]] for name, group in model_groups]
                into = reference[season, :, rows], model[:, season, :, rows], slopes[:, season, rows]
                _put(into, one, list(zip(its, when, middles, strict=True)), KINDS.get(variable, Kind.DIFFERENCE))
            tick("fit", rows.stop - rows.start)
        found[variable] = reference, model, slopes
    return Fitted(
        grid=grid, nodes=mapping.NODES, spans=limits,
        counts=np.where((of_reference.sum(1) >= mapping.FEWEST)[None] & (counts >= mapping.FEWEST), counts, 0),
        quantiles=found, attributes=_attributes(request, means),
        units={name: VARIABLES[name].units for name in request.variables},
        kinds={name: KINDS.get(name, Kind.DIFFERENCE) for name in request.variables},
    )  # fmt: skip


def _put(
    into: tuple[np.ndarray, np.ndarray, np.ndarray],
    one: np.ndarray,
    its: list[tuple[np.ndarray, np.ndarray, float]],
    kind: Kind,
) -> None:
    """Quantiles of one season into their places.

    Parameters
    ----------
    into
        Of the reference (nodes, rows, columns), of the model (spans, nodes, rows, columns), its trends (spans, rows, columns).
    one
        Values of the reference, (times, points).
    its
        The model's in every span, with the years of its times and the span's middle.
    """
    reference, model, slopes = into
    if min(len(one), len(its[0][0])) < mapping.FEWEST:
        return
    of_reference, historical = mapping.train(one, its[0][0], kind)
    reference[:], model[0] = of_reference.reshape(reference.shape), historical.reshape(reference.shape)
    for span, (values, years, middle) in enumerate(its[1:], 1):
        if len(values) >= mapping.FEWEST:
            slope = mapping.trend(values, years)
            level = mapping.quantiles(values - slope * (years - middle)[:, None])
            model[span], slopes[span] = level.reshape(reference.shape), slope.reshape(slopes.shape[1:])


def _row_slices(means: Mapping[str, BlockMeans], grid: LatLonGrid) -> list[slice]:
    step = min(one.rows_at_once() for one in means.values())
    return [slice(start, min(start + step, grid.shape[0])) for start in range(0, grid.shape[0], step)]


def _spans(means: BlockMeans, years: float, *, whole: bool) -> Decades:
    """Of the first to the last year that a series holds, both whole."""
    first, last = (int(np.floor(decimal_year(means.times[place]))) for place in (0, -1))
    return Decades(((first, last + 1.0),)) if whole else Decades.within(first, last + 1.0, years)


def _attributes(request: Request, means: Mapping[str, BlockMeans]) -> dict[str, str | float]:
    sources = {
        name: {
            **{key: value for key, value in series.attributes.items() if key != "history"},
            "period": period(means[name].times),
            "times": str(len(means[name].times)),
            "calendar": series.calendar,
            "fields": series.kind,
        }
        for name, series in request.series.items()
    }
    return {
        "title": "Quantiles for the bias adjustment of block means by zssd",
        "history": f"{now_utc()} {request.command}",
        "source": f"zssd {__version__}, xsdba {version('xsdba')}",
        "references": "Cannon, Sobie and Murdock 2015, J. Climate 28, 6938-6959",
        "filter_scale": request.filter_scale,
        "window": str(request.seasons),
        "years": request.years,
        "sources": json.dumps(sources),
    }
