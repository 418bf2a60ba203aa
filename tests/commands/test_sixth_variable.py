"""A new variable is a row of the table and nothing else: trained on, downscaled, drawn and evaluated."""

import netCDF4
import numpy as np
import pytest

from tests.commands.conftest import BOX
from tests.commands.test_train import TINY_YAML
from tests.test_variables import sixth
from tests.worlds import write_world
from zssd_cli.grids.latlon import Region
from zssd_cli.prior.checkpoint import load_prior

__all__ = ["sixth"]


def write_analysis(path):
    """Pressure and, in degrees Celsius, a temperature that falls to the north."""
    write_world(path, Region(0, 6, 44, 50), times=2, variables=("msl",))
    with netCDF4.Dataset(path, "a") as data:
        temperature = data.createVariable("2t", "f4", ("time", "latitude", "longitude"))
        temperature.setncatts({"standard_name": "air_temperature", "units": "degC"})
        pressure = data["msl"][:]
        temperature[:] = 15 + (pressure - pressure.mean()) / 100 - (data["latitude"][:][:, None] - 47)
    return path


@pytest.mark.usefixtures("sixth")
def test_a_row_is_enough(zssd, model, tmp_path):
    prior, out = tmp_path / "prior.safetensors", tmp_path / "out.nc"
    (tmp_path / "tiny.yaml").write_text(TINY_YAML)
    data = write_analysis(tmp_path / "era5.nc")
    done = zssd("train", data, "--vars", "psl,tas", "--config", tmp_path / "tiny.yaml", "-o", prior)
    assert done.code == 0, done.err
    trained = load_prior(prior)
    assert trained.variables == ("msl", "t2m")
    assert trained.signs.tolist() == [1, 1]
    assert float(trained.mean[1]) == pytest.approx(273.15 + 15, abs=1)

    coarse, plot = model(names=("psl", "tas")), tmp_path / "out.png"
    options = ("--vars", "tas", "--region", BOX, "--steps", 6, "--weights", prior, "--device", "cpu")
    planned = zssd("downscale", coarse, *options, "-o", out, "--dry-run")
    assert planned.code == 0, planned.err
    assert "Output     t2m;" in planned.err
    done = zssd("downscale", coarse, *options, "-o", out, "--plot", plot)
    assert done.code == 0, done.err
    with netCDF4.Dataset(out) as written:
        assert (written["t2m"].units, written["t2m"].zssd_observed) == ("K", "yes")
        assert (written["t2m"].standard_name, written.zssd_coarse_residual_t2m < 1e-3) == ("air_temperature", True)
        assert 240 < float(np.mean(written["t2m"][:])) < 320
    assert plot.stat().st_size > 10_000
    done = zssd("evaluate", out, "--reference", out, "--vars", "tas", "--paired")
    assert done.code == 0, done.err
    assert "t2m [K]" in done.out
