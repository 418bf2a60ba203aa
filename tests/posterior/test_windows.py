"""Windows: weights that add up, no trace of the windows in the answer, and no trace of the batch either."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.worlds import REACH, TINY, WIDE, noise, random_conditions, random_denoiser
from zssd_cli.config import UNetConfig
from zssd_cli.posterior import windows
from zssd_cli.posterior.windows import OVERLAP, plan, tile_axis, windowed
from zssd_cli.prior.denoiser import Conditions


@given(st.integers(1, 2000), st.integers(1, 800), st.sampled_from([4, 12, 48]), st.sampled_from([1, 2, 8]))
def test_weights_add_up_and_the_rims_count_nothing(length, window, overlap, stride):
    tiles = tile_axis(length, window, overlap, stride)
    total = torch.zeros(length)
    for start, weight in zip(tiles.starts, tiles.weights, strict=True):
        assert start % stride == 0
        assert weight.shape == (tiles.size,)
        assert (weight >= 0).all()
        total[start : start + tiles.size] += weight
    torch.testing.assert_close(total, torch.ones(length), rtol=0, atol=1e-5)
    assert tiles.starts[0] == 0
    assert tiles.starts[-1] + tiles.size == length
    rim = overlap // 4
    for k, weight in enumerate(tiles.weights):
        assert k == 0 or not weight[:rim].any()
        assert k == len(tiles.starts) - 1 or not weight[-rim:].any()
    for first, second in zip(tiles.starts, tiles.starts[1:], strict=False):
        assert first < second <= first + tiles.size - overlap
    assert tiles.size <= max(window, overlap + max(overlap, stride) + stride)


def test_one_window_where_it_fits():
    tiles = tile_axis(100, 100)
    assert tiles.starts == (0,)
    assert torch.equal(tiles.weights, torch.ones(1, 100))


@given(st.integers(100, 721), st.integers(100, 1440), st.integers(128 * 128, 10**6))
def test_plans_stay_near_the_bound(height, width, cells):
    rows, columns = plan(height, width, False, cells, 8)
    assert rows.size * columns.size <= max(cells, 1.2 * (2 * OVERLAP + 8) * max(2 * OVERLAP + 8, cells**0.5))


def test_the_globe_is_cut_into_rings():
    rows, columns = plan(721, 1440, True, 600_000, 8)
    assert columns.size == 1440
    assert len(rows.starts) > 1
    assert rows.size * 1440 <= 600_000
    with pytest.raises(ValueError, match="whole circle"):
        plan(721, 1440, True, 128 * 128, 8)


CONFIGS = {"two-levels": TINY, "flat": UNetConfig(channels=(8,), blocks=1, embedding=8, token=8, attention_from=0)}


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_windows_leave_no_trace(name, circular, monkeypatch):
    """A network whose reach ends within the rim that has no weight answers as on the whole domain."""
    overlap = 4 * (WIDE + 1)
    monkeypatch.setattr(windows, "tile_axis", partial(tile_axis, overlap=overlap))
    parts, whole = in_windows_and_whole(CONFIGS[name], 327, 328 if circular else 325, circular, 328 * 260)
    torch.testing.assert_close(parts, whole, rtol=0, atol=2e-3 if name == "two-levels" else 1e-5)
    assert float((parts - whole).abs().mean()) < 1e-6


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_usual_overlap_leaves_little(name, circular):
    """The bands of detail look further than the rim without weight of the usual overlap; a tenth of a percent of the noise."""
    cells = 248 * 3 * OVERLAP if circular else 128 * 128
    parts, whole = in_windows_and_whole(CONFIGS[name], 231, 248 if circular else 245, circular, cells)
    assert float((parts - whole).square().mean().sqrt()) < 1e-3
    assert OVERLAP // 4 >= REACH - 1


def in_windows_and_whole(config, height, width, circular, cells):
    """The answer of a random network by windows and in one piece; there are several windows."""
    denoiser = random_denoiser(config=config)
    x, conditions = noise(1, 3, height, width), random_conditions(height, width)
    rows, columns = plan(height, width, circular, cells, denoiser.network.stride)
    assert len(rows.starts) > 1
    assert circular or len(columns.starts) > 1
    return windowed(denoiser, conditions, circular, cells)(x, 0.7), denoiser(x, torch.tensor(0.7), conditions, circular)


@pytest.mark.parametrize("cells", [128 * 128, 600_000])
def test_a_sample_does_not_feel_its_batch(cells):
    denoiser = random_denoiser()
    x, conditions = noise(5, 3, 96, 150), random_conditions(96, 150, 5)
    together = windowed(denoiser, conditions, False, cells)(x, 2.0)
    for k in range(5):
        alone = windowed(denoiser, Conditions(conditions.static, conditions.time[k : k + 1]), False, cells)
        torch.testing.assert_close(together[k : k + 1], alone(x[k : k + 1], 2.0), rtol=0, atol=1e-5)
    shared = windowed(denoiser, Conditions(conditions.static, conditions.time[:1]), False, cells)(x, 2.0)
    torch.testing.assert_close(shared[:1], together[:1], rtol=0, atol=1e-5)
    assert (shared[1] - together[1]).abs().max() > 1e-3


def test_gradients_pass_through_the_windows():
    denoiser = random_denoiser()
    conditions = random_conditions(150, 150)
    denoise = windowed(denoiser, conditions, False, 128 * 128)
    x, direction = noise(1, 3, 150, 150).requires_grad_(), noise(1, 3, 150, 150, seed=5)
    (gradient,) = torch.autograd.grad(denoise(x, 1.0).square().mean(), x)
    assert torch.isfinite(gradient).all()
    x, h = x.detach(), 1e-2
    slope = (denoise(x + h * direction, 1.0).square().mean() - denoise(x - h * direction, 1.0).square().mean()) / (
        2 * h
    )
    assert float(slope) == pytest.approx(float((gradient * direction).sum()), rel=0.05, abs=1e-4)
