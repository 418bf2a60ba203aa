"""Preconditioning, any size of domain, windows, broadcasting, and the unknown time."""

import pytest
import torch

from tests.worlds import REACH, TINY, noise, random_conditions, random_denoiser
from zssd_cli.prior.denoiser import Conditions, Denoiser
from zssd_cli.prior.unet import UNet

torch.set_num_threads(1)
SIGMA = torch.tensor(0.7)


@pytest.fixture(scope="module")
def denoiser():
    return random_denoiser()


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (16, 19), (1, 1), (5, 33), (2, 3)])
def test_any_height_and_width(denoiser, size):
    answer = denoiser(noise(2, 3, *size), SIGMA, random_conditions(*size))
    assert answer.shape == (2, 3, *size)
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize("height", [8, 9])
def test_any_height_on_the_circle_and_only_whole_strides_around_it(denoiser, height):
    answer = denoiser(noise(1, 3, height, 24), SIGMA, random_conditions(height, 24), circular=True)
    assert answer.shape == (1, 3, height, 24)
    with pytest.raises(ValueError, match="multiple of 2"):
        denoiser(noise(1, 3, height, 25), SIGMA, random_conditions(height, 25), circular=True)


def test_a_window_answers_like_the_whole_away_from_its_rim(denoiser):
    x, conditions = noise(1, 3, 72, 80), random_conditions(72, 80)
    whole = denoiser(x, SIGMA, conditions)
    for top, left in ((0, 0), (10, 20), (24, 32)):
        box = (..., slice(top, top + 48), slice(left, left + 48))
        part = denoiser(x[box], SIGMA, Conditions(conditions.static[box], conditions.time))
        inside = (..., slice(REACH, -REACH), slice(REACH, -REACH))
        torch.testing.assert_close(part[inside], whole[box][inside], rtol=0, atol=1e-5)
        assert (part - whole[box]).abs().max() > 1e-3


def test_samples_do_not_feel_each_other(denoiser):
    x, sigma = noise(4, 3, 12, 20), torch.tensor([0.01, 0.5, 3.0, 80.0])
    conditions = random_conditions(12, 20, 4)
    together = denoiser(x, sigma, conditions)
    for k in range(4):
        alone = denoiser(x[k : k + 1], sigma[k : k + 1], Conditions(conditions.static, conditions.time[k : k + 1]))
        torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-5, atol=1e-5)


def test_static_and_time_broadcast(denoiser):
    x, conditions = noise(3, 3, 8, 8), random_conditions(8, 8)
    wide = Conditions(conditions.static.expand(3, -1, -1, -1), conditions.time.expand(3, -1))
    torch.testing.assert_close(denoiser(x, SIGMA, conditions), denoiser(x, SIGMA.expand(3), wide), rtol=0, atol=1e-6)


def test_unknown_time_is_the_same_as_a_prior_that_knows_none():
    x, conditions = noise(2, 3, 8, 8), random_conditions(8, 8, 2)
    blind = random_denoiser(time_known=False)(x, SIGMA, conditions)
    seeing = random_denoiser()
    hidden = seeing(x, SIGMA, Conditions(conditions.static, torch.full((2, 2), torch.nan)))
    torch.testing.assert_close(blind, hidden, rtol=0, atol=0)
    assert (seeing(x, SIGMA, conditions) - blind).abs().max() > 1e-3


def test_every_condition_matters(denoiser):
    x, conditions = noise(1, 3, 8, 8), random_conditions(8, 8)
    answer = denoiser(x, SIGMA, conditions)
    for channel in range(4):
        static = conditions.static.clone()
        static[:, channel] += 1
        assert (denoiser(x, SIGMA, Conditions(static, conditions.time)) - answer).abs().max() > 1e-3
    for column in range(2):
        time = conditions.time.clone()
        time[:, column] = (time[:, column] + 0.4) % 1
        assert (denoiser(x, SIGMA, Conditions(conditions.static, time)) - answer).abs().max() > 1e-4
    assert (denoiser(x, SIGMA * 2, conditions) - answer).abs().max() > 1e-3


@pytest.mark.parametrize("sigma", [1e-3, 1.0, 1e3])
def test_preconditioning(sigma):
    """Karras et al. (2022), table 1 with data scale 1, recovered from a network that answers a constant."""

    class One(UNet):
        def forward(self, x, log_sigma, static, time, circular=False):
            self.seen = x
            return torch.ones_like(x)

    network = One(1, TINY)
    x = noise(1, 1, 8, 8)
    answer = Denoiser(network)(x, torch.tensor(sigma), random_conditions(8, 8))
    skip, out, scale = 1 / (sigma**2 + 1), sigma / (sigma**2 + 1) ** 0.5, 1 / (sigma**2 + 1) ** 0.5
    torch.testing.assert_close(answer, skip * x + out, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(network.seen, scale * x, rtol=1e-5, atol=1e-7)


def test_without_noise_the_field_comes_back(denoiser):
    x = noise(1, 3, 8, 8)
    answer = denoiser(x, torch.tensor(1e-6), random_conditions(8, 8))
    torch.testing.assert_close(answer, x, rtol=0, atol=1e-4)
