r"""``--filter-scale auto``: blocks as wide as the model can be believed, by where its spectrum leaves the reanalysis' [ours].

The prior knows the reanalysis' spectrum: its climatological Gaussian gives the power density of every row, here of means over cells as
wide as the input's and over the blocks of one degree that both are compared on,

.. math:: P(f_x) = \sum_{f_y} S(f_x, f_y) \prod_{f \in \{f_x, f_y\}} \mathrm{sinc}^2(f w)\,\mathrm{sinc}^2(f).

A model is right at a wavelength where the ratio of its power to P is within 3 dB of what it is at the longest wavelengths (a season
or a model that is livelier than the training data at all scales is no reason to cut), and at all longer ones. Blocks are half that
wavelength wide: the shortest wave that they hold. Rows from 30 to 65 degrees decide; the tropics' pressure hangs on the tides.
"""

import numpy as np
import torch

from zssd_cli.climate.covariance import TORUS, Band
from zssd_cli.errors import ConfigError
from zssd_cli.evaluation.spectra import WITHIN_DB, WavelengthBins, decibels
from zssd_cli.grids.extent import cell_width, covered_region, scale_for
from zssd_cli.grids.latlon import FINE_STEP, LatLonGrid, block_grid
from zssd_cli.grids.regridders import make_regrid
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.series.protocol import CoarseSeries
from zssd_cli.text import plural

AUTO = "auto"
OPTION, NUMBER = "--filter-scale auto", "Give a number such as --filter-scale 5."
STEP = 1.0
"""Degrees of the blocks that spectra are compared on."""
MIDDLE = np.concatenate([np.arange(-64.5, -30), np.arange(30.5, 65)])
"""Latitudes of the rows of blocks that are compared."""
LONG = 7.0
"""Wavelengths in degrees of great circle from which on the ratio of the spectra says how lively the model is as a whole."""
LEAST_LONG, MOST_TIMES = 2, 16


def automatic_scale(source: CoarseSeries, prior: Prior) -> tuple[float, str]:
    """Side of the blocks in degrees, and a note on how it was found.

    Parameters
    ----------
    source
        Moments; up to 16 of them, spread over the series, are looked at, wherever the source has values.
    prior
        Whose Gaussian is the reanalysis.

    Raises
    ------
    ConfigError
        Means over time, none of the prior's variables, too small an area in the middle latitudes, cells over 10 degrees.
    """
    if source.averaging is not None:
        msg = f"{OPTION} compares moments, the input holds {source.averaging}. {NUMBER}"
        raise ConfigError(msg)
    names = [name for name in source.variables if name in prior.variables]
    if not names:
        msg = f"{OPTION} needs {' or '.join(prior.variables)} in the input, got {', '.join(source.variables)}. {NUMBER}"
        raise ConfigError(msg)
    times = np.unique(np.linspace(0, len(source.times) - 1, MOST_TIMES).round().astype(int))
    bands = prior.climate.bands(MIDDLE)
    shortest = {}
    for name in names:
        place, channel = source.cells[name], prior.variables.index(name)
        grid = block_grid(STEP, covered_region(place, STEP))
        means = make_regrid(place, grid)[0]
        fields = np.concatenate([means(source.fields(name, int(k), int(k) + 1)) for k in times])
        expected = _reanalysis(bands, channel, grid, cell_width(place))
        right = _shortest_right(WavelengthBins(grid), fields / float(prior.std[channel]), expected)
        shortest[name] = max(right, 2 * cell_width(place))
    worst = max(shortest, key=lambda name: shortest[name])
    scale = scale_for(shortest[worst] / 2)
    if scale is None:
        msg = f"{OPTION}: the input's cells are {shortest[worst] / 2:.3g} degrees wide; more than 10 cannot be downscaled."
        raise ConfigError(msg)
    return scale, (
        f"blocks of {scale:g} degrees ({OPTION}): the spectrum of {worst} is the reanalysis' within {WITHIN_DB:g} dB down to "
        f"wavelengths of {shortest[worst]:.1f} degrees, by {plural(times.size, 'time')}"
    )


def _shortest_right(bins: WavelengthBins, fields: np.ndarray, expected: np.ndarray) -> float:
    """Shortest wavelength in degrees of great circle down to which fields (time, lat, lon) have the expected power (lat, k)."""
    density = bins.densities(fields).mean(0) + 0 * expected
    long = bins.centres >= LONG
    if not np.isfinite(density).all(1).any() or long.sum() < LEAST_LONG:
        msg = (
            f"{OPTION} needs rows between 30 and 65 degrees without missing values, at least 20 degrees of a great circle long. "
            f"{NUMBER}"
        )
        raise ConfigError(msg)
    expected = np.where(np.isfinite(density), expected, np.nan)
    difference = decibels(bins.means(density)[0], bins.means(expected)[0])
    if not np.isfinite(difference[long]).any():
        msg = f"{OPTION}: the fields hardly vary along rows between 30 and 65 degrees; look at them with zssd inspect. {NUMBER}"
        raise ConfigError(msg)
    wrong = np.flatnonzero((np.abs(difference - np.nanmean(difference[long])) > WITHIN_DB) & ~long)
    return float(bins.edges[wrong[-1] + 1] if wrong.size else bins.edges[0])


def _reanalysis(bands: list[Band], channel: int, grid: LatLonGrid, width: float) -> np.ndarray:
    """Power density of the prior's means over cells, as :meth:`WavelengthBins.densities` has it, (lat, k); NaN beyond MIDDLE."""
    per_degree = torch.fft.fftfreq(TORUS, FINE_STEP).numpy(), torch.fft.rfftfreq(TORUS, FINE_STEP).numpy()
    north, east = (np.sinc(f * width) ** 2 * np.sinc(f * STEP) ** 2 for f in per_degree)
    frequency = np.fft.rfftfreq(grid.lon.size, STEP)[1:]
    total = np.zeros((MIDDLE.size, frequency.size))
    for band in bands:
        power = band.spectrum.covariance()[channel, channel].real.numpy()
        along = (power * north[:, None]).sum(0) * east * 2 * FINE_STEP / TORUS
        total += band.weight.numpy()[:, None] * np.interp(frequency, per_degree[1], along)
    rows = np.searchsorted(MIDDLE, grid.lat).clip(max=MIDDLE.size - 1)
    known = (MIDDLE[rows] == grid.lat)[:, None]
    return np.where(known, total[rows], np.nan) * np.cos(np.deg2rad(grid.lat))[:, None]
