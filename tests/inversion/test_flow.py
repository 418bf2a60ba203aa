"""The flow operator against closed forms, manufactured solutions, its own mass balance and finite differences."""

import numpy as np
import pytest
import torch

from zssd_cli.errors import ConfigError, SolverError
from zssd_cli.inversion.flow import FlowSolver, Observe, Sensors
from zssd_cli.inversion.problem import FlowProblem, Side, Well

STEADY = FlowProblem(
    12, 17, 10.0, 7.0, west=Side("head", 8.0), north=Side("head", np.linspace(8, 5, 17)), south=Side("flux", 2e-6),
    thickness=3.0, x0=100.0, y0=-50.0, wells=(Well(200.0, -20.0, -1e-3), Well(250.0, 20.0, 4e-4)), recharge=1e-7,
)  # fmt: skip
TRANSIENT = FlowProblem(
    12, 17, 10.0, 7.0, west=Side("head", 8.0), north=Side("head", 6.0), south=Side("flux", 2e-6), thickness=3.0,
    wells=(Well(50.0, 20.0, np.array([-1e-3, -1e-3, 0.0, 0.0])),), recharge=1e-7, storage=2e-3,
    time_steps=(600.0, 600.0, 1800.0, 600.0), initial_head=7.0,
)  # fmt: skip
PROBLEMS = {"steady": STEADY, "transient": TRANSIENT}


def random_log_k(*shape, spread=1.5, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * spread - 9


def smooth_world(n):
    """A field, heads and the recharge that they need, on the unit square; flux through the north, heads elsewhere."""
    x = y = (np.arange(n) + 0.5) / n
    k, edge_k = (np.exp(np.sin(3 * x)[None] * np.cos(2 * b)[:, None]) for b in (y, np.ones(1)))

    def head(x, y):
        return np.sin(2 * np.atleast_1d(x))[None] * np.exp(np.atleast_1d(y))[:, None]

    sin, cos, e = np.sin(2 * x)[None], np.cos(2 * x)[None], np.exp(y)[:, None]
    log_x, log_y = 3 * np.cos(3 * x)[None] * np.cos(2 * y)[:, None], -2 * np.sin(3 * x)[None] * np.sin(2 * y)[:, None]
    recharge = -k * (log_x * 2 * cos * e + log_y * sin * e - 4 * sin * e + sin * e)
    problem = FlowProblem(
        n, n, 1 / n, 1 / n, west=Side("head", head(0, y)[:, 0]), east=Side("head", head(1, y)[:, 0]),
        south=Side("head", head(x, 0)[0]), north=Side("flux", (edge_k * head(x, 1))[0]), recharge=recharge,
    )  # fmt: skip
    return problem, torch.as_tensor(np.log(k))[None], head(x, y)


def test_manufactured_solution_converges_at_second_order():
    errors = []
    for n in (16, 32, 64):
        problem, log_k, exact = smooth_world(n)
        found = FlowSolver(problem).heads(log_k)[0].numpy()
        errors.append(np.sqrt(((found - exact) ** 2).mean()))
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 1e-3
    assert (np.abs(slopes - 2) < 0.1).all(), slopes


def test_layers_in_series_are_exact():
    """Harmonic means make one-dimensional flow through layers exact whatever the contrast."""
    k = torch.tensor([1e-3, 1e-3, 1e-8, 1e-5, 1e-5, 1e-2], dtype=torch.float64)
    problem = FlowProblem(3, 6, 2.0, 5.0, west=Side("head", 10.0), east=Side("head", 4.0))
    resistance = (2.0 / k).numpy()
    q = 6.0 / resistance.sum()
    centres = 10 - q * (np.cumsum(resistance) - resistance / 2)
    heads = FlowSolver(problem).heads(k.log().expand(1, 3, 6))[0].numpy()
    np.testing.assert_allclose(heads, np.tile(centres, (3, 1)), rtol=1e-12)


def test_a_closed_box_relaxes_as_its_eigenmode_does():
    """Implicit Euler divides an eigenvector by 1 + dt * eigenvalue each step, to rounding."""
    n, dx, dt, s, k = 20, 3.0, 50.0, 1e-2, 1e-4
    mode = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    rate = 4 * k * np.sin(np.pi / (2 * n)) ** 2 / dx**2 / s
    problem = FlowProblem(
        5, n, dx, 2.0, storage=s, time_steps=(dt,) * 4, initial_head=np.broadcast_to(5 + mode, (5, n)).copy()
    )
    heads = FlowSolver(problem).heads(torch.full((1, 5, n), np.log(k), dtype=torch.float64))[0].numpy()
    for step in range(4):
        np.testing.assert_allclose(heads[step, 2], 5 + mode / (1 + dt * rate) ** (step + 1), rtol=1e-12)


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_steady_mass_balance(spread):
    solver, log_k = FlowSolver(STEADY), random_log_k(4, 12, 17, spread=spread)
    sides = solver.discharge(log_k, solver.heads(log_k))
    given = -6e-4 + 1e-7 * 12 * 17 * 70 + 2e-6 * 17 * 10 * 3
    assert float(((sides.sum(1) + given).abs() / sides.abs().sum(1)).max()) < 1e-10


def test_mass_balance_of_a_large_bimaterial_field():
    problem = FlowProblem(64, 64, 10.0, 10.0, west=Side("head", 10.0), east=Side("head", 0.0), recharge=1e-9)
    log_k = torch.where(random_log_k(2, 64, 64) > -9, np.log(1e-3), np.log(1e-7)).double()
    solver = FlowSolver(problem)
    sides = solver.discharge(log_k, solver.heads(log_k))
    assert float(((sides.sum(1) + 1e-9 * 640**2).abs() / sides.abs().sum(1)).max()) < 1e-10


def test_transient_mass_balance():
    """What flows in is what storage gains, in every step."""
    solver, log_k = FlowSolver(TRANSIENT), random_log_k(2, 12, 17)
    heads = solver.heads(log_k)
    before = torch.cat([torch.full_like(heads[:, :1], 7.0), heads[:, :-1]], 1)
    for step, length in enumerate(TRANSIENT.time_steps):
        gain = 2e-3 * 70 * (heads[:, step] - before[:, step]).sum((1, 2)) / length
        sides = solver.discharge(log_k, heads[:, step])
        well = (-1e-3, -1e-3, 0, 0)[step]
        inflow = sides.sum(1) + well + 1e-7 * 12 * 17 * 70 + 2e-6 * 17 * 10 * 3
        assert float(((inflow - gain).abs() / sides.abs().sum(1)).max()) < 1e-10


def test_transient_tends_to_steady():
    steady = FlowProblem(8, 9, 5.0, 5.0, west=Side("head", 3.0), recharge=1e-7)
    late = FlowProblem(8, 9, 5.0, 5.0, west=Side("head", 3.0), recharge=1e-7, storage=0.1, time_steps=(1e12, 1e12))
    log_k = random_log_k(1, 8, 9)
    torch.testing.assert_close(FlowSolver(late).heads(log_k)[:, -1], FlowSolver(steady).heads(log_k))


def controls(problem, seed=1):
    """log K, recharge and boundary heads as a tuple, and a direction for each."""
    generator = torch.Generator().manual_seed(seed)
    point = (
        random_log_k(2, *problem.shape),
        torch.full(problem.shape, 1e-7, dtype=torch.float64),
        torch.as_tensor(problem.boundary_heads),
    )
    sizes = (1.0, 1e-7, 1.0)
    direction = tuple(
        torch.randn(p.shape, dtype=torch.float64, generator=generator) * s for p, s in zip(point, sizes, strict=True)
    )
    return point, direction


def loss_of(problem, seed=3):
    """A nonlinear function of a weighted mean of the heads, and its solver."""
    solver = FlowSolver(problem)
    shape = solver.heads(random_log_k(2, *problem.shape)).shape
    weights = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return lambda *point: ((solver.heads(*point) - 7) * weights).square().sum()


@pytest.mark.parametrize("which", [0, 1, 2], ids=["log-k", "recharge", "boundary-heads"])
@pytest.mark.parametrize("kind", PROBLEMS)
def test_gradients_against_finite_differences_and_taylor(kind, which):
    loss, (point, direction) = loss_of(PROBLEMS[kind]), controls(PROBLEMS[kind])
    at = [p.clone().requires_grad_(i == which) for i, p in enumerate(point)]
    loss_at = loss(*at)
    (gradient,) = torch.autograd.grad(loss_at, at[which])
    value, slope = float(loss_at.detach()), float((gradient * direction[which]).sum())

    def moved(h):
        return float(
            loss(*(p + h * d if i == which else p for i, (p, d) in enumerate(zip(point, direction, strict=True))))
        )

    central = (moved(1e-5) - moved(-1e-5)) / 2e-5
    assert central == pytest.approx(slope, rel=1e-6)
    sizes = np.array([1e-1, 5e-2, 2.5e-2, 1.25e-2]) * 0.1
    remainders = [abs(moved(h) - value - h * slope) for h in sizes]
    rates = np.log2(np.array(remainders[:-1]) / remainders[1:])
    assert (np.abs(rates - 2) < 0.1).all(), rates


@pytest.mark.parametrize("kind", PROBLEMS)
def test_every_entry_of_the_gradient(kind):
    solver, problem = FlowSolver(PROBLEMS[kind]), PROBLEMS[kind]
    recharge = torch.full((2, *problem.shape), 1.0, dtype=torch.float64, requires_grad=True)
    log_k = random_log_k(2, *problem.shape).requires_grad_()
    heads = torch.as_tensor(problem.boundary_heads).expand(2, -1).clone().requires_grad_()

    def some(log_k, recharge, heads):
        return solver.heads(log_k, recharge * 1e-7, heads)[..., ::3, ::4]

    assert torch.autograd.gradcheck(some, (log_k, recharge, heads), fast_mode=True)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_dot_product_with_the_adjoint(kind):
    """Heads are affine in recharge and boundary heads: differences are exact images of differences."""
    problem = PROBLEMS[kind]
    solver, (point, direction) = FlowSolver(problem), controls(problem)
    for which in (1, 2):
        at = [p.clone().requires_grad_(i == which) for i, p in enumerate(point)]
        heads = solver.heads(*at)
        y = torch.randn(heads.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
        (back,) = torch.autograd.grad(heads, at[which], y)
        there = [p + d if i == which else p for i, (p, d) in enumerate(zip(point, direction, strict=True))]
        image = solver.heads(*there) - heads.detach()
        scale = float(image.norm() * y.norm())
        assert abs(float((image * y).sum()) - float((direction[which] * back).sum())) < 1e-11 * scale


def test_dot_product_of_the_jacobian_in_log_k():
    """<J v, y> = <v, J' y>, J v by central differences of fourth order."""
    solver, (point, direction) = FlowSolver(STEADY), controls(STEADY)
    log_k, v, h = point[0].clone().requires_grad_(), direction[0], 1e-3
    heads = solver.heads(log_k)
    y = torch.randn(heads.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    (back,) = torch.autograd.grad(heads, log_k, y)
    near, far = ((solver.heads(point[0] + a * v) - solver.heads(point[0] - a * v)) / (2 * a) for a in (h, 2 * h))
    image = (4 * near - far) / 3
    assert float((image * y).sum()) == pytest.approx(float((v * back).sum()), rel=1e-8)


@pytest.mark.parametrize("shape", [(2, 2), (3, 8), (8, 3), (7, 7), (2, 9)])
def test_turning_the_world_turns_the_heads(shape):
    ny, nx = shape
    log_k = random_log_k(2, ny, nx)
    here = FlowProblem(
        ny, nx, 2.0, 3.0, west=Side("head", 1.0), north=Side("flux", 1e-5), wells=(Well(1.0, 4.0, 1e-5),)
    )
    turned = FlowProblem(
        nx, ny, 3.0, 2.0, south=Side("head", 1.0), east=Side("flux", 1e-5), wells=(Well(4.0, 1.0, 1e-5),)
    )
    torch.testing.assert_close(FlowSolver(here).heads(log_k), FlowSolver(turned).heads(log_k.mT).mT, rtol=1e-12, atol=0)


def test_a_field_of_a_batch_is_solved_as_alone_and_keeps_its_type():
    solver, log_k = FlowSolver(STEADY), random_log_k(3, 12, 17)
    together = solver.heads(log_k)
    assert torch.equal(together[1], solver.heads(log_k[1:2])[0])
    single = solver.heads(log_k.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), together, rtol=1e-4, atol=1e-4)


def test_own_recharge_and_heads_are_the_problems():
    solver, log_k = FlowSolver(STEADY), random_log_k(1, 12, 17)
    given = solver.heads(log_k, torch.full((12, 17), 1e-7), torch.as_tensor(STEADY.boundary_heads))
    torch.testing.assert_close(given, solver.heads(log_k), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("value", [float("nan"), -800.0])
def test_a_field_that_cannot_be_solved_is_named(value):
    log_k = random_log_k(2, 12, 17)
    log_k[1, 3, 4] = value
    with pytest.raises(SolverError, match="field 1"):
        FlowSolver(STEADY).heads(log_k)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"west": Side(), "north": Side("flux", 1e-6)}, "fixed head on at least one side"),
        ({"west": Side("head", np.zeros(5))}, r"side west.*\(12,\).*\(5,\)"),
        ({"west": Side("head", float("nan"))}, "not finite"),
        ({"west": Side("heads", 1.0)}, "expected head, flux or no-flow"),
        ({"dx": 0.0}, "dx: expected a positive number"),
        ({"ny": 1}, "2 x 2"),
        ({"wells": (Well(0.0, 0.0, 1.0),)}, "outside the domain"),
        ({"wells": (Well(200.0, 0.0, np.ones(3)),)}, "one finite rate"),
        ({"storage": 1e-3}, "no time_steps"),
        ({"time_steps": (1.0,)}, "no storage"),
        ({"storage": 1e-3, "time_steps": (0.0,)}, "time_steps: expected a positive"),
        ({"recharge": np.zeros((17, 12))}, "recharge"),
    ],
)
def test_contradictions(change, words):
    given = {
        name: getattr(STEADY, name)
        for name in ("ny", "nx", "dx", "dy", "x0", "y0", "west", "south", "thickness", "wells", "recharge")
    }
    with pytest.raises(ConfigError, match=words):
        FlowProblem(**(given | change))


def sensors(problem, count=9, seed=0):
    """Anywhere in the domain, corners included."""
    rng = np.random.default_rng(seed)
    west, east, south, north = problem.extent
    x, y = rng.uniform(west, east, count), rng.uniform(south, north, count)
    x[:2], y[:2] = (west, east), (south, north)
    step = rng.integers(len(problem.time_steps), size=count) if problem.transient else None
    return Sensors(x, y, np.zeros(count), np.ones(count), step)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_observation_is_linear_with_an_explicit_adjoint(kind):
    problem = PROBLEMS[kind]
    observe, solver = Observe(problem, sensors(problem)), FlowSolver(problem)
    x = torch.randn_like(solver.heads(random_log_k(2, *problem.shape))).requires_grad_()
    y = torch.randn(2, 9, dtype=torch.float64)
    seen = observe(x)
    assert seen.shape == (2, 9)
    (back,) = torch.autograd.grad(seen, x, y)
    torch.testing.assert_close(observe.adjoint(y), back, rtol=1e-12, atol=1e-14)
    assert float((seen * y).detach().sum()) == pytest.approx(float((x * observe.adjoint(y)).detach().sum()))


def test_observation_of_a_plane_is_exact_up_to_the_edges():
    where = sensors(STEADY, 50)
    plane = 2 + 0.3 * STEADY.x[None] - 0.7 * STEADY.y[:, None]
    seen = Observe(STEADY, where)(torch.as_tensor(plane))
    np.testing.assert_allclose(seen, 2 + 0.3 * where.x - 0.7 * where.y, rtol=1e-12)


def test_observation_picks_the_step():
    heads = torch.arange(4.0, dtype=torch.float64).reshape(4, 1, 1).expand(4, 12, 17)
    where = sensors(TRANSIENT)
    np.testing.assert_allclose(Observe(TRANSIENT, where)(heads), where.step)


def test_sensors_that_cannot_be_observed():
    outside = Sensors(np.array([500.0]), np.array([0.0]), np.zeros(1), np.ones(1))
    with pytest.raises(ConfigError, match="outside the domain"):
        Observe(STEADY, outside)
    inside = Sensors(np.array([50.0]), np.array([10.0]), np.zeros(1), np.ones(1))
    with pytest.raises(ConfigError, match="expected steps from 0 to 3, got none"):
        Observe(TRANSIENT, inside)
