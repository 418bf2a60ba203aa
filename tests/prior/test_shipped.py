"""The prior that ships with zssd: unconditional samples know which way wind turns, and stay within reason."""

import numpy as np
import pytest
import torch

from zssd_cli.climate.gaussian import ClimateFields
from zssd_cli.grids.latlon import Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.guidance import Observation
from zssd_cli.posterior.random import NoiseStream, window_around
from zssd_cli.posterior.sampler import sample
from zssd_cli.posterior.start import Start
from zssd_cli.posterior.windows import windowed
from zssd_cli.prior.checkpoint import load_prior
from zssd_cli.prior.denoiser import Conditions
from zssd_cli.prior.noise import karras_sigmas
from zssd_cli.prior.registry import locate
from zssd_cli.static import load_static

OCEANS = {"North Pacific": Region(160, 184, 35, 55), "South Indian Ocean": Region(60, 84, -55, -35)}


@pytest.fixture(scope="module")
def prior():
    return load_prior(locate(None, offline=True)[0])


def draw(prior, box, above):
    """Four samples of the prior alone, physical units, (4, C, lat, lon); the Gaussian stands in above a noise level."""
    grid, count = fine_grid(box), len(prior.variables)
    static = torch.as_tensor(load_static(None).channels(grid))[None]
    network = windowed(prior.denoiser, Conditions(static, torch.full((1, 2), torch.nan)), circular=False)
    fields = ClimateFields(prior.climate, grid, static[0], prior.climate.bands(grid.lat))
    rim, side = fields.margin
    blocks = block_grid(5.0, box)
    nothing = Observation(torch.zeros(4, 0, *blocks.shape), (), Coarsen(grid, blocks), torch.zeros(0))
    noise = NoiseStream(0, [(member, 0) for member in range(4)], count, window_around(grid, rim, side))
    inner = (..., slice(rim, rim + grid.shape[0]), slice(side, side + grid.shape[1]))
    levels = karras_sigmas(16)
    with torch.inference_mode():
        start = 0.0
        if above < np.inf:
            start = Start(fields)(nothing, noise.draw(), nothing.values, torch.full((4,), 0.5))
        *_, field = sample(
            lambda x, s, _: network(x, s), lambda: noise.draw()[inner], levels[levels <= above], "dpmpp_2m_sde", start
        )
    return (field * prior.std[:, None, None] + prior.mean[:, None, None]).numpy(), grid


@pytest.mark.parametrize("above", [2.0, np.inf], ids=["with the Gaussian", "network alone"])
@pytest.mark.parametrize("ocean", OCEANS)
def test_wind_turns_the_right_way_around_lows(prior, ocean, above):
    """Vorticity goes with the Laplacian of pressure in the north and against it in the south; magnitudes are weather's."""
    fields, grid = draw(prior, OCEANS[ocean], above)
    narrow = np.cos(np.deg2rad(grid.lat))[:, None]
    msl, u, v = (fields[:, k] for k in range(3))
    vorticity = np.gradient(v, axis=-1) / narrow - np.gradient(u, axis=-2)
    second = np.gradient(np.gradient(msl, axis=-2), axis=-2)
    curvature = second + np.gradient(np.gradient(msl, axis=-1), axis=-1) / narrow**2
    hemisphere = np.sign(grid.lat.mean())
    assert hemisphere * np.corrcoef(vorticity.ravel(), curvature.ravel())[0, 1] > 0.25
    assert 93_000 < msl.min() < msl.max() < 106_000
    assert 3 < np.hypot(u, v).mean() < 20
