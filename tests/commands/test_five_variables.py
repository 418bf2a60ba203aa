"""The paper's five variables end to end: trained on files of which none holds all, downscaled from zg on CMIP6's levels, evaluated."""

import netCDF4
import numpy as np
import pytest

from tests.commands.conftest import BOX
from tests.commands.test_train import TINY_YAML
from tests.worlds import weather, write_world
from zssd_cli.grids.latlon import Region, fine_grid
from zssd_cli.prior.checkpoint import load_prior

FIVE = "msl,u10,v10,z500,z250"
G = 9.80665
HEIGHTS = {250: 10400.0, 500: 5600.0, 850: 1500.0}
"""Of levels in hPa, in metres."""


def write_levels(path, region, levels, seed=0):
    """Geopotential on levels as the Climate Data Store has it: lower where the surface pressure is lower."""
    grid = fine_grid(region)
    pressure = weather(grid.lat, grid.lon, 2, seed)["msl"] - 101325
    with netCDF4.Dataset(path, "w") as data:
        for name, axis in (("latitude", grid.lat), ("longitude", grid.lon), ("pressure_level", levels)):
            data.createDimension(name, len(axis))
            data.createVariable(name, "f8", (name,))[:] = axis
        data["pressure_level"].units = "hPa"
        data.createDimension("time", 2)
        data.createVariable("time", "f8", ("time",))[:] = [0, 6]
        data["time"].units = "hours since 2020-01-01"
        array = data.createVariable("z", "f4", ("time", "pressure_level", "latitude", "longitude"))
        array.setncatts({"standard_name": "geopotential", "units": "m**2 s**-2"})
        array[:] = np.stack([G * (HEIGHTS[level] + pressure / 12) for level in levels], 1)
    return path


def write_zg(model, name="zg.nc"):
    """Geopotential height of a coarse model on three levels, beside a file of its surface."""
    surface = model("surface.nc", ("psl", "uas", "vas"))
    path, level = model(name, ("psl",)), "plev"
    with netCDF4.Dataset(path) as data, netCDF4.Dataset(surface.with_name("levels.nc"), "w") as made:
        for axis in ("lat", "lon", "time"):
            made.createDimension(axis, len(data[axis]))
            made.createVariable(axis, "f8", (axis,)).setncatts(data[axis].__dict__)
            made[axis][:] = data[axis][:]
        made.createDimension(level, 3)
        made.createVariable(level, "f8", (level,)).setncatts(
            {"units": "Pa", "standard_name": "air_pressure", "positive": "down"}
        )
        made[level][:] = [85000, 50000, 25000]
        zg = made.createVariable("zg", "f4", ("time", level, "lat", "lon"))
        zg.setncatts({"standard_name": "geopotential_height", "units": "m"})
        zg[:] = np.stack([HEIGHTS[hpa] + (data["psl"][:] - 101000) / 12 for hpa in (850, 500, 250)], 1)
        made.frequency = "6hrPt"
    path.unlink()
    return surface, surface.with_name("levels.nc")


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """A prior of five variables trained on two origins: the surface alone, and two levels alone in another place."""
    folder = tmp_path_factory.mktemp("five")
    write_world(folder / "surface.nc", Region(0, 6, 44, 50), times=2)
    write_levels(folder / "levels.nc", Region(8, 14, 40, 46), [850, 500, 250])
    (folder / "five.yaml").write_text(f"{TINY_YAML}\nmore: [{{files: [{folder}/levels.nc], share: 0.4}}]\n")
    return folder


@pytest.fixture
def trained(zssd, five):
    """Its file."""
    path = five / "prior.safetensors"
    if not path.exists():
        done = zssd("train", five / "surface.nc", "--vars", FIVE, "--config", five / "five.yaml", "-o", path)
        assert done.code == 0, done.err
    return path


def test_no_files_need_to_hold_all(trained):
    """Scales and covariances come from the files that hold a variable; what was never seen together has no covariance."""
    prior = load_prior(trained)
    assert prior.variables == tuple(FIVE.split(","))
    assert prior.mean[3:].tolist() == pytest.approx([G * 5600, G * 10400], rel=0.01)
    variance = prior.lags[:, range(5), range(5), 0, 160]
    assert (variance > 0).all()
    assert float(prior.lags[:, 3, 4, 0, 160].min()) == pytest.approx(float(variance[:, 3].min()), rel=0.05)
    assert prior.lags[:, :3, 3:].abs().max() == 0
    assert prior.lags[:, 3:, :3].abs().max() == 0
    assert prior.balance is not None


def test_from_levels_of_a_climate_model(zssd, model, trained, tmp_path):
    """All five given, and z250 drawn where the model has it not."""
    surface, levels = write_zg(model)
    out = tmp_path / "out.nc"
    options = ("--vars", FIVE, "--region", BOX, "--steps", 6, "--weights", trained, "--device", "cpu")
    done = zssd("downscale", surface, levels, *options, "-o", out)
    assert done.code == 0, done.err
    lat, lon = np.arange(-88.0, 89.0, 4.0), np.arange(0.0, 360.0, 5.0)
    with netCDF4.Dataset(out) as data, netCDF4.Dataset(levels) as given:
        for name, hpa, position in (("z500", 500, 1), ("z250", 250, 2)):
            array = data[name]
            assert (array.units, array.zssd_observed, array.standard_name) == ("m2 s-2", "yes", "geopotential")
            assert data.getncattr(f"zssd_coarse_residual_{name}") < 1e-3
            wanted = given["zg"][0, position] * G
            inside = [(lat > 40) & (lat < 50), lon < 10]
            assert float(np.mean(array[:])) == pytest.approx(float(wanted[np.ix_(*inside)].mean()), abs=400), hpa
    done = zssd("evaluate", out, "--reference", out, "--vars", FIVE, "--paired")
    assert done.code == 0, done.err
    assert "z250 [m2 s-2]" in done.out
    done = zssd("downscale", surface, "--vars", FIVE, *options[2:], "-o", tmp_path / "inferred.nc")
    assert done.code == 0, done.err
    assert "Inferred   z500, z250: not in the input, drawn from the prior given msl, u10, v10" in done.err
    with netCDF4.Dataset(tmp_path / "inferred.nc") as data:
        assert data["z250"].zssd_observed == "no"
        assert np.isfinite(data["z250"][:]).all()
