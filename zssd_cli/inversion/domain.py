"""The YAML file that describes an aquifer: extent, outline, sides, wells, recharge, and what is expected of its conductivity.

Numbers are SI or bring their units along (:mod:`zssd_cli.inversion.quantities`); `docs/groundwater.md` lists the keys.
"""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from matplotlib.path import Path as Polygon
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from zssd_cli.errors import ConfigError
from zssd_cli.inversion.outline import crossing
from zssd_cli.inversion.problem import FlowProblem, LogK, Side, Well
from zssd_cli.inversion.quantities import (
    Length,
    NotNegativeLength,
    PositiveLength,
    PositiveTime,
    PositiveVelocity,
    Rate,
    Velocity,
)
from zssd_cli.settings_file import keys_at, read_settings_file, reason

_Positive = Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=2, le=4096)]
_Place = tuple[Length, Length]


def _uncrossed(corners: tuple[_Place, ...]) -> tuple[_Place, ...]:
    """Refuse a polygon whose edges cross: the even-odd rule would leave a part of it out without a word."""
    if found := crossing(corners):
        (x, y), ends = found[2], [f"{edge + 1} to {(edge + 1) % len(corners) + 1}" for edge in found[:2]]
        msg = f"its edges from corner {' and from '.join(ends)} cross at ({x:g}, {y:g}) m. List the corners in their order around it"
        raise ValueError(msg)
    return corners


_Polygon = Annotated[tuple[_Place, ...], Field(min_length=3), AfterValidator(_uncrossed)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SideConfig(_Strict):
    """Exactly one of a fixed head [m] and a flux into the domain [m s-1]; a number or one per cell along the side."""

    head: Length | tuple[Length, ...] | None = None
    flux: Velocity | tuple[Velocity, ...] | None = None

    @model_validator(mode="after")
    def _one(self) -> "SideConfig":
        if (self.head is None) == (self.flux is None):
            got = "both" if self.head is not None else "neither"
            msg = f"expected either head or flux on a side, got {got}"
            raise ValueError(msg)
        return self

    def side(self) -> Side:
        """The engine's form."""
        kind: Literal["head", "flux"] = "flux" if self.head is None else "head"
        value = self.flux if self.head is None else self.head
        return Side(kind, np.asarray(value, dtype=np.float64))


class BoundariesConfig(_Strict):
    """Conditions of the four sides; a side that is not named is a wall."""

    west: SideConfig | Literal["no-flow"] = "no-flow"
    east: SideConfig | Literal["no-flow"] = "no-flow"
    south: SideConfig | Literal["no-flow"] = "no-flow"
    north: SideConfig | Literal["no-flow"] = "no-flow"

    def sides(self) -> tuple[Side, ...]:
        """West, east, south and north."""
        given = (self.west, self.east, self.south, self.north)
        return tuple(Side() if isinstance(one, str) else one.side() for one in given)


class WellConfig(_Strict):
    """A well: place [m] and rate [m3 s-1], negative when pumped; one number or one per time step."""

    x: Length
    y: Length
    rate: Rate | tuple[Rate, ...]

    def well(self) -> Well:
        """The engine's form."""
        return Well(self.x, self.y, np.asarray(self.rate, dtype=np.float64))


class ConductivityConfig(_Strict):
    """What is expected of K [m s-1] before any head is seen: for a Gaussian or for a two-material prior."""

    geometric_mean: PositiveVelocity | None = None
    log_std: _Positive | None = None
    """Standard deviation of the natural logarithm of K."""
    materials: tuple[PositiveVelocity, PositiveVelocity] | None = None
    """K of the two materials."""

    @model_validator(mode="after")
    def _one(self) -> "ConductivityConfig":
        if self.materials is not None and (self.geometric_mean is not None or self.log_std is not None):
            msg = "expected either geometric_mean and log_std or materials, got both"
            raise ValueError(msg)
        if self.materials is not None and self.materials[0] == self.materials[1]:
            msg = "expected two different materials, got the same conductivity twice"
            raise ValueError(msg)
        return self


class UncertainConfig(_Strict):
    """Standard deviations of what is known of the flow only roughly; 0: it is known."""

    recharge: Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)] = 0.0
    """Of the natural logarithm of the factor on the recharge: .3 is within a factor of 1.35 in two cases of three."""
    west: NotNegativeLength = 0.0
    """Of the shift of all heads along the side [m]; likewise the others."""
    east: NotNegativeLength = 0.0
    south: NotNegativeLength = 0.0
    north: NotNegativeLength = 0.0


class QuantityConfig(_Strict):
    """Something to forecast: exactly one of ``head``, ``flux``, ``inflow`` and ``capture``."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    head: _Place | None = None
    """Head at a place [m]."""
    flux: Annotated[tuple[_Place, ...], Field(min_length=2)] | None = None
    """Flow across a line from its left to its right, seen along it [m3 s-1]."""
    inflow: Literal["west", "east", "south", "north"] | None = None
    """Flow through a fixed-head side into the aquifer [m3 s-1]."""
    capture: Literal["west", "east", "south", "north"] | None = None
    """Share of what the wells pump that comes from a fixed-head side: inflow with less inflow without those that pump."""

    @model_validator(mode="after")
    def _one(self) -> "QuantityConfig":
        given = [name for name in ("head", "flux", "inflow", "capture") if getattr(self, name) is not None]
        if len(given) != 1:
            msg = f"expected one of head, flux, inflow and capture, got {' and '.join(given) or 'none'}"
            raise ValueError(msg)
        return self


class ForecastConfig(_Strict):
    """What is asked of every member, and what is other then than when the heads were measured; steady flow."""

    wells: tuple[WellConfig, ...] | None = None
    """None: those of the domain."""
    recharge: Velocity | None = None
    boundaries: BoundariesConfig | None = None
    quantities: Annotated[tuple[QuantityConfig, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _told_apart(self) -> "ForecastConfig":
        seen: dict[str, str] = {}
        for name in (quantity.name for quantity in self.quantities):
            key = forecast_name(name)
            if key in seen or key == forecast_name(""):
                other = f", as {seen[key]!r} is" if key in seen else ""
                msg = f"the forecast {name!r} would be {key} in the output{other}; expected names that letters and digits tell apart"
                raise ValueError(msg)
            seen[key] = name
        return self


def forecast_name(name: str) -> str:
    """What a forecast is called in the output."""
    return "forecast_" + re.sub(r"\W+", "_", name.lower()).strip("_")


class DomainConfig(_Strict):
    """All that a domain file may say."""

    units: Literal["m", "SI"] = "m"
    """Of numbers alone (times are seconds); others go with the numbers: ``size: [2000 ft, 2000 ft]``."""
    cells: tuple[_Count, _Count] = (64, 64)
    """Along x and along y; the shipped priors know 64 x 64."""
    size: tuple[PositiveLength, PositiveLength]
    """Extent along x and along y [m]."""
    origin: _Place = (0.0, 0.0)
    """South-west corner [m]."""
    outline: _Polygon | None = None
    """Corners of the aquifer [m]; cells whose centres lie outside are inactive. None: all cells."""
    holes: tuple[_Polygon, ...] = ()
    """Corners of areas without aquifer [m]."""
    thickness: PositiveLength = 1.0
    anisotropy: _Positive = 1.0
    """K along y over K along x."""
    boundaries: BoundariesConfig = BoundariesConfig()
    wells: tuple[WellConfig, ...] = ()
    recharge: Velocity = 0.0
    conductivity: ConductivityConfig = ConductivityConfig()
    storage: _Positive | None = None
    time_steps: tuple[PositiveTime, ...] = ()
    initial_head: Length | None = None
    uncertain: UncertainConfig = UncertainConfig()
    forecast: ForecastConfig | None = None

    def problem(self) -> FlowProblem:
        """The engine's form.

        Raises
        ------
        ConfigError
            Conditions that contradict each other.
        """
        if self.storage is not None and self.initial_head is None:
            msg = "Flow domain: a transient problem needs initial_head, got none."
            raise ConfigError(msg)
        (nx, ny), (width, height) = self.cells, self.size
        wells, (west, east, south, north) = tuple(one.well() for one in self.wells), self.boundaries.sides()
        problem = FlowProblem(
            ny, nx, width / nx, height / ny, x0=self.origin[0], y0=self.origin[1], thickness=self.thickness,
            wells=wells, recharge=self.recharge, storage=self.storage, time_steps=self.time_steps,
            initial_head=self.initial_head or 0.0, anisotropy=self.anisotropy,
            west=west, east=east, south=south, north=north,
        )  # fmt: skip
        return problem if self.outline is None and not self.holes else replace(problem, active=self._active(problem))

    def _active(self, problem: FlowProblem) -> np.ndarray:
        """Cells whose centres lie within the outline and in no hole."""
        centres = np.stack([axis.ravel() for axis in np.meshgrid(problem.x, problem.y)], 1)

        def within(polygon: tuple[_Place, ...]) -> np.ndarray:
            return Polygon(polygon).contains_points(centres).reshape(problem.shape)

        active = np.ones(problem.shape, dtype=bool) if self.outline is None else within(self.outline)
        for hole in self.holes:
            active &= ~within(hole)
        return active

    def log_k(self, kind: str) -> LogK:
        """Scale of a prior's field.

        Parameters
        ----------
        kind
            Of the fields, ``grf`` or one of two materials. Default: geometric mean 1e-5 m/s and standard deviation 1; materials 1e-6 and
            1e-4 m/s.

        Raises
        ------
        ConfigError
            The file describes the other kind.
        """
        given = self.conductivity
        if kind != "grf":
            if given.geometric_mean is not None or given.log_std is not None:
                msg = "Domain, conductivity: a prior of two materials needs materials, got geometric_mean or log_std."
                raise ConfigError(msg)
            first, second = (math.log(k) for k in given.materials or (1e-6, 1e-4))
            return LogK((first + second) / 2, (second - first) / 2)
        if given.materials is not None:
            msg = "Domain, conductivity: a Gaussian prior needs geometric_mean and log_std, got materials."
            raise ConfigError(msg)
        return LogK(math.log(given.geometric_mean or 1e-5), given.log_std or 1.0)


def read_domain(path: Path) -> DomainConfig:
    """Read and check a domain file.

    Raises
    ------
    ConfigError
        The file cannot be read, names an unknown key or holds a bad value.
    """
    content = read_settings_file(path, "--domain", "size: [640, 640]", required=True)
    try:
        return DomainConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(path, error)) from error


def _names(error: ErrorDetails) -> list[str]:
    """Keys and places of a list that lead to an error; parts that name a choice of types, such as literal['no-flow'], are left out."""
    return [str(part) for part in error["loc"] if re.fullmatch(r"[a-z_]+|\d+", str(part)) and part != "float"]


def _explain(path: Path, error: ValidationError) -> str:
    """The first thing wrong, in one line."""
    errors = error.errors()
    # of the choices that a value has, that which it came furthest with tells most
    first = next(
        (one for one in errors if one["type"] == "extra_forbidden"), max(errors, key=lambda one: len(_names(one)))
    )
    key = ".".join(_names(first))
    if first["type"] == "extra_forbidden":
        return f"--domain {path}: unknown key {key}. Known: {', '.join(keys_at(DomainConfig, _names(first)[:-1]))}."
    if key == "units":
        got = f"{first['input']!r}. Write units with the numbers, such as 12 ft."
        return f"--domain {path}, units: expected m (numbers alone are SI), got {got}"
    if first["type"] == "too_short":
        return f"--domain {path}, {key}: expected at least {first['ctx']['min_length']} of them, got {len(first['input'])}."
    got = "" if first["type"] in ("missing", "value_error") else f", got {str(first['input'])[:80]!r}"
    return f"--domain {path}, {key}: {reason(first)}{got}."
