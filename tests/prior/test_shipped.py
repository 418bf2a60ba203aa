"""The prior that ships with zssd: unconditional samples know which way wind turns, and stay within reason."""

import numpy as np
import pytest
import torch

from zssd_cli.climate.gaussian import GaussianDenoiser
from zssd_cli.grids.latlon import Region, fine_grid
from zssd_cli.posterior.random import NoiseStream
from zssd_cli.posterior.sampler import sample
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
    grid = fine_grid(box)
    static = torch.as_tensor(load_static(None).channels(grid))[None]
    network = windowed(prior.denoiser, Conditions(static, torch.full((1, 2), torch.nan)), circular=False)
    gaussian = GaussianDenoiser(prior.lags, prior.signs, prior.zonal, grid)
    noise = NoiseStream(0, [(member, 0) for member in range(4)], (3, *grid.shape))
    with torch.inference_mode():
        guided = lambda x, s, _: gaussian(x, s) if s > above else network(x, s)  # noqa: E731
        *_, field = sample(guided, noise.draw, karras_sigmas(16), "dpmpp_2m_sde")
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
