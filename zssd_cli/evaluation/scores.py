r"""Latitude-weighted scores of an ensemble against a truth that is known at the same times and points.

With errors :math:`e_i = x_i - y` of m members and area weights w:

* MAE, RMSE and bias of the ensemble mean;
* fair CRPS: :math:`\frac1m\sum_i|e_i| - \frac{1}{2m(m-1)}\sum_{ij}|e_i-e_j|` (Ferro 2014, Q. J. R. Meteorol. Soc. 140),
  the absolute error for one member;
* spread-skill ratio: :math:`\sqrt{\frac{m+1}{m}\overline{s^2}} / \mathrm{RMSE}` with the unbiased variance s^2
  (Fortin et al. 2014, J. Hydrometeorol. 15); 1 is reliable;
* quantile errors: quantile of all members, cells and times less that of the truth;
* amplitude: standard deviations over cells and times of the truth, the ensemble mean and a member, the slope of the regression
  of the truth on the ensemble mean (1 where its amplitude is right, above 1 where it is damped) and their correlation.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

BINS_PER_STD = 1000
HALF_RANGE = 50 * BINS_PER_STD


def fair_crps(errors: np.ndarray) -> np.ndarray:
    """Fair CRPS per cell.

    Parameters
    ----------
    errors
        Member minus truth, (m, ...), m >= 1.

    Returns
    -------
    Array (...), in the unit of the errors; the absolute error where m is 1.
    """
    m = errors.shape[0]
    skill = np.abs(errors).mean(0)
    if m == 1:
        return skill
    rank = (2.0 * np.arange(m) - m + 1).astype(errors.dtype)
    return skill - np.tensordot(rank, np.sort(errors, axis=0), 1) / (m * (m - 1))


class QuantileSketch:
    """Weighted quantiles of a stream in bounded memory: a histogram with a thousand bins per standard deviation.

    The error of a quantile is at most one bin. Values farther than 50 standard deviations from the first batch's mean
    count in the outermost bins.
    """

    def __init__(self, mean: float, std: float) -> None:
        self._origin = mean
        self._width = std / BINS_PER_STD if std > 0 else 1e-6
        self._counts = np.zeros(2 * HALF_RANGE + 1)

    def add(self, values: np.ndarray, weights: np.ndarray) -> None:
        """Count values with weights, both of one shape; all finite."""
        index = np.floor((values.astype(np.float64) - self._origin) / self._width)
        index = np.clip(index, -HALF_RANGE, HALF_RANGE).astype(np.int64) + HALF_RANGE
        self._counts += np.bincount(index.ravel(), weights.ravel(), self._counts.size)

    def quantile(self, level: float) -> float:
        """The value below which the share ``level`` of the weight lies, linear within a bin."""
        total = np.cumsum(self._counts)
        target = level * total[-1]
        k = int(np.searchsorted(total, target))
        inside = (target - (total[k] - self._counts[k])) / self._counts[k]
        return float(self._origin + self._width * (k - HALF_RANGE + inside))


@dataclass(frozen=True)
class Scores:
    """Scores of one variable and method, in the variable's unit; NaN where a score needs more members.

    ``p99_error`` and ``p01_error`` are positive where the method's quantile is above the truth's. ``rank_histogram``
    has m + 1 shares that sum to 1, flat for a reliable ensemble; empty for one member. A score that is annotated with a
    heading is a column of the report's table, the others are in its JSON only.
    """

    mae: Annotated[float, "MAE"]
    rmse: Annotated[float, "RMSE"]
    bias: Annotated[float, "bias"]
    p99_error: Annotated[float, "P99\nerror"]
    p01_error: float
    crps: Annotated[float, "CRPS"]
    spread_skill: Annotated[float, "spread/\nskill"]
    members: int
    rank_histogram: tuple[float, ...] = ()
    slope: Annotated[float, "slope"] = math.nan
    correlation: float = math.nan
    std_truth: float = math.nan
    std_mean: float = math.nan
    std_member: float = math.nan


TERMS = ("weight", "mae", "mse", "bias", "crps", "variance", "x", "y", "xx", "yy", "xy", "member")


class ScoreSums:
    """Accumulates scores over times, one field after the other."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(TERMS, 0.0)
        self._ranks: np.ndarray | None = None
        self._sketches: tuple[QuantileSketch, QuantileSketch] | None = None
        self._members = 0
        self._origin: float | None = None

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
        errors = (x - y).astype(np.float64)
        mean = errors.mean(0)
        terms = {
            "weight": np.ones_like(w),
            "mae": np.abs(mean),
            "mse": mean**2,
            "bias": mean,
            "crps": fair_crps(errors),
        }
        if self._origin is None:
            self._origin = float(np.mean(y, dtype=np.float64))
        known = y.astype(np.float64) - self._origin
        centre = mean + known
        terms |= {"x": centre, "y": known, "xx": centre**2, "yy": known**2, "xy": centre * known}
        terms["member"] = ((errors + known) ** 2).mean(0)
        if m > 1:
            terms["variance"] = errors.var(0, ddof=1)
            ranks = np.bincount((errors < 0).sum(0), w, m + 1)
            self._ranks = ranks if self._ranks is None else self._ranks + ranks
        for name, term in terms.items():
            self._sums[name] += float(w @ term)
        if self._sketches is None:
            scale = float(np.mean(y, dtype=np.float64)), float(np.std(y, dtype=np.float64))
            self._sketches = QuantileSketch(*scale), QuantileSketch(*scale)
        self._sketches[0].add(x, np.broadcast_to(w, x.shape))
        self._sketches[1].add(y, w)

    def result(self) -> Scores:
        """The scores so far; all NaN when nothing was added."""
        if self._sketches is None:
            nan = float("nan")
            return Scores(nan, nan, nan, nan, nan, nan, nan, self._members)
        weight, m = self._sums["weight"], self._members
        mean = {name: value / weight for name, value in self._sums.items()}
        rmse = float(np.sqrt(mean["mse"]))
        ratio = float(np.sqrt(mean["variance"] * (m + 1) / m) / rmse) if m > 1 and rmse > 0 else float("nan")
        ours, truth = self._sketches
        p99, p01 = (ours.quantile(level) - truth.quantile(level) for level in (0.99, 0.01))
        ranks = () if self._ranks is None else tuple((self._ranks / weight).tolist())
        return Scores(
            mean["mae"], rmse, mean["bias"], p99, p01, mean["crps"], ratio, m, ranks, **_amplitude(mean)
        )  # fmt: skip


def _amplitude(mean: dict[str, float]) -> dict[str, float]:
    """From the moments about the origin."""
    x, y = mean["x"], mean["y"]
    xx, yy, xy = mean["xx"] - x * x, mean["yy"] - y * y, mean["xy"] - x * y
    member = mean["member"] - x * x
    std_mean, std_truth, std_member = (math.sqrt(max(variance, 0.0)) for variance in (xx, yy, member))
    both = std_mean * std_truth
    return {
        "slope": xy / xx if xx > 0 else math.nan,
        "correlation": xy / both if both > 0 else math.nan,
        "std_truth": std_truth,
        "std_mean": std_mean,
        "std_member": std_member,
    }
