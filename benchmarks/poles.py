"""Round the poles: do members carry rays along meridians, and how far are they from the truth, ring by ring.

python benchmarks/poles.py [--given msl] [--members 4] [--caps north south] [--weights FILE]

A held-out IFS field is coarsened to 5 degree block means of the given variables and drawn on a cap of 25 degrees. For every ring of 5
degrees: root mean square of zonal waves 20 to 59 of the truth and of the members (all along a row, winds in directions that do not turn
with the meridian), mean absolute error of one member, of the ensemble mean and of the bilinear block means (of the textbook's wind where
winds are inferred), area-weighted, and spread over skill.
"""

import argparse
from dataclasses import replace

import numpy as np
from harness.engine import Setting, draw, open_prior
from harness.fields import IFS, HeldOut, training_lowpass
from inferred import ALL, WINDS, coarse_input, formula
from rich.console import Console
from rich.table import Table

from zssd_cli.config import DownscaleConfig
from zssd_cli.evaluation.baselines import bilinear
from zssd_cli.grids.latlon import Region
from zssd_cli.posterior.downscaling import prepare

CAPS = {"north": Region(-180, 180, 65, 90), "south": Region(-180, 180, -90, -65)}
WAVES = slice(20, 60)
RINGS = (90, 85, 80, 75, 70)


def rays(values: np.ndarray, lon: np.ndarray, sign: int) -> dict[str, np.ndarray]:
    """Variance of the zonal waves of (..., 3, rows, columns), per row."""
    wind = (values[..., 1, :, :] + 1j * values[..., 2, :, :]) * np.exp(1j * sign * np.radians(lon))
    waves = {
        name: np.abs(np.fft.fft(field)) ** 2 / lon.size**2
        for name, field in (("msl", values[..., 0, :, :]), ("wind", wind))
    }
    return {
        name: power[..., WAVES].sum(-1) + power[..., -WAVES.stop + 1 : -WAVES.start + 1].sum(-1)
        for name, power in waves.items()
    }


def measure(setting: Setting, cap: str, given: tuple[str, ...], members: int) -> Table:
    """A table for a cap."""
    field = HeldOut(cap, IFS, CAPS[cap]).filtered(training_lowpass(setting.prior))
    series, config = field.series, DownscaleConfig(filter_scale=5.0, members=members)
    blocks, whole = coarse_input(series, given, 5.0), coarse_input(series, ALL, 5.0)
    job = prepare(blocks, setting.prior, setting.static, config, CAPS[cap])
    drawn = draw(setting, replace(job, batch=members))
    ours, truth = drawn.ensembles[0], series.on(drawn.grid)[0]
    simple = [
        formula(name, whole, drawn.grid)[0] if name in WINDS and name not in given
        else bilinear(whole.values[:, k].astype(float), whole.grid, drawn.grid)[0]
        for k, name in enumerate(ALL)
    ]  # fmt: skip
    sign = 1 if cap == "north" else -1
    power_ours, power_truth = rays(ours, drawn.grid.lon, sign), rays(truth, drawn.grid.lon, sign)
    table = Table(
        f"{cap}, given {'+'.join(given)}",
        "variable",
        "waves: truth, members",
        "MAE: member, mean, simple",
        "std truth, member",
        "spread/skill",
    )
    for pole in RINGS:
        rows = (np.abs(drawn.grid.lat) <= pole) & (np.abs(drawn.grid.lat) >= pole - 5)
        area = drawn.grid.area[rows]
        for k, name in enumerate(ALL):

            def mean(x: np.ndarray) -> float:
                return float((x * area).sum() / area.sum())  # noqa: B023

            one, true, plain = ours[:, k][:, rows], truth[k][rows], simple[k][rows]
            key = "msl" if name == "msl" else "wind"
            strength = [
                np.sqrt((power[..., rows] * area[:, 0]).sum(-1).mean() / area[:, 0].sum())
                for power in (power_truth[key], power_ours[key])
            ]
            spread = np.sqrt(mean(one.var(0, ddof=1)) * (1 + 1 / members))
            skill = np.sqrt(mean((one.mean(0) - true) ** 2))
            deviation = [np.sqrt(np.mean([mean((x - mean(x)) ** 2) for x in fields])) for fields in ([true], one)]
            table.add_row(
                f"{pole}-{pole - 5}", name, f"{strength[0]:.3g} {strength[1]:.3g}",
                f"{np.mean([mean(abs(x - true)) for x in one]):.3g} {mean(abs(one.mean(0) - true)):.3g} {mean(abs(plain - true)):.3g}",
                f"{deviation[0]:.3g} {deviation[1]:.3g}", f"{spread / skill:.2f}",
            )  # fmt: skip
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="name or file of the prior; the default prior else")
    parser.add_argument("--given", default="msl", help="observed variables, joined by +")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--caps", nargs="+", default=list(CAPS), choices=list(CAPS))
    options = parser.parse_args()
    setting = open_prior(options.weights)
    for cap in options.caps:
        Console(width=110).print(measure(setting, cap, tuple(options.given.split("+")), options.members))


if __name__ == "__main__":
    main()
