"""From the sums of two periods to what is shown of the change."""

from collections.abc import Iterator, Sequence

import numpy as np

from zssd_cli.evaluation.alignment import extent
from zssd_cli.evaluation.change_sums import BLOCKS, INPUT, LEVELS, Period, PlaceSums
from zssd_cli.evaluation.options import Options
from zssd_cli.evaluation.records import Writer
from zssd_cli.evaluation.results import OURS, WIND_SPEED, Bootstrap, Evaluation, Maps, Record
from zssd_cli.evaluation.verdict import with_verdict
from zssd_cli.grids.latlon import LatLonGrid

PERIODS = ("historical", "future")
SYSTEMS = {
    INPUT: "block means of the climate model's own fields",
    BLOCKS: "block means of the downscaled members",
    OURS: "the downscaled members on 0.25 degree",
}


def change_outcome(periods: Sequence[Period], blocks: LatLonGrid, options: Options) -> Evaluation:
    """Records, maps of the change of the mean, and the verdict; ``periods`` are the historical and the future one."""
    future, output = periods[1], periods[1].output
    names = list(dict.fromkeys(name for name, _ in future.sums))
    units = {name: output.units["u10" if name == WIND_SPEED else name] for name in names}
    parts = {name: ("u10", "v10") if name == WIND_SPEED else (name,) for name in names}
    fewest = min(period.resampled.count for period in periods)
    step = float(np.diff(blocks.lat_edges)[0])
    maps = [Maps(n, units[n], blocks.lat, blocks.lon, step, _maps(n, periods, blocks)) for n in names]
    files = dict(zip(PERIODS, (str(period.output.path) for period in periods), strict=True))
    return with_verdict(
        Evaluation(
            rows=(),
            spectra=(),
            times=len(future.moments),
            members=output.members,
            points=int(np.prod(output.grid.shape)),
            extent=extent(output.grid),
            scale=step,
            notes=tuple(_notes(periods, fewest, options)),
            kind="change",
            records=tuple(record for name in names for record in _records(name, units[name], periods, maps)),
            maps=tuple(maps),
            systems=SYSTEMS | files,
            inferred=tuple(name for name in names if not all(output.observed[part] for part in parts[name])),
            table=tuple((n, units[n], level) for n in names for level in LEVELS if _pair(n, level, periods)),
            bootstrap=Bootstrap(options.replicates if fewest > 1 else 0, fewest, future.resampled.words),
        )
    )


def _pair(name: str, level: str, periods: Sequence[Period]) -> tuple[PlaceSums, PlaceSums] | None:
    """Sums of both periods where both have some."""
    first, second = (period.sums.get((name, level)) for period in periods)
    return None if first is None or second is None else (first, second)


def _changes(pair: tuple[PlaceSums, PlaceSums]) -> dict[str, np.ndarray]:
    """Differences, and of variance the change in percent."""
    first, second = (sums.statistics() for sums in pair)
    changes = {f"change_{name}": second[name] - first[name] for name in second if name != "variance"}
    with np.errstate(invalid="ignore", divide="ignore"):
        return changes | {"change_variance_percent": 100 * (second["variance"] / first["variance"] - 1)}


def _records(name: str, units: str, periods: Sequence[Period], maps: Sequence[Maps]) -> Iterator[Record]:
    """Values, changes, and how far the change after downscaling is from the input's."""
    pairs = {level: pair for level in LEVELS if (pair := _pair(name, level, periods)) is not None}
    changes = {level: _changes(pair) for level, pair in pairs.items()}
    for level, values in changes.items():
        write = Writer(name, units, level)
        for period, sums in zip(PERIODS, pairs[level], strict=True):
            for score, value in sums.statistics().items():
                yield from write.one(f"{period}_{score}", value, units=squared(units) if score == "variance" else None)
        for score, value in values.items():
            shown = "%" if score.endswith("percent") else None
            yield from write.one(score, value, units=shown)
            if level != INPUT and INPUT in changes:
                yield from write.one(f"{score}_apart", value - changes[INPUT][score], units=shown, versus=INPUT)
    for fields in (one.fields for one in maps if one.variable == name):
        if {INPUT, BLOCKS} <= set(fields):
            apart = fields[BLOCKS]["change_mean"] - fields[INPUT]["change_mean"]
            size = np.sqrt(np.nanmean(apart**2)) if np.isfinite(apart).any() else np.nan
            yield from Writer(name, units, BLOCKS).one("change_mean_pattern_rms", np.array([size]), versus=INPUT)


def squared(units: str) -> str:
    """``(m s-1)2``, ``Pa2``."""
    return f"({units})2" if " " in units else f"{units}2"


def _maps(name: str, periods: Sequence[Period], blocks: LatLonGrid) -> dict[str, dict[str, np.ndarray]]:
    """Change of the mean by block, of the levels that have blocks."""
    fields = {}
    for level in (INPUT, BLOCKS):
        pair = _pair(name, level, periods)
        if pair is not None:
            first, second = (sums.map_of_means().reshape(blocks.shape) for sums in pair)
            fields[level] = {"change_mean": second - first}
    return fields


def _notes(periods: Sequence[Period], fewest: int, options: Options) -> Iterator[str]:
    yield f"Historical: {len(periods[0].moments)} times; future: {len(periods[1].moments)} times."
    if periods[0].coarse is None:
        yield (
            "No files of the climate model were given (--coarse): the input is taken from the first member's block means, "
            "which are held to it."
        )
    if options.replicates and fewest < 10:
        yield f"Intervals come from {fewest} blocks of {periods[1].resampled.words} only: a change of climate needs decades."
    months = [{periods[k].output.times[i].month for i, _ in periods[k].moments} for k in (0, 1)]
    if months[0] != months[1]:
        yield f"The periods have other months ({sorted(months[0])} and {sorted(months[1])}): part of the change is the season's."
