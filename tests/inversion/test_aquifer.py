"""Inactive cells, anisotropy, uncertain forcing and forecasts against solutions that are known."""

import numpy as np
import pytest
import torch

from zssd_cli.errors import ConfigError
from zssd_cli.inversion.aquifer import Extended, Uncertain
from zssd_cli.inversion.domain import DomainConfig
from zssd_cli.inversion.flow import FlowSolver, Observe, Sensors
from zssd_cli.inversion.forecast import faces_across, forecast, forecast_problem
from zssd_cli.inversion.problem import FlowProblem, Side, Well

HEADS = {"west": Side("head", 12.0), "east": Side("head", 9.0)}


def random_log_k(*shape, seed=0):
    return torch.as_tensor(np.log(1e-5) + np.random.default_rng(seed).standard_normal(shape))


# Inactive cells


def test_an_aquifer_within_a_larger_grid_is_the_aquifer_alone():
    small = FlowProblem(5, 6, 10.0, 20.0, west=HEADS["west"], recharge=1e-8, wells=(Well(35.0, 50.0, -1e-5),))
    active = np.zeros((8, 9), dtype=bool)
    active[:5, :6] = True
    large = FlowProblem(8, 9, 10.0, 20.0, west=HEADS["west"], recharge=1e-8, wells=small.wells, active=active)
    with pytest.raises(ConfigError, match="Side east: the outline has no cell there"):
        FlowProblem(8, 9, 10.0, 20.0, **HEADS, active=active)
    log_k = random_log_k(2, 8, 9)
    found = FlowSolver(large).heads(log_k)[:, :5, :6]
    torch.testing.assert_close(found, FlowSolver(small).heads(log_k[:, :5, :6]), rtol=0, atol=1e-10)


def test_inactive_cells_have_no_influence_and_no_gradient():
    active = np.ones((6, 7), dtype=bool)
    active[2:4, 3] = False
    problem = FlowProblem(6, 7, 10.0, 10.0, **HEADS, recharge=1e-8, active=active)
    log_k = random_log_k(1, 6, 7).requires_grad_()
    heads = FlowSolver(problem).heads(log_k)
    (gradient,) = torch.autograd.grad(heads[0, 1, 2], log_k)
    assert not gradient[0, 2:4, 3].any()
    assert gradient[0][torch.as_tensor(active)].ne(0).all()
    changed = log_k.detach().clone()
    changed[0, 2:4, 3] += 3
    torch.testing.assert_close(FlowSolver(problem).heads(changed), heads.detach(), rtol=0, atol=1e-12)


def test_water_that_enters_an_aquifer_with_a_hole_leaves_it():
    active = np.ones((6, 7), dtype=bool)
    active[2:4, 2:5] = False
    problem = FlowProblem(6, 7, 10.0, 10.0, **HEADS, recharge=1e-8, active=active, wells=(Well(5.0, 5.0, -1e-5),))
    solver, log_k = FlowSolver(problem), random_log_k(1, 6, 7)
    inflow = float(solver.discharge(log_k, solver.heads(log_k)).sum())
    assert inflow == pytest.approx(1e-5 - active.sum() * 100 * 1e-8, rel=1e-9)


def test_a_sensor_beside_an_inactive_cell_has_the_head_of_its_own_cell():
    active = np.ones((4, 4), dtype=bool)
    active[1, 2] = False
    problem = FlowProblem(4, 4, 10.0, 10.0, **HEADS, active=active)
    places = Sensors(np.array([18.0, 18.0]), np.array([17.0, 32.0]), np.zeros(2), np.ones(2))
    heads = torch.arange(16.0, dtype=torch.float64).view(1, 4, 4)
    seen = Observe(problem, places)(heads)[0]
    assert float(seen[0]) == 5.0  # row 1, column 1, whose neighbour to the east is inactive
    assert float(seen[1]) == pytest.approx(4 * 2.7 + 1.3)
    with pytest.raises(ConfigError, match="inactive"):
        Observe(problem, Sensors(np.array([25.0]), np.array([15.0]), np.zeros(1), np.ones(1)))


def test_what_inactive_cells_may_not_be():
    apart = np.ones((4, 5), dtype=bool)
    apart[:, 2] = False
    for change, words in (
        ({"active": np.zeros((4, 5), dtype=bool)}, "no cell's centre lies within the outline"),
        ({"active": np.ones((3, 5), dtype=bool)}, r"expected booleans \(4, 5\), got bool \(3, 5\)"),
        ({"active": apart, "east": Side()}, r"8 active cells around \(40, 20\) m touch no side"),
        ({"active": apart, "wells": (Well(25.0, 5.0, -1.0),)}, "the cell is inactive"),
    ):
        with pytest.raises(ConfigError, match=words):
            FlowProblem(4, 5, 10.0, 10.0, **(HEADS | change))


def test_an_outline_and_a_hole_choose_cells_by_their_centres():
    domain = DomainConfig.model_validate(
        {
            "cells": [4, 4],
            "size": [40.0, 40.0],
            "boundaries": {"west": {"head": 1.0}},
            "outline": [[0, 0], ["40 m", 0], [40, 20], [0, 40]],
            "holes": [[[11, 1], [19, 1], [19, 9], [11, 9]]],
        }
    )
    assert domain.problem().inside.astype(int).tolist() == [[1, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]]


# Anisotropy


def test_anisotropy_is_another_spacing_of_the_rows():
    ratio = 0.25
    problem = FlowProblem(
        5, 6, 10.0, 20.0, west=Side("head", 12.0), north=Side("head", 9.0), recharge=1e-8, anisotropy=ratio
    )
    # with y' = y / sqrt(ratio) the equation is isotropic
    stretched = FlowProblem(
        5, 6, 10.0, 20.0 / ratio**0.5, west=Side("head", 12.0), north=Side("head", 9.0), recharge=1e-8
    )
    log_k = random_log_k(2, 5, 6)
    torch.testing.assert_close(FlowSolver(problem).heads(log_k), FlowSolver(stretched).heads(log_k), rtol=0, atol=1e-10)


# Uncertain forcing


def test_shifts_of_all_heads_shift_the_solution_and_the_factor_scales_the_recharge():
    problem = FlowProblem(4, 5, 10.0, 10.0, **HEADS, recharge=1e-8)
    uncertain = Uncertain({"recharge": 0.5, "west": 0.2, "east": 0.4, "south": 0.0}, problem)
    assert list(uncertain.spread) == ["recharge", "west", "east"]
    numbers = torch.tensor([[0.0, 1.0, 0.5], [2.0, 0.0, 0.0]])
    values = uncertain.values(numbers)
    torch.testing.assert_close(values["recharge"], torch.tensor([0.0, 1.0]).exp())
    torch.testing.assert_close(values["west"], torch.tensor([0.2, 0.0]))
    forcing, solver, log_k = (
        uncertain.forcing(numbers, problem),
        FlowSolver(problem),
        random_log_k(1, 4, 5).expand(2, -1, -1),
    )
    heads = solver.heads(log_k, forcing.recharge, forcing.boundary_heads)
    torch.testing.assert_close(heads[0], solver.heads(log_k)[0] + 0.2, rtol=0, atol=1e-6)
    rainy = FlowSolver(FlowProblem(4, 5, 10.0, 10.0, **HEADS, recharge=1e-8 * np.e)).heads(log_k)[1]
    torch.testing.assert_close(heads[1], rainy, rtol=0, atol=1e-6)


def test_gradients_reach_the_uncertain_numbers():
    problem = FlowProblem(4, 5, 10.0, 10.0, **HEADS, recharge=1e-8)
    uncertain, solver, log_k = (
        Uncertain({"recharge": 0.5, "east": 0.4}, problem),
        FlowSolver(problem),
        random_log_k(1, 4, 5),
    )

    def head(numbers):
        forcing = uncertain.forcing(numbers, problem)
        return solver.heads(log_k, forcing.recharge, forcing.boundary_heads)[:, 2, 3]

    assert torch.autograd.gradcheck(head, torch.tensor([[0.3, -0.2]], dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize(("spread", "words"), [({"south": 1.0}, "no fixed head"), ({"recharge": 0.3}, "no recharge")])
def test_what_cannot_be_uncertain(spread, words):
    with pytest.raises(ConfigError, match=words):
        Uncertain(spread, FlowProblem(4, 5, 10.0, 10.0, **HEADS))


class Twice:
    """A prior of 2 x 2 fields: twice the unknown."""

    size = 4

    def fields(self, unknown):
        return 2 * unknown.view(-1, 2, 2)

    def sharpened(self):
        return (self,)

    def softened(self):
        return ()

    def unknowns(self, noise):
        return noise + 1


def test_further_numbers_go_through_a_prior_untouched():
    more, z = Extended(Twice(), 2), torch.arange(6.0)[None]
    assert more.size == 6
    assert more.fields(z).tolist() == [[0, 2, 4, 6, 4, 5]]
    assert more.unknowns(z).tolist() == [[1, 2, 3, 4, 4, 5]]


# Forecasts

DOMAIN = {
    "cells": [10, 8],
    "size": [100.0, 80.0],
    "thickness": 5.0,
    "boundaries": {"west": {"head": 12.0}, "east": {"head": 10.0}},
}


def asked(*quantities, **changes):
    return DomainConfig.model_validate(DOMAIN | {"forecast": {"quantities": list(quantities)} | changes})


def answers(domain, log_k=None):
    problem = forecast_problem(domain)
    log_k = torch.full((3, 8, 10), np.log(1e-5), dtype=torch.float64) if log_k is None else log_k
    uncertain = Uncertain({}, domain.problem())
    return [one.values for one in forecast(domain, uncertain, log_k, torch.zeros(len(log_k), 0))], problem


def test_heads_and_flows_of_a_uniform_aquifer():
    domain = asked(
        {"name": "head", "head": [25.0, 40.0]},
        {"name": "north", "flux": [[50.0, 0.0], [50.0, 80.0]]},
        {"name": "back", "flux": [["50 m", "80 m"], [50.0, 0.0]]},
        {"name": "in", "inflow": "west"},
        {"name": "out", "inflow": "east"},
    )
    (head, north, back, inflow, out), _ = answers(domain)
    flow = 1e-5 * 5.0 * 80.0 * 2.0 / 100.0  # K b width drop / length
    np.testing.assert_allclose(head, 11.5, rtol=1e-9)
    np.testing.assert_allclose(north, flow, rtol=1e-9)
    np.testing.assert_allclose(back, -flow, rtol=1e-9)
    np.testing.assert_allclose(inflow, flow, rtol=1e-9)
    np.testing.assert_allclose(out, -flow, rtol=1e-9)


@pytest.mark.parametrize(
    "line",
    [
        [[37.0, -5.0], [37.0, 90.0]],
        [[35.0, 0.0], [35.0, 80.0]],
        [[12.0, -1.0], [71.0, 33.0], [20.0, 47.0], [88.0, 81.0]],
        [[30.0, 0.0], [30.0, 40.0], [60.0, 40.0], [60.0, 80.0]],
    ],
)
def test_all_water_crosses_a_line_from_wall_to_wall(line):
    log_k = random_log_k(2, 8, 10)
    domain = asked({"name": "line", "flux": line}, {"name": "in", "inflow": "west"})
    (line_flow, inflow), _ = answers(domain, log_k)
    np.testing.assert_allclose(line_flow, inflow, rtol=1e-8)


def test_a_closed_line_counts_what_a_well_takes():
    ring = [[22.0, 22.0], [58.0, 22.0], [58.0, 58.0], [22.0, 58.0], [22.0, 22.0]]
    domain = asked({"name": "ring", "flux": ring}, wells=[{"x": 40.0, "y": 40.0, "rate": "-8.64 m3/d"}])
    (ring_flow,), _ = answers(domain, random_log_k(2, 8, 10))
    # anticlockwise, left is inside
    np.testing.assert_allclose(ring_flow, -1e-4, rtol=1e-7)


def test_a_well_captures_all_it_pumps_from_somewhere():
    quantities = ({"name": "w", "capture": "west"}, {"name": "e", "capture": "east"})
    (west, east), _ = answers(asked(*quantities, wells=[{"x": 50.0, "y": 40.0, "rate": -1e-5}]), random_log_k(4, 8, 10))
    np.testing.assert_allclose(west + east, 1.0, rtol=1e-8)
    (west, east), _ = answers(asked(*quantities, wells=[{"x": 15.0, "y": 40.0, "rate": -1e-5}]))
    np.testing.assert_allclose(west, 0.85, rtol=1e-8)


def test_what_is_put_in_is_not_pumped():
    """A well that injects stays in the comparison: the shares are those of the well that pumps."""
    quantities = ({"name": "w", "capture": "west"}, {"name": "e", "capture": "east"})
    pumped, put_in = {"x": 15.0, "y": 40.0, "rate": -1e-5}, {"x": 75.0, "y": 40.0, "rate": 9e-6}
    (west, east), _ = answers(asked(*quantities, wells=[pumped, put_in]))
    np.testing.assert_allclose(west, 0.85, rtol=1e-8)
    np.testing.assert_allclose(east, 0.15, rtol=1e-8)


@pytest.mark.parametrize("names", [("West river", "west-river"), ("???", "q")])
def test_forecasts_are_told_apart_in_the_output(names):
    with pytest.raises((ConfigError, ValueError), match="that letters and digits tell apart"):
        asked(*({"name": name, "inflow": "west"} for name in names))


def test_a_forecast_has_wells_recharge_and_sides_of_its_own():
    domain = asked({"name": "out", "inflow": "south"}, recharge="1 mm/d", boundaries={"south": {"head": 3.0}}, wells=[])
    (out,), problem = answers(domain)
    assert problem.fixed_sides == ("south",)
    np.testing.assert_allclose(out, -1e-3 / 86400 * 8000.0, rtol=1e-8)


@pytest.mark.parametrize(
    ("quantity", "words"),
    [
        ({"inflow": "north"}, "side north has no fixed head"),
        ({"capture": "west"}, "nothing is pumped"),
        ({"head": [500.0, 0.0]}, "outside the domain"),
        ({"flux": [[1.0, 1.0], [2.0, 2.0]]}, "crosses no face"),
    ],
)
def test_quantities_without_an_answer(quantity, words):
    with pytest.raises(ConfigError, match=words):
        forecast_problem(asked({"name": "q"} | quantity))


def test_faces_are_counted_once_where_a_line_goes_through_centres():
    problem = asked({"name": "q", "head": [1.0, 1.0]}).problem()
    east, north = faces_across(problem, [(0.0, 35.0), (100.0, 35.0)])
    assert not east.any()
    assert north[3].tolist() == [-1.0] * 10
    assert np.abs(north).sum() == 10
