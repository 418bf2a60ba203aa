"""Toy fields and settings for the tests of batches and training."""

import math

import torch

from tests.worlds import TINY
from zssd_cli.config import TrainConfig
from zssd_cli.training.batches import PatchSampler, TrainingData, TrainingField

SETTINGS = {"network": TINY, "patch": 16, "batch": 2, "steps": 6, "warmup": 2, "learning_rate": 3e-3}


def config(**changes):
    return TrainConfig(**(SETTINGS | changes))


def toy(circular=True, rows=40, columns=48, south=20.0):
    """A field that says where it is: row and column in the first static channels, smooth and cheap."""
    lat = south + 0.25 * torch.arange(rows)
    y, x = torch.meshgrid(lat.deg2rad(), 2 * math.pi * torch.arange(columns) / columns, indexing="ij")
    values = torch.stack([x.sin() * (8 * y).cos(), x.cos(), (x + 9 * y).sin()])
    static = torch.stack([y, x, y.sin(), y.cos()])
    return TrainingField(values, static, torch.tensor([0.3, 0.25]), circular)


def data(*fields):
    return TrainingData((list(fields),))


def batch_of(fields, settings, step=0, **options):
    return PatchSampler(data(*fields), settings, **options).batch(step)


def states(trainer):
    """Every tensor of a training, by name."""
    parts = trainer.denoiser, trainer.ema, trainer.log_variance
    flat = {f"{k}.{name}": v for k, part in enumerate(parts) for name, v in part.state_dict().items()}
    for index, state in trainer.optimiser.state_dict()["state"].items():
        flat |= {f"optimiser.{index}.{name}": v for name, v in state.items()}
    return flat


def assert_same(first, second):
    assert first.step == second.step
    ours, theirs = states(first), states(second)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]), key
