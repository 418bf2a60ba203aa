"""Finished batches of a run in a folder beside its output, so that a run which was killed goes on where it was.

The folder holds two files, which only grow: ``fields.bin``, the batches one after the other, and ``manifest.jsonl``, whose first
line says what is being made; every other one names a batch, where it lies, its hash and the seconds that it took. A batch is on the
disk before its line is written, and counts once its line is whole; what stands after the last such batch is cut at opening. Opening
compares sizes only; a hash is compared where a batch is loaded.

A batch is stored as safetensors, its bytes sorted by their place in a word of four and deflated, as NetCDF does with numbers.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors.numpy import load, save

from zssd_cli.errors import OutputError
from zssd_cli.files import disk_errors, sync, write_safely
from zssd_cli.locks import lock

MANIFEST, FIELDS = "manifest.jsonl", "fields.bin"
FORMAT = "zssd-parts-2"
WORD = 4
"""Bytes of most numbers."""


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
    slowest
        The most ``seconds`` that were noted with a batch.
    """

    def __init__(self, folder: Path) -> None:
        """Open what :meth:`begin` made; damaged lines, and batches of which bytes are missing, do not count.

        Raises
        ------
        OutputError
            The manifest's first line is damaged, the folder holds something else, or another process works on it.
        """
        self.folder = folder
        self._manifest = _open_alone(folder / MANIFEST)
        try:
            first = _parsed(self._manifest.readline())
            if not isinstance(first, dict) or first.get("format") != FORMAT:
                msg = f"{folder / MANIFEST}: the first line is damaged or of another version. Pass --overwrite to start anew."
                raise OutputError(msg)
            self.header: dict[str, Any] = first
            with disk_errors(folder):
                self._fields = os.open(folder / FIELDS, os.O_RDWR | os.O_CREAT, 0o666)
        except BaseException:
            self._manifest.close()
            raise
        self.slowest = 0.0
        self._done: dict[str, int] = {}
        """Batch -> place of its line in the manifest."""
        self.reread()

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

    def reread(self) -> None:
        """Learn which batches are whole and cut what was left half-written, as after a signal in :meth:`keep`."""
        there, end = os.fstat(self._fields).st_size, 0
        # opened anew: what was read before may still be buffered
        with (self.folder / MANIFEST).open("rb") as file:
            place = len(file.readline())
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                line, here, place = _parsed(raw), place, place + len(raw)
                if not isinstance(line, dict) or "batch" not in line:
                    continue
                self.slowest = max(self.slowest, line.get("seconds", 0.0))
                stop = line.get("offset", 0) + line.get("length", there + 1)
                if stop <= there:
                    self._done[line["batch"]], end = here, max(end, stop)
                else:
                    self._done.pop(line["batch"], None)
        self._manifest.truncate(place)
        os.ftruncate(self._fields, end)
        self._line_end, self._end = place, end

    @property
    def lines(self) -> Iterator[dict[str, Any]]:
        """The manifest's lines after the first one, in the order in which they were written; damaged ones are left out."""
        with (self.folder / MANIFEST).open("rb") as file:
            file.readline()
            for raw in file:
                if isinstance(line := _parsed(raw), dict):
                    yield line

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
        data = _deflated(save({name: np.ascontiguousarray(values) for name, values in arrays.items()}))
        where = {"offset": self._end, "length": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        with disk_errors(self.folder):
            _write(self._fields, data, self._end)
            os.fsync(self._fields)
            place = self._append({"batch": batch, **where, **noted})
        self._end += len(data)
        self._done[batch] = place
        self.slowest = max(self.slowest, noted.get("seconds", 0.0))

    def note(self, line: Mapping[str, Any]) -> None:
        """Add a line of no batch to the manifest."""
        with disk_errors(self.folder):
            self._append(line)

    def _append(self, line: Mapping[str, Any]) -> int:
        """Write a line to the manifest's end and onto the disk; where it begins."""
        data, place = _line(line), self._line_end
        _write(self._manifest.fileno(), data, place)
        os.fsync(self._manifest.fileno())
        self._line_end += len(data)
        return place

    def load(self, batch: str) -> dict[str, np.ndarray]:
        """The arrays of a finished batch.

        Raises
        ------
        OutputError
            The disk gives other bytes than were stored. The batch counts no longer.
        """
        # opened anew, as in reread
        with (self.folder / MANIFEST).open("rb") as file:
            file.seek(self._done[batch])
            line = _parsed(file.readline())
        data = _read(self._fields, line["length"], line["offset"])
        if hashlib.sha256(data).hexdigest() != line["sha256"]:
            self.note({"batch": batch, "lost": "the bytes on the disk are not those that were stored"})
            del self._done[batch]
            msg = (
                f"{self.folder / FIELDS} is damaged: {batch} is not what was stored. The same command with --resume draws it "
                "again; check the disk if this comes back."
            )
            raise OutputError(msg)
        return load(_inflated(data))

    def remove(self) -> None:
        """Remove the folder."""
        _remove(self.folder)
        self.close()

    def close(self) -> None:
        """Let others work on the folder."""
        if not self._manifest.closed:
            os.close(self._fields)
            self._manifest.close()


def begun(output: Path) -> bool:
    """Whether there is a folder with at least one finished batch of an output."""
    path = folder_of(output) / MANIFEST
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.readline()
        return any(b'"batch"' in line and line.endswith(b"\n") for line in file)


def clear_removed(output: Path) -> None:
    """Remove what is left of a folder whose removal was cut short."""
    shutil.rmtree(_doomed(folder_of(output)), ignore_errors=True)


def _open_alone(path: Path) -> BinaryIO:
    """Open a manifest that no other process works on."""
    with disk_errors(path):
        file = path.open("r+b")
    if not lock(file):
        file.close()
        msg = f"Another process is at work in {path.parent}. Wait for its end, or choose another name with -o."
        raise OutputError(msg)
    return file


def _remove(folder: Path) -> None:
    """Its name goes first and at once, so that a half-removed folder is not taken for one to go on with."""
    doomed = _doomed(folder)
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    sync(doomed.parent)
    shutil.rmtree(doomed, ignore_errors=True)


def _doomed(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.part")


def _write(file: int, data: bytes, place: int) -> None:
    """Write all of it: the system may take less at once."""
    rest = memoryview(data)
    while rest:
        count = os.pwrite(file, rest, place)
        rest, place = rest[count:], place + count


def _read(file: int, length: int, place: int) -> bytes:
    """As much of it as is there: the system may give less at once."""
    pieces: list[bytes] = []
    while length > 0 and (piece := os.pread(file, length, place)):
        pieces.append(piece)
        length, place = length - len(piece), place + len(piece)
    return b"".join(pieces)


def _deflated(data: bytes) -> bytes:
    """The number of bytes that fill the last word, and the deflated words."""
    filled = -len(data) % WORD
    words = np.frombuffer(data + bytes(filled), np.uint8).reshape(-1, WORD)
    return bytes([filled]) + zlib.compress(words.T.tobytes(), 1)


def _inflated(data: bytes) -> bytes:
    words = np.frombuffer(zlib.decompress(memoryview(data)[1:]), np.uint8).reshape(WORD, -1)
    return words.T.tobytes()[: words.size - data[0]]


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
