"""The prior's two networks as plain denoisers of the held-out IFS field: mean squared error by noise level, (msl, u10, v10).

python benchmarks/high_noise.py [--weights FILE] [--levels 40,11,4,1.8]

The whole globe, low-passed as in the training, standard units, area-weighted; one draw of the noise, the same for both.
"""

import argparse
from dataclasses import replace

import torch
from harness.engine import open_prior
from harness.fields import IFS, HeldOut, training_lowpass
from rich.console import Console
from rich.table import Table

from zssd_cli.posterior.machine import network_precision
from zssd_cli.posterior.windows import above, windowed
from zssd_cli.prior.denoiser import Conditions


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="name or file of the prior; the default prior else")
    parser.add_argument("--levels", default="40,11,4,1.8")
    options = parser.parse_args()
    setting = open_prior(options.weights)
    prior = setting.prior
    if prior.coarse is None:
        parser.error("the prior has one network only")
    series = HeldOut("IFS", IFS, None).filtered(training_lowpass(prior)).series
    grid = series.grid
    scaled = [torch.as_tensor(scale)[:, None, None] for scale in (prior.mean, prior.std)]
    clean = ((torch.as_tensor(series.values[:1]) - scaled[0]) / scaled[1]).float()
    conditions = Conditions(torch.as_tensor(setting.static.channels(grid))[None], torch.full((1, 2), torch.nan))
    precision = network_precision("auto", torch.device("cpu"), gradients=False)
    one = windowed(prior.denoiser, conditions, True, precision=precision)
    everywhere = prior.coarse.header.model_copy(update={"above": 0.0})
    second = above(replace(prior.coarse, header=everywhere), conditions, True, precision, one)
    area = torch.as_tensor(grid.area / grid.area.sum(), dtype=torch.float32)
    table, random = Table("noise level", "one network", "the second one"), torch.Generator().manual_seed(0)
    for level in map(float, options.levels.split(",")):
        noisy = clean + level * torch.randn(clean.shape, generator=random)
        with torch.inference_mode():
            answers = one(noisy, level), second(noisy, level)
        errors = [((answer - clean).square() * area).sum((0, 2, 3)).tolist() for answer in answers]
        table.add_row(f"{level:g}", *(" ".join(f"{error:.4f}" for error in row) for row in errors))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
