"""The output: CF-1.8 NetCDF, written time by time, whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import netCDF4
import numpy as np

from zssd_cli.files import atomic_path, disk_errors, sync
from zssd_cli.outputs import conventions
from zssd_cli.outputs.conventions import DIMS
from zssd_cli.outputs.packing import MISSING
from zssd_cli.outputs.sink import Attribute, Contents

FILL = np.float32(1e20)
TILE = (361, 720)
"""Rows and columns that are compressed together."""


class FieldWriter:
    """An open output file with dimensions (time, member, lat, lon)."""

    def __init__(self, file: netCDF4.Dataset, contents: Contents) -> None:
        self._file, self._contents, self._fields = file, contents, conventions.fields(contents)

    def write(self, time: slice, member: slice, values: np.ndarray) -> None:
        """Store (time, member, variable, lat, lon) in canonical units; NaN becomes missing."""
        for i, field in enumerate(self._fields):
            part = field.cut(values, i)
            filled = np.where(np.isnan(part), FILL, part) if field.packing is None else field.packing.pack(part)
            self._file[field.name][field.where(time, member)] = filled

    def mark_drawn(self, time: int, variable: str, cells: np.ndarray) -> None:
        """See :class:`zssd_cli.outputs.sink.Writer`."""
        name = conventions.mask_name(variable)
        if name not in self._file.variables:
            mask = _compressed(self._file, name, "i1", ("time", "lat", "lon"), fill_value=None)
            mask.setncatts(conventions.mask_attributes(variable))
            for index in range(len(self._contents.times)):
                mask[index] = 1
            self.attribute("ancillary_variables", conventions.ancillary(self._contents, variable), variable)
        self._file[name][time] = ~cells

    def attribute(self, name: str, value: Attribute, variable: str | None = None) -> None:
        """Set an attribute of the file or of one variable."""
        (self._file if variable is None else self._file[variable]).setncattr(name, value)


def _compressed(
    file: netCDF4.Dataset, name: str, kind: str, dims: tuple[str, ...], fill_value: np.generic | None
) -> netCDF4.Variable:
    """A variable (..., lat, lon) that is compressed field by field."""
    sides = [min(len(file.dimensions[side]), longest) for side, longest in zip(dims[-2:], TILE, strict=True)]
    chunks = (*[1] * (len(dims) - 2), *sides)
    return file.createVariable(
        name, kind, dims, fill_value=fill_value, compression="zlib", complevel=1, shuffle=True, chunksizes=chunks
    )


def _create(file: netCDF4.Dataset, contents: Contents) -> None:
    sizes = {
        "bnds": 2,
        "time": None,
        **({} if contents.spread else {"member": contents.members}),
        **dict(zip(DIMS[2:], contents.grid.shape, strict=True)),
    }
    for name, size in sizes.items():
        file.createDimension(name, size)
    for part in conventions.parts(contents):
        values, attributes = conventions.encoded(contents, part)
        variable = file.createVariable(part.name, values.dtype, part.dims)
        variable.setncatts(attributes)
        variable[:] = values
    for field in conventions.fields(contents):
        if field.packing is None:
            _compressed(file, field.name, "f4", field.dims, FILL).setncatts(field.attributes)
        else:
            variable = _compressed(file, field.name, "i2", field.dims, MISSING)
            variable.setncatts(field.attributes | field.packing.attributes)
            # integers are given as they are
            variable.set_auto_maskandscale(False)


@contextmanager
def create_output(path: Path, contents: Contents) -> Iterator[FieldWriter]:
    """Open a new output file that appears under its name only when the block ends well.

    ``functools.partial(create_output, path)`` is a :class:`zssd_cli.outputs.sink.Sink`.

    Raises
    ------
    OutputError
        Where the folder is missing or not writable, or the disk is full.
    """
    with disk_errors(path), atomic_path(path) as temporary:
        with netCDF4.Dataset(temporary, "w", format="NETCDF4") as file:
            file.setncatts(conventions.global_attributes(contents))
            _create(file, contents)
            yield FieldWriter(file, contents)
        sync(temporary)
