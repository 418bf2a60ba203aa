"""The output as an xarray Dataset in memory: what reading the written file would give."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import xarray as xr

from zssd_cli.outputs import conventions
from zssd_cli.outputs.conventions import DIMS, Field, Part
from zssd_cli.outputs.sink import Attribute, Contents


class DatasetWriter:
    """Fills the variables of a Dataset."""

    def __init__(self, dataset: xr.Dataset, contents: Contents) -> None:
        self._dataset, self._contents = dataset, contents

    def write(self, time: slice, member: slice, values: np.ndarray) -> None:
        """Store (time, member, variable, lat, lon) in canonical units."""
        for i, field in enumerate(conventions.fields(self._contents)):
            self._dataset[field.name].values[field.where(time, member)] = field.cut(values, i)

    def mark_drawn(self, time: int, variable: str, cells: np.ndarray) -> None:
        """See :class:`zssd_cli.outputs.sink.Writer`."""
        name, grid = conventions.mask_name(variable), self._contents.grid
        if name not in self._dataset:
            ones = np.ones((len(self._contents.times), *grid.shape), np.int8)
            self._dataset[name] = (("time", "lat", "lon"), ones, conventions.mask_attributes(variable))
            self.attribute("ancillary_variables", conventions.ancillary(self._contents, variable), variable)
        self._dataset[name].values[time] = ~cells

    def attribute(self, name: str, value: Attribute, variable: str | None = None) -> None:
        """Set an attribute of the Dataset or of one variable."""
        (self._dataset if variable is None else self._dataset[variable]).attrs[name] = value


class MemorySink:
    """A sink whose ``dataset`` is there when the run has ended well."""

    dataset: xr.Dataset

    @contextmanager
    def __call__(self, contents: Contents) -> Iterator[DatasetWriter]:
        """See :class:`zssd_cli.outputs.sink.Sink`."""
        others = conventions.parts(contents)
        sizes = {
            "time": len(contents.times),
            "member": contents.members,
            **dict(zip(DIMS[2:], contents.grid.shape, strict=True)),
        }
        fields = {field.name: _empty(field, sizes) for field in conventions.fields(contents)}
        data = {part.name: _variable(part) for part in others if not part.coordinate}
        coordinates = {part.name: _variable(part) for part in others if part.coordinate}
        dataset = xr.Dataset({**fields, **data}, coordinates, conventions.global_attributes(contents))
        yield DatasetWriter(dataset, contents)
        self.dataset = dataset


def _empty(field: Field, sizes: dict[str, int]) -> xr.Variable:
    """A field without values; which scalar coordinate is its own is kept where xarray keeps it, for writing."""
    attributes = dict(field.attributes)
    encoding = {"coordinates": attributes.pop("coordinates", None)}
    return xr.Variable(field.dims, np.full([sizes[d] for d in field.dims], np.nan, np.float32), attributes, encoding)


def _variable(part: Part) -> xr.Variable:
    values = xr.CFTimeIndex(part.values) if part.name == "time" else part.values
    return xr.Variable(part.dims, values, part.attributes)
