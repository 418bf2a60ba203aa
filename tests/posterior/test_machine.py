"""Batches that follow the memory, and the precision of the network."""

import math

import pytest
import torch

from tests.worlds import noise, random_conditions, random_denoiser
from zssd_cli.posterior import machine
from zssd_cli.posterior.machine import free_memory, group_memory, network_precision, plan_batch, plan_call
from zssd_cli.posterior.windows import windowed

CPU, GPU = torch.device("cpu"), torch.device("cuda")
GIGA = 1024**3
GLOBE = 721 * 1440


def test_a_batch_fits_the_free_memory():
    for free in (1, 4, 40, 400):
        count = plan_batch(GLOBE, 3, free * GIGA, GPU)
        used = count * GLOBE * 3 * 4 * machine.FIELD_COPIES
        assert count == 1 or used <= free * GIGA * machine.SHARE / 2  # the other half is the network's
    assert plan_batch(GLOBE, 3, 4 * GIGA, GPU) > plan_batch(GLOBE, 3, 2 * GIGA, GPU) >= 1
    assert plan_batch(GLOBE, 3, 0, GPU) == 1


def test_a_batch_is_bounded_whatever_the_memory():
    assert plan_batch(100 * 100, 3, 1000 * GIGA, GPU) == machine.MOST
    assert plan_batch(200 * 200, 3, 1000 * GIGA, CPU) == 1


def test_a_call_of_the_network_is_bounded():
    half = plan_call(24, GIGA, torch.bfloat16)
    assert half == pytest.approx(2 * plan_call(24, GIGA, torch.float32), abs=2)


def test_free_memory_is_read():
    assert 10**7 < free_memory(CPU) < 10**14


@pytest.mark.parametrize(
    ("lines", "folder", "names"),
    [
        ("0::/slurm/job_7/step_0", "slurm/job_7", ("memory.max", "memory.current")),
        ("9:name=systemd:/x\n4:cpu,memory:/slurm/job_7", "memory/slurm/job_7", ("memory.limit_in_bytes", "memory.usage_in_bytes")),
    ],
)  # fmt: skip
def test_the_limit_of_a_job_counts(tmp_path, lines, folder, names):
    """A limit on the job holds for its steps; file caches can be given back; a group without a limit says max."""
    assert group_memory(tmp_path) == math.inf
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(lines)
    group = tmp_path / "sys/fs/cgroup" / folder
    group.mkdir(parents=True)
    (group / "memory.stat").write_text("anon 5\ninactive_file 600\nactive_file 400\n")
    for name, value in zip(names, ("max", "3000"), strict=True):
        (group / name).write_text(value)
    assert group_memory(tmp_path) == math.inf
    (group / names[0]).write_text("8000\n")
    assert group_memory(tmp_path) == 6000
    (group / names[0]).write_text("1000\n")
    assert group_memory(tmp_path) == 0


def test_precision(monkeypatch):
    for able, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(machine, "has_bfloat16", lambda _, able=able: able)
        assert network_precision("auto", CPU) == expected
        assert network_precision("auto", CPU, gradients=True) == torch.float32
        assert network_precision("bfloat16", CPU, gradients=True) == torch.bfloat16
        assert network_precision("float32", CPU) == torch.float32


def test_bfloat16_stays_near_float32_and_only_the_network_has_it():
    """The answer differs by what bfloat16 resolves of the network's part, sigma times its size, and not of the noisy field."""
    denoiser = random_denoiser()
    x, conditions = noise(2, 3, 64, 64) * 1e3, random_conditions(64, 64, 2)
    full, half = (windowed(denoiser, conditions, False, precision=p)(x, 0.01) for p in (torch.float32, torch.bfloat16))
    assert half.dtype == torch.float32
    part = (full - x / (1 + 0.01**2)).square().mean().sqrt()
    difference = (half - full).square().mean().sqrt()
    assert 0 < difference < 0.05 * part
    # x itself in bfloat16 would be wrong by about 1e3 / 512
    assert difference < 0.1


@pytest.mark.parametrize("call_cells", [64 * 64, 3 * 64 * 64, 10**6])
def test_samples_that_share_a_call_do_not_change(call_cells):
    denoiser = random_denoiser()
    x, conditions = noise(4, 3, 64, 64), random_conditions(64, 64, 4)
    expected = denoiser(x, torch.tensor(0.7), conditions)
    answer = windowed(denoiser, conditions, False, call_cells=call_cells)(x, 0.7)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-5)
