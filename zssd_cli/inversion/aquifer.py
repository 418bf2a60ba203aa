"""From unknowns to what was measured: a field of conductivity and, where they are uncertain, recharge and the sides' heads.

A prior of fields is extended by independent numbers of mean 0 and variance 1, one for the factor on the recharge
(:math:`e^{s u}`) and one for the shift of the heads of each uncertain side (:math:`s u`), s the stated standard deviation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zssd_cli.errors import ConfigError
from zssd_cli.inversion.flow import FlowSolver, Observe, Sensors, cells_of
from zssd_cli.inversion.latent_map import LatentMap
from zssd_cli.inversion.problem import FlowProblem, LogK
from zssd_cli.inversion.sensors import Conductivities

RECHARGE = "recharge"


class Extended:
    """A prior whose fields (B, n, n) are flattened and followed by ``more`` further numbers: (B, n n + more).

    It is a :class:`zssd_cli.inversion.posterior.LatentMap`.
    """

    def __init__(self, prior: LatentMap, more: int) -> None:
        self._prior, self._more = prior, more

    @property
    def size(self) -> int:
        """How many numbers."""
        return self._prior.size + self._more

    def fields(self, unknown: Tensor) -> Tensor:
        """(B, size) -> (B, n n + more), differentiable."""
        field = self._prior.fields(unknown[:, : self._prior.size])
        return torch.cat([field.flatten(1), unknown[:, self._prior.size :]], 1)

    def sharpened(self) -> tuple["Extended", ...]:
        """With the prior's stages."""
        return tuple(Extended(stage, self._more) for stage in self._prior.sharpened())

    def softened(self) -> tuple["Extended", ...]:
        """With the prior's stages before those."""
        return tuple(Extended(stage, self._more) for stage in self._prior.softened())

    def unknowns(self, noise: Tensor) -> Tensor:
        """Standard normal numbers to unknowns as the prior has them, (B, size) both."""
        inner = self._prior.unknowns(noise[:, : self._prior.size])
        return torch.cat([inner, noise[:, self._prior.size :]], 1)


@dataclass(frozen=True, eq=False)
class Forcing:
    """What drives the flow of B members: recharge [m s-1], broadcast to (B, ny, nx), and heads of the fixed faces [m], (B, faces)."""

    recharge: Tensor
    boundary_heads: Tensor


class Uncertain:
    """Recharge and heads of the sides that are known only roughly.

    Parameters
    ----------
    spread
        ``recharge`` or a side -> standard deviation, see :class:`zssd_cli.inversion.domain.UncertainConfig`; 0: known.
    problem
        The domain.

    Raises
    ------
    ConfigError
        An uncertain side without a fixed head, or an uncertain recharge where there is none.
    """

    def __init__(self, spread: Mapping[str, float], problem: FlowProblem) -> None:
        self.spread = {name: value for name, value in spread.items() if value > 0}
        for name in self.spread:
            if name == RECHARGE and not np.any(problem.recharge):
                msg = "Domain, uncertain.recharge: there is no recharge that could be uncertain; give one, or leave it out."
                raise ConfigError(msg)
            if name != RECHARGE and name not in problem.fixed_sides:
                msg = f"Domain, uncertain.{name}: the side has no fixed head that could be uncertain. Leave it out."
                raise ConfigError(msg)

    def __len__(self) -> int:
        return len(self.spread)

    def values(self, numbers: Tensor) -> dict[str, Tensor]:
        """Factor on the recharge and shifts of heads [m] of members' numbers (B, len), (B,) each."""
        scaled = {name: s * numbers[:, k] for k, (name, s) in enumerate(self.spread.items())}
        return {name: value.exp() if name == RECHARGE else value for name, value in scaled.items()}

    def forcing(self, numbers: Tensor, problem: FlowProblem) -> Forcing:
        """Of members' numbers (B, len), for a problem that may be another than the measured one."""
        values = self.values(numbers.double().cpu())
        recharge = torch.as_tensor(np.asarray(problem.recharge, dtype=np.float64))
        if RECHARGE in values:
            recharge = recharge * values[RECHARGE][:, None, None]
        heads = torch.as_tensor(problem.boundary_heads).expand(len(numbers), -1)
        lengths = [problem.side_length(name) for name in problem.fixed_sides]
        known = heads.new_zeros(len(numbers))
        shifts = [
            values.get(name, known)[:, None].expand(-1, count)
            for name, count in zip(problem.fixed_sides, lengths, strict=True)
        ]
        return Forcing(recharge, heads + torch.cat([heads[:, :0], *shifts], 1))


class Aquifer:
    """Fields as of :class:`Extended` to heads at the sensors and ln K where it was measured.

    Parameters
    ----------
    problem, uncertain, log_k
        The domain, what is uncertain about it, and the scale of the prior's fields.
    sensors, conductivities
        What was measured.
    """

    def __init__(
        self, problem: FlowProblem, uncertain: Uncertain, log_k: LogK, sensors: Sensors, conductivities: Conductivities
    ) -> None:
        self.problem, self.uncertain, self.log_k = problem, uncertain, log_k
        self.observe, self._solver = Observe(problem, sensors), FlowSolver(problem)
        self._points = torch.as_tensor(cells_of(problem, conductivities.x, conductivities.y))

    def parts(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """Fields without unit (B, ny, nx) and the further numbers (B, len(uncertain))."""
        cells = self.problem.ny * self.problem.nx
        return packed[:, :cells].view(-1, *self.problem.shape), packed[:, cells:]

    def heads(self, log_k: Tensor, numbers: Tensor) -> Tensor:
        """Heads [m] of ln K (B, ny, nx), as of :meth:`FlowSolver.heads`."""
        forcing = self.uncertain.forcing(numbers, self.problem)
        return self._solver.heads(log_k, forcing.recharge, forcing.boundary_heads)

    def points(self, log_k: Tensor) -> Tensor:
        """Logarithm of K in the cells where it was measured, (B, P)."""
        return log_k.flatten(1)[:, self._points]

    def __call__(self, packed: Tensor) -> Tensor:
        """(B, ny nx + more) -> (B, sensors + measured conductivities)."""
        field, numbers = self.parts(packed)
        log_k = self.log_k(field)
        seen = self.observe(self.heads(log_k, numbers))
        return torch.cat([seen, self.points(log_k).to(seen)], 1)
