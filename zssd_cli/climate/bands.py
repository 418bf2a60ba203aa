"""Bands of latitude: a set of statistics every ten degrees, each measured within ten degrees of its centre."""

import numpy as np

BAND_WIDTH = 10.0
"""Distance of the centres in degrees; a band reaches as far to either side, so that neighbours overlap by half."""


def band_centres() -> np.ndarray:
    """Latitudes of the measured bands in the northern hemisphere: 5, 15, ... 85."""
    return np.arange(BAND_WIDTH / 2, 90, BAND_WIDTH)


def band_weights(lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (bands, rows) of the bands of both hemispheres on rows in degrees, and the bands' centres, southernmost first.

    Weights fall linearly from a band's centre to its neighbours' and add up to 1 on every row.
    """
    north = band_centres()
    centres = np.concatenate([-north[::-1], north])
    rows = np.clip(lat, centres[0], centres[-1])
    return np.maximum(1 - np.abs(rows[None] - centres[:, None]) / BAND_WIDTH, 0), centres
