r"""Groundwater flow as a differentiable operator, :math:`S\,\partial_t h - \nabla\cdot(K b\,\nabla h) = r + q`.

Cell-centred finite volumes: the conductance of a face between two cells is face length times thickness over distance
times the harmonic mean of their conductivities; a fixed head sits on the face itself, half a cell from the centre.
Time stepping is implicit Euler. The unknown is the natural logarithm of K [m s-1], :math:`\theta`; gradients come from one
adjoint solve with the same factorisation, :math:`dJ/d\theta = -\lambda^T (dA/d\theta) h` (see
:mod:`zssd_cli.inversion.five_point`). Inactive cells have no conductance to any other; their head is 0 and means nothing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zssd_cli.errors import ConfigError
from zssd_cli.inversion.five_point import Factor, solve
from zssd_cli.inversion.problem import CELLS_ALONG, FlowProblem

_INNER = {name: (..., *cells) for name, cells in CELLS_ALONG.items()}
"""Where the cells along a side are in (..., ny, nx)."""


class FlowSolver:
    """Heads of a batch of conductivity fields.

    Float64 inside; input on any device and of any float type, output on the same device and of the same type. The
    solver itself runs on the CPU: torch offers no sparse or banded direct solver elsewhere.
    """

    def __init__(self, problem: FlowProblem) -> None:
        self.problem = problem
        wells = [problem.well_sources(step) for step in range(max(len(problem.time_steps), 1))]
        self._wells = torch.as_tensor(np.stack(wells))
        self._recharge = torch.as_tensor(np.broadcast_to(problem.recharge, problem.shape).astype(np.float64))
        self._heads = torch.as_tensor(problem.boundary_heads)
        self._active = torch.as_tensor(problem.inside.astype(np.float64))
        self._flux = torch.zeros(problem.shape, dtype=torch.float64)
        for name in _INNER:
            if getattr(problem, name).kind == "flux":
                values = torch.as_tensor(problem.side_values(name))
                self._flux[_INNER[name]] += values * self._face_area(name)

    def heads(self, log_k: Tensor, recharge: Tensor | None = None, boundary_heads: Tensor | None = None) -> Tensor:
        """Solve for the heads.

        Parameters
        ----------
        log_k
            Natural logarithm of conductivity [m s-1], (B, ny, nx); finite.
        recharge
            [m s-1], any shape that broadcasts to (B, ny, nx); None: the problem's.
        boundary_heads
            Heads of the fixed-head faces [m] in the order of ``problem.boundary_heads``, (faces,) or (B, faces);
            None: the problem's.

        Returns
        -------
        Tensor
            Heads [m], (B, ny, nx), or (B, steps, ny, nx) of the ends of the steps of a transient problem; they mean nothing in
            inactive cells.

        Raises
        ------
        SolverError
            The equations cannot be solved, NaN in ``log_k`` among the reasons.
        """
        theta = log_k.to("cpu", torch.float64)
        recharge = self._recharge if recharge is None else recharge.to("cpu", torch.float64)
        heads = self._heads if boundary_heads is None else boundary_heads.to("cpu", torch.float64)
        east_west, north_south, sides = self._conductances(theta)
        outside, sources = self._sides(sides, heads, theta)
        sources = sources + self._active * (self._flux + recharge * self.problem.cell_area)
        if self.problem.transient:
            out = self._march(east_west, north_south, outside, sources)
        else:
            out = solve(east_west, north_south, outside, sources + self._wells[0])
        return out.to(log_k.device, log_k.dtype)

    def flows(self, log_k: Tensor, heads: Tensor) -> tuple[Tensor, Tensor]:
        """Flow between cells [m3 s-1], eastwards (B, ny, nx - 1) and northwards (B, ny - 1, nx), for heads (B, ny, nx)."""
        east_west, north_south, _ = self._conductances(log_k.double())
        return -east_west * heads.double().diff(dim=-1), -north_south * heads.double().diff(dim=-2)

    def discharge(self, log_k: Tensor, heads: Tensor, boundary_heads: Tensor | None = None) -> Tensor:
        """Flow through every fixed-head face into the domain [m3 s-1], (B, faces), of a steady solution."""
        outside = self._heads if boundary_heads is None else boundary_heads
        _, _, sides = self._conductances(log_k.double())
        inner = torch.cat([heads.double()[_INNER[name]] for name in self.problem.fixed_sides], -1)
        return torch.cat(sides, -1) * (outside - inner)

    def _face_area(self, name: str) -> float:
        return self.problem.thickness * (self.problem.dy if name in ("west", "east") else self.problem.dx)

    def _conductances(self, theta: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Of the faces between cells of a row, of a column, and of the fixed-head faces side by side [m2 s-1]."""
        problem, active = self.problem, self._active
        resistance = torch.exp(-theta)
        east_west = 2 * self._face_area("west") / problem.dx / (resistance[..., 1:] + resistance[..., :-1])
        north_south = 2 * self._face_area("south") / problem.dy / (resistance[..., 1:, :] + resistance[..., :-1, :])
        east_west = east_west * active[:, 1:] * active[:, :-1]
        north_south = north_south * (problem.anisotropy * active[1:] * active[:-1])
        sides = []
        for name in problem.fixed_sides:
            along_x = name in ("west", "east")
            half = (problem.dx if along_x else problem.dy) / 2
            scale = self._face_area(name) / half * (1.0 if along_x else problem.anisotropy)
            sides.append(scale * active[_INNER[name]] * torch.exp(theta[_INNER[name]]))
        return east_west, north_south, sides

    def _sides(self, sides: list[Tensor], heads: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Conductance of every cell to fixed heads and the inflow that those heads drive, (B, ny, nx) each."""
        outside, sources = (1 - self._active).expand_as(theta), torch.zeros_like(theta)
        lengths = [self.problem.side_length(name) for name in self.problem.fixed_sides]
        for name, conductance, head in zip(self.problem.fixed_sides, sides, heads.split(lengths, -1), strict=True):
            outside = _add(outside, name, conductance)
            sources = _add(sources, name, conductance * head)
        return outside, sources

    def _march(self, east_west: Tensor, north_south: Tensor, outside: Tensor, sources: Tensor) -> Tensor:
        """Implicit Euler; steps of one length share a factorisation."""
        problem = self.problem
        head = torch.as_tensor(np.broadcast_to(problem.initial_head, problem.shape).astype(np.float64)).expand_as(
            outside
        )
        factors: dict[float, Factor] = {}
        out = []
        for index, step in enumerate(problem.time_steps):
            stored = (problem.storage or 0.0) * problem.cell_area / step
            if step not in factors:
                factors[step] = Factor(east_west, north_south, outside + stored)
            b = sources + self._wells[index] + stored * head
            head = solve(east_west, north_south, outside + stored, b, factors[step])
            out.append(head)
        return torch.stack(out, 1)


def _add(field: Tensor, name: str, values: Tensor) -> Tensor:
    """Field plus values in the cells along a side."""
    added = torch.zeros_like(field)
    added[_INNER[name]] = values
    return field + added


@dataclass(frozen=True, eq=False)
class Sensors:
    """Measured heads: places x, y [m], head [m], its error's standard deviation [m], all (S,).

    ``step`` says at the end of which time step a head was measured, counted from 0; None in a steady problem.
    """

    x: np.ndarray
    y: np.ndarray
    head: np.ndarray
    error: np.ndarray
    step: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)


class Observe:
    """Heads at the sensors, bilinear between cell centres, linearly continued within the outer half cells.

    Beside an inactive cell a sensor has the head of its own cell.

    Raises
    ------
    ConfigError
        A sensor lies outside the domain or in an inactive cell, or names no step of a transient problem.
    """

    def __init__(self, problem: FlowProblem, sensors: Sensors) -> None:
        own = cells_of(problem, sensors.x, sensors.y)
        columns, right = _between(sensors.x, problem.x0, problem.dx, problem.nx)
        rows, upper = _between(sensors.y, problem.y0, problem.dy, problem.ny)
        corners = [(rows + j, columns + i) for j in (0, 1) for i in (0, 1)]
        beside = ~np.all([problem.inside[corner] for corner in corners], 0)
        first = np.arange(4)[:, None] == 0
        self._size = problem.ny * problem.nx * max(len(problem.time_steps), 1)
        start = self._first_cells(problem, sensors)
        cells = np.stack([j * problem.nx + i for j, i in corners])
        weights = np.stack([(upper if j else 1 - upper) * (right if i else 1 - right) for j in (0, 1) for i in (0, 1)])
        self._cells = torch.as_tensor(start + np.where(beside, own, cells))
        self._weights = torch.as_tensor(np.where(beside, first, weights))
        self._shape = (len(problem.time_steps), *problem.shape) if problem.transient else problem.shape

    @staticmethod
    def _first_cells(problem: FlowProblem, sensors: Sensors) -> np.ndarray:
        if not problem.transient:
            return np.zeros(len(sensors), dtype=np.int64)
        steps = np.full(len(sensors), -1) if sensors.step is None else np.asarray(sensors.step)
        if (steps < 0).any() or (steps >= len(problem.time_steps)).any():
            msg = (
                f"Sensors of a transient problem: expected steps from 0 to {len(problem.time_steps) - 1},"
                f" got {'none' if sensors.step is None else sorted(set(steps.tolist()))}."
            )
            raise ConfigError(msg)
        return steps * problem.ny * problem.nx

    def __call__(self, heads: Tensor) -> Tensor:
        """(..., ny, nx), or (..., steps, ny, nx) of a transient problem, -> (..., S)."""
        flat = heads.flatten(-len(self._shape))
        cells, weights = self._cells.to(heads.device), self._weights.to(heads.device, heads.dtype)
        return (flat[..., cells] * weights).sum(-2)

    def adjoint(self, values: Tensor) -> Tensor:
        """Transposed: (..., S) -> (..., ny, nx), or (..., steps, ny, nx)."""
        cells, weights = self._cells.to(values.device), self._weights.to(values.device, values.dtype)
        flat = values.new_zeros(*values.shape[:-1], self._size)
        flat.index_add_(-1, cells.flatten(), (values[..., None, :] * weights).flatten(-2))
        return flat.unflatten(-1, self._shape)


def cells_of(problem: FlowProblem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Numbers of the cells that hold points, row after row, (S,).

    Raises
    ------
    ConfigError
        A point lies outside the domain or in an inactive cell.
    """
    found = []
    for place in zip(x, y, strict=True):
        row, column = problem.cell_of(*place)
        if not problem.inside[row, column]:
            msg = f"Point ({place[0]:g}, {place[1]:g}) m lies in an inactive cell; expected an active one."
            raise ConfigError(msg)
        found.append(row * problem.nx + column)
    return np.array(found, dtype=np.int64)


def _between(points: np.ndarray, start: float, step: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell whose centre lies before each point and the weight of the next cell; beyond 0 to 1 in the outer half cells."""
    position = (np.asarray(points, dtype=np.float64) - start) / step - 0.5
    before = np.clip(np.floor(position).astype(np.int64), 0, count - 2)
    return before, position - before
