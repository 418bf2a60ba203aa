"""The output as an xarray Dataset in memory: what reading the written file would give."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import cftime
import numpy as np
import xarray as xr

from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.outputs.sink import LAT, LON, MEMBER, TIME, TITLE
from zssd_cli.variables import VARIABLES

DIMS = ("time", "member", "lat", "lon")


class DatasetWriter:
    """Fills the variables of a Dataset."""

    def __init__(self, dataset: xr.Dataset, variables: Sequence[str]) -> None:
        self._dataset, self._variables = dataset, tuple(variables)

    def write(self, time: slice, member: slice, values: np.ndarray) -> None:
        """Store (time, member, variable, lat, lon) in canonical units."""
        for i, name in enumerate(self._variables):
            self._dataset[name].values[time, member] = values[:, :, i]

    def attribute(self, name: str, value: str | float, variable: str | None = None) -> None:
        """Set an attribute of the Dataset or of one variable."""
        (self._dataset if variable is None else self._dataset[variable]).attrs[name] = value


class MemorySink:
    """A sink whose ``dataset`` is there when the run has ended well."""

    dataset: xr.Dataset

    @contextmanager
    def __call__(
        self,
        grid: LatLonGrid,
        times: Sequence[cftime.datetime],
        members: int,
        variables: Mapping[str, Mapping[str, str]],
        attributes: Mapping[str, str | float | int],
    ) -> Iterator[DatasetWriter]:
        """See :class:`zssd_cli.outputs.sink.Sink`."""
        coords = {
            "time": ("time", xr.CFTimeIndex(list(times)), TIME),
            "member": ("member", np.arange(members, dtype=np.int32), MEMBER),
            "lat": ("lat", grid.lat, {**LAT, "bounds": "lat_bnds"}),
            "lon": ("lon", grid.lon, {**LON, "bounds": "lon_bnds"}),
        }
        bounds = {
            f"{name}_bnds": ((name, "bnds"), np.stack([edges[:-1], edges[1:]], 1))
            for name, edges in (("lat", grid.lat_edges), ("lon", grid.lon_edges))
        }
        shape = (len(times), members, *grid.shape)
        fields = {
            name: (DIMS, np.full(shape, np.nan, np.float32), {**VARIABLES[name].attributes, **extra})
            for name, extra in variables.items()
        }
        dataset = xr.Dataset({**fields, **bounds}, coords, {**TITLE, **attributes})
        yield DatasetWriter(dataset, list(variables))
        self.dataset = dataset
