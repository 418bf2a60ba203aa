"""Files whose opening never ends: HDF5 loops on some damaged ones, in C, where no handler of Python's is reached.

netCDF4 lets other threads run meanwhile. One of them looks at the processor's seconds of the thread that opens, not at the
clock: tapes and networks may take their minutes. Beyond :data:`LIMIT` it removes what is half written and ends the process.
So it does where SIGTERM, SIGHUP, SIGUSR1 or Ctrl-C came :data:`PATIENCE` seconds ago and nobody could hear it.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from zssd_cli.errors import STOPPED
from zssd_cli.files import discard_unfinished
from zssd_cli.text import masked, plain

LIMIT = 60.0
"""Seconds of the processor that the opening of a file may take; they take milliseconds."""
PATIENCE = 5.0
"""Seconds after which a signal that was not heard ends the process."""
armed = False
"""Whether this is a command, whose process may be ended; somebody's notebook or service is left to hang."""
BEAT = 0.25
"""Seconds between two looks."""


@contextmanager
def watched(path: Path) -> Iterator[None]:
    """Open a NetCDF file and read its header in this block: where that never ends, the process does, with one line."""
    if not armed or not hasattr(time, "pthread_getcpuclockid"):
        # the latter on macOS and Windows
        yield
        return
    over = threading.Event()
    with _heard() as signals:
        clock = time.pthread_getcpuclockid(threading.get_ident())
        thread = threading.Thread(target=_watch, args=(path, clock, signals, over), name="zssd-watchdog", daemon=True)
        try:
            thread.start()
            yield
        finally:
            over.set()
            if thread.is_alive():
                thread.join()


@contextmanager
def _heard() -> Iterator[socket.socket | None]:
    """Where the numbers of signals arrive that the main thread of a command gets; None elsewhere, as in a notebook."""
    if threading.current_thread() is not threading.main_thread() or not callable(signal.getsignal(signal.SIGTERM)):
        yield None
        return
    arriving, sending = socket.socketpair()
    with arriving, sending:
        arriving.setblocking(False)
        sending.setblocking(False)
        before = signal.set_wakeup_fd(sending.fileno(), warn_on_full_buffer=False)
        try:
            yield arriving
        finally:
            signal.set_wakeup_fd(before)


def _watch(path: Path, clock: int, signals: socket.socket | None, over: threading.Event) -> None:
    used, asked, since = time.clock_gettime(clock), 0, 0.0
    while not over.wait(BEAT):
        if not asked and (asked := _arrived(signals)):
            since = time.monotonic()
        if asked and time.monotonic() - since > PATIENCE:
            _end(STOPPED[128 + asked], 128 + asked)
        if time.clock_gettime(clock) - used > LIMIT:
            what = f"its opening never ends in the NetCDF library (stopped after {LIMIT:g} s of the processor)"
            _end(f"error: {path}: {what}: the file is damaged; download or write it again, or leave it out.", 1)


def _arrived(signals: socket.socket | None) -> int:
    """The first signal that asks to stop, 0 for none."""
    if signals is None:
        return 0
    with suppress(OSError):
        return next((number for number in signals.recv(64) if 128 + number in STOPPED), 0)
    return 0


def _end(message: str, code: int) -> NoReturn:
    """Leave from this thread: the one that opens cannot be woken."""
    discard_unfinished()
    with suppress(OSError, ValueError):
        # a clock that runs on the terminal has hidden its cursor
        stream = sys.__stderr__ or sys.stderr  # the clock has put its own in the place
        shown = "\r\x1b[K\x1b[?25h" if stream.isatty() else ""
        stream.write(f"{shown}zssd: {plain(masked(message))}\n")
        stream.flush()
    os._exit(code)
