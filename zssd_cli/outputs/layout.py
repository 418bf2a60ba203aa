"""How fields are laid down, whatever the sink: all members or their mean and spread, as they are or packed to two bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.outputs.conventions import fields, spread_name
from zssd_cli.outputs.sink import Attribute, Contents, Sink, Writer

KEPT = "zssd_kept"
"""Global attribute of an output that does not hold the members themselves."""
SPREAD_KEPT = "mean and spread of the members"
PACKED = "zssd_packed"
"""Global attribute of an output of integers: the largest rounding errors."""


@dataclass(frozen=True)
class Layout:
    """What the user asked for.

    Attributes
    ----------
    spread
        Mean and standard deviation over the members instead of the members.
    packed
        Integers of two bytes.
    """

    spread: bool = False
    packed: bool = False

    marks = (KEPT, PACKED)
    """Global attributes that say which."""

    def check(self, members: int) -> None:
        """Refuse the spread of one member: :class:`ConfigError`."""
        if self.spread and members < 2:
            msg = f"--keep-spread: expected two members or more, got {members}. Give --members 8, or leave --keep-spread out."
            raise ConfigError(msg)

    def contents(self, contents: Contents) -> Contents:
        """What an output in this layout is to hold."""
        laid = replace(contents, spread=self.spread, packed=self.packed)
        attributes: dict[str, Attribute] = dict(contents.attributes)
        if self.spread:
            attributes |= {KEPT: SPREAD_KEPT}
            if "summary" in attributes:
                attributes["summary"] = f"Mean and spread (standard deviation) of {attributes['summary']}"
        if self.packed:
            attributes[PACKED] = ", ".join(packing_errors(laid))
        return replace(laid, attributes=attributes)

    def sink(self, sink: Sink) -> Sink:
        """A sink that takes members and gives another one what this layout makes of them."""

        @contextmanager
        def opened(contents: Contents) -> Iterator[Writer]:
            with sink(self.contents(contents)) as out:
                yield Moments(out, contents) if self.spread else out

        return opened


def packing_errors(contents: Contents) -> list[str]:
    """``msl within 0.214 Pa`` of every field that is packed."""
    return [str(field.packing) for field in fields(contents) if field.packing is not None]


class Moments:
    """Gathers the members of a time one by one and writes their mean and standard deviation when all were there.

    The same sums in the same order however many members come at once (Welford 1962), so that batches leave no trace. Only times
    whose members have come in part are in memory.
    """

    def __init__(self, out: Writer, contents: Contents) -> None:
        self._out, self._members = out, contents.members
        self._sums: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}

    def write(self, time: slice, member: slice, values: np.ndarray) -> None:
        """Take (time, member, variable, lat, lon); the members of a time come in order."""
        for index, several in zip(range(time.start, time.stop), values, strict=True):
            for one in several:
                self._add(index, one.astype(np.float64))

    def _add(self, time: int, value: np.ndarray) -> None:
        count, mean, squares = self._sums.pop(time, (0, np.zeros_like(value), np.zeros_like(value)))
        count, away = count + 1, value - mean
        mean += away / count
        squares += away * (value - mean)
        if count < self._members:
            self._sums[time] = count, mean, squares
            return
        # (variable, statistic, lat, lon) to fields one after the other
        both = np.stack([mean, np.sqrt(squares / (count - 1))], 1)
        self._out.write(
            slice(time, time + 1), slice(0, 1), both.reshape(-1, *both.shape[2:]).astype(np.float32)[None, None]
        )

    def mark_drawn(self, time: int, variable: str, cells: np.ndarray) -> None:
        """See :class:`zssd_cli.outputs.sink.Writer`."""
        self._out.mark_drawn(time, variable, cells)

    def attribute(self, name: str, value: Attribute, variable: str | None = None) -> None:
        """See :class:`zssd_cli.outputs.sink.Writer`; what is said of a variable holds for its spread."""
        self._out.attribute(name, value, variable)
        if variable is not None:
            self._out.attribute(name, value, spread_name(variable))
