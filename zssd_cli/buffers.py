"""What the C library does with freed memory."""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt (malloc.h)."""


def keep_buffers() -> None:
    """Let glibc keep up to 1 GB of freed memory for the next buffer of the network.

    By itself it gives a large one back at once and takes it again from the kernel, page by page: an eighth of the time of a large
    window (docs/benchmarks.md), and two fifths in a Dask worker, whose nanny sets MALLOC_TRIM_THRESHOLD_ to 64 kB
    (``benchmarks/workers.py``). Another C library is left as it is.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
        mallopt(M_MMAP_THRESHOLD, 32 << 20)
