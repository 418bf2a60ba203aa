"""The engine against a posterior that is known exactly (see gaussian.py)."""

from collections.abc import Iterator

import pytest
import torch

from tests.posterior.gaussian import World, lag_table, make_world
from zssd_cli.posterior.guidance import Guidance, Observation
from zssd_cli.posterior.guidance.analysis import Analysis
from zssd_cli.posterior.guidance.projection import projection
from zssd_cli.posterior.random import NoiseStream
from zssd_cli.posterior.sampler import sample
from zssd_cli.prior.noise import karras_sigmas

MEMBERS = 64


@pytest.fixture(scope="module")
def world() -> World:
    """One world for all tests."""
    return make_world()


def observe(world: World, channels: tuple[int, ...], members: int = MEMBERS) -> Observation:
    """Block means of one draw of the prior, the same for every member."""
    truth = world.draw(1, seed=0)
    values = world.operator(truth[:, list(channels)]).expand(members, -1, -1, -1)
    return Observation(values, channels, world.operator, torch.full((len(channels),), 0.02))


def ensemble(world: World, guidance: Guidance, observation: Observation, sampler: str, steps: int) -> torch.Tensor:
    """Draws from the guided prior."""
    noise = NoiseStream(1, [(m, 0) for m in range(len(observation.values))], world.shape)
    fields: Iterator[torch.Tensor] = sample(
        guidance(world.denoise, observation), noise.draw, karras_sigmas(steps), sampler
    )
    return list(fields)[-1]


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "dpmpp_2m_sde"])
@pytest.mark.parametrize("channels", [(0, 1), (0,)])
def test_analysis_reaches_the_exact_posterior(world: World, channels: tuple[int, ...], sampler: str) -> None:
    """Mean within 1.3 of Monte Carlo error and spread within 15 percent, all or only the first variable observed."""
    observation = observe(world, channels)
    mean, deviation = world.posterior(observation)
    draws = ensemble(world, Analysis(lag_table(), torch.ones(2)), observation, sampler, 40)
    monte_carlo = (deviation.square() / MEMBERS).mean((1, 2)).sqrt()
    error = (draws.mean(0) - mean[0]).square().mean((1, 2)).sqrt()
    assert (error < 1.3 * monte_carlo).all()
    spread = draws.std(0).square().mean((1, 2)).sqrt() / deviation.square().mean((1, 2)).sqrt()
    assert ((spread > 0.9) & (spread < 1.15)).all()


def test_projection_is_exact_on_the_observation_and_wrong_on_the_rest(world: World) -> None:
    """What `analysis` is for: projection meets the block means but not the posterior of the unobserved variable."""
    observation = observe(world, (0,))
    mean, deviation = world.posterior(observation)
    draws = ensemble(world, projection, observation, "dpmpp_2m", 20)
    assert observation.residual(draws).abs().max() < 1e-5
    monte_carlo = (deviation.square() / MEMBERS).mean((1, 2)).sqrt()
    error = (draws.mean(0) - mean[0]).square().mean((1, 2)).sqrt()
    assert error[1] > 2 * monte_carlo[1]


def test_missing_blocks_are_left_out(world: World) -> None:
    """The solution with a missing block is the one of an observation that never had it."""
    observation = observe(world, (0, 1), members=1)
    holed = observation.values.clone()
    holed[:, :, 1, 2] = torch.nan
    analysis = Analysis(lag_table(), torch.ones(2)).solver(observation)
    present = ~holed.isnan()
    filled = torch.where(present, holed, torch.full_like(holed, 1e3))
    one = analysis.increment(holed.nan_to_num(), present, 1.0)
    two = analysis.increment(filled * present, present, 1.0)
    whole = analysis.increment(observation.values, torch.ones_like(present), 1.0)
    assert torch.equal(one, two)
    assert (one - whole).abs().max() > 0.05


def test_members_do_not_depend_on_the_batch(world: World) -> None:
    """Alone or among others: the same member."""
    analysis = Analysis(lag_table(), torch.ones(2))
    many = ensemble(world, analysis, observe(world, (0,), 5), "dpmpp_2m", 12)
    few = ensemble(world, analysis, observe(world, (0,), 2), "dpmpp_2m", 12)
    torch.testing.assert_close(many[:2], few, atol=1e-4, rtol=0)
