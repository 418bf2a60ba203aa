"""What ``zssd inspect`` does after its options are parsed: open, look, show."""

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from zssd_cli.commands.shared import Page, bar, check_picture, check_targets, listed, say, waiting
from zssd_cli.errors import InputError, ZssdError
from zssd_cli.files import atomic_path
from zssd_cli.grids.cells import Cells
from zssd_cli.grids.extent import SCALES, cell_width, scale_for
from zssd_cli.grids.latlon import block_grid
from zssd_cli.grids.regridders import make_regrid
from zssd_cli.series.inspection import GUIDING, REFUSED, Inspection, VariableFacts, headers, inspect_source, steps_of
from zssd_cli.series.listing import expand
from zssd_cli.series.reading import Source, open_source
from zssd_cli.times import format_time
from zssd_cli.variables import VARIABLES

STDOUT = Path("-")


def execute(inputs: tuple[str, ...], json_file: Path | None, plot: Path | None, *, thorough: bool, strict: bool) -> int:
    """Inspect files and show the page; the exit code."""
    check_picture(plot)
    files = expand(listed(inputs))
    check_targets({"--json": json_file if json_file != STDOUT else None, "--plot": plot}, lambda: files)
    page = Page(stderr=json_file == STDOUT)
    picture = False
    try:
        with waiting(Page(stderr=True), "Opening"):
            opened = _opened(files)
        with closing(opened) as source:
            found = _look(source, inputs, thorough=thorough)
            if plot is not None:
                picture, found = _drawn(source, plot, found)
    except ZssdError as error:
        found = Inspection(tuple(inputs), problems=(str(error),), header=headers(files))
    show(page, found)
    if picture:
        say(page, f"Picture    {plot}")
    if json_file is not None:
        _write(json_file, found)
    means = any(option in found.command for option in ("--any-frequency", "--subdaily"))
    refused = not found.command or means or any(p.startswith(REFUSED) for p in found.problems)
    return 1 if refused or (strict and (found.problems or found.doubts)) else 0


def _opened(inputs: Sequence[Path]) -> Source:
    """All that zssd knows; where that does not go together, what guides the default prior, as zssd downscale opens it."""
    try:
        return open_source(inputs, list(VARIABLES))
    except InputError as error:
        try:
            source = open_source(inputs, GUIDING)
        except InputError:
            raise error from None
        return replace(source, notes=(*source.notes, f"other variables are left out: {error}"))


def _drawn(source: Source, plot: Path, found: Inspection) -> tuple[bool, Inspection]:
    """Whether the picture could be drawn, and the page with why not."""
    try:
        draw(source, plot)
    except InputError as error:
        return False, replace(found, problems=(*found.problems, f"no picture: {error}"))
    return True, found


def _look(source: Source, inputs: tuple[str, ...], *, thorough: bool) -> Inspection:
    columns = (
        TextColumn("Reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("fields, left"),
        TimeRemainingColumn(),
    )
    with bar(Page(stderr=True), *columns) as progress:
        task = progress.add_task("", total=steps_of(source, thorough=thorough))
        return inspect_source(source, inputs, thorough=thorough, tick=lambda: progress.advance(task))


def _write(target: Path, found: Inspection) -> None:
    text = json.dumps(found.as_dict(), indent=1, allow_nan=False) + "\n"
    if target == STDOUT:
        sys.stdout.write(text)
        return
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def show(console: Console, found: Inspection) -> None:
    """The page."""
    if found.origin:
        named = {
            key: found.origin[key] for key in ("source_id", "experiment_id", "variant_label") if key in found.origin
        }
        say(console, f"Origin     {', '.join(named.values()) or found.origin.get('title', 'not told')}")
    if found.variables:
        last = f" to {found.last}" if found.times > 1 else ""
        step = f", every {found.step}" if found.step else ""
        say(console, f"Times      {found.times}, {found.first}{last}{step} ({found.calendar} calendar)")
        if found.gaps:
            say(console, f"Gaps       {found.gaps}", style="yellow")
        console.print(table(found.variables))
        for cells in dict.fromkeys(one.cells for one in found.variables):
            names = ", ".join(one.name for one in found.variables if one.cells == cells)
            say(console, f"Grid       {names}: {cells}")
        for one in found.variables:
            why = f"; averaging from {one.interval_evidence}" if one.interval_evidence else ""
            say(console, f"Evidence   {one.name}: {one.evidence}{why}")
    for path, variables in found.header.items():
        say(console, f"Holds      {path}: {'; '.join(variables) or 'cannot be opened'}")
    for note in found.notes:
        say(console, f"Note       {note}", style="yellow")
    for problem in found.problems:
        say(console, f"Problem    {problem}", style="bold red")
    for doubt in found.doubts:
        say(console, f"Doubt      {doubt}", style="bold yellow")
    if found.command:
        say(console, f"Downscale  {found.command}")


def table(variables: tuple[VariableFacts, ...]) -> Table:
    """A row for every variable."""
    rows = Table("variable", "array", "units", "fields", box=box.SIMPLE, pad_edge=False)
    for name in ("min", "mean", "max", "missing"):
        rows.add_column(name, justify="right")
    for one in variables:
        units = VARIABLES[one.name].units + ("" if one.conversion == "as it is" else f" (from {one.units})")
        numbers = (
            "-" if value is None else f"{value:.5g}" if abs(value) < 1000 else f"{value:.0f}"
            for value in (one.minimum, one.mean, one.maximum)
        )
        rows.add_row(
            one.name, one.array, units, one.interval, *numbers, f"{one.missing:.2%}" if one.missing else "none"
        )
    return rows


def draw(source: Source, target: Path) -> None:
    """The first time of every variable."""
    from zssd_cli.pictures.maps import Panel, quicklook

    panels = []
    for name in source.variables:
        variable = VARIABLES[name]
        lat, lon, values = _on_rows(source.cells[name], source.fields(name, 0, 1)[0])
        factor, units = variable.shown or (1.0, variable.units)
        panels.append(
            Panel(f"{name}, {variable.long_name.lower()}", lat, lon, values * factor, units, cmap=variable.colours)
        )
    quicklook(panels, target, title=f"Input at {format_time(source.times[0])}")


def _on_rows(cells: Cells, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values for a map: points as their means over blocks of about their size."""
    if cells.grid is not None:
        return cells.grid.lat, cells.grid.lon, values
    blocks = block_grid(scale_for(cell_width(cells)) or SCALES[-1])
    return blocks.lat, blocks.lon, make_regrid(cells, blocks)[0](values[None])[0]
