"""A toy prior and toy climate-model files, so that whole runs of the command line take a fraction of a second."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import torch

from zssd_cli.app import main
from zssd_cli.climate.covariance import MAX_LAG, band_centres
from zssd_cli.config import UNetConfig
from zssd_cli.prior.checkpoint import Prior, PriorHeader, save_prior
from zssd_cli.prior.denoiser import Denoiser
from zssd_cli.prior.unet import UNet
from zssd_cli.static import load_static

VARIABLES = ("msl", "u10", "v10")
NETWORK = UNetConfig(channels=(8, 16), blocks=1, embedding=8, token=8, attention_from=1)
BOX = "0,10,40,50"
FAST = ("--region", BOX, "--steps", "2", "--guidance", "projection", "--device", "cpu")


def toy_lags() -> torch.Tensor:
    """Lag covariance of three mixed Gaussian bumps, the same in every band, positive definite."""
    north, east = np.meshgrid(np.arange(MAX_LAG + 1), np.arange(-MAX_LAG, MAX_LAG + 1), indexing="ij")
    bump = np.exp(-(north**2 + east**2) / (2 * 20.0**2))
    mix = np.array([[1.0, 0.3, 0.2], [0.3, 1.0, 0.1], [0.2, 0.1, 1.0]])
    table = mix[:, :, None, None] * bump
    return torch.as_tensor(np.repeat(table[None], band_centres().size, 0), dtype=torch.float32)


def toy_zonal() -> torch.Tensor:
    """A mean that rises from pole to pole in one variable and falls in another: no row is like its mirror image."""
    return torch.tensor([0.5, -0.3, 0.2])[:, None] * torch.linspace(-1, 1, 721)


def toy_prior(static_sha256: str) -> Prior:
    """An untrained network whose every weight is small and random, so that place, time and noise level all matter."""
    generator = torch.Generator().manual_seed(1)
    network = UNet(len(VARIABLES), NETWORK)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    header = PriorHeader(
        variables=VARIABLES, network=NETWORK, time_known=True, static_sha256=static_sha256, training={"data": "none"}
    )
    mean, std = torch.tensor([101174.0, -0.3, -0.4]), torch.tensor([1188.0, 5.7, 4.7])
    return Prior(Denoiser(network).eval().requires_grad_(False), mean, std, toy_zonal(), toy_lags(), header)


@pytest.fixture(scope="session")
def prior_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy prior on disk."""
    path = tmp_path_factory.mktemp("prior") / "toy.safetensors"
    save_prior(path, toy_prior(load_static().sha256))
    return path


@dataclass(frozen=True)
class Done:
    """What a call of the command line left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def zssd(prior_file: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run the command line in this process; ``downscale`` gets the toy prior unless the call names one."""
    previous = signal.getsignal(signal.SIGTERM)

    def call(*arguments: object) -> Done:
        words = [str(argument) for argument in arguments]
        if words[0] == "downscale" and "--weights" not in words:
            words += ["--weights", str(prior_file)]
        with pytest.raises(SystemExit) as stop:
            main(words)
        shown = capfd.readouterr()
        return Done(int(stop.value.code or 0), shown.out, shown.err)

    yield call
    signal.signal(signal.SIGTERM, previous)


CMIP6 = {
    "psl": ("air_pressure_at_mean_sea_level", "Pa", 101000.0, 1200.0),
    "uas": ("eastward_wind", "m s-1", 1.0, 7.0),
    "vas": ("northward_wind", "m s-1", -1.0, 6.0),
    "sfcWind": ("wind_speed", "m s-1", 9.0, 5.0),
    "tas": ("air_temperature", "K", 280.0, 15.0),
    "zg500": ("geopotential_height", "m", 5500.0, 100.0),
}


def field(name: str, lat: np.ndarray, lon: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """Smooth plausible values, (time, lat, lon), periodic in longitude."""
    _, _, base, size = CMIP6[name]
    phase = 7.0 * list(CMIP6).index(name)
    t, y, x = np.meshgrid(np.asarray(hours) / 24, np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
    return base + size * (np.sin(3 * y + t + phase) * np.cos(2 * x) + 0.4 * np.cos(5 * x + 4 * y - t))


def edges(centres: np.ndarray) -> np.ndarray:
    """Edges of regularly spaced centres."""
    half = (centres[1] - centres[0]) / 2
    return np.append(centres - half, centres[-1] + half)


@dataclass
class Model:
    """Writes files as a climate model does: global 4 x 5 degrees unless told otherwise, six-hourly."""

    folder: Path

    def __call__(
        self,
        file: str = "in.nc",
        names: Sequence[str] = ("psl",),
        *,
        lat: np.ndarray | None = None,
        lon: np.ndarray | None = None,
        hours: Sequence[float] = (0.0, 6.0),
        since: str = "hours since 2010-01-01 00:00:00",
        calendar: str = "standard",
        change: Callable[[np.ndarray], np.ndarray] | None = None,
        attributes: dict[str, object] | None = None,
        **of_variable: object,
    ) -> Path:
        """Write one file.

        Parameters
        ----------
        change
            Applied to the values of every variable.
        attributes
            Of the file.
        of_variable
            Attributes of every variable; None leaves out a usual one.
        """
        lat = np.arange(-88.0, 89.0, 4.0) if lat is None else np.asarray(lat, float)
        lon = np.arange(0.0, 360.0, 5.0) if lon is None else np.asarray(lon, float)
        path = self.folder / file
        with netCDF4.Dataset(path, "w") as data:
            data.setncatts({"Conventions": "CF-1.7", "source_id": "TOY-ESM", "tracking_id": "hdl:21.14100/toy"})
            data.setncatts({"history": "made by a test", "frequency": "6hrPt"} | (attributes or {}))
            for key, values, units in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
                data.createDimension(key, values.size)
                data.createVariable(key, "f8", (key,))[:] = values
                data[key].units = units
            data.createDimension("time", None)
            time = data.createVariable("time", "f8", ("time",))
            time.setncatts({"units": since, "calendar": calendar})
            time[:] = np.asarray(hours, float)
            for name in names:
                values = field(name, lat, lon, np.asarray(hours))
                variable = data.createVariable(name, "f4", ("time", "lat", "lon"), fill_value=np.float32(1e20))
                its = {"standard_name": CMIP6[name][0], "units": CMIP6[name][1]} | of_variable
                variable.setncatts({key: value for key, value in its.items() if value is not None})
                variable[:] = values if change is None else np.ma.masked_invalid(change(values))
        return path


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A writer of model files into the test's folder."""
    return Model(tmp_path)
