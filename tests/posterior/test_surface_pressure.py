"""Pressure at the ground is not taken for that at sea level."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from zssd_cli.errors import InputError
from zssd_cli.grids.latlon import Region
from zssd_cli.grids.regrid import separable
from zssd_cli.posterior.domain import make_domain
from zssd_cli.posterior.observing import refuse_surface_pressure
from zssd_cli.static import load_static

PRIOR = SimpleNamespace(variables=("msl", "u10"), std=torch.tensor([1000.0, 5.0]))


def blocks(region, slope):
    """Standardised block means of a pressure that changes by ``slope`` Pa per metre of altitude, and weather."""
    static, domain = load_static(), make_domain(region, 5.0)
    height = separable(domain.fine, domain.coarse)(static.channels(domain.fine)[0] * 1000.0)
    weather = 800 * np.sin(np.deg2rad(domain.coarse.lat * 6))[:, None] * np.cos(np.deg2rad(domain.coarse.lon * 5))
    return ((weather + slope * height) / 1000.0)[None], static, domain


@pytest.mark.parametrize(
    ("region", "slope", "fine"),
    [
        (Region(65, 110, 20, 50), -11.0, False),
        (Region(65, 110, 20, 50), -1.0, True),  # faults of the reduction to sea level
        (Region(65, 110, 20, 50), 0.0, True),
        (Region(-50, -20, 20, 50), -11.0, True),  # the sea tells nothing, nor does it harm
    ],
)
def test_pressure_that_falls_with_altitude(region, slope, fine):
    values, static, domain = blocks(region, slope)
    if fine:
        refuse_surface_pressure(values, PRIOR, ("msl",), static, domain)
    else:
        with pytest.raises(InputError, match=r"msl falls by 1[01]\.\d Pa per metre of altitude over \d+ blocks"):
            refuse_surface_pressure(values, PRIOR, ("msl",), static, domain)
    refuse_surface_pressure(values, PRIOR, ("u10",), static, domain)
