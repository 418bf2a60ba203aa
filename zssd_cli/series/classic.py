"""Is a classic NetCDF file (CDF-1, CDF-2, CDF-5) complete? The C library reads rubbish past the end of a truncated one.

The header is walked as in the NetCDF classic format specification: dimensions, attributes, variables with offsets.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
_STREAMING = (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class _Reader:
    """Big-endian numbers and padded names; ``wide`` counts take 8 bytes (CDF-5), ``far`` offsets too (CDF-2)."""

    stream: BinaryIO
    wide: bool
    far: bool

    def number(self, wide: bool) -> int:
        return struct.unpack(">Q" if wide else ">I", self.stream.read(8 if wide else 4))[0]

    def count(self) -> int:
        return self.number(self.wide)

    def skip(self, size: int) -> None:
        self.stream.seek(size + -size % 4, 1)

    def entries(self) -> int:
        """Number of entries of a list, after its tag."""
        self.number(wide=False)
        return self.count()

    def skip_attributes(self) -> None:
        for _ in range(self.entries()):
            self.skip(self.count())
            kind = self.number(wide=False)
            self.skip(_TYPE_SIZES[kind] * self.count())


def missing_bytes(path: Path) -> int:
    """How many bytes a classic NetCDF file lacks according to its own header; 0 for complete files and other formats.

    Raises
    ------
    struct.error, KeyError
        The header itself is broken.
    """
    with path.open("rb") as stream:
        magic = stream.read(4)
        if magic[:3] != b"CDF" or magic[3] not in (1, 2, 5):
            return 0
        expected = _expected_size(_Reader(stream, wide=magic[3] == 5, far=magic[3] != 1))
    return max(0, expected - path.stat().st_size)


def _expected_size(reader: _Reader) -> int:
    """End of the last value that the header promises."""
    records = reader.count()
    lengths = []
    for _ in range(reader.entries()):
        reader.skip(reader.count())
        lengths.append(reader.count())
    reader.skip_attributes()
    end = 0
    recorded: list[tuple[int, int]] = []
    for _ in range(reader.entries()):
        reader.skip(reader.count())
        shape = [lengths[reader.count()] for _ in range(reader.count())]
        reader.skip_attributes()
        item = _TYPE_SIZES[reader.number(wide=False)]
        reader.count()
        begin = reader.number(reader.far)
        is_record = bool(shape) and shape[0] == 0
        size = item * math.prod(shape[1:] if is_record else shape)
        if is_record:
            recorded.append((begin, size))
        else:
            end = max(end, begin + size)
    if not recorded or records == 0 or records in _STREAMING:
        return end
    stride = recorded[0][1] if len(recorded) == 1 else sum(size + -size % 4 for _, size in recorded)
    return max(end, *(begin + (records - 1) * stride + size for begin, size in recorded))
