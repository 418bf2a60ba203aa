"""``--filter-scale auto``: fields of the prior's own spectrum, whole, damped or made noisy below some wavelength."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from zssd_cli.climate.bands import band_centres
from zssd_cli.climate.covariance import MAX_LAG
from zssd_cli.climate.gaussian import Climate, ClimateFields
from zssd_cli.errors import ConfigError
from zssd_cli.grids.latlon import Region, fine_grid, regular_grid
from zssd_cli.posterior.divergence import automatic_scale

CELL = 1.5
TIMES = 4


def climate() -> Climate:
    """One variable whose covariance falls exponentially, e-folding at 8 degrees: its spectrum falls as a power of wavelength."""
    y, x = np.meshgrid(np.arange(MAX_LAG + 1), np.arange(-MAX_LAG, MAX_LAG + 1), indexing="ij")
    lags = np.exp(-np.hypot(y, x) / 32)[None, None, None].repeat(band_centres().size, 0)
    return Climate(
        ("msl",), torch.zeros(1), torch.full((1,), 900.0), torch.zeros(1, 721), torch.as_tensor(lags, dtype=torch.float32),
        torch.ones(1),
    )  # fmt: skip


@pytest.fixture(scope="module")
def model():
    """Cells of 1.5 degrees on a ring and their means, in Pa, of fields of that climate; the prior."""
    known, fine = climate(), fine_grid(Region(0, 360, 36, 54))
    fields = ClimateFields(known, fine, torch.zeros(4, *fine.shape), known.bands(fine.lat))
    (height, width), (rim, _) = fine.shape, fields.margin
    noise = torch.randn(TIMES, 1, height + 2 * rim, width, generator=torch.Generator().manual_seed(1))
    drawn = fields.deviations(noise, torch.full((TIMES,), 0.5))[:, 0, :72].numpy() * 900.0
    means = drawn.reshape(TIMES, 12, 6, 240, 6).mean((2, 4))
    grid = regular_grid(36.625 + CELL * np.arange(12), 0.625 + CELL * np.arange(240), CELL)
    return grid, means, SimpleNamespace(variables=("msl",), std=known.std, climate=known)


def series(grid, fields, averaging=None, variables=("msl",)):
    return SimpleNamespace(
        averaging=averaging, variables=variables, times=range(len(fields)),
        cells=dict.fromkeys(variables, SimpleNamespace(grid=grid, points=None)),
        fields=lambda name, start, stop: fields[start:stop],
    )  # fmt: skip


def changed(grid, fields, wavelength, factor):
    """Waves along the rows that are shorter than so many degrees of great circle times a factor."""
    waves = np.fft.rfft(fields)
    lengths = np.cos(np.deg2rad(grid.lat))[:, None] / np.maximum(np.fft.rfftfreq(grid.lon.size, CELL), 1e-9)
    return np.fft.irfft(np.where(lengths < wavelength, factor, 1) * waves, n=grid.lon.size)


@pytest.mark.parametrize("strength", [1, 2])
def test_fields_with_the_priors_spectrum_are_cut_at_their_cells_however_lively_they_are(model, strength):
    grid, fields, prior = model
    scale, note = automatic_scale(series(grid, strength * fields), prior)
    assert scale == CELL
    assert "by 4 times" in note


@pytest.mark.parametrize("factor", [0.3, 3], ids=["too smooth", "too rough"])
@pytest.mark.parametrize(("wavelength", "expected"), [(4.0, 2.0), (5.1, 2.5), (6.4, 5.0)])
def test_blocks_are_half_the_wavelength_where_the_spectra_part(model, wavelength, expected, factor):
    grid, fields, prior = model
    scale, note = automatic_scale(series(grid, changed(grid, fields, wavelength, factor)), prior)
    assert scale == expected
    assert "spectrum of msl" in note


def test_what_cannot_be_compared_is_refused_with_what_to_do(model):
    grid, fields, prior = model
    narrow = regular_grid(grid.lat, grid.lon[:16], CELL)
    for given, reason in [
        (series(grid, fields, averaging="daily means"), "holds daily means"),
        (series(grid, fields, variables=("si10",)), "needs msl in the input, got si10"),
        (series(narrow, fields[..., :16]), "at least 20 degrees of a great circle"),
        (series(grid, fields + np.nan), "without missing values"),
        (series(grid, 0 * fields + 1e5), "hardly vary"),
    ]:
        with pytest.raises(ConfigError, match=reason) as problem:
            automatic_scale(given, prior)
        assert "--filter-scale 5" in str(problem.value)
