"""A supervised peer: a plain U-Net of the prior's size that learns pairs of block means and fields, scored as ``skill.py`` scores.

    python benchmarks/supervised.py --minutes 60 --save peer.pt [--scale 5] [--fields iceland,norway]

It is trained on the three IFS fields that the default prior learned most from (with the same low-pass, the same patches, mirrored the
same way), in pairs: bilinear interpolation of block means of one size in, the field out, mean absolute error as loss. So it
gives one answer, knows one block size and needs all variables. ``--minutes`` is processor time of the training; the network
is the prior's own (channels, blocks, static channels). ``--load peer.pt`` scores without training.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
import torch.nn.functional as F
from ablation import common_scales, training_parts
from harness.engine import open_prior
from harness.fields import LARGE, HeldOut, choose, training_lowpass
from harness.scoring import baseline, score
from torch import Tensor

from zssd_cli.config import TrainConfig
from zssd_cli.grids.latlon import FINE_STEP, fine_grid
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.prior.denoiser import Conditions, Denoiser
from zssd_cli.prior.unet import UNet
from zssd_cli.static import load_static
from zssd_cli.training.batches import PatchSampler, TrainingData
from zssd_cli.training.data import SourceFields

BLOCKS = 4
"""Blocks along a side of a training patch."""


def batches(prior: Prior, scale: float, batch: int) -> PatchSampler:
    """Patches of whole blocks of the training fields in the prior's standard units."""
    side = round(BLOCKS * scale / FINE_STEP)
    lowpass = training_lowpass(prior)
    config = TrainConfig(patch=side - side % 8, batch=batch, lowpass_km=lowpass, time_dropout=1.0)
    part = training_parts(config)[0]
    return PatchSampler(TrainingData((SourceFields(part, load_static(), common_scales()),)), config)


def interpolated(clean: Tensor, scale: float) -> Tensor:
    """Bilinear interpolation of means over blocks of ``scale`` degrees, (B, C, H, W)."""
    blocks = F.avg_pool2d(clean, round(scale / FINE_STEP))
    return F.interpolate(blocks, clean.shape[-2:], mode="bilinear", align_corners=False)


def answer(network: Denoiser, rough: Tensor, conditions: Conditions) -> Tensor:
    """The field: an interpolation and what the prior's U-Net adds; its denoiser at noise level 1 keeps one half of its input."""
    return rough / 2 + network(rough, torch.ones(len(rough)), conditions)


def train(prior: Prior, scale: float, minutes: float, batch: int) -> tuple[Denoiser, int]:
    """The network after so many minutes of processor time, and its steps."""
    torch.manual_seed(0)
    network = Denoiser(UNet(len(prior.variables), prior.header.network), time_known=False)
    network.detail_std.copy_(prior.denoiser.detail_std)
    network.to(memory_format=torch.channels_last)
    sampler = batches(prior, scale, batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01, betas=(0.9, 0.99))
    begin, step = time.process_time(), 0
    while (spent := (time.process_time() - begin) / 60) < minutes:
        optimiser.param_groups[0]["lr"] = 1e-3 * min(1.0, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * spent / minutes))
        one = sampler.batch(step)
        clean = one.clean
        with torch.autocast("cpu", torch.bfloat16):
            loss = (answer(network, interpolated(clean, scale), one.conditions).float() - clean).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 20 == 1:
            print(f"step {step}, {spent:.1f} minutes: {loss.item():.4f}", file=sys.stderr, flush=True)
    return network.eval(), step


@torch.inference_mode()
def fields(network: Denoiser, prior: Prior, truth: HeldOut, scale: float) -> list[list[str]]:
    """Rows of one held-out field: the peer and bilinear interpolation."""
    blocks, grid = truth.series.blocks(scale), fine_grid(truth.region(scale))
    truths = truth.series.on(grid)
    rough = baseline("bilinear", blocks, grid)
    mean, std = (v[:, None, None].numpy() for v in (prior.mean, prior.std))
    static = torch.as_tensor(load_static().channels(grid))[None]
    conditions = Conditions(static, torch.full((1, 2), torch.nan))
    drawn = [
        answer(network, torch.as_tensor((one - mean) / std), conditions).numpy() * std + mean for one in rough
    ]  # fmt: skip
    scored = {"supervised": score(drawn, truths, blocks.variables, grid)}
    scored["bilinear"] = score(rough, truths, blocks.variables, grid)
    return [
        [truth.name, variable, name, *(f"{s[key]:.3g}" for key in ("crps", "p99_error", "lsd_db"))]
        for variable in scored["bilinear"]
        for name, rows in scored.items()
        for s in (rows[variable],)
    ]


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="processor time of the training")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--scale", type=float, default=5.0, help="blocks in degrees; times 16 a multiple of 8")
    parser.add_argument("--fields", help="parts of the fields' names, comma-separated")
    parser.add_argument("--save", type=Path, help="keep the network here")
    parser.add_argument("--load", type=Path, help="a network kept earlier")
    options = parser.parse_args()
    prior = open_prior(None).prior
    if options.load:
        network, steps = torch.load(options.load, weights_only=False), 0
    else:
        network, steps = train(prior, options.scale, options.minutes, options.batch)
    if options.save:
        torch.save(network, options.save)
    print(f"{steps} steps of {options.batch} patches, {options.minutes:g} minutes of processor time\n")
    print("| field | variable | method | CRPS | P99 error | LSD dB |\n|---|---|---|---|---|---|")
    km = training_lowpass(prior)
    for truth in choose(LARGE, options.fields):
        for row in fields(network, prior, truth.filtered(km), options.scale):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
