"""Times that a training does without because values are missing, and which times stand in for them.

An archive is never read beforehand: that a time is bad is known when it is met. What stands in for it is a function of its
number alone, so that batches stay a function of seed and step: the first good one of i + k l (mod n), k = 1, 2, ..., where
the leap l is prime to the number n of times and near their golden section. Every time is reached, and those that stand in for
the neighbours of a gap lie far from it and are all different: no time becomes much more frequent than others.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import cftime
import numpy as np

from zssd_cli.errors import BadField, InputError, MissingValues
from zssd_cli.series.coverage import spans, usual_step

_GOOD, _MISSING, _REFUSED = 1, 2, 3


def stand_ins(index: int, count: int) -> Iterator[int]:
    """All ``count`` times, each once: ``index`` itself, then those that stand in for it."""
    golden = (math.sqrt(5) - 1) / 2
    leap = next(n for n in itertools.count(round(golden * count)) if math.gcd(n, count) == 1)
    return ((index + k * leap) % count for k in range(count))


class Holes:
    """The bad times of a part as far as they were met.

    Parameters
    ----------
    times
        All dates of the part.
    most
        Share of them that may be bad.
    """

    def __init__(self, times: Sequence[cftime.datetime], most: float) -> None:
        self._times, self._most = times, most
        self._state = np.zeros(len(times), np.int8)
        self._refusal = ""

    def __contains__(self, index: int) -> bool:
        return bool(self._state[index] > _GOOD)

    def good(self, index: int) -> None:
        """Note a time that is whole."""
        self._state[index] = _GOOD

    def bad(self, index: int, error: BadField) -> None:
        """Note a time that is not.

        Raises
        ------
        InputError
            More are bad than may be, or so many of those read that this is certain: four standard deviations, and four, above
            the number expected.
        """
        self._state[index] = _MISSING if isinstance(error, MissingValues) else _REFUSED
        if self._state[index] == _REFUSED and not self._refusal:
            self._refusal = str(error)
        bad, read, total = np.count_nonzero(self._state > _GOOD), np.count_nonzero(self._state), len(self._times)
        expected = self._most * read
        if bad > self._most * total or bad > expected + 4 * math.sqrt(expected) + 4:
            msg = (
                f"{str(error).rstrip('.')}: one of {bad} bad times among {read} read of {total}, more than "
                f"--max-missing {self._most:g} allows to leave out. Mend the files, or pass a larger --max-missing."
            )
            raise InputError(msg) from error

    @property
    def met(self) -> tuple[cftime.datetime, ...]:
        """Dates that are left out, in order."""
        return tuple(self._times[index] for index in np.flatnonzero(self._state > _GOOD).tolist())

    def words(self) -> str:
        """What was left out, for people; empty where nothing was."""
        dates = self.met
        if not dates:
            return ""
        why = "missing or implausible" if self._refusal else "missing"
        where = spans(dates, usual_step(self._times))
        read, total = np.count_nonzero(self._state), len(self._times)
        known = f" ({read} of the times were read)" if read < total else ""
        refused = f"; {self._refusal}" if self._refusal else ""
        return f"left out {len(dates)} of {total} times with {why} values: {where}{known}{refused}"
