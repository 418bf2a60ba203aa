"""Random fields of the climate: their covariance, mirror symmetry, seasons; and what the shipped climate says about wind and pressure."""

import itertools

import numpy as np
import pytest
import torch

from zssd_cli.climate.balance import WINDS, gradient, northern_winter, surfaces
from zssd_cli.climate.covariance import MAX_LAG, TORUS, band_centres
from zssd_cli.climate.gaussian import Climate, ClimateFields
from zssd_cli.grids.latlon import Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.guidance import Observation
from zssd_cli.posterior.guidance.analysis import Analysis
from zssd_cli.posterior.random import NoiseStream, window_around
from zssd_cli.prior import registry
from zssd_cli.prior.checkpoint import load_prior
from zssd_cli.static import load_static

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


def toy_fields(grid) -> ClimateFields:
    climate = Climate(("msl", "v10"), torch.zeros(2), torch.ones(2), torch.zeros(2, 721), table(), SIGNS)
    return ClimateFields(climate, grid, torch.zeros(4, *grid.shape), climate.bands(grid.lat))


def impulses(fields: ClimateFields) -> torch.Tensor:
    """Answers to a unit of noise of either variable in the middle of the domain, (2, C, H, W)."""
    (height, width), (rim, side) = fields.grid.shape, fields.margin
    noise = torch.zeros(2, 2, height + 2 * rim, width + 2 * side)
    noise[0, 0, rim + height // 2, side + width // 2] = noise[1, 1, rim + height // 2, side + width // 2] = 1
    return fields.deviations(noise, torch.full((2,), 0.5))


@pytest.mark.parametrize("region", [Region(0, 30, 40, 70), Region(0, 360, 40, 70)], ids=["box", "ring"])
def test_fields_have_the_covariance_of_the_table(region):
    """The root's answer to an impulse, correlated with itself, is the covariance: in the mean over all places of the noise."""
    fields = toy_fields(fine_grid(region))
    kernel = impulses(fields)
    waves = torch.fft.rfft2(kernel, s=(TORUS, TORUS) if region.east < 360 else kernel.shape[2:])
    # field_c = sum_j k_jc * n_j, so Cov(field_c(p), field_d(p + lag)) = sum_j sum_q k_jc(q) k_jd(q + lag)
    covariance = torch.fft.irfft2(torch.einsum("jcyx,jdyx->cdyx", waves.conj(), waves))
    expected = table()[0]
    for y, x in ((0, 0), (0, 6), (8, 0), (8, -6), (20, 3)):
        got, wanted = covariance[:, :, y, x], expected[:, :, y, MAX_LAG + x]
        assert float((got - wanted).abs().max()) < 0.02, (y, x, got, wanted)


def test_mirrored_noise_gives_mirrored_fields():
    fields = toy_fields(fine_grid(Region(0, 25, -20, 20)))
    (height, width), (rim, side) = fields.grid.shape, fields.margin
    noise = torch.randn(1, 2, height + 2 * rim, width + 2 * side, generator=torch.Generator().manual_seed(0))
    half = torch.full((1,), 0.5)

    def mirror(field: torch.Tensor) -> torch.Tensor:
        return field.flip(2) * SIGNS[:, None, None]

    plain = fields.deviations(noise, half)
    torch.testing.assert_close(fields.deviations(mirror(noise), half), mirror(plain), atol=1e-4, rtol=0)
    assert plain.std() > 0.5


def test_winter_is_at_the_end_of_january():
    share = northern_winter(torch.tensor([0.08, 0.58, float("nan")]))
    torch.testing.assert_close(share, torch.tensor([1.0, 0.0, 0.5]))


@pytest.fixture(scope="module")
def shipped():
    return load_prior(registry.locate(None, offline=True)[0])


def shipped_fields(prior, region) -> ClimateFields:
    grid = fine_grid(region)
    static = torch.as_tensor(load_static(None).channels(grid))
    return ClimateFields(prior.climate, grid, static, prior.climate.bands(grid.lat))


def test_storms_are_stronger_in_the_winter_of_either_hemisphere(shipped):
    for region, summer in ((Region(-50, -20, 40, 60), 0.0), (Region(60, 90, -60, -40), 1.0)):
        fields = shipped_fields(shipped, region)
        (height, width), (rim, side) = fields.grid.shape, fields.margin
        noise = torch.randn(1, 3, height + 2 * rim, width + 2 * side, generator=torch.Generator().manual_seed(0))
        warm, cold = (fields.deviations(noise, torch.tensor([share])).std((2, 3))[0] for share in (summer, 1 - summer))
        assert (cold > 1.05 * warm).all()


def test_pressure_seen_through_the_straight_balance_adds_nothing(shipped):
    """What a change of the pressure brings in H's straight part is taken off again: no change, no difference."""
    fields = shipped_fields(shipped, Region(-50, -30, 40, 60))
    pressure = torch.randn(1, 5, 5, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(pressure[None], fields.grid.shape, mode="bicubic")[0]
    plain = fields.balanced(smooth, torch.zeros_like(smooth))
    less = fields.balanced(smooth, smooth)
    scale = shipped.std[fields.climate.pressure] / shipped.std[fields.climate.winds, None, None]
    straight = shipped.balance.straight(smooth, fields.grid) * scale
    torch.testing.assert_close(plain - less, straight, atol=1e-4, rtol=1e-4)
    # standardised, and nothing else: H of the pressure in its units
    climate, shares = fields.climate, surfaces(torch.as_tensor(load_static(None).channels(fields.grid)))
    mean, std = (part[climate.winds, None, None] for part in (shipped.mean, shipped.std))
    wind = shipped.balance.wind(smooth * shipped.std[climate.pressure], fields.grid, shares)
    torch.testing.assert_close(plain * std + mean, wind, atol=1e-3, rtol=1e-4)
    # most of H is straight
    assert np.corrcoef(plain.flatten(), straight.flatten())[0, 1] > 0.8


@pytest.mark.parametrize(("south", "turn"), [(35, 1), (-65, -1)])
def test_wind_turns_the_right_way_around_a_low(shipped, south, turn):
    """A low in the pressure alone: counter-clockwise inferred wind in the north, clockwise in the south, in B and in H."""
    region = Region(0, 40, south, south + 30)
    fine, coarse = fine_grid(region), block_grid(5.0, region)
    fields = shipped_fields(shipped, region)
    lat, lon = coarse.lat[:, None], coarse.lon[None]
    low = -2.0 * np.exp(-(((lat - south - 15) / 8) ** 2 + ((lon - 20) / 12) ** 2))
    values = torch.as_tensor(low, dtype=torch.float32)[None, None]
    observation = Observation(values, (0,), Coarsen(fine, coarse), torch.tensor([0.01]))
    solver = Analysis(shipped.lags, shipped.signs, fields.bands).solver(observation)
    increment = solver.increment(values, torch.ones_like(values, dtype=torch.bool), 1000.0)
    row, column, step = fine.lat.size // 2, fine.lon.size // 2, 24
    assert increment[0, 0, row, column] < -1
    flat = torch.zeros_like(increment[:, 0])
    both = fields.balanced(increment[:, 0], flat) - fields.balanced(flat, flat)
    for winds in (increment[0, 1:], both[0]):
        u, v = winds * shipped.std[[shipped.variables.index(name) for name in WINDS], None, None]
        assert turn * v[row, column + step] > 1
        assert turn * v[row, column - step] < -1
        assert turn * u[row - step, column] > 1
        assert turn * u[row + step, column] < -1


@pytest.mark.parametrize("region", [Region(0, 360, 50, 90), Region(0, 360, -60, -20)], ids=["pole", "south"])
def test_moving_to_the_observation_converges(shipped, region):
    """The same gain again and again leaves ever less, of any residual: no mode of the gain points the wrong way."""
    fine, coarse = fine_grid(region), block_grid(5.0, region)
    fields = shipped_fields(shipped, region)
    values = torch.randn(1, 1, *coarse.shape, generator=torch.Generator().manual_seed(0))
    observation = Observation(values, (0,), Coarsen(fine, coarse), torch.tensor([0.01]))
    solver = Analysis(shipped.lags, shipped.signs, fields.bands).solver(observation)
    x, left = torch.zeros(1, 3, *fine.shape), [values.square().mean(3).sqrt()[0, 0]]
    for _ in range(4):
        residual = observation.residual(x)
        x = x + solver.increment(residual, torch.ones_like(values, dtype=torch.bool), float("inf"))
        left.append(observation.residual(x).square().mean(3).sqrt()[0, 0])
    for before, after in itertools.pairwise(left):
        assert (after < before).all()
    assert (left[-1] < 0.75 * left[0]).all()


def test_pressure_is_drawn_with_the_spread_of_its_row(shipped):
    """From the mid latitudes to the pole, where the bands' covariance says much too much."""
    fields = shipped_fields(shipped, Region(0, 360, 50, 90))
    (height, width), (rim, side) = fields.grid.shape, fields.margin
    noise = torch.randn(4, 3, height + 2 * rim, width + 2 * side, generator=torch.Generator().manual_seed(0))
    drawn = fields.deviations(noise, torch.ones(4))[:, fields.climate.pressure] * shipped.std[fields.climate.pressure]
    wanted = shipped.balance.pressure_spread[:, 0]
    for latitude in (60, 70, 80):
        row = int(np.argmin(np.abs(fields.grid.lat - latitude)))
        got = float(drawn[:, row - 4 : row + 5].square().mean().sqrt())
        assert 0.7 < got / float(wanted[latitude // 10]) < 1.4, latitude


@pytest.mark.parametrize("circular", [True, False])
def test_the_balance_filters_as_many_kilometres_to_the_east_as_to_the_north(circular):
    """A wave of 12 degrees of arc across rows at 60 degrees north is 24 degrees of longitude along them: damped alike."""
    grid = fine_grid(Region(0, 360, 40, 80) if circular else Region(20, 120, 40, 80))
    narrow = torch.full((grid.lat.size,), 0.5, dtype=torch.float64)
    lat, lon = torch.as_tensor(grid.lat)[:, None], torch.as_tensor(grid.lon)[None]
    waves = [torch.sin(2 * np.pi * (part + 0 * lat + 0 * lon)) for part in (lat / 12, lon / 24)]
    north, east = (gradient(wave[None], narrow, grid.circular)[0] for wave in waves)
    row, inner = grid.lat.size // 2, slice(100, -100)
    # per cell the wave along the row is half as steep, as the cells there are half as wide
    assert east[0, row, inner].abs().max() == pytest.approx(float(north[1, 60:-60, 200].abs().max()) / 2, rel=0.01)
    assert float(east[1].abs().max()) < 1e-9


def test_regions_agree_where_they_overlap():
    """The same seed gives the same climatological field at the same place, whatever is drawn around it."""
    drawn = []
    for region in (Region(-40, 0, 20, 60), Region(-20, 30, 35, 50)):
        fields = toy_fields(fine_grid(region))
        noise = NoiseStream(5, [(0, 7)], 2, window_around(fields.grid, *fields.margin)).draw()
        drawn.append(fields.deviations(noise, torch.full((1,), 0.5)))
    overlap = drawn[0][:, :, 60:121, 80:161]
    torch.testing.assert_close(overlap, drawn[1][:, :, :, :81], atol=1e-3, rtol=0)
    assert overlap.std() > 0.3
