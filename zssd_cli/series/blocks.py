"""Fields out of chunks that hold many times: a chunk is read once for all of its times, not again for each.

A file may keep a year in one compressed chunk; whoever reads it time by time inflates it at every step. The times that share a chunk are
therefore read together and held, one block for each variable, until another one is asked for: what is held is bounded by MOST bytes
whatever the number of files and times.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

MOST = 256 * 2**20
"""Bytes of a block at most; a chunk of more is inflated once for every block."""
FEW = 4
"""Times in a chunk up to which nothing is gained."""


@dataclass(eq=False)
class Blocks:
    """The blocks that were read last, by what they are of."""

    _held: dict[str, tuple[xr.DataArray, int, np.ndarray]] = field(default_factory=dict)

    def take(
        self,
        name: str,
        array: xr.DataArray,
        dim: str,
        positions: Sequence[int],
        read: Callable[[range], np.ndarray],
    ) -> np.ndarray:
        """Values (time, ...) at positions of an array's time dimension.

        Parameters
        ----------
        name
            Of what it is; one block is held for each name.
        array
            Lazy; it tells the file's chunks.
        dim
            Its time dimension.
        positions
            Which times.
        read
            Reads a run of times, (time, ...).
        """
        length = _length(array, dim)
        parts: list[np.ndarray] = []
        start = 0
        for stop in range(1, len(positions) + 1):
            block = positions[start] // length
            if stop < len(positions) and positions[stop] // length == block:
                continue
            held = self._held.get(name)
            if held is None or held[0] is not array or held[1] != block:
                self._held.pop(name, None)
                held = array, block, read(range(block * length, min((block + 1) * length, array.sizes[dim])))
                self._held[name] = held
            parts.append(held[2][[position - block * length for position in positions[start:stop]]])
            start = stop
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def is_worth_it(array: xr.DataArray, dim: str) -> bool:
    """Whether the file keeps so many times in one chunk that they are better read together."""
    return _chunk(array, dim) > FEW and _length(array, dim) > 1


def _chunk(array: xr.DataArray, dim: str) -> int:
    """Times in a chunk of the file; 1 where it has none."""
    chunks = array.encoding.get("preferred_chunks") or {}
    return int(chunks.get(dim, 1)) if not array.encoding.get("contiguous") else 1


def _length(array: xr.DataArray, dim: str) -> int:
    """Times in a block: all of a chunk, or an even part of one that is too large."""
    chunk = min(_chunk(array, dim), array.sizes[dim])
    field_bytes = max(1, array.nbytes // max(1, array.sizes[dim]))
    pieces = -(-chunk * field_bytes // MOST)
    return max(1, -(-chunk // pieces))
