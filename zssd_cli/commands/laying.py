"""What ``zssd downscale`` says of how its output is laid down: mean and spread, packing, and the disk that it takes."""

import numpy as np

from zssd_cli.api import Plan
from zssd_cli.commands.keeping import total_of
from zssd_cli.outputs.layout import Layout, packing_errors

PART, FLOAT, INTEGER = 2.7, 2.7, 1.1
"""Bytes on the disk per value: of a kept batch, of an output of floats and of one of integers, deflated."""


def layout_lines(layout: Layout, planned: Plan) -> list[str]:
    """Lines for the screen."""
    members = planned.job.config.members
    contents = layout.contents(planned.contents(""))
    spread = f"Spread     the mean of the {members} members and their standard deviation (NAME_spread) are written"
    packed = f"Packed     {', '.join(packing_errors(contents))} (largest rounding errors)"
    return [*([spread] if layout.spread else []), *([packed] if layout.packed else [])]


def disk_needed(planned: Plan, layout: Layout) -> str:
    """``1.2 GB on disk and 3.4 GB more until the end``."""
    job = planned.job
    values = len(job.source.times) * int(np.prod(job.domain.output.shape)) * len(planned.variables)
    written = values * (2 if layout.spread else job.config.members) * (INTEGER if layout.packed else FLOAT)
    disk = f"{_gigabytes(written / 1e9)} on disk"
    if total_of(job) > 1:
        disk += f" and {_gigabytes(values * job.config.members * PART / 1e9)} more until the end"
    return disk


def _gigabytes(size: float) -> str:
    return f"{size:.1f} GB" if size >= 0.1 else f"{size * 1000:.1f} MB"
