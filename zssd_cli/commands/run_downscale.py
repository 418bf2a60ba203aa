"""What ``zssd downscale`` does after its options are parsed: check the targets, show the plan, write, report."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zssd_cli import defaults
from zssd_cli.api import Plan, Written, plan
from zssd_cli.commands.keeping import Limit, check_begun, is_whole, keeping, parse_limit
from zssd_cli.commands.run_inspect import table
from zssd_cli.commands.shared import bar, check_picture, check_targets, command_line, say
from zssd_cli.files import ZARR
from zssd_cli.grids.latlon import describe_centres
from zssd_cli.outputs import zarr
from zssd_cli.outputs.conventions import mask_name
from zssd_cli.outputs.netcdf import create_output
from zssd_cli.outputs.parts import Parts
from zssd_cli.posterior import estimate
from zssd_cli.posterior.downscaling import Job, batches, observe
from zssd_cli.posterior.observing import COMPONENTS, standards
from zssd_cli.posterior.resuming import done_steps
from zssd_cli.series.inspection import REFUSED, inspect_source
from zssd_cli.series.opening import expand
from zssd_cli.times import format_time
from zssd_cli.timing import duration, span

BAR = (
    TextColumn("Sampling"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeElapsedColumn(), TextColumn("left"),
    TimeRemainingColumn(),
)  # fmt: skip


@dataclass(frozen=True)
class DownscaleRequest:
    """Where the result of one call goes and what is shown."""

    inputs: tuple[str, ...]
    output: Path
    overwrite: bool
    resume: bool
    time_limit: str | None
    dry_run: bool
    plot: Path | None
    quiet: bool


def execute(request: DownscaleRequest, settings: dict[str, Any]) -> None:
    """Run one downscaling from open files to the last line on screen; ``settings`` are keywords of :func:`zssd_cli.api.plan`."""
    console, started = Console(stderr=True, quiet=request.quiet), time.monotonic()
    limit = parse_limit(request.time_limit)
    if request.output.suffix == ZARR:
        zarr.require()
    check_picture(request.plot)
    check_targets(
        {"-o": request.output, "--plot": request.plot},
        lambda: expand(request.inputs),
        overwrite=request.overwrite or request.dry_run or request.resume,
    )
    if not request.dry_run:
        check_begun(request.output, resume=request.resume, overwrite=request.overwrite)
    with plan(request.inputs, **settings) as planned:
        _announce(console, planned)
        doubts = _warn(planned.job)
        if request.dry_run:
            _estimate(console, planned, request.inputs, doubts)
            return
        if request.resume and is_whole(planned, request.output):
            say(console, f"Whole      {request.output} is there already, with these settings")
            return
        with keeping(planned, request.output, expand(request.inputs), resume=request.resume) as (planned, parts):
            written = _draw(console, planned, request.output, parts, limit, started)
            _warn(planned.job, doubts)
            _finish(console, request, planned.job, written, time.monotonic() - started)


def _draw(
    console: Console, planned: Plan, output: Path, parts: Parts | None, limit: float | None, started: float
) -> Written:
    """Draw with a bar, batch by batch into the folder of parts where there is one, and write the output."""
    done = 0 if parts is None else done_steps(planned.job, parts)
    if parts is not None and len(parts):
        total = len(list(batches(planned.job)))
        say(console, f"Resumed    {len(parts)} of {total} batches are finished")
    create = zarr.create_store if output.suffix == ZARR else create_output
    with bar(console, *BAR) as progress:
        task = progress.add_task("", total=planned.job.steps, completed=done)

        def tick(count: int) -> None:
            progress.advance(task, count)

        if parts is not None:
            planned.draw(parts, tick, Limit(limit, started, parts))
        return planned.write(partial(create, output), command_line(), tick, parts)


def _warn(job: Job, said: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Doubts about the fields that were read so far, but for those that were said; not even --quiet keeps them back."""
    console = Console(stderr=True)
    for doubt in job.source.doubts:
        if doubt not in said:
            say(console, f"Doubt      {doubt}", style="bold yellow")
    return job.source.doubts


def _announce(console: Console, planned: Plan) -> None:
    job, wanted = planned.job, planned.variables
    source, config, grid = job.source, job.config, job.domain.output
    unused = (
        [name for name in config.obs_error if name not in source.variables]
        if isinstance(config.obs_error, dict)
        else []
    )
    notes = [f"--obs-error of {name} means nothing: it is not in the input" for name in unused]
    for note in (*source.notes, *notes):
        say(console, f"Note       {note}", style="yellow")
    first, last = format_time(source.times[0]), format_time(source.times[-1])
    span = f"1 time, {first}" if len(source.times) == 1 else f"{len(source.times)} times, {first} to {last}"
    say(console, f"Input      {', '.join(source.variables)}; {span} ({source.calendar} calendar)")
    for line in _partly(job):
        say(console, line)
    inferred = [name for name in wanted if name not in source.variables and name in job.prior.variables]
    if inferred:
        given = ", ".join(source.variables)
        say(console, f"Inferred   {', '.join(inferred)}: not in the input, drawn from the prior given {given}")
    if derived := [name for name in wanted if name not in job.prior.variables]:
        say(console, f"Derived    {', '.join(derived)}: of each member's {' and '.join(COMPONENTS)}")
    draws = "1 member" if config.members == 1 else f"{config.members} members"
    say(console, f"Output     {', '.join(wanted)}; {draws}, {' x '.join(map(str, grid.shape))} cells of 0.25 degrees,")
    say(console, f"           {describe_centres(grid)}")
    say(
        console,
        f"Method     prior {planned.prior}; guidance {config.guidance}, block means of {config.filter_scale:g} degrees;",
    )
    line = f"           {job.method.sampler_of(config)} with {job.method.steps_of(config)} steps, seed {config.seed}"
    say(console, line + (f", time noise {config.time_noise}" if config.time_noise != defaults.TIME_NOISE else ""))


def _partly(job: Job) -> list[str]:
    """Lines on the variables without a value in blocks of the output where others have one, at the first time."""
    missing, inside = np.isnan(job.first[0]), job.domain.core > 0
    counted = inside & ~missing.all(0)
    names: dict[int, list[str]] = {}
    for name, holes in zip(job.source.variables, missing, strict=True):
        names.setdefault(int((holes & counted).sum()), []).append(name)
    nowhere = int((inside & missing.all(0)).sum())
    lines = [
        f"Missing    {nowhere} of {int(inside.sum())} blocks are covered by no variable at the first time; missing in the output"
    ]
    return (lines if nowhere else []) + [
        f"Partly     {', '.join(several)}: {count} of {int(counted.sum())} blocks are not covered by values at the first time; drawn there"
        for count, several in names.items()
        if count
    ]


def _estimate(console: Console, planned: Plan, inputs: tuple[str, ...], said: tuple[str, ...]) -> None:
    job, wanted = planned.job, planned.variables
    found = inspect_source(planned.source, inputs)
    console.print(table(found.variables))
    _warn(job, said)
    for problem in found.problems:
        if problem.startswith(REFUSED):
            say(Console(stderr=True), f"Problem    {problem}", style="bold red")
    call, cells = estimate.network_call(job)
    taken = span(*estimate.seconds_range(job, call, cells))
    memory = estimate.memory(job) / 1e9
    values = job.samples * int(np.prod(job.domain.output.shape)) * len(wanted)
    disk = _gigabytes(values * 2.7e-9)
    if len(list(batches(job))) > 1:
        disk += f" on disk and {_gigabytes(values * 4e-9)} more until the end"
    else:
        disk += " on disk"
    say(console, f"Dry run    {job.steps} network calls, {taken}, {memory:.1f} GB of memory, {disk}; nothing written")
    based = f"{call.count} timed calls of the network on {cells} cells: the fastest, as if idle, and the median"
    say(console, f"           (time from {based})")


def _gigabytes(size: float) -> str:
    return f"{size:.1f} GB" if size >= 0.1 else f"{size * 1000:.1f} MB"


def _finish(console: Console, request: DownscaleRequest, job: Job, written: Written, seconds: float) -> None:
    if request.plot is not None:
        from zssd_cli.evaluation.plots import plot_output

        plot_output(request.output, coarse_blocks(job), request.plot)
    fit = ", ".join(f"{name} {value:.4f}" for name, value in written.residual.items())
    say(console, f"Done       in {duration(seconds)}; the block means differ from the input's by at most")
    say(console, f"           {fit} standard deviations (root mean square of a field)")
    for share in dict.fromkeys(written.observed.values()):
        alike = [name for name, other in written.observed.items() if other == share]
        masks = ", ".join(map(mask_name, alike))
        say(
            console,
            f"Partly     {', '.join(alike)}: observed in {share:.1%} of area and times; drawn where these are 0:",
        )
        say(console, f"           {masks}")
    say(console, f"Wrote      {request.output}" + (f" and {request.plot}" if request.plot else ""))


def coarse_blocks(job: Job) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Block means of the first time in canonical units, for the picture."""
    blocks, names = observe(job, 0, 1)[0], job.source.variables
    result = {}
    for name, values, mean, std in zip(names, blocks, *standards(job.prior, names), strict=True):
        physical = values * float(std) + float(mean)
        result[name] = (job.domain.coarse.lat_edges, job.domain.coarse.lon_edges, physical)
    return result
