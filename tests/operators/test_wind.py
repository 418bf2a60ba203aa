"""Wind speed as an operator: the same properties as of the linear ones, and what it says about what is unresolved."""

import math

import pytest
import torch

from zssd_cli.grids.latlon import GLOBE, Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.operators.wind import WindSpeed

WIND = WindSpeed(1, 2, (-0.3, 0.4), (5.7, 4.7))
SHAPE = (2, 3, 9, 11)


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("unresolved", [0.0, 30.0])
def test_slope_is_the_derivative(unresolved):
    """Against autograd, and in the dot-product form A(slope . dx) = <dx, slope' w>."""
    x, w = random(*SHAPE).requires_grad_(), random(2, 9, 11, seed=1)
    (gradient,) = torch.autograd.grad(WIND(x, unresolved), x, w)
    slope = WIND.slope(x.detach(), unresolved)
    torch.testing.assert_close(gradient[:, 1:], slope * w[:, None], rtol=1e-12, atol=1e-14)
    assert not gradient[:, 0].any()


def test_slope_against_finite_differences():
    x, direction, h = random(*SHAPE), random(*SHAPE, seed=2), 1e-6
    slope = (WIND.slope(x) * direction[:, 1:]).sum(1)
    torch.testing.assert_close(
        (WIND(x + h * direction) - WIND(x - h * direction)) / (2 * h), slope, rtol=1e-6, atol=1e-8
    )


def test_block_means_of_a_constant_wind_are_its_speed():
    region = Region(10, 40, 20, 50)
    operator = Coarsen(fine_grid(region), block_grid(5.0, region), dtype=torch.float64)
    x = torch.zeros(1, 3, *operator.fine.shape, dtype=torch.float64)
    x[:, 1], x[:, 2] = (3 + 0.3) / 5.7, (-4 - 0.4) / 4.7
    expected = torch.full((1, *operator.coarse.shape), 5.0, dtype=torch.float64)
    torch.testing.assert_close(operator(WIND(x)) * WIND.scale, expected, rtol=1e-5, atol=0)


def test_a_roll_in_longitude_rolls_the_image():
    operator = Coarsen(fine_grid(GLOBE), block_grid(5.0, GLOBE), dtype=torch.float64)
    x = random(1, 3, *operator.fine.shape)
    torch.testing.assert_close(operator(WIND(x.roll(20, -1))), operator(WIND(x)).roll(1, -1), rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype(dtype):
    x = random(*SHAPE).to(dtype)
    for image in (WIND(x), WIND.slope(x), WIND.move(x, 0 * x[:, 0])):
        assert image.dtype == dtype
    assert WIND(x).shape == (2, 9, 11)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_device():
    x = random(*SHAPE)
    torch.testing.assert_close(WIND(x.cuda()).cpu(), WIND(x), rtol=0, atol=1e-12)


def test_moving_lengthens_the_wind_exactly_and_keeps_its_direction():
    x, change = random(*SHAPE), 0.3 * random(2, 9, 11, seed=3).abs()
    moved = WIND.move(x, change)
    # but for calms of a few centimetres a second
    torch.testing.assert_close(WIND(moved), WIND(x) + change, rtol=0, atol=2e-3)
    before, after = WIND.slope(x), WIND.slope(moved)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-2)
    assert torch.equal(moved[:, 0], x[:, 0])
    still = WIND.move(x, torch.full_like(change, -9.0))
    assert float(WIND(still).max()) < 0.01


def test_expected_speed_of_an_unresolved_wind():
    """Of N(0, s^2) in both components: sqrt(pi / 2) s."""
    centred = WindSpeed(1, 2, (0.0, 0.0), (5.0, 5.0))
    resolved = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    speed = float(centred(resolved, 2 * 5.0**2)) * centred.scale
    assert speed == pytest.approx(math.sqrt(math.pi / 2) * 5, rel=1e-3)
    draws = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0)) * 5
    assert float(draws.norm(dim=1).mean()) == pytest.approx(speed, rel=0.01)


def test_no_direction_no_slope():
    """Where all of the wind is unresolved, its speed says nothing about the components."""
    x = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    x[:, 1], x[:, 2] = 0.3 / 5.7, -0.4 / 4.7
    assert not WIND.slope(x, 50.0).abs().gt(1e-12).any()
    assert torch.isfinite(WIND.slope(x)).all()
