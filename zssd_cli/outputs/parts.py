"""Finished batches of a run in a folder beside its output, so that a run which was killed goes on where it was.

The folder holds a file per batch (safetensors, each whole or not there) and ``manifest.jsonl``: its first line says what is being
made, every other one names a batch, its file, the file's hash and the seconds that it took. A batch counts once its line is whole.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors.numpy import load, save

from zssd_cli.errors import OutputError
from zssd_cli.files import disk_errors, sync, write_safely

MANIFEST = "manifest.jsonl"
FORMAT = "zssd-parts-1"


def folder_of(output: Path) -> Path:
    """Where the parts of an output are kept until it is whole."""
    return output.with_name(f"{output.name}.parts")


class Parts:
    """A folder of finished batches that this process alone works on.

    Attributes
    ----------
    folder
        Where they are.
    header
        What is being made, as it was given to :meth:`begin`.
    lines
        The manifest's lines in the order in which batches were finished; also of those that were damaged later.
    """

    def __init__(self, folder: Path) -> None:
        """Open what :meth:`begin` made; damaged parts and lines do not count.

        Raises
        ------
        OutputError
            The manifest's first line is damaged, the folder holds something else, or another process works on it.
        """
        self.folder, path = folder, folder / MANIFEST
        self._file = _open_alone(path)
        try:
            first, *others = self._whole_lines()
            if not isinstance(first, dict) or first.get("format") != FORMAT:
                msg = f"{path}: the first line is damaged or of another version. Pass --overwrite to start anew."
                raise OutputError(msg)
        except BaseException:
            self._file.close()
            raise
        self.header: dict[str, Any] = first
        self.lines = [line for line in others if isinstance(line, dict) and "batch" in line]
        self._done = {str(line["batch"]): line for line in self.lines if self._is_sound(line)}

    @classmethod
    def begin(cls, folder: Path, header: Mapping[str, Any]) -> "Parts":
        """A new folder in the place of one that may be there."""
        with disk_errors(folder):
            if (folder / MANIFEST).exists():
                with _open_alone(folder / MANIFEST):
                    _remove(folder)
            elif folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
                msg = f"{folder} is there and no folder of zssd's. Move it away, or choose another name with -o."
                raise OutputError(msg)
            folder.mkdir(exist_ok=True)
            write_safely(folder / MANIFEST, _line({"format": FORMAT, **header}))
        return cls(folder)

    def _whole_lines(self) -> list[Any]:
        """The lines, None for damaged ones; one that was cut is removed."""
        content = self._file.read()
        self._file.truncate(self._file.seek(content.rfind(b"\n") + 1))
        return [_parsed(line) for line in content[: content.rfind(b"\n")].split(b"\n")]

    def _is_sound(self, line: Mapping[str, Any]) -> bool:
        path = self.folder / str(line.get("file"))
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == line.get("sha256")

    @property
    def origin(self) -> dict[str, str]:
        """What was called at the beginning, and when: ``command`` and ``created``."""
        return {key: self.header[key] for key in ("command", "created")}

    def __contains__(self, batch: str) -> bool:
        """Whether a batch is finished."""
        return batch in self._done

    def __len__(self) -> int:
        """Number of finished batches."""
        return len(self._done)

    def keep(self, batch: str, arrays: Mapping[str, np.ndarray], noted: Mapping[str, Any]) -> None:
        """Store a finished batch: once this returns nothing short of a broken disk loses it.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        data = save({name: np.ascontiguousarray(values) for name, values in arrays.items()})
        line = {"batch": batch, "file": f"{batch}.safetensors", "sha256": hashlib.sha256(data).hexdigest(), **noted}
        with disk_errors(self.folder):
            write_safely(self.folder / line["file"], data)
            self._file.write(_line(line))
            self._file.flush()
            os.fsync(self._file.fileno())
        self.lines.append(line)
        self._done[batch] = line

    def load(self, batch: str) -> dict[str, np.ndarray]:
        """The arrays of a finished batch."""
        return load((self.folder / self._done[batch]["file"]).read_bytes())

    def remove(self) -> None:
        """Remove the folder."""
        _remove(self.folder)
        self.close()

    def close(self) -> None:
        """Let others work on the folder."""
        self._file.close()


def begun(output: Path) -> bool:
    """Whether there is a folder with at least one finished batch of an output."""
    path = folder_of(output) / MANIFEST
    return path.is_file() and path.read_bytes().count(b"\n") > 1


def _open_alone(path: Path) -> BinaryIO:
    """Open a manifest that no other process works on."""
    with disk_errors(path):
        file = path.open("r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        msg = f"Another process is at work in {path.parent}. Wait for its end, or choose another name with -o."
        raise OutputError(msg) from error
    except OSError:
        # a file system without locks
        pass
    return file


def _remove(folder: Path) -> None:
    """Its name goes first and at once, so that a half-removed folder is not taken for one to go on with."""
    doomed = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    sync(doomed.parent)
    shutil.rmtree(doomed, ignore_errors=True)


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
