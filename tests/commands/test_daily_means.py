"""``zssd downscale --subdaily``: daily means in, moments out, whose mean over a day is the input's."""

import json

import netCDF4
import numpy as np
import pytest

from tests.commands.conftest import BOX, FAST
from zssd_cli.grids.latlon import block_grid, fine_grid, parse_region
from zssd_cli.grids.regrid import WHOLE, separable
from zssd_cli.outputs.parts import Parts

DAYS = tuple(12.0 + 24 * day for day in range(4))
DAILY = {"frequency": "day"}
MEAN = {"cell_methods": "area: time: mean"}


@pytest.fixture
def daily(model):
    """Four daily means of pressure and wind."""
    return model("day.nc", ("psl", "uas", "vas"), hours=DAYS, attributes=DAILY, **MEAN)


def fields(path, name="msl"):
    with netCDF4.Dataset(path) as data:
        return np.ma.filled(data[name][:].astype(float), np.nan)


def blocks(path, name="msl"):
    """Block means (time, member, h, w)."""
    region = parse_region(BOX)
    return separable(fine_grid(region), block_grid(5.0, region), WHOLE)(fields(path, name))


@pytest.mark.parametrize("name", ["msl", "u10", "v10"])
def test_the_mean_over_a_day_is_the_inputs(zssd, daily, tmp_path, name) -> None:
    drawn, held = tmp_path / "drawn.nc", tmp_path / "held.nc"
    assert zssd("downscale", daily, *FAST, "--subdaily", "6h", "--members", 3, "-o", drawn).code == 0
    assert zssd("downscale", daily, *FAST, "--any-frequency", "-o", held).code == 0
    ours, wanted = blocks(drawn, name).reshape(4, 4, 3, 2, 2), blocks(held, name)
    size = {"msl": 1188.0, "u10": 5.7, "v10": 4.7}[name]
    np.testing.assert_allclose(ours.mean(1), np.broadcast_to(wanted, (4, 3, 2, 2)), atol=1e-4 * size)
    within = ours - ours.mean(1, keepdims=True)
    assert 0.1 * size < within.std() < size
    # members take other paths
    assert abs(within[:, :, 0] - within[:, :, 1]).max() > 0.1 * size


def test_what_the_output_says(zssd, daily, tmp_path) -> None:
    done = zssd("downscale", daily, *FAST, "--subdaily", "6h", "-o", tmp_path / "out.nc")
    assert "4 moments a day are drawn; only their mean over the day is the input's" in " ".join(done.err.split())
    with netCDF4.Dataset(tmp_path / "out.nc") as data:
        times = netCDF4.num2date(data["time"][:5], data["time"].units, data["time"].calendar)
        assert [(time.day, time.hour) for time in times] == [(1, 3), (1, 9), (1, 15), (1, 21), (2, 3)]
        assert "bounds" not in data["time"].ncattrs()
        assert data["msl"].cell_methods == "area: mean time: point"
        assert data["msl"].zssd_observed == "as daily mean"
        assert (data.zssd_subdaily, data.zssd_fields) == (6, "moments")
        assert "no diurnal cycle" in data.zssd_notes
        assert "doubts" not in " ".join(data.ncattrs())


def test_days_follow_the_bounds(zssd, daily, tmp_path) -> None:
    with netCDF4.Dataset(daily, "a") as data:
        data.createDimension("bnds", 2)
        data["time"].bounds = "time_bnds"
        data.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = [(h - 18, h + 6) for h in DAYS]
        data["time"][:] = [h - 6 for h in DAYS]
    assert zssd("downscale", daily, *FAST, "--subdaily", "12h", "-o", tmp_path / "out.nc").code == 0
    with netCDF4.Dataset(tmp_path / "out.nc") as data:
        hours = [t.hour for t in netCDF4.num2date(data["time"][:], data["time"].units, data["time"].calendar)]
    assert hours == [0, 12] * 4


def test_a_member_does_not_depend_on_how_many_there_are(zssd, daily, tmp_path) -> None:
    for members in (1, 3):
        out = tmp_path / f"{members}.nc"
        assert zssd("downscale", daily, *FAST, "--subdaily", "12h", "--members", members, "-o", out).code == 0
    np.testing.assert_array_equal(fields(tmp_path / "1.nc")[:, 0], fields(tmp_path / "3.nc")[:, 0])


def test_a_block_without_values_on_a_day_is_missing_on_that_day_alone(zssd, model, tmp_path) -> None:
    def hole(values: np.ndarray) -> np.ndarray:
        values = np.array(values)
        values[1] = np.nan
        values[1, :30] = 101000.0
        return values

    path = model("holes.nc", ("psl",), hours=DAYS, attributes=DAILY, change=hole, **MEAN)
    done = zssd("downscale", path, *FAST, "--subdaily", "12h", "--strict", "-o", tmp_path / "out.nc")
    assert done.code == 1
    done = zssd("downscale", path, "--region", "0,10,20,50", *FAST[2:], "--subdaily", "12h", "-o", tmp_path / "out.nc")
    assert done.code == 0, done.err
    msl = fields(tmp_path / "out.nc")[:, 0]
    assert np.isnan(msl[2:4]).any()
    assert not np.isnan(msl[[0, 1, 4, 5, 6, 7]]).any()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("psl", {}, DAILY, MEAN), "pass --subdaily 6h (draws moments that keep the daily means)"),
        (("psl", {"subdaily": "6h"}, {}, {}), "--subdaily draws moments from daily means, the input holds moments"),
        (("sfcWind", {"subdaily": "6h"}, DAILY, MEAN), "expected daily means of pressure or of wind components"),
        (("psl", {"subdaily": "5h"}, DAILY, MEAN), "--subdaily: expected 1, 2, 3, 4, 6, 8 or 12, got"),
    ],
)
def test_refused(zssd, model, tmp_path, given, said) -> None:
    name, options, attributes, methods = given
    path = model("in.nc", (name,), hours=DAYS if methods else (0.0, 6.0), attributes=attributes, **methods)
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    done = zssd("downscale", path, *FAST, *words, "-o", tmp_path / "out.nc")
    assert done.code == 1
    assert said in " ".join(done.err.split())
    assert not (tmp_path / "out.nc").exists()


def test_wind_speed_is_left_out(zssd, model, tmp_path) -> None:
    path = model("in.nc", ("psl", "sfcWind"), hours=DAYS, attributes=DAILY, **MEAN)
    done = zssd("downscale", path, *FAST, "--subdaily", "12h", "-o", tmp_path / "out.nc")
    assert done.code == 0
    assert "si10 (sfcWind) is not used" in " ".join(done.err.split())


def test_inspect_names_the_option(zssd, daily, tmp_path) -> None:
    done = zssd("inspect", daily, "--json", tmp_path / "in.json")
    assert done.code == 1
    assert "--subdaily 6h" in json.loads((tmp_path / "in.json").read_text())["command"]


def test_a_killed_run_goes_on_with_the_same_bytes(zssd, daily, tmp_path, monkeypatch) -> None:
    """Paths of a day are drawn again from its neighbours, whatever was drawn before."""
    whole, out = tmp_path / "whole.nc", tmp_path / "out.nc"
    call = ("downscale", daily, *FAST, "--subdaily", "12h", "--members", 2, "-o")
    assert zssd(*call, whole).code == 0
    keep = Parts.keep

    def stop(self, batch, arrays, noted):
        if len(self) == 9:
            raise KeyboardInterrupt
        keep(self, batch, arrays, noted)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "keep", stop)
        assert zssd(*call, out).code == 130
    assert zssd(*call, out, "--resume").code == 0
    for name in ("msl", "u10", "v10"):
        np.testing.assert_array_equal(fields(out, name), fields(whole, name))
