"""L-BFGS on a batch: quadratics whose minimum is known, Rosenbrock's valley, independent problems, early ends."""

import pytest
import torch

from zssd_cli.inversion.lbfgs import Evaluated, Rule, minimise


def evaluation(function, calls=None):
    def objective(x, index):
        if calls is not None:
            calls.append(index.tolist())
        x = x.detach().requires_grad_(True)
        value = function(x, index)
        (gradient,) = torch.autograd.grad(value.sum(), x)
        return Evaluated(value.detach(), gradient, value.detach())

    return objective


def quadratics(count=4, size=12, condition=1e3):
    rng = torch.Generator().manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(count, size, size, generator=rng, dtype=torch.float64))
    a = (q * torch.logspace(0, torch.tensor(condition).log10().item(), size, dtype=torch.float64)) @ q.mT
    b = torch.randn(count, size, generator=rng, dtype=torch.float64)

    def function(x, index):
        shifted = x - b[index]
        return 0.5 * torch.einsum("ki,kij,kj->k", shifted, a[index], shifted)

    return function, a, b


def test_finds_the_minimum_of_every_quadratic():
    function, _, b = quadratics()
    x, found = minimise(evaluation(function), torch.zeros_like(b), Rule(300, tolerance=1e-12))
    assert torch.allclose(x, b, atol=1e-4)
    assert found.gradient.abs().max() < 1e-2


def test_the_inverse_hessian_as_preconditioner_needs_one_step():
    function, a, b = quadratics()
    _, found = minimise(
        evaluation(function), torch.zeros_like(b), Rule(1), lambda v: torch.linalg.solve(a, v[..., None]).squeeze(-1)
    )
    assert found.value.max() < 1e-20


def test_rosenbrock():
    def function(x, _):
        return (1 - x[:, 0]) ** 2 + 100 * (x[:, 1] - x[:, 0] ** 2) ** 2

    start = torch.tensor([[-1.2, 1.0], [0.0, 0.0]], dtype=torch.float64)
    x, _ = minimise(evaluation(function), start, Rule(200, tolerance=1e-14))
    assert torch.allclose(x, torch.ones_like(x), atol=1e-4)


def test_problems_do_not_feel_each_other():
    function, _, b = quadratics()
    together, _ = minimise(evaluation(function), torch.zeros_like(b), Rule(7, tolerance=0.0))
    for k in range(len(b)):
        alone, _ = minimise(
            evaluation(lambda x, index, k=k: function(x, index + k)), torch.zeros_like(b[:1]), Rule(7, tolerance=0.0)
        )
        assert torch.allclose(alone[0], together[k], atol=1e-10)


def test_stops_at_the_misfit_and_evaluates_finished_problems_no_more():
    calls = []
    function, _, b = quadratics(condition=10.0)
    start = torch.zeros_like(b)
    start[2] = b[2]  # at its minimum, below any misfit
    _, found = minimise(evaluation(function, calls), start, Rule(100, misfit=0.5))
    assert (found.misfit <= 0.5).all()
    assert (found.misfit > 1e-6).sum() == 3
    assert calls[0] == [0, 1, 2, 3]
    assert all(2 not in call for call in calls[1:])


def test_steps_into_nan_are_taken_back():
    def function(x, _):
        return (x[:, 0] - 0.5 * x[:, 0].log()) + 10 * x[:, 0] ** 2

    x, found = minimise(evaluation(function), torch.tensor([[3.0]], dtype=torch.float64), Rule(50, tolerance=1e-12))
    assert x.item() == pytest.approx((-1 + 41**0.5) / 40, abs=1e-6)
    assert found.value.isfinite().all()
