"""What ``zssd downscale`` does after its options are parsed: check the targets, show the plan, write, report."""

import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zssd_cli import defaults
from zssd_cli.api import Plan, Written, plan
from zssd_cli.commands.crew import Crew
from zssd_cli.commands.keeping import (
    Limit,
    check_begun,
    is_whole,
    keeping,
    parse_limit,
    rehearsed,
    stopped_by,
    total_of,
)
from zssd_cli.commands.laying import Needs, layout_lines, needs
from zssd_cli.commands.run_inspect import table
from zssd_cli.commands.shared import (
    Page,
    bar,
    check_picture,
    check_targets,
    command_line,
    named_files,
    remarks_said,
    say,
    waiting,
)
from zssd_cli.files import ZARR
from zssd_cli.grids.latlon import describe_centres
from zssd_cli.outputs import zarr
from zssd_cli.outputs.conventions import mask_name
from zssd_cli.outputs.layout import Layout
from zssd_cli.outputs.netcdf import create_output
from zssd_cli.outputs.parts import Parts
from zssd_cli.posterior import estimate
from zssd_cli.posterior.downscaling import Job, observe
from zssd_cli.posterior.observing import COMPONENTS, standards
from zssd_cli.posterior.resuming import done_steps, hash_of
from zssd_cli.series.inspection import REFUSED, inspect_source
from zssd_cli.series.listing import expand
from zssd_cli.times import format_time
from zssd_cli.timing import duration

BAR = (
    TextColumn("Sampling"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeElapsedColumn(), TextColumn("left"),
    TimeRemainingColumn(),
)  # fmt: skip


@dataclass(frozen=True)
class DownscaleRequest:
    """Where the result of one call goes and what is shown."""

    inputs: tuple[str | Path, ...]
    output: Path
    overwrite: bool
    resume: bool
    time_limit: str | None
    keep_spread: bool
    pack: bool
    dry_run: bool
    plot: Path | None
    quiet: bool
    brief: bool = False
    """One of many outputs of a data set: what is the same for all is not told again."""
    in_folder: bool = False
    """The output's folder is made where it is not there, so that a dry run does not miss it."""
    workers: int | None = None
    scheduler: str | None = None

    @property
    def layout(self) -> Layout:
        """How fields are laid down."""
        return Layout(self.keep_spread, self.pack)


@dataclass(frozen=True)
class Made:
    """What became of an output: ``written``, ``whole`` (it was there already) or ``planned`` (a dry run), its number of batches, and
    what a planned one will take.
    """  # fmt: skip

    status: str
    batches: int
    needs: Needs | None = None


def execute(request: DownscaleRequest, settings: dict[str, Any], started: float | None = None) -> Made:
    """Run one downscaling from open files to the last line on screen.

    Parameters
    ----------
    request
        Inputs, output and how they are treated.
    settings
        Keywords of :func:`zssd_cli.api.plan`.
    started
        From when on the limit of time counts, by the monotonic clock; None: now.

    Returns
    -------
    What became of the output.
    """
    console, began = Page(stderr=True, quiet=request.quiet), time.monotonic()
    started = began if started is None else started
    limit = parse_limit(request.time_limit)
    if request.output.suffix == ZARR:
        zarr.require()
    check_picture(request.plot)
    check_targets(
        {"-o": None if request.dry_run and request.in_folder else request.output, "--plot": request.plot},
        lambda: (*expand(request.inputs), *named_files(settings.get("static"), settings.get("weights"))),
        overwrite=request.overwrite or request.dry_run or request.resume,
    )
    if not request.dry_run:
        check_begun(request.output, resume=request.resume, overwrite=request.overwrite)
    crew = Crew(request.workers, request.scheduler, request.inputs, settings)
    crew.prepare(request.output if request.resume else None)
    with stopped_by(signal.SIGUSR1), ExitStack() as opened:
        with waiting(console, "Opening"):
            planned = opened.enter_context(plan(request.inputs, **settings))
        request.layout.check(planned.job.config.members)
        if not request.brief:
            _announce(console, planned)
            for line in layout_lines(request.layout, planned):
                say(console, line)
        count = total_of(planned.job)
        doubts = _warn(planned.job)
        if request.dry_run:
            return Made("planned", count, _estimate(console, planned, request, doubts))
        planned = replace(planned, inputs=hash_of(expand(request.inputs)))
        if request.resume and is_whole(planned, request.output, request.layout):
            say(console, f"Whole      {request.output} is there already, with these settings")
            return Made("whole", count)
        with keeping(planned, request.output, expand(request.inputs), resume=request.resume, console=console) as (
            planned,
            parts,
        ):
            written = _draw(console, planned, request, parts, limit, started, crew)
            _warn(planned.job, doubts)
            _finish(console, request, planned.job, written, time.monotonic() - began)
    return Made("written", count)


def _draw(
    console: Console,
    planned: Plan,
    request: DownscaleRequest,
    parts: Parts | None,
    limit: float | None,
    started: float,
    crew: Crew,
) -> Written:
    """Draw with a bar, batch by batch into the folder of parts where there is one, and write the output."""
    done = 0 if parts is None else done_steps(planned.job, parts)
    if parts is not None and len(parts):
        say(console, f"Resumed    {len(parts)} of {total_of(planned.job)} batches are finished")
    output, layout = request.output, request.layout
    create = zarr.create_store if output.suffix == ZARR else create_output
    with bar(console, *BAR) as progress, remarks_said(Page(stderr=True)):
        task = progress.add_task("", total=planned.job.steps, completed=done)

        def tick(count: int) -> None:
            progress.advance(task, count)

        if parts is not None:
            within = Limit(limit, started, parts)
            crew.draw(console, planned, parts, tick, within)
            within.before_writing(lambda: rehearsed(planned, parts, layout, create, output.suffix))
        return planned.write(layout.sink(partial(create, output)), command_line(), tick, parts)


def _warn(job: Job, said: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Doubts about the fields that were read so far, but for those that were said; not even --quiet keeps them back."""
    console = Page(stderr=True)
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
    if job.adjustment is not None:
        say(console, f"Debiased   by {job.adjustment.attributes['zssd_debias']}")
    for name, count in _unadjusted(job).items():
        doubt = f"{name}: {count} blocks have input at the first time of which the bias file knows nothing; it is left out there"
        say(Page(stderr=True), f"Doubt      {doubt}", style="bold yellow")
    for line in _partly(job):
        say(console, line)
    for line in _nearly_all_missing(job):
        say(Page(stderr=True), line, style="bold yellow")
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


def _unadjusted(job: Job) -> dict[str, int]:
    """Variable -> blocks of the output with input at the first time of which the adjustment knows nothing."""
    found = {}
    for name, regrid, known in zip(job.source.variables, job.regridders, job.first[0], strict=True):
        if job.adjustment is not None:
            lost = np.isfinite(regrid(job.source.fields(name, 0, 1))[0]) & np.isnan(known) & (job.domain.core > 0)
            found[name] = int(lost.sum())
    return {name: count for name, count in found.items() if count}


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


def _nearly_all_missing(job: Job) -> list[str]:
    """Lines on variables without input in most of the output at the first time; not even --quiet keeps them back."""
    total = int((job.domain.core > 0).sum())
    return [
        f"Doubt      {name}: {count} of {total} blocks have no input at the first time; what is drawn there is not held to it"
        for name, count in job.nearly_missing.items()
    ]


def _estimate(console: Console, planned: Plan, request: DownscaleRequest, said: tuple[str, ...]) -> Needs:
    job = planned.job
    found = inspect_source(planned.source, [str(path) for path in request.inputs])
    if not request.brief:
        console.print(table(found.variables))
    _warn(job, said)
    for problem in found.problems:
        if problem.startswith(REFUSED):
            say(Page(stderr=True), f"Problem    {problem}", style="bold red")
    call, cells = estimate.network_call(job)
    needed = needs(planned, request.layout, call, cells)
    say(console, f"Dry run    {f'{request.output.name}: ' if request.brief else ''}{needed}")
    if not request.brief:
        based = f"{call.count} timed calls of the network on {cells} cells: the fastest, as if idle, and the median"
        say(console, f"           (time from {based})")
    return needed


def _finish(console: Console, request: DownscaleRequest, job: Job, written: Written, seconds: float) -> None:
    if request.plot is not None:
        from zssd_cli.evaluation.gallery import downscaled

        downscaled(request.output, coarse_blocks(job), daily=job.config.subdaily is not None).save(request.plot)
    if not request.brief:
        _tell(console, written, seconds)
    say(console, f"Wrote      {request.output}" + (f" and {request.plot}" if request.plot else ""))


def _tell(console: Console, written: Written, seconds: float) -> None:
    """How far the block means are kept, and what was observed in part."""
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


def coarse_blocks(job: Job) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Block means of the first time in canonical units, for the picture."""
    blocks, names = observe(job, 0, 1)[0], job.source.variables
    result = {}
    for name, values, mean, std in zip(names, blocks, *standards(job.prior, names), strict=True):
        physical = values * float(std) + float(mean)
        result[name] = (job.domain.coarse.lat_edges, job.domain.coarse.lon_edges, physical)
    return result
