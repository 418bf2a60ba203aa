"""The output: CF-1.8 NetCDF, written time by time, whole or not at all."""

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import cftime
import netCDF4
import numpy as np

from zssd_cli.errors import OutputError
from zssd_cli.files import atomic_path
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.outputs.sink import LAT, LON, MEMBER, TIME, TITLE
from zssd_cli.times import format_time
from zssd_cli.variables import VARIABLES

FILL = np.float32(1e20)


class FieldWriter:
    """An open output file with dimensions (time, member, lat, lon)."""

    def __init__(self, file: netCDF4.Dataset, variables: Sequence[str]) -> None:
        self._file, self._variables = file, tuple(variables)

    def write(self, time: slice, member: slice, values: np.ndarray) -> None:
        """Store (time, member, variable, lat, lon) in canonical units; NaN becomes missing."""
        for i, name in enumerate(self._variables):
            field = values[:, :, i]
            self._file[name][time, member] = np.where(np.isnan(field), FILL, field)

    def attribute(self, name: str, value: str | float, variable: str | None = None) -> None:
        """Set an attribute of the file or of one variable."""
        (self._file if variable is None else self._file[variable]).setncattr(name, value)


def _axis(file: netCDF4.Dataset, name: str, centres: np.ndarray, edges: np.ndarray, attributes: dict[str, str]) -> None:
    file.createDimension(name, centres.size)
    variable = file.createVariable(name, "f8", (name,))
    variable.setncatts({**attributes, "bounds": f"{name}_bnds"})
    variable[:] = centres
    file.createVariable(f"{name}_bnds", "f8", (name, "bnds"))[:] = np.stack([edges[:-1], edges[1:]], 1)


def _create(
    file: netCDF4.Dataset,
    grid: LatLonGrid,
    times: Sequence[cftime.datetime],
    members: int,
    variables: Mapping[str, Mapping[str, str]],
) -> None:
    file.createDimension("bnds", 2)
    file.createDimension("time", None)
    file.createDimension("member", members)
    _axis(file, "lat", grid.lat, grid.lat_edges, LAT)
    _axis(file, "lon", grid.lon, grid.lon_edges, LON)
    time = file.createVariable("time", "f8", ("time",))
    calendar = times[0].calendar
    units = f"hours since {format_time(times[0]).partition('T')[0]} 00:00:00"
    time.setncatts({**TIME, "units": units, "calendar": calendar})
    time[:] = cftime.date2num(list(times), units, calendar)
    member = file.createVariable("member", "i4", ("member",))
    member.setncatts(MEMBER)
    member[:] = np.arange(members)
    for name, attributes in variables.items():
        field = file.createVariable(
            name,
            "f4",
            ("time", "member", "lat", "lon"),
            fill_value=FILL,
            compression="zlib",
            complevel=1,
            shuffle=True,
            chunksizes=(1, 1, min(grid.lat.size, 361), min(grid.lon.size, 720)),
        )
        field.setncatts({**VARIABLES[name].attributes, **attributes})


@contextmanager
def create_output(
    path: Path,
    grid: LatLonGrid,
    times: Sequence[cftime.datetime],
    members: int,
    variables: Mapping[str, Mapping[str, str]],
    attributes: Mapping[str, str | float | int],
) -> Iterator[FieldWriter]:
    """Open a new output file that appears under its name only when the block ends well.

    ``functools.partial(create_output, path)`` is a :class:`zssd_cli.outputs.sink.Sink`.

    Parameters
    ----------
    path
        Final name.
    grid, times, members, variables, attributes
        See :class:`zssd_cli.outputs.sink.Sink`.

    Raises
    ------
    OutputError
        Where the folder is missing or not writable, or the disk is full.
    """
    try:
        with atomic_path(path) as temporary, netCDF4.Dataset(temporary, "w", format="NETCDF4") as file:
            file.setncatts({**TITLE, **attributes})
            _create(file, grid, times, members, variables)
            yield FieldWriter(file, list(variables))
    except OSError as error:
        full = error.errno == errno.ENOSPC
        remedy = "Free space or choose another disk." if full else "Choose a folder that you may write to."
        msg = f"{path} cannot be written: {error.strerror or error}. {remedy}"
        raise OutputError(msg) from error
    except RuntimeError as error:
        if "HDF" not in str(error):
            raise
        msg = f"{path} cannot be written: {error} (is the disk full?). Free space or choose another disk."
        raise OutputError(msg) from error
