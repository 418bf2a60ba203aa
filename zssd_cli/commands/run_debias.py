"""What ``zssd debias`` does after its options are parsed: open, check, read with a bar, write, report."""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from zssd_cli.api import time_range
from zssd_cli.commands.shared import bar, check_targets, command_line, say
from zssd_cli.debias import checks, fitting, mapping
from zssd_cli.debias.calibration import load
from zssd_cli.debias.gathering import scratch_bytes
from zssd_cli.debias.seasons import Seasons
from zssd_cli.debias.summary import biases
from zssd_cli.grids.latlon import describe_extent, parse_region
from zssd_cli.series.listing import expand
from zssd_cli.series.reading import Source, open_source
from zssd_cli.variables import VARIABLES, lookup

BAR = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


@dataclass(frozen=True)
class FitRequest:
    """One call of ``zssd debias fit``."""

    series: dict[str, tuple[str | Path, ...]]
    output: Path
    variables: str
    region: str | None
    time: str | None
    window: str
    years: float
    filter_scale: float
    overwrite: bool
    quiet: bool


def fit(request: FitRequest) -> None:
    """Fit and write a file."""
    console = Console(stderr=True, quiet=request.quiet)
    mapping.require()
    check_targets(
        {"-o": request.output},
        lambda: [path for files in request.series.values() for path in expand(files)],
        overwrite=request.overwrite,
    )
    seasons, region = Seasons.parse(request.window), parse_region(request.region) if request.region else None
    names = tuple(dict.fromkeys(lookup(name.strip()).name for name in request.variables.split(",")))
    with ExitStack() as stack:
        series: dict[str, Source] = {}
        for name, files in request.series.items():
            years = time_range(request.time) if name != "target" else None
            series[name] = stack.enter_context(closing(open_source(files, names, time_range=years)))
        notes = [*checks.check(series), *checks.same_seasons(series, seasons)]
        hours, note = checks.same_hours(series["reference"], series["historical"])
        grid = checks.blocks(series, request.filter_scale, region)
        asked = fitting.Request(
            series, hours, names, grid, request.filter_scale, seasons, request.years, command_line()
        )  # fmt: skip
        _announce(console, asked, [*notes, *([note] if note else [])])
        _run(console, asked, request.output)
        for one in series.values():
            for doubt in one.doubts:
                say(Console(stderr=True), f"Doubt      {doubt}", style="bold yellow")
    say(console, f"Wrote      {request.output} ({request.output.stat().st_size / 1e6:.1f} MB)")
    if not request.quiet:
        show(request.output, console)


def _announce(console: Console, request: fitting.Request, notes: list[str]) -> None:
    for note in notes:
        say(console, f"Note       {note}", style="yellow")
    for name, one in request.series.items():
        whose = " ".join(
            one.attributes[key] for key in ("source_id", "experiment_id", "variant_label") if key in one.attributes
        )
        said = f"{request.times(name)} times, {checks.period(one.times)} ({one.calendar} calendar) {whose}".rstrip()
        say(console, f"{name.capitalize():10} {said}")
    shape = " x ".join(map(str, request.grid.shape))
    say(
        console,
        f"Blocks     {shape} of {request.filter_scale:g} degrees, {describe_extent(request.grid)}; by {request.seasons}",
    )
    size = sum(scratch_bytes(request.times(name), len(request.variables), request.grid) for name in request.series)
    say(console, f"Scratch    {size / 1e9:.2f} GB beside the output until the end")


def _run(console: Console, request: fitting.Request, output: Path) -> None:
    with bar(console, *BAR) as progress:
        tasks = {name: progress.add_task(f"Reading {name}", total=request.times(name)) for name in request.series}
        tasks["fit"] = progress.add_task("Quantiles", total=len(request.variables) * request.grid.shape[0])
        fitting.fit(request, output, lambda name, count: progress.advance(tasks[name], count))


def show(path: Path, console: Console | None = None) -> None:
    """Say what a file holds."""
    console, found = console or Console(), load(path)
    for name, facts in found.sources.items():
        whose = " ".join(facts[key] for key in ("source_id", "experiment_id", "variant_label") if key in facts)
        say(
            console,
            f"{name.capitalize():10} {facts['times']} times of {facts['period']} ({facts['calendar']}, {facts['fields']}) {whose}".rstrip(),
        )
    say(
        console,
        f"Blocks     {' x '.join(map(str, found.grid.shape))} of {found.filter_scale:g} degrees, {describe_extent(found.grid)}",
    )
    table = Table(
        "variable",
        "units",
        "blocks",
        "model - reference",
        "rms of blocks",
        "sd model / reference",
        "change of the model",
    )
    for name, row in biases(found).items():
        change = "-" if row.change is None else f"{row.change:+.3g}"
        blocks = f"{row.blocks} of {found.grid.lat.size * found.grid.lon.size}"
        table.add_row(
            name, VARIABLES[name].units, blocks, f"{row.mean:+.3g}", f"{row.rms:.3g}", f"{row.spread:.3f}", change
        )
    console.print(table)
