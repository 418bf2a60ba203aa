"""Two processes that train one prior: equal parameters everywhere, and the losses of one process with the same batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.prior.toys import config, data, states, toy
from zssd_cli.errors import ConfigError
from zssd_cli.prior.checkpoint import read_safetensors, write_safetensors
from zssd_cli.training.batches import PatchSampler, TrainingField
from zssd_cli.training.distributed import World, joined
from zssd_cli.training.loop import Trainer

BATCH, STEPS = 8, 6


def fields():
    """Three fields, one of which lacks a variable: the processes then hold different numbers of patches that count."""
    lacking = toy().values.clone()
    lacking[1] = torch.nan
    return toy(), toy(False), TrainingField(lacking, toy().static, toy().time, True)


def train(folder, world):
    """Train, write every tensor and the losses of this process."""
    torch.set_num_threads(1)
    settings = config(batch=BATCH, steps=STEPS, patches_per_field=2)
    trainer = Trainer(settings, world=world)
    sampler = PatchSampler(data(*fields()), settings, rank=world.rank, ranks=world.size)
    losses = [[trainer.train_step(sampler), *trainer.losses.values()] for _ in range(STEPS)]
    stopped = world.largest(15 if world.rank == world.size - 1 else 0)
    told = world.shared(lambda: {"from": world.rank})
    tensors = states(trainer) | {"losses": torch.tensor(losses), "stopped": torch.tensor([stopped, told["from"]])}
    write_safetensors(Path(folder) / f"{world.rank}_of_{world.size}", tensors, {})


@pytest.mark.slow
def test_two_processes_are_one_with_the_double_batch(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, "-m", "tests.training.test_distributed", str(tmp_path)], capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-2000:]
    train(tmp_path, World())
    first, second, alone = (read_safetensors(tmp_path / name)[0] for name in ("0_of_2", "1_of_2", "0_of_1"))
    assert first.keys() == alone.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    torch.testing.assert_close(first.pop("losses"), alone.pop("losses"), rtol=1e-4, atol=1e-6)
    assert first.pop("stopped").tolist() == [15, 0]
    alone.pop("stopped")
    for key, ours in first.items():
        if not key.startswith("optimiser"):
            torch.testing.assert_close(ours, alone[key], rtol=1e-3, atol=2e-4)


def test_alone():
    with joined() as world:
        assert world.first
        assert (world.rank, world.size) == (0, 1)
        assert world.largest(7) == 7
        assert world.shared(lambda: "made") == "made"
        assert world.total(torch.tensor([1.0, 2.0])).tolist() == [1, 2]


def test_variables_that_are_no_numbers(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ConfigError, match="WORLD_SIZE must be whole numbers"), joined():
        pass


if __name__ == "__main__":
    with joined() as here:
        train(sys.argv[1], here)
