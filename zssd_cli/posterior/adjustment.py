"""What may be done to block means before they guide the prior."""

from collections.abc import Sequence
from typing import Protocol

import cftime
import numpy as np

from zssd_cli.grids.latlon import LatLonGrid


class Adjustment(Protocol):
    """What is done to block means before they guide: :mod:`zssd_cli.debias`."""

    def adjust(
        self, names: Sequence[str], times: Sequence[cftime.datetime], grid: LatLonGrid, blocks: np.ndarray
    ) -> np.ndarray:
        """Block means (times, variables, h, w) in canonical units, NaN where missing, to better ones."""

    @property
    def attributes(self) -> dict[str, str]:
        """What the output says of it; what a run that goes on must share."""
