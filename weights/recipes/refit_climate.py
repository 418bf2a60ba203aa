"""Measure the climate of a prior anew (zonal means, balance of winds, covariances) from its training files; the network stays.

    R=../shared/data/reanalysis
    python weights/recipes/refit_climate.py weights/analyses-msl-u10-v10.safetensors $R/ifs/*202502*.nc \
        --config weights/recipes/analyses-msl-u10-v10.yaml -o refitted.safetensors

Takes minutes. Only files that hold every variable count (of the recipe's, IFS of February and GFS of June and July).
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from zssd_cli.commands.train_material import open_parts
from zssd_cli.commands.train_settings import read_settings
from zssd_cli.prior.checkpoint import load_prior, save_prior
from zssd_cli.static import load_static
from zssd_cli.training.data import Scales, climatology


def main() -> None:
    """Read, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prior", type=Path)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    prior, static = load_prior(options.prior), load_static(None)
    config = read_settings(options.config, {}, start=prior)
    parts, _ = open_parts(tuple(options.files), (), config)
    known = Scales(*(scale.double().numpy() for scale in (prior.mean, prior.std, prior.denoiser.detail_std)))
    climate = climatology(parts, known, prior.signs.numpy(), static)
    zonal, lags = (torch.as_tensor(array, dtype=torch.float32) for array in (climate.zonal, climate.lags))
    save_prior(options.output, replace(prior, zonal=zonal, lags=lags, balance=climate.balance))


if __name__ == "__main__":
    main()
