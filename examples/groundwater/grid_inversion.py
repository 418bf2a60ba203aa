r"""Baseline: inversion on the grid with the same solver and adjoint, Tikhonov or total variation.

Minimises :math:`\frac12 |r|^2 + \beta R(u)`, r the residuals in units of their errors, with
:math:`R = \frac12 \sum |\nabla u|^2` or :math:`R = \sum \sqrt{|\nabla u|^2 + \epsilon^2}`. The unknown is the cosine
spectrum of u divided by wavenumber, in which the problem is well scaled. Several :math:`\beta` run in one batch; the largest
whose misfit is at the noise is taken (discrepancy principle), a descent ends
where the misfit has reached it, and all solves are counted.
"""

import math

import torch
from bed import CELLS, Bed, Estimate
from torch import Tensor

from zssd_cli.inversion.lbfgs import Evaluated, Rule, minimise
from zssd_cli.inversion.random_fields import draw_fields, generator

BETAS = {"tikhonov": (1.0, 3.0, 10.0, 30.0), "tv": (0.3, 1.0, 2.0, 4.0)}
SMOOTH = 0.05


def cosines(n: int) -> Tensor:
    """Orthogonal matrix of the discrete cosine transform (type II), rows by wavenumber, (n, n)."""
    k, x = torch.arange(n)[:, None], torch.arange(n)[None]
    matrix = torch.cos(math.pi * k * (x + 0.5) / n) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    return matrix


class Spectrum:
    """u = C' (w / scale) C for the unknown w, (B, n n) -> (B, n, n)."""

    def __init__(self) -> None:
        self.matrix = cosines(CELLS)
        wave = torch.hypot(torch.arange(CELLS)[:, None].float(), torch.arange(CELLS)[None].float())
        self.scale = 0.1 * (1 + wave)

    def field(self, w: Tensor) -> Tensor:
        """Field of an unknown."""
        return self.matrix.T @ (w.view(-1, CELLS, CELLS) / self.scale) @ self.matrix

    def unknown(self, u: Tensor) -> Tensor:
        """The unknown of a field."""
        return ((self.matrix @ u @ self.matrix.T) * self.scale).flatten(1)


def roughness(u: Tensor, method: str) -> Tensor:
    """R of every field, (B,)."""
    down, across = u.diff(dim=1)[:, :, :-1], u.diff(dim=2)[:, :-1]
    square = down.square() + across.square()
    if method == "tikhonov":
        return 0.5 * square.sum((1, 2))
    return ((square + SMOOTH**2).sqrt() - SMOOTH).sum((1, 2))


def invert_on_grid(bed: Bed, data: Tensor, error: Tensor, init: int, method: str, steps: int) -> Estimate:
    """Start from nothing (init 0) or from a draw of the field family, (P, S) data."""
    betas, spectrum, solves = torch.tensor(BETAS[method]), Spectrum(), 0
    count, tries = len(data), len(betas)
    start = torch.zeros(count, CELLS, CELLS)
    if init:
        start = draw_fields(bed.config, count, generator(5, init))
    target, scale = data.repeat_interleave(tries, 0), error.repeat_interleave(tries, 0)
    weight = betas.repeat(count)

    def objective(w: Tensor, index: Tensor) -> Evaluated:
        nonlocal solves
        solves += len(w)
        w = w.detach().requires_grad_(True)
        u = spectrum.field(w)
        square = ((bed.forward(u) - target[index]) / scale[index]).square().sum(1)
        value = 0.5 * square + weight[index] * roughness(u, method)
        (gradient,) = torch.autograd.grad(value.sum(), w)
        return Evaluated(value.detach(), gradient, square.detach() / data.shape[1])

    start = spectrum.unknown(start).repeat_interleave(tries, 0)
    w, found = minimise(objective, start, Rule(steps, misfit=1.0))
    misfit = found.misfit.view(count, tries)
    fits = misfit <= torch.clamp(1.1 * misfit.min(1, keepdim=True).values, min=1.1)
    chosen = (fits * torch.arange(1, tries + 1)).argmax(1)
    u = spectrum.field(w).view(count, tries, CELLS, CELLS)[torch.arange(count), chosen]
    return Estimate(u.clamp(-1, 1) if bed.kind == "bimaterial" else u, solves / count)
