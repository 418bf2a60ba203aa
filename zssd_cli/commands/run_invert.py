"""What ``zssd invert`` does after its options are parsed: check everything, invert, write, report."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from torch import Tensor

from zssd_cli import __version__
from zssd_cli.commands.shared import Page, bar, check_picture, check_targets, command_line, named_files, say
from zssd_cli.errors import ConfigError
from zssd_cli.inversion.aquifer import Aquifer, Extended, Uncertain
from zssd_cli.inversion.checkpoint import load_latent_prior
from zssd_cli.inversion.domain import DomainConfig, read_domain
from zssd_cli.inversion.ensembles import MOST_INFLATIONS
from zssd_cli.inversion.estimate import estimate
from zssd_cli.inversion.forecast import Forecast, forecast, forecast_problem
from zssd_cli.inversion.latent_prior import LatentPrior
from zssd_cli.inversion.outputs import Result, inversion_dataset, write_inversion
from zssd_cli.inversion.posterior import Inversion, invert
from zssd_cli.inversion.problem import FlowProblem
from zssd_cli.inversion.sensors import Measured, read_measured
from zssd_cli.inversion.settings import InversionSettings
from zssd_cli.prior.registry import locate
from zssd_cli.times import now_utc
from zssd_cli.timing import span


@dataclass(frozen=True)
class InvertRequest:
    """The options of one call."""

    observations: Path
    domain: Path
    output: Path
    prior: str
    members: int
    restarts: int
    steps: int
    seed: int
    plot: Path | None
    overwrite: bool
    dry_run: bool
    quiet: bool
    offline: bool


@dataclass(frozen=True, eq=False)
class Task:
    """All that an inversion needs, checked; ``aquifer`` takes what ``unknowns`` gives to what was measured."""

    settings: InversionSettings
    domain: DomainConfig
    problem: FlowProblem
    measured: Measured
    prior: LatentPrior
    unknowns: Extended
    aquifer: Aquifer


def execute(request: InvertRequest) -> None:
    """Run one inversion from open files to the last line on screen."""
    console = Page(stderr=True, quiet=request.quiet)
    check_picture(request.plot)
    check_targets(
        {"-o": request.output, "--plot": request.plot},
        lambda: (request.observations, request.domain, *named_files(request.prior)),
        overwrite=request.overwrite or request.dry_run,
    )
    domain = read_domain(request.domain)
    problem = domain.problem()
    path, sha256 = locate(request.prior, offline=request.offline, kind="conductivity")
    task = _prepare(request, problem, domain, path)
    _announce(console, request, task, path.stem)
    if request.dry_run:
        _estimate(console, task)
        return
    started = time.monotonic()
    found = _invert(console, task)
    result = physical(task, found)
    attributes = describe(request, task, found, result, path.stem, sha256)
    write_inversion(request.output, inversion_dataset(problem, task.measured, result, attributes))
    if request.plot is not None:
        from zssd_cli.inversion.plots import plot_inversion

        plot_inversion(problem, task.measured.sensors, result, request.plot)
    _finish(console, request, task, result, found, time.monotonic() - started)


def _prepare(request: InvertRequest, problem: FlowProblem, domain: DomainConfig, path: Path) -> Task:
    prior, header = load_latent_prior(path)
    if problem.shape != (prior.side, prior.side):
        msg = (
            f"Prior {path.stem} knows {prior.side} x {prior.side} cells, the domain has {problem.nx} x {problem.ny}."
            f" Set cells: [{prior.side}, {prior.side}] in the domain file."
        )
        raise ConfigError(msg)
    settings = InversionSettings(
        starts=request.restarts, lbfgs_steps=request.steps, members=request.members, seed=request.seed, discrepancy=1.0,
        ensemble="smoother" if prior.binary else "rml",
    )  # fmt: skip
    log_k = domain.log_k(header.fields.kind)
    measured = read_measured(request.observations, problem, log_k)
    uncertain = Uncertain(domain.uncertain.model_dump(), problem)
    if domain.forecast is not None:
        forecast_problem(domain)
    aquifer = Aquifer(problem, uncertain, log_k, measured.sensors, measured.conductivities)
    return Task(settings, domain, problem, measured, prior, Extended(prior, len(uncertain)), aquifer)


def _announce(console: Console, request: InvertRequest, task: Task, prior: str) -> None:
    problem, sensors, points = task.problem, task.measured.sensors, task.measured.conductivities
    for note in task.measured.notes:
        say(console, f"Note       {note}", style="yellow")
    kind = f"transient, {len(problem.time_steps)} steps" if problem.transient else "steady"
    heads = f"{len(sensors)} heads from {sensors.head.min():g} to {sensors.head.max():g} m"
    say(console, f"Input      {heads}{f', {len(points)} conductivities' if len(points) else ''}; {kind} flow")
    west, east, south, north = problem.extent
    idle = int((~problem.inside).sum())
    inactive = f", {idle} inactive" if idle else ""
    say(
        console,
        f"Domain     {problem.nx} x {problem.ny} cells{inactive}, x {west:g} to {east:g} m, y {south:g} to {north:g} m",
    )
    if len(task.aquifer.uncertain):
        say(console, f"Uncertain  {', '.join(task.aquifer.uncertain.spread)}: found with the conductivity")
    log_k = task.aquifer.log_k
    low, high = (float(np.exp(log_k.mean + sign * log_k.std)) for sign in (-1, 1))
    what = "the two materials" if task.prior.binary else "68 percent between"
    say(console, f"Prior      {prior}; K expected: {what} {low:.2g} and {high:.2g} m/s")
    settings, names = task.settings, {"rml": "randomised maximum likelihood", "smoother": "ensemble smoother"}
    say(
        console,
        f"Method     {settings.starts} starts, {settings.members} members by {names[settings.ensemble]}, seed {settings.seed}",
    )


def _estimate(console: Console, task: Task) -> None:
    found = estimate(task.unknowns, task.aquifer, *_measured(task), task.settings)
    low, high = found.solutions
    say(console, f"Dry run    {low:.0f} to {high:.0f} flow solutions, {span(*found.seconds)}; nothing written")
    how = "; ".join(f"{stage.timing.count} timed batches of {stage.batch}" for stage in found.stages)
    say(console, f"           (time from {how} fields: the fastest, as if idle, and the median)")


def _measured(task: Task) -> tuple[Tensor, Tensor]:
    """Heads, then ln K, and their errors, (S + P,) both."""
    sensors, points = task.measured.sensors, task.measured.conductivities
    values = np.concatenate([sensors.head, points.log_k]), np.concatenate([sensors.error, points.error])
    return torch.as_tensor(values[0]).float(), torch.as_tensor(values[1]).float()


def _invert(console: Console, task: Task) -> Inversion:
    """Invert under a bar that shows the misfit."""
    settings = task.settings
    columns = (
        TextColumn("{task.description:8}"), BarColumn(), TextColumn("step {task.completed}"),
        TextColumn("misfit {task.fields[misfit]:.2f} errors"), TimeElapsedColumn(),
    )  # fmt: skip
    totals = {
        "smoother": MOST_INFLATIONS, "Adam": settings.adam_steps, "L-BFGS": settings.lbfgs_steps,
        "members": settings.polish_steps if settings.ensemble == "smoother" else settings.member_steps,
    }  # fmt: skip
    with bar(console, *columns) as progress:
        shown = progress.add_task("", misfit=float("nan"))
        return invert(
            task.unknowns, task.aquifer, *_measured(task), settings,
            lambda stage, step, misfit: progress.update(
                shown, description=stage, completed=step, total=totals.get(stage), misfit=misfit
            ),
        )  # fmt: skip


def physical(task: Task, found: Inversion) -> Result:
    """Logarithms of K, heads and heads at the sensors of what was found; two-material fields are cut to the materials."""
    aquifer = task.aquifer
    parts = [aquifer.parts(packed) for packed in (found.map_field, found.members[0])]
    log_k = [aquifer.log_k(task.prior.finish(field).double()) for field, _ in parts]
    heads = [aquifer.heads(values, numbers) for values, (_, numbers) in zip(log_k, parts, strict=True)]
    seen = [aquifer.observe(values) for values in heads]
    (k_map, k), (head_map, head), (seen_map, seen_each) = (
        tuple(x.numpy() for x in pair) for pair in (log_k, heads, seen)
    )
    numbers = parts[1][1]
    forcing = {name: values.numpy() for name, values in aquifer.uncertain.values(numbers.double()).items()}
    answers = forecast(task.domain, aquifer.uncertain, log_k[1], numbers) if task.domain.forecast else ()
    points = aquifer.points(log_k[1]).numpy()
    return Result(k_map[0], k, head_map[0], head, seen_map[0], seen_each, points, forcing, answers)


def residuals(task: Task, heads: np.ndarray) -> float:
    """Root mean square of heads at the sensors (..., S) against the measured ones, in units of their errors."""
    sensors = task.measured.sensors
    return float(np.sqrt((((sensors.head - heads) / sensors.error) ** 2).mean()))


def describe(
    request: InvertRequest, task: Task, found: Inversion, result: Result, prior: str, sha256: str
) -> dict[str, str | float]:
    """Global attributes of the output: what it is, what made it, from what, with which settings."""
    settings = task.settings
    return {
        "title": "Hydraulic conductivity from heads by zssd",
        "source": f"zssd {__version__}, prior {prior} (sha256 {sha256})",
        "history": f"{now_utc()} {command_line()}",
        "references": "Differentiable Inverse Modeling with Physics-Constrained Latent Diffusion, arXiv 2512.22421",
        "comment": "log_k_map is the maximum a posteriori in the prior's latent space",
        "zssd_version": __version__,
        "zssd_prior": prior,
        "zssd_prior_sha256": sha256,
        "zssd_source_files": request.observations.name,
        "zssd_domain": request.domain.read_text(encoding="utf-8"),
        "zssd_log_k_prior_mean": task.aquifer.log_k.mean,
        "zssd_log_k_prior_std": task.aquifer.log_k.std,
        "zssd_starts": settings.starts,
        "zssd_lbfgs_steps": settings.lbfgs_steps,
        "zssd_members": settings.members,
        "zssd_ensemble": settings.ensemble,
        **(
            {"zssd_smoothed": settings.used_smoothed, "zssd_polish_steps": settings.polish_steps}
            if settings.ensemble == "smoother"
            else {"zssd_adam_steps": settings.adam_steps, "zssd_member_steps": settings.member_steps}
        ),
        "zssd_seed": str(settings.seed),
        "zssd_misfit_map": residuals(task, result.seen_map),
        "zssd_flow_solutions": float(found.solves),
        "zssd_torch": torch.__version__,
        "zssd_threads": torch.get_num_threads(),
    }


def _finish(
    console: Console, request: InvertRequest, task: Task, result: Result, found: Inversion, seconds: float
) -> None:
    misfit, members = residuals(task, result.seen_map), residuals(task, result.seen)
    say(console, f"Done       in {seconds:.0f} s, {found.solves:.0f} flow solutions")
    say(
        console,
        f"           residuals at the sensors: {misfit:.2f} errors (maximum a posteriori), {members:.2f} (members)",
    )
    if misfit > 2:
        what = ", or interfaces that the prior cannot place to such small errors" if task.prior.binary else ""
        text = f"the heads are not explained within their errors: look at sides, recharge, wells and expected K{what}"
        say(console, f"Note       {text}", style="yellow")
    for one in result.forecasts:
        say(console, f"Forecast   {_told(one)}")
    say(console, f"Wrote      {request.output}" + (f" and {request.plot}" if request.plot else ""))


def _told(one: Forecast) -> str:
    low, middle, high = one.interval
    unit = "" if one.units == "1" else f" {one.units}"
    return f"{one.name}: {middle:.4g}{unit}, 5 to 95 percent of the members {low:.4g} to {high:.4g}"
