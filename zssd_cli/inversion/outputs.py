"""The result of an inversion as CF-1.8 NetCDF."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zssd_cli.errors import OutputError
from zssd_cli.files import atomic_path
from zssd_cli.inversion.aquifer import RECHARGE
from zssd_cli.inversion.domain import forecast_name
from zssd_cli.inversion.flow import Sensors
from zssd_cli.inversion.forecast import Forecast
from zssd_cli.inversion.problem import FlowProblem
from zssd_cli.inversion.sensors import Conductivities, Measured

Variable = tuple[tuple[str, ...], np.ndarray, dict[str, str]]
"""Dimensions, values and attributes."""
_LOG_K = "natural logarithm of hydraulic conductivity in m s-1"


@dataclass(frozen=True, eq=False)
class Result:
    """What an inversion found, in physical units.

    Attributes
    ----------
    log_k_map
        Natural logarithm of K [m s-1] of the maximum a posteriori, (ny, nx).
    log_k
        The same of the members, (M, ny, nx).
    head_map, head
        Heads that belong to them [m], (ny, nx) and (M, ny, nx), with steps before ny in a transient problem.
    seen_map, seen
        Heads at the sensors [m], (S,) and (M, S).
    points
        ln K of the members where conductivity was measured, (M, P).
    forcing
        ``recharge`` -> factors on it, or a side -> shifts of its heads [m], (M,) each, where they are uncertain.
    forecasts
        What was asked for.
    """

    log_k_map: np.ndarray
    log_k: np.ndarray
    head_map: np.ndarray
    head: np.ndarray
    seen_map: np.ndarray
    seen: np.ndarray
    points: np.ndarray
    forcing: Mapping[str, np.ndarray]
    forecasts: tuple[Forecast, ...]


def inversion_dataset(
    problem: FlowProblem, measured: Measured, result: Result, attributes: Mapping[str, str | float]
) -> xr.Dataset:
    """Everything that the file holds; spread is the standard deviation over the members, inactive cells are missing."""
    outside = ~problem.inside
    plane, series = ("y", "x"), (("time", "y", "x") if problem.transient else ("y", "x"))
    variables = {
        "log_k_mean": (plane, result.log_k.mean(0), _about(f"mean of the {_LOG_K}", "1")),
        "log_k_std": (plane, result.log_k.std(0, ddof=len(result.log_k) > 1), _about(f"spread of the {_LOG_K}", "1")),
        "log_k_map": (plane, result.log_k_map, _about(f"maximum a posteriori of the {_LOG_K}", "1")),
        "log_k": (("member", *plane), result.log_k, _about(_LOG_K, "1")),
        "head_map": (series, result.head_map, _about("hydraulic head of the maximum a posteriori", "m")),
        "head_mean": (series, result.head.mean(0), _about("mean of the hydraulic head", "m")),
        "head_std": (
            series,
            result.head.std(0, ddof=len(result.head) > 1),
            _about("spread of the hydraulic head", "m"),
        ),
    }
    floats = {
        name: (dims, np.where(outside, np.nan, values).astype("f4"), about)
        for name, (dims, values, about) in variables.items()
    }
    sensors = _sensor_variables(problem, measured.sensors, result)
    return xr.Dataset(
        {
            **floats,
            **sensors,
            **_point_variables(measured.conductivities, result),
            **_answers(result),
            **_bounds(problem),
        },
        coords=_axes(problem, len(result.log_k)),
        attrs={"Conventions": "CF-1.8", **attributes},
    )


def _about(long_name: str, units: str) -> dict[str, str]:
    return {"long_name": long_name, "units": units}


def _axes(problem: FlowProblem, members: int) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    member = {"standard_name": "realization", "long_name": "draw from the posterior", "units": "1"}
    axes = {
        name: (
            name,
            getattr(problem, name),
            {
                "standard_name": f"projection_{name}_coordinate", "units": "m", "axis": name.upper(),
                "bounds": f"{name}_bnds", "long_name": f"{name} of the cell's centre",
            },
        )
        for name in ("y", "x")
    }  # fmt: skip
    axes["member"] = ("member", np.arange(members, dtype="i4"), member)
    if problem.transient:
        axes["time"] = ("time", np.cumsum(problem.time_steps), _about("time since the start", "s"))
    return axes


def _bounds(problem: FlowProblem) -> dict[str, tuple[tuple[str, str], np.ndarray]]:
    halves = {"y": problem.dy / 2, "x": problem.dx / 2}
    return {
        f"{name}_bnds": ((name, "bnds"), getattr(problem, name)[:, None] + np.array([-half, half]))
        for name, half in halves.items()
    }


def _sensor_variables(problem: FlowProblem, sensors: Sensors, result: Result) -> dict[str, Variable]:
    one = ("sensor",)
    found = {
        "sensor_x": (one, sensors.x, _about("x of the sensor", "m")),
        "sensor_y": (one, sensors.y, _about("y of the sensor", "m")),
        "sensor_head": (one, sensors.head, _about("measured hydraulic head", "m")),
        "sensor_error": (one, sensors.error, _about("standard deviation of the error of the measured head", "m")),
        "sensor_head_map": (one, result.seen_map, _about("head of the maximum a posteriori at the sensor", "m")),
        "sensor_residual": (one, sensors.head - result.seen_map, _about("measured minus maximum a posteriori", "m")),
        "sensor_residual_member": (
            ("member", "sensor"), sensors.head - result.seen, _about("measured minus member", "m"),
        ),
    }  # fmt: skip
    if sensors.step is not None:
        found["sensor_time"] = (
            one,
            np.cumsum(problem.time_steps)[sensors.step],
            _about("time of the measurement", "s"),
        )
    return found


def _point_variables(points: Conductivities, result: Result) -> dict[str, Variable]:
    """Measured conductivities, where there are some."""
    if not len(points):
        return {}
    one = ("point",)
    return {
        "point_x": (one, points.x, _about("x of the measured conductivity", "m")),
        "point_y": (one, points.y, _about("y of the measured conductivity", "m")),
        "point_log_k": (one, points.log_k, _about(f"measured {_LOG_K}", "1")),
        "point_error": (one, points.error, _about("standard deviation of its error", "1")),
        "point_residual_member": (
            ("member", "point"), points.log_k - result.points, _about("measured minus member", "1"),
        ),
    }  # fmt: skip


def _answers(result: Result) -> dict[str, Variable]:
    """Forecasts and uncertain forcing, one number a member."""
    found: dict[str, Variable] = {}
    for name, values in result.forcing.items():
        if name == RECHARGE:
            found["recharge_factor"] = ("member",), values, _about("factor on the recharge", "1")
        else:
            found[f"head_shift_{name}"] = ("member",), values, _about(f"shift of the heads of the {name} side", "m")
    for one in result.forecasts:
        name = forecast_name(one.name)
        about = {"long_name": one.name, "units": one.units, "comment": one.meaning}
        found[name] = ("member",), one.values, about
    return found


def write_inversion(path: Path, dataset: xr.Dataset) -> None:
    """Write the file, whole or not at all.

    Raises
    ------
    OutputError
        The folder is not writable or the disk is full.
    """
    fill = np.float32(1e20) if bool(dataset.log_k_mean.isnull().any()) else None
    fields: dict[Hashable, dict[str, Any]] = {
        name: {"zlib": True, "complevel": 1, "_FillValue": fill if one.dims[-2:] == ("y", "x") else None}
        for name, one in dataset.items()
        if one.ndim > 1
    }
    plain = {name: {"_FillValue": None} for name in dataset.variables if name not in fields}
    try:
        with atomic_path(path) as temporary:
            dataset.to_netcdf(temporary, format="NETCDF4", engine="netcdf4", encoding={**plain, **fields})
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "HDF" not in str(error):
            raise
        reason = getattr(error, "strerror", None) or error
        msg = f"{path} cannot be written: {reason}. Free space, or choose a folder that you may write to."
        raise OutputError(msg) from error
