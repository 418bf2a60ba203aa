"""The engine against a posterior that is known exactly (see gaussian.py)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from tests.posterior.gaussian import World, lag_table, make_world
from zssd_cli.posterior.guidance import Guidance, Observation
from zssd_cli.posterior.guidance.analysis import Analysis
from zssd_cli.posterior.guidance.mmps import mmps, staged
from zssd_cli.posterior.guidance.projection import projection
from zssd_cli.posterior.random import NoiseStream, Window
from zssd_cli.posterior.sampler import sample
from zssd_cli.prior.noise import karras_sigmas, long_sigmas

MEMBERS = 256


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
    noise = NoiseStream(
        1, [(m, 0) for m in range(len(observation.values))], world.shape[0], Window(0, 0, *world.shape[1:])
    )
    levels = long_sigmas(steps) if sampler == "dpmpp_2m_long" else karras_sigmas(steps)
    fields: Iterator[torch.Tensor] = sample(guidance(world.denoise, observation), noise.draw, levels, sampler)
    return list(fields)[-1]


def analysis() -> Guidance:
    """With the world's own covariance."""
    return Analysis(lag_table(), torch.ones(2))


MODES = {
    "analysis": analysis(),
    "mmps": staged(analysis(), mmps(), 2.0),
    "mmps-40": staged(analysis(), mmps(), 40.0),
    "mmps-throughout": mmps(),
}
"""``mmps`` as in a run, where the analysis does the high noise (above 2 where something is inferred, else above 40), and alone."""
BIAS = 0.15
"""Error of the mean in posterior standard deviations: the analysis counts a tenth of the block means' spread as error of B itself."""
RIM = 4
"""Cells of the rim that the spread of `analysis` leaves out: its V is that of an endless domain, and a run cuts a halo off."""


@pytest.mark.parametrize(
    ("name", "channels", "sampler", "steps"),
    [
        ("analysis", (0, 1), "dpmpp_2m_long", 8),
        ("analysis", (0, 1), "dpmpp_2m", 30),
        ("analysis", (0,), "dpmpp_2m", 30),
        ("analysis", (0,), "dpmpp_2m_sde", 60),
        ("mmps", (0, 1), "dpmpp_2m", 30),
        ("mmps-40", (0, 1), "dpmpp_2m", 30),
        ("mmps", (0,), "dpmpp_2m", 30),
        ("mmps-throughout", (0, 1), "dpmpp_2m", 30),
    ],
)
def test_the_exact_posterior_is_reached(
    world: World, name: str, channels: tuple[int, ...], sampler: str, steps: int
) -> None:
    """Mean within BIAS and Monte Carlo error, spread within 10 percent, all or only the first variable observed.

    Long steps, whose weights are for a network's answers, give a Gaussian up to a fifth too much.
    """
    observation = observe(world, channels)
    mean, deviation = world.posterior(observation)
    draws = ensemble(world, MODES[name], observation, sampler, steps)
    allowed = (deviation.square() * (BIAS**2 + 1.3**2 / MEMBERS)).mean((1, 2)).sqrt()
    error = (draws.mean(0) - mean[0]).square().mean((1, 2)).sqrt()
    assert (error < allowed).all()
    inner = (slice(None), slice(RIM, -RIM), slice(RIM, -RIM)) if name == "analysis" else ...
    spread = (draws.std(0)[inner].square().mean((1, 2)) / deviation[inner].square().mean((1, 2))).sqrt()
    assert ((spread > 0.9) & (spread < (1.2 if sampler == "dpmpp_2m_long" else 1.1))).all()


@pytest.mark.parametrize("name", ["analysis", "mmps"])
def test_a_shifted_observation_shifts_the_answer(world: World, name: str) -> None:
    """A uniform change of the coarse field survives: with the same noise the difference is that of the exact means.

    A Gaussian prior is linear, so this is exact here; with a network it can hold only as far as the network is
    equivariant, but for the block means, which hold always.
    """
    before = observe(world, (0, 1), 2)
    shift = torch.zeros(2, 2, 1, 1)
    shift[:, 0] = 1.0
    after = replace(before, values=before.values + shift)
    one, other = (ensemble(world, MODES[name], seen, "dpmpp_2m", 20) for seen in (before, after))
    expected = (world.posterior(after)[0] - world.posterior(before)[0])[0]
    difference = other - one
    torch.testing.assert_close(difference[0], difference[1], rtol=0, atol=0.03)
    torch.testing.assert_close(world.operator(difference[0, 0]), torch.ones(4, 4), rtol=0, atol=0.03)
    assert float((difference[0] - expected).square().mean().sqrt()) < 0.06


@pytest.mark.parametrize(("sigma", "error", "missing"), [(1.0, 0.02, False), (0.5, 0.4, False), (3.0, 0.4, True)])
def test_mmps_solves_its_system_where_it_may_go_on(world: World, sigma: float, error: float, missing: bool) -> None:
    """With many products one step is the dense Gaussian formula, however large the error, missing blocks left out."""
    observation = replace(observe(world, (0,), 3), error=torch.tensor([error]))
    present = torch.ones(1, 4, 4, dtype=torch.bool)
    if missing:
        present[0, 1, 2] = present[0, 0, 0] = present[0, 3] = False
    observation = replace(observation, values=torch.where(present, observation.values, torch.nan))
    x = world.draw(3, 5) + sigma * world.draw(3, 6)
    guided = mmps(40)(world.denoise, observation)(x, sigma, 0.5)
    matrix = world.matrix((0,))[present.flatten()]
    covariance = (world.vectors * (world.values * sigma**2 / (world.values + sigma**2))) @ world.vectors.T
    gain = covariance @ matrix.T @ torch.linalg.inv(matrix @ covariance @ matrix.T + error**2 * torch.eye(len(matrix)))
    x0 = world.denoise(x, sigma)
    residual = observation.residual(x0)[:, present].double()
    expected = x0 + (residual @ gain.T).reshape(x0.shape).float()
    torch.testing.assert_close(guided, expected, rtol=0, atol=2e-3)


def test_mmps_drops_a_former_solution_that_fits_worse_than_none(world: World) -> None:
    """After a step of another field, far away, the next one is solved as if it were the first."""
    observation, guidance = observe(world, (0,), 2), mmps(4)
    far, near = 50 * world.draw(2, 7), world.draw(2, 5) + 0.3 * world.draw(2, 6)
    guided = guidance(world.denoise, observation)
    guided(far, 3.0, 0.3)
    after = guided(near, 0.3, 0.2)
    # one of its four products went into looking at the former solution
    fresh = mmps(3)(world.denoise, observation)(near, 0.3, 0.2)
    torch.testing.assert_close(after, fresh, rtol=0, atol=1e-5)


def test_projection_is_exact_on_the_observation_and_wrong_on_the_rest(world: World) -> None:
    """What `analysis` is for: projection meets the block means but not the posterior of the unobserved variable."""
    observation = observe(world, (0,))
    mean, deviation = world.posterior(observation)
    draws = ensemble(world, projection, observation, "dpmpp_2m", 20)
    assert observation.residual(draws).abs().max() < 1e-5
    monte_carlo = (deviation.square() / MEMBERS).mean((1, 2)).sqrt()
    error = (draws.mean(0) - mean[0]).square().mean((1, 2)).sqrt()
    assert error[1] > 2 * monte_carlo[1]


@pytest.mark.parametrize("channels", [(0, 1), (0,)])
def test_missing_blocks_are_left_out(world: World, channels: tuple[int, ...]) -> None:
    """The increment of an observation with missing blocks is the dense Gaussian formula without their rows."""
    observation, sigma = observe(world, channels, members=1), 5.0
    present = torch.ones_like(observation.values, dtype=torch.bool)
    present[:, 0, 1, 2] = present[:, -1, 2, 1] = present[:, :, 0, 0] = False
    solver = Analysis(lag_table(), torch.ones(2)).solver(observation)
    zero, filled = (torch.where(present, observation.values, value) for value in (0.0, 1e3))
    increment = solver.increment(zero, present, sigma)
    assert torch.equal(solver.increment(filled, present, sigma), increment)
    matrix = world.matrix(channels)[present.flatten()]
    covariance = (world.vectors * (world.values * sigma**2 / (world.values + sigma**2))) @ world.vectors.T
    gain = covariance @ matrix.T @ torch.linalg.inv(matrix @ covariance @ matrix.T + 0.02**2 * torch.eye(len(matrix)))
    expected = (gain @ observation.values[present].double()).reshape(1, *world.shape).float()
    # zeros in place of the missing blocks leave four times as much of the first variable
    assert (root_mean_square(increment - expected) < 0.1).all()
    assert (root_mean_square(solver.increment(zero, present | True, sigma) - expected)[:, 0] > 0.3).all()


def root_mean_square(field: torch.Tensor) -> torch.Tensor:
    """Over the cells, (B, C)."""
    return field.square().mean((2, 3)).sqrt()


@pytest.mark.parametrize("name", [*MODES, "projection"])
def test_members_do_not_depend_on_the_batch(world: World, name: str) -> None:
    """Alone or among others: the same member, to the rounding of the first levels (noise of 120)."""
    guidance = MODES.get(name, projection)
    many = ensemble(world, guidance, observe(world, (0,), 5), "dpmpp_2m", 12)
    few = ensemble(world, guidance, observe(world, (0,), 2), "dpmpp_2m", 12)
    torch.testing.assert_close(many[:2], few, atol=1e-5, rtol=0)
