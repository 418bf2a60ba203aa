"""Samples that are drawn together, and fewer of them where memory runs out."""

import gc
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from zssd_cli.errors import OutOfMemory, Remark, is_out_of_memory

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Batch:
    """Samples that are drawn together: every one of these times (indices) with every one of these members."""

    times: range
    members: range

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.times) * len(self.members)

    def cut(self, values: Tensor, piece: "Batch") -> Tensor:
        """Of something with a row for every sample the rows of a piece."""
        rows = values.unflatten(0, (len(self.times), len(self.members)))
        first, member = piece.times.start - self.times.start, piece.members.start - self.members.start
        return rows[first : first + len(piece.times), member : member + len(piece.members)].flatten(0, 1)


@dataclass(frozen=True)
class Result:
    """A finished batch of one time: members ``first_member`` to ``first_member + len``.

    Attributes
    ----------
    time
        Index of the time.
    first_member
        Number of the first member.
    values
        (members, C, lat, lon) on the output grid, canonical units, NaN where nothing was observed.
    residual
        Root mean square of y - A x per observed variable over the blocks of the output, by area, in standard deviations of the
        variable, (observed,).
    unobserved
        Observed variable -> cells of the output grid that touch only blocks where it is missing and others are not,
        boolean (lat, lon): drawn, not observed. Variables without such cells are left out.
    """

    time: int
    first_member: int
    values: np.ndarray
    residual: np.ndarray
    unobserved: dict[str, np.ndarray]


def pieces(batch: Batch, most: int) -> Iterator[Batch]:
    """A batch in pieces of at most so many samples, in the order of their times and members."""
    count = max(1, most // len(batch.members))
    for start in range(batch.times.start, batch.times.stop, count):
        for first in range(batch.members.start, batch.members.stop, most):
            times = range(start, min(start + count, batch.times.stop))
            yield Batch(times, range(first, min(first + most, batch.members.stop)))


class Halving:
    """Draws batches, in pieces once memory has run out: half as many samples at once from then on.

    A piece begins anew; its samples are the same to the last bits, in which the arithmetic of batches of other sizes differs.
    """

    def __init__(self, most: int) -> None:
        """Begin with batches of at most so many samples."""
        self.most = most

    def __call__(self, batch: Batch, draw: Callable[[Batch, Tick], Iterable[Result]], tick: Tick) -> list[Result]:
        """All results of a batch, one per time.

        Parameters
        ----------
        batch
            What is wanted.
        draw
            Draws a batch; calls what it is given after every step with the number of fields that it advanced.
        tick
            Called likewise, for every step of every field once.

        Raises
        ------
        OutOfMemory
            Not even one sample fits.
        """
        waiting, done, once = list(pieces(batch, self.most)), [], _Once(tick)
        while waiting:
            drawn, why = _tried(draw, waiting[0], once)
            if drawn is not None:
                done += drawn
                waiting.pop(0)
                continue
            self._halve(len(waiting[0]), why)
            waiting = [part for piece in waiting for part in pieces(piece, self.most)]
        return [_joined(list(several)) for _, several in groupby(done, lambda result: result.time)]

    def _halve(self, count: int, why: str) -> None:
        if count == 1:
            msg = (
                f"not enough memory to draw a single sample ({why}). Ask for a smaller --region, close other programs, "
                "or go to a machine with more; --dry-run estimates what a run needs."
            )
            raise OutOfMemory(msg)
        self.most = count // 2
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        warnings.warn(
            f"memory ran out with {count} samples drawn together: at most {self.most} from here on (last bits may differ)",
            Remark,
            stacklevel=2,
        )


def _tried(
    draw: Callable[[Batch, Tick], Iterable[Result]], piece: Batch, once: "_Once"
) -> tuple[list[Result] | None, str]:  # fmt: skip
    """The results, or None and what was said when memory ran out; nothing is held by the error when this is left."""
    once.begin()
    try:
        return list(draw(piece, once)), ""
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        once.again()
        return None, str(error) or type(error).__name__


def _joined(several: list[Result]) -> Result:
    """Runs of members of one time as one."""
    if len(several) == 1:
        return several[0]
    values = np.concatenate([one.values for one in several])
    return replace(several[0], values=values, residual=np.max([one.residual for one in several], 0))


class _Once:
    """Passes steps on, but for those that were passed on in a try that failed."""

    def __init__(self, tick: Tick) -> None:
        self._tick, self._ahead, self._tried = tick, 0, 0

    def begin(self) -> None:
        """Begin a try."""
        self._tried = 0

    def again(self) -> None:
        """The try failed."""
        self._ahead += self._tried

    def __call__(self, count: int) -> None:
        known = min(count, self._ahead)
        self._ahead -= known
        self._tried += count
        if count > known:
            self._tick(count - known)
