"""What a sample must not depend on: where longitude begins, windows, threads. A toy prior of both stages on a ring."""

import pytest
import torch

from tests.commands.conftest import toy_lags, toy_zonal
from tests.worlds import noise, random_denoiser
from zssd_cli.climate.gaussian import Climate, ClimateFields
from zssd_cli.grids.latlon import Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.operators.wind import WindSpeed
from zssd_cli.posterior.guidance import Observation, ObservedSpeed
from zssd_cli.posterior.guidance.analysis import Analysis
from zssd_cli.posterior.guidance.mmps import mmps, staged
from zssd_cli.posterior.guidance.projection import projection, sequential
from zssd_cli.posterior.guidance.ucg import ucg
from zssd_cli.posterior.sampler import sample
from zssd_cli.posterior.start import Start
from zssd_cli.posterior.windows import windowed
from zssd_cli.prior.denoiser import Conditions
from zssd_cli.prior.noise import ddpm_sigmas, karras_sigmas

RING, BLOCK = Region(0, 360, 30, 45), 20
WIND = WindSpeed(1, 2, (0.0, 0.0), (5.7, 4.7))
SIGNS = torch.tensor([1.0, 1.0, -1.0])


def analysis():
    return sequential(Analysis(toy_lags(), SIGNS))


MODES = {
    "analysis": lambda: analysis(),
    "mmps": lambda: staged(analysis(), mmps(2), 2.0),
    "mmps-throughout": lambda: mmps(2),
    "projection": lambda: projection,
    "ucg": lambda: ucg(0.3),
}


def run(name, shift=0, cells=600_000, speed=True):
    """A sample on the ring with everything that has a place rolled east by so many blocks."""
    fine, coarse = fine_grid(RING), block_grid(5.0, RING)
    operator = Coarsen(fine, coarse)
    static, values = noise(1, 4, *fine.shape, seed=1), noise(1, 2, *coarse.shape, seed=2)
    static, values = static.roll(shift * BLOCK, -1), values.roll(shift, -1)
    seen = ObservedSpeed(values[:, 1].abs() + 1, WIND, 0.05, lambda s: 40 * s**2 / (1 + s**2)) if speed else None
    observation = Observation(values[:, :1], (0,), operator, torch.tensor([0.05]), seen)
    conditions = Conditions(static, torch.full((1, 2), 0.3))
    network = windowed(random_denoiser(), conditions, True, cells)
    climate = Climate(("msl", "u10", "v10"), torch.zeros(3), torch.ones(3), toy_zonal(), toy_lags(), SIGNS)
    fields = ClimateFields(climate, fine, static[0], climate.bands(fine.lat))
    rim, side = fields.margin
    wide = noise(1, 3, fine.shape[0] + 2 * rim, fine.shape[1] + 2 * side, seed=98).roll(shift * BLOCK, -1)
    errors = noise(1, 1, *coarse.shape, seed=99).roll(shift, -1)
    draws = (noise(1, 3, *fine.shape, seed=s).roll(shift * BLOCK, -1) for s in range(100, 200))
    levels = ddpm_sigmas(3) if name == "ucg" else karras_sigmas(5)
    with torch.no_grad():
        start = 0.0 if name == "ucg" else Start(fields)(observation, wide, errors, torch.full((1,), 0.3))
        guided = MODES[name]()(network, observation)
        below = levels if name == "ucg" else levels[levels < 40]
        *_, field = sample(guided, lambda: next(draws), below, "ddpm" if name == "ucg" else "dpmpp_2m_sde", start)
    return field, observation


@pytest.mark.parametrize("name", MODES)
def test_a_roll_in_longitude_rolls_the_sample(name):
    plain, _ = run(name)
    rolled, _ = run(name, shift=7)
    assert torch.isfinite(plain).all()
    error = (rolled - plain.roll(7 * BLOCK, -1)).abs()
    assert float(error.max()) < 5e-3 * float(plain.std())
    assert float(error.mean()) < 1e-4 * float(plain.std())
    assert float((rolled - plain).abs().mean()) > 0.1 * float(plain.std())


@pytest.mark.parametrize("name", ["analysis", "mmps"])
def test_threads_change_rounding_only(name):
    samples = []
    for count in (1, 2):
        torch.set_num_threads(count)
        samples.append(run(name)[0])
    one, two = samples
    torch.testing.assert_close(two, one, rtol=0, atol=5e-3 * float(one.std()))


@pytest.mark.parametrize("name", ["analysis", "projection"])
def test_observed_speed_is_approached(name):
    """Block means of wind speed: far nearer than without the observation (`mmps` needs a Jacobian that means something)."""
    guided, observation = run(name)
    free, _ = run(name, speed=False)
    after, before = (float(observation.speed_residual(f).square().mean().sqrt()) for f in (guided, free))
    assert after < 0.3 * before
