"""Guidance modes: what they promise exactly, their gradients, and that members do not feel each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.posterior.gaussian import lag_table
from tests.worlds import noise
from zssd_cli.climate.covariance import MAX_LAG, band_centres, latitude_bands
from zssd_cli.grids.latlon import Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.operators.wind import WindSpeed
from zssd_cli.posterior.domain import make_domain
from zssd_cli.posterior.guidance import Observation, ObservedSpeed
from zssd_cli.posterior.guidance.analysis import Analysis, place
from zssd_cli.posterior.guidance.dps import dps
from zssd_cli.posterior.guidance.mmps import mmps, staged
from zssd_cli.posterior.guidance.projection import match, projection, sequential
from zssd_cli.posterior.guidance.ucg import mismatch_gradients, ucg

BOX = Region(0, 15, 40, 55)


def operator(dtype=torch.float32):
    return Coarsen(fine_grid(BOX), block_grid(5.0, BOX), dtype=dtype)


def observation(batch=3, channels=(0, 1), dtype=torch.float32, missing=False):
    values = noise(batch, len(channels), 3, 3, seed=9).to(dtype)
    if missing:
        values[:, 0, 1, 2] = torch.nan
    return Observation(values, channels, operator(dtype), torch.full((len(channels),), 0.01, dtype=dtype))


def linear(x, sigma):
    """A small linear denoiser with a memory of its neighbours: shrink and blur."""
    kernel = torch.tensor([0.2, 0.6, 0.2], dtype=x.dtype)
    padded = torch.nn.functional.pad(x, (1, 1, 0, 0), mode="replicate")
    blurred = sum(k * padded[..., i : i + x.shape[-1]] for i, k in enumerate(kernel))
    return blurred / (1 + 0.1 * sigma**2)


def field(batch=3, dtype=torch.float32, seed=4):
    return noise(batch, 2, 61, 61, seed=seed).to(dtype)


MODES = {
    "projection": projection,
    "ucg": ucg(0.7),
    "dps": dps(0.7),
    "analysis": Analysis(lag_table(), torch.tensor([1.0, 1.0])),
}


@pytest.mark.parametrize("channels", [(0, 1), (1,), (1, 0)])
def test_projection_gives_exactly_the_observed_block_means(channels):
    seen = observation(channels=channels)
    x = field()
    x0 = projection(linear, seen)(x, 0.5, 0.3)
    torch.testing.assert_close(seen.operator(x0[:, list(channels)]), seen.values, rtol=0, atol=2e-5)
    for other in {0, 1} - set(channels):
        assert torch.equal(x0[:, other], linear(x, 0.5)[:, other])


def test_projection_leaves_missing_blocks_alone_and_corrects_the_rest():
    seen = observation(missing=True)
    x0 = projection(linear, seen)(field(), 0.5, 0.3)
    means, before = seen.operator(x0), seen.operator(linear(field(), 0.5))
    there = ~seen.values.isnan()
    torch.testing.assert_close(means[there], seen.values[there], rtol=0, atol=2e-5)
    torch.testing.assert_close(means[~there], before[~there], rtol=0, atol=2e-5)


def test_projection_of_a_right_field_changes_nothing():
    seen = observation()
    x = field()
    right = projection(lambda x, _: x, seen)(x, 0.5, 0.3)
    again = projection(lambda x, _: x, seen)(right, 0.5, 0.3)
    torch.testing.assert_close(again, right, rtol=0, atol=5e-5)


def test_the_prior_is_not_changed_in_place():
    answers = []

    def remembered(x, sigma):
        answers.append((linear(x, sigma), linear(x, sigma).detach()))
        return answers[-1][0]

    for guidance in MODES.values():
        x = field()
        guidance(remembered, observation())(x, 0.5, 0.3)
        assert torch.equal(answers[-1][0], answers[-1][1])
        assert torch.equal(x, field())
        assert not x.requires_grad


def mismatch(x, seen, sigma, fine):
    """The norm of the paper, one number per member, written out."""
    residual = seen.values - seen.operator(linear(x, sigma)[:, list(seen.channels)])
    residual = torch.where(seen.values.isnan(), 0, residual)
    grid = seen.operator.fine if fine else seen.operator.coarse
    weights = torch.as_tensor(np.cos(np.deg2rad(grid.lat)), dtype=x.dtype)
    if fine:
        residual = seen.operator.refine(residual)
    return ((weights / weights.mean())[:, None] * residual).square().sum((1, 2, 3)).sqrt()


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("fine", [True, False])
def test_gradient_against_finite_differences(fine, missing):
    seen = observation(dtype=torch.float64, missing=missing)
    x, direction, h = field(dtype=torch.float64), field(dtype=torch.float64, seed=6), 1e-5
    x0, (gradient,) = mismatch_gradients(linear, seen, x, 0.8, (fine,))
    torch.testing.assert_close(x0, linear(x, 0.8))
    up, down = (mismatch(x + s * h * direction, seen, 0.8, fine) for s in (1, -1))
    slope = (gradient * direction).sum((1, 2, 3))
    torch.testing.assert_close(slope, (up - down) / (2 * h), rtol=1e-6, atol=1e-9)
    assert not gradient.requires_grad
    assert (slope.abs() > 1e-4).all()


@pytest.mark.parametrize("make", [ucg, dps])
def test_the_ddpm_step_moves_by_zeta_times_the_gradient(make):
    """x_{t-1} = DDPM(x_t) - zeta G in the variance-preserving variable, G with respect to x_t."""
    seen, sigma, following, zeta = observation(dtype=torch.float64), 2.0, 1.7, 0.4
    x = field(dtype=torch.float64)
    x0 = make(zeta)(linear, seen)(x, sigma, following)
    plain = linear(x, sigma)
    ratio = (following / sigma) ** 2
    step = (1 - ratio) * (x0 - plain) / (1 + following**2) ** 0.5
    # x_t = x / sqrt(1 + sigma^2), so the gradient with respect to x_t is sqrt(1 + sigma^2) times that of x
    x_t = (x / (1 + sigma**2) ** 0.5).requires_grad_()
    norm = mismatch(x_t * (1 + sigma**2) ** 0.5, seen, sigma, make is ucg).sum()
    (gradient,) = torch.autograd.grad(norm, x_t)
    torch.testing.assert_close(step, -zeta * gradient, rtol=1e-6, atol=1e-9)


def test_the_paper_s_point_the_coarse_gradient_is_smaller():
    seen, x = observation(), field()
    _, gradients = mismatch_gradients(linear, seen, x, 0.5, (True, False))
    assert 8 < float(gradients[0].norm() / gradients[1].norm()) < 30


@pytest.mark.parametrize("name", MODES)
def test_members_do_not_feel_each_other(name):
    """One norm, one residual and one solver per member: a batch of three is three batches of one."""
    x, seen = field(), observation(missing=True)
    x[2] *= 30
    together = MODES[name](linear, seen)(x, 0.6, 0.4)
    for k in range(3):
        alone = Observation(seen.values[k : k + 1], seen.channels, seen.operator, seen.error)
        answer = MODES[name](linear, alone)(x[k : k + 1], 0.6, 0.4)
        torch.testing.assert_close(together[k : k + 1], answer, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODES)
def test_every_mode_brings_the_block_means_nearer(name):
    x, seen = field(), observation()
    guided, plain = MODES[name](linear, seen)(x, 0.9, 0.6), linear(x, 0.9)
    before, after = (seen.residual(f).square().mean((1, 2, 3)) for f in (plain, guided))
    assert (after < before).all()
    assert torch.isfinite(guided).all()


@pytest.mark.parametrize("name", ["projection", "analysis"])
def test_all_missing_means_no_guidance(name):
    seen = observation()
    seen.values.fill_(torch.nan)
    x = field()
    torch.testing.assert_close(MODES[name](linear, seen)(x, 0.9, 0.6), linear(x, 0.9), rtol=0, atol=1e-6)


def test_residual_is_zero_where_nothing_was_observed():
    seen = observation(missing=True)
    residual = seen.residual(field())
    assert torch.equal(residual == 0, seen.values.isnan())


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_a_field_that_is_not_finite_is_not_taken_for_a_missing_block(broken):
    wind = WindSpeed(0, 1, (0.0, 0.0), (1.0, 1.0))
    seen = observation(missing=True)
    speed = seen.values[:, 0].clone()
    seen = replace(seen, speed=ObservedSpeed(speed, wind, 0.05))
    x0 = field()
    x0[1, 0, 25, 27] = broken
    residual, missing = seen.full_residual(x0), torch.cat([seen.values, speed[:, None]], 1).isnan()
    # A has zeros, and 0 times what is not finite is NaN: every block of that sample and variable shows it, no other sample
    assert torch.equal(residual[1, [0, 2]].isfinite(), missing[1, [0, 2]])
    assert residual[[0, 2]].isfinite().all()
    assert torch.equal(residual == 0, missing)


@pytest.mark.parametrize("channel", [0, 1])
def test_only_the_channels_that_are_asked_for_are_matched(channel):
    seen, x = observation(channels=(1, 0)), field()
    matched = match(x, seen, [channel])
    where = seen.channels.index(channel)
    torch.testing.assert_close(seen.operator(matched[:, channel]), seen.values[:, where], rtol=0, atol=2e-5)
    assert torch.equal(matched[:, 1 - channel], x[:, 1 - channel])


def test_the_step_for_wind_speed_knows_the_noise_level():
    """What the denoised field lacks of the wind depends on it."""
    asked = []
    speed = ObservedSpeed(
        noise(3, 3, 3).abs() + 1,
        WindSpeed(0, 1, (0.0, 0.0), (1.0, 1.0)),
        0.05,
        lambda sigma: asked.append(sigma) or 0.1,
    )
    sequential(projection)(linear, replace(observation(channels=(0,)), speed=speed))(field(), 0.6, 0.4)
    assert set(asked) == {0.6}


def test_mmps_stays_where_the_network_answers_with_the_reverse():
    """A Jacobian that is not positive gives no covariance: no step then, rather than one away from the observation."""
    x, seen = field(), observation()
    guided = mmps(4)(lambda x, sigma: -x, seen)(x, 1.0, 0.5)
    torch.testing.assert_close(guided, -x, rtol=0, atol=1e-6)


def test_the_stage_below_begins_at_the_level():
    high, low = (lambda _d, _o, name=name: lambda _x, _s, _n: name for name in ("high", "low"))
    guided = staged(high, low, 10.0)(linear, observation())
    assert [guided(field(), sigma, 0.0) for sigma in (10.1, 10.0, 9.9)] == ["high", "low", "low"]


@pytest.mark.parametrize("change", ["error", "channels", "grids"])
def test_an_analysis_that_has_met_another_observation_answers_like_a_new_one(change):
    def new():
        return Analysis(lag_table(), torch.tensor([1.0, 1.0]))

    first = observation(batch=1, channels=(0,))
    second = {
        "error": replace(first, error=torch.tensor([1.0])),
        "channels": replace(first, channels=(1,)),
        "grids": replace(first, operator=Coarsen(fine_grid(BOX), block_grid(2.5, BOX)), values=noise(1, 1, 6, 6)),
    }[change]
    x, used = field(batch=1), new()
    before, after = (used(linear, seen)(x, 0.9, 0.6) for seen in (first, second))
    assert torch.equal(after, new()(linear, second)(x, 0.9, 0.6))
    assert (after - before).abs().max() > 0.05


def test_a_sample_that_has_converged_does_not_wait_for_another():
    """Conjugate gradients go on for a sample with many missing blocks; the one without any has the answer that it has alone."""
    blocks = block_grid(2.5, Region(0, 30, 30, 60))
    seen = Observation(
        noise(2, 1, 12, 12), (0,), Coarsen(fine_grid(Region(0, 30, 30, 60)), blocks), torch.tensor([0.01])
    )
    solver = Analysis(lag_table(), torch.tensor([1.0, 1.0])).solver(seen)
    present = torch.stack([torch.ones(1, 12, 12), (noise(1, 12, 12, seed=5) > 0).float()]) > 0
    together = solver.increment(seen.values, present, 5.0)
    alone = solver.increment(seen.values[:1], present[:1], 5.0)
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-5)


def test_a_band_looks_fifteen_degrees_beyond_its_rows():
    domain = make_domain(Region(0, 10, -40, 60), 5.0)
    bands = latitude_bands(lag_table(), torch.tensor([1.0, 1.0]), domain.fine.lat)
    rows = [place(band, 20, domain.coarse.shape[0]) for band in bands]
    south = domain.coarse.lat_edges[0]
    for band, placed in zip(bands, rows, strict=True):
        lat = domain.fine.lat[band.weight.numpy() > 0]
        first, last = (float(south + 5 * k) for k in (placed.seen.start, placed.seen.stop))
        assert first <= max(lat[0] - 15, south)
        assert last >= min(lat[-1] + 15, domain.coarse.lat_edges[-1])
        assert last - first <= lat[-1] - lat[0] + 2 * (15 + 5)


@pytest.mark.parametrize("sigma", [40.0, 10.0, 4.0, 2.0])
def test_no_wave_around_a_pole_is_answered_with_its_reverse(sigma):
    # near a pole fields hardly change over the 40 degrees of longitude that B and V are kept for
    lag_y, lag_x = np.meshgrid(np.arange(MAX_LAG + 1), np.arange(-MAX_LAG, MAX_LAG + 1), indexing="ij")
    lags = 20 * np.exp(-((lag_y / 15) ** 2) / 2 - (lag_x / 250) ** 2 / 2)
    lags = torch.as_tensor(np.tile(lags, (band_centres().size, 1, 1, 1, 1)), dtype=torch.float32)
    domain = make_domain(Region(-180, 180, 70, 90), 5.0)
    blocks = Coarsen(domain.fine, domain.coarse)
    waves = torch.cos(torch.deg2rad(torch.outer(torch.arange(37.0), torch.as_tensor(blocks.coarse.lon).float())))
    residual = waves[:, None, None].repeat(1, 1, blocks.coarse.shape[0], 1)
    seen = Observation(residual, (0,), blocks, torch.tensor([0.01]))
    solver = Analysis(lags, torch.ones(1)).solver(seen)
    answer = blocks(solver.increment(residual, torch.ones_like(residual, dtype=torch.bool), sigma))
    share = (answer * residual).sum((1, 2, 3)) / residual.square().sum((1, 2, 3))
    # 1 is the exact answer, 0 none; at -0.25 the residual would grow by a quarter
    assert share.min() > -0.25
    assert share.max() < 1.1
    assert share[:4].min() > 0.9
