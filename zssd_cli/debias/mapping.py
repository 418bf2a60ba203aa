"""Quantiles of series of block means, by xsdba, and what they add to a value: numerics on plain arrays.

Nodes are evenly apart in standard deviations of a normal distribution, .2 each, so that straight lines between them follow weather's
distributions alike in the middle and in the tails. Beyond the outermost (1 in 200) the correction is that of the outermost: a value
outside everything that was seen is moved, and never stretched.
"""

from enum import StrEnum
from importlib.util import find_spec
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from zssd_cli.errors import ConfigError

if TYPE_CHECKING:
    import xarray as xr

NODES = np.array([NormalDist().cdf(z) for z in np.linspace(-2.6, 2.6, 27)])
LEAST_SHARE = 0.5
"""Share of a series' values that a block must have."""
TREND_YEARS = 10
"""Over fewer years a trend is weather."""
FEWEST = 2
"""Values of which quantiles are taken at all."""
RATIOS = (0.2, 5.0)
"""Smallest and largest factor: quantiles of a speed near 0 make others."""


class Kind(StrEnum):
    """What is kept of the model's change: differences of quantiles, or ratios."""

    DIFFERENCE = "+"
    RATIO = "*"


def require() -> None:
    """Raise :class:`ConfigError` where xsdba is not there."""
    if find_spec("xsdba") is None:
        msg = 'Fitting a bias adjustment needs xsdba: pip install "zssd[debias]" (or pip install xsdba).'
        raise ConfigError(msg)


def train(reference: np.ndarray, historical: np.ndarray, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of the reference and of the model in the historical period.

    Parameters
    ----------
    reference, historical
        (times, points), NaN where missing; their times need not be the same.

    Returns
    -------
    (nodes, points) each, NaN where one of them lacks half of its values.
    """
    from xsdba import QuantileDeltaMapping

    # xsdba wants series of one length: what the shorter one lacks is missing, which quantiles leave out
    length = max(len(reference), len(historical))
    arrays = (_array(_whole(series), length) for series in (reference, historical))
    trained = QuantileDeltaMapping.train(*arrays, nquantiles=NODES, kind=str(kind), group="time").ds
    model = trained.hist_q.isel(group=0).transpose("quantiles", "point").values
    factor = trained.af.isel(group=0).transpose("quantiles", "point").values
    return (model + factor if kind is Kind.DIFFERENCE else model * factor), model


def quantiles(series: np.ndarray) -> np.ndarray:
    """Of (times, points): (nodes, points), NaN where half of the values are missing."""
    from xsdba.nbutils import quantile

    found = quantile(_array(_whole(series), len(series)), NODES, "time")
    return np.asarray(found.transpose("quantiles", "point").values)


def trend(series: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Slope per year by least squares of (times, points) at decimal years: (points,), 0 over fewer than ten years."""
    there = ~np.isnan(series)
    if not len(years) or np.ptp(years) < TREND_YEARS - 1:
        return np.zeros(series.shape[1])
    count = np.maximum(there.sum(0), 1)
    apart = np.where(there, years[:, None] - (there * years[:, None]).sum(0) / count, 0.0)
    values = np.where(there, series, 0.0)
    return np.asarray((apart * values).sum(0) / np.maximum((apart**2).sum(0), 1e-12))


def _whole(series: np.ndarray) -> np.ndarray:
    """The series as double precision, whole points only."""
    missing = np.isnan(series).mean(0) > 1 - LEAST_SHARE
    return np.where(missing, np.nan, series.astype(np.float64))


def _array(series: np.ndarray, length: int) -> "xr.DataArray":
    """As xsdba takes it: units, and days as times, which a single group never looks at."""
    import xarray as xr

    filled = np.full((length, series.shape[1]), np.nan)
    filled[: len(series)] = series
    days = np.datetime64("2000-01-01", "ns") + np.arange(length) * np.timedelta64(1, "D")
    return xr.DataArray(filled, dims=("time", "point"), coords={"time": days}, attrs={"units": "1"})


def correction(reference: np.ndarray, historical: np.ndarray, kind: Kind) -> np.ndarray:
    """What is added at every node, or multiplied by."""
    if kind is Kind.DIFFERENCE:
        return reference - historical
    return np.clip(reference / np.maximum(historical, 1e-6), *RATIOS)


def interpolated(values: np.ndarray, model: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The correction at the values: straight lines between the model's quantiles, constant beyond them.

    Parameters
    ----------
    values
        Any shape.
    model, factors
        Quantiles of the model and the correction there, (nodes, *shape of values).

    Returns
    -------
    NaN where a value or a quantile is missing. A value that ties with several quantiles gets the middle of them.
    """
    left, right = (_place(values, model, ties=ties) for ties in (False, True))
    place = np.nan_to_num((left + right) / 2)
    below = np.minimum(place.astype(int), len(model) - 2)
    lower, upper = (np.take_along_axis(factors, (below + k)[None], 0)[0] for k in (0, 1))
    found = lower + (place - below) * (upper - lower)
    return np.where(np.isnan(values) | np.isnan(model).any(0), np.nan, found)


def _place(values: np.ndarray, model: np.ndarray, *, ties: bool) -> np.ndarray:
    """Where values lie among quantiles, 0 to nodes - 1; among equal ones at the last (``ties``) or at the first."""
    passed = (model <= values if ties else model < values).sum(0)
    below = np.clip(passed - 1, 0, len(model) - 2)
    lower, upper = (np.take_along_axis(model, (below + k)[None], 0)[0] for k in (0, 1))
    width = upper - lower
    share = np.clip((values - lower) / np.where(width > 0, width, 1.0), 0, 1)
    return np.asarray(below + np.where(width > 0, share, passed == len(model)))
