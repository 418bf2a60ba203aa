r"""Baseline: a physics-informed neural network (Raissi, Perdikaris and Karniadakis 2019), two of them for every data set.

In units of the domain (:math:`H = h / \Delta h`, lengths / L) the networks H(x, y) and u(x, y) minimise the misfit of the
heads, the residual of :math:`\nabla^2 H + s \nabla u \cdot \nabla H + R^* e^{-s u} = 0` at random points and the flux
through the walls; the fixed heads hold by construction. All data sets train at once, weights (P, in, out). Derivatives are
carried through the layers beside the values, so that autograd is needed once only.
"""

import math

import numpy as np
import torch
from bed import CELLS, DROP, LENGTH, MEAN_K, RECHARGE, STD, THICKNESS, Bed, Estimate
from torch import Tensor

WIDTH, LAYERS, POINTS, WALL_POINTS = 24, 3, 128, 32
SOURCE = RECHARGE * LENGTH**2 / (MEAN_K * THICKNESS * DROP)

Jet = tuple[Tensor, Tensor, Tensor, Tensor]
"""Value, x and y derivative and Laplacian, (P, points, features) each."""


class Networks:
    """One small network for every data set."""

    def __init__(self, count: int, rng: torch.Generator) -> None:
        sizes = [2] + [WIDTH] * LAYERS + [1]
        self.weights = [
            (torch.randn(count, a, b, generator=rng) * math.sqrt(1 / a)).requires_grad_()
            for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        ]
        self.biases = [torch.zeros(count, 1, b, requires_grad=True) for b in sizes[1:]]

    def __call__(self, points: Tensor) -> Jet:
        """Points (P, points, 2) in the unit square -> jets (P, points)."""
        value = 2 * points - 1
        dx, dy = torch.zeros_like(value), torch.zeros_like(value)
        dx[..., 0] = dy[..., 1] = 2.0
        laplacian = torch.zeros_like(value)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            value, dx, dy, laplacian = value @ weight + bias, dx @ weight, dy @ weight, laplacian @ weight
            if layer < LAYERS:
                value = torch.tanh(value)
                slope = 1 - value.square()
                laplacian = slope * laplacian - 2 * value * slope * (dx.square() + dy.square())
                dx, dy = slope * dx, slope * dy
        return value[..., 0], dx[..., 0], dy[..., 0], laplacian[..., 0]


def head_jet(network: Networks, points: Tensor) -> Jet:
    """H = 1 - x + x (1 - x) N: 1 in the west and 0 in the east whatever N is."""
    n, nx, ny, laplacian = network(points)
    x = points[..., 0]
    bump, slope = x * (1 - x), 1 - 2 * x
    return 1 - x + bump * n, -1 + slope * n + bump * nx, bump * ny, -2 * n + 2 * slope * nx + bump * laplacian


def field_jet(network: Networks, points: Tensor, kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """The field without unit and its slopes; between the two materials for two-material fields."""
    u, ux, uy, _ = network(points)
    if kind == "bimaterial":
        u = torch.tanh(u)
        ux, uy = (1 - u.square()) * ux, (1 - u.square()) * uy
    return u, ux, uy


def invert_by_pinn(bed: Bed, data: Tensor, error: Tensor, init: int, steps: int) -> Estimate:
    """Train from random weights that ``init`` decides, (P, S) data."""
    rng = torch.Generator().manual_seed(init)
    count, scale = len(data), STD[bed.kind]
    head, field = Networks(count, rng), Networks(count, rng)
    parameters = [*head.weights, *head.biases, *field.weights, *field.biases]
    optimiser = torch.optim.Adam(parameters, lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    places = torch.as_tensor(np.stack(bed.places)).T.float().expand(count, -1, -1) / LENGTH
    # no network gets below a few thousandths: smaller errors would only drown the physics
    noise = (error / DROP).clamp(min=0.005)
    for _ in range(steps):
        points = torch.rand(1, POINTS, 2, generator=rng).expand(count, -1, -1)
        walls = torch.rand(1, WALL_POINTS, 2, generator=rng)
        walls[..., 1] = walls[..., 1].round()
        _, hx, hy, laplacian = head_jet(head, points)
        u, ux, uy = field_jet(field, points, bed.kind)
        residual = laplacian + scale * (ux * hx + uy * hy) + SOURCE * torch.exp(-scale * u)
        leak = head_jet(head, walls.expand(count, -1, -1))[2]
        misfit = ((head_jet(head, places)[0] - data / DROP) / noise).square().mean(1)
        loss = misfit + residual.square().mean(1) + 10 * leak.square().mean(1) + 0.01 * u.square().mean(1)
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        schedule.step()
    centres = (torch.arange(CELLS) + 0.5) / CELLS
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    raster = torch.stack([x, y], -1).view(1, -1, 2).expand(count, -1, -1)
    with torch.no_grad():
        u = field_jet(field, raster, bed.kind)[0]
    return Estimate(u.view(count, CELLS, CELLS), 0.0)
