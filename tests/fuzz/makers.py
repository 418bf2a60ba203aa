"""A case for every format: sound files, damaged, and files that were made odd; and the command that reads them."""

import random
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import torch
import xarray as xr

from tests.commands.conftest import Model, toy_prior
from tests.commands.test_invert import DOMAIN, TRANSIENT, measured, write_csv
from tests.commands.test_train import TINY_YAML
from tests.fuzz.harness import Make
from tests.fuzz.mutate import WORDS, damaged, reworded, write_damaged_text
from tests.worlds import write_world
from zssd_cli.grids.latlon import Region
from zssd_cli.inversion.checkpoint import LatentHeader, save_latent_prior
from zssd_cli.inversion.config import AutoencoderConfig, FieldsConfig, FlowConfig
from zssd_cli.inversion.latent_prior import LatentPrior, Whitening, new_networks
from zssd_cli.prior.checkpoint import save_prior
from zssd_cli.static import load_static

LAT, LON = np.arange(32.0, 57.0, 4.0), np.arange(-5.0, 21.0, 5.0)
SIDE = 16


def downscale(given: Path, place: Path, weights: Path) -> list[str]:
    """The whole way: read, average, draw with the toy prior, write."""
    # the default filter scale is the input's
    words = "--region 0,10,40,50 --steps 2 --guidance projection --device cpu --any-frequency -q --vars msl,u10"
    return ["downscale", str(given), *words.split(), "--weights", str(weights), "-o", str(place / "out.nc")]


@cache
def toy(folder: Path) -> Path:
    """The toy prior of downscaling."""
    save_prior(folder / "toy.safetensors", toy_prior(load_static().sha256))
    return folder / "toy.safetensors"


@cache
def netcdf_seeds(folder: Path) -> tuple[Path, ...]:
    """Two variables, in several formats of NetCDF."""
    model = Model(folder)
    plain = model("seed.nc", ("psl", "uas"), lat=LAT, lon=LON)
    made = [plain]
    with xr.open_dataset(plain, decode_times=False) as data:
        for name in ("NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF4_CLASSIC"):
            made.append(folder / f"{name}.nc")
            data.to_netcdf(made[-1], format=name)
        made.append(folder / "packed.nc")
        packing = {"dtype": "i2", "zlib": True, "chunksizes": (1, 4, 3), "shuffle": True, "_FillValue": -32768}
        encoding = {"psl": packing | {"scale_factor": 0.2, "add_offset": 1e5}, "uas": packing | {"scale_factor": 0.01}}
        data.to_netcdf(made[-1], encoding=encoding)
    return tuple(made)


def netcdf(folder: Path) -> Make:
    """Bytes of NetCDF files changed, and sound NetCDF files with odd contents."""
    seeds, weights = [path.read_bytes() for path in netcdf_seeds(folder)], toy(folder)

    def make(place: Path, rng: random.Random) -> list[str]:
        given = place / "in.nc"
        if rng.random() < 0.6:
            given.write_bytes(damaged(rng.choice(seeds), rng, head=6000))
        else:
            odd_netcdf(given, rng)
        return downscale(given, place, weights)

    return make


def odd_netcdf(path: Path, rng: random.Random) -> None:
    """A NetCDF file that is whole, and says or holds something odd in one to three places."""
    Model(path.parent)(path.name, ("psl", "uas"), lat=LAT, lon=LON, hours=range(0, 6 * rng.randrange(1, 4), 6))
    with netCDF4.Dataset(path, "a") as data:
        data.set_auto_maskandscale(False)
        for _ in range(rng.randrange(1, 4)):
            rng.choice((_odd_attribute, _odd_values, _odd_values, _odd_axis))(data, rng)


def _odd_attribute(data: netCDF4.Dataset, rng: random.Random) -> None:
    variable = data[rng.choice(("psl", "uas", "lat", "lon", "time"))]
    name = rng.choice((
        "units", "calendar", "standard_name", "missing_value", "scale_factor", "add_offset", "coordinates", "bounds", "axis",
        "cell_methods", "valid_range", "valid_min", "grid_mapping", "positive", "flag_values", "long_name",
    ))  # fmt: skip
    odd = rng.choice((
        *(word.replace("\x00", "") or "x" for word in WORDS), "hours since 2010-13-45", "days since 0000-00-00", "K", "hPa", "Pa s",
        "months since 2000-01-01", "seconds since 1e9", 0.0, np.nan, np.inf, -1.0, 1e38, np.float64(1e300), np.int8(-1),
        np.array([1.0, np.nan]), np.zeros(0), np.arange(1000.0),
    ))  # fmt: skip
    variable.setncattr(name, odd)


def _odd_values(data: netCDF4.Dataset, rng: random.Random) -> None:
    variable = data[rng.choice(("psl", "uas"))]
    values, odd = variable[:], rng.choice((np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, 3.4e38, 1e20, 9.96921e36, 1e-40))
    with np.errstate(over="ignore"):
        match rng.randrange(4):
            case 0:
                values[...] = odd
            case 1:
                values[rng.randrange(len(values))] = odd
            case 2:
                values.flat[rng.randrange(values.size)] = odd
            case _:
                values = values * np.float32(rng.choice((1e-10, 0.01, 100.0, 1e10, 1e34, -1.0)))
        variable[:] = values


def _odd_axis(data: netCDF4.Dataset, rng: random.Random) -> None:
    axis = data[rng.choice(("lat", "lon", "time"))]
    values = axis[:]
    match rng.randrange(6):
        case 0:
            values[rng.randrange(values.size)] = rng.choice((np.nan, np.inf, 1e300, -1e300, 91.0, 720.0, 0.0))
        case 1:
            values[:] = values[0]
        case 2:
            values = values[::-1]
        case 3:
            rng.shuffle(values)
        case 4:
            values = values * rng.choice((1e-9, 0.5, 2.0, 60.0, 1e9, 1e17))
        case _:
            values = values + rng.choice((0.1, 45.0, 360.0, 1e6))
    axis[:] = values


def grib(folder: Path) -> Make:
    """Bytes of GRIB files of both editions changed."""
    eccodes = pytest.importorskip("eccodes")
    grid = {
        "Ni": 6, "Nj": 7, "latitudeOfFirstGridPointInDegrees": 56.0, "latitudeOfLastGridPointInDegrees": 32.0,
        "longitudeOfFirstGridPointInDegrees": 0.0, "longitudeOfLastGridPointInDegrees": 25.0,
        "iDirectionIncrementInDegrees": 5.0, "jDirectionIncrementInDegrees": 4.0, "dataTime": 0, "bitsPerValue": 16,
    }  # fmt: skip
    seeds = []
    for edition in (1, 2):
        path = folder / f"seed{edition}.grib"
        with path.open("wb") as file:
            for date in (20100101, 20100102):
                for name in ("msl", "10u"):
                    handle = eccodes.codes_grib_new_from_samples(f"regular_ll_sfc_grib{edition}")
                    for key, value in {**grid, "dataDate": date, "shortName": name}.items():
                        eccodes.codes_set(handle, key, value)
                    eccodes.codes_set_values(handle, (101300.0 if name == "msl" else 3.0) + np.arange(42.0))
                    eccodes.codes_write(handle, file)
                    eccodes.codes_release(handle)
        seeds.append(path.read_bytes())
    weights = toy(folder)

    def make(place: Path, rng: random.Random) -> list[str]:
        given = place / "in.grib"
        given.write_bytes(damaged(rng.choice(seeds), rng, head=200))
        return downscale(given, place, weights)

    return make


def zarr(folder: Path) -> Make:
    """One to three of a store's files changed, as bytes or as text; both versions of the format."""
    pytest.importorskip("zarr")
    weights, seeds = toy(folder), []
    with xr.open_dataset(netcdf_seeds(folder)[0], decode_times=False) as data:
        for version in (2, 3):
            seeds.append(folder / f"seed{version}.zarr")
            data.to_zarr(seeds[-1], zarr_format=version, consolidated=True)

    def make(place: Path, rng: random.Random) -> list[str]:
        given = place / "in.zarr"
        shutil.copytree(rng.choice(seeds), given)
        files = sorted(path for path in given.rglob("*") if path.is_file())
        described = [path for path in files if path.suffix == ".json" or path.name.startswith(".z")]
        for _ in range(rng.randrange(1, 4)):
            path = rng.choice(described if rng.random() < 0.7 else files)
            if rng.random() < 0.05:
                path.unlink(missing_ok=True)
            elif path in described and path.exists():
                write_damaged_text(path, path.read_text(errors="replace"), rng)
            elif path.exists():
                path.write_bytes(damaged(path.read_bytes(), rng))
        return downscale(given, place, weights)

    return make


def safetensors(folder: Path) -> Make:
    """Priors of both kinds: bytes, and the texts of their headers."""
    kinds = toy(folder).read_bytes(), latent(folder).read_bytes()
    model, wells = netcdf_seeds(folder)[0], groundwater(folder)

    def make(place: Path, rng: random.Random) -> list[str]:
        which = rng.randrange(2)
        data, path = kinds[which], place / "toy.safetensors"
        if rng.random() < 0.6:
            length = int.from_bytes(data[:8], "little")
            text = reworded(data[8 : 8 + length].decode(), rng).encode("utf-8", "surrogatepass")
            told = len(text) if rng.random() < 0.95 else rng.choice((0, 1, 2**40, 2**63, max(len(text) - 1, 0)))
            path.write_bytes(told.to_bytes(8, "little") + text + data[8 + length :])
        else:
            path.write_bytes(damaged(data, rng, head=5000))
        return invert(wells[0], wells[1], path, place) if which else downscale(model, place, path)

    return make


@cache
def latent(folder: Path) -> Path:
    """An untrained prior of conductivity on 16 x 16 cells."""
    torch.manual_seed(0)
    shape, flow = AutoencoderConfig(latent=2, channels=(8, 8, 8)), FlowConfig(width=16, blocks=1, embedding=16)
    networks = [network.eval() for network in new_networks(shape, flow, SIDE, binary=False)]
    wave = torch.hypot(torch.fft.fftfreq(SIDE)[:, None], torch.fft.rfftfreq(SIDE)[None]) * SIDE
    whitening = Whitening(torch.zeros(2, 2, 2), torch.eye(8))
    header = LatentHeader(
        variables=("log_k",), fields=FieldsConfig(kind="grf", cells=SIDE), autoencoder=shape, network=flow,
        chain_steps=2, training={},
    )  # fmt: skip
    save_latent_prior(folder / "grf.safetensors", LatentPrior(*networks, whitening, 6 / (1 + wave**2), SIDE, 2), header)
    return folder / "grf.safetensors"


@cache
def groundwater(folder: Path) -> tuple[Path, Path]:
    """Wells and their domain."""
    (folder / "domain.yaml").write_text(_domain_text(DOMAIN))
    write_csv(folder / "wells.csv", measured(folder / "domain.yaml", count=6))
    return folder / "wells.csv", folder / "domain.yaml"


def _domain_text(content: dict[str, object]) -> str:
    import yaml

    return yaml.safe_dump(content)


def invert(wells: Path, domain: Path, prior: Path, place: Path) -> list[str]:
    """Few members, few steps."""
    words = "--members 2 --restarts 1 --steps 3 -q"
    return [
        "invert", str(wells), "--domain", str(domain), "--prior", str(prior), *words.split(), "-o", str(place / "out.nc")
    ]  # fmt: skip


WELLS_TOO = {
    "wells": [{"x": 1100.0, "y": 50.0, "rate": -1e-4}],
    "recharge": "300 mm/year",
    "uncertain": {"recharge": 0.3},
}
FORECAST = {
    "forecast": {"recharge": 0.0, "quantities": [{"name": "a", "head": [1100, 50]}, {"name": "b", "inflow": "west"}]}
}
OUTLINE = {"outline": [[1000, 0], [1320, 0], [1320, 160], [1000, 160]], "holes": [[[1200, 20], [1240, 20], [1220, 60]]]}


def yaml(folder: Path) -> Make:
    """Domains of aquifers and settings of trainings with other words or bytes."""
    wells, _ = groundwater(folder)
    prior = latent(folder)
    world = write_world(folder / "era5.nc", Region(-6, 0, 44, 50), times=2)
    domains = [_domain_text(DOMAIN | more) for more in ({}, WELLS_TOO, FORECAST, OUTLINE, TRANSIENT)]

    def make(place: Path, rng: random.Random) -> list[str]:
        given = place / "in.yaml"
        if rng.random() < 0.7:
            write_damaged_text(given, rng.choice(domains), rng)
            return invert(wells, given, prior, place)
        write_damaged_text(given, TINY_YAML, rng)
        return ["train", str(world), "--config", str(given), "-o", str(place / "out.safetensors"), "--dry-run"]

    return make


def csv(folder: Path) -> Make:
    """Measurements in wells with other numbers, words or bytes."""
    wells, domain = groundwater(folder)
    prior, plain = latent(folder), wells.read_text()
    lines = [line + (",1e-5,.3" if i % 2 else ",,") for i, line in enumerate(plain.splitlines()[1:])]
    texts = plain, plain.replace(",", ";"), "\n".join(["x [m],y [m],head [m],error [cm],k,k_error", *lines])

    def make(place: Path, rng: random.Random) -> list[str]:
        given = place / "in.csv"
        write_damaged_text(given, rng.choice(texts), rng)
        return invert(given, domain, prior, place)

    return make


MAKERS: dict[str, Callable[[Path], Make]] = {
    "netcdf": netcdf, "grib": grib, "zarr": zarr, "safetensors": safetensors, "yaml": yaml, "csv": csv
}  # fmt: skip
