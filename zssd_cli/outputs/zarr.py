"""The output as a Zarr store, format 3 with consolidated metadata: what the NetCDF file holds.

A chunk holds the field of one time and member, a shard (one file) the chunks of several times, or members: a century does not make a
million files. A shard is gathered in memory and written once.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from zssd_cli.errors import OutputError
from zssd_cli.files import atomic_folder, disk_errors
from zssd_cli.outputs import conventions
from zssd_cli.outputs.conventions import DIMS
from zssd_cli.outputs.packing import MISSING
from zssd_cli.outputs.sink import Attribute, Contents

SHARD, FEWEST = 8 << 20, 16
"""Bytes of fields in a shard, before they are compressed, and fields in it at least."""


class Gathered:
    """An array that is written shard by shard: fields are gathered until one of another shard comes."""

    def __init__(self, array: Any) -> None:
        self._array, self._sides = array, (array.shards or array.chunks)[:-2]
        self._where: tuple[slice, ...] = ()
        self._block = np.empty(0)

    def write(self, where: tuple[slice, ...], values: np.ndarray) -> None:
        """Store values at times, or at times and members."""
        for place in np.ndindex(values.shape[: len(where)]):
            self._put(tuple(one.start + step for one, step in zip(where, place, strict=True)), values[place])

    def _put(self, place: tuple[int, ...], field: np.ndarray) -> None:
        starts = [at // side * side for at, side in zip(place, self._sides, strict=True)]
        ends = [
            min(start + side, size) for start, side, size in zip(starts, self._sides, self._array.shape, strict=False)
        ]
        shard = tuple(map(slice, starts, ends))
        if shard != self._where:
            self.flush()
            # what is there already, the fill value where nothing is
            self._where, self._block = shard, self._array[shard]
        self._block[tuple(at - start for at, start in zip(place, starts, strict=True))] = field

    def flush(self) -> None:
        """Write what was gathered."""
        if self._where:
            self._array[self._where] = self._block
        self._where = ()


class StoreWriter:
    """An open store with dimensions (time, member, lat, lon)."""

    def __init__(self, group: Any, contents: Contents) -> None:
        self._group, self._contents, self._fields = group, contents, conventions.fields(contents)
        self._arrays = {field.name: Gathered(group[field.name]) for field in self._fields}

    def write(self, time: slice, member: slice, values: np.ndarray) -> None:
        """Store (time, member, variable, lat, lon) in canonical units; missing values are NaN."""
        for i, field in enumerate(self._fields):
            part = field.cut(values, i)
            packed = part if field.packing is None else field.packing.pack(part)
            self._arrays[field.name].write(field.where(time, member), packed)

    def mark_drawn(self, time: int, variable: str, cells: np.ndarray) -> None:
        """See :class:`zssd_cli.outputs.sink.Writer`."""
        name = conventions.mask_name(variable)
        if name not in self._arrays:
            shape = (len(self._contents.times), *self._contents.grid.shape)
            # what is not written is filled: observed
            mask = _array(
                self._group, name, shape, ("time", "lat", "lon"), np.int8(1), conventions.mask_attributes(variable)
            )
            self._arrays[name] = Gathered(mask)
            self.attribute("ancillary_variables", conventions.ancillary(self._contents, variable), variable)
        self._arrays[name].write((slice(time, time + 1),), ~cells[None])

    def flush(self) -> None:
        """Write what was gathered of all arrays."""
        for array in self._arrays.values():
            array.flush()

    def attribute(self, name: str, value: Attribute, variable: str | None = None) -> None:
        """Set an attribute of the store or of one variable."""
        (self._group if variable is None else self._group[variable]).update_attributes({name: _plain(value)})


def require() -> None:
    """Refuse before any work to write a store without the library: :class:`OutputError`."""
    if find_spec("zarr") is not None:
        import zarr  # noqa: PLC0415  optional

        if int(zarr.__version__.partition(".")[0]) >= 3:
            return
    msg = 'A .zarr output needs zarr 3 or later: pip install "zssd[zarr]", or give a name that ends in .nc.'
    raise OutputError(msg)


@contextmanager
def create_store(path: Path, contents: Contents) -> Iterator[StoreWriter]:
    """Open a new store that appears under its name only when the block ends well; a :class:`zssd_cli.outputs.sink.Sink`.

    Raises
    ------
    OutputError
        zarr is missing or too old, the folder is missing or not writable, or the disk is full.
    """
    require()
    import zarr  # noqa: PLC0415  optional

    with disk_errors(path), atomic_folder(path) as temporary:
        group = zarr.create_group(
            str(temporary), zarr_format=3, attributes=_plains(conventions.global_attributes(contents))
        )
        for part in conventions.parts(contents):
            values, attributes = conventions.encoded(contents, part)
            array = group.create_array(
                part.name, shape=values.shape, dtype=values.dtype, chunks=values.shape or "auto",
                dimension_names=part.dims, attributes=_plains(attributes),
            )  # fmt: skip
            array[...] = values
        sizes = {
            "time": len(contents.times),
            "member": contents.members,
            **dict(zip(DIMS[2:], contents.grid.shape, strict=True)),
        }
        for field in conventions.fields(contents):
            fill: np.generic = np.float32(np.nan)
            attributes = field.attributes
            if field.packing is not None:
                # format 3 knows fill values, not missing ones: readers go by the attribute
                attributes = attributes | field.packing.attributes | {"_FillValue": MISSING}
                fill = MISSING
            _array(group, field.name, tuple(sizes[d] for d in field.dims), field.dims, fill, attributes)
        writer = StoreWriter(group, contents)
        yield writer
        writer.flush()
        with warnings.catch_warnings():
            # format 3 does not define consolidated metadata; zarr and xarray read them all the same
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(str(temporary), zarr_format=3)


def _array(
    group: Any,
    name: str,
    shape: tuple[int, ...],
    dims: tuple[str, ...],
    fill: np.generic,
    attributes: dict[str, Attribute],
) -> Any:
    """An array (..., lat, lon) whose fields are a chunk each, several of them in a shard."""
    from zarr.codecs import BloscCodec  # noqa: PLC0415  optional

    field = fill.dtype.itemsize * int(np.prod(shape[-2:]))
    together = shard_of(shape[:-2], field)
    return group.create_array(
        name, shape=shape, dtype=fill.dtype, chunks=(*[1] * len(together), *shape[-2:]), fill_value=fill,
        shards=None if set(together) == {1} else (*together, *shape[-2:]),
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=fill.dtype.itemsize),
        dimension_names=dims, attributes=_plains(attributes),
    )  # fmt: skip


def shard_of(sizes: tuple[int, ...], field: int) -> tuple[int, ...]:
    """How many times (and members) a shard holds of so many in all, whose fields have so many bytes."""
    count, *members = sizes
    together = max(FEWEST, SHARD // field)
    several = [min(number, together) for number in members]
    return (min(count, max(1, together // max(1, *several, 1))), *several)


def _plains(attributes: dict[str, Attribute]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in attributes.items()}


def _plain(value: Attribute) -> Any:
    """As JSON has it."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
