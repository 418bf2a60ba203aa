"""What a user wants to know of an aquifer once its conductivity is known: heads, flows and where wells take their water from.

Every member answers, so that a forecast is a distribution. Flow is steady, with wells, recharge and sides of its own where
the domain file gives some.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from zssd_cli.errors import ConfigError
from zssd_cli.inversion.aquifer import Forcing, Uncertain
from zssd_cli.inversion.domain import DomainConfig, QuantityConfig
from zssd_cli.inversion.flow import FlowSolver, Observe, Sensors
from zssd_cli.inversion.problem import FlowProblem


@dataclass(frozen=True, eq=False)
class Forecast:
    """One quantity: what the user calls it, its units, what it is, and the members' answers (M,)."""

    name: str
    units: str
    meaning: str
    values: np.ndarray

    @property
    def interval(self) -> tuple[float, float, float]:
        """5th, 50th and 95th percentile by Weibull's plotting positions: nine of ten further draws fall between.

        Of fewer than 19 members they are the extremes, between which fewer fall.
        """
        low, middle, high = np.percentile(self.values, (5, 50, 95), method="weibull").tolist()
        return low, middle, high


def forecast_problem(domain: DomainConfig) -> FlowProblem:
    """The steady flow problem of the forecast.

    Raises
    ------
    ConfigError
        No forecast is asked for, or wells whose rates change in time are to be forecast with.
    """
    asked = domain.forecast
    if asked is None:
        msg = "Domain: there is no forecast; add the key forecast with its quantities."
        raise ConfigError(msg)
    wells = domain.wells if asked.wells is None else asked.wells
    if any(isinstance(well.rate, tuple) for well in wells):
        msg = "Domain, forecast: flow is steady there; give forecast.wells with one rate each."
        raise ConfigError(msg)
    changes: dict[str, object] = {
        "storage": None,
        "time_steps": (),
        "initial_head": None,
        "wells": wells,
        "forecast": None,
    }
    if asked.recharge is not None:
        changes["recharge"] = asked.recharge
    if asked.boundaries is not None:
        changes["boundaries"] = asked.boundaries
    problem = domain.model_copy(update=changes).problem()
    for quantity in asked.quantities:
        _check(quantity, problem)
    return problem


def _check(quantity: QuantityConfig, problem: FlowProblem) -> None:
    """Raise :class:`ConfigError` where a quantity has no answer."""
    side = quantity.inflow or quantity.capture
    if side is not None and side not in problem.fixed_sides:
        msg = f"Domain, forecast {quantity.name!r}: side {side} has no fixed head, expected one of {', '.join(problem.fixed_sides)}."
        raise ConfigError(msg)
    if quantity.capture and not any(np.min(well.rate) < 0 for well in problem.wells):
        msg = f"Domain, forecast {quantity.name!r}: nothing is pumped, so that nothing can be captured. Add wells with negative rates."
        raise ConfigError(msg)
    if quantity.head is not None:
        Observe(problem, _sensor(quantity.head))
    if quantity.flux is not None:
        crossings = faces_across(problem, quantity.flux)
        if not any(np.any(signs) for signs in crossings):
            msg = f"Domain, forecast {quantity.name!r}: the line crosses no face between cells; expected a longer one, within the domain."
            raise ConfigError(msg)


def faces_across(problem: FlowProblem, line: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Signs with which the flows east (ny, nx - 1) and north (ny - 1, nx) between cells cross a line from its left to its right.

    A face counts where the segment between its cells' centres meets the line, so that flow through a line from side to side
    is conserved.
    """
    east, north = np.zeros((problem.ny, problem.nx - 1)), np.zeros((problem.ny - 1, problem.nx))
    for (x0, y0), (x1, y1) in zip(line[:-1], line[1:], strict=True):
        rows = np.flatnonzero((y0 <= problem.y) != (y1 <= problem.y))
        at = x0 + (problem.y[rows] - y0) / (y1 - y0 or 1.0) * (x1 - x0)
        column = np.searchsorted(problem.x, at, side="right") - 1
        crossed = (column >= 0) & (column < problem.nx - 1)
        east[rows[crossed], column[crossed]] += np.sign(y1 - y0)
        columns = np.flatnonzero((x0 <= problem.x) != (x1 <= problem.x))
        at = y0 + (problem.x[columns] - x0) / (x1 - x0 or 1.0) * (y1 - y0)
        row = np.searchsorted(problem.y, at, side="right") - 1
        crossed = (row >= 0) & (row < problem.ny - 1)
        north[row[crossed], columns[crossed]] -= np.sign(x1 - x0)
    return east, north


def forecast(domain: DomainConfig, uncertain: Uncertain, log_k: Tensor, numbers: Tensor) -> tuple[Forecast, ...]:
    """Answers of the members.

    Parameters
    ----------
    domain
        With a forecast.
    uncertain
        Recharge and heads of the sides that differ between members.
    log_k, numbers
        ln K (M, ny, nx) and the further numbers (M, len(uncertain)) of the members.
    """
    problem, asked = forecast_problem(domain), domain.forecast
    solver, forcing = FlowSolver(problem), uncertain.forcing(numbers, problem)
    heads = solver.heads(log_k, forcing.recharge, forcing.boundary_heads)
    return tuple(
        Forecast(quantity.name, *_answer(quantity, problem, solver, log_k, heads, forcing))
        for quantity in (asked.quantities if asked else ())
    )


def _answer(
    quantity: QuantityConfig, problem: FlowProblem, solver: FlowSolver, log_k: Tensor, heads: Tensor, forcing: Forcing
) -> tuple[str, str, np.ndarray]:
    """Units, meaning and values."""
    if quantity.head is not None:
        x, y = quantity.head
        return "m", f"hydraulic head at ({x:g}, {y:g}) m", Observe(problem, _sensor(quantity.head))(heads)[:, 0].numpy()
    if quantity.flux is not None:
        signs = (torch.as_tensor(part) for part in faces_across(problem, quantity.flux))
        flow = sum((part * sign).sum((-2, -1)) for part, sign in zip(solver.flows(log_k, heads), signs, strict=True))
        return "m3 s-1", "flow across a line, from its left to its right", torch.as_tensor(flow).numpy()
    side = str(quantity.inflow or quantity.capture)
    inflow = _inflow(problem, solver, log_k, heads, forcing, side)
    if quantity.inflow:
        return "m3 s-1", f"flow into the aquifer through its {side} side", inflow
    quiet = replace(problem, wells=tuple(well for well in problem.wells if not np.min(well.rate) < 0))
    still = FlowSolver(quiet)
    without = still.heads(log_k, forcing.recharge, forcing.boundary_heads)
    more = inflow - _inflow(quiet, still, log_k, without, forcing, side)
    return (
        "1",
        f"share of the pumped water that comes from the {side} side",
        more / (quiet.well_sources() - problem.well_sources()).sum(),
    )


def _inflow(
    problem: FlowProblem, solver: FlowSolver, log_k: Tensor, heads: Tensor, forcing: Forcing, side: str
) -> np.ndarray:
    """Through a fixed-head side [m3 s-1], (M,)."""
    lengths = [problem.side_length(name) for name in problem.fixed_sides]
    parts = solver.discharge(log_k, heads, forcing.boundary_heads).split(lengths, -1)
    return parts[problem.fixed_sides.index(side)].sum(-1).numpy()


def _sensor(place: tuple[float, float]) -> Sensors:
    x, y = (np.array([coordinate]) for coordinate in place)
    return Sensors(x, y, np.zeros(1), np.ones(1))
