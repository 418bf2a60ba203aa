"""The network is local, shift-equivariant on the circle, and independent of what else is in the batch."""

import pytest
import torch

from tests.worlds import REACH, TINY, noise, random_conditions, random_denoiser
from zssd_cli.config import UNetConfig
from zssd_cli.prior.unet import DETAILS, Conv, Halve, TimeTokens, UNet

CONFIGS = {
    "tiny": TINY,
    "three-levels": UNetConfig(channels=(8, 8, 12), blocks=2, embedding=16, token=8, attention_from=1),
    "flat": UNetConfig(channels=(8,), blocks=1, embedding=8, token=8, attention_from=0),
}


@pytest.fixture(scope="module", params=CONFIGS)
def network(request):
    return random_denoiser(config=CONFIGS[request.param]).network


KNOWN = torch.ones(1, 3)


def wide(x):
    """The field and stand-ins for its bands of detail."""
    return torch.cat([x, *(x * 0.7**k for k in range(1, DETAILS + 1))], 1)


def run(network, x, conditions, circular):
    level = torch.linspace(-2, 2, len(x))
    static = conditions.static.expand(len(x), -1, -1, -1)
    with torch.no_grad():
        return network(wide(x), level, static, conditions.time.expand(len(x), -1), KNOWN.expand(len(x), -1), circular)


@pytest.mark.parametrize("strides", [1, 3])
def test_rolling_the_circle_rolls_the_answer(network, strides):
    x, conditions = noise(2, 3, 16, 48), random_conditions(16, 48)
    shift = strides * network.stride
    straight = run(network, x, conditions, True)
    rolled = run(network, x.roll(shift, -1), type(conditions)(conditions.static.roll(shift, -1), conditions.time), True)
    assert straight.std() > 0.1
    torch.testing.assert_close(rolled, straight.roll(shift, -1), rtol=0, atol=1e-5)
    # and without the circle the rim would show: the property is not there by accident
    flat = run(network, x.roll(shift, -1), type(conditions)(conditions.static.roll(shift, -1), conditions.time), False)
    assert (flat - straight.roll(shift, -1)).abs().max() > 1e-3


@pytest.mark.parametrize("circular", [True, False])
def test_a_cell_is_felt_nearby_and_nowhere_else(circular):
    network = random_denoiser().network
    x, conditions = noise(1, 3, 64, 64), random_conditions(64, 64)
    touched = x.clone()
    touched[0, 1, 30, 33] += 1.0
    change = (run(network, touched, conditions, circular) - run(network, x, conditions, circular)).abs().amax((0, 1))
    rows, columns = torch.nonzero(change > 1e-6, as_tuple=True)
    assert change[30, 33] > 1e-3
    assert 3 < int((rows - 30).abs().max()) <= REACH
    assert 3 < int((columns - 33).abs().max()) <= REACH


def test_the_seam_is_no_rim():
    network = random_denoiser().network
    x, conditions = noise(1, 3, 32, 64), random_conditions(32, 64)
    touched = x.clone()
    touched[..., 0] += 1.0
    change = (run(network, touched, conditions, True) - run(network, x, conditions, True)).abs().amax((0, 1, 2))
    assert change[-1] > 1e-3
    assert change[REACH + 1 : -REACH - 1].max() < 1e-6


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_is_used(name):
    network = random_denoiser(config=CONFIGS[name]).network.requires_grad_(True)
    conditions = random_conditions(16, 16, 3)
    conditions.time[0] = torch.nan
    static = conditions.static.expand(3, -1, -1, -1)
    known = torch.tensor([[1.0, 1, 0], [1, 0, 1], [0, 1, 1]])
    x = wide(noise(3, 3, 16, 16))
    network(x, torch.tensor([-3.0, 0, 3]), static, conditions.time, known).square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0, key


def test_a_fresh_network_answers_zero():
    """The preconditioned denoiser then starts as the best linear guess for white data."""
    network = UNet(3, TINY)
    assert not run(network, noise(1, 3, 8, 8), random_conditions(8, 8), False).any()


def test_time_tokens_are_cyclic_and_know_the_unknown():
    torch.manual_seed(0)
    tokens = TimeTokens(8)
    with torch.no_grad():
        start, end, other = tokens(torch.tensor([[0.0, 0.25], [1.0, 0.25], [0.5, 0.25]]))
        torch.testing.assert_close(start, end, rtol=0, atol=1e-5)
        assert (start[1] - other[1]).abs().max() > 0.1
        torch.testing.assert_close(start[2], other[2])
        year, day, both = tokens(torch.tensor([[torch.nan, 0.25], [0.0, torch.nan], [torch.nan, torch.nan]]))
        torch.testing.assert_close(year[2], start[2])
        torch.testing.assert_close(day[1], start[1])
        torch.testing.assert_close(torch.stack([both[1], both[2]]), torch.stack([year[1], day[2]]))
        torch.testing.assert_close(both[1:], tokens.unknown[1:])


def test_what_is_absent_matters_once_it_is_learned(network):
    x, conditions = wide(noise(1, 3, 16, 16)), random_conditions(16, 16)
    level = torch.zeros(1)
    with torch.no_grad():
        full, lacking = (
            network(x, level, conditions.static, conditions.time, torch.tensor([known]), True)
            for known in ([1.0, 1, 1], [1.0, 0, 1])
        )
    assert (full - lacking).abs().max() > 1e-3


@pytest.mark.parametrize("circular", [True, False])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_gradients_a_convolution_answers_the_same(circular, layout, dtype):
    layer = Conv(6, 5).to(dtype)
    x = noise(2, 6, 9, 11).to(dtype).contiguous(memory_format=layout)
    gain, shift = noise(2, 6, 1, 1, seed=1).to(dtype), noise(2, 6, 1, 1, seed=2).to(dtype)
    for scaling in ((), (gain, shift)):
        plain = layer.activated(x, circular, *scaling).detach()
        with torch.no_grad():
            torch.testing.assert_close(layer.activated(x, circular, *scaling), plain)


def test_halving_is_a_convolution_of_the_shuffled_pixels():
    layer, x = Halve(3, 5), noise(2, 3, 8, 6)
    shuffled = torch.nn.functional.conv2d(torch.nn.functional.pixel_unshuffle(x, 2), layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), shuffled, rtol=0, atol=1e-6)
