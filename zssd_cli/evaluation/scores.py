r"""Latitude-weighted scores of an ensemble against a truth that is known at the same times and points.

From the sums of :mod:`zssd_cli.evaluation.pointwise` with area weights w:

* MAE, RMSE and bias of the ensemble mean, fair CRPS;
* spread-skill ratio: :math:`\sqrt{\frac{m+1}{m}\overline{s^2}} / \mathrm{RMSE}` with the unbiased variance s^2
  (Fortin et al. 2014, J. Hydrometeorol. 15); 1 is reliable;
* quantile errors: quantile of all members, cells and times less that of the truth;
* amplitude: standard deviations over cells and times of the truth, the ensemble mean and a member, the slope of the regression
  of the truth on the ensemble mean (1 where its amplitude is right, above 1 where it is damped) and their correlation.
"""

import math
from dataclasses import dataclass

import numpy as np

from zssd_cli.evaluation.histograms import HALF_RANGE, Binning, quantiles
from zssd_cli.evaluation.pointwise import TERMS, fair_crps, ranks, terms

__all__ = ["QuantileSketch", "ScoreSums", "Scores", "derived", "fair_crps"]


class QuantileSketch:
    """Weighted quantiles of a stream in bounded memory: a histogram with a thousand bins per standard deviation.

    The error of a quantile is at most one bin. Values farther than 50 standard deviations from the first batch's mean
    count in the outermost bins.
    """

    def __init__(self, mean: float, std: float) -> None:
        self._binning = Binning.around(mean, std)
        self._counts = np.zeros(2 * HALF_RANGE + 1)

    def add(self, values: np.ndarray, weights: np.ndarray) -> None:
        """Count values with weights, both of one shape; all finite."""
        index = self._binning.index(values) + HALF_RANGE
        self._counts += np.bincount(index.ravel(), weights.ravel(), self._counts.size)

    def quantile(self, level: float) -> float:
        """The value below which the share ``level`` of the weight lies, linear within a bin."""
        return float(quantiles(self._counts, self._binning.edges(), np.array([level]))[0])


@dataclass(frozen=True)
class Scores:
    """Scores of one variable and method, in the variable's unit; NaN where a score needs more members.

    ``p99_error`` and ``p01_error`` are positive where the method's quantile is above the truth's. ``rank_histogram``
    has m + 1 shares that sum to 1, flat for a reliable ensemble; empty for one member.
    """

    mae: float
    rmse: float
    bias: float
    p99_error: float
    p01_error: float
    crps: float
    spread_skill: float
    members: int
    rank_histogram: tuple[float, ...] = ()
    slope: float = math.nan
    correlation: float = math.nan
    std_truth: float = math.nan
    std_mean: float = math.nan
    std_member: float = math.nan


AMPLITUDE = ("slope", "correlation", "std_truth", "std_mean", "std_member")


class ScoreSums:
    """Accumulates scores over times, one field after the other."""

    def __init__(self) -> None:
        self._sums = np.zeros(len(TERMS))
        self._ranks: np.ndarray | None = None
        self._sketches: tuple[QuantileSketch, QuantileSketch] | None = None
        self._members = 0
        self._origin = 0.0
        self._generator = np.random.default_rng(0)

    def add(self, members: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> None:
        """Add one time.

        Parameters
        ----------
        members
            (m, lat, lon), the same m at every call.
        truth, weights
            (lat, lon). Cells with weight 0 are left out and may be NaN.
        """
        keep = weights > 0
        if not keep.any():
            return
        x, y, w = members[:, keep], truth[keep], weights[keep].astype(np.float64)
        m = self._members = x.shape[0]
        if self._sketches is None:
            scale = float(np.mean(y, dtype=np.float64)), float(np.std(y, dtype=np.float64))
            self._sketches = QuantileSketch(*scale), QuantileSketch(*scale)
            self._origin = scale[0]
        self._sums += terms(x, y, self._origin) @ w
        if m > 1:
            shares = np.bincount(ranks(x, y, self._generator), w, m + 1)
            self._ranks = shares if self._ranks is None else self._ranks + shares
        self._sketches[0].add(x, np.broadcast_to(w, x.shape))
        self._sketches[1].add(y, w)

    def result(self) -> Scores:
        """The scores so far; all NaN when nothing was added."""
        if self._sketches is None:
            nan = float("nan")
            return Scores(nan, nan, nan, nan, nan, nan, nan, self._members)
        mean = derived(dict(zip(TERMS, self._sums / self._sums[0], strict=True)), self._members)
        ours, truth = self._sketches
        p99, p01 = (ours.quantile(level) - truth.quantile(level) for level in (0.99, 0.01))
        shares = () if self._ranks is None else tuple((self._ranks / self._sums[0]).tolist())
        return scores(mean, self._members, p99, p01, shares)


def scores(mean: dict[str, np.ndarray], members: int, p99: float, p01: float, shares: tuple[float, ...]) -> Scores:
    """From what :func:`derived` gives, for one sample and group."""
    known = {name: float(mean[name]) for name in ("mae", "rmse", "bias", "crps", "spread_skill", *AMPLITUDE)}
    return Scores(p99_error=p99, p01_error=p01, members=members, rank_histogram=shares, **known)


def derived(mean: dict[str, np.ndarray], members: int) -> dict[str, np.ndarray]:
    """Means of :data:`TERMS` and what follows from them, arrays of any one shape; NaN where something is not there."""
    x, y = mean["x"], mean["y"]
    xx, yy, xy = mean["xx"] - x * x, mean["yy"] - y * y, mean["xy"] - x * y
    member = mean["member"] - x * x
    stds = {
        name: np.sqrt(np.maximum(variance, 0.0))
        for name, variance in (("std_truth", yy), ("std_mean", xx), ("std_member", member))
    }
    rmse = np.sqrt(mean["mse"])
    spread = np.sqrt(mean["variance"] * (members + 1) / members)
    return {
        **mean,
        **stds,
        "rmse": rmse,
        "spread_skill": _ratio(spread, rmse),
        "slope": _ratio(xy, np.maximum(xx, 0.0)),
        "correlation": _ratio(xy, stds["std_mean"] * stds["std_truth"]),
        "event_share": mean["event"],
    }


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """NaN where the divisor is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(below) > 0, above / np.where(np.asarray(below) > 0, below, 1.0), np.nan)
