"""Files that appear whole or not at all, and only where they may."""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zssd_cli.errors import OutputError


def check_target(path: Path, option: str, inputs: Iterable[Path] = ()) -> None:
    """Refuse before any work a file that cannot or must not be written at its end; ``option`` names it.

    Raises
    ------
    OutputError
        Its folder is not there, it is a folder or a device, or it is one of the inputs.
    """
    if not path.parent.is_dir():
        msg = f"Cannot write {path}: the folder {path.parent} does not exist. Make it first (mkdir -p)."
        raise OutputError(msg)
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        msg = f"{path} is {kind}; give the name of a file with {option}."
        raise OutputError(msg)
    if path.exists() and any(given.exists() and given.samefile(path) for given in inputs):
        msg = f"{path} is one of the inputs. Choose another name with {option}."
        raise OutputError(msg)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that becomes ``path`` when the block ends well and vanishes when it does not."""
    path = Path(path)
    # named before it is made: a signal that comes in between must find what to remove
    temporary = path.parent / f".{path.name}.{secrets.token_urlsafe(6)}.part"
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
