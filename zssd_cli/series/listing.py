"""Which files are meant: from paths, patterns, folders, URLs and lists on standard input to files, each once.

What a folder or a list names was not chosen file by file: such paths are :class:`Listed`, and those of them that cannot serve
are left out with one note (:mod:`zssd_cli.series.leaving`), where one that the user named is an error.
"""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PosixPath

from zssd_cli.errors import InputError
from zssd_cli.series.opening import is_zarr, url_of

ENDINGS = (".nc", ".nc4", ".cdf", ".grib", ".grib2", ".grb", ".grb2")
"""What is taken out of a folder, beside Zarr stores."""
STDIN = "-"


class Listed(PosixPath):
    """A path out of a folder or a list."""


def expand(paths: Sequence[str | Path]) -> tuple[Path, ...]:
    """Files and Zarr stores from paths, URLs, glob patterns and folders, each once, patterns and folders sorted.

    Raises
    ------
    InputError
        Nothing given, no such file, a pattern without match, or a folder without a file of a known ending.
    """
    found: dict[Path, Path] = {}
    for given in paths:
        for path in _matches(given if isinstance(given, Listed) else Path(given).expanduser()):
            found.setdefault(path if url_of(path) else path.resolve(), path)
    if not found:
        msg = "No input file given: give one or several NetCDF files."
        raise InputError(msg)
    return tuple(found.values())


def _matches(path: Path) -> list[Path]:
    if is_zarr(path):
        return [path]
    if path.is_dir():
        return _inside(path)
    if path.exists():
        return [path]
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True)) if glob.has_magic(str(path)) else []
    files = [match for match in matches if match.is_file() or is_zarr(match)]
    if not files:
        kind = "no file matches the pattern" if glob.has_magic(str(path)) else "no such file"
        msg = f"{path}: {kind}; check the path."
        raise InputError(msg)
    return files


def _inside(folder: Path) -> list[Path]:
    files: list[Path] = sorted(_walk(folder))
    if not files:
        msg = f"{folder}: is a directory without a file that ends in {', '.join(ENDINGS)} or .zarr; check the path."
        raise InputError(msg)
    return files


def _walk(folder: Path) -> Iterator[Path]:
    """Files of a folder and of those in it, also behind links; hidden ones and those that are still being written are not."""
    seen = {os.path.realpath(folder)}
    for root, folders, files in os.walk(folder, followlinks=True):
        inner = [name for name in folders if _is_shown(name)]
        stores = {name for name in inner if name.endswith(".zarr") or is_zarr(Path(root, name))}
        yield from (Listed(root, name) for name in stores)
        yield from (Listed(root, name) for name in files if _is_shown(name) and name.lower().endswith(ENDINGS))
        folders.clear()
        for name in inner:
            real = os.path.realpath(os.path.join(root, name))
            # a link may lead back up
            if name not in stores and real not in seen:
                seen.add(real)
                folders.append(name)


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and not name.endswith((".part", ".parts"))


def with_list(paths: Sequence[str | Path], content: bytes) -> tuple[str | Path, ...]:
    """The paths with a list in the place of ``-``.

    Parameters
    ----------
    paths
        As the user gave them.
    content
        A path, pattern, folder or URL per line, blank lines and those that begin with # left out; or ended by NUL bytes
        (``find -print0``), then taken as they are.
    """
    parts = content.split(b"\0") if b"\0" in content else [line.strip() for line in content.splitlines()]
    names = [os.fsdecode(part) for part in parts if part and (b"\0" in content or not part.startswith(b"#"))]
    if not names:
        msg = "-: the list on standard input is empty; pipe one in, for instance find archive -name 'psl_*.nc' | zssd inspect -"
        raise InputError(msg)
    given: list[str | Path] = []
    for path in paths:
        given += [path] if path != STDIN else [Listed(name) for name in names]
    return tuple(given)
