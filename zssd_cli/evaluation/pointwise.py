r"""What one time adds to the scores, cell by cell.

With errors :math:`e_i = x_i - y` of m members:

* fair CRPS: :math:`\frac1m\sum_i|e_i| - \frac{1}{2m(m-1)}\sum_{ij}|e_i-e_j|` (Ferro 2014, Q. J. R. Meteorol. Soc. 140),
  the absolute error for one member;
* threshold-weighted CRPS: the fair CRPS of members and truth after :math:`v(x) = \max(x, t)` (Allen et al. 2023, SIAM/ASA J.
  Uncertain. Quantif. 11), which looks at what lies above the threshold t only; below it with the minimum;
* intervals: between the quantiles (1 - p) / 2 and (1 + p) / 2 of the members, at the places p (m + 1) among the sorted members
  (Hyndman and Fan 1996, Am. Stat. 50, type 6), where a reliable ensemble covers the share p; the outermost members where m is too small
  for that: those of a reliable ensemble cover (m - 1) / (m + 1);
* rank: how many members lie below the truth; among members that equal it, at random (Hamill 2001, Mon. Weather Rev. 129).
"""

from dataclasses import dataclass

import numpy as np

COVERAGES = (0.5, 0.9)
"""Shares that the intervals of the ensemble should cover."""
TERMS = (
    "weight", "mae", "mse", "bias", "crps", "variance", "x", "y", "xx", "yy", "xy", "member", "cover_50", "cover_90",
    "tw_crps", "event",
)  # fmt: skip
"""What is summed; the order of :func:`terms`."""


@dataclass(frozen=True)
class Threshold:
    """Where the threshold-weighted CRPS looks.

    Attributes
    ----------
    value
        In the variable's canonical units.
    above
        Above the value, or below it.
    """

    value: float
    above: bool = True

    def chain(self, values: np.ndarray) -> np.ndarray:
        """Values on the other side are moved to the threshold."""
        return np.maximum(values, self.value) if self.above else np.minimum(values, self.value)

    def beyond(self, values: np.ndarray) -> np.ndarray:
        """Where values lie beyond."""
        return values > self.value if self.above else values < self.value


def _fair(mean_size: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Fair CRPS from the mean absolute error and the errors sorted along the members."""
    m = ordered.shape[0]
    if m == 1:
        return mean_size
    rank = (2.0 * np.arange(m) - m + 1).astype(ordered.dtype)
    return mean_size - np.tensordot(rank, ordered, 1) / (m * (m - 1))


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
    return _fair(np.abs(errors).mean(0), errors if errors.shape[0] == 1 else np.sort(errors, axis=0))


def expected_coverage(members: int, share: float) -> float:
    """Share of truths within the interval for ``share`` of a reliable ensemble: less where it has too few members."""
    return min(share, (members - 1) / (members + 1)) if members > 1 else float("nan")


def _within(ordered: np.ndarray, share: float) -> np.ndarray:
    """1 where zero lies between two quantiles of sorted errors (m, n)."""
    m = ordered.shape[0]
    sides = []
    for level in ((1 - share) / 2, (1 + share) / 2):
        place = min(max(level * (m + 1) - 1, 0.0), m - 1.0)
        below = min(int(place), m - 2)
        part = place - below
        sides.append((1 - part) * ordered[below] + part * ordered[below + 1])
    return ((sides[0] <= 0) & (sides[1] >= 0)).astype(np.float64)


def terms(members: np.ndarray, truth: np.ndarray, origin: float, threshold: Threshold | None = None) -> np.ndarray:
    """What every cell adds to the sums.

    Parameters
    ----------
    members
        (m, n), finite.
    truth
        (n,), finite.
    origin
        About which moments are taken: near the variable's mean.
    threshold
        Of the threshold-weighted CRPS; None: that is NaN.

    Returns
    -------
    Array (terms, n) in the order of :data:`TERMS`; what needs two members is NaN for one.
    """
    m = members.shape[0]
    errors = (members - truth).astype(np.float64)
    mean, known = errors.mean(0), truth.astype(np.float64) - origin
    centre, ordered = mean + known, errors if m == 1 else np.sort(errors, axis=0)
    out = np.full((len(TERMS), truth.size), np.nan)
    out[0] = 1.0
    out[1], out[2], out[3] = np.abs(mean), mean**2, mean
    out[4] = _fair(np.abs(errors).mean(0), ordered)
    out[6], out[7], out[8], out[9], out[10] = centre, known, centre**2, known**2, centre * known
    out[11] = ((errors + known) ** 2).mean(0)
    if m > 1:
        out[5] = errors.var(0, ddof=1)
        out[12], out[13] = (_within(ordered, share) for share in COVERAGES)
    if threshold is not None:
        far = threshold.beyond(truth)
        out[14] = 0.0
        near = np.flatnonzero(far | threshold.beyond(members).any(0))
        chained = (threshold.chain(members[:, near]) - threshold.chain(truth[near])).astype(np.float64)
        out[14, near], out[15] = fair_crps(chained), far
    return out


def ranks(members: np.ndarray, truth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """How many of the members (m, n) lie below the truth (n,), whole numbers 0..m; ties are drawn."""
    below = (members < truth).sum(0)
    equal = (members == truth).sum(0)
    tied = np.flatnonzero(equal)
    below[tied] += generator.integers(0, equal[tied] + 1)
    return below
