"""The linear denoiser: closed forms, mirror symmetry; and what the shipped covariances say about wind and pressure."""

import math

import numpy as np
import pytest
import torch

from zssd_cli.climate import gaussian
from zssd_cli.climate.covariance import MAX_LAG, band_centres, band_spectrum
from zssd_cli.climate.gaussian import GaussianDenoiser
from zssd_cli.grids.latlon import Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.guidance import Observation
from zssd_cli.posterior.guidance.analysis import Analysis
from zssd_cli.prior import registry
from zssd_cli.prior.checkpoint import load_prior

SIGNS = torch.tensor([1.0, -1.0])


def table(cross: float = 0.5) -> torch.Tensor:
    """Two variables with Gaussian lag covariances; the second leans on the first, moved north."""
    y, x = np.meshgrid(np.arange(MAX_LAG + 1), np.arange(-MAX_LAG, MAX_LAG + 1), indexing="ij")

    def bump(dy, dx):
        return np.exp(-(dy**2 + dx**2) / (2 * 10.0**2))

    lags = np.array([[bump(y, x), cross * bump(y - 4, x)], [cross * bump(y + 4, x), bump(y, x)]])
    lags[0, 0, 0, MAX_LAG] += 1e-2
    lags[1, 1, 0, MAX_LAG] += 1e-2
    return torch.as_tensor(np.repeat(lags[None], band_centres().size, 0), dtype=torch.float32)


def test_a_wave_is_damped_by_its_signal_to_noise_ratio():
    """On a ring, far from its rims, a zonal wave of the first variable alone comes back times lambda / (lambda + sigma^2)."""
    grid, period, sigma = fine_grid(Region(0, 360, -32, 32)), 96, 6.0
    lags = table(cross=0.0)
    wave = torch.cos(2 * math.pi * torch.arange(1440) / period).expand(1, 1, grid.lat.size, 1440)
    x = torch.cat([wave, torch.zeros_like(wave)], 1)
    zonal = torch.full((2, 721), 0.3)
    answer = GaussianDenoiser(lags, SIGNS, zonal, grid)(x + 0.3, sigma)
    values = band_spectrum(lags[0]).values[0, 384 // period]
    expected = float(values[0] / (values[0] + sigma**2))
    middle = answer[0, :, grid.lat.size // 2]
    assert 0.3 < expected < 0.95
    torch.testing.assert_close(middle[0], 0.3 + expected * wave[0, 0, 0], atol=0.02, rtol=0)
    torch.testing.assert_close(middle[1], torch.full((1440,), 0.3), atol=1e-3, rtol=0)


def test_a_box_is_denoised_as_the_dense_algebra_does(monkeypatch):
    """B (B + sigma^2)^-1 x of the box alone, from the halo's inner side on: what lies outside is unknown, not zero."""
    grid, sigma, halo = fine_grid(Region(0, 11, -5, 6)), 4.0, 16
    height, width = grid.shape
    row, column = (a.ravel() for a in np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
    spectrum = band_spectrum(table(cross=0.0)[0])
    lags = torch.fft.irfft2(spectrum.conditional(1e4)[0, 0], s=(384, 384)).double()
    prior = lags[(row[None] - row[:, None]) % 384, (column[None] - column[:, None]) % 384]
    ones = torch.ones(len(prior)).double()
    exact = (prior @ torch.linalg.solve(prior + sigma**2 * torch.eye(len(prior)), ones)).reshape(height, width).float()
    x = torch.stack([torch.ones(height, width), torch.zeros(height, width)])[None]
    inner = (slice(halo, -halo), slice(halo, -halo))

    def error() -> float:
        answer = GaussianDenoiser(table(cross=0.0), SIGNS, torch.zeros(2, 721), grid)(x, sigma)[0, 0]
        return float((answer - exact)[inner].abs().max())

    filled = error()
    monkeypatch.setattr(gaussian, "FILLS", 1)
    assert filled < 0.03
    assert error() > 2 * filled


def test_the_symbol_on_another_torus_is_that_of_the_cut_off_kernel():
    """Against the plain way: kernel from its spectrum, cut off at REACH, put on the other torus, transformed."""
    spectrum, sigma = band_spectrum(table()[0]), 6.0
    rows, columns, cut = gaussian.lattice(315, 60), gaussian.lattice(405, 60), 60
    weights = spectrum.conditional(sigma) / sigma**2
    kernel = torch.fft.irfft2(weights, s=(384, 384))
    lags = torch.arange(-gaussian.REACH, gaussian.REACH + 1)
    torus = torch.zeros(2, 2, rows.size, columns.size)
    torus[:, :, (lags % rows.size)[:, None], lags % columns.size] = kernel[:, :, (lags % 384)[:, None], lags % 384]
    plain = torch.fft.rfft2(torus).conj()[:, :, rows.order % rows.size, : columns.top + 1]
    ours = gaussian.symbol(spectrum, sigma, cut, rows, columns)
    torch.testing.assert_close(ours, plain, rtol=0, atol=5e-3)
    assert plain.abs().max() > 0.5


def test_kept_symbols_give_the_same_as_fresh_ones(monkeypatch):
    grid = fine_grid(Region(0, 20, 30, 45))
    x = torch.randn(1, 2, *grid.shape, generator=torch.Generator().manual_seed(0)) * 5
    denoise = GaussianDenoiser(table(), SIGNS, torch.zeros(2, 721), grid)
    first = denoise(x, 5.0)
    assert denoise.steps(5.0) is denoise.steps(5.0)
    assert torch.equal(denoise(x, 5.0), first)
    monkeypatch.setattr(gaussian, "KEPT_BYTES", 0)
    fresh = GaussianDenoiser(table(), SIGNS, torch.zeros(2, 721), grid)
    assert torch.equal(fresh(x, 5.0), first)
    assert fresh.steps(5.0) is not fresh.steps(5.0)


def test_what_is_left_out_is_small(monkeypatch):
    """All wavenumbers against those that matter: the difference is within what DROPPED promises per band."""
    grid = fine_grid(Region(0, 20, 32, 38))
    x = torch.randn(1, 2, *grid.shape, generator=torch.Generator().manual_seed(0)) * 5
    answers = []
    for dropped in (gaussian.DROPPED, 1e-9):
        monkeypatch.setattr(gaussian, "DROPPED", dropped)
        answers.append(GaussianDenoiser(table(), SIGNS, torch.zeros(2, 721), grid)(x, 5.0))
    assert (answers[0] - answers[1]).square().mean().sqrt() < 2 * 0.01
    assert answers[1].std() > 0.1


def test_coarse_torus_sizes():
    assert [gaussian.odd_size(n) for n in (1, 2, 10, 64, 250)] == [1, 3, 15, 75, 315]
    assert gaussian.lattice(1440, 48).count % 2 == 1
    rows = gaussian.lattice(315, 40)
    assert rows.cells <= rows.size
    field = torch.randn(1, 1, rows.count, 3, dtype=torch.complex64)
    torch.testing.assert_close(rows.crop(rows.embed(field)), field)
    inside = rows.inside(200)
    assert float(inside.mean()) == pytest.approx(200 / 315, abs=1e-4)


def test_mirrored_fields_have_mirrored_answers():
    grid = fine_grid(Region(0, 25, -20, 20))
    x = torch.randn(1, 2, *grid.shape, generator=torch.Generator().manual_seed(0)) * 5
    denoise = GaussianDenoiser(table(), SIGNS, torch.zeros(2, 721), grid)

    def mirror(field: torch.Tensor) -> torch.Tensor:
        return field.flip(2) * SIGNS[:, None, None]

    torch.testing.assert_close(denoise(mirror(x), 5.0), mirror(denoise(x, 5.0)), atol=1e-4, rtol=0)
    assert (denoise(x, 5.0) - x).abs().max() > 1


@pytest.mark.parametrize(("south", "turn"), [(35, 1), (-65, -1)])
def test_wind_turns_the_right_way_around_a_low(south, turn):
    """A low in the pressure alone: counter-clockwise inferred wind in the north, clockwise in the south."""
    prior = load_prior(registry.locate(None, offline=True)[0])
    region = Region(0, 40, south, south + 30)
    fine, coarse = fine_grid(region), block_grid(5.0, region)
    lat, lon = coarse.lat[:, None], coarse.lon[None]
    low = -2.0 * np.exp(-(((lat - south - 15) / 8) ** 2 + ((lon - 20) / 12) ** 2))
    values = torch.as_tensor(low, dtype=torch.float32)[None, None]
    observation = Observation(values, (0,), Coarsen(fine, coarse), torch.tensor([0.01]))
    solver = Analysis(prior.lags, prior.signs).solver(observation)
    increment = solver.increment(values, torch.ones_like(values, dtype=torch.bool), 1000.0)[0]
    _, u, v = increment * prior.std[:, None, None]
    row, column, step = fine.lat.size // 2, fine.lon.size // 2, 24
    assert increment[0, row, column] < -1
    assert turn * v[row, column + step] > 1
    assert turn * v[row, column - step] < -1
    assert turn * u[row - step, column] > 1
    assert turn * u[row + step, column] < -1
