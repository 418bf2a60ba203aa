"""How many denoising steps: scores of fewer or more beside the first row's, same fields and noise.

python benchmarks/steps.py [--steps dpmpp_2m:20,dpmpp_2m:12,7] [--given msl+u10+v10 --given msl] [--held-out] [--members 8] [--scale 5]

A row is [SAMPLER:]STEPS[@LEVEL], with LEVEL the noise level from which on the network for high noise is asked ("none": never).

Boxes of 40 x 40 degrees of a training field (IFS 2025-02-12, low-passed as in the training), on which numbers are chosen, or with
--held-out of one that no training saw. Means over boxes and variables: CRPS over that of the first number of steps, spread over
skill, log spectral distance, the largest deviation of a spectrum between 1 and 10 degrees over all boxes, network calls and
processor seconds a member.
"""

import argparse
from dataclasses import replace

import numpy as np
from harness.engine import Setting, draw, open_prior
from harness.fields import IFS, TUNING, HeldOut, training_lowpass
from harness.scoring import WIND, Scores, score
from inferred import BOXES, coarse_input
from rich.console import Console
from rich.table import Table

from zssd_cli.config import DownscaleConfig
from zssd_cli.posterior.downscaling import prepare


def scored(
    setting: Setting, field: HeldOut, given: tuple[str, ...], config: DownscaleConfig
) -> tuple[Scores, float, float]:
    """Scores, network calls and processor seconds a member."""
    series = field.series
    job = prepare(
        coarse_input(series, given, config.filter_scale),
        setting.prior,
        setting.static,
        config,
        field.region(config.filter_scale),
    )
    drawn = draw(setting, replace(job, batch=config.members))
    count = drawn.ensembles.shape[0] * drawn.ensembles.shape[1]
    scores = score(drawn.ensembles, series.on(drawn.grid), setting.prior.variables, drawn.grid)
    return scores, drawn.counter.forward / count, drawn.counter.cpu_seconds / count


def asked_from(setting: Setting, level: str) -> Setting:
    """The prior with its network for high noise asked from another noise level on, or never."""
    prior = setting.prior
    if not level or prior.coarse is None:
        return setting
    other = None if level == "none" else prior.coarse.header.model_copy(update={"above": float(level)})
    return replace(setting, prior=replace(prior, header=prior.header.model_copy(update={"coarse": other})))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="name or file of the prior; the default prior else")
    parser.add_argument(
        "--steps",
        default="dpmpp_2m:20,dpmpp_2m:12,8,7,6,5",
        help="numbers, with SAMPLER: before those of another than the default, @LEVEL or @none behind",
    )
    parser.add_argument("--given", action="append", help="observed variables, joined by +")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--scale", type=float, default=5.0)
    parser.add_argument("--spacing", choices=("karras", "log-snr", "long"))
    parser.add_argument("--gaussian-above", type=float, help="noise level above which the Gaussian is the prior")
    options = parser.parse_args()
    setting = open_prior(options.weights)
    lowpass = training_lowpass(setting.prior)
    fields = [HeldOut(name, IFS if options.held_out else TUNING, box).filtered(lowpass) for name, box in BOXES.items()]
    for given in options.given or ["msl+u10+v10", "msl"]:
        table = Table("steps", "calls", "CPU s", "CRPS ratio: msl u10 v10 wind", "largest in a box", "spread/skill: msl u10 v10",
                      "LSD dB", "worst dB", title=f"given {given}, {options.scale:g} degrees")  # fmt: skip
        first: list[Scores] = []
        for row in options.steps.split(","):
            named, _, level = row.partition("@")
            sampler, _, steps = named.rpartition(":")
            config = DownscaleConfig(
                members=options.members, filter_scale=options.scale, steps=int(steps), sampler=sampler or None,
                spacing=options.spacing, gaussian_above=options.gaussian_above,
            )  # fmt: skip
            found = [scored(asked_from(setting, level), field, tuple(given.split("+")), config) for field in fields]
            scores = [one[0] for one in found]
            first = first or scores
            names = [name for name in scores[0] if name != WIND]
            ratios = {
                name: [one[name]["crps"] / other[name]["crps"] for one, other in zip(scores, first, strict=True)]
                for name in (*names, WIND)
            }
            calls, seconds = (np.mean([one[k] for one in found]) for k in (1, 2))
            table.add_row(
                row, f"{calls:.0f}", f"{seconds:.2f}", " ".join(f"{np.mean(ratios[name]):.3f}" for name in ratios),
                f"{max(map(max, ratios.values())):.3f}",
                " ".join(f"{np.mean([one[name]['spread_skill'] for one in scores]):.2f}" for name in names),
                f"{np.mean([one[name]['lsd_db'] for one in scores for name in names]):.2f}",
                f"{max((one[name]['worst_db'] for one in scores for name in names), key=abs):.1f}",
            )  # fmt: skip
        Console(width=140).print(table)


if __name__ == "__main__":
    main()
