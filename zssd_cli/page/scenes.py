"""Maps of an output at some times, to be flipped and compared on a page: blocks, members, mean, spread, reference, error."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from zssd_cli.evaluation.alignment import covered_blocks, open_output
from zssd_cli.evaluation.gallery import beside_panel, member_panel
from zssd_cli.evaluation.results import OURS, Evaluation
from zssd_cli.evaluation.views import Read, View, colours, default_variables, on_cells, open_view, shown, shown_time
from zssd_cli.grids.regrid import WHOLE, separable
from zssd_cli.outputs.layout import KEPT
from zssd_cli.pictures import style
from zssd_cli.pictures.maps import Panel, map_picture, scales_of
from zssd_cli.series.reading import Input, open_source

MOST_TIMES, MOST_MEMBERS = 3, 3
LARGEST = 5_500_000
"""Bytes of all pictures of a page; times beyond are left out."""
MAPPED = {"bias": "RdBu_r", "mae": style.SPREAD, "crps": style.SPREAD, "spread": style.SPREAD}
"""Quantities of an evaluation's maps that are drawn, and their colours."""


@dataclass(frozen=True)
class Scene:
    """One picture: which variable, when, what of it."""

    variable: str
    time: str
    layer: str
    png: bytes
    alt: str


def scenes(output: str | Path, reference: Input | None, tick: Callable[[], None] = lambda: None) -> list[Scene]:
    """Pictures of the first, middle and last time that output and reference share.

    Parameters
    ----------
    output
        What ``zssd downscale`` wrote.
    reference
        The truth; None, or one that lacks a time, leaves out reference and error.
    tick
        Called after each time.
    """
    made: list[Scene] = []
    with closing(open_output(output)) as opened:
        view = open_view(opened)
        if reference is None:
            return _some(view, None, made, tick)
        with closing(open_source(reference, [name for name in opened.variables if name != "si10"])) as truth:
            return _some(view, Read(truth, "the reference"), made, tick)


def _some(view: View, truth: Read | None, made: list[Scene], tick: Callable[[], None]) -> list[Scene]:
    indices = list(view.indices)
    if truth is not None:
        shared = set(truth.series.times)
        indices = [k for k in indices if view.time(k) in shared]
    for index in dict.fromkeys(
        indices[k] for k in np.linspace(0, len(indices) - 1, min(len(indices), MOST_TIMES)).astype(int)
    ):
        fresh = [scene for name in default_variables(view) for scene in _layers(view, truth, name, index)]
        if made and sum(len(scene.png) for scene in (*made, *fresh)) > LARGEST:
            break
        made += fresh
        tick()
    return made


def _layers(view: View, truth: Read | None, name: str, index: int) -> Iterator[Scene]:
    """Of one variable at one time, in one scale of colours."""
    factor, units, quantity = shown(name)
    members = [replace(member_panel(view, name, index, m), title=f"member {m}") for m in view.members[:MOST_MEMBERS]]
    if KEPT in view.output.attributes:
        members = [replace(members[0], title="mean of the members")]
    panels = [*_blocks(view, members[0], name), *members]
    plain = Panel("", view.grid.lat, view.grid.lon, members[0].values, units, quantity=quantity, cmap=colours(name))
    mean = members[0].values
    if len(view.members) > 1:
        mean, spread = (part * factor for part in view.mean_and_spread(name, index))
        panels.append(replace(plain, title=f"mean of {len(view.members)}", values=mean))
        panels.append(
            replace(plain, title="spread", values=spread, quantity=f"{quantity}, standard deviation", cmap=style.SPREAD)
        )
    right = beside_panel(view, truth, name, index, "reference") if truth is not None else None
    if right is not None:
        error = f"{quantity}, mean less reference"
        panels.append(replace(right, title="reference"))
        panels.append(
            replace(plain, title="error of the mean", values=mean - right.values, quantity=error, cmap="RdBu_r")
        )
    scales, when = scales_of(panels), shown_time(view.time(index))
    for panel in panels:
        picture = map_picture([replace(panel, title=f"{name}, {panel.title}")], 1, when, scales)
        yield Scene(name, when, panel.title, palette(picture.png), picture.alt)


def _blocks(view: View, panel: Panel, name: str) -> list[Panel]:
    """Block means of the first member, which are the input's where the variable was observed and not drawn from daily means."""
    scale = view.output.filter_scale
    grid = None if scale is None or not view.observed(name) else covered_blocks(view.grid, scale)
    if grid is None:
        return []
    means = separable(view.grid, grid, WHOLE)(panel.values)
    values = on_cells((grid.lat_edges, grid.lon_edges, means), view.grid)
    return [replace(panel, title="block means of member 0", values=values, isobars=None, wind=None, drawn=None)]


def error_maps(evaluation: Evaluation) -> list[Scene]:
    """Where the output errs over all times, a picture by variable."""
    made = []
    for maps in evaluation.maps:
        fields = maps.fields.get(OURS, {})
        known = {k: f for k, f in fields.items() if k in MAPPED and min(f.shape) > 1 and np.isfinite(f).any()}
        panels = [
            Panel(f"{maps.variable}, {key}", maps.lat, maps.lon, field, maps.units, quantity=key, cmap=MAPPED[key])
            for key, field in known.items()
        ]
        if panels:
            picture = map_picture(panels, len(panels))
            made.append(Scene(maps.variable, "all times", "errors", picture.png, picture.alt))
    return made


def palette(png: bytes) -> bytes:
    """The same picture in 256 colours, a third of the bytes."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True
    )
    return buffer.getvalue()


def sequence(made: Sequence[Scene], what: str) -> list[str]:
    """Distinct variables, times or layers in their order."""
    return list(dict.fromkeys(getattr(scene, what) for scene in made))
