"""Where sampling starts, and what the whole sampler makes of it, against a posterior known exactly: pressure alone observed."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.fft
import torch

from tests.posterior.gaussian import World, lag_table, world_of
from zssd_cli.climate.covariance import TORUS
from zssd_cli.climate.gaussian import Climate, ClimateFields
from zssd_cli.grids.latlon import Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.guidance import Observation
from zssd_cli.posterior.guidance.analysis import Analysis
from zssd_cli.posterior.guidance.mmps import mmps, staged
from zssd_cli.posterior.sampler import sample
from zssd_cli.posterior.start import Start
from zssd_cli.prior.checkpoint import load_prior
from zssd_cli.prior.noise import karras_sigmas
from zssd_cli.prior.registry import locate
from zssd_cli.static import load_static

ABOVE, STEPS, DRAWS = 2.0, 60, 600
RIM = 4
CLIMATE = Climate(("msl", "x"), torch.zeros(2), torch.ones(2), torch.zeros(2, 721), lag_table(), torch.ones(2))
"""Pressure and something that goes with it, no balance: all that is known of the second is its covariance with the first."""


@pytest.fixture(scope="module")
def world() -> World:
    """A box cut from the endless Gaussian of the climate."""
    spectrum = CLIMATE.bands(np.array([0.0]))[0].own
    lags = torch.fft.irfft2(spectrum.covariance(), s=(TORUS, TORUS)).double().numpy()
    return world_of(lambda y, x: lags[:, :, y % TORUS, x % TORUS])


@pytest.fixture(scope="module")
def fields(world: World) -> ClimateFields:
    """Of that box."""
    fine = world.operator.fine
    return ClimateFields(CLIMATE, fine, torch.zeros(4, *fine.shape), CLIMATE.bands(fine.lat))


def seen(world: World, count: int) -> Observation:
    """Block means of the pressure of one draw of the prior, strong enough to be seen beside the spread."""
    values = 2 * world.operator(world.draw(1, seed=0)[:, :1])
    return Observation(values.expand(count, -1, -1, -1), (0,), world.operator, torch.tensor([0.02]))


def powers(field: torch.Tensor) -> torch.Tensor:
    """Mean power, (B, 2, H, W) -> (2, wavelengths): up to 1, 2, 4, 8 waves in the box, and more.

    Without the rim, as in test_exact.py.
    """
    field = field[..., RIM:-RIM, RIM:-RIM]
    height, width = field.shape[-2:]
    waves = np.hypot(np.arange(height)[:, None], np.arange(width)) / 2
    octave = np.digitize(waves, [1, 2, 4, 8])
    square = torch.as_tensor(scipy.fft.dctn(field.numpy(), axes=(2, 3), norm="ortho")).square().mean(0)
    return torch.stack([square[:, octave == k].sum(1) for k in range(octave.max() + 1)], 1)


def start(fields: ClimateFields, observation: Observation, scale: float = 1.0) -> torch.Tensor:
    """Draws, or with ``scale`` 0 their mean."""
    (height, width), (rim, side) = fields.grid.shape, fields.margin
    generator = torch.Generator().manual_seed(1)
    parts = []
    for values in observation.values.split(500):
        one = Observation(values, (0,), observation.operator, observation.error)
        wide = torch.randn(len(values), 2, height + 2 * rim, width + 2 * side, generator=generator)
        errors = torch.randn(values.shape, generator=generator)
        parts.append(Start(fields)(one, scale * wide, scale * errors, torch.full((len(values),), 0.5)))
    return torch.cat(parts)


def compare(draws: torch.Tensor, mean: torch.Tensor, world: World) -> tuple[torch.Tensor, torch.Tensor]:
    """By variable and wavelength: error of the mean as a share of the exact mean or spread, and spread over the exact spread.

    At wavelengths that hold less than a tenth of the variable's standard deviation it counts as a share of that.
    """
    exact, spread = exact_posterior(world)
    there = powers(exact) + spread**2 + 0.01 * exact[0, 0].numel()
    return (powers(mean - exact) / there).sqrt(), powers(draws - mean).sqrt() / spread


def exact_posterior(world: World) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean, and the spread by wavelength: of as many draws as there are modes, so that it is exact."""
    modes = (world.vectors * world.values.sqrt()).T.reshape(-1, *world.shape).float()
    gain = world.posterior(Observation(world.operator(modes[:, :1]), (0,), world.operator, torch.tensor([0.02])))[0]
    blocks = torch.eye(16).reshape(16, 1, 4, 4) * 0.02
    noise = world.posterior(Observation(blocks, (0,), world.operator, torch.tensor([0.02])))[0]
    spread = (powers(modes - gain) * len(modes) + powers(noise) * len(noise)).sqrt()
    return world.posterior(seen(world, 1))[0], spread


def test_a_start_is_a_draw_of_the_exact_posterior(world, fields, monkeypatch):
    """Mean and spread within 3 percent at every wavelength, of the pressure and of what nobody observed.

    Two sweeps leave more: they stop where a measured B would no longer be trusted. Here B is right.
    """
    monkeypatch.setattr("zssd_cli.posterior.start.SWEEPS", 6)
    mean = start(fields, seen(world, 1), scale=0.0)
    error, spread = compare(start(fields, seen(world, DRAWS)), mean, world)
    assert float(error.max()) < 0.03
    assert float((spread - 1).abs().max()) < 0.03


def test_the_zonal_mean_of_a_row_is_that_of_its_latitude(world, fields):
    """Draws about a mean that rises to the north are those about none, moved by it, of an observation moved by its block means."""
    ramp = torch.stack([torch.linspace(-9, 9, 721), torch.linspace(4.5, -4.5, 721)])
    fine, climate = world.operator.fine, replace(CLIMATE, zonal=ramp)
    tilted = ClimateFields(climate, fine, torch.zeros(4, *fine.shape), fields.bands)
    lat = torch.as_tensor(fine.lat, dtype=torch.float32)[:, None].expand(fine.shape)
    mean = torch.stack([0.1 * lat, -0.05 * lat])
    flat = seen(world, 2)
    moved = replace(flat, values=flat.values + world.operator(mean[:1]))
    torch.testing.assert_close(start(tilted, moved), start(fields, flat) + mean, rtol=0, atol=2e-3)


def test_the_sampler_keeps_it(world, fields):
    """The walk from there with the exact denoiser of the world ends at the same posterior (linear: no noise, the mean)."""

    def walk(count: int, scale: float) -> torch.Tensor:
        observation = seen(world, count)
        generator, levels = torch.Generator().manual_seed(2), karras_sigmas(STEPS)
        guidance = staged(Analysis(lag_table(), torch.ones(2)), mmps(), ABOVE)
        *_, draws = sample(
            guidance(world.denoise, observation),
            lambda: scale * torch.randn(count, *world.shape, generator=generator),
            levels[levels <= ABOVE],
            "dpmpp_2m_sde",
            start(fields, observation, scale),
        )
        return draws

    error, spread = compare(walk(DRAWS, 1.0), walk(1, 0.0), world)
    assert float(error.max()) < 0.03
    assert float((spread - 1).abs().max()) < 0.03


def test_winds_of_a_draw_balance_its_own_pressure():
    """With the shipped balance: winds are H of the pressure that the draw ends with, plus the deviations that were drawn.

    H of another pressure (the draw's before it met the observation), or its change counted twice, leaves two to ten times as much.
    """
    prior, region = load_prior(locate(None, offline=True)[0]), Region(-50, -25, 40, 60)
    grid, coarse, climate = fine_grid(region), block_grid(5.0, region), prior.climate
    fields = ClimateFields(climate, grid, torch.as_tensor(load_static().channels(grid)), climate.bands(grid.lat))
    low = np.exp(-(((coarse.lat[:, None] - 50) / 7) ** 2 + ((coarse.lon[None] + 38) / 9) ** 2))
    values = torch.as_tensor(2.5 - 5 * low, dtype=torch.float32).expand(4, 1, -1, -1)
    observation = Observation(values, (climate.pressure,), Coarsen(grid, coarse), torch.tensor([0.01]))
    (height, width), (rim, side) = grid.shape, fields.margin
    generator, winter = torch.Generator().manual_seed(0), torch.full((4,), 0.5)
    wide = torch.randn(4, 3, height + 2 * rim, width + 2 * side, generator=generator)
    x = Start(fields)(observation, wide, torch.randn(values.shape, generator=generator), winter)
    pressure, deviations = x[:, climate.pressure], fields.deviations(wide, winter)
    balanced = fields.balanced(pressure, torch.zeros_like(pressure))
    left = (x - deviations)[:, climate.winds] - balanced
    inner = left[..., 16:-16, 16:-16].square().mean((0, 2, 3)).sqrt()
    assert (inner < torch.tensor([0.25, 0.5])).all()
    assert balanced.std() > 5 * inner.max()
    assert (pressure - deviations[:, climate.pressure]).std() > 1
