"""What an inversion will take, before it: the fewest and the most flow solutions, and seconds from timed batches of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from zssd_cli.inversion.ensembles import inflations_of
from zssd_cli.inversion.latent_map import Forward, LatentMap
from zssd_cli.inversion.settings import InversionSettings
from zssd_cli.timing import Timing, timed

SEARCH = 1.5, 2.0
"""Solutions that a member's step with its line search takes; both examples took 1.9."""


@dataclass(frozen=True)
class Stage:
    """Fields that are solved for together, so often at least and at most, and how long ``batch`` of them take at once."""

    fields: int
    often: tuple[float, float]
    timing: Timing
    batch: int


@dataclass(frozen=True)
class Estimate:
    """Of a whole inversion; of every pair the first is the least that an aquifer takes (idle machine), the second the most."""

    stages: tuple[Stage, ...]

    @property
    def solutions(self) -> tuple[float, float]:
        """How many fields are put through the operator."""
        low, high = (sum(stage.fields * stage.often[end] for stage in self.stages) for end in (0, 1))
        return low, high

    @property
    def seconds(self) -> tuple[float, float]:
        """How long that takes."""
        low = sum(s.fields * s.often[0] * s.timing.fastest / s.batch for s in self.stages)
        return low, sum(s.fields * s.often[1] * s.timing.usual / s.batch for s in self.stages)


def estimate(prior: LatentMap, forward: Forward, data: Tensor, error: Tensor, settings: InversionSettings) -> Estimate:
    """Of the inversion of one data set (m,) with errors (m,).

    The search for the MAP may end at its first step, where the misfit has reached the noise, or go on to its last. How often
    the smoother goes over its ensemble is told by the misfit of a few draws. Every stage of the prior has its own search.
    """
    smoother, starts = settings.ensemble == "smoother", settings.starts
    count = settings.used_smoothed if smoother else settings.members
    batch = min(settings.batch, max(count, starts))
    draws = prior.unknowns(torch.randn(batch, prior.size, generator=torch.Generator().manual_seed(settings.seed)))

    def solve() -> Tensor:
        with torch.no_grad():
            return forward(prior.fields(draws)).float()

    def descend(unknown: Tensor) -> None:
        unknown = unknown.detach().requires_grad_()
        forward(prior.fields(unknown)).sum().backward()

    stages, adam = len(prior.sharpened()), 0 if smoother else settings.adam_steps
    most = adam + stages * (1 + SEARCH[1] * settings.lbfgs_steps)
    search = Stage(starts, (adam + stages, most), timed(lambda: descend(draws[:starts])), starts)
    steps = settings.polish_steps if smoother else settings.member_steps
    low, high = (stages * (1 + each * steps) for each in SEARCH)
    least = stages if smoother else low
    descents = Stage(settings.members, (least, high + 1), timed(lambda: descend(draws)), batch)
    if not smoother:
        return Estimate((search, descents))
    rounds = 1 + len(inflations_of(float(((data - solve()) / error).square().mean(1).median())))
    return Estimate((search, Stage(count, (rounds - 1, rounds + 1), timed(solve), batch), descents))
