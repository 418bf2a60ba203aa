"""Patches per second of the training against what the machine can do: one convolution of as many operations.

python benchmarks/training.py [--preset small] [--batch 8] [--patch 64] [--seconds 10] [--modes fp32 bf16 compile]

A step costs three forward passes of the network (forward, and two for the gradients). The limit is measured, not read from
a data sheet: a 3 x 3 convolution of 160 channels, forward and backward, in the same precision.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch.utils.flop_counter import FlopCounterMode

from zssd_cli.config import PRESETS, TrainConfig
from zssd_cli.prior.denoiser import Conditions
from zssd_cli.training.batches import Batch
from zssd_cli.training.distributed import World
from zssd_cli.training.loop import Trainer

MODES = {
    "fp32": {},
    "bf16": {"bf16": True},
    "compile": {"compile": True},
    "bf16+compile": {"bf16": True, "compile": True},
}


class Same:
    """The same random batch at every step: no data are read here."""

    def __init__(self, config: TrainConfig) -> None:
        rng = torch.Generator().manual_seed(0)
        shape = (config.batch, len(config.variables), config.patch, config.patch)
        static = torch.rand((config.batch, 4, config.patch, config.patch), generator=rng)
        conditions = Conditions(static, torch.rand((config.batch, 2), generator=rng))
        clean, noise = (torch.randn(shape, generator=rng) for _ in range(2))
        sigma, present = torch.rand(config.batch, generator=rng) + 0.1, torch.ones(shape[:2], dtype=torch.bool)
        self._batch = Batch(clean, conditions, sigma, noise, present)

    def batch(self, step: int) -> Batch:
        """The batch, whatever the step."""
        return self._batch


def rate(work: Callable[[], object], seconds: float, device: torch.device) -> float:
    """Calls per second over about so many seconds, after one that warms up."""

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    work()
    finish()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds or count < 2:
        work()
        finish()
        count += 1
    return count / (time.perf_counter() - begin)


def operations(config: TrainConfig) -> float:
    """Floating-point operations of the forward pass of one patch."""
    trainer = Trainer(config.model_copy(update={"compile": False, "bf16": False}))
    batch = Same(config.model_copy(update={"batch": 1})).batch(0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        trainer.denoiser(batch.clean, batch.sigma, batch.conditions)
    return float(counter.get_total_flops())


def limit(
    bf16: bool, seconds: float, device: torch.device, channels: int = 160, batch: int = 16, size: int = 32
) -> float:
    """Operations per second of a plain convolution, forward and backward."""
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1).to(device, memory_format=torch.channels_last)
    x = torch.randn(batch, channels, size, size, device=device).to(memory_format=torch.channels_last).requires_grad_()
    kind = torch.bfloat16 if bf16 else torch.float32

    def work() -> None:
        with torch.autocast(device.type, kind, enabled=bf16):
            layer(x).sum().backward()

    return 3 * 2 * 9 * channels**2 * batch * size**2 * rate(work, seconds, device)


def main() -> None:
    """Print a row per mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = {**PRESETS[options.preset], "batch": options.batch, "patch": options.patch}
    work = operations(TrainConfig.model_validate(settings))
    load = f", load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""
    print(
        f"{options.preset}, batch {options.batch}, patch {options.patch}: {work / 1e9:.2f} GFLOP forward a patch, 3 x that a step"
    )
    print(f"on {device}, {torch.get_num_threads()} threads{load}")
    print(f"{'mode':<14}{'patches/s':>10}{'GFLOP/s':>10}{'limit':>10}{'share':>8}")
    for name in options.modes:
        mode = {"bf16": False, "compile": False} | MODES[name]
        config = TrainConfig.model_validate(settings | mode)
        trainer, batches = Trainer(config, world=World(device=device)), Same(config)
        patches = config.batch * rate(lambda t=trainer, b=batches: t.train_step(b), options.seconds, device)
        most = limit(config.bf16, options.seconds / 3, device)
        used = 3 * work * patches
        print(f"{name:<14}{patches:>10.2f}{used / 1e9:>10.1f}{most / 1e9:>10.1f}{used / most:>8.0%}", flush=True)


if __name__ == "__main__":
    main()
