"""Scores of one ensemble against its truth, by variable, with the package's own formulas (``zssd_cli.evaluation``)."""

from collections.abc import Iterable

import numpy as np

from harness.fields import Series
from zssd_cli.evaluation.baselines import BASELINES
from zssd_cli.evaluation.scores import ScoreSums
from zssd_cli.evaluation.spectra import SpectrumSums, WavelengthBins, decibels, log_spectral_distance
from zssd_cli.grids.latlon import LatLonGrid

WIND = "wind_speed"
SHOWN = (1.0, 10.0)
"""Wavelengths in degrees between which the largest spectral deviation is looked for."""

Scores = dict[str, dict[str, float]]
"""Variable -> score -> value."""


def with_wind(fields: np.ndarray, variables: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Variables by name from axis -3, and the wind speed where both components are there."""
    parts = {name: fields[..., k, :, :] for k, name in enumerate(variables)}
    if {"u10", "v10"} <= set(variables):
        parts[WIND] = np.hypot(parts["u10"], parts["v10"])
    return parts


def score(ensembles: Iterable[np.ndarray], truths: np.ndarray, variables: tuple[str, ...], grid: LatLonGrid) -> Scores:
    """All scores over the times of one field.

    Parameters
    ----------
    ensembles
        One (members, C, lat, lon) per time.
    truths
        (times, C, lat, lon).
    variables, grid
        Of both.

    Returns
    -------
    Per variable: ``crps`` (fair), ``mae`` of the ensemble mean, ``p99_error``, ``spread_skill`` (NaN for one member),
    ``lsd_db`` and ``worst_db``, the largest deviation of the mean spectrum from the truth's between 1 and 10 degrees.
    """
    bins = WavelengthBins(grid)
    names = tuple(with_wind(truths, variables))
    sums = {name: (ScoreSums(), SpectrumSums(bins), SpectrumSums(bins)) for name in names}
    for members, truth in zip(ensembles, truths, strict=True):
        ours, theirs = with_wind(members, variables), with_wind(truth, variables)
        for name, (scores, spectrum, reference) in sums.items():
            finite = np.isfinite(theirs[name]) & np.isfinite(ours[name]).all(0)
            gaps = np.where(finite, 0.0, np.nan)
            scores.add(ours[name], theirs[name], np.where(finite, grid.area, 0.0))
            spectrum.add(ours[name] + gaps)
            reference.add(theirs[name][None] + gaps)
    result = {}
    for name, (scores, spectrum, reference) in sums.items():
        s, power, true = scores.result(), spectrum.result()[0], reference.result()[0]
        shown = (bins.centres >= SHOWN[0]) & (bins.centres <= SHOWN[1])
        deviation = decibels(power, true)[shown]
        deviation = deviation[np.isfinite(deviation)]
        result[name] = {
            "crps": s.crps,
            "mae": s.mae,
            "p99_error": s.p99_error,
            "spread_skill": s.spread_skill,
            "lsd_db": log_spectral_distance(power, true),
            "worst_db": float(max(deviation, key=abs, default=np.nan)),
        }
    return result


def baseline(method: str, blocks: Series, grid: LatLonGrid) -> np.ndarray:
    """An interpolation of block means, (times, 1 member, C, lat, lon)."""
    return BASELINES[method](blocks.values.astype(np.float64), blocks.grid, grid).astype(np.float32)[:, None]
