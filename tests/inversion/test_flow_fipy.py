"""The flow operator against FiPy, an independent finite-volume code."""

import numpy as np
import pytest
import torch

from zssd_cli.inversion.flow import FlowSolver
from zssd_cli.inversion.problem import FlowProblem, Side, Well

fipy = pytest.importorskip("fipy")

NY, NX, DX, DY = 24, 32, 10.0, 8.0
RECHARGE, RATE = 2e-9, -2e-5


def field(kind):
    rng = np.random.default_rng(1)
    rough = rng.normal(size=(NY, NX))
    if kind == "heterogeneous":
        return -9 + 1.5 * rough
    smooth = sum(np.roll(rough, (i, j), (0, 1)) for i in range(-3, 4) for j in range(-3, 4))
    return np.where(smooth > 0, np.log(1e-4), np.log(1e-7))


def fipy_heads(log_k, steps=(), storage=0.0):
    """Heads by FiPy with fixed heads west and north, a flux through the south and a wall in the east."""
    mesh = fipy.Grid2D(nx=NX, ny=NY, dx=DX, dy=DY)
    k = fipy.CellVariable(mesh=mesh, value=np.exp(log_k).ravel())
    head = fipy.CellVariable(mesh=mesh, value=5.0, hasOld=True)
    head.constrain(10.0, mesh.facesLeft)
    head.constrain(7.0 + 0.01 * mesh.faceCenters[0], mesh.facesTop)
    source = np.full((NY, NX), RECHARGE)
    source[0] += 3e-8 / DY
    source[NY // 2, NX // 2] += RATE / (DX * DY)
    q = fipy.CellVariable(mesh=mesh, value=source.ravel())
    conductivity = fipy.FaceVariable(mesh=mesh, value=k.harmonicFaceValue)
    solver = fipy.LinearLUSolver(tolerance=1e-14)
    right = fipy.DiffusionTerm(coeff=conductivity) + q
    if not steps:
        (right == 0).solve(var=head, solver=solver)
        return head.value.reshape(NY, NX)
    out = []
    for step in steps:
        head.updateOld()
        (fipy.TransientTerm(coeff=storage) == right).solve(var=head, dt=step, solver=solver)
        out.append(head.value.reshape(NY, NX).copy())
    return np.stack(out)


def our_heads(log_k, **transient):
    x = (np.arange(NX) + 0.5) * DX
    problem = FlowProblem(
        NY, NX, DX, DY, west=Side("head", 10.0), north=Side("head", 7.0 + 0.01 * x), south=Side("flux", 3e-8),
        recharge=RECHARGE, wells=(Well(NX / 2 * DX + 1, NY / 2 * DY + 1, RATE),), **transient,
    )  # fmt: skip
    return FlowSolver(problem).heads(torch.as_tensor(log_k)[None])[0].numpy()


@pytest.mark.parametrize("kind", ["heterogeneous", "bimaterial"])
def test_steady(kind):
    log_k = field(kind)
    expected = fipy_heads(log_k)
    assert np.ptp(expected) > 2
    np.testing.assert_allclose(our_heads(log_k), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["heterogeneous", "bimaterial"])
def test_transient(kind):
    log_k, steps = field(kind), (3600.0, 3600.0, 36000.0)
    found = our_heads(log_k, storage=1e-3, time_steps=steps, initial_head=5.0)
    np.testing.assert_allclose(found, fipy_heads(log_k, steps, 1e-3), rtol=1e-6)
