"""What each choice of the training buys: one short training per choice, scored on fields that no training saw.

    python benchmarks/ablation.py --json ablation.json [--steps 600] [--only mirror,low-pass]     # from the repository's root

Every variant changes one thing of the default prior's recipe, on a small network (preset tiny) so that a dozen trainings take
an hour of one core; steps, cells per step (to 2 percent), random numbers and scales are the same. The score is the denoising error of the
moving average by noise level (the training's weighted square, geometric mean over variables), on the held-out IFS field, low-passed
as ERA5 would resolve it, and on ERA5 over Iceland and Norway as it is. Finished variants are kept in the JSON file.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
import yaml
from harness.fields import DATA, ICELAND, IFS, NORWAY

from zssd_cli.commands.train_material import open_parts
from zssd_cli.config import PRESETS, TrainConfig, UNetConfig
from zssd_cli.static import load_static
from zssd_cli.training.batches import Batch, Batches, PatchSampler, TrainingData
from zssd_cli.training.data import Part, Scales, SourceFields, scales
from zssd_cli.training.loop import Trainer, weighted_error

RECIPE = Path(__file__).parents[1] / "weights" / "recipes" / "analyses-msl-u10-v10.yaml"
LEVELS = (0.02, 0.1, 0.5, 2.0, 10.0)
TRAINED_ON = "ifs/*202502*.nc"
HEIGHT, LAND, SIN, COS = range(4)
HELD_OUT = {"IFS": ((IFS, 24.0),), "ERA5": ((ICELAND, 0.0), (NORWAY, 0.0))}
"""Files and low-pass in km."""


@dataclass(frozen=True)
class Variant:
    """Changes of the settings, and static channels that the network sees as zero."""

    changes: dict = field(default_factory=dict)
    hidden: tuple[int, ...] = ()
    unfiltered: bool = False


VARIANTS = {
    "recipe": Variant(),
    "recipe, other seed": Variant({"seed": 1}),
    "no mirror": Variant({"mirror": False}),
    "no low-pass": Variant(unfiltered=True),
    "IFS alone": Variant({"more": ()}),
    "no height, no land": Variant(hidden=(HEIGHT, LAND)),
    "no latitude": Variant(hidden=(SIN, COS)),
    "no conditions": Variant(hidden=(HEIGHT, LAND, SIN, COS)),
    "patches of 32": Variant({"patch": 32, "batch": 64}),
    "patches of 96": Variant({"patch": 96, "batch": 7}),
    "half the width": Variant({"network": UNetConfig(channels=(8, 24, 48), blocks=1)}),
}

SEEDS = ("recipe", "recipe, other seed")


class Hidden:
    """Batches whose network sees some static channels as zero (the draw of patches still knows latitude)."""

    def __init__(self, batches: Batches, channels: tuple[int, ...]) -> None:
        self._batches, self._channels = batches, list(channels)

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        batch = self._batches.batch(step)
        static = batch.conditions.static.clone()
        static[:, self._channels] = 0
        return replace(batch, conditions=replace(batch.conditions, static=static))


def settings(variant: Variant, steps: int) -> TrainConfig:
    """The recipe on the tiny network, changed."""
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    recipe |= {"network": PRESETS["tiny"]["network"], "steps": steps, "compile": False}
    config = TrainConfig.model_validate({**recipe, **variant.changes})
    if not variant.unfiltered:
        return config
    more = tuple(part.model_copy(update={"lowpass_km": 0.0}) for part in config.more)
    return config.model_copy(update={"lowpass_km": 0.0, "more": more})


def training_parts(config: TrainConfig) -> tuple[Part, ...]:
    """The files of the recipe."""
    return open_parts((str(DATA / TRAINED_ON),), (), config)[0]


@cache
def common_scales() -> Scales:
    """Those of the recipe, for all variants."""
    return scales(training_parts(settings(Variant(), 1)))


@cache
def held_out(name: str) -> tuple[TrainingData, ...]:
    """Fields to score on, one part a file."""
    config, static = settings(Variant(), 1), load_static()
    parts = []
    for file, lowpass_km in HELD_OUT[name]:
        part = open_parts((str(DATA / file),), (), config.model_copy(update={"more": (), "lowpass_km": lowpass_km}))[0]
        parts.append(TrainingData((SourceFields(part[0], static, common_scales()),)))
    return tuple(parts)


@torch.inference_mode()
def score(trainer: Trainer, hidden: tuple[int, ...], name: str, batches: int = 6) -> list[float]:
    """Error by noise level, geometric mean over variables and files; the same patches of 64 and noise for every variant."""
    config = settings(Variant({"mirror": False}), 1)
    logs = []
    for data in held_out(name):
        sampler = Hidden(PatchSampler(data, config, seed=10**9), hidden)
        errors = torch.zeros(len(LEVELS), len(config.variables))
        for k in range(batches):
            batch = sampler.batch(k)
            for row, level in enumerate(LEVELS):
                noisy = replace(batch, sigma=torch.full_like(batch.sigma, level))
                with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
                    errors[row] += weighted_error(trainer.average, noisy).float().mean(0) / batches
        logs.append(errors.log().mean(1))
    return torch.stack(logs).mean(0).exp().tolist()


def train(variant: Variant, steps: int, tell: Callable[[str], None]) -> dict:
    """Train one variant and score it."""
    config, static = settings(variant, steps), load_static()
    parts = training_parts(config)
    data = TrainingData(
        tuple(SourceFields(part, static, common_scales()) for part in parts), tuple(p.share for p in parts)
    )
    trainer = Trainer(config)
    trainer.set_detail_scales(torch.as_tensor(common_scales().detail_std, dtype=torch.float32))
    batches = Hidden(PatchSampler(data, config), variant.hidden)
    begin = time.process_time()
    while trainer.step < steps:
        loss = trainer.train_step(batches)
        if trainer.step % 100 == 0:
            tell(f"step {trainer.step}, loss {loss:.3f}, {time.process_time() - begin:.0f} s")
    record = {name: score(trainer, variant.hidden, name) for name in HELD_OUT}
    parameters = sum(p.numel() for p in trainer.denoiser.parameters())
    return {**record, "steps": steps, "parameters": parameters, "cpu_seconds": time.process_time() - begin}


def table(known: dict[str, dict]) -> str:
    """Markdown: change of the error against the recipe in percent."""
    head = ["variant", "parameters", "CPU s", *(f"{name} {level:g}" for name in HELD_OUT for level in LEVELS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    base = known.get("recipe")
    for name, row in known.items():
        cells = [name, f"{row['parameters'] / 1e6:.2f} M", f"{row['cpu_seconds']:.0f}"]
        for kind in HELD_OUT:
            for k, error in enumerate(row[kind]):
                same = base is None or name == "recipe"
                cells.append(f"{error:.3g}" if same else f"{100 * (error / base[kind][k] - 1):+.0f} %")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Train what is not in the file yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="file of the measurements")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--only", help="comma-separated parts of names")
    options = parser.parse_args()
    known = json.loads(options.json.read_text(encoding="utf-8")) if options.json.is_file() else {}
    words = options.only.split(",") if options.only else [""]
    for name, variant in VARIANTS.items():
        done = known.get(name, {}).get("steps") == options.steps
        if done or not any(word in name for word in words):
            continue
        known[name] = train(variant, options.steps, lambda text, name=name: print(f"{name}: {text}", file=sys.stderr))
        options.json.write_text(json.dumps(known, indent=1), encoding="utf-8")
    known = {name: known[name] for name in VARIANTS if known.get(name, {}).get("steps") == options.steps}
    print(table(known))
    if all(name in known for name in SEEDS):
        first, second = (np.array([known[name][kind] for kind in HELD_OUT]) for name in SEEDS)
        change = 100 * np.abs(np.log(second / first))
        print(
            f"\nAnother seed changes the error by {change.mean():.0f} percent on average, {change.max():.0f} at most."
        )


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
