"""Where fields go: a sink opens for one run and takes its fields time by time, in any order of members."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import cftime
import numpy as np

from zssd_cli.grids.latlon import LatLonGrid

TITLE = {"Conventions": "CF-1.8"}
LAT = {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}
LON = {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
TIME = {"standard_name": "time", "axis": "T"}
MEMBER = {"standard_name": "realization", "long_name": "draw from the posterior", "units": "1"}


class Writer(Protocol):
    """An open output with dimensions (time, member, lat, lon)."""

    def write(self, time: slice, member: slice, values: np.ndarray) -> None:
        """Store (time, member, variable, lat, lon) in canonical units; NaN is missing."""

    def attribute(self, name: str, value: str | float, variable: str | None = None) -> None:
        """Set an attribute of the output or of one variable."""


class Sink(Protocol):
    """Opens an output that is whole when the block ends well and not there else."""

    def __call__(
        self,
        grid: LatLonGrid,
        times: Sequence[cftime.datetime],
        members: int,
        variables: Mapping[str, Mapping[str, str]],
        attributes: Mapping[str, str | float | int],
    ) -> AbstractContextManager[Writer]:
        """Open.

        Parameters
        ----------
        grid
            Output cells.
        times
            Dates in the input's own calendar.
        members
            Number of ensemble members.
        variables
            Canonical name -> extra attributes.
        attributes
            Global attributes.
        """
