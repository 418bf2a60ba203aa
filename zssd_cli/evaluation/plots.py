"""Pictures: fields beside each other with coast lines and wind arrows, and power spectra."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colors
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MultipleLocator

from zssd_cli.errors import InputError, OutputError
from zssd_cli.evaluation.alignment import open_output
from zssd_cli.evaluation.report import OURS, TRUTH, Evaluation, plural
from zssd_cli.files import atomic_path
from zssd_cli.outputs.layout import KEPT
from zssd_cli.static import StaticFields, load_static
from zssd_cli.variables import VARIABLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ARROWS_ACROSS = 22
PANEL_WIDTH = 5.2
WIDE = 0.62
"""Height over width below which maps lie one below the other."""
DPI = 130
INK = "0.15"
SEQUENTIAL = "viridis"
_LINES = {
    TRUTH: ("0.1", 2.4, "-"),
    OURS: ("#d1495b", 2.0, "-"),
    "bicubic": ("#2a6f97", 1.3, "-"),
    "bilinear": ("#61a5c2", 1.3, "-"),
    "conservative": ("0.6", 1.1, "--"),
}


@dataclass(frozen=True, eq=False)
class Panel:
    """One map.

    Attributes
    ----------
    title
        Above the map.
    lat, lon
        Cell centres in degrees, ascending, (n_lat,) and (n_lon,).
    values
        (n_lat, n_lon), NaN left blank.
    units
        Beside the colour bar.
    wind
        Eastward and northward wind on the same cells [m s-1], drawn as arrows; or None.
    vmin, vmax
        Colour limits; None for the 0.5 and 99.5 percentiles of all panels with the same colour map and units.
    cmap
        Matplotlib colour map; maps that end in ``RdBu_r`` are centred on 0.
    """

    title: str
    lat: np.ndarray
    lon: np.ndarray
    values: np.ndarray
    units: str
    wind: tuple[np.ndarray, np.ndarray] | None = None
    vmin: float | None = None
    vmax: float | None = None
    cmap: str = "viridis"


def quicklook(panels: list[Panel], out: Path, columns: int | None = None, title: str = "") -> None:
    """Draw panels as a PNG, filled row by row.

    Parameters
    ----------
    panels
        At least one.
    out
        PNG to write.
    columns
        Panels in a row; None for one to three.
    title
        Above all.

    Raises
    ------
    OutputError
        The picture cannot be written.
    """
    tallest = max(_aspect(p) * (p.lat[-1] - p.lat[0] + 0.25) / (p.lon[-1] - p.lon[0] + 0.25) for p in panels)
    columns = columns or min(len(panels), 3 if tallest > WIDE else 1)
    rows = -(-len(panels) // columns)
    width = PANEL_WIDTH if tallest > WIDE else 1.6 * PANEL_WIDTH
    height = width * 0.78 * min(tallest, 1.6) + 0.7
    figure = Figure(
        figsize=(width * columns, height * rows + (0.35 if title else 0)),
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08),
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    static = load_static()
    for axis, panel in zip(axes, panels, strict=False):
        _draw(figure, axis, panel, _limits(panel, panels), static)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    if title:
        figure.suptitle(title, fontsize=12, color=INK)
    _save(figure, out)


def _aspect(panel: Panel) -> float:
    """Height of a degree of latitude over the width of a degree of longitude in the middle of the map."""
    return 1 / max(np.cos(np.deg2rad((panel.lat[0] + panel.lat[-1]) / 2)), 0.2)


def _limits(panel: Panel, panels: list[Panel]) -> tuple[float, float]:
    """Colour limits, shared by panels of one kind, symmetric for diverging maps."""
    kin = [p.values[np.isfinite(p.values)] for p in panels if (p.cmap, p.units) == (panel.cmap, panel.units)]
    pooled = np.concatenate(kin)
    low, high = np.percentile(pooled, [0.5, 99.5]) if pooled.size else (0.0, 1.0)
    if panel.cmap.endswith("RdBu_r"):
        high = max(abs(low), abs(high))
        low = -high
    elif panel.cmap == SEQUENTIAL:
        low = min(low, 0.0) if low < 2 else low
    low = low if panel.vmin is None else panel.vmin
    high = high if panel.vmax is None else panel.vmax
    return float(low), float(high if high > low else low + 1)


def _draw(figure: Figure, axis: "Axes", panel: Panel, limits: tuple[float, float], static: StaticFields) -> None:
    """One map with its colour bar."""
    edges = [_edges(centres) for centres in (panel.lon, panel.lat)]
    edges[1] = np.clip(edges[1], -90, 90)
    norm = colors.Normalize(*limits)
    mesh = axis.pcolormesh(*edges, np.ma.masked_invalid(panel.values), norm=norm, cmap=panel.cmap, rasterized=True)
    _coast(axis, edges, static)
    if panel.wind is not None:
        _arrows(axis, panel, *panel.wind)
    blank = not np.isfinite(panel.values).any()
    if blank:
        axis.text(0.5, 0.5, "no data", transform=axis.transAxes, ha="center", va="center", fontsize=10, color="0.5")
    axis.set_xlim(edges[0][0], edges[0][-1])
    axis.set_ylim(edges[1][0], edges[1][-1])
    axis.set_aspect(_aspect(panel))
    axis.set_title(panel.title, fontsize=10, loc="left", color=INK)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _degrees((x + 180) % 360 - 180, "E", "W")))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _degrees(y, "N", "S")))
    axis.xaxis.set_major_locator(MultipleLocator(_tick_step(panel.lon[-1] - panel.lon[0])))
    axis.yaxis.set_major_locator(MultipleLocator(_tick_step(panel.lat[-1] - panel.lat[0])))
    axis.tick_params(labelsize=8, length=3, colors=INK)
    for spine in axis.spines.values():
        spine.set_color("0.4")
    if not blank:
        bar = figure.colorbar(mesh, cax=axis.inset_axes((1.02, 0.0, 0.03, 1.0)), extend="both", extendfrac=0.03)
        bar.ax.tick_params(labelsize=8, length=2, colors=INK)
        bar.set_label(_pretty(panel.units), fontsize=8, color=INK)
        bar.outline.set_edgecolor("0.4")


def _pretty(units: str) -> str:
    """``m s-1`` with raised exponents."""
    return re.sub(r"(?<=[a-z])(-?\d+)", r"$^{\1}$", units)


def _tick_step(span: float) -> float:
    """A round step that gives three to seven ticks."""
    return next((step for step in (0.25, 0.5, 1, 2, 5, 10, 15, 20, 30, 45, 60) if span / step < 7), 60)


def _degrees(value: float, positive: str, negative: str) -> str:
    side = (
        ""
        if abs(value) < 1e-9 or abs(abs(value) - 180) < 1e-9 and positive == "E"
        else positive
        if value > 0
        else negative
    )
    return f"{abs(value):g}°{side}"


def _edges(centres: np.ndarray) -> np.ndarray:
    """Edges halfway between centres."""
    if centres.size == 1:
        return np.array([centres[0] - 0.125, centres[0] + 0.125])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _coast(axis: "Axes", edges: list[np.ndarray], static: StaticFields) -> None:
    """The half-land contour of the static fields over the map."""
    first, last = (int(np.floor(edges[0][0] * 4)), int(np.ceil(edges[0][-1] * 4)))
    bottom, top = (int(np.clip(f(e * 4), -360, 360)) for f, e in ((np.floor, edges[1][0]), (np.ceil, edges[1][-1])))
    columns, rows = np.arange(first, last + 1), np.arange(bottom, top + 1)
    land = static.land_fraction[np.ix_(rows + 360, columns % 1440)]
    if min(land.shape) > 1 and land.min() < 0.5 <= land.max():
        width = 0.9 if columns.size < 700 else 0.5
        axis.contour(columns / 4, rows / 4, land, levels=[0.5], colors=[INK], linewidths=width)


def _arrows(axis: "Axes", panel: Panel, u: np.ndarray, v: np.ndarray) -> None:
    """About 22 arrows across, strong winds as long as their spacing, pointing as on the ground."""
    step = max(1, round(max(panel.lon.size, panel.lat.size * _aspect(panel)) / ARROWS_ACROSS))
    rows, columns = slice(step // 2, None, step), slice(step // 2, None, step)
    speed = np.hypot(u, v)[np.isfinite(u) & np.isfinite(v)]
    strong = max(float(np.percentile(speed, 95)), 5.0) if speed.size else 10.0
    quiver = axis.quiver(
        panel.lon[columns], panel.lat[rows], u[rows, columns], v[rows, columns],
        angles="uv", pivot="middle", color=INK, width=0.0024, headwidth=4.2, headlength=4.6,
        scale=ARROWS_ACROSS * strong, scale_units="width", alpha=0.85,
    )  # fmt: skip
    axis.quiverkey(
        quiver, 0.93, 1.03, 10, "10 m s$^{-1}$", labelpos="W", fontproperties={"size": 8}, color=INK, labelcolor=INK
    )


def _save(figure: Figure, out: Path) -> None:
    FigureCanvasAgg(figure)
    try:
        with atomic_path(Path(out)) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI)
    except OSError as error:
        msg = f"Cannot write {out} ({error.strerror or error}). Check that the folder exists."
        raise OutputError(msg) from error


def plot_output(
    dataset_path: Path,
    coarse: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]] | None,
    out: Path,
    time_index: int = 0,
) -> None:
    """Every variable of an output: its coarse input where given, and the first member beside it.

    Parameters
    ----------
    dataset_path
        What ``zssd downscale`` wrote.
    coarse
        Variable to (lat_edges, lon_edges, values) in the same units, edges one longer than the sides of the values.
    out
        PNG to write.
    time_index
        Which time; negative counts from the end.

    Raises
    ------
    InputError
        The file has no such time or is no output.
    """
    output = open_output(dataset_path)
    if not -len(output.times) <= time_index < len(output.times):
        msg = f"{dataset_path}: time {time_index} asked for, it has {len(output.times)}."
        raise InputError(msg)
    index = time_index % len(output.times)
    time = output.times[index]
    fields = {name: output.read(name, index)[0] for name in output.variables}
    panels = []
    for name, values in fields.items():
        factor, units = VARIABLES[name].shown or (1.0, output.units[name])
        cmap = VARIABLES[name].colours
        wind = (fields["u10"], fields["v10"]) if name == "msl" and {"u10", "v10"} <= set(fields) else None
        if coarse is not None:
            panels.append(
                _coarse_panel(name, coarse.get(name), output.grid.lat, output.grid.lon, (factor, units, cmap))
            )
        hidden = "" if output.observed[name] else ", inferred: not in the input"
        panels.append(
            Panel(
                f"{name} at 0.25°, {'mean of the members' if KEPT in output.attributes else 'member 0'}{hidden}",
                output.grid.lat,
                output.grid.lon,
                values * factor,
                units,
                wind,
                cmap=cmap,
            )
        )
    stamp = f"{time.year:04d}-{time.month:02d}-{time.day:02d} {time.hour:02d}:{time.minute:02d}"
    quicklook(panels, out, columns=2 if coarse is not None else None, title=f"{Path(dataset_path).name}, {stamp}")


def _coarse_panel(
    name: str,
    given: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    lat: np.ndarray,
    lon: np.ndarray,
    style: tuple[float, str, str],
) -> Panel:
    """The coarse field as blocks on the fine cells; blank where it is not given."""
    factor, units, cmap = style
    values = np.full((lat.size, lon.size), np.nan)
    if given is not None:
        lat_edges, lon_edges, blocks = (np.asarray(part, dtype=np.float64) for part in given)
        where = (lon - lon_edges[0]) % 360 + lon_edges[0]
        rows, columns = np.searchsorted(lat_edges, lat, "right") - 1, np.searchsorted(lon_edges, where, "right") - 1
        rows[lat == lat_edges[-1]] -= 1
        inside = ((rows >= 0) & (rows < blocks.shape[0]))[:, None] & ((columns >= 0) & (columns < blocks.shape[1]))[
            None, :
        ]
        taken = blocks[
            np.clip(rows, 0, blocks.shape[0] - 1)[:, None], np.clip(columns, 0, blocks.shape[1] - 1)[None, :]
        ]
        values = np.where(inside, taken * factor, np.nan)
    return Panel(
        f"{name}, {'block means of the input' if given is not None else 'not in the input'}",
        lat,
        lon,
        values,
        units,
        cmap=cmap,
    )


def spectra_plot(evaluation: Evaluation, out: Path) -> None:
    """Power by wavelength of every variable: the truth, the members' mean spectrum and the baselines.

    Raises
    ------
    OutputError
        The picture cannot be written.
    """
    count = len(evaluation.spectra)
    columns = min(count, 2)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.9 * columns, 3.5 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, spectra in zip(axes, evaluation.spectra, strict=False):
        for method, (color, width, line) in _LINES.items():
            if method in spectra.power:
                zorder = 3 if method in {OURS, TRUTH} else 2
                axis.loglog(
                    spectra.wavelength, spectra.power[method], line, color=color, lw=width, label=method, zorder=zorder
                )
        if evaluation.scale:
            axis.axvline(evaluation.scale, color="0.75", lw=0.9, ls=":", zorder=1)
        _finish_spectrum(axis, f"{spectra.variable}", spectra.units)
    axes[0].legend(fontsize=8, frameon=False)
    for axis in axes[count:]:
        axis.set_axis_off()
    figure.suptitle(
        f"Power spectra along parallels, {evaluation.extent}, {plural(evaluation.times, 'time')}",
        fontsize=11,
        color=INK,
    )
    _save(figure, out)


def _finish_spectrum(axis: "Axes", title: str, units: str) -> None:
    axis.invert_xaxis()
    ticks = [16, 8, 4, 2, 1, 0.5]
    low, high = sorted(axis.get_xlim())
    axis.set_xticks([t for t in ticks if low <= t <= high], [f"{t:g}°" for t in ticks if low <= t <= high])
    axis.minorticks_off()
    axis.grid(color="0.92", lw=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.set_title(title, fontsize=10, loc="left", color=INK)
    axis.set_xlabel("wavelength (great circle)", fontsize=8, color=INK)
    squared = f"({_pretty(units)})²" if " " in units else f"{units}²"
    axis.set_ylabel(f"power density [{squared} degree]", fontsize=8, color=INK)
    axis.tick_params(labelsize=8, colors=INK)
