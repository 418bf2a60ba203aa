"""What ``zssd downscale`` does after its options are parsed: open everything, run the engine, write, report."""

import shlex
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zssd_cli import __version__
from zssd_cli.climate.balance import WINDS
from zssd_cli.config import DownscaleConfig
from zssd_cli.errors import ConfigError, OutputError
from zssd_cli.files import check_target
from zssd_cli.grids.latlon import describe_centres, parse_region
from zssd_cli.outputs.netcdf import create_output
from zssd_cli.posterior import estimate
from zssd_cli.posterior.downscaling import Job, observe, prepare, run
from zssd_cli.posterior.observing import COMPONENTS, SPEED, observable, scales
from zssd_cli.prior.checkpoint import Prior, load_prior
from zssd_cli.prior.registry import locate
from zssd_cli.series.opening import expand
from zssd_cli.series.reading import Source, open_source
from zssd_cli.static import load_static
from zssd_cli.times import format_time
from zssd_cli.timing import duration, span
from zssd_cli.variables import lookup

POLAR_LIMIT = 70.0
"""Inferred winds beyond had three times the spread they should have, in streaks along meridians (a global field of pressure alone)."""


@dataclass(frozen=True)
class Request:
    """The options of one call that are not settings of the engine."""

    inputs: tuple[str, ...]
    output: Path
    variables: str
    region: str | None
    time: str | None
    weights: str | None
    static: Path | None
    device: str
    offline: bool
    overwrite: bool
    dry_run: bool
    plot: Path | None
    quiet: bool


def execute(request: Request, settings: dict[str, Any]) -> None:
    """Run one downscaling from open files to the last line on screen."""
    console = Console(stderr=True, quiet=request.quiet)
    try:
        config = DownscaleConfig(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        msg = f"--{str(first['loc'][0]).replace('_', '-')}: {reason}, got {first['input']!r}."
        raise ConfigError(msg) from error
    _check_output(request)
    device = pick_device(request.device)
    path, sha256 = locate(request.weights, offline=request.offline)
    prior = load_prior(path, device)
    wanted = wanted_variables(request.variables, prior)
    region = None if request.region is None else parse_region(request.region)
    source = open_observed(request.inputs, prior, time_range(request.time))
    try:
        job = prepare(source, prior, load_static(request.static), config, region)
        estimate.check_memory(job)
        _announce(console, job, wanted, path.stem)
        if request.dry_run:
            _estimate(console, job, wanted)
            return
        attributes = describe(job, path.stem, sha256)
        started = time.monotonic()
        residual = _write(console, request, job, wanted, attributes)
        _finish(console, request, job, residual, time.monotonic() - started)
    finally:
        source.close()


def _check_output(request: Request) -> None:
    """Refuse before any work what cannot be written at its end."""
    check_target(request.output, "-o")
    if request.plot is not None:
        check_target(request.plot, "--plot")
    if request.plot is not None and request.plot.suffix.lower() != ".png":
        msg = f"--plot: expected a name that ends in .png, got {request.plot}."
        raise ConfigError(msg)
    if request.plot is not None and request.plot.resolve() == request.output.resolve():
        msg = f"-o and --plot name the same file, {request.output}; expected two."
        raise ConfigError(msg)
    if request.plot is not None and request.plot.exists() and not request.overwrite and not request.dry_run:
        msg = f"{request.plot} exists. Choose another name with --plot, or pass --overwrite."
        raise OutputError(msg)
    if not request.output.exists():
        return
    if not request.overwrite and not request.dry_run:
        msg = f"{request.output} exists. Choose another name with -o, or pass --overwrite."
        raise OutputError(msg)
    check_target(request.output, "-o", expand(request.inputs))


def pick_device(name: str) -> str:
    """``auto`` is cuda where there is one."""
    if name not in ("auto", "cpu", "cuda"):
        msg = f"--device: expected auto, cpu or cuda, got {name!r}."
        raise ConfigError(msg)
    if name == "cuda" and not torch.cuda.is_available():
        msg = "--device cuda: torch sees no GPU here. Use --device cpu, or install a torch built for CUDA."
        raise ConfigError(msg)
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def wanted_variables(text: str, prior: Prior) -> tuple[str, ...]:
    """Canonical names of a comma-separated list, each known to the prior."""
    names = tuple(dict.fromkeys(lookup(part.strip()).name for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in prior.variables]
    if unknown or not names:
        what = ", ".join(unknown) or "nothing"
        msg = (
            f"--vars: the prior knows {', '.join(prior.variables)}, got {what}. "
            "Leave it out, or pass --weights of a prior that has it."
        )
        raise ConfigError(msg)
    return names


def time_range(text: str | None) -> tuple[str | None, str | None] | None:
    """START/END, either end may be empty; a single date selects that period."""
    if text is None:
        return None
    start, slash, end = text.partition("/")
    if not (start or end):
        msg = f"--time: expected START/END, one of which may be empty, got {text!r}; leave --time out for all times."
        raise ConfigError(msg)
    return (start or None, (end if slash else start) or None)


def open_observed(inputs: tuple[str, ...], prior: Prior, times: tuple[str | None, str | None] | None) -> Source:
    """What the files hold of all that the prior can be guided by; wind speed only where its components are not there."""
    source = open_source(inputs, observable(prior.variables), time_range=times)
    if SPEED not in prior.variables and {SPEED, *COMPONENTS} <= set(source.variables):
        source.close()
        source = open_source(inputs, prior.variables, time_range=times)
        note = f"{SPEED} (sfcWind) is not used because {' and '.join(COMPONENTS)} are there"
        source = replace(source, notes=(*source.notes, note))
    return source


def parse_errors(text: str) -> float | dict[str, float]:
    """``0.02``, or ``msl=0.02,u10=0.1`` by variable under any of its names."""
    try:
        pairs = [part.rpartition("=") for part in text.split(",") if part.strip()]
        errors = {lookup(name).name if name else "": float(value) for name, _, value in pairs}
    except ValueError:
        errors = {}
    if not errors or ("" in errors and len(pairs) > 1) or not all(0 <= error <= 10 for error in errors.values()):
        msg = (
            f"--obs-error: expected a number from 0 to 10 or NAME=NUMBER,... (such as msl=0.02,u10=0.1), got {text!r}."
        )
        raise ConfigError(msg)
    return errors.get("", errors)


def _announce(console: Console, job: Job, wanted: tuple[str, ...], prior: str) -> None:
    source, config, grid = job.source, job.config, job.domain.output
    unused = (
        [name for name in config.obs_error if name not in source.variables]
        if isinstance(config.obs_error, dict)
        else []
    )
    notes = [f"--obs-error of {name} means nothing: it is not in the input" for name in unused]
    polar = [name for name in wanted if name in WINDS and name not in source.variables]
    if polar and job.prior.balance is not None and np.abs(grid.lat).max() > POLAR_LIMIT:
        notes.append(
            f"{' and '.join(polar)} inferred poleward of {POLAR_LIMIT:g} degrees can be far too strong; do not use them there"
        )
    for note in (*source.notes, *notes):
        _say(console, f"Note       {note}", style="yellow")
    first, last = format_time(source.times[0]), format_time(source.times[-1])
    span = f"1 time, {first}" if len(source.times) == 1 else f"{len(source.times)} times, {first} to {last}"
    _say(console, f"Input      {', '.join(source.variables)}; {span} ({source.calendar} calendar)")
    inferred = [name for name in wanted if name not in source.variables]
    if inferred:
        given = ", ".join(source.variables)
        _say(console, f"Inferred   {', '.join(inferred)}: not in the input, drawn from the prior given {given}")
    draws = "1 member" if config.members == 1 else f"{config.members} members"
    _say(console, f"Output     {', '.join(wanted)}; {draws}, {' x '.join(map(str, grid.shape))} cells of 0.25 degrees,")
    _say(console, f"           {describe_centres(grid)}")
    _say(
        console,
        f"Method     prior {prior}; guidance {config.guidance}, block means of {config.filter_scale:g} degrees;",
    )
    line = f"           {config.used_sampler} with {config.used_steps} steps, seed {config.seed}"
    _say(console, line + (f", time noise {config.time_noise}" if config.time_noise != "independent" else ""))


def _say(console: Console, line: str, style: str | None = None) -> None:
    console.print(line, style=style, highlight=False, markup=False, soft_wrap=True)


def _estimate(console: Console, job: Job, wanted: tuple[str, ...]) -> None:
    call, cells = estimate.network_call(job)
    taken = span(*estimate.seconds_range(job, call, cells))
    memory = estimate.memory(job) / 1e9
    size = job.samples * int(np.prod(job.domain.output.shape)) * len(wanted) * 2.7e-9
    disk = f"{size:.1f} GB" if size >= 0.1 else f"{size * 1000:.1f} MB"
    work = f"{job.steps} steps, {job.network_calls} network calls"
    _say(console, f"Dry run    {work}, {taken}, {memory:.1f} GB of memory, {disk} on disk; nothing written")
    based = f"{call.count} timed calls of the network on {cells} cells: the fastest, as if idle, and the median"
    _say(console, f"           (time from {based})")


def describe(job: Job, prior: str, sha256: str) -> dict[str, Any]:
    """Global attributes of the output: what it is, what made it, from what, with which settings."""
    given, config = job.source.attributes, job.config
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    command = shlex.join(["zssd", *sys.argv[1:]]).encode(errors="replace").decode()
    attributes = {
        "title": f"{given.get('source_id', 'Coarse fields')} downscaled to 0.25 degree by zssd",
        "source": f"zssd {__version__}, prior {prior} (sha256 {sha256})",
        "history": "\n".join(filter(None, [f"{stamp} {command}", given.get("history")])),
        "references": "Zero-Shot Statistical Downscaling via Diffusion Posterior Sampling, arXiv 2601.21760",
        "zssd_version": __version__,
        "zssd_prior": prior,
        "zssd_prior_sha256": sha256,
        "zssd_static_sha256": job.prior.header.static_sha256,
        **{f"zssd_{key}": value for key, value in config.model_dump().items()},
        "zssd_obs_error": shown_errors(config.obs_error),
        "zssd_seed": str(config.seed),
        "zssd_any_frequency": str(config.any_frequency),
        "zssd_sampler": config.used_sampler,
        "zssd_steps": config.used_steps,
        "zssd_spacing": config.used_spacing,
        "zssd_gaussian_above": job.gaussian_above,
        "zssd_regridder": job.regridder,
        "zssd_precision": str(job.precision).removeprefix("torch."),
        "zssd_torch": torch.__version__,
        "zssd_threads": torch.get_num_threads(),
    }
    return attributes | {f"zssd_{key}": value for key, value in given.items() if key != "history" and value}


def shown_errors(errors: float | dict[str, float]) -> float | str:
    """Observation errors as an attribute."""
    return ",".join(f"{name}={value:g}" for name, value in errors.items()) if isinstance(errors, dict) else errors


def observed_how(name: str, job: Job) -> str:
    """Value of an output variable's attribute ``zssd_observed``."""
    if name in job.source.variables:
        return "yes"
    return f"as wind speed ({SPEED})" if SPEED in job.source.variables and name in COMPONENTS else "no"


def _write(
    console: Console, request: Request, job: Job, wanted: tuple[str, ...], attributes: dict[str, Any]
) -> dict[str, float]:
    """Sample and write; returns the largest coarse residual per observed variable."""
    index = [job.prior.variables.index(name) for name in wanted]
    extra = {}
    for name in wanted:
        extra[name] = {"zssd_observed": observed_how(name, job)}
        if job.source.cell_methods.get(name):
            extra[name]["zssd_source_cell_methods"] = job.source.cell_methods[name]
    worst = np.zeros(len(job.source.variables))
    times = job.source.times
    with (
        _progress(console) as progress,
        create_output(request.output, job.domain.output, times, job.config.members, extra, attributes) as out,
    ):
        task = progress.add_task("", total=job.steps)
        for result in run(job, lambda count: progress.advance(task, count)):
            member = slice(result.first_member, result.first_member + len(result.values))
            out.write(slice(result.time, result.time + 1), member, result.values[None, :, index])
            worst = np.maximum(worst, result.residual)
        residual = dict(zip(job.source.variables, (float(v) for v in worst), strict=True))
        for name, value in residual.items():
            out.attribute(f"zssd_coarse_residual_{name}", value)
    return residual


def _progress(console: Console) -> Progress:
    """A bar on a terminal, nothing in a log file."""
    columns = (
        TextColumn("Sampling"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _finish(console: Console, request: Request, job: Job, residual: dict[str, float], seconds: float) -> None:
    if request.plot is not None:
        from zssd_cli.evaluation.plots import plot_output

        plot_output(request.output, coarse_blocks(job.source, job), request.plot)
    fit = ", ".join(f"{name} {value:.4f}" for name, value in residual.items())
    _say(console, f"Done       in {duration(seconds)}; the block means differ from the input's by at most")
    _say(console, f"           {fit} standard deviations (root mean square of a field)")
    _say(console, f"Wrote      {request.output}" + (f" and {request.plot}" if request.plot else ""))


def coarse_blocks(source: Source, job: Job) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Block means of the first time in canonical units, for the picture."""
    blocks = observe(job, 0, 1)[0]
    result = {}
    for name, values, mean, std in zip(source.variables, blocks, *scales(job.prior, source.variables), strict=True):
        physical = values * float(std) + float(mean)
        result[name] = (job.domain.coarse.lat_edges, job.domain.coarse.lon_edges, physical)
    return result
