"""What the engine asks of fields, wherever they come from: files, a Dataset in memory, or a test."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import cftime
import numpy as np

from zssd_cli.grids.cells import Cells
from zssd_cli.grids.latlon import LatLonGrid


class Series(Protocol):
    """Fields on one grid at sorted times."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Canonical names."""

    @property
    def times(self) -> tuple[cftime.datetime, ...]:
        """Sorted dates in the series' own calendar."""

    @property
    def grid(self) -> LatLonGrid | None:
        """The rectilinear grid, None for other cells."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Times ``start`` to ``stop``, (time, variable, lat, lon) or (time, variable, *points), float32, canonical units."""


class CoarseSeries(Protocol):
    """What is downscaled: variables at common times, each on its own cells, and what the output says of its origin."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Canonical names."""

    @property
    def times(self) -> tuple[cftime.datetime, ...]:
        """Sorted dates in the series' own calendar."""

    @property
    def cells(self) -> Mapping[str, Cells]:
        """Per variable, where its cells lie; one and the same object for the same cells."""

    def fields(self, variable: str, start: int, stop: int) -> np.ndarray:
        """One variable at times ``start`` to ``stop``, (time, lat, lon) or (time, *points), float32, canonical units."""

    @property
    def calendar(self) -> str:
        """CF name of the calendar."""

    @property
    def averaging(self) -> str | None:
        """Why the fields are no moments; None where they are."""

    @property
    def kind(self) -> str:
        """moments, or daily, monthly ... means."""

    @property
    def time_bounds(self) -> Sequence[tuple[cftime.datetime, cftime.datetime]] | None:
        """Averaging interval of every time, where known."""

    @property
    def cell_methods(self) -> Mapping[str, str]:
        """Per variable, where known."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Provenance to hand on: source_id, tracking_id, history ..."""

    @property
    def notes(self) -> tuple[str, ...]:
        """One-line warnings worth showing."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """One-line warnings about fields that were read so far."""


class FieldSource(Protocol):
    """What a training reads: whole fields of variables on one grid, date by date, from files or from prepared data."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Canonical names."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Canonical names asked for that no file holds."""

    @property
    def times(self) -> tuple[cftime.datetime, ...]:
        """Sorted dates that all variables have."""

    @property
    def grid(self) -> LatLonGrid | None:
        """The rectilinear grid, None for other cells."""

    @property
    def averaging(self) -> str | None:
        """Why the fields are no moments; None where they are."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Provenance: source_files, title ..."""

    @property
    def notes(self) -> tuple[str, ...]:
        """One-line warnings worth showing."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """One-line warnings about fields that were read so far."""

    def held(self, variable: str) -> Mapping[cftime.datetime, Path]:
        """Every date at which a variable is there, sorted, and its file."""

    def file(self, variable: str, date: cftime.datetime) -> Path:
        """The file that holds a variable at a date."""

    def field(self, variable: str, date: cftime.datetime) -> np.ndarray:
        """One variable at a date, (lat, lon) float32, canonical units, NaN where missing."""
