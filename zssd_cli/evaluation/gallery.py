"""Pictures of an output: members, mean and spread, spectra, and the frames of an animation. A view in, a picture out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from zssd_cli.errors import ConfigError
from zssd_cli.evaluation.alignment import open_output
from zssd_cli.evaluation.spectra import WavelengthBins
from zssd_cli.evaluation.views import (
    COMPONENTS,
    PRESSURE,
    SPEED,
    WIND,
    Beside,
    Blocks,
    Held,
    View,
    beside_field,
    colours,
    default_variables,
    each_field,
    on_cells,
    open_view,
    origin,
    shown,
    shown_time,
)
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.outputs.layout import KEPT
from zssd_cli.pictures import style
from zssd_cli.pictures.animation import pixels
from zssd_cli.pictures.lines import Curve, Spectrum, spectrum_picture
from zssd_cli.pictures.maps import Panel, Scales, map_picture, scales_of
from zssd_cli.pictures.style import Picture

INPUT, REFERENCE = "input", "reference"
MOST_ACROSS = 3
SAMPLED = 8
"""Times from which an animation takes its colour limits."""
OURS, TRUTH, COARSE = "#c2410c", "0.1", "#1d6fa5"
Tick = Callable[[], None]


def downscaled(output: str | Path | xr.Dataset, coarse: Mapping[str, Blocks], *, daily: bool = False) -> Picture:
    """The first time of an output beside the block means that it keeps, over the day where they are daily, by variable."""
    name = f"{'daily ' if daily else ''}block means of the input"
    with closing(open_output(output)) as opened:
        return member_map(open_view(opened), source=Held(coarse), source_name=name)


def member_map(
    view: View,
    names: Sequence[str] | None = None,
    index: int | None = None,
    *,
    source: Beside | None = None,
    reference: Beside | None = None,
    every: bool = False,
    source_name: str = INPUT,
) -> Picture:
    """Members at one time, beside the input and a reference where they are given and hold the variable.

    Parameters
    ----------
    view
        What is shown.
    names
        Variables, also ``wind``; None for pressure, wind and what else there is.
    index
        Position of the time; None for the first of the view.
    source, reference
        Fields of the coarse input and of the truth.
    every
        All members of the view, not only as many as fit beside each other.
    source_name
        What the titles call the input.
    """
    names, index = names or default_variables(view), view.indices[0] if index is None else index
    panels, counts = [], []
    shown_members = _members_shown(view, names, source, index, every=every)
    for name, members in zip(names, shown_members, strict=True):
        row = [beside_panel(view, source, name, index, source_name)] if source is not None else []
        row += [member_panel(view, name, index, member) for member in members]
        row += [beside_panel(view, reference, name, index, REFERENCE)] if reference is not None else []
        filled = [panel for panel in row if panel is not None]
        panels += filled
        counts.append(len(filled))
    columns = counts[0] if len(set(counts)) == 1 and 1 < counts[0] <= MOST_ACROSS + 1 and len(names) > 1 else None
    return map_picture(panels, columns, _title(view, index))


def _title(view: View, index: int) -> str:
    return f"{style.printable(origin(view), 70)}, {shown_time(view.time(index))}"


def _members_shown(
    view: View, names: Sequence[str], source: Beside | None, index: int, *, every: bool
) -> list[tuple[int, ...]]:
    """Members of each variable: rows of one length, of three panels at most, unless every one is asked for."""
    if every:
        return [view.members] * len(names)
    given = [
        source is not None and beside_field(source, name, view.time(index), view.grid) is not None for name in names
    ]
    across = min(MOST_ACROSS, *(len(view.members) + has for has in given))
    return [view.members[: max(across - has, 1)] for has in given]


def member_panel(view: View, name: str, index: int, member: int) -> Panel:
    """One member at one time, with arrows, isobars and hatches where they belong."""
    title = f"{name}, mean of the members" if KEPT in view.output.attributes else f"{name}, member {member}"
    drawn = view.drawn(name, index)
    if not view.observed(name):
        title += " (inferred)"
    elif drawn is not None and drawn.any():
        title += " (hatched: drawn)"
    factor, units, quantity = shown(name)
    values = view.field(name, index, member) * factor
    panel = Panel(
        title, view.grid.lat, view.grid.lon, values, units, quantity=quantity, cmap=colours(name), drawn=drawn
    )
    if name == PRESSURE:
        return replace(panel, isobars=values)
    if name != WIND:
        return panel
    u, v = (view.field(part, index, member) if view.has_arrows() else None for part in COMPONENTS)
    bars = view.field(PRESSURE, index, member) * shown(PRESSURE)[0] if PRESSURE in view.output.variables else None
    return replace(panel, wind=None if u is None or v is None else (u, v), isobars=bars)


def beside_panel(view: View, beside: Beside, name: str, index: int, what: str) -> Panel | None:
    """A field of other files; isobars only where its cells are as fine as ours, for those of blocks are stairs."""
    time, grid = view.time(index), view.grid
    field = beside_field(beside, name, time, grid)
    if field is None:
        return None
    factor, units, quantity = shown(name)
    panel = Panel(f"{name}, {what}", grid.lat, grid.lon, field * factor, units, quantity=quantity, cmap=colours(name))
    if name == WIND and set(COMPONENTS) <= set(beside.variables):
        u, v = (on_cells(beside.blocks(part, time), grid) for part in COMPONENTS)
        panel = replace(panel, wind=(u, v))
    if name in (PRESSURE, WIND) and PRESSURE in beside.variables:
        blocks = beside.blocks(PRESSURE, time)
        if np.diff(blocks[1]).max() < 0.4:
            panel = replace(panel, isobars=on_cells(blocks, grid) * shown(PRESSURE)[0])
    return panel


def spread_map(
    view: View, names: Sequence[str] | None = None, index: int | None = None, *, reference: Beside | None = None
) -> Picture:
    """Mean and standard deviation of the members at one time; raises :class:`ConfigError` where there is only one."""
    if len(view.members) < 2:
        msg = f"--kind spread: expected two members or more, the view has {len(view.members)}. Use --kind map."
        raise ConfigError(msg)
    names, index = names or default_variables(view), view.indices[0] if index is None else index
    count, panels = len(view.members), []
    for name in names:
        factor, units, quantity = shown(name)
        mean, spread = (part * factor for part in view.mean_and_spread(name, index))
        said = "" if view.observed(name) else " (inferred)"
        drawn, lat, lon = view.drawn(name, index), view.grid.lat, view.grid.lon
        panel = Panel(
            f"{name}, mean of {count} members{said}", lat, lon, mean, units, quantity=quantity, cmap=colours(name)
        )
        if name in (PRESSURE, WIND) and PRESSURE in view.output.variables:
            panel = replace(panel, isobars=view.mean_and_spread(PRESSURE, index)[0] * shown(PRESSURE)[0])
        if name == WIND and view.has_arrows():
            u, v = (view.mean_and_spread(part, index)[0] for part in COMPONENTS)
            panel = replace(panel, wind=(u, v))
        deviation = f"{quantity}, standard deviation"
        panels += [
            replace(panel, drawn=drawn),
            Panel(
                f"{name}, spread of {count} members{said}",
                lat,
                lon,
                spread,
                units,
                quantity=deviation,
                cmap=style.SPREAD,
            ),
        ]
        truth = beside_panel(view, reference, name, index, REFERENCE) if reference is not None else None
        panels += [truth] if truth is not None else []
    return map_picture(panels, len(panels) // len(names) if len(names) > 1 else None, _title(view, index))


def spectrum_variables(view: View) -> tuple[str, ...]:
    """What an output holds, wind by its components."""
    return tuple(name for name in view.output.variables if name != SPEED) or view.output.variables


def spectrum(
    view: View,
    names: Sequence[str] | None = None,
    *,
    source: Beside | None = None,
    reference: Beside | None = None,
    tick: Tick = lambda: None,
) -> Picture:
    """Power by wavelength, averaged over the view's times: each member, and the input and a reference where given."""
    names = names or spectrum_variables(view)
    scale = view.output.filter_scale
    spectra = []
    for name in names:
        factor, units, quantity = shown(name)
        curves = _member_curves(view, name, factor, tick)
        for beside, label, colour in ((source, INPUT, COARSE), (reference, REFERENCE, TRUTH)):
            if beside is not None:
                curves += _beside_curve(view, beside, name, factor, label, colour)
        said = "" if view.observed(name) else " (inferred)"
        below = None if scale is None or not view.observed(name) else 2 * scale
        spectra.append(Spectrum(f"{name}, {quantity}{said}", units, tuple(curves), below))
    first, last = view.time(view.indices[0]), shown_time(view.time(view.indices[-1]))
    span = (
        last
        if len(view.indices) == 1
        else f"{len(view.indices)} times, {shown_time(first).partition(' (')[0]} to {last}"
    )
    return spectrum_picture(spectra, f"{style.printable(origin(view), 60)}, {span}")


def _member_curves(view: View, name: str, factor: float, tick: Tick) -> list[Curve]:
    bins = WavelengthBins(view.grid)
    total = {member: np.zeros(bins.centres.size) for member in view.members}
    for _, member, field in each_field(view, name):
        total[member] += bins.power(field * factor)[0] / len(view.indices)
        tick()
    label = "members" if len(view.members) > 1 else "member"
    width = 1.8 if len(view.members) == 1 else 1.0
    return [Curve(label, bins.centres, power, OURS, width) for power in total.values()]


def _beside_curve(view: View, beside: Beside, name: str, factor: float, label: str, colour: str) -> list[Curve]:
    """Mean spectrum on the beside's own cells within the view; none where it lacks the variable or has few cells there."""
    parts = (
        COMPONENTS if name in (WIND, SPEED) and SPEED not in beside.variables else (SPEED if name == WIND else name,)
    )
    if not set(parts) <= set(beside.variables):
        return []
    total: np.ndarray | None = None
    for index in view.indices:
        cut = [_within(beside.blocks(part, view.time(index)), view.grid) for part in parts]
        grid = cut[0][0]
        if min(grid.shape) < 4:
            return []
        bins = WavelengthBins(grid)
        values = cut[0][1] if len(cut) == 1 else np.hypot(cut[0][1], cut[1][1])
        power = bins.power(values * factor)[0] / len(view.indices)
        total = power if total is None else total + power
    return (
        [Curve(label, bins.centres, total, colour, 2.0, "--" if label == INPUT else "-")] if total is not None else []
    )


def _within(blocks: Blocks, grid: LatLonGrid) -> tuple[LatLonGrid, np.ndarray]:
    """The cells whose centres lie within another grid, in its turn of longitude."""
    lat_edges, lon_edges, values = blocks
    lat, lon = (lat_edges[1:] + lat_edges[:-1]) / 2, (lon_edges[1:] + lon_edges[:-1]) / 2
    west, width = grid.lon_edges[0], grid.lon_edges[-1] - grid.lon_edges[0]
    offset = (lon - west) % 360
    columns = np.argsort(offset)
    columns = columns[offset[columns] <= width + 1e-6]
    rows = np.flatnonzero((lat >= grid.lat_edges[0] - 1e-6) & (lat <= grid.lat_edges[-1] + 1e-6))
    if rows.size < 2 or columns.size < 2:
        return replace(grid, lat=lat[:1], lon=lon[:1], lat_edges=lat_edges[:2], lon_edges=lon_edges[:2]), values[:1, :1]
    half = np.diff(lon_edges)[columns] / 2
    centres = offset[columns] + west
    edges = np.append(centres - half, centres[-1] + half[-1])
    return LatLonGrid(lat[rows], centres, lat_edges[rows[0] : rows[-1] + 2], edges), values[np.ix_(rows, columns)]


def animation(view: View, names: Sequence[str] | None = None) -> Iterator[Picture]:
    """One picture of every time of the view: all its members, colours and arrows that stay comparable."""
    names = names or ((WIND,) if view.shows(WIND) else default_variables(view)[:1])
    scales = animation_scales(view, names)
    for index in view.indices:
        panels = [member_panel(view, name, index, member) for name in names for member in view.members]
        yield map_picture(panels, None, _title(view, index), scales)


def animation_scales(view: View, names: Sequence[str]) -> Scales:
    """Scales of a few times of the first member."""
    few = np.unique(np.linspace(0, len(view.indices) - 1, SAMPLED).round().astype(int))
    return scales_of([member_panel(view, name, view.indices[k], view.members[0]) for k in few for name in names])


def frames_of(pictures: Iterator[Picture], tick: Tick = lambda: None) -> Iterator[np.ndarray]:
    """Pixels, one picture in memory at a time."""
    for picture in pictures:
        yield pixels(picture)
        tick()
