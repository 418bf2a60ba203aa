"""How far fine scales change from hour to hour and from six hours to six hours, relative to the truth, by noise of consecutive times.

    python benchmarks/coherence.py --json benchmarks/results/coherence.json
    python benchmarks/coherence.py --given msl --kinds independent,smooth:8

Two ERA5 series that no training saw are averaged to blocks of 5 degrees and downscaled: hourly fields around Iceland and
six-hourly fields over Norway. Of every kind of noise: the root mean square, over cells, pairs of times and members, of the
change of scales under 2.5 degrees (of great circle, by a cosine transform), over that of the truth; at 1 there is as
much change as in the truth, above it an animation flickers, below it patterns stand still. Beside it the fair CRPS, and the
share of the run that drawing the noise took.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness.engine import Setting, draw, open_prior
from harness.fields import ICELAND, NORWAY, HeldOut, choose
from harness.scoring import score
from harness.store import Store
from rich.console import Console
from rich.table import Table
from scipy.fft import dctn, idctn

from zssd_cli.config import DownscaleConfig
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.posterior.downscaling import prepare
from zssd_cli.posterior.random import NoiseStream

FIELDS = {
    HeldOut("ERA5 Iceland, hourly", ICELAND, None, first=30): (1, 6),
    HeldOut("ERA5 Norway, 6-hourly", NORWAY, None): (1, 2),
}
"""Lags in time steps."""
SHORTEST_LARGE = 2.5
"""Degrees of great circle: shorter waves are fine scales."""
KINDS = "independent,ar1:6,ar1:24,smooth:3,smooth:5,smooth:8,fixed"


def fine_scales(fields: np.ndarray, grid: LatLonGrid) -> np.ndarray:
    """Waves shorter than :data:`SHORTEST_LARGE` of (..., lat, lon)."""
    height, width = grid.shape
    rows, columns = np.arange(height), np.arange(width)
    per_degree = np.hypot(
        rows[:, None] / (2 * (grid.lat_edges[-1] - grid.lat_edges[0])),
        columns / (2 * (grid.lon_edges[-1] - grid.lon_edges[0]) * np.cos(np.deg2rad(grid.lat.mean()))),
    )
    return idctn(dctn(fields, axes=(-2, -1)) * (per_degree > 1 / SHORTEST_LARGE), axes=(-2, -1))


def correlation(fields: np.ndarray, lag: int, area: np.ndarray) -> np.ndarray:
    """Of fine scales at a lag, from the change and the power of (times, members, C, lat, lon), by variable."""
    power = ((fields**2) * area).sum((-2, -1)).mean((0, 1)) / area.sum()
    return 1 - change(fields, lag, area) ** 2 / (2 * power)


def change(fields: np.ndarray, lag: int, area: np.ndarray) -> np.ndarray:
    """Root mean square change over a lag of (times, members, C, lat, lon), by variable."""
    squares = (fields[lag:] - fields[:-lag]) ** 2
    return np.sqrt((squares * area).sum((-2, -1)).mean((0, 1)) / area.sum())


@contextmanager
def noise_timed() -> Iterator[list[float]]:
    """Seconds that drawing noise takes inside the block, in a list of one."""
    seconds, plain = [0.0], NoiseStream.draw

    def timed(stream: NoiseStream) -> torch.Tensor:
        start = time.perf_counter()
        noise = plain(stream)
        seconds[0] += time.perf_counter() - start
        return noise

    NoiseStream.draw = timed  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        NoiseStream.draw = plain  # type: ignore[method-assign]


def measure(
    setting: Setting, field: HeldOut, lags: tuple[int, ...], given: tuple[str, ...], count: int, config: DownscaleConfig
) -> dict[str, Any]:
    """Ratios by lag and variable, CRPS by variable, and the share of the time that the noise took."""
    whole = field.series
    series = replace(whole, times=whole.times[:count], values=whole.values[:count])
    job = prepare(
        series.only(given).blocks(config.filter_scale),
        setting.prior, setting.static, config, field.region(config.filter_scale),
    )  # fmt: skip
    with noise_timed() as seconds:
        drawn = draw(setting, job)
    truth, names = series.on(drawn.grid), setting.prior.variables
    truth = truth[:, [series.variables.index(name) for name in names]]
    ours, theirs = fine_scales(drawn.ensembles, drawn.grid), fine_scales(truth[:, None], drawn.grid)
    ratios = {
        str(lag): dict(zip(names, (change(ours, lag, drawn.grid.area) / change(theirs, lag, drawn.grid.area)).tolist(), strict=True))
        for lag in lags
    }  # fmt: skip
    correlations = {
        str(lag): [correlation(x, lag, drawn.grid.area).round(3).tolist() for x in (ours, theirs)] for lag in lags
    }
    scores = score(drawn.ensembles, truth, names, drawn.grid)
    crps = {name: scores[name]["crps"] for name in names}
    return {
        "ratio": ratios,
        "correlation": correlations,
        "crps": crps,
        "noise_share": seconds[0] / drawn.counter.seconds,
    }


def show(store: Store, settings: dict[str, Any], kinds: list[str], fields: list[HeldOut]) -> None:
    """One table per series."""
    for field in fields:
        lags = FIELDS[field]
        table = Table("noise", *(f"change over {lag} step{'s' * (lag > 1)}" for lag in lags), "CRPS", "noise's share of time",
                      title=f"{field.name}: fine scales over the truth's, msl u10 v10")  # fmt: skip
        for kind in kinds:
            record = store.record(store.row(kind, settings), field.name)
            if record is not None:
                ratios = (" ".join(f"{r:.2f}" for r in record["ratio"][str(lag)].values()) for lag in lags)
                crps = " ".join(f"{value:.3g}" for value in record["crps"].values())
                table.add_row(kind, *ratios, crps, f"{record['noise_share']:.1%}")
        Console(width=120).print(table)


def main(arguments: list[str] | None = None) -> None:
    """Measure what is not there yet and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="name or file of the prior; the default prior else")
    parser.add_argument("--fields", help="parts of the series' names, comma-separated")
    parser.add_argument("--kinds", default=KINDS, help="values of --time-noise, comma-separated")
    parser.add_argument("--given", default="msl+u10+v10", help="observed variables, joined by +")
    parser.add_argument("--scale", type=float, default=5.0, help="side of the blocks in degrees")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--times", type=int, default=19, help="how many times of a series at most")
    parser.add_argument("--json", type=Path, help="where measurements are kept")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    setting, store = open_prior(options.weights), Store(options.json)
    fields, kinds = choose(FIELDS, options.fields), options.kinds.split(",")
    settings = {"given": options.given, "members": options.members, "scale": options.scale, "times": options.times}
    settings |= {"sha256": setting.sha256}
    for kind in kinds:
        config = DownscaleConfig(filter_scale=options.scale, members=options.members, time_noise=kind)
        for field in fields:
            row = store.row(kind, settings)
            if store.record(row, field.name) is None:
                given = tuple(options.given.split("+"))
                store.add(row, field.name, measure(setting, field, FIELDS[field], given, options.times, config))
    show(store, settings, kinds, fields)


if __name__ == "__main__":
    main()
