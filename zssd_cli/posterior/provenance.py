"""What an output says of itself: what it is, what made it, from what, with which settings."""

from typing import Any

import torch

from zssd_cli import __version__
from zssd_cli.posterior.downscaling import Job
from zssd_cli.posterior.observing import COMPONENTS, SPEED
from zssd_cli.times import now_utc


def describe(job: Job, prior: str, sha256: str, command: str) -> dict[str, Any]:
    """Global attributes of the output.

    Parameters
    ----------
    job
        The run.
    prior, sha256
        Name and hash of the prior.
    command
        What was called, for the history.
    """
    given, config, method = job.source.attributes, job.config, job.method
    attributes = {
        "title": f"{given.get('source_id', 'Coarse fields')} downscaled to 0.25 degree by zssd",
        "source": f"zssd {__version__}, prior {prior} (sha256 {sha256})",
        "history": "\n".join(filter(None, [f"{now_utc()} {command}", given.get("history")])),
        "references": "Zero-Shot Statistical Downscaling via Diffusion Posterior Sampling, arXiv 2601.21760",
        "zssd_version": __version__,
        "zssd_prior": prior,
        "zssd_prior_sha256": sha256,
        "zssd_static_sha256": job.prior.header.static_sha256,
        **{f"zssd_{key}": value for key, value in config.model_dump().items()},
        "zssd_obs_error": shown_errors(config.obs_error),
        "zssd_seed": str(config.seed),
        "zssd_any_frequency": str(config.any_frequency),
        "zssd_sampler": method.sampler_of(config),
        "zssd_steps": method.steps_of(config),
        "zssd_zeta": method.zeta_of(config),
        "zssd_spacing": method.spacing_of(config),
        "zssd_gaussian_above": job.gaussian_above,
        "zssd_regridder": job.regridder,
        "zssd_precision": str(job.precision).removeprefix("torch."),
        "zssd_torch": torch.__version__,
        "zssd_threads": torch.get_num_threads(),
    }
    known = {name: value for name, value in attributes.items() if value is not None}
    return known | {f"zssd_{key}": value for key, value in given.items() if key != "history" and value}


def describe_variable(name: str, job: Job) -> dict[str, str]:
    """Attributes of one output variable: whether it was observed, and what the input says of its cells."""
    methods = job.source.cell_methods.get(name)
    return {"zssd_observed": _observed_how(name, job)} | ({"zssd_source_cell_methods": methods} if methods else {})


def _observed_how(name: str, job: Job) -> str:
    if name in job.source.variables:
        return "yes"
    return f"as wind speed ({SPEED})" if SPEED in job.source.variables and name in COMPONENTS else "no"


def shown_errors(errors: float | dict[str, float]) -> float | str:
    """Observation errors as an attribute."""
    return ",".join(f"{name}={value:g}" for name, value in errors.items()) if isinstance(errors, dict) else errors
