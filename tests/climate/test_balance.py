"""The wind that goes with pressure, against its formula, its mirror image and itself in the other forms that it has."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.worlds import weather
from zssd_cli.climate import balance as module
from zssd_cli.climate.balance import (
    CALM,
    CORIOLIS,
    DENSITY,
    FRICTION,
    HATS,
    METRES,
    SEASONS,
    SURFACES,
    TERMS,
    Balance,
    Scene,
    fit_balance,
    gradient,
    northern_winter,
    surfaces,
)
from zssd_cli.climate.bands import band_centres, band_weights
from zssd_cli.grids.latlon import Region, fine_grid

MIRROR = torch.tensor([1.0, -1.0]).double()[:, None, None]


def with_coefficients(**parts):
    """H whose coefficients over sea are given by place, all others 0."""
    count = HATS.size
    places = {"along": slice(count), "across": slice(count, 2 * count), "offset": slice(2 * count + 4, TERMS)}
    places |= {name: slice(2 * count + k, 2 * count + k + 1) for k, name in enumerate("abcd")}
    coefficients = torch.zeros(2, SURFACES, TERMS).double()
    for name, value in parts.items():
        coefficients[:, 0, places[name]] = torch.as_tensor(value).double()
    return Balance(coefficients, *(torch.zeros(0) for _ in range(3)))


@pytest.mark.parametrize("south", [35, -65])
def test_wind_is_the_formula_of_the_drag_balance(south):
    """A plane of pressure: along and across the isobars, each times its function of the gradient, and an offset."""
    grid = fine_grid(Region(0, 40, south, south + 30))
    east, north = 7.0, -11.0  # Pa per cell
    rows, columns = (torch.arange(n).double() for n in grid.shape)
    pressure = 101000 + east * columns[None] + north * rows[:, None]
    sea = torch.zeros(SURFACES, *grid.shape).double()
    sea[0] = 1
    lat = torch.as_tensor(grid.lat).deg2rad()[:, None]
    px, py = east / (METRES * lat.cos()).expand(grid.shape), torch.full(grid.shape, north / METRES).double()
    f = CORIOLIS * lat.sin()
    along, across = torch.stack([-f * py, f * px]), -FRICTION * torch.stack([px, py])
    along, across = (flow / (DENSITY * (f**2 + FRICTION**2)) for flow in (along, across))
    weak = 1 / (1 + torch.hypot(px, py) / (DENSITY * (f**2 + FRICTION**2).sqrt()) / CALM)
    y = lat.rad2deg() / 90
    polynomials = torch.stack([y**0 + 2 * y**2 + 3 * y**4, y + 2 * y**3 + 3 * y**5])
    whole = {"along": 1, "across": 1}
    inner = np.s_[:, 40:-40, 60:-60]
    for parts, wanted in (
        ({"along": 1}, along),
        (whole, along + across),
        (whole | {"a": 0.3, "b": 0.2}, along * (1 + 0.3 * weak + 0.2 * weak**2) + across),
        (whole | {"c": 0.3, "d": 0.2}, along + across * (1 + 0.3 * weak + 0.2 * weak**2)),
        ({"offset": [1.0, 2.0, 3.0]}, polynomials.expand_as(along)),
    ):
        found = with_coefficients(**parts).wind(pressure[None], grid, sea)[0]
        torch.testing.assert_close(found[inner], wanted[inner], rtol=1e-6, atol=1e-9)


def test_functions_of_latitude_are_lines_between_their_knots_alike_in_both_hemispheres():
    knots = torch.arange(HATS.size).double()
    found = module._hats(torch.tensor([0.0, 5.0, 47.5, -47.5, 90.0]).double()) @ knots
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5, 4.75, 4.75, 9.0]).double())


def test_the_slope_at_the_edge_of_a_region_is_that_of_its_last_two_columns():
    field = torch.randn(1, 30, 60, generator=torch.Generator().manual_seed(0)).double()
    narrow = torch.full((30,), 0.6).double()
    smooth = module._filtered(field - field.mean(), narrow, False)
    east = gradient(field, narrow, False)[:, 0]
    torch.testing.assert_close(east[..., 0], smooth[..., 1] - smooth[..., 0])
    torch.testing.assert_close(east[..., -1], smooth[..., -1] - smooth[..., -2])


def test_surfaces_are_shares():
    static = torch.tensor([[0.3, 3.0, -0.1], [0.5, 1.0, 0.0]])[:, None]
    wanted = torch.tensor([[0.5, 0.0, 1.0], [0.4, 0.0, 0.0], [0.1, 1.0, 0.0]])[:, None]
    torch.testing.assert_close(surfaces(static), wanted)


def test_a_time_that_is_not_known_is_between_the_seasons():
    assert northern_winter(torch.tensor([torch.nan])).tolist() == [0.5]


def random_slopes():
    slopes = torch.randn(band_centres().size, 2, 2, generator=torch.Generator().manual_seed(5)).double()
    return Balance(torch.zeros(0), slopes, torch.zeros(0), torch.zeros(0))


def test_the_straight_part_is_the_same_in_the_mirror():
    north, south = (fine_grid(region) for region in (Region(0, 20, 25, 45), Region(0, 20, -45, -25)))
    pressure = torch.randn(1, *north.shape, generator=torch.Generator().manual_seed(6)).double()
    ours, theirs = random_slopes().straight(pressure, north), random_slopes().straight(pressure.flip(1), south)
    torch.testing.assert_close(theirs.flip(2), ours * MIRROR)
    assert ours.std() > 0.01


@pytest.mark.parametrize(("row", "column"), [(9, 21), (-14, 8)])
def test_the_transfer_of_a_wave_is_the_straight_part(row, column):
    """At the centre of a band at 65 degrees, where a cell is less than half as wide as at the equator."""
    grid, period, band = fine_grid(Region(0, 360, 30, 90)), 1440, 6
    phase = 2 * math.pi / period * (row * torch.arange(grid.lat.size)[:, None] + column * torch.arange(period)).double()
    straight, answer = random_slopes(), []
    for wave in (phase.cos(), phase.sin()):
        answer.append(straight.straight(wave[None], grid)[0])
    centre = int(np.argmin(np.abs(grid.lat - band_centres()[band])))
    symbol = straight.transfer(band, period)[:, row, column]
    wanted = symbol[:, None] * torch.exp(1j * phase[centre])
    found = torch.complex(*answer)[:, centre]
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-6)
    assert symbol.abs().min() > 1e-3


def test_the_straight_part_does_not_depend_on_what_lies_far():
    """A band's rows follow from those beside them: what the filter reaches, no more and no less."""
    grid = fine_grid(Region(0, 20, 0, 80))
    pressure = torch.randn(1, *grid.shape, generator=torch.Generator().manual_seed(7)).double()
    whole = module._band_gradient(pressure, grid, 45.0, slice(0, grid.lat.size))
    part = module._band_gradient(pressure, grid, 45.0, slice(140, 200))
    torch.testing.assert_close(part, whole[:, :, 140:200])


def flipped(part):
    """The mirror image of a scene in the other hemisphere."""
    south, north = -part.grid.lat_edges[-1], -part.grid.lat_edges[0]
    grid = fine_grid(Region(0, 25, south + 0.125, north - 0.125))
    return Scene(part.pressure.flip(0), part.wind.flip(1) * MIRROR, grid, part.shares.flip(1), 1 - part.winter)


def scene(south, winter=0.8, mirrored=False):
    """A world's weather with surfaces and a wind that is partly noise, or its mirror image in the other hemisphere."""
    grid = fine_grid(Region(0, 25, south, south + 30))
    fields = weather(grid.lat, grid.lon, 1, seed=8)
    rng = np.random.default_rng(9)
    wind = torch.as_tensor(np.stack([fields["u10"][0], fields["v10"][0]]) + rng.standard_normal((2, *grid.shape)))
    land = torch.as_tensor(rng.random(grid.shape))
    shares = surfaces(torch.stack([1.5 * torch.as_tensor(rng.random(grid.shape)), land]))
    pressure = torch.as_tensor(fields["msl"][0])
    made = Scene(pressure, wind, grid, shares, winter)
    return flipped(made) if mirrored else made


def test_a_fit_in_the_mirror_is_the_same():
    ours, theirs = fit_balance([scene(30)]), fit_balance([scene(30, mirrored=True)])
    for name in ("slopes", "spread", "pressure_spread"):
        torch.testing.assert_close(getattr(theirs, name), getattr(ours, name), rtol=1e-3, atol=1e-4, msg=name)
    assert float(ours.slopes.abs().max()) > 0.01
    # and so it is on both, which one straight line through either hemisphere's wind describes
    both = fit_balance([scene(30), scene(30, mirrored=True)])
    torch.testing.assert_close(both.slopes, ours.slopes, rtol=1e-3, atol=1e-4)


def test_a_band_is_fitted_within_ten_degrees_of_its_centre_and_not_at_the_poles():
    there = fit_balance([scene(30)]).slopes.abs().amax((1, 2)) > 1e-3
    assert dict(zip(band_centres().tolist(), there.tolist(), strict=True)) == {
        5.0: False, 15.0: False, 25.0: True, 35.0: True, 45.0: True, 55.0: True, 65.0: True, 75.0: False, 85.0: False,
    }  # fmt: skip
    polar = replace(scene(30), grid=fine_grid(Region(0, 25, 60, 90)))
    assert 84.5 < polar.lat.max() < 86


def test_seasons_have_their_own_scatter():
    """Of pressure and wind, winter first, in either hemisphere."""
    one = scene(30)
    calm = with_coefficients().wind(one.pressure[None], one.grid, one.shares)[0]
    noise = torch.randn(calm.shape, generator=torch.Generator().manual_seed(3)).double()
    wave = torch.sin(2 * math.pi * torch.arange(one.grid.lon.size) / one.grid.lon.size * 4).double() * math.sqrt(2)
    flat = torch.zeros(one.grid.lat.size, 1).double() + wave
    year = [
        replace(one, pressure=101000 + size * flat, wind=calm + size / 100 * noise, winter=winter)
        for winter, size in ((1.0, 600.0), (0.0, 200.0))
    ]
    for scenes in (year, [flipped(part) for part in year]):
        found = fit_balance(scenes)
        torch.testing.assert_close(found.pressure_spread[4], torch.tensor([600.0, 200.0]), rtol=0.01, atol=0.1)
        whole = math.sqrt((6**2 + 2**2) / 2)
        wanted = torch.tensor([6 / whole, 2 / whole])[:, None, None].expand(SEASONS, SURFACES, 2)
        torch.testing.assert_close(found.spread[4], wanted, rtol=0.1, atol=0)


def test_a_fit_returns_the_wind_that_it_was_made_with():
    first = scene(30)
    made = with_coefficients(along=0.7, across=0.5, a=0.4, c=0.3, offset=[0.5, 0.2, 0.1])
    made = replace(made, coefficients=made.coefficients[:, :1].expand(-1, SURFACES, -1))
    exact = replace(first, wind=made.wind(first.pressure[None], first.grid, first.shares)[0])
    found = fit_balance([exact])
    again = replace(found, coefficients=found.coefficients.double()).wind(
        exact.pressure[None], exact.grid, exact.shares
    )
    inner = np.s_[:, 8:-8, 8:-8]
    assert float((again[0] - exact.wind)[inner].std() / exact.wind[inner].std()) < 1e-3


def test_the_spread_of_pressure_is_about_the_mean_along_the_row():
    one = scene(30)
    zonal = 40 * torch.arange(one.grid.lat.size).double()[:, None] + 101000
    wave = (
        300 * math.sqrt(2) * torch.sin(2 * math.pi * torch.arange(one.grid.lon.size) / one.grid.lon.size * 4).double()
    )
    found = fit_balance([replace(one, pressure=zonal + wave)]).pressure_spread
    torch.testing.assert_close(found, torch.full((HATS.size, SEASONS), 300.0), rtol=0.01, atol=0.1)


def test_weights_of_the_bands_add_up_to_one_at_the_poles_too():
    weights, centres = band_weights(np.arange(-90, 90.1, 0.25))
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-12)
    assert centres[0] == -85
    assert ((weights > 0).sum(0) <= 2).all()
