"""Files that appear whole or not at all, and only where they may."""

import errno
import glob
import hashlib
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from zssd_cli.errors import InputError, OutputError

ZARR = ".zarr"
"""Ending of outputs that are folders."""
_WRITER = re.compile(r"(?:(?P<where>[0-9a-f]{8})-(?P<number>[0-9a-f]+)-[0-9a-f]{8}|[\w-]{8})\.(?:part|old)")
"""Who writes a temporary file: machine and process, or, of earlier versions, nobody that can be asked."""
STALE = 24 * 3600.0
"""Seconds without a change after which what another machine has half written is taken for abandoned."""
SAMPLES, SAMPLE = 9, 1 << 16
"""Pieces of a file that tell whether it was changed, and bytes of a piece."""
_UNFINISHED: set[Path] = set()
"""What this process has half written now."""
if hasattr(os, "register_at_fork"):
    # a child of a fork in the middle of a block must not remove what is its parent's
    os.register_at_fork(after_in_child=_UNFINISHED.clear)


def check_target(path: Path, option: str, inputs: Iterable[Path] = ()) -> None:
    """Refuse before any work a file that cannot or must not be written at its end; ``option`` names it.

    Raises
    ------
    OutputError
        Its name is not UTF-8, its folder is not there, it is a folder or a device, or it is one of the inputs.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        msg = f"{option} {path}: the name is not UTF-8, which NetCDF asks for. Choose another name."
        raise OutputError(msg) from error
    real = followed(path)
    if not real.parent.is_dir():
        linked = f" (a link to {real})" if real != path else ""
        msg = f"Cannot write {path}{linked}: the folder {real.parent} does not exist. Make it first (mkdir -p)."
        raise OutputError(msg)
    store = path.suffix == ZARR and (path / "zarr.json").is_file()
    if path.exists() and not path.is_file() and not store:
        kind = "a folder" if path.is_dir() else "no regular file"
        msg = f"{path} is {kind}; give the name of a file with {option}."
        raise OutputError(msg)
    if path.exists() and any(given.exists() and given.samefile(path) for given in inputs):
        msg = f"{path} is one of the inputs. Choose another name with {option}."
        raise OutputError(msg)


def check_regular(path: Path) -> None:
    """Refuse to open a pipe, a socket or a device, which could keep a reader waiting for ever.

    Raises
    ------
    InputError
        It is one.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        msg = f"{path} is no regular file but a pipe, a socket or a device; give a file."
        raise InputError(msg)


def followed(path: Path) -> Path:
    """Where a symbolic link leads, so that the link stays and what it names is written; any other path as it is."""
    if not path.is_symlink():
        return path
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        msg = f"{path} is a link that leads nowhere ({error}). Choose another name."
        raise OutputError(msg) from error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """What the disk refuses while ``path`` is written is an :class:`OutputError` with a remedy."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Free space or choose another disk." if full else "Choose a folder that you may write to."
        msg = f"{path} cannot be written: {error.strerror or error}. {remedy}"
        raise OutputError(msg) from error
    except RuntimeError as error:
        if "HDF" not in str(error):
            raise
        msg = f"{path} cannot be written: {error} (is the disk full?). Free space or choose another disk."
        raise OutputError(msg) from error


def write_safely(path: Path, data: bytes) -> None:
    """Write a file that is whole and on the disk, or not there, whatever happens to the machine."""
    path = followed(path)
    temporary = path.with_name(f".{path.name}.part")
    with vanishing(temporary):
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    sync(path.parent)


def fingerprint(path: Path) -> str:
    """Size and a hash of samples of a file (the whole of a small one), or of a folder's names, sizes and first files.

    Copies of a file have the same, whenever they were made; a change that leaves the size as it is and touches no sample is not seen.
    """
    files = [path] if path.is_file() else sorted(inner for inner in path.rglob("*") if inner.is_file())
    sizes, seen = [file.stat().st_size for file in files], hashlib.sha256()
    for file, size in zip(files, sizes, strict=True):
        seen.update(f"{file.relative_to(path)} {size}\0".encode())
    for file, size in zip(files[:SAMPLES], sizes, strict=False):
        with file.open("rb") as opened:
            for place in range(0, size, max(SAMPLE, -(-(size - SAMPLE) // (SAMPLES - 1)))):
                # the last one ends with the file
                opened.seek(min(place, max(size - SAMPLE, 0)))
                seen.update(opened.read(SAMPLE))
    return f"{sum(sizes)} bytes, samples {seen.hexdigest()[:16]}"


def changed(path: Path) -> str:
    """Moment of the last change of a file or of any in a folder."""
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    moment = max((file.stat().st_mtime_ns for file in files), default=0)
    return f"{datetime.fromtimestamp(moment // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{moment % 10**9:09d}Z"


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _beside(path: Path, end: str) -> Path:
    """A hidden name beside ``path`` that says who writes it: machine, process, and some random letters."""
    return path.with_name(f".{path.name}.{_here()}-{os.getpid():x}-{secrets.token_hex(4)}.{end}")


@cache
def _here() -> str:
    """The machine as it runs now, and this container: where a process number means something."""
    marks = [socket.gethostname()]
    with suppress(OSError):
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with suppress(OSError):
        marks.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return hashlib.sha256(" ".join(marks).encode()).hexdigest()[:8]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that becomes ``path`` when the block ends well and vanishes when it does not.

    A link stays, and what it names is replaced.
    """
    path = followed(Path(path))
    # named before it is made: a signal that comes in between must find what to remove
    temporary = _beside(path, "part")
    with vanishing(temporary):
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` for as long as the block lasts; of a killed process :func:`clear_leftovers` removes it."""
    folder = _beside(followed(path), "part")
    with vanishing(folder):
        folder.mkdir(0o700)
        yield folder


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """A private folder among the machine's temporary files; those that killed processes left of this name are removed first."""
    path = Path(tempfile.gettempdir()) / (f"{name}-{os.getuid()}" if hasattr(os, "getuid") else name)
    clear_leftovers(path)
    folder = _beside(path, "part")
    with vanishing(folder):
        folder.mkdir(0o700)
        yield folder


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """As :func:`atomic_path` for a folder; what was there goes when the new one is whole."""
    path = followed(path)
    temporary, old = (_beside(path, end) for end in ("part", "old"))
    with vanishing(temporary):
        temporary.mkdir()
        yield temporary
        try:
            if path.exists():
                path.rename(old)
            temporary.rename(path)
            sync(path.parent)
        finally:
            if old.exists() and not path.exists():
                # a signal came between the two names
                old.rename(path)
            _discard(old)


@contextmanager
def atomic_pair(*paths: Path | None) -> Iterator[tuple[Path | None, ...]]:
    """As :func:`atomic_path` for files that belong together: all are whole before the first one gets its name."""
    with ExitStack() as stack:
        yield tuple(None if path is None else stack.enter_context(atomic_path(path)) for path in paths)


@contextmanager
def vanishing(path: Path) -> Iterator[None]:
    """Nothing stays of ``path`` after the block, nor where the process ends within it by :func:`discard_unfinished`.

    That is for the process that began the block: one forked within it removes nothing.
    """
    _UNFINISHED.add(path)
    try:
        yield
    finally:
        if path in _UNFINISHED:
            _discard(path)
            _UNFINISHED.discard(path)


def discard_unfinished() -> None:
    """Remove what this process has half written, where no block can end any more."""
    for path in tuple(_UNFINISHED):
        with suppress(OSError):
            _discard(path)


def clear_leftovers(path: Path) -> None:
    """Remove what processes that were killed left half written of ``path``, and nothing that another one is writing.

    Known by the process number in the name on this machine, by its age on another one.
    """
    path = followed(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        writer = _WRITER.fullmatch(left.name.removeprefix(f".{path.name}."))
        if writer is not None and _abandoned(left, writer):
            # somebody else's stays
            with suppress(PermissionError):
                _discard(left)


def _abandoned(left: Path, writer: re.Match[str]) -> bool:
    if writer["where"] is None:
        return True
    if writer["where"] == _here():
        return _gone(int(writer["number"], 16))
    try:
        newest = max(file.stat().st_mtime for file in (left, *left.rglob("*")))
    except OSError:
        return False
    return time.time() - newest > STALE


def _gone(number: int) -> bool:
    """Whether there is no process of this number."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
