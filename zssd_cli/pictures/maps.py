"""Maps: cells in colour, isobars, wind arrows, coasts from the built-in land fraction; what was drawn is hatched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib import colors
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from zssd_cli.pictures.planes import Plane, plane_for
from zssd_cli.pictures.style import DIVERGING, INK, OTHER, SPREAD, WIND, Picture, colour_map, pretty, printable
from zssd_cli.static import StaticFields, load_static

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAP_WIDTH, MAP_HEIGHT = 4.1, 5.2
"""Largest sides of a map in inches, but for wide ones."""
AROUND, BAR = 1.2, 0.06
"""Room for ticks and labels in inches, and for the colour bar as a share of the map's width."""
WIDE = 0.62
"""Height over width below which maps lie one below the other."""
ARROW = 0.185
"""Inches between arrows."""
CONTOURED = 420
"""Cells across that contours are drawn from: more would be noise on paper."""
ISOBARS = (0.5, 1, 2, 4, 5, 8, 10, 20)
MOST_ISOBARS = 18


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
        (n_lat, n_lon), NaN left grey.
    units
        Beside the colour bar.
    wind
        Eastward and northward wind on the same cells [m s-1], drawn as arrows; or None.
    isobars
        Pressure on the same cells [hPa], drawn as lines; or None.
    drawn
        True where the field is a draw although its variable was observed elsewhere: hatched; or None.
    quantity
        Beside the colour bar, before the units.
    vmin, vmax
        Colour limits; None for the 0.5 and 99.5 percentiles of all panels with the same colour map and units.
    cmap
        Colour map of :func:`zssd_cli.pictures.style.colour_map`; ``RdBu_r`` is centred on 0.
    """

    title: str
    lat: np.ndarray
    lon: np.ndarray
    values: np.ndarray
    units: str
    wind: tuple[np.ndarray, np.ndarray] | None = None
    isobars: np.ndarray | None = None
    drawn: np.ndarray | None = None
    quantity: str = ""
    vmin: float | None = None
    vmax: float | None = None
    cmap: str = OTHER

    @cached_property
    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges of rows and columns."""
        return np.clip(_edges(self.lat), -90, 90), _edges(self.lon)

    @property
    def kind(self) -> tuple[str, str, str]:
        """Panels of one kind share their colours."""
        return self.cmap, self.units, self.quantity

    def words(self) -> str:
        """What it shows, for the alt text."""
        values = np.where(np.isfinite(self.values), self.values, np.nan)
        if not np.isfinite(values).any():
            return f"{self.title}: no data"
        weights = np.cos(np.deg2rad(self.lat))[:, None] * np.isfinite(values)
        mean = float(np.nansum(values * weights) / max(weights.sum(), 1e-12))
        name = f" {self.quantity}" if self.quantity else ""
        text = f"{self.title}:{name} {np.nanmin(values):.4g} to {np.nanmax(values):.4g} {self.units}, mean {mean:.4g}"
        if self.isobars is not None and np.isfinite(self.isobars).any():
            row, column = np.unravel_index(np.nanargmin(self.isobars), self.isobars.shape)
            at = f"{self.lat[row]:g}N {(self.lon[column] + 180) % 360 - 180:g}E"
            text += f"; lowest pressure {self.isobars[row, column]:.1f} hPa at {at}"
        if self.drawn is not None and self.drawn.any():
            text += f"; {self.drawn.mean():.0%} of the cells were not observed but drawn (hatched)"
        return text


@dataclass(frozen=True)
class Scales:
    """What the panels of a picture, or the frames of an animation, share.

    Attributes
    ----------
    limits
        Colour limits by kind of panel.
    strong
        Wind speed of an arrow that is as long as arrows are apart [m s-1].
    step
        Pressure between isobars [hPa].
    """

    limits: Mapping[tuple[str, str, str], tuple[float, float]]
    strong: float
    step: float


def scales_of(panels: Sequence[Panel]) -> Scales:
    """Scales that suit all panels."""
    speeds = [np.hypot(*panel.wind).ravel() for panel in panels if panel.wind is not None]
    speed = np.concatenate(speeds) if speeds else np.zeros(1)
    speed = speed[np.isfinite(speed)]
    strong = float(np.percentile(speed, 95)) if speed.size else 0.0
    lines = [panel.isobars[np.isfinite(panel.isobars)] for panel in panels if panel.isobars is not None]
    widest = max((float(np.ptp(pressure)) for pressure in lines if pressure.size), default=0.0)
    step = next((step for step in ISOBARS if widest / step <= MOST_ISOBARS), ISOBARS[-1])
    return Scales({panel.kind: _limits(panel.kind, panels) for panel in panels}, max(strong, 5.0), step)


def _has_isobars(panel: Panel) -> bool:
    return panel.isobars is not None and bool(np.isfinite(panel.isobars).any())


def map_picture(
    panels: Sequence[Panel], columns: int | None = None, title: str = "", scales: Scales | None = None
) -> Picture:
    """Panels row by row.

    Parameters
    ----------
    panels
        At least one.
    columns
        Panels in a row; None for as many as fit without gaps.
    title
        Above all; may come from a file.
    scales
        None for those of these panels.
    """
    ratio = max(plane_for(*panel.edges).ratio for panel in panels)
    columns = columns or _columns(len(panels), ratio)
    rows = -(-len(panels) // columns)
    width = _width(ratio)
    figure = Figure(
        figsize=((width * (1 + BAR) + AROUND) * columns, (width * ratio + 0.55) * rows + (0.4 if title else 0)),
        layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08),
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    scales = scales or scales_of(panels)
    for axis, panel in zip(axes, panels, strict=False):
        _draw(figure, axis, panel, scales)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    title = printable(title)
    if title:
        figure.suptitle(title, fontsize=12, color=INK, parse_math=False)
    alt = f"Maps. {title}. " if title else "Maps. "
    return Picture(figure, alt + ". ".join(printable(panel.words(), 400) for panel in panels) + ".")


def quicklook(panels: list[Panel], out: Path, columns: int | None = None, title: str = "") -> None:
    """Draw panels as a PNG; raises :class:`OutputError` where it cannot be written."""
    map_picture(panels, columns, title).save(out)


def _width(ratio: float) -> float:
    """Width of a map in inches for its height over width."""
    return min(MAP_WIDTH, MAP_HEIGHT / ratio) if ratio > WIDE else 1.75 * MAP_WIDTH


@cache
def _static() -> StaticFields:
    return load_static()


def _columns(count: int, ratio: float) -> int:
    """Three across at most, wide maps one, without gaps where there is a choice."""
    if ratio <= WIDE:
        return 1 if count < 4 else 2
    return min(count, 2 if count == 4 else 3)


def _limits(kind: tuple[str, str, str], panels: Sequence[Panel]) -> tuple[float, float]:
    """Colour limits, shared by panels of one kind, symmetric for diverging maps."""
    alike = [panel for panel in panels if panel.kind == kind]
    kin = [p.values[np.isfinite(p.values)] for p in alike]
    pooled = np.concatenate(kin)
    low, high = np.percentile(pooled, [0.5, 99.5]) if pooled.size else (0.0, 1.0)
    if kind[0].endswith(DIVERGING):
        high = max(abs(low), abs(high))
        low = -high
    elif kind[0] in (WIND, SPREAD):
        low = 0.0
    low = next((p.vmin for p in alike if p.vmin is not None), low)
    high = next((p.vmax for p in alike if p.vmax is not None), high)
    return float(low), float(high if high > low else low + 1)


def _draw(figure: Figure, axis: "Axes", panel: Panel, scales: Scales) -> None:
    """One map with its colour bar."""
    plane = plane_for(*panel.edges)
    corners = plane.forward(panel.edges[0][:, None], panel.edges[1][None, :])
    norm, values = colors.Normalize(*scales.limits[panel.kind]), np.ma.masked_invalid(panel.values)
    axis.set_facecolor("0.92")
    mesh = axis.pcolormesh(*corners, values, norm=norm, cmap=colour_map(panel.cmap), rasterized=True)
    coast(axis, panel, plane)
    if panel.drawn is not None and panel.drawn.any():
        _hatch(axis, panel, plane, panel.drawn & np.isfinite(panel.values))
    if panel.isobars is not None and _has_isobars(panel):
        _isobars(axis, panel, plane, panel.isobars, scales.step)
    if panel.wind is not None:
        _arrows(axis, panel, plane, *panel.wind, scales.strong)
    plane.frame(axis)
    axis.set_title(printable(panel.title), fontsize=10, loc="left", color=INK, parse_math=False)
    if not np.isfinite(panel.values).any():
        axis.text(0.5, 0.5, "no data", transform=axis.transAxes, ha="center", va="center", fontsize=10, color="0.4")
        return
    bar = figure.colorbar(mesh, cax=axis.inset_axes((1.02, 0.0, 0.03, 1.0)), extend="both", extendfrac=0.03)
    bar.ax.tick_params(labelsize=8, length=2, colors=INK)
    label = f"{panel.quantity} [{pretty(panel.units)}]" if panel.quantity else pretty(panel.units)
    bar.set_label(label, fontsize=8, color=INK)
    bar.outline.set_edgecolor("0.4")


def _edges(centres: np.ndarray) -> np.ndarray:
    """Edges halfway between centres."""
    if centres.size == 1:
        return np.array([centres[0] - 0.125, centres[0] + 0.125])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def coast(axis: "Axes", panel: Panel, plane: Plane) -> None:
    """The half-land contour of the static fields over the map."""
    lat, lon = panel.edges
    first, last = int(np.floor(lon[0] * 4)), int(np.ceil(lon[-1] * 4))
    bottom, top = (int(np.clip(f(e * 4), -360, 360)) for f, e in ((np.floor, lat[0]), (np.ceil, lat[-1])))
    columns, rows = np.arange(first, last + 1), np.arange(bottom, top + 1)
    land = _static().land_fraction[np.ix_(rows + 360, columns % 1440)]
    if min(land.shape) > 1 and land.min() < 0.5 <= land.max():
        # off the pole itself, where all longitudes are one point
        at = plane.forward(np.clip(rows / 4, -89.99, 89.99)[:, None], columns[None, :] / 4)
        axis.contour(*at, land, levels=[0.5], colors=["0.1"], linewidths=0.9 if columns.size < 700 else 0.6, zorder=3)


def _closed(panel: Panel, field: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latitudes, longitudes and field thinned for contours, the first column repeated where the circle is whole."""
    step = max(1, max(field.shape) // CONTOURED)
    lat, lon, thin = panel.lat[::step], panel.lon[::step], field[::step, ::step]
    if panel.edges[1][-1] - panel.edges[1][0] > 359.5:
        lon, thin = np.append(lon, lon[0] + 360), np.concatenate([thin, thin[:, :1]], 1)
    return np.clip(lat, -89.99, 89.99), lon, thin


def _isobars(axis: "Axes", panel: Panel, plane: Plane, pressure: np.ndarray, step: float) -> None:
    """Lines at round pressures, labelled."""
    lat, lon, field = _closed(panel, pressure)
    if min(field.shape) < 2:
        return
    low, high = np.nanmin(field), np.nanmax(field)
    levels = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    if levels.size:
        at = plane.forward(lat[:, None], lon[None, :])
        lines = axis.contour(
            *at,
            np.ma.masked_invalid(field),
            levels=levels,
            colors=["0.1"],
            linewidths=0.65 if plane.ratio > WIDE else 0.5,
            zorder=3,
        )
        lines.set_alpha(0.8)
        axis.clabel(lines, levels=levels[::2], fontsize=6, inline_spacing=2, fmt="%g", zorder=6)


def _hatch(axis: "Axes", panel: Panel, plane: Plane, cells: np.ndarray) -> None:
    """Thin strokes over cells, and their outline."""
    lat, lon, field = _closed(panel, cells.astype(float))
    if min(field.shape) < 2:
        return
    at = plane.forward(lat[:, None], lon[None, :])
    with mpl.rc_context({"hatch.linewidth": 0.35, "hatch.color": "0.25"}):
        axis.contourf(*at, field, levels=[0.5, 1.5], colors="none", hatches=["////"], zorder=2)
    axis.contour(*at, field, levels=[0.5], colors=["0.25"], linewidths=0.8, linestyles="--", zorder=3)


def _arrows(axis: "Axes", panel: Panel, plane: Plane, u: np.ndarray, v: np.ndarray, strong: float) -> None:
    """Arrows equally far apart on paper, strong winds as long as their spacing, pointing as on the ground."""
    lat, lon = plane.raster(round(_width(plane.ratio) * max(1.0, plane.ratio) / ARROW))
    start = panel.edges[1][0]
    rows = np.abs(panel.lat[:, None] - lat[None, :]).argmin(0)
    columns = np.clip(np.searchsorted(panel.edges[1], (lon - start) % 360 + start, "right") - 1, 0, panel.lon.size - 1)
    here = u[rows, columns], v[rows, columns]
    known = np.isfinite(here[0]) & np.isfinite(here[1])
    if not known.any():
        return
    x, y = plane.forward(lat[known], lon[known])
    quiver = axis.quiver(
        x, y, *plane.turned(lon[known], here[0][known], here[1][known]),
        angles="uv", pivot="middle", color="0.05", units="inches", width=0.011, headwidth=4.0, headlength=4.4,
        scale=strong / (1.15 * ARROW), scale_units="inches", zorder=4,
    )  # fmt: skip
    axis.quiverkey(
        quiver, 0.93, 1.03, 10, "10 m s$^{-1}$", labelpos="W", fontproperties={"size": 8}, color=INK, labelcolor=INK
    )
