"""The output as a Zarr store, format 3 with consolidated metadata: what the NetCDF file holds, a chunk per time and member."""

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
from zssd_cli.outputs.sink import Attribute, Contents


class StoreWriter:
    """An open store with dimensions (time, member, lat, lon)."""

    def __init__(self, group: Any, contents: Contents) -> None:
        self._group, self._contents = group, contents

    def write(self, time: slice, member: slice, values: np.ndarray) -> None:
        """Store (time, member, variable, lat, lon) in canonical units; missing values are NaN."""
        for i, name in enumerate(self._contents.variables):
            self._group[name][time, member] = values[:, :, i]

    def mark_drawn(self, time: int, variable: str, cells: np.ndarray) -> None:
        """See :class:`zssd_cli.outputs.sink.Writer`."""
        name = conventions.mask_name(variable)
        if name not in self._group:
            shape = (len(self._contents.times), *self._contents.grid.shape)
            # what is not written is filled: observed
            _field(self._group, name, shape, ("time", "lat", "lon"), np.int8(1), conventions.mask_attributes(variable))
            self.attribute("ancillary_variables", name, variable)
        self._group[name][time] = ~cells

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
        shape = (len(contents.times), contents.members, *contents.grid.shape)
        for name in contents.variables:
            _field(group, name, shape, DIMS, np.float32(np.nan), conventions.field_attributes(contents, name))
        yield StoreWriter(group, contents)
        with warnings.catch_warnings():
            # format 3 does not define consolidated metadata; zarr and xarray read them all the same
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(str(temporary), zarr_format=3)


def _field(
    group: Any,
    name: str,
    shape: tuple[int, ...],
    dims: tuple[str, ...],
    fill: np.generic,
    attributes: dict[str, Attribute],
) -> None:
    """An array (..., lat, lon) whose fields are a chunk each."""
    group.create_array(
        name, shape=shape, dtype=fill.dtype, chunks=(*[1] * (len(shape) - 2), *shape[-2:]), fill_value=fill,
        dimension_names=dims, attributes=_plains(attributes),
    )  # fmt: skip


def _plains(attributes: dict[str, Attribute]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in attributes.items()}


def _plain(value: Attribute) -> Any:
    """As JSON has it."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
