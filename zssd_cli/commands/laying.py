"""What ``zssd downscale`` says of how its output is laid down: mean and spread, packing, and what it will take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zssd_cli.api import Plan
from zssd_cli.commands.keeping import total_of
from zssd_cli.outputs.layout import Layout, packing_errors
from zssd_cli.posterior import estimate
from zssd_cli.timing import Timing, span

PART, FLOAT, INTEGER = 2.7, 2.7, 1.1
"""Bytes on the disk per value: of a kept batch, of an output of floats and of one of integers, deflated."""


def layout_lines(layout: Layout, planned: Plan) -> list[str]:
    """Lines for the screen."""
    members = planned.job.config.members
    contents = layout.contents(planned.contents(""))
    spread = f"Spread     the mean of the {members} members and their standard deviation (NAME_spread) are written"
    packed = f"Packed     {', '.join(packing_errors(contents))} (largest rounding errors)"
    return [*([spread] if layout.spread else []), *([packed] if layout.packed else [])]


@dataclass(frozen=True)
class Needs:
    """What one output, or many one after the other, will take.

    Attributes
    ----------
    calls
        Of the network.
    seconds
        At least and at most.
    memory, disk, passing
        Bytes: at once, of what stays, and of what is kept beside it until the end.
    """

    calls: int
    seconds: tuple[float, float]
    memory: float
    disk: float
    passing: float

    def __str__(self) -> str:
        more = f" and {_gigabytes(self.passing)} more until the end" if self.passing else ""
        memory = f"{self.memory / 1e9:.1f} GB of memory, {_gigabytes(self.disk)} on disk{more}"
        return f"{self.calls} network calls, {span(*self.seconds)}, {memory}; nothing written"


def needs(planned: Plan, layout: Layout, call: Timing, cells: int) -> Needs:
    """Of one output, from a timed call of the network on so many cells."""
    job = planned.job
    values = len(job.source.times) * int(np.prod(job.domain.output.shape)) * len(planned.variables)
    written = values * (2 if layout.spread else job.config.members) * (INTEGER if layout.packed else FLOAT)
    passing = values * job.config.members * PART if total_of(job) > 1 else 0.0
    return Needs(job.steps, estimate.seconds_range(job, call, cells), estimate.memory(job), written, passing)


def together(several: Sequence[Needs]) -> Needs:
    """Of outputs that are made one after the other: each has given back what it kept beside it when the next one begins."""
    low, high = (sum(one.seconds[end] for one in several) for end in (0, 1))
    memory, passing = max(one.memory for one in several), max(one.passing for one in several)
    return Needs(sum(one.calls for one in several), (low, high), memory, sum(one.disk for one in several), passing)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
