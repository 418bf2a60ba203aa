r"""Distributions of a stream in bounded memory, and what is read from them.

All systems of a variable share one :class:`Binning`, so that their distributions compare bin by bin. The Wasserstein distance
between distribution functions F and G is :math:`\int |F - G|\,dx`: how far the values have to be moved on average.
"""

from dataclasses import dataclass

import numpy as np

BINS_PER_STD = 1000
HALF_RANGE = 50 * BINS_PER_STD
COARSE = 20
"""Fine bins to a bin of groups and replicates: 50 to a standard deviation."""
COARSE_HALF = 20 * BINS_PER_STD // COARSE
MAP = 40
MAP_HALF = 8 * BINS_PER_STD // MAP
"""Bins of the maps: 25 to a standard deviation, 8 standard deviations to either side."""
LEVELS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""Quantiles of the report."""


@dataclass(frozen=True)
class Binning:
    """A thousand bins per standard deviation, 50 standard deviations to either side of a mean.

    Attributes
    ----------
    origin
        Lower edge of the middle bin.
    width
        Of a bin.
    """

    origin: float
    width: float

    @classmethod
    def around(cls, mean: float, std: float) -> "Binning":
        """For values with that mean and standard deviation."""
        return cls(mean, std / BINS_PER_STD if std > 0 else 1e-6)

    def index(self, values: np.ndarray) -> np.ndarray:
        """Number of the bin from -HALF_RANGE to HALF_RANGE; values beyond are in the outermost."""
        index = np.floor((values.astype(np.float64) - self.origin) / self.width)
        return np.clip(index, -HALF_RANGE, HALF_RANGE).astype(np.int64)

    def edges(self, factor: int = 1, half: int = HALF_RANGE) -> np.ndarray:
        """Lower edges of bins of ``factor`` fine ones."""
        return self.origin + self.width * factor * np.arange(-half, half + 1)


def coarser(index: np.ndarray, factor: int, half: int) -> np.ndarray:
    """Numbers 0..2 half of bins of ``factor`` fine ones."""
    return np.clip(index // factor, -half, half) + half


def merge(counts: np.ndarray, factor: int, half: int) -> np.ndarray:
    """Counts of fine bins (..., 2 HALF_RANGE + 1) in bins of ``factor``, (..., 2 half + 1)."""
    slots = coarser(np.arange(-HALF_RANGE, HALF_RANGE + 1), factor, half)
    starts = np.flatnonzero(np.diff(slots, prepend=-1))
    return np.add.reduceat(counts, starts, axis=-1)


def quantiles(counts: np.ndarray, edges: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Values below which shares of the weight lie, linear within a bin.

    Parameters
    ----------
    counts
        (..., bins).
    edges
        Lower edges, equally spaced, (bins,).
    levels
        Shares, (levels,).

    Returns
    -------
    Array (..., levels), NaN where nothing was counted.
    """
    total = np.cumsum(counts.reshape(-1, counts.shape[-1]), axis=-1, dtype=np.float64)
    width, out = edges[1] - edges[0], np.full((len(total), len(levels)), np.nan)
    for row, sums in enumerate(total):
        if sums[-1] > 0:
            target = np.asarray(levels) * sums[-1]
            k = np.minimum(np.searchsorted(sums, target), sums.size - 1)
            before = np.where(k > 0, sums[k - 1], 0.0)
            inside = (target - before) / np.maximum(sums[k] - before, 1e-300)
            out[row] = edges[k] + width * np.clip(inside, 0, 1)
    return out.reshape(*counts.shape[:-1], len(levels))


def wasserstein(ours: np.ndarray, theirs: np.ndarray, width: float) -> np.ndarray:
    """Distance between distributions in bins of that width, (..., bins) each, to (...)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [np.cumsum(counts, -1) / counts.sum(-1, keepdims=True) for counts in (ours, theirs)]
    return np.abs(shares[0] - shares[1]).sum(-1) * width
