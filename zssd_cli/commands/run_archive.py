"""``zssd downscale`` with many outputs: a folder of data sets, or the years, months or input files of one; each as one output is made.

A data set that fails costs a line and the run goes on; what was made of every one is told at the end and, line by line, in the report.
"""

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from signal import SIGUSR1
from typing import Any

from rich.console import Console

from zssd_cli import api
from zssd_cli.commands import run_downscale
from zssd_cli.commands.archive_report import Outcome, Report, summary
from zssd_cli.commands.keeping import OUT_OF_TIME, NoTime, parse_limit, stopped_by
from zssd_cli.commands.laying import Needs, together
from zssd_cli.commands.run_downscale import DownscaleRequest
from zssd_cli.commands.shared import Page, check_targets, listed, say
from zssd_cli.commands.targets import Target, check_split, targets
from zssd_cli.errors import ConfigError, OutputError, OutsideRange, ZssdError
from zssd_cli.files import ZARR
from zssd_cli.grids.latlon import parse_region
from zssd_cli.outputs.parts import begun
from zssd_cli.posterior.divergence import AUTO, automatic_scale
from zssd_cli.posterior.observing import observable
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.series.archive import Dataset, datasets
from zssd_cli.series.leaving import LeftOut
from zssd_cli.series.listing import expand
from zssd_cli.text import plural
from zssd_cli.variables import lookup

SOME_FAILED = 3
"""Exit code where the run came to its end and not everything was written."""


@dataclass(frozen=True)
class Many:
    """What only a call with many outputs has.

    Attributes
    ----------
    split
        ``year``, ``month`` or ``input``; None: an output for each data set.
    report
        Where the lines for scripts go.
    form
        Ending of the outputs in a folder.
    """

    split: str | None = None
    report: Path | None = None
    form: str = "nc"


def execute(request: DownscaleRequest, settings: dict[str, Any], output: str, years: str | None, many: Many) -> None:
    """Make one output or many, as ``-o`` and ``--split`` say."""
    settings = settings | {"time": period(settings.get("time"), years)}
    check_split(many.split)
    _check_form(many.form, output)
    request = replace(request, inputs=listed(request.inputs))
    if is_folder(output) or many.split:
        _run(request, settings, many, in_folder=is_folder(output))
    elif many.report is not None:
        msg = "--report is of calls with many outputs: give a folder with -o, or --split."
        raise ConfigError(msg)
    else:
        run_downscale.execute(request, settings)


def _check_form(form: str, output: str) -> None:
    if form not in ("nc", "zarr"):
        msg = f"--format: expected nc or zarr, got {form!r}."
        raise ConfigError(msg)
    if form == "zarr" and not is_folder(output) and not output.endswith(ZARR):
        msg = f"--format {form} is of outputs in a folder, got -o {output}. Name the output OUT.zarr, or a folder FOLDER/."
        raise ConfigError(msg)


def period(times: str | None, years: str | None) -> str | None:
    """``--time``, or ``--years`` as such."""
    if years is None:
        return times
    parts = years.strip().split("/")
    if times is not None:
        msg = "--years and --time both choose times; give one of them."
        raise ConfigError(msg)
    if len(parts) > 2 or not any(parts) or not all(part.isdecimal() or not part for part in parts):
        msg = f"--years: expected FIRST/LAST such as 2015/2100, one of which may be empty, or one year, got {years!r}."
        raise ConfigError(msg)
    return "/".join(part and part.zfill(4) for part in parts)


def is_folder(output: str) -> bool:
    """Whether ``-o`` names a folder for many outputs: it ends in a slash or is there, and not in .nc or .zarr."""
    path = Path(output)
    return path.suffix not in (ZARR, ".nc") and (output.endswith("/") or path.is_dir())


def _run(request: DownscaleRequest, settings: dict[str, Any], many: Many, *, in_folder: bool) -> None:
    console, started = Page(stderr=True, quiet=request.quiet), time.monotonic()
    limit = parse_limit(request.time_limit)
    prior = _checked(request, settings, many)
    sets, left, place = _laid_out(request, settings, many, prior, in_folder=in_folder)
    for note in left.notes:
        say(console, f"Note       {note}", style="yellow")
    files = sum(len(one.files) for one in sets)
    say(console, f"Archive    {plural(files, 'file')} in {plural(len(sets), 'data set')}")
    if not request.dry_run and in_folder:
        _make(request.output)
    run = _Run(request, settings, prior, many.split, limit, started, console, in_folder)
    with Report(many.report) as report, stopped_by(SIGUSR1):
        report.left_out(left)
        finished: set[str] = set()
        try:
            for number, dataset in enumerate(sets, 1):
                told = plural(len(dataset.files), "file")
                say(console, f"Data set   {number} of {len(sets)}: {dataset.name} ({told})")
                for outcome in run.outcomes(dataset, partial(place, dataset.name)):
                    report.add(outcome)
                finished.add(dataset.name)
        finally:
            for dataset in sets:
                if dataset.name not in finished:
                    report.add(run.unfinished(dataset))
            summary(console, report.outcomes, left, time.monotonic() - started)
            if len(run.planned) > 1:
                say(console, f"All        {plural(len(run.planned), 'output')}: {together(run.planned)}")
    if any(outcome.status == "failed" for outcome in report.outcomes):
        raise SystemExit(SOME_FAILED)


def _checked(request: DownscaleRequest, settings: dict[str, Any], many: Many) -> Prior:
    """The prior; what is wrong with the options themselves is an error before any work."""
    if request.plot is not None:
        msg = (
            "--plot draws one output, and these are many; leave it out, and draw one of them with zssd inspect --plot."
        )
        raise ConfigError(msg)
    if request.resume and request.overwrite:
        msg = "--resume goes on and --overwrite starts anew; give one of them."
        raise ConfigError(msg)
    check_targets({"--report": many.report}, lambda: ())
    own = inspect.signature(api.plan).parameters
    api.checked_config({key: value for key, value in settings.items() if key not in own})
    api.time_range(settings["time"])
    if settings["region"] is not None:
        parse_region(settings["region"])
    prior = api.load_prior(settings["weights"], device=settings["device"], offline=settings["offline"])
    api.wanted_variables(settings["vars"], prior)
    return prior


def _laid_out(
    request: DownscaleRequest, settings: dict[str, Any], many: Many, prior: Prior, *, in_folder: bool
) -> tuple[Sequence[Dataset], LeftOut, Callable[[str, str], Path]]:
    """The data sets, the files that were left out, and from data set and period to the output."""
    paths, output = expand(request.inputs), request.output
    if not in_folder:
        ending = output.suffix
        return (
            (Dataset(output.stem, paths),),
            LeftOut(),
            lambda _, label: output.with_name(f"{output.stem}_{label}{ending}"),
        )
    # what was made of an archive may lie in it
    own = output.resolve()
    paths = tuple(path for path in paths if own not in path.resolve().parents)
    wanted = tuple(map(lookup, observable(prior.variables)))
    sets, left = datasets(paths, wanted, api.time_range(settings["time"]))
    return sets, left, lambda name, label: output / f"{name}_{label}.{many.form}"


def _make(folder: Path) -> None:
    if not folder.parent.is_dir():
        msg = f"Cannot write {folder}/: the folder {folder.parent} does not exist. Make it first (mkdir -p)."
        raise OutputError(msg)
    folder.mkdir(exist_ok=True)


@dataclass
class _Run:
    """Makes the outputs of data sets one after another, within one limit of time."""

    request: DownscaleRequest
    settings: dict[str, Any]
    prior: Prior
    split: str | None
    limit: float | None
    started: float
    console: Console
    in_folder: bool
    slowest: float = 0.0
    worked: bool = False
    target: Target | None = None
    """Whose turn it is."""
    planned: list[Needs] = field(default_factory=list)
    """Of a dry run, by output."""

    def outcomes(self, dataset: Dataset, place: Callable[[str], Path]) -> Iterator[Outcome]:
        """What became of every output of a data set; of one that cannot be read, of itself."""
        found: list[Target] = []
        failed = Outcome(dataset.name, dataset.files, "failed")
        with self._told(failed) as problem:
            settings = self._settled(dataset)
            found += targets(dataset, self.prior, settings, self.split, place)
        if problem:
            yield problem[0]
        for number, target in enumerate(found):
            began = time.monotonic()
            self.target = target
            outcome = Outcome(dataset.name, target.files, "failed", output=target.output, times=target.count)
            with self._told(outcome) as problem:
                status = self._make(target, settings, brief=number > 0)
                outcome = replace(outcome, status=status)
            yield replace(problem[0] if problem else outcome, seconds=round(time.monotonic() - began, 1))

    def unfinished(self, dataset: Dataset) -> Outcome:
        """Of a data set that the run did not get through: the output that it stopped in, where it kept something."""
        target = self.target
        if target is None or target.dataset != dataset.name or not begun(target.output):
            return Outcome(dataset.name, dataset.files, "not begun")
        return Outcome(dataset.name, target.files, "begun", output=target.output, times=target.count)

    def _settled(self, dataset: Dataset) -> dict[str, Any]:
        """The settings, ``--filter-scale auto`` a number: the same for all outputs of a data set."""
        if self.settings["filter_scale"] != AUTO:
            return self.settings
        with closing(api.open_observed(dataset.files, self.prior, api.time_range(self.settings["time"]))) as source:
            scale, note = automatic_scale(source, self.prior)
        say(self.console, f"Note       {note}", style="yellow")
        return self.settings | {"filter_scale": scale}

    @contextmanager
    def _told(self, outcome: Outcome) -> Iterator[list[Outcome]]:
        """Say what goes wrong in the block, and note it in the list."""
        problem: list[Outcome] = []
        try:
            yield problem
        except NoTime:
            if not self.worked:
                raise
            self._stop()
        except OutsideRange as error:
            problem.append(replace(outcome, status="left out", error=str(error)))
        except Exception as error:  # noqa: BLE001  the others must go on
            text = str(error) if isinstance(error, ZssdError) else f"{type(error).__name__}: {error}"
            line = " ".join(text.split())
            problem.append(replace(outcome, error=line))
            say(Page(stderr=True), f"Failed     {outcome.output or outcome.dataset}: {line}", style="bold red")

    def _make(self, target: Target, settings: dict[str, Any], *, brief: bool) -> str:
        request = self.request
        if not (request.overwrite or request.resume or request.dry_run) and target.output.exists():
            msg = f"{target.output} exists. Pass --resume to keep what is whole, or --overwrite to make it anew."
            raise OutputError(msg)
        began = time.monotonic()
        if self.limit is not None and began + self.slowest > self.started + self.limit:
            self._stop()
        one = replace(request, inputs=target.files, output=target.output, brief=brief, in_folder=self.in_folder)
        made = run_downscale.execute(one, settings | {"time": target.times}, self.started)
        if made.status == "written":
            self.worked = True
            self.slowest = max(self.slowest, (time.monotonic() - began) / max(made.batches, 1))
        self.planned += [made.needs] if made.needs else []
        return made.status

    def _stop(self) -> None:
        say(Page(stderr=True), "Stopped    by --time-limit; the same command with --resume goes on")
        raise SystemExit(OUT_OF_TIME)
