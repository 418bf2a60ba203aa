"""Infinite, enormous and absent values are counted, said and recorded."""

import netCDF4
import numpy as np
import pytest

from tests.commands.conftest import BOX, FAST


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e36])
def test_values_that_only_look_missing_are_counted(zssd, model, tmp_path, value):
    path = model(names=("psl",))
    with netCDF4.Dataset(path, "a") as data:
        data["psl"].set_auto_mask(False)
        values = data["psl"][:]
        values[:, 35, 3:6] = value
        data["psl"][:] = values
    done = zssd("downscale", path, *FAST, "-o", tmp_path / "out.nc", "-q")
    assert done.code == 0, done.err
    assert "infinite or enormous values, taken for missing: 3 of" in done.err
    with netCDF4.Dataset(tmp_path / "out.nc") as out:
        assert "infinite or enormous" in out.zssd_doubts
    assert zssd("downscale", path, *FAST, "-o", tmp_path / "strict.nc", "--strict").code == 1


def test_a_variable_that_is_nearly_absent_in_the_region_is_doubted(zssd, model, tmp_path):
    wind = model("wind.nc", names=("uas", "vas"))
    pressure = model(
        "psl.nc", names=("psl",), change=lambda x: np.where(np.arange(x.shape[1])[:, None] < 10, x, np.nan)
    )
    done = zssd("downscale", wind, pressure, *FAST, "-o", tmp_path / "out.nc", "-q")
    assert done.code == 0, done.err
    assert "Doubt      msl: " in done.err
    assert "blocks have no input at the first time" in done.err
    with netCDF4.Dataset(tmp_path / "out.nc") as out:
        assert out["msl"].zssd_observed == "no"
        assert out["u10"].zssd_observed == "yes"


@pytest.mark.parametrize(("rows", "level"), [(10, 10.0), (34, 40.0)])
def test_what_is_nearly_absent_is_not_taken_for_observed(zssd, model, tmp_path, rows, level):
    """The network takes over at the noise level of what is inferred; half of the blocks are enough to be observed."""
    wind = model("wind.nc", names=("uas", "vas"), hours=(0.0,))
    pressure = model(
        "psl.nc", names=("psl",), hours=(0.0,), change=lambda x: np.where(np.arange(x.shape[1])[:, None] < rows, x, np.nan)
    )  # fmt: skip
    settings = ("--region", BOX, "--steps", "8", "--device", "cpu", "-q")
    done = zssd("downscale", wind, pressure, *settings, "-o", tmp_path / "out.nc")
    assert done.code == 0, done.err
    with netCDF4.Dataset(tmp_path / "out.nc") as out:
        assert out.zssd_gaussian_above == level
        assert out["msl"].zssd_observed == ("no" if level == 10.0 else "partly")
