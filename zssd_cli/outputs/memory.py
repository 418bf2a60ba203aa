"""The output as an xarray Dataset in memory: what reading the written file would give."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import xarray as xr

from zssd_cli.outputs import conventions
from zssd_cli.outputs.conventions import DIMS, Part
from zssd_cli.outputs.sink import Attribute, Contents


class DatasetWriter:
    """Fills the variables of a Dataset."""

    def __init__(self, dataset: xr.Dataset, contents: Contents) -> None:
        self._dataset, self._contents = dataset, contents

    def write(self, time: slice, member: slice, values: np.ndarray) -> None:
        """Store (time, member, variable, lat, lon) in canonical units."""
        for i, name in enumerate(self._contents.variables):
            self._dataset[name].values[time, member] = values[:, :, i]

    def mark_drawn(self, time: int, variable: str, cells: np.ndarray) -> None:
        """See :class:`zssd_cli.outputs.sink.Writer`."""
        name, grid = conventions.mask_name(variable), self._contents.grid
        if name not in self._dataset:
            ones = np.ones((len(self._contents.times), *grid.shape), np.int8)
            self._dataset[name] = (("time", "lat", "lon"), ones, conventions.mask_attributes(variable))
            self.attribute("ancillary_variables", name, variable)
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
        shape = (len(contents.times), contents.members, *contents.grid.shape)
        fields = {name: _field(contents, name, shape) for name in contents.variables}
        data = {part.name: _variable(part) for part in others if not part.coordinate}
        coordinates = {part.name: _variable(part) for part in others if part.coordinate}
        dataset = xr.Dataset({**fields, **data}, coordinates, conventions.global_attributes(contents))
        yield DatasetWriter(dataset, contents)
        self.dataset = dataset


def _field(contents: Contents, name: str, shape: tuple[int, ...]) -> xr.Variable:
    """An empty field; which scalar coordinate is its own is kept where xarray keeps it, for writing."""
    attributes = conventions.field_attributes(contents, name)
    encoding = {"coordinates": attributes.pop("coordinates", None)}
    return xr.Variable(DIMS, np.full(shape, np.nan, np.float32), attributes, encoding)


def _variable(part: Part) -> xr.Variable:
    values = xr.CFTimeIndex(part.values) if part.name == "time" else part.values
    return xr.Variable(part.dims, values, part.attributes)
