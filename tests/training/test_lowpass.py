"""The low-pass against its closed-form response, on constants, and around the pole."""

import numpy as np
import pytest

from zssd_cli.training.lowpass import KM_PER_CELL, NARROWEST, lowpass

LAT = np.arange(-90.0, 90.01, 0.25)
LON = np.deg2rad(np.arange(0.0, 360.0, 0.25))


def response(cells_per_wave, km):
    """Of a Gaussian of standard deviation ``km``: exp(-2 (pi s / wavelength)^2), both in cells."""
    return np.exp(-2 * (np.pi * km / KM_PER_CELL / cells_per_wave) ** 2)


@pytest.mark.parametrize("circular", [True, False])
@pytest.mark.parametrize("lat", [LAT, np.arange(40.0, 60.0, 0.25)])
def test_constants_are_preserved(circular, lat):
    field = np.full((2, lat.size, 1440 if circular else 90), 101325.0, np.float32)
    np.testing.assert_allclose(lowpass(field, lat, 60.0, circular=circular), field, rtol=1e-6)


def test_nothing_to_do():
    field = np.random.default_rng(0).normal(size=(3, 10, 12))
    assert lowpass(field, np.arange(10.0), 0.0, circular=False) is field


@pytest.mark.parametrize("wave", [12, 90, 240])
@pytest.mark.parametrize("km", [24.0, 31.0])
def test_a_zonal_wave_keeps_its_share_of_the_amplitude(wave, km):
    """In kilometres: a wave of the same number is shorter, and damped more, further from the equator."""
    field = np.broadcast_to(np.cos(wave * LON), (LAT.size, LON.size))
    result = lowpass(field, LAT, km, circular=True)
    for degrees in (0.0, 30.0, -60.0, 75.0):
        row = int(np.argmin(abs(LAT - degrees)))
        expected = response(1440 / wave * np.cos(np.deg2rad(degrees)), km)
        np.testing.assert_allclose(result[row], expected * field[row], atol=1e-9)


@pytest.mark.parametrize("half_waves", [3, 60, 200])
def test_a_meridional_wave_keeps_its_share_of_the_amplitude(half_waves):
    """Half waves that fit between the mirrors half a cell beyond the first and the last row."""
    rows = 400
    wave = np.cos(np.pi * half_waves * (np.arange(rows) + 0.5) / rows)
    field = np.repeat(wave[:, None], 50, 1)
    result = lowpass(field, np.linspace(-50, 50, rows), 31.0, circular=False)
    np.testing.assert_allclose(result, response(2 * rows / half_waves, 31.0) * field, atol=1e-9)


def test_the_pole_keeps_its_wind():
    """A uniform wind across the pole is one zonal wave of the components: the filter must not average it away."""
    u = np.broadcast_to(np.cos(LON), (LAT.size, LON.size))
    result = lowpass(u, LAT, 31.0, circular=True)
    expected = response(1440 * np.cos(np.deg2rad(NARROWEST)), 31.0)
    np.testing.assert_allclose(result[-1], expected * u[-1], atol=1e-9)
    assert np.abs(result[-1] - u[-1]).max() < 0.01


def test_single_precision_stays_single():
    assert lowpass(np.zeros((4, 8, 8), np.float32), np.arange(8.0), 31.0, circular=True).dtype == np.float32
