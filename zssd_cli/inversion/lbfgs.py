"""L-BFGS on a batch of independent problems, each with its own curvature, step length and end.

Two-loop recursion of Nocedal and Wright (2006, algorithm 7.4) with a backtracking Armijo line search; finished problems
are not evaluated any more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

ARMIJO = 1e-4
TRIALS = 8


@dataclass(frozen=True)
class Evaluated:
    """Values (B,), gradients (B, n), and a misfit (B,) that decides about stopping only."""

    value: Tensor
    gradient: Tensor
    misfit: Tensor

    def updated(self, index: Tensor, new: "Evaluated") -> "Evaluated":
        """With some problems replaced."""
        pairs = ((self.value, new.value), (self.gradient, new.gradient), (self.misfit, new.misfit))
        return Evaluated(*(old.index_copy(0, index, part) for old, part in pairs))


class Objective(Protocol):
    """Evaluates some of the problems."""

    def __call__(self, x: Tensor, index: Tensor) -> Evaluated:
        """Points (k, n) of the problems ``index`` (k,)."""
        ...


@dataclass(frozen=True)
class Rule:
    """When a problem is finished.

    Attributes
    ----------
    steps
        At the latest after so many.
    tolerance
        When two steps in a row lower the value by less, or no step does.
    misfit
        When the misfit is at or below this; None: never.
    radius
        Longest step that is tried: where curvature misleads, operators overflow.
    """

    steps: int
    tolerance: float = 0.01
    misfit: float | None = None
    radius: float = math.inf


class Memory:
    """The last steps and changes of gradient of all problems; pairs without positive curvature count as none."""

    def __init__(self, size: int = 30) -> None:
        self._size = size
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []
        self._scale: Tensor | None = None

    def add(self, s: Tensor, y: Tensor) -> None:
        """Store steps and changes of the gradient, (B, n) each; zero rows for problems that did not move."""
        sy, yy = (s * y).sum(1), (y * y).sum(1)
        good = sy > 1e-8 * yy
        self._pairs = [*self._pairs, (s, y, torch.where(good, 1 / sy, 0))][-self._size :]
        scale = torch.where(good, sy / yy, torch.nan)
        self._scale = scale if self._scale is None else torch.where(good, scale, self._scale)

    def direction(self, gradient: Tensor, precondition: Callable[[Tensor], Tensor] | None) -> Tensor:
        """Descent directions, (B, n)."""
        q, shares = gradient, []
        for s, y, rho in reversed(self._pairs):
            share = rho * (s * q).sum(1)
            q = q - share[:, None] * y
            shares.append(share)
        if precondition is not None:
            r = precondition(q)
        else:
            # a first step of unit length: the unknowns are of size one
            first = 1 / q.norm(dim=1).clamp(min=1)
            r = q * (first if self._scale is None else torch.where(self._scale.isnan(), first, self._scale))[:, None]
        for (s, y, rho), share in zip(self._pairs, reversed(shares), strict=True):
            r = r + (share - rho * (y * r).sum(1))[:, None] * s
        return -r


def minimise(
    objective: Objective,
    x: Tensor,
    rule: Rule,
    precondition: Callable[[Tensor], Tensor] | None = None,
    progress: Callable[[int, Tensor], None] = lambda step, misfit: None,
) -> tuple[Tensor, Evaluated]:
    """Minimise all problems.

    Parameters
    ----------
    objective
        Values and gradients.
    x
        Starts, (B, n).
    rule
        When to end.
    precondition
        Approximate inverse Hessian, (B, n) -> (B, n), always of all problems.
    progress
        Is told the step and the misfits.

    Returns
    -------
    Points (B, n) and their evaluation.
    """
    now, memory = objective(x, torch.arange(len(x), device=x.device)), Memory()
    idle = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for step in range(rule.steps):
        progress(step, now.misfit)
        active = idle < 2
        if rule.misfit is not None:
            active &= now.misfit > rule.misfit
        if not active.any():
            break
        direction = memory.direction(now.gradient, precondition)
        slope = (direction * now.gradient).sum(1)
        direction = torch.where((slope < 0)[:, None], direction, -now.gradient)
        direction = direction * (rule.radius / direction.norm(dim=1, keepdim=True).clamp(min=1e-30)).clamp(max=1)
        moved, new = _search(objective, x, now, direction, active)
        gain = now.value - new.value
        # a problem that no step improves is at its end
        idle = torch.where(gain <= 0, 2, torch.where(gain < rule.tolerance, idle + 1, 0))
        idle = torch.where(active, idle, 2)
        memory.add(moved - x, new.gradient - now.gradient)
        x, now = moved, new
    progress(rule.steps, now.misfit)
    return x, now


def _search(
    objective: Objective, x: Tensor, now: Evaluated, direction: Tensor, active: Tensor
) -> tuple[Tensor, Evaluated]:
    """Backtrack from a full step until the value falls enough; problems that never do stay where they are."""
    slope = (direction * now.gradient).sum(1)
    length, left = torch.ones_like(now.value), active.nonzero().squeeze(1)
    moved, best = x, now
    for _ in range(TRIALS):
        trial = x[left] + length[left, None] * direction[left]
        new = objective(trial, left)
        limit = now.value[left] + ARMIJO * length[left] * slope[left]
        good = new.value <= limit  # False for NaN
        done = left[good]
        moved = moved.index_copy(0, done, trial[good])
        best = best.updated(done, Evaluated(new.value[good], new.gradient[good], new.misfit[good]))
        # minimum of the parabola through both values and the slope
        curve = new.value - now.value[left] - length[left] * slope[left]
        best_length = -slope[left] * length[left].square() / (2 * curve)
        short = torch.maximum(0.1 * length[left], torch.minimum(0.5 * length[left], best_length.nan_to_num(0.0)))
        length = length.index_copy(0, left, short)
        left = left[~good]
        if not len(left):
            break
    return moved, best
