"""Block means of a whole series, once through its files, into a scratch file that outgrows no memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cftime
import numpy as np

from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.grids.regridders import make_regrid
from zssd_cli.series.protocol import CoarseSeries

READ = 64 * 1024**2
"""Bytes of fields that are read together."""
PIECE = 64
"""Times whose block means are put down together."""
ROWS = 512 * 1024**2
"""Bytes of block means of one variable that are looked at together."""


@dataclass(frozen=True)
class BlockMeans:
    """Block means on disk.

    Attributes
    ----------
    times
        Their dates.
    values
        (variables, rows, times, columns), float32, NaN where missing, in a file.
    """

    times: tuple[cftime.datetime, ...]
    values: np.ndarray

    def rows_at_once(self) -> int:
        """Rows of blocks that fit into memory together."""
        return max(1, ROWS // (4 * len(self.times) * self.values.shape[3]))

    def of(self, variable: int, rows: slice) -> np.ndarray:
        """A variable in some rows, (times, points)."""
        part = np.array(self.values[variable, rows])
        return part.transpose(1, 0, 2).reshape(len(self.times), -1)


def scratch_bytes(times: int, variables: int, grid: LatLonGrid) -> int:
    """Size of the file."""
    return 4 * times * variables * grid.shape[0] * grid.shape[1]


def gather(
    source: CoarseSeries,
    variables: Sequence[str],
    grid: LatLonGrid,
    scratch: Path,
    which: Sequence[int] | None = None,
    tick: Callable[[int], None] = lambda _: None,
) -> BlockMeans:
    """Read a series once and average it to blocks, as a downscaling does.

    Parameters
    ----------
    source
        The series.
    variables
        Those of it that are wanted, in this order.
    grid
        Blocks.
    scratch
        File to make.
    which
        Numbers of the times, ascending; None: all.
    tick
        Called with the number of times that were read since.
    """
    numbers = list(range(len(source.times)) if which is None else which)
    shape = (len(variables), grid.shape[0], len(numbers), grid.shape[1])
    values = np.memmap(scratch, np.float32, "w+", shape=shape)
    regrids = {id(cells): make_regrid(cells, grid)[0] for cells in source.cells.values()}
    for places in _pieces(numbers, _at_once(source)):
        first, last = numbers[places.start], numbers[places.stop - 1]
        for k, name in enumerate(variables):
            means = regrids[id(source.cells[name])](source.fields(name, first, last + 1))
            values[k, :, places.start : places.stop] = means.transpose(1, 0, 2)
        tick(len(places))
    return BlockMeans(tuple(source.times[n] for n in numbers), values)


def _at_once(source: CoarseSeries) -> int:
    """Times that are read together."""
    largest = 1
    for cells in source.cells.values():
        if cells.grid is not None:
            largest = max(largest, cells.grid.shape[0] * cells.grid.shape[1])
        elif cells.points is not None:
            largest = max(largest, cells.points.lat.size)
    # twice in double precision while a field is averaged
    return min(PIECE, max(1, READ // (20 * largest)))


def _pieces(numbers: Sequence[int], longest: int) -> Iterator[range]:
    """Runs of places whose numbers follow one another, at most so long."""
    breaks = [0, *(k for k in range(1, len(numbers)) if numbers[k] != numbers[k - 1] + 1), len(numbers)]
    for start, stop in pairwise(breaks):
        for first in range(start, stop, longest):
            yield range(first, min(first + longest, stop))
