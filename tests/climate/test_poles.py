"""Random fields round a pole: smooth along a row by distance, no less varied, winds that blow across."""

import numpy as np
import pytest
import torch

from tests.climate.test_gaussian import SIGNS, table, toy_fields
from zssd_cli.climate.gaussian import Climate
from zssd_cli.climate.poles import PolarWaves
from zssd_cli.grids.latlon import Region, fine_grid

CAPS = {"north": Region(0, 360, 60, 90), "south": Region(0, 360, -90, -60)}


@pytest.fixture(scope="module", params=CAPS)
def cap(request):
    """Fields of a cap, with and without the scaling: latitudes, (2, 64, C, H, W)."""
    fields = toy_fields(fine_grid(CAPS[request.param]))
    (height, width), (rim, _) = fields.grid.shape, fields.margin
    noise = torch.randn(64, 2, height + 2 * rim, width, generator=torch.Generator().manual_seed(1))
    winter = torch.full((64,), 0.5)
    scaled = fields.deviations(noise, winter)
    fields._polar = None
    return fields.grid.lat, torch.stack([scaled, fields.deviations(noise, winter)]).double()


def correlation(rows: torch.Tensor, columns: int) -> float:
    """Of (B, W) with itself so many columns further, no mean taken off."""
    return float((rows * rows.roll(columns, 1)).mean() / rows.square().mean())


@pytest.mark.parametrize("latitude", [80.0, 84.0, 86.0])
def test_points_near_each_other_are_alike_across_the_pole(cap, latitude):
    lat, (scaled, plain) = cap
    row = int(np.argmin(np.abs(np.abs(lat) - latitude)))
    # along the meridian the band's covariance exp(-(d / 2.5 degrees)^2 / 2) is a half at 2.94 degrees, and so is Matern's of order 5/2
    # at x = 2.33; opposite points are 2 (90 - latitude) degrees apart
    for columns in (60, 180, 360, 720):
        angle = np.radians(columns / 4)
        degrees = np.degrees(2 * np.arcsin(np.cos(np.radians(latitude)) * np.sin(angle / 2)))
        x = 2.3303 * degrees / (2.5 * np.sqrt(2 * np.log(2)))
        expected = (1 + x + x**2 / 3) * np.exp(-x)
        assert correlation(scaled[:, 0, row], columns) == pytest.approx(expected, abs=0.15)
    assert abs(correlation(plain[:, 0, row], 60)) < 0.2  # 15 degrees of longitude are six lengths of the band's lags


def test_a_row_keeps_its_variance_and_the_pole_is_one_value(cap):
    lat, (scaled, plain) = cap
    ratio = scaled.square().mean((0, 1, 3)) / plain.square().mean((0, 1, 3))
    far = np.abs(lat) < 85
    assert ratio[far].numpy() == pytest.approx(1, abs=0.1)
    assert ratio.numpy() == pytest.approx(1, abs=0.5)  # few independent values are left on the last rows
    pole = scaled[:, 0, int(np.argmax(np.abs(lat)))]
    assert (pole.std(1) < 1e-3 * pole.square().mean().sqrt()).all()


@pytest.mark.parametrize("region", CAPS.values(), ids=CAPS)
def test_a_flow_over_the_pole_passes(region):
    """One wave of u and v a quarter apart is a uniform flow; it must stay, and what has eight waves within 100 km must go."""
    grid = fine_grid(region)
    names = ("msl", "u10", "v10")
    lags = torch.zeros(9, 3, 3, *table().shape[3:])
    lags[:, 0, 0] = lags[:, 1, 1] = lags[:, 2, 2] = table()[:, 0, 0]
    climate = Climate(names, torch.zeros(3), torch.ones(3), torch.zeros(3, 721), lags, torch.tensor([1.0, 1.0, -1.0]))
    waves = PolarWaves(grid.lat, grid.lon.size, climate.bands(grid.lat), [1, 2])
    row = int(np.argmin(np.abs(np.abs(grid.lat) - 89)))
    lon, sign = torch.as_tensor(np.radians(grid.lon)), np.sign(grid.lat[row])
    across, around = torch.zeros(2, 1, 3, *grid.shape, dtype=torch.float64)
    across[:, 1], across[:, 2] = lon.cos(), -sign * lon.sin()
    around[:, 1] = (8 * lon).cos()
    kept, gone = (waves(field.float())[0, 1:, row].square().mean().sqrt() for field in (across, around))
    # the row's power is gathered in the wave of the flow
    assert kept > 3
    assert gone < 0.1 * kept


def test_rows_far_from_the_poles_are_left_alone():
    grid = fine_grid(Region(0, 360, -60, 60))
    climate = Climate(("msl", "v10"), torch.zeros(2), torch.ones(2), torch.zeros(2, 721), table(), SIGNS)
    waves = PolarWaves(grid.lat, grid.lon.size, climate.bands(grid.lat), [])
    field = torch.randn(1, 2, *grid.shape)
    assert torch.equal(waves(field.clone()), field)
