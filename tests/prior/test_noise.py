"""Noise levels: falling, with the ends that the literature gives."""

import math

import pytest
import torch

from zssd_cli.prior.noise import (
    SIGMA_MAX,
    SIGMA_MIN,
    ddpm_sigmas,
    karras_sigmas,
    log_snr_sigmas,
    long_sigmas,
    training_sigmas,
)

SCHEDULES = {"karras": karras_sigmas, "log-snr": log_snr_sigmas, "long": long_sigmas, "ddpm": ddpm_sigmas}


@pytest.mark.parametrize("steps", [2, 3, 20, 250, 1000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_levels_fall_to_zero(name, steps):
    levels = SCHEDULES[name](steps)
    assert levels.shape == (steps + 1,)
    assert levels.dtype == torch.float64
    assert (levels.diff() < 0).all()
    assert levels[-1] == 0
    assert levels[-2] > 0


@pytest.mark.parametrize("name", ["karras", "log-snr"])
def test_ends(name):
    levels = SCHEDULES[name](20)
    assert float(levels[0]) == pytest.approx(SIGMA_MAX)
    assert float(levels[-2]) == pytest.approx(SIGMA_MIN)
    levels = SCHEDULES[name](5, 0.1, 10.0)
    assert [float(levels[i]) for i in (0, -2)] == pytest.approx([10.0, 0.1])


def test_karras_is_uniform_in_the_seventh_root_and_log_snr_in_the_logarithm():
    root = karras_sigmas(11)[:-1] ** (1 / 7)
    torch.testing.assert_close(root.diff(), root.diff()[:1].expand(10), rtol=1e-9, atol=0)
    log = log_snr_sigmas(11)[:-1].log()
    torch.testing.assert_close(log.diff(), log.diff()[:1].expand(10), rtol=1e-9, atol=0)


def test_the_long_levels_leave_a_last_step_as_long_as_the_others():
    log = long_sigmas(7)[:-1].log()
    torch.testing.assert_close(log.diff(), log.diff()[:1].expand(6), rtol=1e-9, atol=0)
    assert float((log[-1] + log.diff()[-1]).exp()) == pytest.approx(SIGMA_MIN)
    assert float(log[0].exp()) == pytest.approx(SIGMA_MAX)


def test_ddpm_is_the_schedule_of_ho_et_al():
    levels = ddpm_sigmas(1000)
    assert float(levels[0]) == pytest.approx(157.4, abs=0.1)
    assert float(levels[-2]) == pytest.approx(math.sqrt(1e-4 / (1 - 1e-4)), rel=1e-9)
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    kept = 1 / (1 + levels[:-1].flip(0) ** 2)
    torch.testing.assert_close(1 - kept[1:] / kept[:-1], betas[1:], rtol=1e-6, atol=0)


@pytest.mark.parametrize("steps", [2, 5, 20, 100, 250, 2000])
def test_ddpm_with_other_numbers_of_steps_keeps_its_ends(steps):
    levels = ddpm_sigmas(steps)
    assert float(levels[0]) == pytest.approx(157, rel=0.03)
    assert 0.005 < float(levels[-2]) < 0.011


def test_training_levels_cover_what_samplers_visit():
    levels = training_sigmas(200_000, torch.Generator().manual_seed(0))
    assert levels.min() >= SIGMA_MIN / 2 * 0.999
    assert levels.max() <= SIGMA_MAX * 1.3 * 1.001
    assert (levels > 30).float().mean() > 0.01
    assert (levels < 0.02).float().mean() > 0.02
    assert float(levels.log().median()) == pytest.approx(-1.5, abs=0.2)
    again = training_sigmas(200_000, torch.Generator().manual_seed(0))
    assert torch.equal(levels, again)
    assert not torch.equal(levels, training_sigmas(200_000, torch.Generator().manual_seed(1)))
