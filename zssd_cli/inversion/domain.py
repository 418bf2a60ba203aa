"""The YAML file that describes an aquifer: extent, sides, wells, recharge, and what is expected of its conductivity.

SI units throughout, as in :mod:`zssd_cli.inversion.problem`; `docs/groundwater.md` lists the keys.
"""

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zssd_cli.errors import ConfigError
from zssd_cli.inversion.problem import FlowProblem, LogK, Side, Well
from zssd_cli.settings_file import read_settings_file

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Along = _Finite | tuple[_Finite, ...]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SideConfig(_Strict):
    """Exactly one of a fixed head [m] and a flux into the domain [m s-1]; a number or one per cell along the side."""

    head: _Along | None = None
    flux: _Along | None = None

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

    def sides(self) -> dict[str, Side]:
        """Side by name."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: Side() if isinstance(one, str) else one.side() for name, one in given.items()}


class WellConfig(_Strict):
    """A well: place [m] and rate [m3 s-1], negative when pumped; one number or one per time step."""

    x: _Finite
    y: _Finite
    rate: _Along


class ConductivityConfig(_Strict):
    """What is expected of K [m s-1] before any head is seen: for a Gaussian or for a two-material prior."""

    geometric_mean: _Positive | None = None
    log_std: _Positive | None = None
    """Standard deviation of the natural logarithm of K."""
    materials: tuple[_Positive, _Positive] | None = None
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


class DomainConfig(_Strict):
    """All that a domain file may say."""

    units: Literal["m", "SI"] = "m"
    """Of lengths and heads; times are seconds. Others are refused, not converted."""
    cells: tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]] = (64, 64)
    """Along x and along y; the shipped priors know 64 x 64."""
    size: tuple[_Positive, _Positive]
    """Extent along x and along y [m]."""
    origin: tuple[_Finite, _Finite] = (0.0, 0.0)
    """South-west corner [m]."""
    thickness: _Positive = 1.0
    boundaries: BoundariesConfig = BoundariesConfig()
    wells: tuple[WellConfig, ...] = ()
    recharge: _Finite = 0.0
    conductivity: ConductivityConfig = ConductivityConfig()
    storage: _Positive | None = None
    time_steps: tuple[_Positive, ...] = ()
    initial_head: _Finite | None = None

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
        wells = tuple(Well(one.x, one.y, np.asarray(one.rate, dtype=np.float64)) for one in self.wells)
        return FlowProblem(
            ny, nx, width / nx, height / ny, x0=self.origin[0], y0=self.origin[1], thickness=self.thickness,
            wells=wells, recharge=self.recharge, storage=self.storage, time_steps=self.time_steps,
            initial_head=self.initial_head or 0.0, **self.boundaries.sides(),
        )  # fmt: skip

    def log_k(self, kind: str) -> LogK:
        """Scale of a prior's field.

        Parameters
        ----------
        kind
            ``grf`` or ``bimaterial``. Default: geometric mean 1e-5 m/s and standard deviation 1; materials 1e-6 and
            1e-4 m/s.

        Raises
        ------
        ConfigError
            The file describes the other kind.
        """
        given = self.conductivity
        if kind == "bimaterial":
            if given.geometric_mean is not None or given.log_std is not None:
                msg = "Domain, conductivity: a bimaterial prior needs materials, got geometric_mean or log_std."
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


def _explain(path: Path, error: ValidationError) -> str:
    """The first thing wrong, in one line."""
    first = next((one for one in error.errors() if one["type"] == "extra_forbidden"), error.errors()[0])
    key = ".".join(str(part) for part in first["loc"] if part not in ("SideConfig", "literal['no-flow']"))
    if first["type"] == "extra_forbidden":
        return f"--domain {path}: unknown key {key}. Known: {', '.join(DomainConfig.model_fields)}."
    if key == "units":
        return f"--domain {path}, units: expected m (heads and lengths in metres, times in seconds), got {first['input']!r}. Convert."
    got = "" if first["type"] in ("missing", "value_error") else f", got {str(first['input'])[:80]!r}"
    return f"--domain {path}, {key}: {first['msg'].removeprefix('Value error, ')}{got}."
