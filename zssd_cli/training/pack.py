"""Prepared training data in one file: fields that are filtered and rounded, for a machine without the archive they come from.

A field is a multiple of its variable's quantum (:attr:`zssd_cli.variables.Variable.quantum`), which every training rounds to, so that
nothing is lost. Numbers are stored as second differences along latitude and longitude, which are small where fields are smooth,
low bytes and high bytes apart, compressed by zlib. The file is safetensors: one tensor of bytes for each field.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zssd_cli.errors import BadField, ConfigError, InputError, MissingValues, WeightsError
from zssd_cli.files import atomic_path
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.prior.checkpoint import write_safetensors
from zssd_cli.training.data import Part
from zssd_cli.variables import VARIABLES

FORMAT = "zssd-training-data-1"
HELD_OUT = "held out"
SUFFIX = ".safetensors"


def packed(values: np.ndarray, quantum: float) -> np.ndarray:
    """A field (lat, lon) of multiples of a quantum as bytes, (n,) uint8."""
    whole = np.rint(values / quantum).astype(np.int64)
    steps = np.diff(np.diff(whole, axis=0, prepend=0), axis=1, prepend=0).astype(np.int32)
    zigzag = ((steps << 1) ^ (steps >> 31)).astype("<u4")
    planes = zigzag.view(np.uint8).reshape(-1, 4).T
    return np.frombuffer(zlib.compress(planes.tobytes(), 6), np.uint8)


def unpacked(data: np.ndarray, shape: tuple[int, int], quantum: float) -> np.ndarray:
    """A field (lat, lon) float32 from its bytes.

    Raises
    ------
    ValueError
        They are not those of a field of this shape.
    """
    count = 4 * shape[0] * shape[1]
    try:
        inflate = zlib.decompressobj()
        planes = np.frombuffer(inflate.decompress(data.tobytes(), count + 1), np.uint8)
    except zlib.error as error:
        msg = f"damaged bytes ({error})"
        raise ValueError(msg) from error
    if planes.size != count:
        msg = f"expected {count} bytes of {shape[0]} x {shape[1]} cells, got others"
        raise ValueError(msg)
    zigzag = np.ascontiguousarray(planes.reshape(4, -1).T).view("<u4").reshape(shape)
    steps = (zigzag >> 1).astype(np.int64) ^ -(zigzag & 1).astype(np.int64)
    return (steps.cumsum(0).cumsum(1) * quantum).astype(np.float32)


@dataclass(frozen=True)
class PackedSource:
    """Fields of one origin in a pack; it stands for the :class:`zssd_cli.series.reading.Source` that it was made of.

    Attributes
    ----------
    path
        The pack.
    key
        Its place there.
    variables, missing, grid, times, averaging, attributes, notes
        As of the source.
    bad
        Index of a time and variable -> the error that its field is, which is not there.
    """

    path: Path
    key: str
    variables: tuple[str, ...]
    missing: tuple[str, ...]
    grid: LatLonGrid
    times: tuple[cftime.datetime, ...]
    averaging: str | None
    attributes: Mapping[str, str]
    notes: tuple[str, ...]
    bad: Mapping[tuple[int, str], BadField]
    doubts: tuple[str, ...] = ()
    _places: dict[cftime.datetime, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {date: place for place, date in enumerate(self.times)})

    def held(self, variable: str) -> dict[cftime.datetime, Path]:  # noqa: ARG002  all variables have the same times
        """Dates and the file that holds a variable."""
        return dict.fromkeys(self.times, self.path)

    def file(self, variable: str, date: cftime.datetime) -> Path:  # noqa: ARG002
        """The pack."""
        return self.path

    def field(self, variable: str, date: cftime.datetime) -> np.ndarray:
        """One field, (lat, lon).

        Raises
        ------
        BadField
            It was bad when the data were prepared.
        InputError
            It cannot be read.
        """
        index = self._places[date]
        if (index, variable) in self.bad:
            raise self.bad[index, variable]
        try:
            with safe_open(self.path, framework="np") as file:
                data = file.get_tensor(_name(self.key, index, variable))
            return unpacked(data, self.grid.shape, VARIABLES[variable].quantum)
        except (SafetensorError, OSError, ValueError) as error:
            msg = f"{self.path}: {variable} of {self.key} cannot be read ({error}). Copy or prepare the file again."
            raise InputError(msg) from error

    def close(self) -> None:
        """Nothing is kept open."""


@dataclass(frozen=True)
class Pack:
    """What :func:`read_pack` finds.

    Attributes
    ----------
    settings
        Of the training for which the data were prepared.
    parts
        Origins to train on.
    held_out
        To validate with, None: nothing.
    """

    settings: Mapping[str, Any]
    parts: tuple[Part, ...]
    held_out: Part | None


def pack_among(inputs: Sequence[str | Path]) -> Path | None:
    """The pack that is given in the place of files, None where files are given.

    Raises
    ------
    ConfigError
        A pack among other files.
    """
    packs = [Path(given) for given in inputs if str(given).endswith(SUFFIX)]
    if packs and len(inputs) > 1:
        msg = f"{packs[0]} is prepared training data, which hold all that is read; expected it alone. Leave out the others."
        raise ConfigError(msg)
    return packs[0] if packs else None


def write_pack(
    path: Path,
    parts: Sequence[Part],
    held_out: Part | None,
    settings: Mapping[str, Any],
    tick: Callable[[], object] = lambda: None,
) -> None:
    """Read every field once and write the pack, whole or not at all; ``tick`` is called after each time.

    Raises
    ------
    InputError
        Fields that cannot be read, or more bad ones than a training may leave out.
    OSError
        The file cannot be written.
    """
    named = {f"part {k}": part for k, part in enumerate(parts)} | ({HELD_OUT: held_out} if held_out else {})
    tensors: dict[str, Tensor] = {}
    about = {key: _prepared(key, part, tensors, tick) for key, part in named.items()}
    header = {"settings": settings, "parts": about}
    with atomic_path(path) as temporary:
        write_safetensors(temporary, tensors, {"format": FORMAT, "header": json.dumps(header, sort_keys=True)})


def _prepared(key: str, part: Part, tensors: dict[str, Tensor], tick: Callable[[], object]) -> dict[str, Any]:
    """Pack the fields of an origin into ``tensors``; what the header says of it."""
    bad: dict[str, dict[str, Any]] = {}
    for index in range(len(part.source.times)):
        for name in part.source.variables:
            try:
                values = part.field(name, index)
            except BadField as error:
                bad.setdefault(str(index), {})[name] = [str(error), not isinstance(error, MissingValues)]
                part.holes.bad(index, error)
            else:
                tensors[_name(key, index, name)] = torch.from_numpy(packed(values, VARIABLES[name].quantum).copy())
        tick()
    source, grid = part.source, part.grid
    first = source.times[0]
    return {
        "variables": source.variables, "missing": source.missing, "smooth": part.smooth, "lowpass_km": part.lowpass_km,
        "share": part.share, "max_missing": part.max_missing, "averaging": source.averaging, "bad": bad,
        "axes": [axis.tolist() for axis in (grid.lat, grid.lon, grid.lat_edges, grid.lon_edges)],
        "calendar": first.calendar, "year_zero": first.has_year_zero,
        "times": [[d.year, d.month, d.day, d.hour, d.minute, d.second] for d in source.times],
        "attributes": {name: source.attributes.get(name, "") for name in ("source_files", "title")}, "notes": source.notes,
    }  # fmt: skip


def _name(key: str, index: int, variable: str) -> str:
    return f"{key}/{index:06d}/{variable}"


def read_pack(path: Path) -> Pack:
    """Open a pack; its fields are read when they are needed.

    Raises
    ------
    InputError
        No such file, no pack, or a damaged one.
    """
    try:
        with safe_open(path, framework="np") as file:
            meta = file.metadata() or {}
        if meta.get("format") != FORMAT:
            got = meta.get("format", "another file")
            msg = f"{path}: expected prepared training data ({FORMAT}), got {got}. Prepare them with --prepare."
            raise InputError(msg)
        header = json.loads(meta["header"])
        names = tuple(header["settings"]["variables"])
        found = {key: _part(path, key, names, about) for key, about in header["parts"].items()}
        held_out = found.pop(HELD_OUT, None)
        return Pack(header["settings"], tuple(found.values()), held_out)
    except FileNotFoundError as error:
        msg = f"{path}: no such file; check the path."
        raise InputError(msg) from error
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError, WeightsError) as error:
        reason = " ".join(str(error).split())[:200]
        msg = f"{path}: the prepared data are damaged ({reason}). Copy or prepare the file again."
        raise InputError(msg) from error


def _part(path: Path, key: str, names: tuple[str, ...], about: Mapping[str, Any]) -> Part:
    axes = [np.asarray(axis, dtype=np.float64) for axis in about["axes"]]
    dates = tuple(
        cftime.datetime(*parts, calendar=about["calendar"], has_year_zero=about["year_zero"])
        for parts in about["times"]
    )
    source = PackedSource(
        path=path,
        key=key,
        variables=tuple(about["variables"]),
        missing=tuple(about["missing"]),
        grid=LatLonGrid(*axes),
        times=dates,
        averaging=about["averaging"],
        attributes=dict(about["attributes"]),
        notes=tuple(about["notes"]),
        bad={
            (int(index), name): (BadField if refused else MissingValues)(text)
            for index, several in about["bad"].items()
            for name, (text, refused) in several.items()
        },
    )
    part = Part(source, names, tuple(about["smooth"]), float(about["lowpass_km"]), float(about["share"]))
    return replace(part, max_missing=float(about["max_missing"]), filtered=True)
