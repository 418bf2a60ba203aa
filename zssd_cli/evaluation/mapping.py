"""Quantile mapping, the usual statistical correction: every value gets the reference's value of the same rank.

On every square of the maps the distribution of interpolated input is mapped to the reference's, both taken from all times of
the evaluation. It so knows the answer's distribution, which no method that is run on other years does; spectra, and how
variables go together, it does not correct.
"""

import numpy as np

from zssd_cli.evaluation.cellsums import Distribution, MapCells
from zssd_cli.evaluation.histograms import MAP, MAP_HALF

NAME = "quantile_mapping"


class QuantileMap:
    """From one distribution to another, square by square."""

    def __init__(self, source: Distribution, target: Distribution, maps: MapCells) -> None:
        self._binning, self._slots = source.binning, maps.slots
        edges = self._binning.edges(MAP, MAP_HALF)
        self._origin, self._width = edges[0], edges[1] - edges[0]
        middle = edges + self._width / 2
        self._shift: np.ndarray = np.zeros(source.map_counts().shape, dtype=np.float32)
        for row, (ours, theirs) in enumerate(zip(source.map_counts(), target.map_counts(), strict=True)):
            if ours.sum() > 0 and theirs.sum() > 0:
                ranks = (np.cumsum(ours, dtype=np.float64) - ours / 2) / ours.sum()
                level = np.concatenate([[0.0], np.cumsum(theirs, dtype=np.float64) / theirs.sum()])
                bounds = np.append(edges, edges[-1] + self._width)
                used = np.concatenate([[True], np.diff(level) > 0])
                used[np.flatnonzero(used)[1:] - 1] = True
                self._shift[row] = np.interp(ranks, level[used], bounds[used]) - middle

    def __call__(self, field: np.ndarray) -> np.ndarray:
        """(..., lat, lon) of the scored cells; NaN stays."""
        flat = field.reshape(-1, self._slots.size)
        place = (flat - self._origin) / self._width - 0.5
        below = np.clip(np.nan_to_num(np.floor(place)).astype(int), 0, self._shift.shape[1] - 2)
        part = np.clip(place - below, 0, 1)
        shift: np.ndarray = (1 - part) * self._shift[self._slots, below] + part * self._shift[self._slots, below + 1]
        return np.asarray(flat + shift, dtype=np.float32).reshape(field.shape)
