"""The same network driven by other libraries: azula (DPS, MMPS) and deepinv (DPS, DiffPIR), with their own defaults.

    pip install -c constraints.txt -e ".[bench]"

Each library gets the same denoiser, the same masked block means and the same observation error, nothing of ours
besides: no Gaussian prior at high noise, no exact block means at the end. Both know noise levels above what the network
was trained for; there a noisy field is scaled down to the highest level that it knows (:func:`bounded`).
"""

import importlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.engine import Drawn, Setting, counted
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.downscaling import Job, observe
from zssd_cli.posterior.windows import windowed
from zssd_cli.prior.denoiser import Conditions
from zssd_cli.prior.noise import SIGMA_MAX
from zssd_cli.times import year_day_fractions

RANGE = 6.0
"""deepinv's samplers want images in [0, 1]: 0 and 1 are this many standard deviations below and above the mean."""

Draw = Callable[["Problem", int], Tensor]
"""(problem, steps) to standardised fields (members, C, H, W)."""


class Missing(Exception):  # noqa: N818
    """A library is not installed; the message says what to do."""


@dataclass(frozen=True)
class Problem:
    """One observed field as any library wants it, in standard units.

    Attributes
    ----------
    denoise
        (x (B, C, H, W), sigma) -> E[x0].
    observe
        A: (B, C, H, W) -> (B, D), missing blocks are 0.
    adjoint
        Its transpose, (B, D) -> (B, C, H, W).
    values
        y, (members, D), 0 where missing.
    present
        1 where a block was observed, (D,).
    error
        Standard deviation of y's error.
    shape
        (members, C, H, W).
    """

    denoise: Callable[[Tensor, float], Tensor]
    observe: Callable[[Tensor], Tensor]
    adjoint: Callable[[Tensor], Tensor]
    values: Tensor
    present: Tensor
    error: float
    shape: tuple[int, int, int, int]


def bounded(denoise: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
    """The denoiser for any noise level: above SIGMA_MAX a field is noise, scaled to that level."""

    def call(x: Tensor, sigma: float) -> Tensor:
        return denoise(x, sigma) if sigma <= SIGMA_MAX else denoise(x * (SIGMA_MAX / sigma), SIGMA_MAX)

    return call


def pose(setting: Setting, job: Job, time: int) -> Problem:
    """One time of a run as a :class:`Problem`."""
    operator = Coarsen(job.domain.fine, job.domain.coarse)
    observed = torch.as_tensor(observe(job, time, time + 1))
    members, channels = job.config.members, list(job.channels)
    present = (~observed.isnan()).float()
    fractions = torch.tensor([year_day_fractions(job.source.times[time])], dtype=torch.float32)
    network = windowed(
        setting.prior.denoiser, Conditions(job.static, fractions), job.domain.fine.circular, job.config.window_cells
    )
    shape = (members, len(setting.prior.variables), *job.domain.fine.shape)

    def adjoint(w: Tensor) -> Tensor:
        fine = operator.adjoint(w.unflatten(1, present.shape[1:]) * present)
        return fine.new_zeros(len(w), *shape[1:]).index_copy(1, torch.tensor(channels), fine)

    return Problem(
        bounded(network),
        lambda x: (operator(x[:, channels]) * present).flatten(1),
        adjoint,
        (observed.nan_to_num(0.0) * present).flatten(1).expand(members, -1),
        present.flatten(),
        job.config.obs_error,
        shape,
    )


def draw_with(library: Draw, steps: int, setting: Setting, job: Job) -> Drawn:
    """Downscale all times with a library's sampler; the seed is the run's."""
    mean, std = (s[:, None, None] for s in (setting.prior.mean, setting.prior.std))
    rows, columns = job.domain.crop
    ensembles, residual = [], 0.0
    problems = [pose(setting, job, time) for time in range(len(job.source.times))]
    torch.manual_seed(job.config.seed)
    with counted(setting.prior.denoiser) as counter:
        fields = [library(problem, steps).detach().float() for problem in problems]
    for problem, field in zip(problems, fields, strict=True):
        gap = (problem.values - problem.observe(field)).unflatten(1, (len(job.channels), -1)).square().sum(2)
        count = problem.present.unflatten(0, (len(job.channels), -1)).sum(1).clamp(min=1)
        residual = max(residual, float((gap / count).sqrt().max()))
        ensembles.append((field * std + mean)[:, :, rows][:, :, :, columns].numpy())
    return Drawn(np.stack(ensembles), job.domain.output, residual, counter)


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        msg = f'{name.split(".")[0]} is not installed: pip install -c constraints.txt -e ".[bench]" ({error})'
        raise Missing(msg) from error


def _azula_denoiser(problem: Problem) -> nn.Module:
    """The network as azula's denoiser under its default variance-preserving schedule."""
    denoise, noise = _load("azula.denoise"), _load("azula.noise")

    class Wrapped(denoise.Denoiser):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.schedule = noise.VPSchedule()

        def forward(self, x_t: Tensor, t: Tensor) -> object:
            alpha, sigma = self.schedule(t)
            return denoise.DiracPosterior(mean=problem.denoise(x_t / alpha, float(sigma / alpha)))

    return Wrapped()


def azula_dps(problem: Problem, steps: int) -> Tensor:
    """DPSSampler with zeta 1. Its norm runs over the batch, so members are drawn one by one."""
    sampler_of = _load("azula.guidance").DPSSampler
    fields = []
    for member in range(problem.shape[0]):
        y = problem.values[member : member + 1]
        sampler = sampler_of(_azula_denoiser(problem), y=y, A=problem.observe, steps=steps, silent=True)
        fields.append(sampler(sampler.init((1, *problem.shape[1:]))))
    return torch.cat(fields)


def azula_mmps(problem: Problem, steps: int) -> Tensor:
    """MMPSDenoiser (one GMRES iteration) under the DDIM sampler."""
    guidance, sample = _load("azula.guidance"), _load("azula.sample")
    covariance = _load("azula.linalg.covariance").IsotropicCovariance(torch.tensor(problem.error**2))
    guided = guidance.MMPSDenoiser(_azula_denoiser(problem), problem.values, problem.observe, covariance)
    sampler = sample.DDIMSampler(guided, steps=steps, silent=True)
    return sampler(sampler.init(problem.shape))


@cache
def _torchvision() -> object:
    """Make torchvision importable, which deepinv imports although its samplers do not use it.

    PyPI's torchvision is built for CUDA; beside a CPU build of torch its compiled operators are absent, and its import
    fails at the first of them. Declaring the two that it asks for lets it load; nothing calls them. What is returned
    keeps the declarations alive.
    """
    try:
        return importlib.import_module("torchvision")
    except ImportError as error:
        msg = f'torchvision is not installed: pip install -c constraints.txt -e ".[bench]" ({error})'
        raise Missing(msg) from error
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        declared = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("torchvision"), declared


def _deepinv(problem: Problem) -> tuple[Any, nn.Module, Any, Tensor]:
    """Deepinv, and the problem in its terms: denoiser of images in [0, 1], physics, measurements."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _torchvision()
        library = _load("deepinv")
    unit = 2 * RANGE

    class Wrapped(nn.Module):
        def forward(self, x: Tensor, sigma: Tensor, **_: object) -> Tensor:
            return 0.5 + problem.denoise((x - 0.5) * unit, float(torch.as_tensor(sigma).max()) * unit) / unit

    physics = library.physics.LinearPhysics(
        A=lambda x, **_: problem.observe(x),
        A_adjoint=lambda y, **_: problem.adjoint(y),
        img_size=problem.shape[1:],
        noise_model=library.physics.GaussianNoise(problem.error / unit),
    )
    return library, Wrapped(), physics, 0.5 * problem.present + problem.values / unit


def deepinv_dps(problem: Problem, steps: int) -> Tensor:
    """``deepinv.sampling.DPS``: VP schedule, ancestral solver, weight 1, residual norm; one norm per member."""
    library, denoiser, physics, y = _deepinv(problem)
    sampler = library.sampling.DPS(denoiser, num_steps=steps)
    images = sampler(y, physics, x_init=problem.shape)
    return (images - 0.5) * 2 * RANGE


def deepinv_diffpir(problem: Problem, steps: int) -> Tensor:
    """``deepinv.sampling.DiffPIR``: zeta .1, lambda 7, proximal step by conjugate gradients."""
    library, denoiser, physics, y = _deepinv(problem)
    sampler = library.sampling.DiffPIR(denoiser, library.optim.L2(), max_iter=steps)
    return (sampler(y, physics) - 0.5) * 2 * RANGE
