"""Two processes must not work on one output at the same time: locks that end with the process that holds them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from zssd_cli.errors import OutputError
from zssd_cli.files import check_target, vanishing


def lock(file: IO[bytes]) -> bool:
    """Whether no other process holds this open file; it is ours from then on. File systems without locks say yes."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Refuse where another process is at work on an output; a hidden empty file beside it is locked for as long as the block lasts.

    Raises
    ------
    OutputError
        There is another one, or the output cannot be written there.
    """
    check_target(output, "-o")
    path = output.with_name(f".{output.name}.lock")
    with _held(path, output), vanishing(path):
        yield


def _held(path: Path, output: Path) -> IO[bytes]:
    """The hidden file, open and ours; one that its holder removed while we asked for it is none."""
    while True:
        try:
            file = path.open("ab")
        except OSError as error:
            msg = (
                f"{path} cannot be written: {error.strerror or error}. Mend the folder, or choose another one with -o."
            )
            raise OutputError(msg) from error
        if not lock(file):
            file.close()
            msg = f"Another process is at work on {output}. Wait for its end, or choose another name with -o."
            raise OutputError(msg)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()
