"""What is observed: from the variables of a source to the observation that guides the prior.

Most variables of a source are channels of the prior. Wind speed (``sfcWind``) is not: it is observed through both
components (:mod:`zssd_cli.operators.wind`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from zssd_cli.climate.covariance import Band
from zssd_cli.config import DownscaleConfig
from zssd_cli.errors import InputError
from zssd_cli.grids.regrid import separable
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.operators.wind import WindSpeed
from zssd_cli.posterior.domain import Domain
from zssd_cli.posterior.guidance import Observation, ObservedSpeed
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.static import StaticFields

SPEED = "si10"
PRESSURE = "msl"
FEWEST_BLOCKS, LEAST_RELIEF = 8, 100.0
"""Blocks, and standard deviation of their altitude [m], from which on altitude tells surface pressure from sea level's."""
STEEPEST, CERTAIN = -6.0, -0.9
"""Slope [Pa m-1] and correlation with altitude that no sea-level pressure has: faults of the reduction reach 1 Pa m-1."""
COMPONENTS = ("u10", "v10")


def observable(variables: Sequence[str]) -> tuple[str, ...]:
    """What may be observed with a prior of these variables; wind speed, if at all, comes last."""
    known = SPEED not in variables and set(COMPONENTS) <= set(variables)
    return (*variables, SPEED) if known else tuple(variables)


def channels(prior: Prior, names: Sequence[str]) -> tuple[int, ...]:
    """Channels of the observed variables that are channels."""
    return tuple(prior.variables.index(name) for name in names if name in prior.variables)


def wind_speed(prior: Prior) -> WindSpeed:
    """The operator for this prior's components and scales."""
    east, north = (prior.variables.index(name) for name in COMPONENTS)
    mean, std = ((float(scale[east]), float(scale[north])) for scale in (prior.mean, prior.std))
    return WindSpeed(east, north, mean, std)


def standards(prior: Prior, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation that standardise observed variables, (observed,) each."""
    index = list(channels(prior, names))
    mean, std = (scale[index].cpu().numpy() for scale in (prior.mean, prior.std))
    if len(index) == len(names):
        return mean, std
    return np.append(mean, np.float32(0)), np.append(std, np.float32(wind_speed(prior).scale))


def refuse_surface_pressure(
    blocks: np.ndarray, prior: Prior, names: Sequence[str], static: StaticFields, domain: Domain
) -> None:
    """Raise :class:`InputError` where msl falls with altitude as pressure at the ground does, about 11 Pa per metre.

    Parameters
    ----------
    blocks
        Standardised block means, (observed, h, w).
    """
    if PRESSURE not in names:
        return
    height = separable(domain.fine, domain.coarse)(static.channels(domain.fine)[0] * 1000.0)
    pressure = blocks[list(names).index(PRESSURE)] * float(prior.std[prior.variables.index(PRESSURE)])
    seen = np.isfinite(pressure) & np.isfinite(height)
    if seen.sum() < FEWEST_BLOCKS or height[seen].std() < LEAST_RELIEF:
        return
    slope = np.polyfit(height[seen], pressure[seen], 1)[0]
    if slope < STEEPEST and np.corrcoef(height[seen], pressure[seen])[0, 1] < CERTAIN:
        msg = (
            f"msl falls by {-slope:.1f} Pa per metre of altitude over {seen.sum()} blocks, as pressure at the ground does; "
            "expected pressure reduced to sea level: give psl, or leave the pressure out."
        )
        raise InputError(msg)


def unresolved_wind(prior: Prior, bands: Sequence[Band], device: torch.device) -> Callable[[float], Tensor | float]:
    """Variance of both components together [m2 s-2] that a field denoised at sigma lacks, by climatology: sigma -> (H, 1).

    Parameters
    ----------
    bands
        Of the domain, with a weight for each of its H rows.
    """
    wind = wind_speed(prior)
    square, weights = torch.tensor(wind.std).square(), torch.stack([band.weight for band in bands], 1)

    @lru_cache(maxsize=4096)
    def variance(sigma: float) -> Tensor | float:
        if sigma == 0:
            return 0.0
        by_band = torch.stack([band.spectrum.variances(sigma)[wind.channels] @ square for band in bands])
        return (weights @ by_band)[:, None].to(device)

    return variance


def make_observation(
    prior: Prior,
    names: Sequence[str],
    values: Tensor,
    operator: Coarsen,
    config: DownscaleConfig,
    unresolved: Callable[[float], Tensor | float] | None,
) -> Observation:
    """The observation of a batch.

    Parameters
    ----------
    names
        Observed variables.
    values
        Their standardised block means, (B, observed, h, w).
    unresolved
        See :func:`unresolved_wind`; needed where speed is observed.
    """
    seen = channels(prior, names)
    linear = [name for name in names if name in prior.variables]
    error = torch.tensor([config.error_of(name) for name in linear], device=values.device)
    speed = None
    if len(seen) < len(names) and unresolved is not None:
        speed = ObservedSpeed(values[:, -1], wind_speed(prior), config.error_of(SPEED), unresolved)
    return Observation(values[:, : len(seen)], seen, operator, error, speed)
