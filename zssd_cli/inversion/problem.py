"""What is known of an aquifer before its conductivity: grid, sides, wells, recharge, storage.

Plan view, rows from south to north (y ascending), columns from west to east (x ascending). SI units throughout:
lengths [m], heads [m], conductivity [m s-1], recharge [m s-1], well rates [m3 s-1], times [s].
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import ndimage
from torch import Tensor

from zssd_cli.errors import ConfigError

SIDES = ("west", "east", "south", "north")
CELLS_ALONG: dict[str, tuple[int | slice, int | slice]] = {
    "west": (slice(None), 0),
    "east": (slice(None), -1),
    "south": (0, slice(None)),
    "north": (-1, slice(None)),
}
"""Where the cells along a side are in (ny, nx)."""


@dataclass(frozen=True)
class LogK:
    """Affine map from a prior's field without unit to the natural logarithm of K [m s-1], ``mean + std * field``.

    A Gaussian prior's field has mean 0 and variance 1; a two-material prior's is -1 in the first material and 1 in the
    second.
    """

    mean: float
    std: float

    def __call__(self, field: Tensor) -> Tensor:
        """Field (...) -> log K (...)."""
        return self.mean + self.std * field


@dataclass(frozen=True, eq=False)
class Side:
    """Condition on one side of the domain.

    Parameters
    ----------
    kind
        ``head``: fixed head [m] on the side's faces. ``flux``: specific discharge [m s-1] through the side, positive
        into the domain. ``no-flow``: a wall.
    value
        Number, or one per cell along the side (west and east: from the south, south and north: from the west).
    """

    kind: Literal["head", "flux", "no-flow"] = "no-flow"
    value: float | np.ndarray = 0.0


@dataclass(frozen=True, eq=False)
class Well:
    """Point source in the cell that holds (x, y); rate [m3 s-1], negative when pumped, one number or one per step."""

    x: float
    y: float
    rate: float | np.ndarray


@dataclass(frozen=True, eq=False)
class FlowProblem:
    r"""Two-dimensional flow :math:`S\,\partial_t h - \nabla\cdot(K b\,\nabla h) = r + q`, all but K.

    Parameters
    ----------
    ny, nx
        Cells from south to north and from west to east.
    dx, dy
        Cell sizes [m].
    west, east, south, north
        Conditions of the sides; a steady problem needs a fixed head on at least one.
    x0, y0
        South-west corner of the domain [m].
    thickness
        Saturated thickness b [m].
    wells
        Point sources.
    recharge
        Inflow from above [m s-1]: number or (ny, nx).
    storage
        Storativity S [1]; None: steady.
    time_steps
        Lengths of the steps of a transient problem [s].
    initial_head
        Heads at its start [m]: number or (ny, nx).
    anisotropy
        K along y over K along x (MODFLOW's horizontal anisotropy); the unknown is K along x.
    active
        Cells that belong to the aquifer, boolean (ny, nx); None: all. Nothing flows into the others.

    Raises
    ------
    ConfigError
        Sizes or conditions that contradict each other.
    """

    ny: int
    nx: int
    dx: float
    dy: float
    west: Side = field(default_factory=Side)
    east: Side = field(default_factory=Side)
    south: Side = field(default_factory=Side)
    north: Side = field(default_factory=Side)
    x0: float = 0.0
    y0: float = 0.0
    thickness: float = 1.0
    wells: tuple[Well, ...] = ()
    recharge: float | np.ndarray = 0.0
    storage: float | None = None
    time_steps: tuple[float, ...] = ()
    initial_head: float | np.ndarray = 0.0
    anisotropy: float = 1.0
    active: np.ndarray | None = None

    def __post_init__(self) -> None:
        if min(self.ny, self.nx) < 2:
            msg = f"Flow domain: expected at least 2 x 2 cells, got {self.ny} x {self.nx}."
            raise ConfigError(msg)
        for name in ("dx", "dy", "thickness", "anisotropy"):
            _require_positive(name, getattr(self, name))
        self._check_time()
        self._check_sides()
        self._check_active()
        for well in self.wells:
            self._check_well(well)
        for name in ("recharge", "initial_head"):
            _require_shape(name, getattr(self, name), (self.ny, self.nx))

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.ny, self.nx

    @property
    def inside(self) -> np.ndarray:
        """True in the cells of the aquifer, (ny, nx)."""
        return np.ones(self.shape, dtype=bool) if self.active is None else self.active

    @property
    def transient(self) -> bool:
        """True where heads change in time."""
        return self.storage is not None

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, east, south and north end [m]."""
        return self.x0, self.x0 + self.nx * self.dx, self.y0, self.y0 + self.ny * self.dy

    @property
    def x(self) -> np.ndarray:
        """Cell centres from west to east [m], (nx,)."""
        return self.x0 + (np.arange(self.nx) + 0.5) * self.dx

    @property
    def y(self) -> np.ndarray:
        """Cell centres from south to north [m], (ny,)."""
        return self.y0 + (np.arange(self.ny) + 0.5) * self.dy

    @property
    def cell_area(self) -> float:
        """Plan area of a cell [m2]."""
        return self.dx * self.dy

    @property
    def sides(self) -> tuple[Side, ...]:
        """Conditions in the order of :data:`SIDES`."""
        return self.west, self.east, self.south, self.north

    @property
    def fixed_sides(self) -> tuple[str, ...]:
        """Sides with a fixed head, in the order of :data:`SIDES`."""
        return tuple(name for name in SIDES if getattr(self, name).kind == "head")

    def side_length(self, name: str) -> int:
        """Cells along a side."""
        return self.ny if name in ("west", "east") else self.nx

    def side_values(self, name: str) -> np.ndarray:
        """Head or flux of every face of a side, (cells along it,)."""
        return np.broadcast_to(np.asarray(getattr(self, name).value, dtype=np.float64), self.side_length(name)).copy()

    @property
    def boundary_heads(self) -> np.ndarray:
        """Heads of all faces with a fixed head [m], side after side in the order of :data:`SIDES`, (faces,)."""
        return np.concatenate([np.zeros(0), *(self.side_values(name) for name in self.fixed_sides)])

    def cell_of(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of the cell that holds a point; the outer edges belong to the outermost cells.

        Raises
        ------
        ConfigError
            The point lies outside.
        """
        west, east, south, north = self.extent
        if not (west <= x <= east and south <= y <= north):
            msg = (
                f"Point ({x:g}, {y:g}) m lies outside the domain x {west:g} to {east:g} m, y {south:g} to {north:g} m."
            )
            raise ConfigError(msg)
        row, column = int((y - self.y0) / self.dy), int((x - self.x0) / self.dx)
        return min(row, self.ny - 1), min(column, self.nx - 1)

    def well_sources(self, step: int = 0) -> np.ndarray:
        """Rates of all wells in a time step by cell [m3 s-1], (ny, nx)."""
        sources = np.zeros(self.shape)
        for well in self.wells:
            rates = np.atleast_1d(np.asarray(well.rate, dtype=np.float64))
            sources[self.cell_of(well.x, well.y)] += rates[step if rates.size > 1 else 0]
        return sources

    def _check_time(self) -> None:
        if (self.storage is None) != (not self.time_steps):
            missing = "storage" if self.storage is None else "time_steps"
            msg = f"Flow domain: a transient problem needs storage and time_steps, got no {missing}. Give both or none."
            raise ConfigError(msg)
        if self.storage is not None:
            _require_positive("storage", self.storage)
        for step in self.time_steps:
            _require_positive("time_steps", step)

    def _check_sides(self) -> None:
        for name in SIDES:
            side = getattr(self, name)
            if side.kind not in ("head", "flux", "no-flow"):
                msg = f"Side {name}: expected head, flux or no-flow, got {side.kind}."
                raise ConfigError(msg)
            _require_shape(f"side {name}", side.value, (self.side_length(name),))
        if not self.transient and not self.fixed_sides:
            msg = (
                "Flow domain: a steady problem needs a fixed head on at least one side (heads are undetermined up to a"
                " constant else), got none. Give one, or storage and time_steps."
            )
            raise ConfigError(msg)

    def _check_active(self) -> None:
        """Every piece of the aquifer needs a fixed head where the problem is steady."""
        if self.active is None:
            return
        if self.active.shape != self.shape or self.active.dtype != bool:
            msg = f"Flow domain, active: expected booleans {self.shape}, got {self.active.dtype} {self.active.shape}."
            raise ConfigError(msg)
        if not self.active.any():
            west, east, south, north = self.extent
            where = f"x {west:g} to {east:g} m, y {south:g} to {north:g} m"
            msg = f"Flow domain: no cell's centre lies within the outline and outside of the holes; expected some of {where}."
            raise ConfigError(msg)
        for name in SIDES:
            side = getattr(self, name)
            if (side.kind == "head" or np.any(side.value)) and not self.active[CELLS_ALONG[name]].any():
                msg = f"Side {name}: the outline has no cell there, its {side.kind} would reach nothing. Leave it out, or move the outline."
                raise ConfigError(msg)
        if self.transient:
            return
        fixed = np.zeros(self.shape, dtype=bool)
        for name in self.fixed_sides:
            fixed[CELLS_ALONG[name]] = True
        pieces, count = ndimage.label(self.active)
        dry = [piece for piece in range(1, count + 1) if not (fixed & (pieces == piece)).any()]
        if dry:
            rows, columns = np.nonzero(pieces == dry[0])
            msg = (
                f"Flow domain: the {rows.size} active cells around ({self.x[columns].mean():g}, {self.y[rows].mean():g}) m touch no"
                " side with a fixed head, so that their heads are undetermined. Join them to the others, or leave them out."
            )
            raise ConfigError(msg)

    def _check_well(self, well: Well) -> None:
        if not self.inside[self.cell_of(well.x, well.y)]:
            msg = f"Well at ({well.x:g}, {well.y:g}): the cell is inactive. Move the well, or the outline."
            raise ConfigError(msg)
        rates = np.atleast_1d(np.asarray(well.rate, dtype=np.float64))
        if not np.isfinite(rates).all() or rates.size not in {1, max(len(self.time_steps), 1)}:
            msg = (
                f"Well at ({well.x:g}, {well.y:g}): expected one finite rate, or one for each of the"
                f" {len(self.time_steps)} time steps, got {well.rate}."
            )
            raise ConfigError(msg)


def _require_positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        msg = f"Flow domain, {name}: expected a positive number, got {value}."
        raise ConfigError(msg)


def _require_shape(name: str, value: float | np.ndarray, shape: tuple[int, ...]) -> None:
    array = np.asarray(value, dtype=np.float64)
    if array.shape not in {(), shape} or not np.isfinite(array).all():
        got = f"shape {array.shape}" if array.shape not in {(), shape} else "values that are not finite"
        msg = f"Flow domain, {name}: expected a finite number or an array {shape}, got {got}."
        raise ConfigError(msg)
