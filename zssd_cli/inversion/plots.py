"""The picture of an inversion: conductivity, its spread, heads and the fit at the sensors."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zssd_cli.errors import OutputError
from zssd_cli.files import atomic_path
from zssd_cli.inversion.flow import Sensors
from zssd_cli.inversion.outputs import Result
from zssd_cli.inversion.problem import FlowProblem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 130
INK = "0.15"
TEN = float(np.log(10))


def plot_inversion(problem: FlowProblem, sensors: Sensors, result: Result, out: Path) -> None:
    """Draw mean, spread, maximum a posteriori, a member, heads and residuals as a PNG.

    Raises
    ------
    OutputError
        The picture cannot be written.
    """
    figure = Figure(figsize=(13.5, 8.4), layout="constrained")
    axes = figure.subplots(2, 3)
    blank = np.where(problem.inside, 0.0, np.nan)
    shown = [blank + values / TEN for values in (result.log_k.mean(0), result.log_k_map, result.log_k[0])]
    low, high = np.nanpercentile(np.stack(shown), [0.5, 99.5])
    limits: dict[str, Any] = {"cmap": "viridis", "vmin": low, "vmax": max(high, low + 0.1)}
    label = "log10 K [m s$^{-1}$]"
    _field(figure, axes[0, 0], problem, shown[0], f"mean of {len(result.log_k)} members", label, **limits)
    spread = blank + result.log_k.std(0, ddof=len(result.log_k) > 1) / TEN
    _field(figure, axes[0, 1], problem, spread, "spread of the members", "decades", cmap="magma", vmin=0.0)
    _field(figure, axes[0, 2], problem, shown[1], "maximum a posteriori", label, **limits)
    _field(figure, axes[1, 0], problem, shown[2], "member 0", label, **limits)
    for axis in (*axes[0], axes[1, 0]):
        axis.plot(sensors.x, sensors.y, "o", ms=3, mfc="none", mec="white", mew=0.8)
    _heads(figure, axes[1, 1], problem, sensors, result)
    _fit(axes[1, 2], sensors, result)
    _save(figure, out)


def _field(
    figure: Figure, axis: "Axes", problem: FlowProblem, values: np.ndarray, title: str, label: str, **style: Any
) -> None:
    west, east, south, north = problem.extent
    image = axis.imshow(values, origin="lower", extent=(west, east, south, north), interpolation="nearest", **style)
    axis.set_title(title, fontsize=10, loc="left", color=INK)
    axis.set_xlabel("x [m]", fontsize=8, color=INK)
    axis.set_ylabel("y [m]", fontsize=8, color=INK)
    axis.tick_params(labelsize=8, colors=INK)
    bar = figure.colorbar(image, ax=axis, shrink=0.85)
    bar.set_label(label, fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=8, colors=INK)


def _heads(figure: Figure, axis: "Axes", problem: FlowProblem, sensors: Sensors, result: Result) -> None:
    """Heads at the end with contours; measured ones as dots of the same colours."""
    last = np.where(problem.inside, result.head_map[-1] if problem.transient else result.head_map, np.nan)
    low, high = float(np.nanmin(last)), float(np.nanmax(last))
    _field(figure, axis, problem, last, "heads of the maximum a posteriori", "m", cmap="Blues", vmin=low, vmax=high)
    if high > low:
        axis.contour(problem.x, problem.y, last, levels=8, colors=INK, linewidths=0.5)
    now = sensors.step == len(problem.time_steps) - 1 if sensors.step is not None else np.full(len(sensors), True)
    axis.scatter(
        sensors.x[now], sensors.y[now], c=sensors.head[now], cmap="Blues", vmin=low, vmax=high, s=28, edgecolors="#d1495b",
        linewidths=0.9, zorder=3,
    )  # fmt: skip


def _fit(axis: "Axes", sensors: Sensors, result: Result) -> None:
    """Modelled against measured heads."""
    ends = [min(sensors.head.min(), result.seen_map.min()), max(sensors.head.max(), result.seen_map.max())]
    axis.plot(ends, ends, color="0.7", lw=1, zorder=1)
    axis.errorbar(
        sensors.head, result.seen_map, xerr=sensors.error, fmt="o", ms=4, color="#2a6f97", ecolor="0.6", elinewidth=0.8
    )
    rms = float(np.sqrt((((sensors.head - result.seen_map) / sensors.error) ** 2).mean()))
    axis.set_title(f"fit at {len(sensors)} sensors, {rms:.2f} errors", fontsize=10, loc="left", color=INK)
    axis.set_xlabel("measured head [m]", fontsize=8, color=INK)
    axis.set_ylabel("head of the maximum a posteriori [m]", fontsize=8, color=INK)
    axis.tick_params(labelsize=8, colors=INK)
    axis.set_box_aspect(1)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _save(figure: Figure, out: Path) -> None:
    FigureCanvasAgg(figure)
    try:
        with atomic_path(out) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI)
    except OSError as error:
        msg = f"Cannot write {out} ({error.strerror or error}). Check that the folder exists."
        raise OutputError(msg) from error
