"""Sums of a stream together with their bootstrap replicates, in memory that does not grow with the stream.

The bootstrap resamples blocks of consecutive times, since weather lasts from one time to the next. In replicate r every block
counts as often as a Poisson number of mean 1 says (Hanley and MacGibbon 2006, Comput. Methods Programs Biomed. 83): for many
blocks the same as drawing blocks with replacement, and it needs no second pass. The number hangs on the seed, the replicate
and the block alone, so that every system, variable and score sees the same resampled times: differences between systems are
paired.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cftime
import numpy as np

REPLICATES = 200
LEVEL = 0.9
"""Share of the replicates within an interval: from the 5th to the 95th percentile."""
LONG_RECORD_DAYS, LONG_BLOCK_DAYS = 30.0, 5.0
EPOCH = "days since 1850-01-01 00:00:00"


@dataclass(frozen=True)
class Blocks:
    """Which times are resampled together.

    Attributes
    ----------
    number
        Of every time, the number of its block.
    words
        What a block is: ``1 day``, ``5 days``, ``1 year``.
    """

    number: tuple[int, ...]
    words: str

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return len(set(self.number))


def time_blocks(times: Sequence[cftime.datetime], days: float | None = None) -> Blocks:
    """Blocks of ``days`` days; None: of one day, in a record longer than a month of five, the time that weather lasts."""
    stamps = [float(cftime.date2num(time, EPOCH, time.calendar)) for time in times]
    if days is None:
        days = LONG_BLOCK_DAYS if stamps and max(stamps) - min(stamps) > LONG_RECORD_DAYS else 1.0
    return Blocks(tuple(math.floor(stamp / days) for stamp in stamps), f"{days:g} day{'' if days == 1 else 's'}")


def year_blocks(times: Sequence[cftime.datetime]) -> Blocks:
    """Blocks of a year."""
    return Blocks(tuple(time.year for time in times), "1 year")


@dataclass(frozen=True)
class Draws:
    """How often every replicate counts a block.

    Attributes
    ----------
    replicates
        How many, 0 for none.
    seed
        Of the random numbers.
    alone
        There is one block only: every replicate is the sample.
    """

    replicates: int = REPLICATES
    seed: int = 0
    alone: bool = False

    def of(self, block: int) -> np.ndarray:
        """(1 + replicates,): the sample itself counts every block once."""
        if self.alone:
            return np.ones(1 + self.replicates)
        generator = np.random.default_rng([self.seed, block % 2**32])
        return np.concatenate([[1.0], generator.poisson(1.0, self.replicates)])


class Replicates:
    """Sums of arrays of one shape: those of the sample first, those of the replicates after it."""

    def __init__(self, draws: np.ndarray, shape: tuple[int, ...]) -> None:
        self.totals = np.zeros((draws.size, *shape))

    def add(self, values: np.ndarray, draws: np.ndarray) -> None:
        """Add the values (``shape``) of a time whose block counts ``draws`` times."""
        self.totals += draws.reshape(-1, *[1] * values.ndim) * values


@dataclass(frozen=True)
class Estimate:
    """A number and its interval; NaN where there is none.

    Attributes
    ----------
    value
        From the sample.
    low, high
        5th and 95th percentile of the replicates.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def settled(self) -> bool:
        """True where the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def estimate(values: np.ndarray | float) -> Estimate:
    """From (1 + replicates,), the sample's value first; values that are not finite are left out of the interval."""
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    replicates = array[1:][np.isfinite(array[1:])]
    if not math.isfinite(array[0]) or replicates.size < max(2, (array.size - 1) // 2) or array.size < 3:
        return Estimate(float(array[0]))
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(array[0]), float(low), float(high))


Statistic = Callable[[dict[str, np.ndarray]], np.ndarray]
"""From means (1 + replicates,) by name to a score (1 + replicates,)."""
