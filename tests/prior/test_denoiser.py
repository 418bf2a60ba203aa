"""Preconditioning, any size of domain, windows, broadcasting, and the unknown time."""

import pytest
import torch

from tests.worlds import TINY, WIDE, noise, random_conditions, random_denoiser
from zssd_cli.prior.denoiser import GAINS, Conditions, Denoiser, details
from zssd_cli.prior.unet import DETAILS, UNet

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
    x, conditions = noise(1, 3, 96, 112), random_conditions(96, 112)
    whole = denoiser(x, SIGMA, conditions)
    for top, left in ((0, 0), (10, 20), (24, 32)):
        box = (..., slice(top, top + 72), slice(left, left + 72))
        part = denoiser(x[box], SIGMA, Conditions(conditions.static[box], conditions.time))
        inside = (..., slice(WIDE, -WIDE), slice(WIDE, -WIDE))
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


class One(UNet):
    """Answers ones and remembers what it saw."""

    def forward(self, x, log_sigma, static, time, known, circular=False):
        self.seen, self.known = x, known
        return torch.ones_like(x[:, : self.variables])


@pytest.mark.parametrize("sigma", [1e-3, 1.0, 1e3])
def test_preconditioning(sigma):
    """Karras et al. (2022), table 1 with data scale 1, recovered from a network that answers a constant."""
    network = One(1, TINY)
    x = noise(1, 1, 8, 8)
    answer = Denoiser(network)(x, torch.tensor(sigma), random_conditions(8, 8))
    skip, out, scale = 1 / (sigma**2 + 1), sigma / (sigma**2 + 1) ** 0.5, 1 / (sigma**2 + 1) ** 0.5
    torch.testing.assert_close(answer, skip * x + out, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(network.seen[:, :1], scale * x, rtol=1e-5, atol=1e-7)
    assert network.seen.shape == (1, 1 + DETAILS, 8, 8)


def test_the_gains_are_those_of_white_noise():
    white = noise(4, 1, 256, 256)
    stds = [float(band.std()) for band in details(white, True)]
    assert stds == pytest.approx(GAINS, rel=0.03)


def test_details_add_up_with_what_is_left():
    x = noise(2, 3, 24, 40)
    for circular in (True, False):
        rest = x - sum(details(x, circular))
        assert len(details(x, circular)) == DETAILS
        assert rest.std() < 0.2 * x.std()
        constant = torch.full((1, 1, 20, 20), 3.0)
        assert all(float(band.abs().max()) < 1e-6 for band in details(constant, circular))


@pytest.mark.parametrize("sigma", [1e-4, 0.1, 10.0])
def test_every_band_comes_scaled_to_one(sigma):
    """Clean details of standard deviation s with noise: the sum of the variances is divided out."""
    network, std = One(1, TINY), torch.tensor([[0.01], [0.05], [0.2]])
    denoiser = Denoiser(network)
    denoiser.detail_std.copy_(std)
    level = torch.tensor(sigma)
    clean = noise(8, 1, 128, 128, seed=3)
    # white noise of the standard deviation whose finest band is as asked; the others follow from the gains
    clean *= std[0] / GAINS[0]
    denoiser(clean + sigma * noise(8, 1, 128, 128), level, random_conditions(128, 128), circular=True)
    for band, gain in enumerate(GAINS):
        true = (gain**2 * ((std[0] / GAINS[0]) ** 2 + sigma**2)).sqrt() / (gain**2 * sigma**2 + std[band] ** 2).sqrt()
        assert float(network.seen[:, 1 + band].std()) == pytest.approx(float(true), rel=0.06)


def test_an_absent_variable_changes_nothing(denoiser):
    x, conditions = noise(2, 3, 16, 16), random_conditions(16, 16)
    present = torch.tensor([[True, False, True], [True, True, True]])
    spoiled = x.clone()
    spoiled[0, 1] = 50.0
    ours, theirs = (denoiser(field, SIGMA, conditions, present=present) for field in (x, spoiled))
    assert torch.equal(ours, theirs)
    full = denoiser(x, SIGMA, conditions)
    torch.testing.assert_close(ours[1], full[1])
    assert (ours[0, 0] - full[0, 0]).abs().max() > 1e-3


def test_all_present_is_the_same_as_no_mask(denoiser):
    x, conditions = noise(2, 3, 16, 16), random_conditions(16, 16)
    masked = denoiser(x, SIGMA, conditions, present=torch.ones(2, 3, dtype=torch.bool))
    assert torch.equal(masked, denoiser(x, SIGMA, conditions))


def test_the_network_is_told_what_is_absent():
    network = One(3, TINY)
    Denoiser(network)(noise(1, 3, 8, 8), SIGMA, random_conditions(8, 8), present=torch.tensor([[True, False, True]]))
    assert network.known.tolist() == [[1.0, 0.0, 1.0]]
    assert not network.seen[:, 1::3].any()


def test_without_noise_the_field_comes_back(denoiser):
    x = noise(1, 3, 8, 8)
    answer = denoiser(x, torch.tensor(1e-6), random_conditions(8, 8))
    torch.testing.assert_close(answer, x, rtol=0, atol=1e-4)
