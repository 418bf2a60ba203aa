"""Interpolations: exact on polynomials, round the circle, NaN passed on."""

import numpy as np
import pytest

from zssd_cli.evaluation.baselines import BASELINES, bicubic, bilinear, conservative, textbook_wind
from zssd_cli.grids.latlon import block_grid, fine_grid, parse_region
from zssd_cli.grids.regrid import WHOLE, separable

REGION = parse_region("-40,0,20,60")
COARSE, FINE = block_grid(5, REGION), fine_grid(REGION)


@pytest.mark.parametrize(("method", "degree", "rim"), [(bilinear, 1, 0), (bicubic, 2, 1)])
def test_polynomials_are_exact_inside(method, degree: int, rim: int) -> None:
    def field(grid) -> np.ndarray:
        lat, lon = grid.lat[:, None] / 10, grid.lon[None, :] / 10
        return (1 + lat) ** degree * (2 - lon) ** degree

    inside = np.ix_(
        (FINE.lat >= COARSE.lat[rim]) & (FINE.lat <= COARSE.lat[-1 - rim]),
        (FINE.lon >= COARSE.lon[rim]) & (FINE.lon <= COARSE.lon[-1 - rim]),
    )
    np.testing.assert_allclose(method(field(COARSE), COARSE, FINE)[inside], field(FINE)[inside], rtol=1e-12)


@pytest.mark.parametrize("name", BASELINES)
def test_constants_and_leading_axes(name: str) -> None:
    out = BASELINES[name](np.full((2, 3, *COARSE.shape), 7.0), COARSE, FINE)
    assert out.shape == (2, 3, *FINE.shape)
    np.testing.assert_allclose(out, 7.0)


@pytest.mark.parametrize("name", BASELINES)
def test_rolling_the_globe(name: str) -> None:
    coarse_grid, fine = block_grid(5), fine_grid()
    coarse = np.random.default_rng(0).normal(size=coarse_grid.shape)
    rolled = BASELINES[name](np.roll(coarse, 3, -1), coarse_grid, fine)
    np.testing.assert_allclose(rolled, np.roll(BASELINES[name](coarse, coarse_grid, fine), 60, -1), atol=1e-12)


@pytest.mark.parametrize("name", BASELINES)
def test_longitudes_in_another_turn(name: str) -> None:
    coarse = np.random.default_rng(1).normal(size=COARSE.shape)
    there = fine_grid(parse_region("320,360,20,60"))
    np.testing.assert_allclose(BASELINES[name](coarse, COARSE, there), BASELINES[name](coarse, COARSE, FINE))


def test_seam_has_no_step() -> None:
    coarse_grid, fine = block_grid(5), fine_grid()
    wave = np.broadcast_to(np.cos(np.deg2rad(coarse_grid.lon)), coarse_grid.shape)
    for method in (bilinear, bicubic):
        row = method(wave, coarse_grid, fine)[360]
        assert abs(row[0] - row[-1]) < 0.01
        np.testing.assert_allclose(row, np.cos(np.deg2rad(fine.lon)), atol=2e-3)


def test_missing_blocks_stay_missing() -> None:
    coarse = np.ones(COARSE.shape)
    coarse[3, 3] = np.nan
    centre = np.ix_(np.abs(FINE.lat - COARSE.lat[3]) < 2.4, np.abs(FINE.lon - COARSE.lon[3]) < 2.4)
    far = np.ix_(np.abs(FINE.lat - COARSE.lat[3]) > 12, np.abs(FINE.lon - COARSE.lon[3]) > 12)
    for method in (conservative, bilinear, bicubic):
        out = method(coarse, COARSE, FINE)
        assert np.isnan(out[centre]).all()
        assert np.isfinite(out[far]).all()


def test_coarsening_keeps_means_and_notices_gaps() -> None:
    fine, blocks = fine_grid(), block_grid(5)
    field = np.random.default_rng(2).normal(size=fine.shape)
    coarse = separable(fine, blocks, WHOLE)(field)
    assert (coarse * blocks.area).sum() == pytest.approx((field * fine.area).sum(), rel=1e-9)
    field[360, 10] = np.nan
    holes = np.isnan(separable(fine, blocks, WHOLE)(field))
    assert holes.sum() == 2
    assert np.isnan(separable(FINE, block_grid(5, parse_region("-45,0,20,60")), WHOLE)(np.ones(FINE.shape))).any()


def test_conservative_repeats_blocks() -> None:
    coarse = np.arange(COARSE.lat.size * COARSE.lon.size, dtype=float).reshape(COARSE.shape)
    out = conservative(coarse, COARSE, FINE)
    i, j = np.searchsorted(FINE.lat, 32.5), np.searchsorted(FINE.lon, -12.5)
    assert out[i, j] == coarse[2, 5]
    assert set(np.unique(out)) == set(coarse.ravel())


@pytest.mark.parametrize("hemisphere", [1, -1])
def test_the_textbook_wind_blows_along_the_isobars_and_a_little_into_the_low(hemisphere: int) -> None:
    """Pressure falls towards the pole by 1 hPa per degree."""
    region = "-10,30,30,60" if hemisphere > 0 else "-10,30,-60,-30"
    fine, blocks = fine_grid(parse_region(region)), block_grid(5, parse_region(region))
    coarse = np.broadcast_to(101325.0 - 100 * np.abs(blocks.lat)[:, None], blocks.shape)
    u, v = textbook_wind(coarse, blocks, fine)
    inner = (slice(32, -32), slice(None))
    speed = 0.7 * 100 / 111194.9 / (1.2 * 2 * 7.292e-5 * np.sin(np.deg2rad(np.abs(fine.lat[inner[0]]))))
    np.testing.assert_allclose(
        u[inner], np.broadcast_to((speed * np.cos(np.deg2rad(20)))[:, None], u[inner].shape), 1e-3
    )
    np.testing.assert_allclose(v[inner], hemisphere * np.tan(np.deg2rad(20)) * u[inner], 1e-6)
