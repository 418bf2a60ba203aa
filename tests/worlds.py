"""Tiny synthetic worlds: networks with random weights and weather that obeys geostrophy, as NetCDF files."""

from pathlib import Path

import netCDF4
import numpy as np
import torch

from zssd_cli.config import UNetConfig
from zssd_cli.grids.latlon import Region, fine_grid
from zssd_cli.prior.denoiser import Conditions, Denoiser
from zssd_cli.prior.unet import UNet

TINY = UNetConfig(channels=(8, 16), blocks=1, embedding=16, token=8, attention_from=0)
REACH = 13
"""How far TINY looks to either side: stem 1, four convolutions at half resolution, decoder 2, out 1, parity 1."""

WIDE = REACH + 14
"""The same for the denoiser, which also sees details: smoothed over 2, 4 and 8 cells to either side."""


def random_denoiser(variables: int = 3, config: UNetConfig = TINY, seed: int = 0, **options) -> Denoiser:
    """A denoiser all of whose weights matter: fresh networks have zeros in several layers."""
    torch.manual_seed(seed)
    denoiser = Denoiser(UNet(variables, config), **options)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.copy_(torch.randn_like(parameter) * (1.5 / fan**0.5))
    return denoiser.eval().requires_grad_(False)


def random_conditions(height: int, width: int, batch: int = 1, seed: int = 1) -> Conditions:
    """Static channels and known times."""
    generator = torch.Generator().manual_seed(seed)
    return Conditions(torch.randn(1, 4, height, width, generator=generator), torch.rand(batch, 2, generator=generator))


def noise(*shape: int, seed: int = 2) -> torch.Tensor:
    """Unit noise."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weather(lat: np.ndarray, lon: np.ndarray, times: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Moving highs and lows and the wind around them, (time, lat, lon) each.

    Wind is geostrophic with the Coriolis parameter f replaced by (f^2 + c^2) / f near the equator: it turns
    anticlockwise around lows in the north and clockwise in the south.
    """
    rng = np.random.default_rng(seed)
    span = (lat[0] - 5, lat[-1] + 5), (lon[0] - 5, lon[-1] + 5)
    count = max(6, round((span[0][1] - span[0][0]) * (span[1][1] - span[1][0]) / 60))
    at, east = rng.uniform(*span[0], count), rng.uniform(*span[1], count)
    size, depth = rng.uniform(1.5, 5, count), rng.normal(0, 900, count)
    fields = {name: np.zeros((times, lat.size, lon.size)) for name in ("msl", "u10", "v10")}
    coriolis = 1.458e-4 * np.sin(np.deg2rad(lat))[:, None]
    turn = coriolis / (coriolis**2 + 3e-5**2) / 1.2
    for t in range(times):
        dp_dy, dp_dx = np.zeros((2, lat.size, lon.size))
        for a, b, r, p in zip(at, east + 0.7 * t, size, depth, strict=True):
            narrow = np.cos(np.deg2rad(np.clip(a, -75, 75)))
            y, x = (lat - a)[:, None], ((lon - b + 180) % 360 - 180)[None] * narrow
            bump = p * np.exp(-(x**2 + y**2) / (2 * r**2))
            fields["msl"][t] += bump
            dp_dy -= bump * y / r**2 / 111e3
            dp_dx -= bump * x / r**2 / 111e3
        fields["u10"][t], fields["v10"][t] = -0.6 * turn * dp_dy, 0.6 * turn * dp_dx
    fields["msl"] += 101325.0
    return fields


ATTRIBUTES = {
    "msl": {"standard_name": "air_pressure_at_mean_sea_level", "units": "Pa"},
    "u10": {"standard_name": "eastward_wind", "units": "m s-1"},
    "v10": {"standard_name": "northward_wind", "units": "m s-1"},
}


def write_world(
    path: Path,
    region: Region,
    times: int = 3,
    *,
    seed: int = 0,
    variables: tuple[str, ...] = ("msl", "u10", "v10"),
    stride: int = 1,
    holes: dict[str, int] | None = None,
) -> Path:
    """Write :func:`weather` on the 0.25 degree cells of a region (every ``stride``-th of them), six-hourly from 2020.

    ``holes`` puts one missing value into a variable at a time.
    """
    grid = fine_grid(region)
    lat, lon = grid.lat[::stride], grid.lon[::stride]
    fields = weather(lat, lon, times, seed)
    with netCDF4.Dataset(path, "w") as data:
        data.setncatts({"Conventions": "CF-1.8", "title": "synthetic weather"})
        for name, axis, units in (("latitude", lat, "degrees_north"), ("longitude", lon, "degrees_east")):
            data.createDimension(name, axis.size)
            data.createVariable(name, "f8", (name,))[:] = axis
            data[name].setncatts({"units": units, "standard_name": name})
        data.createDimension("time", times)
        data.createVariable("time", "f8", ("time",))[:] = 6.0 * np.arange(times)
        data["time"].setncatts({"units": "hours since 2020-01-01", "calendar": "standard", "standard_name": "time"})
        for name in variables:
            field = fields[name].copy()
            if holes and name in holes:
                field[holes[name], 3, 4] = np.nan
            array = data.createVariable(name, "f4", ("time", "latitude", "longitude"), fill_value=np.float32(9e36))
            array.setncatts(ATTRIBUTES[name])
            array[:] = np.ma.masked_invalid(field)
    return path
