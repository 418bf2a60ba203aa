"""``zssd inspect``: a page, JSON and a picture of what was understood."""

import json

import netCDF4
import numpy as np
import pytest
from matplotlib import image

from tests.commands.conftest import FAST


def inspected(zssd, *arguments):
    done = zssd("inspect", *arguments, "--json", "-")
    return done, json.loads(done.out)


def test_what_was_understood(zssd, model):
    source = model(names=("psl", "uas", "vas"), hours=(0.0, 6.0, 12.0, 18.0, 30.0))
    done, found = inspected(zssd, source)
    assert done.code == 0
    assert [one["name"] for one in found["variables"]] == ["msl", "u10", "v10"]
    msl = found["variables"][0]
    assert msl["array"] == "psl"
    assert msl["evidence"].startswith("short name psl")
    assert msl["units"] == "Pa"
    assert (msl["conversion"], msl["missing"], msl["read"]) == ("as it is", 0, 4)
    assert 84000 < msl["minimum"] < msl["mean"] < msl["maximum"] < 112000
    assert msl["plausible"] == [84000, 112000]
    assert (found["times"], found["step"], found["gaps"]) == (5, "6 h", "2010-01-02T00:00")
    assert found["command"].startswith(f"zssd downscale {source} --vars msl,u10,v10")
    assert found["problems"] == []
    for words in (
        "Times      5, 2010-01-01T00:00:00 to 2010-01-02T06:00:00, every 6 h",
        "Evidence   msl: short name psl",
        "Downscale",
    ):
        assert words in done.err


def test_a_set_that_downscale_refuses(zssd, model):
    done, found = inspected(zssd, model(hours=(0.0, 24.0), attributes={"frequency": "day"}))
    assert done.code == 1
    assert (
        "daily means of msl (frequency day, times 24 h apart): zssd downscale asks for moments" in found["problems"][0]
    )
    assert "--subdaily 6h" in found["command"]
    assert found["variables"][0]["interval"] == "daily means"


def test_files_that_are_not_understood_are_shown_as_they_are(zssd, tmp_path):
    source = tmp_path / "text.nc"
    source.write_text("time,psl\n")
    done, found = inspected(zssd, source)
    assert done.code == 1
    assert "is text" in found["problems"][0]
    assert found["header"] == {str(source): []}
    assert "Problem" in done.err
    assert found["command"] == ""


def test_every_field_on_request(zssd, model):
    source = model(hours=tuple(6.0 * k for k in range(9)))
    with netCDF4.Dataset(source, "a") as data:
        data["psl"][2] = 101325.0
    done, found = inspected(zssd, source)
    assert (done.code, found["doubts"]) == (0, [])
    done, found = inspected(zssd, source, "--thorough")
    assert found["variables"][0]["read"] == 9
    assert "a constant field" in found["doubts"][0]
    assert done.code == 0
    assert zssd("inspect", source, "--thorough", "--strict").code == 1


def test_picture_and_json_file(zssd, model, tmp_path):
    done = zssd("inspect", model(), "--json", tmp_path / "a.json", "--plot", tmp_path / "a.png")
    assert done.code == 0
    assert json.loads((tmp_path / "a.json").read_text())["calendar"] == "standard"
    assert np.ptp(image.imread(tmp_path / "a.png")) > 0.5


def test_targets_are_checked_first(zssd, model):
    source = model()
    done = zssd("inspect", source, "--json", source)
    assert done.code == 1
    assert "input" in done.err


def test_cells_wider_than_the_blocks(zssd, model):
    source = model(lat=np.arange(-84.0, 85, 7.5), lon=np.arange(0.0, 360, 7.5))
    assert "--filter-scale 7.5" in inspected(zssd, source)[1]["command"]


@pytest.mark.parametrize("option", ["--vars", "-o"])
def test_it_takes_no_option_of_downscale(zssd, model, option):
    assert zssd("inspect", model(), option, "x").code == 2


def wrong_at(hour):
    """A constant field at one of three times."""

    def change(values):
        values = values.copy()
        values[hour] = 101325.0
        return values

    return change


@pytest.mark.parametrize("hour", [0, 2])
def test_doubts_are_said_once_even_quietly_and_kept(zssd, model, tmp_path, hour):
    source = model(hours=(0.0, 6.0, 12.0), change=wrong_at(hour))
    done = zssd("downscale", source, "-o", tmp_path / "o.nc", *FAST, "--quiet")
    assert done.code == 0
    assert done.err.count("a constant field") == 1
    with netCDF4.Dataset(tmp_path / "o.nc") as data:
        assert "in.nc: msl: a constant field: 3240 cells hold 101325 Pa" in data.zssd_doubts
    strict = zssd("downscale", source, "-o", tmp_path / "s.nc", *FAST, "--strict")
    assert strict.code == 1
    assert "mend the file, or leave --strict out" in strict.err
    assert not (tmp_path / "s.nc").exists()


def test_units_and_what_is_too_small(zssd, model):
    source = model(change=lambda values: values / 100, units="hPa")
    done, found = inspected(zssd, source)
    assert "Pa (from hPa)" in done.err
    assert found["variables"][0]["conversion"] == "times 100"
    small = model("s.nc", lat=np.arange(41.0, 44.1), lon=np.arange(1.0, 4.1))
    done, found = inspected(zssd, small)
    assert done.code == 1
    assert "cannot be used: The input covers longitude 0.5 to 4.5" in found["problems"][0]


def test_what_does_not_guide_is_left_out_with_a_note(zssd, model):
    daily = model("z.nc", names=("zg500",), hours=(0.0, 24.0), attributes={"frequency": "day"})
    done, found = inspected(zssd, model(), daily)
    assert done.code == 0, done.err
    assert [one["name"] for one in found["variables"]] == ["msl"]
    assert any("other variables are left out" in note for note in found["notes"])
