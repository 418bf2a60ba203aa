"""Inversion: the closed form of linear priors and operators, seeds, batches, multi-start, early stopping, errors."""

import pytest
import torch

from zssd_cli.errors import ConfigError
from zssd_cli.inversion import estimate as estimates
from zssd_cli.inversion.ensembles import inflations_of
from zssd_cli.inversion.estimate import estimate
from zssd_cli.inversion.posterior import invert
from zssd_cli.inversion.settings import InversionSettings
from zssd_cli.timing import Timing

SIZE, CELLS, DATA = 6, 10, 5


class LinearPrior:
    """Fields that are a fixed matrix times the unknown."""

    size = SIZE

    def __init__(self):
        self.matrix = torch.randn(CELLS, SIZE, generator=torch.Generator().manual_seed(0))

    def fields(self, unknown):
        return unknown @ self.matrix.T

    def sharpened(self):
        return (self,)

    def softened(self):
        return ()

    def unknowns(self, noise):
        return noise


class CurvedPrior(LinearPrior):
    """Two valleys: the sign of the first number is lost."""

    def fields(self, unknown):
        first = unknown[:, :1].square()
        return torch.cat([first, unknown[:, 1:]], 1) @ self.matrix.T


@pytest.fixture
def world():
    rng = torch.Generator().manual_seed(1)
    operator = torch.randn(DATA, CELLS, generator=rng)
    error = 0.3 + 0.4 * torch.rand(DATA, generator=rng)
    data = torch.randn(2, DATA, generator=rng) * 3
    return LinearPrior(), operator, data, error


def closed_form(prior, operator, data, error):
    """Posterior mean (P, n) and covariance (n, n) of the unknown."""
    jacobian = (operator @ prior.matrix).double() / error[:, None].double()
    covariance = torch.linalg.inv(torch.eye(SIZE, dtype=torch.float64) + jacobian.T @ jacobian)
    return (data.double() / error.double()) @ jacobian @ covariance, covariance


def test_the_map_of_a_linear_problem_is_its_posterior_mean(world):
    prior, operator, data, error = world
    settings = InversionSettings(members=0, lbfgs_steps=200)
    found = invert(prior, lambda u: u @ operator.T, data, error, settings)
    mean, _ = closed_form(prior, operator, data, error)
    # the minimum is found to .01 in the value
    assert torch.allclose(found.map_unknown.double(), mean, atol=0.1)
    assert torch.allclose(found.map_field, prior.fields(found.map_unknown))
    assert found.members.shape == (2, 0, CELLS)


def test_the_ensemble_of_a_linear_problem_is_its_posterior(world):
    prior, operator, data, error = world
    settings = InversionSettings(members=4000, starts=1, lbfgs_steps=100)
    found = invert(prior, lambda u: u @ operator.T, data, error, settings)
    mean, covariance = closed_form(prior, operator, data, error)
    unknowns = found.member_unknowns.double()
    # antithetic pairs: the mean is exact
    assert torch.allclose(unknowns.mean(1), mean, atol=1e-3)
    for member in unknowns:
        assert torch.allclose(member.T.cov(), covariance, atol=0.06)


def test_members_do_not_hang_on_the_map_in_a_linear_problem(world):
    """The linear start is the solution, wherever it is linearised."""
    prior, operator, data, error = world
    first, second = (
        invert(prior, lambda u: u @ operator.T, data, error, InversionSettings(adam_steps=steps, lbfgs_steps=steps))
        for steps in (1, 30)
    )
    assert torch.allclose(first.members, second.members, atol=2e-2)


def test_data_sets_of_a_batch_are_independent(world):
    prior, operator, data, error = world
    both = invert(prior, lambda u: u @ operator.T, data, error)
    alone = invert(prior, lambda u: u @ operator.T, data[1], error)
    assert torch.allclose(both.map_field[1], alone.map_field[0], atol=1e-3)
    assert torch.allclose(both.members[1], alone.members[0], atol=1e-3)
    small = invert(prior, lambda u: u @ operator.T, data, error, InversionSettings(batch=3))
    assert torch.allclose(both.members, small.members, atol=1e-3)


class ScaledPrior(LinearPrior):
    """Draws twice as far from the centre as a normal distribution."""

    def unknowns(self, noise):
        return 2 * noise


@pytest.mark.parametrize("ensemble", ["rml", "smoother"])
def test_members_begin_as_draws_of_the_prior(ensemble):
    """Data that say nothing leave the members where the prior drew them."""
    prior, said = ScaledPrior(), InversionSettings(members=400, ensemble=ensemble, starts=1)
    found = invert(prior, lambda u: 1e-6 * u[:, :2], torch.zeros(2), torch.ones(2), said)
    assert float(found.member_unknowns.std()) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("ensemble", ["rml", "smoother"])
@pytest.mark.parametrize(("members", "starts", "count"), [(0, 1, DATA), (1, 2, DATA), (3, 1, 1)])
def test_small_numbers_of_members_starts_and_data(world, ensemble, members, starts, count):
    prior, operator, data, error = world
    settings = InversionSettings(members=members, starts=starts, ensemble=ensemble, smoothed=50)
    found = invert(prior, lambda u: u @ operator[:count].T, data[:, :count], error[:count], settings)
    assert found.members.shape == (2, members, CELLS)
    assert found.start_values.shape == (2, starts)
    # the centre of the prior has half the squared residual as its value
    centre = 0.5 * (data[:, :count] / error[:count]).square().sum(1)
    assert (found.start_values.min(1).values < centre).all()


def test_a_smoother_of_twice_the_unknown_keeps_its_spread():
    """The shape of the two-material prior: 256 numbers, 36 data, 512 members."""
    rng = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(36, 36, generator=rng))
    right, _ = torch.linalg.qr(torch.randn(256, 36, generator=rng))
    operator = left @ torch.diag(30 * torch.exp(-torch.arange(36) / 6.0)) @ right.T

    class Wide(LinearPrior):
        size = 256

        def fields(self, unknown):
            return unknown

    truth = torch.randn(1, 256, generator=rng)
    data = truth @ operator.T + torch.randn(1, 36, generator=rng)
    settings = InversionSettings(ensemble="smoother", members=512, starts=1, lbfgs_steps=0)
    found = invert(Wide(), lambda u: u @ operator.T, data, torch.ones(36), settings)
    exact = torch.linalg.inv(torch.eye(256) + operator.T @ operator).trace()
    assert 0.85 < float(found.member_unknowns[0].var(0).sum() / exact) < 1.05


def test_same_seed_same_result(world):
    prior, operator, data, error = world
    runs = [
        invert(prior, lambda u: u @ operator.T, data, error, InversionSettings(seed=seed, members=4))
        for seed in (3, 3, 4)
    ]
    assert torch.equal(runs[0].members, runs[1].members)
    assert not torch.equal(runs[0].members, runs[2].members)


def test_the_best_start_wins_and_solves_are_counted(world):
    _, operator, _, error = world
    truth = torch.tensor([[2.0, 0, 0, 0, 0, 0], [-3.0, 1, 0, 0, 0, 0]])
    data = CurvedPrior().fields(truth) @ operator.T
    calls = []

    def forward(u):
        calls.append(len(u))
        return u @ operator.T

    found = invert(CurvedPrior(), forward, data, error, InversionSettings(starts=6, members=4))
    value = found.start_values.min(1).values
    prior = 0.5 * found.map_unknown.square().sum(1)
    misfit = 0.5 * ((found.map_field @ operator.T - data) / error).square().sum(1)
    assert torch.allclose(prior + misfit, value, rtol=1e-4)
    # the centre is a saddle of this prior: other starts do better
    assert (found.start_values.argmin(1) > 0).all()
    assert found.solves == sum(calls) / 2
    assert found.adjoints == DATA


def test_stops_at_the_noise(world):
    prior, operator, _, error = world
    truth = torch.randn(1, SIZE, generator=torch.Generator().manual_seed(5))
    data = prior.fields(3 * truth) @ operator.T
    stages = []
    settings = InversionSettings(members=0, adam_steps=1, discrepancy=1.0)
    found = invert(prior, lambda u: u @ operator.T, data, error, settings, lambda *a: stages.append(a))
    assert (found.start_misfits <= 1).all()
    full = invert(prior, lambda u: u @ operator.T, data, error, InversionSettings(members=0))
    assert found.solves < full.solves
    assert {stage for stage, _, _ in stages} == {"Adam", "L-BFGS"}
    assert stages[-1][2] <= 1


@pytest.mark.parametrize(("data", "error"), [([1.0, float("nan")], 1.0), ([1.0, 2.0], 0.0), ([1.0, 2.0], float("inf"))])
def test_bad_data_are_refused(data, error):
    prior = LinearPrior()
    with pytest.raises(ConfigError, match="expected finite data and positive errors"):
        invert(prior, lambda u: u[:, :2], torch.tensor(data), torch.tensor(error))


def test_the_smoother_of_a_linear_problem_finds_its_posterior(world):
    prior, operator, data, error = world
    settings = InversionSettings(members=4000, ensemble="smoother", starts=2, lbfgs_steps=100)
    found = invert(prior, lambda u: u @ operator.T, data, error, settings)
    mean, covariance = closed_form(prior, operator, data, error)
    unknowns = found.member_unknowns.double()
    assert torch.allclose(unknowns.mean(1), mean, atol=0.1)
    for member in unknowns:
        assert torch.allclose(member.T.cov(), covariance, atol=0.06)
    assert torch.allclose(found.map_unknown.double(), mean, atol=0.1)


def test_the_smoother_smooths_more_members_than_it_gives(world):
    prior, operator, data, error = world
    settings = InversionSettings(members=3, ensemble="smoother", smoothed=500, discrepancy=1.0)
    calls = []
    found = invert(prior, lambda u: calls.append(len(u)) or u @ operator.T, data, error, settings)
    assert found.members.shape == (2, 3, CELLS)
    assert torch.allclose(found.members, prior.fields(found.member_unknowns))
    assert found.solves == sum(calls) / 2
    # five data leave one of six numbers open: members fit nearly as well as the truth would
    assert float(found.member_misfits.median()) < 3


class TwoMaterials(LinearPrior):
    """Fields of nearly -1 and 1, the more so the sharper."""

    def __init__(self, sharpness=1.0):
        super().__init__()
        self.sharpness = sharpness

    def sharpened(self):
        return tuple(TwoMaterials(value) for value in (1.0, 3.0))

    def softened(self):
        return tuple(TwoMaterials(value) for value in (0.1, 0.3, 0.6))

    def fields(self, unknown):
        return torch.tanh(self.sharpness * super().fields(unknown))


def test_smoothed_members_go_on_until_they_explain_the_data(world):
    """The smoother alone misses by many errors where the field bends; fields are those of the last stage."""
    _, operator, _, _ = world
    prior, sharp = TwoMaterials(), TwoMaterials(3.0)
    truth = sharp.fields(torch.randn(1, SIZE, generator=torch.Generator().manual_seed(3)))
    data, error = truth @ operator.T, torch.full((DATA,), 0.02)
    rough, found = (
        invert(
            prior, lambda u: u @ operator.T, data, error,
            InversionSettings(ensemble="smoother", members=64, polish_steps=steps),
        )
        for steps in (0, 60)
    )  # fmt: skip
    assert torch.allclose(found.members[0], sharp.fields(found.member_unknowns[0]))
    assert torch.allclose(found.map_field, sharp.fields(found.map_unknown))
    middle = found.member_misfits.median().sqrt()
    assert rough.member_misfits.median().sqrt() > 5
    # own errors of the data and those that are left
    assert middle < 2


def test_the_gradual_search_meets_the_data_from_the_centre(world):
    """Through soft interfaces and large errors; what it ends with is told in the errors that were given."""
    _, operator, _, _ = world
    sharp = TwoMaterials(3.0)
    truth = sharp.fields(torch.randn(1, SIZE, generator=torch.Generator().manual_seed(3)))
    data, error = truth @ operator.T, torch.full((DATA,), 0.02)
    stages = []
    settings = InversionSettings(starts=1, members=0, discrepancy=1.0)
    found = invert(TwoMaterials(), lambda u: u @ operator.T, data, error, settings, lambda *a: stages.append(a))
    misfit = ((found.map_field @ operator.T - data) / error).square().mean()
    assert float(misfit) == pytest.approx(float(found.start_misfits), rel=1e-3)
    assert misfit < 4
    assert {stage for stage, _, _ in stages} == {"search", "L-BFGS"}


@pytest.mark.parametrize("misfit", [0.1, 1.0, 50.0, 400.0, 1e9])
def test_inflations_halve_and_add_up_to_one(misfit):
    inflations = torch.tensor(inflations_of(misfit), dtype=torch.float64)
    assert float((1 / inflations).sum()) == pytest.approx(1)
    assert torch.allclose(inflations[1:] * 2, inflations[:-1])
    assert 4 <= len(inflations) <= 10
    if 50 <= misfit <= 500:
        assert 1 <= inflations[0] / misfit <= 4


@pytest.mark.parametrize("settings", [
    InversionSettings(members=10, discrepancy=1.0), InversionSettings(members=0), InversionSettings(starts=1, members=4, lbfgs_steps=3),
    InversionSettings(ensemble="smoother", members=5, smoothed=64), InversionSettings(ensemble="smoother", members=200, smoothed=64),
])  # fmt: skip
def test_the_estimate_spans_the_solutions_that_are_made(world, settings):
    prior, operator, data, error = world
    found = invert(prior, lambda u: u @ operator.T, data[0], error, settings)
    told = estimate(prior, lambda u: u @ operator.T, data[0], error, settings)
    low, high = told.solutions
    assert low < high
    assert found.solves <= high
    # members of a linear problem are at their minima after the linear start: fewer solutions than any aquifer takes
    assert low <= found.solves or settings.ensemble == "rml"


def test_the_estimate_follows_the_timings(world, monkeypatch):
    """A field costs what the batch that it shares costs: the least with the fastest timing, the most with the median."""
    prior, operator, data, error = world
    monkeypatch.setattr(estimates, "timed", lambda work: Timing(2.0, 3.0, 5))
    settings = InversionSettings(starts=4, adam_steps=7, lbfgs_steps=10, members=16, member_steps=2, batch=8)
    told = estimate(prior, lambda u: u @ operator.T, data[0], error, settings)
    low, high = (
        (8 + 16 / 8 * (1 + 2 * estimates.SEARCH[0])),
        (8 + 10 * estimates.SEARCH[1] + 16 / 8 * (2 + 2 * estimates.SEARCH[1])),
    )
    assert told.seconds == pytest.approx((2.0 * low, 3.0 * high))
