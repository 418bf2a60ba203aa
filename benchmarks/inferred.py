"""Winds inferred from pressure alone: how well do they correlate with the true ones.

    python benchmarks/inferred.py --members 16 --json benchmarks/results/inferred.json

Held-out real fields are coarsened to block means. Rows, each with the correlation in space (area-weighted, mean over times) of
u10 and v10 with the truth: ensemble mean and single members given the block means of msl alone; the ensemble mean given all
three variables; climatology (the prior's zonal mean); the geostrophic wind of the bicubic interpolation of the block means
and of the true msl at full resolution (which nobody has).
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from harness.engine import Setting, draw, open_prior
from harness.fields import ICELAND, IFS, NORWAY, HeldOut, Series, choose, training_lowpass
from harness.scoring import baseline
from rich.console import Console
from rich.table import Table

from zssd_cli.config import DownscaleConfig
from zssd_cli.grids.latlon import LatLonGrid, Region
from zssd_cli.posterior.downscaling import prepare

FIELDS = (
    HeldOut("IFS North Atlantic", IFS, Region(-60, -20, 30, 70)),
    HeldOut("IFS North Pacific", IFS, Region(160, 200, 25, 65)),
    HeldOut("IFS South Pacific", IFS, Region(-150, -110, -65, -25)),
    HeldOut("IFS South Indian Ocean", IFS, Region(60, 100, -65, -25)),
    HeldOut("IFS Europe", IFS, Region(0, 40, 30, 70)),
    HeldOut("IFS tropical Pacific", IFS, Region(-180, -140, -20, 20)),
    HeldOut("ERA5 Iceland", ICELAND, None, every=24),
    HeldOut("ERA5 Norway", NORWAY, None, every=5),
)
WINDS = ("u10", "v10")


def geostrophic(msl: np.ndarray, grid: LatLonGrid) -> np.ndarray:
    """Wind (..., 2, lat, lon) of a pressure (..., lat, lon) [Pa]; air of 1.2 kg m-3, |f| not below that of 5 degrees."""
    phi = np.deg2rad(grid.lat)[:, None]
    f = 1.4584e-4 * np.where(phi < 0, -1, 1) * np.maximum(np.abs(np.sin(phi)), np.sin(np.deg2rad(5)))
    metres = 6.371e6 * np.deg2rad(0.25)
    dy, dx = np.gradient(msl, axis=-2) / metres, np.gradient(msl, axis=-1) / (metres * np.cos(phi))
    return np.stack([-dy, dx], -3) / (1.2 * f)


def correlation(ours: np.ndarray, truth: np.ndarray, grid: LatLonGrid) -> float:
    """Area-weighted correlation in space, mean over all leading axes; fields without variation count as 0."""
    weights = grid.area / grid.area.sum()

    def anomaly(x: np.ndarray) -> np.ndarray:
        return x - (x * weights).sum((-2, -1), keepdims=True)

    a, b = anomaly(ours.astype(np.float64)), anomaly(truth.astype(np.float64))
    scale = np.sqrt((weights * a**2).sum((-2, -1)) * (weights * b**2).sum((-2, -1)))
    return float(np.mean((weights * a * b).sum((-2, -1)) / np.maximum(scale, 1e-12)))


def given(
    setting: Setting, field: HeldOut, variables: tuple[str, ...], config: DownscaleConfig
) -> tuple[np.ndarray, Series, LatLonGrid]:
    """Ensembles (times, members, C, lat, lon) given the block means of some variables."""
    series = field.series
    index = [series.variables.index(name) for name in variables]
    blocks = replace(series, variables=variables, values=series.values[:, index]).blocks(config.filter_scale)
    job = prepare(blocks, setting.prior, setting.static, config, field.region(config.filter_scale))
    drawn = draw(setting, replace(job, batch=min(config.members, 8)))
    return drawn.ensembles, blocks, drawn.grid


def measure(setting: Setting, field: HeldOut, config: DownscaleConfig) -> dict[str, list[float]]:
    """Correlations of (u10, v10) by row."""
    alone, blocks, grid = given(setting, field, ("msl",), config)
    whole, _, _ = given(
        setting, field, setting.prior.variables, config.model_copy(update={"members": min(config.members, 8)})
    )
    truth = field.series.on(grid)
    smooth = baseline("bicubic", blocks, grid)[:, 0, 0]
    rows = np.rint((grid.lat + 90) * 4).astype(int)
    zonal = (setting.prior.zonal[:, rows, None] * setting.prior.std[:, None, None]).numpy()
    zonal = np.broadcast_to(zonal, truth.shape)
    winds = [setting.prior.variables.index(name) for name in WINDS]
    candidates = {
        "msl alone, ensemble mean": alone.mean(1)[:, winds],
        "msl alone, single members": alone[:, :, winds],
        "all observed, ensemble mean": whole.mean(1)[:, winds],
        "climatology": zonal[:, winds],
        "geostrophic, bicubic msl": geostrophic(smooth, grid),
        "geostrophic, true msl": geostrophic(truth[:, 0], grid),
    }
    wanted = truth[:, winds]
    return {
        name: [
            correlation(ours[..., k, :, :], (wanted[:, None] if ours.ndim == 5 else wanted)[..., k, :, :], grid)
            for k in range(len(WINDS))
        ]
        for name, ours in candidates.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="name or file of the prior; the default prior else")
    parser.add_argument("--fields", help="parts of the fields' names, comma-separated")
    parser.add_argument("--scale", type=float, default=5.0)
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--guidance", default="analysis")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    setting = open_prior(options.weights)
    config = DownscaleConfig(filter_scale=options.scale, members=options.members, guidance=options.guidance)
    results = {}
    for field in choose(FIELDS, options.fields):
        truth = field.filtered(training_lowpass(setting.prior))
        results[truth.name] = measure(setting, truth, config)
        Console(stderr=True).print(truth.name, highlight=False)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
    table = Table("field", *next(iter(results.values())))
    for name, rows in results.items():
        table.add_row(name, *(", ".join(f"{value:.2f}" for value in row) for row in rows.values()))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
