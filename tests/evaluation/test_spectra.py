"""Spectra against closed forms."""

import numpy as np
import pytest

from zssd_cli.evaluation.spectra import WAVEBANDS, SpectrumSums, WavelengthBins, decibels, log_spectral_distance
from zssd_cli.grids.latlon import fine_grid, parse_region

BOX, CIRCLE = fine_grid(parse_region("-60,0,30,50")), fine_grid(parse_region("0,360,-20,20"))


@pytest.mark.parametrize("grid", [BOX, CIRCLE])
def test_a_doubled_field_is_six_decibels_off(grid) -> None:
    field = np.random.default_rng(0).normal(size=grid.shape)
    bins = WavelengthBins(grid)
    power, bands = bins.power(field)
    louder, louder_bands = bins.power(2 * field + 7)
    assert log_spectral_distance(louder, power) == pytest.approx(20 * np.log10(2), rel=1e-9)
    np.testing.assert_allclose(decibels(louder_bands, bands), 20 * np.log10(2), rtol=1e-9)
    assert log_spectral_distance(power, power) == 0


@pytest.mark.parametrize("grid", [BOX, CIRCLE])
def test_densities_integrate_to_the_variance(grid) -> None:
    field = np.random.default_rng(1).normal(size=grid.shape)
    bins = WavelengthBins(grid)
    cosine = np.cos(np.deg2rad(grid.lat))[:, None]
    spacing = 1 / (grid.lon.size * 0.25) / cosine
    variance = (bins.densities(field) * spacing).sum(-1)
    assert variance.mean() == pytest.approx(1, abs=0.05)


def test_a_wave_is_found_at_its_great_circle_wavelength() -> None:
    grid = fine_grid(parse_region("0,360,59,61"))
    bins = WavelengthBins(grid)
    wave = np.broadcast_to(np.sin(np.deg2rad(60 * grid.lon)), grid.shape)
    power, bands = bins.power(wave)
    k = int(np.nanargmax(power))
    assert bins.edges[k] <= 6 * np.cos(np.deg2rad(60)) < bins.edges[k + 1]
    assert int(np.argmax(bands)) == WAVEBANDS.index((2.0, 4.0))


def test_white_noise_is_flat() -> None:
    field = np.random.default_rng(2).normal(size=CIRCLE.shape)
    power, _ = WavelengthBins(CIRCLE).power(field)
    np.testing.assert_allclose(power, power.mean(), rtol=0.15)


def test_longest_wavelength_is_half_the_domain() -> None:
    edges = WavelengthBins(BOX).edges
    assert edges[0] == 0.5
    assert edges[-1] <= 30 * np.cos(np.deg2rad(30))
    assert WavelengthBins(fine_grid(parse_region("0,10,0,5"))).edges[-1] <= 5.2


def test_trend_across_a_box_leaves_no_power() -> None:
    ramp = np.broadcast_to(BOX.lon * 3.0, BOX.shape)
    power, _ = WavelengthBins(BOX).power(ramp)
    assert np.nanmax(power) < 1e-20


def test_rows_with_gaps_are_left_out() -> None:
    field = np.random.default_rng(3).normal(size=BOX.shape)
    bins, holed = WavelengthBins(BOX), field.copy()
    holed[::2, 3] = np.nan
    rows = np.arange(1, BOX.lat.size, 2)
    by_hand = bins.densities(field)[rows]
    power, _ = bins.power(holed)
    assert np.isfinite(power).all()
    assert bins.power(np.full(BOX.shape, np.nan))[0].shape == power.shape
    assert by_hand.min() <= power.min()
    assert power.max() <= by_hand.max()


def test_members_are_averaged_after_the_transform() -> None:
    rng = np.random.default_rng(4)
    members = rng.normal(size=(6, *BOX.shape))
    bins = WavelengthBins(BOX)
    sums, single = SpectrumSums(bins), SpectrumSums(bins)
    sums.add(members)
    for member in members:
        single.add(member[None])
    np.testing.assert_allclose(sums.result()[0], single.result()[0])
    of_mean, _ = bins.power(members.mean(0))
    assert log_spectral_distance(of_mean, sums.result()[0]) == pytest.approx(10 * np.log10(6), abs=0.4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("region", ["0,0.5,0,0.5", "0,0.1,0,0.5"])
def test_tiny_domains_have_no_spectrum(region) -> None:
    """Three columns, and a single one."""
    grid = fine_grid(parse_region(region))
    power, bands = WavelengthBins(grid).power(np.ones(grid.shape))
    assert power.size == 0
    assert np.isnan(bands).all()
    assert np.isnan(log_spectral_distance(power, power))
