"""What a notebook asks for, and the commands too: xarray in, xarray out, the same numbers.

Keywords are the options' names (``zssd downscale --help``), with underscores; a command is a client of this module.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from pydantic import ValidationError

from zssd_cli import defaults
from zssd_cli.config import DownscaleConfig
from zssd_cli.debias.checks import adjustment_for
from zssd_cli.errors import ConfigError
from zssd_cli.evaluation.entry import change_signal as change_signal
from zssd_cli.evaluation.entry import evaluate as evaluate
from zssd_cli.grids.latlon import Region, parse_region
from zssd_cli.outputs.memory import MemorySink
from zssd_cli.outputs.parts import Parts
from zssd_cli.outputs.sink import Contents, Sink
from zssd_cli.posterior import estimate
from zssd_cli.posterior.differences import INPUTS
from zssd_cli.posterior.divergence import AUTO, automatic_scale
from zssd_cli.posterior.downscaling import Job, prepare, run
from zssd_cli.posterior.guidance import by_name
from zssd_cli.posterior.observing import COMPONENTS, SPEED, observable
from zssd_cli.posterior.provenance import Observed, describe, describe_variable
from zssd_cli.posterior.provenance import settings as settings_of
from zssd_cli.posterior.resuming import Drawing, as_begun, draw_missing, kept
from zssd_cli.posterior.together import Result
from zssd_cli.prior import checkpoint, registry
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.series.reading import Input, Source, open_source
from zssd_cli.settings_file import reason
from zssd_cli.static import load_static
from zssd_cli.times import now_utc
from zssd_cli.variables import lookup

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Written:
    """How a downscaling went.

    Attributes
    ----------
    residual
        Observed variable -> the largest root mean square difference of block means, in standard deviations.
    observed
        Output variable that the input holds in part -> the observed share of area and times.
    """

    residual: dict[str, float]
    observed: dict[str, float]


@dataclass(frozen=True)
class Plan:
    """A downscaling that is checked and laid out: nothing is drawn yet.

    Attributes
    ----------
    job
        What will be sampled.
    source
        The opened files.
    variables
        Canonical names of the output.
    prior, sha256
        Name and hash of the prior.
    inputs
        What tells the input's files from others (:func:`zssd_cli.posterior.resuming.hash_of`); empty where there are none.
    """

    job: Job
    source: Source
    variables: tuple[str, ...]
    prior: str
    sha256: str
    inputs: str = ""

    def draw(self, parts: Parts, tick: Tick = lambda _: None, before_each: Callable[[], None] = lambda: None) -> None:
        """Draw what a folder lacks, for :meth:`write`; see :func:`zssd_cli.posterior.resuming.draw_missing`."""
        draw_missing(self.job, parts, self.source.watch, self._shown, tick, before_each)

    def one_by_one(self) -> Drawing:
        """Draws single batches in any order."""
        return Drawing(self.job, self.source.watch, self._shown)

    def write(self, sink: Sink, command: str, tick: Tick = lambda _: None, parts: Parts | None = None) -> Written:
        """Sample into a sink.

        Parameters
        ----------
        sink
            Where the fields go.
        command
            What was called, for the history.
        tick
            Called after every step with the number of fields that it advanced, of ``job.steps`` in all.
        parts
            What was drawn, to the last batch, and is only written now; the output is dated as the folder is.
        """
        job, worst = self.job, np.zeros(len(self.job.source.variables))
        observed = Observed(self.variables, job)
        results = map(self._shown, run(job, tick)) if parts is None else kept(job, parts)
        contents = self.contents(command) if parts is None else as_begun(self.contents(**parts.origin), parts)
        with sink(contents) as out:
            for result in results:
                member = slice(result.first_member, result.first_member + len(result.values))
                out.write(slice(result.time, result.time + 1), member, result.values[None])
                worst = np.maximum(worst, result.residual)
                for name, cells in observed.add(result).items() if result.first_member == 0 else ():
                    out.mark_drawn(result.time, name, cells)
            residual = dict(zip(job.source.variables, (float(v) for v in worst), strict=True))
            for name, value in residual.items():
                out.attribute(f"zssd_coarse_residual_{name}", value)
            for name in observed.shares:
                for key, said in observed.describe(name).items():
                    out.attribute(key, said, name)
            for name, lines in (("zssd_notes", job.source.notes), ("zssd_doubts", job.source.doubts)):
                if lines:
                    out.attribute(name, "\n".join(lines))
        return Written(residual, observed.shares)

    def settings(self) -> dict[str, Any]:
        """What the output hangs on but the input's values."""
        return settings_of(self.job, self.variables, self.prior, self.sha256)

    def contents(self, command: str, created: str | None = None) -> Contents:
        """What the output is to hold; ``command`` was called at ``created``, None: now."""
        job, source, created = self.job, self.job.source, created or now_utc()
        extra = {name: describe_variable(name, job) for name in self.variables}
        attributes = describe(job, self.variables, self.prior, self.sha256, command, created)
        attributes |= {INPUTS: self.inputs} if self.inputs else {}
        members, bounds = job.config.members, source.time_bounds
        return Contents(job.domain.output, source.times, members, extra, attributes, bounds, created)

    def _shown(self, result: Result) -> Result:
        """The output's variables out of the prior's: values (members, variables, lat, lon)."""
        of = dict(zip(self.job.prior.variables, np.moveaxis(result.values, 1, 0), strict=True))
        if SPEED not in of and SPEED in self.variables:
            of[SPEED] = np.hypot(*(of[part] for part in COMPONENTS))
        return replace(result, values=np.stack([of[name] for name in self.variables], 1))


@contextmanager
def plan(
    source: Input,
    *,
    vars: str | Sequence[str] = defaults.VARIABLES,  # noqa: A002 (the option's name)
    region: str | Sequence[float] | None = None,
    time: str | None = None,
    weights: str | Path | None = None,
    static: str | Path | None = None,
    device: str = defaults.AUTO,
    offline: bool = False,
    strict: bool = False,
    debias: str | Path | None = None,
    debias_anyway: bool = False,
    **settings: Any,
) -> Iterator[Plan]:
    """Open everything and check that it fits; parameters and errors as of :func:`downscale`."""
    automatic = settings.get("filter_scale") == AUTO
    config = checked_config(settings)
    by_name(config.guidance)
    path, sha256 = registry.locate(None if weights is None else str(weights), offline=offline)
    prior = checkpoint.load_prior(path, pick_device(device))
    wanted = wanted_variables(vars, prior)
    box = parse_region(region) if isinstance(region, str) else None if region is None else Region(*region)
    with closing(open_observed(source, prior, time_range(time), strict=strict)) as observed:
        if automatic:
            scale, note = automatic_scale(observed, prior)
            config = config.model_copy(update={"filter_scale": scale})
            observed = replace(observed, notes=(*observed.notes, note))  # noqa: PLW2901  the same files
        adjustment = adjustment_for(debias, observed, config.filter_scale, anyway=debias_anyway)
        job = prepare(observed, prior, load_static(None if static is None else Path(static)), config, box, adjustment)
        estimate.check_memory(job)
        yield Plan(job, observed, wanted, path.stem, sha256)


def downscale(
    source: Input,
    *,
    vars: str | Sequence[str] = defaults.VARIABLES,  # noqa: A002
    region: str | Sequence[float] | None = None,
    time: str | None = None,
    weights: str | Path | None = None,
    static: str | Path | None = None,
    device: str = defaults.AUTO,
    offline: bool = False,
    strict: bool = False,
    debias: str | Path | None = None,
    debias_anyway: bool = False,
    progress: Tick | None = None,
    **settings: Any,
) -> xr.Dataset:
    """Turn coarse fields into 0.25 degree fields: ``zssd downscale`` without files.

    Parameters
    ----------
    source
        Dataset as ``xarray.open_dataset`` gives it, or files and patterns.
    vars
        Variables of the output, ERA5 or CMIP6 names; those that the source lacks are inferred.
    region
        ``W,E,S,N`` in degrees (west, east, south, north), a name, or None for all of the source.
    time
        ``START/END`` in the source's calendar.
    weights
        Prior, name or file.
    static
        File of ``zssd fetch-static``.
    device
        auto, cpu or cuda.
    offline
        Never download.
    strict
        Impossible fields (undeclared fill values, wrapped packing, repeated fields ...) are errors, not notes.
    debias
        File of ``zssd debias fit``: block means are adjusted by it before they guide the prior.
    debias_anyway
        Use it although it was fitted on another model, experiment or kind of interval.
    progress
        Called after every step with the number of fields that it advanced.
    settings
        ``members``, ``seed``, ``steps``, ``guidance``, ``filter_scale`` (a number or ``auto``), ``obs_error`` ...: the
        fields of :class:`zssd_cli.config.DownscaleConfig`.

    Returns
    -------
    Dataset with dimensions (time, member, lat, lon) in canonical units and with the attributes of the command's file.

    Raises
    ------
    ZssdError
        Whatever is wrong, in one line, with what to do.
    """
    sink = MemorySink()
    with plan(
        source, vars=vars, region=region, time=time, weights=weights, static=static, device=device, offline=offline,
        strict=strict, debias=debias, debias_anyway=debias_anyway, **settings,
    ) as planned:  # fmt: skip
        shown = {"vars": planned.variables, "region": region, "time": time, **settings}
        call = ", ".join(f"{name}={value!r}" for name, value in shown.items() if value is not None)
        planned.write(sink, f"zssd_cli.downscale({call})", progress or (lambda _: None))
    return sink.dataset


def open_series(
    source: Input, variables: str | Sequence[str] = defaults.VARIABLES, *, time: str | None = None
) -> Source:
    """Coarse fields as zssd reads them: ``.times``, ``.variables``, ``.grid``, ``.notes``, ``.read(start, stop)``."""
    return open_source(source, _names(variables), time_range=time_range(time))


def load_prior(weights: str | Path | None = None, *, device: str = defaults.AUTO, offline: bool = False) -> Prior:
    """A prior by name or file; None: the one that ships with zssd."""
    path, _ = registry.locate(None if weights is None else str(weights), offline=offline)
    return checkpoint.load_prior(path, pick_device(device))


def checked_config(settings: Mapping[str, Any]) -> DownscaleConfig:
    """Settings of the engine; a wrong one is a :class:`ConfigError` that names the option.

    A filter scale of ``auto`` is the default's until the input is known.
    """
    given = dict(settings)
    if isinstance(given.get("filter_scale"), str):
        given["filter_scale"] = parse_scale(given["filter_scale"])
    if isinstance(given.get("obs_error"), str):
        given["obs_error"] = parse_errors(given["obs_error"])
    try:
        return DownscaleConfig(**given)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        if first["type"] == "extra_forbidden":
            known = ", ".join(DownscaleConfig.model_fields)
            msg = f"--{option}: there is no such option, expected one of {known}."
        else:
            msg = f"--{option}: {reason(first)}, got {first['input']!r}."
        raise ConfigError(msg) from error


def parse_scale(text: str) -> float:
    """``2.5`` as a number, ``auto`` as the default."""
    try:
        return defaults.FILTER_SCALE if text == AUTO else float(text)
    except ValueError as error:
        msg = f"--filter-scale: expected degrees such as 2.5, or {AUTO}, got {text!r}."
        raise ConfigError(msg) from error


def pick_device(name: str) -> str:
    """``auto`` is cuda where there is one."""
    if name not in ("auto", "cpu", "cuda"):
        msg = f"--device: expected auto, cpu or cuda, got {name!r}."
        raise ConfigError(msg)
    if name == "cuda" and not torch.cuda.is_available():
        msg = "--device cuda: torch sees no GPU here. Use --device cpu, or install a torch built for CUDA."
        raise ConfigError(msg)
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(dict.fromkeys(lookup(part.strip()).name for part in parts if part.strip()))


def wanted_variables(given: str | Sequence[str], prior: Prior) -> tuple[str, ...]:
    """Canonical names, each known to the prior or derived from what it knows: the wind's speed from its components."""
    names, known = _names(given), observable(prior.variables)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        what = ", ".join(unknown) or "nothing"
        msg = (
            f"--vars: the prior knows {', '.join(known)}, got {what}. "
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


def open_observed(
    source: Input, prior: Prior, times: tuple[str | None, str | None] | None, *, strict: bool = False
) -> Source:
    """What a source holds of all that the prior can be guided by; wind speed only where its components are not there."""
    found = open_source(source, observable(prior.variables), time_range=times, strict=strict)
    if SPEED not in prior.variables and {SPEED, *COMPONENTS} <= set(found.variables):
        found.close()
        found = open_source(source, prior.variables, time_range=times, strict=strict)
        note = f"{SPEED} (sfcWind) is not used because {' and '.join(COMPONENTS)} are there"
        found = replace(found, notes=(*found.notes, note))
    return found


def parse_errors(text: str) -> float | dict[str, float]:
    """``0.02``, or ``msl=0.02,u10=0.1`` by variable under any of its names."""
    try:
        pairs = [part.rpartition("=") for part in text.split(",") if part.strip()]
        errors = {lookup(name).name if name else "": float(value) for name, _, value in pairs}
    except ValueError:
        errors, pairs = {}, []
    if len(errors) < len(pairs):
        msg = f"--obs-error: expected every variable once, got {text!r}."
        raise ConfigError(msg)
    if not errors or ("" in errors and len(pairs) > 1) or not all(0 <= error <= 10 for error in errors.values()):
        msg = (
            f"--obs-error: expected a number from 0 to 10 or NAME=NUMBER,... (such as msl=0.02,u10=0.1), got {text!r}."
        )
        raise ConfigError(msg)
    return errors.get("", errors)
