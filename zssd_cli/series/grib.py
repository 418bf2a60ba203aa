"""GRIB in: whole messages only, each of them read once where a crash does no harm, then a dataset per variable by cfgrib.

cfgrib leaves out messages that it cannot read and goes on, and ecCodes ends the process on some damaged ones. So the
headers of all messages are walked first (lengths, sections, the closing ``7777``), and a child process reads the file
once (:mod:`zssd_cli.series.gribcheck`). That costs half a second and the time to decode the wanted fields once more.
"""

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from zssd_cli.errors import InputError
from zssd_cli.files import fingerprint, temporary_folder
from zssd_cli.variables import Variable

AGAIN = "download or write it again."
_END = b"7777"
_LARGE, _BLOCK = 0x800000, 120
"""GRIB1 messages beyond 8 MB: the highest bit of the length says that it counts blocks of 120 bytes."""
_GAP = 4096
"""Longest text between messages: headings of bulletins, and zeros to the end of a block."""
_LOOK = 1 << 24
"""Bytes in which the next message is looked for, to say what lies before it."""
_ENDS = ("longitudeOfFirstGridPointInDegrees", "longitudeOfLastGridPointInDegrees")
_PATIENCE, _SLOWEST = 60.0, 1e6
"""Seconds, and bytes per second, that a child has to read a file."""


def open_grib(path: Path, variables: Sequence[Variable]) -> tuple[xr.Dataset, ...]:
    """A dataset per variable: GRIB files mix levels, which no single dataset can hold.

    Raises
    ------
    InputError
        cfgrib is not there, or the file is truncated or damaged.
    """
    if find_spec("cfgrib") is None:
        msg = "is GRIB, which needs cfgrib: pip install cfgrib eccodes, or convert it with grib_to_netcdf."
        raise InputError(msg)
    keys = [{"shortName": name} | _level_keys(variable) for variable in variables for name in variable.grib]
    names = tuple(sorted({str(key["shortName"]) for key in keys}))
    check_messages(path, names, fingerprint(path))
    with temporary_folder("zssd-grib") as folder, _silent():
        opened = [_open_messages(path, key, folder / "index") for key in keys]
    return tuple(dataset for dataset in opened if dataset is not None)


def _level_keys(variable: Variable) -> dict[str, object]:
    if variable.level is None:
        return {}
    return {"typeOfLevel": "isobaricInhPa", "level": int(variable.level / 100)}


def _open_messages(path: Path, keys: dict[str, object], index: Path) -> xr.Dataset | None:
    """The messages that have these keys; the index of the whole file is kept in ``index`` for the next call."""
    import cfgrib  # noqa: PLC0415  optional, slow

    options = {
        "filter_by_keys": keys,
        "read_keys": ["stream", "uvRelativeToGrid", *_ENDS],
        "indexpath": f"{index}.{{short_hash}}",
        "errors": "raise",
    }
    try:
        dataset = xr.open_dataset(path, engine="cfgrib", backend_kwargs=options, decode_times=False, cache=False)
    except (EOFError, cfgrib.DatasetBuildError) as error:
        if isinstance(error, EOFError) or "no valid message" in str(error):
            return None
        raise
    return dataset.map(_by_rows, keep_attrs=True) if dataset.data_vars else None


def _by_rows(array: xr.DataArray) -> xr.DataArray:
    """A field from west to east, row by row: cfgrib lays down all as if they were written so, but for the rows' order."""
    by_columns, westward = (
        array.attrs.get(f"GRIB_{key}") == 1 for key in ("jPointsAreConsecutive", "iScansNegatively")
    )
    if array["longitude"].ndim > 1 or array["longitude"].dims == array["latitude"].dims:
        if by_columns:
            # their coordinates are laid down with them, so that only neighbours are wrong
            msg = f"points that follow each other along columns of a {array.attrs.get('GRIB_gridType')} grid are not read; convert it."
            raise InputError(msg)
        return array
    variable = array.variable
    if by_columns:
        data = indexing.LazilyIndexedArray(_ByColumns(variable))
        variable = xr.Variable(variable.dims, data, variable.attrs, variable.encoding)
    if not westward:
        return array.copy(data=variable._data)  # noqa: SLF001  still lazy
    # cfgrib sorts the longitudes, be the first one east or west of Greenwich
    first, last = (float(array.attrs[f"GRIB_{end}"]) for end in _ENDS)
    east = np.round(first - (first - last) % 360 * np.linspace(1, 0, array.sizes["longitude"]), 6)
    told = np.round(array["longitude"].values.astype(float), 6)
    if not np.allclose(np.sort(east % 360), np.sort(told % 360), atol=1e-3):
        msg = f"longitudes from {first:g} westward to {last:g} are not those that ecCodes tells; convert it, for instance with cdo."
        raise InputError(msg)
    turned = array.copy(data=variable.isel(longitude=slice(None, None, -1))._data)  # noqa: SLF001
    return turned.assign_coords(longitude=("longitude", east, array["longitude"].attrs))


class _ByColumns(BackendArray):
    """A lazy array (..., rows, columns) of values that were written column by column."""

    def __init__(self, written: xr.Variable) -> None:
        self._written, self.shape, self.dtype = written, written.shape, written.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """As xarray asks for it."""
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> np.ndarray:
        values = np.asarray(self._written[(*key[:-2], slice(None), slice(None))].values)
        rows, columns = self.shape[-2:]
        return values.reshape(*values.shape[:-2], columns, rows).swapaxes(-1, -2)[..., key[-2], key[-1]]


@contextmanager
def _silent() -> Iterator[None]:
    """What cfgrib logs is either raised here or of no use to a user."""
    logger = logging.getLogger("cfgrib")
    before = logger.disabled, logger.level, logger.propagate
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    try:
        yield
    finally:
        logger.disabled, logger.level, logger.propagate = before


@lru_cache(maxsize=4096)
def check_messages(path: Path, names: tuple[str, ...], state: str) -> None:
    """Raise :class:`InputError` where a message is not whole or cannot be read; once for a ``state`` of the file."""
    fields = sum(walk(path))
    done = _read_by_child(path, names)
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        msg = f"is damaged: ecCodes ends on it with {_named(done.returncode)}; {AGAIN}"
        raise InputError(msg) from error
    if "error" in answer:
        msg = f"cannot be read by ecCodes ({answer['error']}); {AGAIN}"
        raise InputError(msg)
    said = [line for part in done.stderr.split("<zssd>")[1:] for line in part.split("</zssd>")[0].split("\n") if line]
    if said:
        msg = f"is damaged, or of a kind that ecCodes cannot read ({' '.join(said[0].split())}); {AGAIN}"
        raise InputError(msg)
    if answer["fields"] != fields:
        msg = f"is damaged: ecCodes reads {answer['fields']} of its {fields} fields; {AGAIN}"
        raise InputError(msg)


def _read_by_child(path: Path, names: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """What a child says that reads the file; away from the user's folder, where it might leave its core."""
    from cfgrib import dataset  # noqa: PLC0415  optional, slow

    keys = [key.partition(":")[0] for key in (*dataset.INDEX_KEYS, *dataset.GRID_TYPE_KEYS)]
    script, limit = Path(__file__).with_name("gribcheck.py"), _PATIENCE + path.stat().st_size / _SLOWEST
    command = [sys.executable, "-P", str(script), str(path.resolve()), json.dumps(names), json.dumps(keys)]
    with temporary_folder("zssd-grib") as folder:
        try:
            return subprocess.run(  # noqa: S603  this interpreter and our own file
                command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=limit, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            msg = f"is damaged: ecCodes has not read it within {limit:.0f} s; {AGAIN}"
            raise InputError(msg) from error


def _named(code: int) -> str:
    """A return code in words."""
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"code {code}"


def walk(path: Path) -> Iterator[int]:
    """The number of fields of every message of a GRIB file, from the headers of messages and sections alone.

    Raises
    ------
    InputError
        A message is truncated or damaged, or there are bytes of none.
    """
    size, at, number = path.stat().st_size, 0, 0
    with path.open("rb") as stream:
        while at < size:
            start = _next_message(stream, at, size)
            if start is None:
                return
            number += 1
            length, fields = _message(stream, start, size, number)
            if start + length > size:
                msg = f"is truncated, {start + length - size} bytes of message {number} are missing; {AGAIN}"
                raise InputError(msg)
            stream.seek(start + length - len(_END))
            if stream.read(len(_END)) != _END:
                raise _damaged(number, "does not end with 7777")
            yield fields
            at = start + length


def _damaged(number: int, what: str) -> InputError:
    return InputError(f"is damaged, message {number} {what}; {AGAIN}")


def _next_message(stream: BinaryIO, at: int, size: int) -> int | None:
    """Where the next message begins; None where only padding is left."""
    stream.seek(at)
    between = stream.read(_GAP + 4)
    found = between.find(b"GRIB")
    gap = between[:found] if found >= 0 else between
    text = all(byte in (0, 9, 10, 13, 1, 3) or 32 <= byte < 127 for byte in gap)
    if found < 0:
        while text and not between.strip(b"\x00") and (between := stream.read(1 << 20)):
            text = not between.strip(b"\x00")
    if not text or (found < 0 and gap.strip(b"\x00\r\n\x03\x01 ") != b""):
        stream.seek(at)
        lost = stream.read(_LOOK).partition(b"GRIB")[0]
        what = "are the end of a message whose beginning is missing" if _END in lost else "belong to no message"
        msg = f"is truncated or damaged: {'at least ' if len(lost) == _LOOK else ''}{len(lost)} bytes from byte {at} on {what}; {AGAIN}"
        raise InputError(msg)
    return at + found if found >= 0 else None


def _message(stream: BinaryIO, start: int, size: int, number: int) -> tuple[int, int]:
    """Length of a message in bytes, and how many fields it holds."""
    stream.seek(start)
    head = stream.read(16)
    if len(head) < 16:
        msg = f"is truncated in the header of message {number}; {AGAIN}"
        raise InputError(msg)
    if head[7] == 1:
        return _length_1(stream, start, int.from_bytes(head[4:7], "big"), number), 1
    if head[7] == 2:
        length = int.from_bytes(head[8:], "big")
        return length, _fields_2(stream, start, length, number) if start + length <= size else 1
    raise _damaged(number, f"is of edition {head[7]}, expected 1 or 2")


def _length_1(stream: BinaryIO, start: int, length: int, number: int) -> int:
    """Length of a GRIB1 message, from its sections where it is beyond what 24 bits hold."""
    if length < _LARGE:
        if length < 8 + 28 + 4:
            raise _damaged(number, f"says that it has {length} bytes")
        return length
    stream.seek(start + 8)
    product = stream.read(8)
    flags, at = product[7] if len(product) == 8 else 0, start + 8 + int.from_bytes(product[:3], "big")
    for flag in (0x80, 0x40):
        if flags & flag:
            stream.seek(at)
            at += int.from_bytes(stream.read(3), "big")
    stream.seek(at)
    data = int.from_bytes(stream.read(3), "big")
    blocks = (length & (_LARGE - 1)) * _BLOCK
    return blocks - data + 4 if data < _BLOCK else length


def _fields_2(stream: BinaryIO, start: int, length: int, number: int) -> int:
    """Fields of a GRIB2 message: its data sections. All sections together must fill it."""
    at, end, fields = start + 16, start + length - len(_END), 0
    if at > end:
        raise _damaged(number, f"says that it has {length} bytes")
    while at < end:
        stream.seek(at)
        head = stream.read(5)
        taken, kind = int.from_bytes(head[:4], "big"), head[4] if len(head) == 5 else 0
        if taken < 5 or not 1 <= kind <= 7 or at + taken > end:
            raise _damaged(number, f"has a section {kind} of {taken} bytes at byte {at}")
        fields, at = fields + (kind == 7), at + taken
    return fields
