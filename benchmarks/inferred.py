"""What the input lacks: winds from pressure alone, beside the formula; wind from one component or its speed; pressure from winds.

    python benchmarks/inferred.py --members 16 --json benchmarks/results/inferred.json
    python benchmarks/inferred.py --given msl+si10 --members 8
    python benchmarks/inferred.py --members 4 --tuning --gaussian-above 10      # on ERA5 times that do not judge

Held-out real fields are coarsened to block means of the given variables. Of every variable that is not given: the error of the
ensemble mean and of the formula (the geostrophic wind of the bicubic block means, times 0.7, turned 20 degrees; of pressure,
bilinear interpolation of its true block means, which nobody has), CRPS over the formula's error, the slope of the regression
of the truth on the mean, standard deviations of the truth, the mean and a member, spread over skill, the error of the mean over the
whole box. All area-weighted over cells and times; ERA5 on 1 degree is scored at its own points.
"""

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from harness.engine import Setting, draw, open_prior
from harness.fields import ERA5_POINTS, IFS, HeldOut, Series, choose, training_lowpass
from rich.console import Console
from rich.table import Table

from zssd_cli.config import DownscaleConfig
from zssd_cli.evaluation.baselines import bilinear, textbook_wind
from zssd_cli.evaluation.scores import ScoreSums
from zssd_cli.grids.latlon import LatLonGrid, Region
from zssd_cli.posterior.downscaling import prepare

BOXES = {
    "North Atlantic": Region(-60, -20, 30, 70),
    "South Indian": Region(60, 100, -65, -25),
    "tropical W Pacific": Region(130, 170, -15, 25),
    "Europe": Region(0, 40, 30, 70),
}
FIELDS = (
    *(HeldOut(f"IFS {name}", IFS, box) for name, box in BOXES.items()),
    *(HeldOut(f"ERA5 {name}", ERA5_POINTS, box, every=2) for name, box in BOXES.items()),
)
TUNING = tuple(HeldOut(f"ERA5 {name}", ERA5_POINTS, box, every=4, first=1) for name, box in BOXES.items())
"""Times on which numbers are chosen."""
SPEED, WINDS, ALL = "si10", ("u10", "v10"), ("msl", "u10", "v10")


@dataclass(frozen=True)
class Row:
    """One variable of one field: scores of the ensemble and of the formula, and the correlation of a member with the truth."""

    ours: dict[str, float]
    formula: dict[str, float]
    member_correlation: float

    @property
    def ratio(self) -> float:
        """CRPS over the formula's error."""
        return self.ours["crps"] / self.formula["mae"]


def coarse_input(series: Series, names: tuple[str, ...], scale: float) -> Series:
    """Block means of the given variables; of wind speed, those of the true speed."""
    values = dict(zip(series.variables, np.moveaxis(series.values, 1, 0), strict=True))
    values[SPEED] = np.hypot(*(values[name] for name in WINDS))
    chosen = np.stack([values[name] for name in names], 1)
    return replace(series, variables=names, values=chosen).blocks(scale)


def formula(name: str, blocks: Series, grid: LatLonGrid) -> np.ndarray:
    """The simple answer from block means of all variables, (times, lat, lon)."""
    if name in WINDS:
        return textbook_wind(blocks.values[:, 0].astype(float), blocks.grid, grid)[:, WINDS.index(name)]
    if name == SPEED:
        return np.hypot(*(formula(wind, blocks, grid) for wind in WINDS))
    return bilinear(blocks.values[:, blocks.variables.index(name)].astype(float), blocks.grid, grid)


def scored(values: np.ndarray, truth: np.ndarray, area: np.ndarray) -> dict[str, float]:
    """Of (times, members, lat, lon)."""
    sums = ScoreSums()
    for members, field in zip(values, truth, strict=True):
        sums.add(members, field, area)
    return {key: value for key, value in asdict(sums.result()).items() if key != "rank_histogram"}


def measure(setting: Setting, field: HeldOut, given: tuple[str, ...], config: DownscaleConfig) -> dict[str, Row]:
    """Rows of the variables that are not given."""
    series = field.series
    blocks = coarse_input(series, given, config.filter_scale)
    job = prepare(blocks, setting.prior, setting.static, config, field.region(config.filter_scale))
    drawn = draw(setting, replace(job, batch=min(config.members, 8)))
    rows, columns = (
        np.flatnonzero(np.isin(np.rint(4 * ours) % 1440, np.rint(4 * theirs) % 1440))
        for ours, theirs in ((drawn.grid.lat, series.grid.lat), (drawn.grid.lon, series.grid.lon))
    )
    truth = dict(zip(series.variables, np.moveaxis(series.on(drawn.grid), 1, 0), strict=True))
    truth[SPEED] = np.hypot(*(truth[name] for name in WINDS))
    ours = dict(
        zip(setting.prior.variables, np.moveaxis(drawn.ensembles, 2, 0)[..., rows, :][..., columns], strict=True)
    )
    ours[SPEED] = np.hypot(*(ours[name] for name in WINDS))
    area, whole = drawn.grid.area[rows][:, columns], coarse_input(series, ALL, config.filter_scale)
    result = {}
    for name in (*ALL, SPEED):
        if name not in given:
            simple = formula(name, whole, drawn.grid)[:, None, rows][..., columns]
            scores, members = scored(ours[name], truth[name], area), scored(ours[name][:, :1], truth[name], area)
            result[name] = Row(scores, scored(simple, truth[name], area), members["correlation"])
    print(f"{field.name}: {drawn.counter.seconds / drawn.ensembles[:, :, 0, 0, 0].size:.1f} s a member", flush=True)
    return result


def show(results: dict[str, dict[str, Row]]) -> None:
    """The table, and the mean of CRPS over the formula's error."""
    table = Table("field", "", "corr: mean, member, formula", "MAE: mean, formula", "CRPS / formula's MAE", "slope: mean, formula",
                  "std: truth, mean, member", "spread/skill", "box mean error: mean, formula")  # fmt: skip
    for field, rows in results.items():
        for name, row in rows.items():
            o, f = row.ours, row.formula
            table.add_row(
                field, name, f"{o['correlation']:.2f} {row.member_correlation:.2f} {f['correlation']:.2f}",
                f"{o['mae']:.2f} {f['mae']:.2f}", f"{row.ratio:.2f}", f"{o['slope']:.2f} {f['slope']:.2f}",
                f"{o['std_truth']:.1f} {o['std_mean']:.1f} {o['std_member']:.1f}", f"{o['spread_skill']:.2f}",
                f"{o['bias']:.2f} {f['bias']:.2f}",
            )  # fmt: skip
    Console(width=170).print(table)
    for kind in dict.fromkeys(name.split()[0] for name in results):
        ratios = [
            row.ratio
            for name, rows in results.items()
            if name.startswith(kind)
            for key, row in rows.items()
            if key in WINDS
        ]
        if ratios:
            print(f"{kind}: CRPS over the formula's error, mean over winds and boxes {np.mean(ratios):.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="name or file of the prior; the default prior else")
    parser.add_argument("--fields", help="parts of the fields' names, comma-separated")
    parser.add_argument(
        "--given", default="msl", help="observed variables, joined by +: msl, msl+si10, msl+v10, u10+v10"
    )
    parser.add_argument("--scale", type=float, default=5.0)
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tuning", action="store_true", help="the ERA5 times on which numbers are chosen")
    parser.add_argument("--gaussian-above", type=float, help="noise level above which the Gaussian is the prior")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    setting = open_prior(options.weights)
    config = DownscaleConfig(
        filter_scale=options.scale, members=options.members, seed=options.seed, gaussian_above=options.gaussian_above
    )
    given = tuple(options.given.split("+"))
    results: dict[str, dict[str, Row]] = {}
    for field in choose(TUNING if options.tuning else FIELDS, options.fields):
        truth = field.filtered(training_lowpass(setting.prior))
        results[truth.name] = measure(setting, truth, given, config)
        if options.json:
            report = {
                field: {name: asdict(row) | {"ratio": row.ratio} for name, row in rows.items()}
                for field, rows in results.items()
            }
            settings = {
                "given": given,
                "members": options.members,
                "seed": options.seed,
                "prior_sha256": setting.sha256,
            }
            options.json.write_text(json.dumps({"settings": settings, "results": report}, indent=1))
    show(results)


if __name__ == "__main__":
    main()
