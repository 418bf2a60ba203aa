"""What an output says of itself: what it is, what made it, from what, with which settings."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from zssd_cli import __version__
from zssd_cli.grids.latlon import describe_centres
from zssd_cli.posterior.downscaling import Job
from zssd_cli.posterior.observing import COMPONENTS, SPEED
from zssd_cli.posterior.together import Result
from zssd_cli.times import format_time, now_utc
from zssd_cli.variables import VARIABLES

_TIME_METHOD = re.compile(r"\btime:\s+(?:\w+:\s+)*(\w+)(?!\s+(?:within|over)\b)\b(\s+\([^)]*\))?")
_METHODS = {"point", "mean", "maximum", "minimum", "median", "sum"}


def describe(
    job: Job, variables: Sequence[str], prior: str, sha256: str, command: str, moment: str | None = None
) -> dict[str, Any]:
    """Global attributes of the output.

    Parameters
    ----------
    job
        The run.
    variables
        Canonical names of the output.
    prior, sha256
        Name and hash of the prior.
    command
        What was called, for the history.
    moment
        When, as :func:`zssd_cli.times.now_utc` notes it; None: now.
    """
    given, config, method = job.source.attributes, job.config, job.method
    attributes = {
        "title": f"{given.get('source_id', 'Coarse fields')} downscaled to 0.25 degree by zssd",
        "summary": _summary(job, variables),
        "keywords": ", ".join(["downscaling", "climate model", *(VARIABLES[name].long_name for name in variables)]),
        "comment": (
            "Drawn from the prior: what is finer than the blocks, variables whose zssd_observed is no, and of those "
            "whose zssd_observed is partly the cells where their mask is 0."
        ),
        "license": f"That of the input: {given['license']}" if given.get("license") else None,
        "product_version": f"zssd {__version__}",
        "source": f"zssd {__version__}, prior {prior} (sha256 {sha256})",
        "history": "\n".join(filter(None, [f"{moment or now_utc()} {command}", given.get("history")])),
        "references": "Zero-Shot Statistical Downscaling via Diffusion Posterior Sampling, arXiv 2601.21760",
        "zssd_version": __version__,
        "zssd_prior": prior,
        "zssd_prior_sha256": sha256,
        "zssd_static_sha256": job.prior.header.static_sha256,
        **{f"zssd_{key}": value for key, value in config.model_dump().items()},
        "zssd_obs_error": shown_errors(config.obs_error),
        "zssd_seed": str(config.seed),
        "zssd_any_frequency": str(config.any_frequency),
        "zssd_fields": job.source.kind,
        "zssd_sampler": method.sampler_of(config),
        "zssd_steps": method.steps_of(config),
        "zssd_zeta": method.zeta_of(config),
        "zssd_spacing": method.spacing_of(config),
        "zssd_gaussian_above": job.gaussian_above,
        "zssd_coarse_above": None if job.coarse is None else job.coarse.header.above,
        "zssd_regridder": job.regridder,
        "zssd_precision": str(job.precision).removeprefix("torch."),
        "zssd_torch": torch.__version__,
        "zssd_threads": torch.get_num_threads(),
        **({} if job.adjustment is None else job.adjustment.attributes),
    }
    known = {name: value for name, value in attributes.items() if value is not None}
    return known | {f"zssd_{key}": value for key, value in given.items() if key != "history" and value}


def settings(job: Job, variables: Sequence[str], prior: str, sha256: str) -> dict[str, str | float]:
    """All that the values of an output hang on but the files' contents, by plain names: what a run that goes on must share."""
    recorded = describe(job, variables, prior, sha256, "", "")
    ours = {key.removeprefix("zssd_"): value for key, value in recorded.items() if key.startswith("zssd_")}
    times, device = job.source.times, job.static.device
    stamps = hashlib.sha256(" ".join(map(format_time, times)).encode()).hexdigest()[:12]
    on_gpu = device.type == "cuda"
    return {
        **ours,
        "vars": ",".join(variables),
        "observed": ",".join(job.source.variables),
        "region": describe_centres(job.domain.output),
        "times": f"{len(times)} from {format_time(times[0])} to {format_time(times[-1])} ({times[0].calendar}, {stamps})",
        "device": torch.cuda.get_device_name(device) if on_gpu else f"cpu {torch.backends.cpu.get_cpu_capability()}",
    }


def _summary(job: Job, variables: Sequence[str]) -> str:
    draws = "A draw" if job.config.members == 1 else f"{job.config.members} draws"
    origin = job.source.attributes.get("source_id", "the coarse input")
    return (
        f"{draws} of {', '.join(variables)} on 0.25 degree cells given {', '.join(job.source.variables)} of {origin}, "
        f"whose {'daily ' if job.config.subdaily else ''}means over blocks of {job.config.filter_scale:g} degrees are kept."
    )


def evidence(name: str, observed: Sequence[str]) -> tuple[str, ...]:
    """Which observed variables an output variable is held to: itself, or its components or speed; none if inferred."""
    if name in observed:
        return (name,)
    if name in COMPONENTS and SPEED in observed:
        return (SPEED,)
    return COMPONENTS if name == SPEED and set(COMPONENTS) <= set(observed) else ()


def describe_variable(name: str, job: Job) -> dict[str, str]:
    """Attributes of one output variable: whether it was observed, what its cells are, and what the input says of them."""
    derived = name not in job.prior.variables
    given = job.source.cell_methods.get(name, "")
    attributes = {
        "zssd_observed": _observed_how(name, job.source.variables, daily=job.config.subdaily is not None),
        "cell_methods": _cell_methods(name, job, derived=derived),
        "zssd_source_cell_methods": given,
        "comment": f"derived from {' and '.join(COMPONENTS)}: speed of the cell's mean wind" if derived else "",
    }
    return {key: value for key, value in attributes.items() if value}


def _observed_how(name: str, observed: Sequence[str], *, daily: bool = False) -> str:
    through = evidence(name, observed)
    if through in ((), (name,)):
        return ("as daily mean" if daily else "yes") if through else "no"
    return f"as wind speed ({SPEED})" if through == (SPEED,) else f"as wind components ({', '.join(through)})"


def _cell_methods(name: str, job: Job, *, derived: bool) -> str:
    """Means over cells, as block means of them are observed; in time what the observed variables say with one voice.

    A speed is no mean: that of the cell's (or interval's) mean wind.
    """
    through = evidence(name, job.source.variables) or job.source.variables
    said = {time_method(job.source.cell_methods.get(one, "")) for one in through}
    when = said.pop() if len(said) == 1 else ""
    if derived:
        return when if when == "time: point" else ""
    return f"area: mean {when}".strip()


def time_method(cell_methods: str) -> str:
    """The ``time: method`` of an input's cell methods, empty where there is none, several or an unknown one."""
    found = [(method, comment) for method, comment in _TIME_METHOD.findall(cell_methods) if method in _METHODS]
    return f"time: {found[0][0]}{found[0][1]}" if len(found) == 1 == cell_methods.count("time:") else ""


class Observed:
    """How much of every output variable that the input holds was observed, by area over the cells and times with values."""

    def __init__(self, variables: Sequence[str], job: Job) -> None:
        self._evidence = {name: evidence(name, job.source.variables) for name in variables}
        self._area, self._all = job.domain.output.area, 0.0
        self._drawn: dict[str, float] = {}

    def add(self, result: Result) -> dict[str, np.ndarray]:
        """Count the first members of a time; the cells (lat, lon) that were drawn, of every variable with some."""
        self._all += float(self._area[np.isfinite(result.values[0, 0])].sum())
        drawn = {
            name: np.logical_or.reduce([result.unobserved[one] for one in through if one in result.unobserved])
            for name, through in self._evidence.items()
            if set(through) & result.unobserved.keys()
        }
        for name, cells in drawn.items():
            self._drawn[name] = self._drawn.get(name, 0.0) + float(self._area[cells].sum())
        return drawn

    @property
    def shares(self) -> dict[str, float]:
        """The observed share of every variable that was not observed everywhere."""
        return {name: max(1 - drawn / self._all, 0.0) for name, drawn in self._drawn.items()}

    def describe(self, name: str) -> dict[str, str | float]:
        """Attributes of a variable of :attr:`shares`."""
        share, through = self.shares[name], self._evidence[name]
        how = "" if through == (name,) else f", {_observed_how(name, through)}"
        return {"zssd_observed": f"partly{how}" if share > 0 else "no", "zssd_observed_share": round(share, 4)}


def shown_errors(errors: float | dict[str, float]) -> float | str:
    """Observation errors as an attribute."""
    return ",".join(f"{name}={value:g}" for name, value in errors.items()) if isinstance(errors, dict) else errors
