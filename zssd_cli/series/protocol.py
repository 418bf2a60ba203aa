"""What the engine asks of fields, wherever they come from: files, a Dataset in memory, or a test."""

from collections.abc import Mapping
from typing import Protocol

import cftime
import numpy as np

from zssd_cli.grids.cells import CellCenters
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


class CoarseSeries(Series, Protocol):
    """What is downscaled: a series, and what the output says of its origin."""

    @property
    def points(self) -> CellCenters | None:
        """Cells that form no rectilinear grid."""

    @property
    def calendar(self) -> str:
        """CF name of the calendar."""

    @property
    def frequency(self) -> str | None:
        """1hr, 3hr, 6hr, 12hr, day, mon, yr; None if unknown."""

    @property
    def cell_methods(self) -> Mapping[str, str]:
        """Per variable, where known."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Provenance to hand on: source_id, tracking_id, history ..."""

    @property
    def notes(self) -> tuple[str, ...]:
        """One-line warnings worth showing."""
