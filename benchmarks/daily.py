"""Moments drawn from daily means, beside the daily mean taken for a moment: against the moments of ERA5 series that no training saw.

    python benchmarks/daily.py --json benchmarks/results/daily.json
    python benchmarks/daily.py --given msl
    python benchmarks/daily.py --lasts

The series are averaged over blocks of 5 degrees and over days. Three ways from there: ``--subdaily 6h``; daily means interpolated
in time, on straight lines, and taken for moments; and every daily mean downscaled as if it were a moment (``--any-frequency``), held
over the day. Of each: the fair CRPS at the moments, spread over skill,
how much the fields change within a day (standard deviation of a cell about its day's mean, over the truth's; likewise of block
means), and the root mean square of the day's mean block means less the input's. ``--lasts`` prints how long
block means of ERA5 last instead: their correlation in time on 16 global fields, 7 h apart.
"""

import argparse
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import torch
from harness.engine import Setting, draw, open_prior
from harness.fields import DATA, ERA5_POINTS, ICELAND, NORWAY, VARIABLES, HeldOut, Series, choose
from harness.scoring import score
from harness.store import Store
from rich.console import Console
from rich.table import Table

from zssd_cli.config import DownscaleConfig
from zssd_cli.evaluation.alignment import covered_blocks
from zssd_cli.grids.regrid import WHOLE, separable
from zssd_cli.posterior.downscaling import prepare
from zssd_cli.series.interval import DAILY
from zssd_cli.series.reading import open_source

HOURS = 6
A_DAY = 24 // HOURS
FIELDS = {HeldOut("ERA5 Iceland, 3 days", ICELAND, None): 24, HeldOut("ERA5 Norway, 7 days", NORWAY, None): 4}
"""Times in a day of the series."""
WAYS = {
    "drawn": DownscaleConfig(subdaily=HOURS),
    "interpolated": DownscaleConfig(),
    "held": DownscaleConfig(any_frequency=True),
}


def daily_and_moments(series: Series, a_day: int) -> tuple[Series, Series]:
    """Means over days, with bounds; and the moments that stand for them, HOURS apart and in the middle of their part of the day."""
    days, step = len(series.times) // a_day, 24 // a_day
    first = HOURS // 2 if a_day > A_DAY else 0
    chosen = [day * a_day + k for day in range(days) for k in range(first // step, a_day, HOURS // step)]
    begins = [series.times[day * a_day + first // step] - timedelta(hours=HOURS / 2) for day in range(days)]
    means = series.values[: days * a_day].reshape(days, a_day, *series.values.shape[1:]).mean(1)
    bounds = tuple((begin, begin + timedelta(days=1)) for begin in begins)
    middles = tuple(begin + timedelta(hours=12) for begin in begins)
    daily = replace(series, times=middles, values=means, kind=DAILY, averaging=DAILY, time_bounds=bounds)
    return daily, replace(series, times=tuple(series.times[k] for k in chosen), values=series.values[chosen])


def interpolated(daily: Series, times: tuple[cftime.datetime, ...]) -> Series:
    """As moments, on straight lines between the middles of the days."""
    at = np.array([(time - daily.times[0]).total_seconds() / 86400 for time in times]).clip(0, len(daily.times) - 1)
    before = np.minimum(at.astype(int), len(daily.times) - 2)
    share = (at - before)[:, None, None, None].astype(np.float32)
    values = daily.values[before] * (1 - share) + daily.values[before + 1] * share
    return replace(daily, times=times, values=values, kind="moments", averaging=None, time_bounds=None)


def lasts() -> None:
    """Correlation of 5 degree blocks (of points a degree apart) in time: 1 less half the mean square of change over the variance."""
    source = open_source(DATA / ERA5_POINTS, VARIABLES)
    fields = source.read(0, len(source.times))[:, :, : 36 * 5]
    source.close()
    blocks = fields.reshape(*fields.shape[:2], 36, 5, 72, 5).mean((3, 5))
    lat = np.deg2rad(np.linspace(-87.5, 87.5, 36))[:, None]
    for name, side in (
        ("north of 30 N", lat > np.pi / 6),
        ("tropics", abs(lat) < np.pi / 6),
        ("south of 30 S", lat < -np.pi / 6),
    ):
        weights = np.cos(lat) * side
        for k, variable in enumerate(source.variables):
            y = blocks[:, k]
            variance = (np.square(y - y.mean((0, 2), keepdims=True)) * weights).sum((1, 2)).mean()
            changes = [(np.square(y[lag:] - y[:-lag]) * weights).sum((1, 2)).mean() for lag in (1, 2, 3)]
            told = " ".join(f"{1 - change / (2 * variance):.2f}" for change in changes)
            Console().print(f"{variable} {name}: {told} after 7, 14, 21 h")


def within_day(fields: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Root mean square about the day's mean of (times, members, C, ...), by variable."""
    days = fields.reshape(-1, A_DAY, *fields.shape[1:])
    squares = (days - days.mean(1, keepdims=True)) ** 2
    return np.sqrt((squares * area).sum((-2, -1)).mean((0, 1, 2)) / area.sum())


def measure(
    way: str, setting: Setting, field: HeldOut, a_day: int, given: tuple[str, ...], config: DownscaleConfig
) -> dict[str, Any]:
    """Scores by variable."""
    daily, moments = daily_and_moments(field.series, a_day)
    coarse = daily.only(given).blocks(config.filter_scale)
    if way == "interpolated":
        coarse = interpolated(coarse, moments.times)
    job = prepare(coarse, setting.prior, setting.static, config, field.region(config.filter_scale))
    drawn = draw(setting, job)
    ours = drawn.ensembles if way != "held" else drawn.ensembles.repeat(A_DAY, 0)
    names, grid = setting.prior.variables, drawn.grid
    order = [daily.variables.index(name) for name in names]
    truth = moments.on(grid)[:, order]
    inner = covered_blocks(grid, config.filter_scale)
    assert inner is not None
    coarsen = separable(grid, inner, WHOLE)
    blocks = [coarsen(fields) for fields in (ours, truth[:, None])]
    area = inner.area
    day_means = blocks[0].reshape(-1, A_DAY, *blocks[0].shape[1:]).mean(1)
    kept = day_means - separable(daily.grid, inner, WHOLE)(daily.values)[:, None, order]
    scores = score(ours, truth, names, grid)
    result = {name: {key: scores[name][key] for key in ("crps", "spread_skill")} for name in (*names, "wind_speed")}
    for k, name in enumerate(names):
        result[name] |= {
            "cells": float((within_day(ours, grid.area) / within_day(truth[:, None], grid.area))[k]),
            "blocks": float((within_day(blocks[0], area) / within_day(blocks[1], area))[k]),
            "kept": float(np.sqrt((kept[:, :, k] ** 2 * area).sum((-2, -1)).mean() / area.sum())),
        }
    return result


def show(store: Store, settings: dict[str, Any], fields: list[HeldOut]) -> None:
    """A table per series."""
    for field in fields:
        table = Table("moments", "CRPS", "spread/skill", "within a day: cells", "blocks", "day's mean off by",
                      title=f"{field.name}: msl u10 v10, CRPS also of wind speed")  # fmt: skip
        for way in WAYS:
            record = store.record(store.row(way, settings), field.name)
            if record is not None:
                keys = {"crps": ".3g", "spread_skill": ".2f", "cells": ".2f", "blocks": ".2f", "kept": ".2g"}
                cells = (
                    " ".join(f"{one[key]:{form}}" for one in record.values() if key in one)
                    for key, form in keys.items()
                )
                table.add_row(way, *cells)
        Console(width=140).print(table)


def main(arguments: list[str] | None = None) -> None:
    """Measure what is not there yet and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="name or file of the prior; the default prior else")
    parser.add_argument("--fields", help="parts of the series' names, comma-separated")
    parser.add_argument("--given", default="msl+u10+v10", help="variables of the daily means, joined by +")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--lasts", action="store_true", help="print how long block means last, and end")
    parser.add_argument("--json", type=Path, help="where measurements are kept")
    options = parser.parse_args(arguments)
    if options.lasts:
        lasts()
        return
    torch.manual_seed(0)
    setting, store, fields = open_prior(options.weights), Store(options.json), choose(FIELDS, options.fields)
    settings = {"given": options.given, "members": options.members, "sha256": setting.sha256}
    for way, config in WAYS.items():
        for field in fields:
            row = store.row(way, settings)
            if store.record(row, field.name) is None:
                chosen = config.model_copy(update={"members": options.members})
                store.add(
                    row,
                    field.name,
                    measure(way, setting, field, FIELDS[field], tuple(options.given.split("+")), chosen),
                )
    show(store, settings, fields)


if __name__ == "__main__":
    main()
