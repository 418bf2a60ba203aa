"""What the C library does with freed memory."""

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt (malloc.h)."""


def keep_buffers(most: int = 1 << 30, *, insist: bool = False) -> None:
    """Let glibc keep up to ``most`` bytes of freed memory for the next buffer of the network.

    By itself it gives a large one back at once and takes it again from the kernel, page by page: an eighth of the time of a large
    window (docs/benchmarks.md), and two fifths in a Dask worker, whose nanny sets MALLOC_TRIM_THRESHOLD_ to 64 kB
    (``benchmarks/workers.py``). Another C library is left as it is, and without ``insist`` what that variable says.
    """
    if sys.platform != "linux" or ("MALLOC_TRIM_THRESHOLD_" in os.environ and not insist):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, most)
        mallopt(M_MMAP_THRESHOLD, 32 << 20)
