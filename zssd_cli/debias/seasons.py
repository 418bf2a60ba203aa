"""Parts of the year and decades of a run over which distributions are taken, and how a date is weighted between them.

Parts of the year are fractions of it, so that every calendar has the same: a leap day moves no other one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cftime
import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.times import year_day_fractions

YEAR = 365.25
MONTHS = 12
Weights = list[tuple[int, float]]
"""Number and weight of those that a date lies between; the weights add up to 1."""


@dataclass(frozen=True)
class Seasons:
    """Calendar months, or overlapping windows of days whose mappings are interpolated.

    Attributes
    ----------
    days
        Width of a window; None for calendar months.
    """

    days: float | None

    @classmethod
    def parse(cls, text: str) -> "Seasons":
        """``month``, or the width of a moving window such as ``31d``."""
        match = re.fullmatch(r"(\d+)\s*d", text.strip())
        if text.strip() == "month":
            return cls(None)
        if match is None or not 5 <= int(match[1]) <= 183:
            msg = f"--window: expected month, or a number of days from 5 to 183 such as 31d, got {text!r}."
            raise ConfigError(msg)
        return cls(float(match[1]))

    def __str__(self) -> str:
        return "month" if self.days is None else f"{self.days:g}d"

    @cached_property
    def count(self) -> int:
        """Number of them: centres of windows are half a window apart at most."""
        return MONTHS if self.days is None else int(np.ceil(2 * YEAR / self.days))

    def members(self, times: Sequence[cftime.datetime]) -> np.ndarray:
        """Which dates belong to which, boolean (count, times)."""
        if self.days is None:
            return np.arange(1, MONTHS + 1)[:, None] == np.array([t.month for t in times])[None]
        fractions = np.array([year_day_fractions(t)[0] for t in times])
        apart = np.abs(np.arange(self.count)[:, None] / self.count - fractions[None])
        return np.minimum(apart, 1 - apart) * YEAR <= self.days / 2

    def weights(self, time: cftime.datetime) -> Weights:
        """Its month, or the two windows whose centres it lies between."""
        if self.days is None:
            return [(time.month - 1, 1.0)]
        place = year_day_fractions(time)[0] * self.count
        below, share = int(place) % self.count, place % 1
        return [(below, 1 - share), ((below + 1) % self.count, share)]


@dataclass(frozen=True)
class Decades:
    """Overlapping spans of a run, in years with fractions: ``first`` to ``last`` inclusive of neither's end.

    Attributes
    ----------
    spans
        Start and end of each, evenly apart.
    """

    spans: tuple[tuple[float, float], ...]

    @classmethod
    def within(cls, first: float, last: float, years: float) -> "Decades":
        """Spans of so many years that move by about a third of that."""
        count = max(1, 1 + round((last - first - years) / (years / 3)))
        if count == 1:
            return cls(((first, last),))
        starts = np.linspace(first, last - years, count)
        return cls(tuple((float(start), float(start + years)) for start in starts))

    def members(self, times: Sequence[cftime.datetime]) -> np.ndarray:
        """Which dates belong to which, boolean (spans, times)."""
        years = np.array([decimal_year(t) for t in times])
        return np.array([(years >= start) & (years < end) for start, end in self.spans])

    def weights(self, time: cftime.datetime) -> Weights:
        """The two spans whose middles it lies between; the first or last one before and after those."""
        middles = [(start + end) / 2 for start, end in self.spans]
        place = float(np.interp(decimal_year(time), middles, np.arange(len(middles))))
        below, share = min(int(place), len(middles) - 1), place % 1
        return [(below, 1 - share), (below + 1, share)] if share else [(below, 1.0)]

    def hold(self, time: cftime.datetime) -> bool:
        """Whether a date lies in the run."""
        return self.spans[0][0] <= decimal_year(time) < self.spans[-1][1]


def decimal_year(time: cftime.datetime) -> float:
    """The year with its fraction."""
    return time.year + year_day_fractions(time)[0]
