"""Where fields go: a sink opens for one run and takes its fields time by time, in any order of members."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import cftime
import numpy as np

from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.times import now_utc

Attribute = str | float | int | np.generic | np.ndarray
TimeBounds = Sequence[tuple[cftime.datetime, cftime.datetime]]


@dataclass(frozen=True)
class Contents:
    """What an output is to hold.

    Attributes
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
    time_bounds
        Begin and end of the interval that each time stands for, where the input has some.
    created
        The moment that the output is dated with.
    spread
        For every variable the mean of the members and their standard deviation, one after the other, without an axis of members.
    packed
        Fields are stored as integers (:mod:`zssd_cli.outputs.packing`).
    """

    grid: LatLonGrid
    times: Sequence[cftime.datetime]
    members: int
    variables: Mapping[str, Mapping[str, Attribute]]
    attributes: Mapping[str, Attribute]
    time_bounds: TimeBounds | None = None
    created: str = field(default_factory=now_utc)
    spread: bool = False
    packed: bool = False


class Writer(Protocol):
    """An open output with dimensions (time, member, lat, lon)."""

    def write(self, time: slice, member: slice, values: np.ndarray) -> None:
        """Store (time, member, variable, lat, lon) in canonical units; NaN is missing. With a spread: member 0, its variables twice."""

    def mark_drawn(self, time: int, variable: str, cells: np.ndarray) -> None:
        """Note the cells, boolean (lat, lon), where an observed variable had no observation at a time."""

    def attribute(self, name: str, value: Attribute, variable: str | None = None) -> None:
        """Set an attribute of the output or of one variable."""


class Sink(Protocol):
    """Opens an output that is whole when the block ends well and not there else."""

    def __call__(self, contents: Contents) -> AbstractContextManager[Writer]:
        """Open."""
