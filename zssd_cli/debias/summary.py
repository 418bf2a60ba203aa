"""How large the biases of a file are, and how much the model changes, in a few numbers."""

from dataclasses import dataclass

import netCDF4
import numpy as np

from zssd_cli.debias.calibration import HISTORICAL, Calibration
from zssd_cli.series.opening import reading
from zssd_cli.watchdog import watched


@dataclass(frozen=True)
class Bias:
    """Of one variable, over all blocks by area, in canonical units; means are means of quantiles.

    Attributes
    ----------
    mean
        The model minus the reference, historical period.
    rms
        Root mean square of that over blocks and seasons.
    spread
        Ratio of the range from the 16th to the 84th percentile, model over reference.
    change
        Mean of the target's last decades minus the historical period's; None without a target.
    blocks
        How many are known in every part of the year.
    """

    mean: float
    rms: float
    spread: float
    change: float | None
    blocks: int


def biases(calibration: Calibration) -> dict[str, Bias]:
    """By variable."""
    found = {}
    with reading(calibration.path), watched(calibration.path), netCDF4.Dataset(calibration.path) as data:
        nodes = np.asarray(data["quantile"][:])
        low, high = (int(np.abs(nodes - level).argmin()) for level in (0.16, 0.84))
        for name in calibration.variables:
            reference = np.ma.filled(data[f"{name}_reference"][:].astype(float), np.nan)
            first, last = (
                np.ma.filled(data[f"{name}_model"][span].astype(float), np.nan)
                for span in (HISTORICAL, len(calibration.counts) - 1)
            )
            weights = np.broadcast_to(calibration.grid.area, reference[:, 0].shape)
            apart = np.einsum("snyx,n->syx", first - reference, shares(nodes))
            ranges = [mean(values[:, high] - values[:, low], weights) for values in (first, reference)]
            changed = np.einsum("snyx,n->syx", last - first, shares(nodes))
            change = mean(changed, weights) if calibration.target is not None else None
            known = np.isfinite(first + last + reference).all(1)[calibration.counts.all(0)].all(0)
            spread = ranges[0] / ranges[1]
            found[name] = Bias(mean(apart, weights), mean(apart**2, weights) ** 0.5, spread, change, int(known.sum()))
    return found


def shares(nodes: np.ndarray) -> np.ndarray:
    """Probability that each quantile stands for, (nodes,): its neighbourhood's, for the tails lie closer together."""
    edges = np.concatenate([[0.0], (nodes[1:] + nodes[:-1]) / 2, [1.0]])
    return np.diff(edges)


def mean(values: np.ndarray, weights: np.ndarray) -> float:
    """By area, over what is there."""
    there = np.isfinite(values)
    return float((values[there] * weights[there]).sum() / weights[there].sum())
