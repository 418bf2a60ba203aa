"""How long a short piece of work takes, measured so that other jobs on the machine hardly spoil it."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

REPEATS, LEAST, ENOUGH = 9, 3, 5.0
"""Measurements at most and at least; seconds after which no further one than the least begins."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one piece of work.

    Attributes
    ----------
    fastest
        As on an idle machine.
    usual
        Median: as with what else is running.
    count
        How many measurements these are of.
    """

    fastest: float
    usual: float
    count: int


def timed(work: Callable[[], object], repeats: int = REPEATS, enough: float = ENOUGH) -> Timing:
    """Measure ``work`` ``repeats`` times, after one call that warms up; fewer times once they took ``enough`` seconds.

    On a GPU the work has to wait for what it starts.
    """
    work()
    taken: list[float] = []
    while len(taken) < min(LEAST, repeats) or (len(taken) < repeats and sum(taken) < enough):
        started = time.monotonic()
        work()
        taken.append(time.monotonic() - started)
    return Timing(min(taken), statistics.median(taken), len(taken))


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def span(low: float, high: float) -> str:
    """A range of seconds for people: one number where both read alike."""
    first, last = duration(low), duration(high)
    return first if first == last else f"{first} to {last}"


def amount(count: float) -> str:
    """A number of things for people."""
    return f"{count / 1e6:.2f} million" if count >= 1e6 else f"{count:,.0f}"
