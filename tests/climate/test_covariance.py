"""Lag covariances of synthetic stationary weather, and their spectrum."""

import math

import numpy as np
import pytest
import torch

from zssd_cli.climate.covariance import (
    MAX_LAG,
    TORUS,
    BandSpectrum,
    LagSums,
    Modes,
    band_centres,
    band_spectrum,
    latitude_bands,
    merged,
    ring_sums,
    wavenumbers,
)

SCALE, SHIFT, MIX = 4.0, (3, 5), 0.8
COLUMNS = 360


def smooth(rng, rows, columns, scale):
    """White noise, smoothed on a torus: unit variance, covariance exp(-d^2 / (4 scale^2))."""
    y, x = np.fft.fftfreq(rows), np.fft.rfftfreq(columns)
    kernel = np.exp(-2 * (np.pi * scale) ** 2 * (y[:, None] ** 2 + x**2))
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(rows, columns))) * kernel, s=(rows, columns))
    return field * 2 * scale * np.sqrt(np.pi)


def pair(rng, lat):
    """Two variables: the second is the first, three cells further north and five east, and something rougher."""
    rows = lat.size
    first = smooth(rng, 512, COLUMNS, SCALE)
    second = MIX * np.roll(first, (-SHIFT[0], -SHIFT[1]), (0, 1))
    second += np.sqrt(1 - MIX**2) * smooth(rng, 512, COLUMNS, 2.0)
    return np.stack([first, second])[:, :rows].astype(np.float32)


def expected(lag_y, lag_x, scale=SCALE):
    return np.exp(-(lag_y**2 + lag_x**2) / (4 * scale**2))


@pytest.fixture(scope="module")
def measured():
    rng, lat = np.random.default_rng(0), np.arange(30.0, 70.01, 0.25)
    sums = LagSums(lat, True, np.array([1.0, -1.0]))
    for _ in range(12):
        sums.add(pair(rng, lat))
    return sums.result()


def test_known_covariances_come_back(measured):
    assert measured.shape == (9, 2, 2, MAX_LAG + 1, 2 * MAX_LAG + 1)
    y, x = np.meshgrid(np.arange(13), np.arange(-12, 13), indexing="ij")
    box = (slice(0, 13), slice(MAX_LAG - 12, MAX_LAG + 13))
    exact = np.array(
        [
            [expected(y, x), MIX * expected(y + SHIFT[0], x + SHIFT[1])],
            [MIX * expected(y - SHIFT[0], x - SHIFT[1]), MIX**2 * expected(y, x) + (1 - MIX**2) * expected(y, x, 2.0)],
        ]
    )
    for band in (4, 5):
        np.testing.assert_allclose(measured[band][:, :, *box], exact, atol=0.12)
    assert np.abs(measured[4:6].mean(0)[:, :, *box] - exact).mean() < 0.03


def test_the_second_variable_follows_the_first_north_east(measured):
    peak = np.unravel_index(measured[5, 1, 0].argmax(), measured[5, 1, 0].shape)
    assert abs(peak[0] - SHIFT[0]) <= 1
    assert abs(peak[1] - MAX_LAG - SHIFT[1]) <= 1


def test_bands_without_data_repeat_the_nearest(measured):
    for band in range(9):
        nearest = min(range(2, 8), key=lambda known: abs(known - band))
        np.testing.assert_array_equal(measured[band], measured[nearest])
    assert np.abs(measured[3] - measured[6]).max() > 0


def test_a_mirrored_world_gives_the_same():
    rng, lat, signs = np.random.default_rng(1), np.arange(-60.0, -39.9, 0.25), np.array([1.0, -1.0])
    field = pair(rng, lat)
    south, north = LagSums(lat, True, signs), LagSums(-lat[::-1], True, signs)
    south.add(field)
    north.add(np.ascontiguousarray(field[:, ::-1] * signs[:, None, None]).astype(np.float32))
    np.testing.assert_allclose(south.result(), north.result(), atol=1e-6)
    np.testing.assert_array_less(0.5, south.result()[5, 0, 0, 0, MAX_LAG])


@pytest.mark.parametrize("circular", [True, False])
def test_against_the_sum_over_pairs(circular):
    rng, lat = np.random.default_rng(2), np.arange(40.0, 46.01, 0.25)
    columns = 30 if not circular else 200
    field = rng.normal(size=(2, lat.size, columns)).astype(np.float32)
    sums = LagSums(lat, circular, np.ones(2))
    sums.add(field)
    result = sums.result()[4]
    for y, x in ((0, 0), (0, 7), (3, -5), (24, 29), (10, -29)):
        south, north = field[:, : lat.size - y], field[:, y:]
        if circular:
            products = np.einsum("iyx,jyx->ij", south, np.roll(north, -x, -1)) / south[0].size
        else:
            west, east = (south[..., : columns - x], north[..., x:]) if x >= 0 else (south[..., -x:], north[..., :x])
            products = np.einsum("iyx,jyx->ij", west, east) / west[0].size
        np.testing.assert_allclose(result[:, :, y, MAX_LAG + x], products, atol=1e-5)
    assert not result[:, :, 25:].any()
    if not circular:
        assert np.abs(result[:, :, :, : MAX_LAG - 29]).max() < 1e-4


def test_sums_of_two_grids_go_together():
    """A globe and a box: every pair of cells counts once, bands that only one of them knows are that one's."""
    rng, signs = np.random.default_rng(3), np.array([1.0, -1.0])
    wide, tall = LagSums(np.arange(30.0, 45.0, 0.25), True, signs), LagSums(np.arange(40.0, 60.0, 0.25), False, signs)
    wide.add(rng.normal(size=(2, 60, 1440)).astype(np.float32))
    tall.add(rng.normal(size=(2, 80, 100)).astype(np.float32))
    both = merged([wide, tall])
    weight = wide.pairs[4], tall.pairs[4]
    exact = (wide.total[4] + tall.total[4]) / np.maximum(weight[0] + weight[1], 1)
    np.testing.assert_allclose(both[4], exact, rtol=1e-5, atol=1e-7)
    assert both[4, 0, 0, 0, MAX_LAG] == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(both[2], wide.result()[2], atol=1e-6)
    np.testing.assert_allclose(both[6], tall.result()[6], atol=1e-6)


def table(nugget=0.5):
    y, x = np.meshgrid(np.arange(MAX_LAG + 1), np.arange(-MAX_LAG, MAX_LAG + 1), indexing="ij")
    lags = np.array(
        [
            [expected(y, x), MIX * expected(y + SHIFT[0], x + SHIFT[1])],
            [MIX * expected(y - SHIFT[0], x - SHIFT[1]), MIX**2 * expected(y, x) + (1 - MIX**2) * expected(y, x, 2.0)],
        ]
    )
    for k in range(2):
        lags[k, k, 0, MAX_LAG] += nugget
    return lags.astype(np.float32)


def lag_function(transform):
    """Covariance on the transform's own torus, (C, C, period, period)."""
    side = transform.shape[2]
    return torch.fft.irfft2(transform, s=(side, side))


def matrices(transform):
    """One Hermitian matrix per wavenumber, (ky, kx, C, C)."""
    return transform.permute(2, 3, 0, 1).conj()


def test_a_wide_prior_is_returned_as_it_is():
    """conditional(sigma) -> B for large sigma; B is the tapered table."""
    lags = table()
    back = lag_function(band_spectrum(lags).conditional(1e4))
    hann = 0.5 * (1 + np.cos(np.pi * np.arange(-MAX_LAG, MAX_LAG + 1) / (MAX_LAG + 1)))
    tapered = lags * hann[MAX_LAG:, None] * hann
    for y, x in ((0, 0), (3, 5), (3, -5), (0, -4), (12, 1), (40, 40)):
        np.testing.assert_allclose(back[:, :, y, x % back.shape[-1]], tapered[:, :, y, MAX_LAG + x], atol=2e-4)
        # C_ij(-lag) = C_ji(lag)
        np.testing.assert_allclose(
            back[:, :, -y % back.shape[2], -x % back.shape[3]], tapered[:, :, y, MAX_LAG + x].T, atol=2e-4
        )


@pytest.mark.parametrize("sigma", [1e-3, 1e-2])
def test_with_little_noise_only_the_noise_is_uncertain(sigma):
    """conditional(sigma) -> sigma^2 where every eigenvalue of B is much larger."""
    symbol = matrices(band_spectrum(table()).conditional(sigma))
    identity = torch.eye(2).expand(symbol.shape)
    torch.testing.assert_close(symbol.real / sigma**2, identity, rtol=0, atol=3 * sigma**2 + 1e-5)
    assert symbol.imag.abs().max() / sigma**2 < 1e-3


def test_conditional_is_the_formula():
    spectrum = band_spectrum(table())
    sigma = 0.8
    prior = matrices(spectrum.conditional(1e5)).to(torch.complex128)
    noise = torch.eye(2, dtype=torch.complex128) * sigma**2
    exact = prior @ torch.linalg.inv(prior + noise) * sigma**2
    got = matrices(spectrum.conditional(sigma)).to(torch.complex128)
    torch.testing.assert_close(got, exact, rtol=0, atol=1e-3)


def test_half_the_torus_has_every_second_wavenumber():
    spectrum = band_spectrum(table())
    for sigma in (0.4, 3.0, math.inf):
        half, few = spectrum.conditional(sigma, TORUS, 2), [*range(21), *range(-20, 0)]
        torch.testing.assert_close(half, spectrum.conditional(sigma)[:, :, ::2, ::2])
        torch.testing.assert_close(spectrum.conditional(sigma, 20, 2), half[:, :, few, :21])


def test_half_the_torus_holds_what_little_noise_leaves():
    """Of a smooth field and one that is rougher, at noise levels that use it: the lag function up to where it is cut off."""
    spectrum = band_spectrum(table(nugget=0.01))
    for sigma in (0.1, 0.5):
        whole, part = (lag_function(spectrum.conditional(sigma, TORUS, step)) for step in (1, 2))
        reach = part.shape[-1] // 2
        error = (part[..., :reach, :reach] - whole[..., :reach, :reach]).abs().max() / whole.abs().max()
        assert float(error) < 1e-3


def test_a_red_spectrum_is_not_leaked_into_small_scales():
    """The variance of short waves of a very long covariance survives the taper only where it is prewhitened."""
    y, x = np.meshgrid(np.arange(MAX_LAG + 1), np.arange(-MAX_LAG, MAX_LAG + 1), indexing="ij")
    wide = 45.0
    lags = np.exp(-(y**2 + x**2) / (2 * wide**2))[None, None]
    wavenumber = 24
    exact = 2 * np.pi * wide**2 * np.exp(-((2 * np.pi * wavenumber / TORUS * wide) ** 2) / 2)
    plain, red = (float(band_spectrum(lags, red=which).covariance()[0, 0, 0, wavenumber].real) for which in ((), (0,)))
    assert plain > 50 * max(exact, 1e-6)
    assert red < 0.05 * plain


def test_a_root_is_a_square_root():
    spectrum = band_spectrum(table())
    root = spectrum.root()
    whole = torch.zeros(2, 2, TORUS, TORUS)
    whole[:, :, : 2 * MAX_LAG + 1, : 2 * MAX_LAG + 1] = root
    waves = torch.fft.rfft2(whole.roll((-MAX_LAG, -MAX_LAG), (2, 3))).permute(2, 3, 0, 1)
    exact = matrices(spectrum.covariance())
    assert float((waves @ waves.mH - exact).abs().max()) < 0.02 * float(exact.abs().max())


def test_the_root_turns_with_the_mirror():
    spectrum, signs = band_spectrum(table()), torch.tensor([1.0, -1.0])
    mirrored = spectrum.root().flip(2) * (signs[:, None] * signs)[..., None, None]
    torch.testing.assert_close(spectrum.mirrored(signs).root(), mirrored, rtol=0, atol=1e-5)


def test_coupled_variables_have_the_covariance_of_the_coupling():
    """x1 and x2 + a x1 from x1 and x2."""
    spectrum = band_spectrum(table())
    transfer = torch.eye(2, dtype=torch.complex64)[:, :, None, None].repeat(1, 1, TORUS, TORUS // 2 + 1)
    transfer[1, 0] = 0.7
    before, after = (matrices(s.covariance()) for s in (spectrum, BandSpectrum(spectrum.modes, transfer)))
    own = before[..., 1, 1] + 0.49 * before[..., 0, 0] + 1.4 * before[..., 1, 0].real
    torch.testing.assert_close(after[..., 1, 1], own, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(after[..., 0, 0], before[..., 0, 0], rtol=1e-3, atol=1e-3)


def test_eigenvalues_are_not_negative_even_for_an_impossible_table():
    lags = np.random.default_rng(0).normal(size=(2, 2, MAX_LAG + 1, 2 * MAX_LAG + 1)).astype(np.float32)
    spectrum = band_spectrum(lags)
    values, vectors = spectrum.modes.at(*wavenumbers())
    assert (values > 0).all()
    symbol = matrices(spectrum.conditional(5.0))
    assert torch.linalg.eigvalsh(symbol).min() > -1e-4
    product = vectors @ vectors.mH
    torch.testing.assert_close(product, torch.eye(2).to(product).expand(product.shape), rtol=0, atol=1e-5)


def test_the_southern_twin_is_the_mirror_image():
    lags, signs = table(), np.array([1.0, -1.0])
    north, south = (lag_function(band_spectrum(lags, s).conditional(1e4)) for s in (None, signs))
    flipped = north.roll(-1, 2).flip(2) * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])[:, :, None, None]
    torch.testing.assert_close(south, flipped, rtol=0, atol=1e-4)
    assert (south - north).abs().max() > 0.1


def test_rings_count_every_wavenumber_once():
    rings = ring_sums(torch.ones(8, 5))
    assert rings.tolist() == [1, 8, 16, 24, 15]
    assert int(rings.sum()) == 64


def test_a_crop_is_the_same_at_its_wavenumbers():
    spectrum = band_spectrum(table())
    whole, part = spectrum.conditional(5.0), spectrum.conditional(5.0, 20)
    rows = torch.cat([torch.arange(21), torch.arange(-20, 0)])
    assert part.shape == (2, 2, 41, 21)
    torch.testing.assert_close(part, whole[:, :, rows, :21])


def test_bands_are_those_of_their_latitude_and_twins_share_the_work():
    lags, signs = torch.as_tensor(np.repeat(table()[None], 9, 0)), torch.tensor([1.0, -1.0])
    south, north = latitude_bands(lags, signs, np.array([-5.0, 5.0]))
    assert south.spectrum.modes is north.spectrum.modes
    torch.testing.assert_close(south.spectrum.covariance()[0, 0], north.spectrum.covariance()[0, 0].flip(0).roll(1, 0))
    assert south.weight.tolist() == [1, 0]
    assert north.weight.tolist() == [0, 1]


def test_bands():
    np.testing.assert_array_equal(band_centres(), [5, 15, 25, 35, 45, 55, 65, 75, 85])


def test_variances_are_the_lag_function_at_nought(measured):
    for sigma in (0.3, 3.0, math.inf):
        spectrum = band_spectrum(measured[4])
        symbol = spectrum.conditional(sigma)
        side = symbol.shape[-2]
        expected = torch.fft.irfft2(symbol.diagonal().permute(2, 0, 1), s=(side, side))[:, 0, 0]
        torch.testing.assert_close(spectrum.variances(sigma), expected, rtol=2e-3, atol=1e-6)


def test_every_wavenumber_counts_once_in_the_variance():
    white = BandSpectrum(Modes(torch.eye(2).to(torch.complex64).expand(TORUS, TORUS // 2 + 1, 2, 2)))
    torch.testing.assert_close(white.variances(math.inf), torch.ones(2))


def test_modes_are_made_where_they_are_asked_for_and_once(monkeypatch):
    spectrum, asked = band_spectrum(table()), []
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrices: (asked.append(len(matrices)), eigh(matrices))[1])
    spectrum.covariance(20)
    part = spectrum.covariance(30)
    spectrum.covariance(10)
    assert asked == [41 * 21, 61 * 31 - 41 * 21]
    torch.testing.assert_close(part, band_spectrum(table()).covariance(30))


def test_a_band_takes_the_pairs_within_ten_degrees_of_its_centre():
    sums = LagSums(np.arange(20.0, 70.01, 0.25), True, np.ones(1))
    sums.add(np.ones((1, 201, 8), np.float32))
    rows = sums.pairs[:, 0, MAX_LAG] / 8
    assert rows.tolist() == [0, 21, 61, 81, 81, 81, 61, 21, 0]
    # pairs 10 degrees apart have their middle between 25 and 65
    assert (sums.pairs[:, 40, MAX_LAG] / 8).tolist() == [0, 1, 41, 81, 81, 81, 41, 1, 0]
