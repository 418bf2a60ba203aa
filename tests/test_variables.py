"""The table of variables: names in, rows out."""

import tomllib

import cftime
import numpy as np
import pytest
import xarray as xr

from zssd_cli import variables
from zssd_cli.errors import ConfigError, InputError
from zssd_cli.evaluation.gallery import downscaled
from zssd_cli.grids.latlon import Region, fine_grid
from zssd_cli.outputs.netcdf import create_output
from zssd_cli.outputs.sink import Contents
from zssd_cli.prior.checkpoint import mirror_signs
from zssd_cli.series.reading import open_source
from zssd_cli.series.units import check_plausible, convert
from zssd_cli.variables import VARIABLES, lookup


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("msl", "msl"),
        ("PSL", "msl"),
        ("prmsl", "msl"),
        ("uas", "u10"),
        ("10U", "u10"),
        ("vas", "v10"),
        ("V10", "v10"),
        ("sfcWind", "si10"),
        ("z500", "z500"),
        ("zg250", "z250"),
        (" msl ", "msl"),
    ],
)
def test_lookup_finds_canonical_and_other_names(name, expected):
    assert lookup(name).name == expected


def test_unknown_name_lists_the_known_ones_and_the_nearest():
    with pytest.raises(ConfigError) as caught:
        lookup("mls")
    text = str(caught.value)
    assert "'mls'" in text
    assert "msl (psl), u10 (uas), v10 (vas), si10 (sfcWind), z500 (zg), z250 (zg)" in text
    assert "Did you mean msl?" in text


def test_name_of_several_levels_asks_which():
    with pytest.raises(ConfigError, match="give z500 or z250"):
        lookup("zg")


def test_table_is_consistent():
    assert list(VARIABLES) == ["msl", "u10", "v10", "si10", "z500", "z250"]
    assert {v.units for v in VARIABLES.values()} == {"Pa", "m s-1", "m2 s-2"}
    for variable in VARIABLES.values():
        assert variable.minimum < variable.maximum
        assert variable.standard_name in variable.standard_names
    names = [name for variable in VARIABLES.values() for name in variable.own_names]
    assert len(names) == len(set(names))


SIXTH = """
[t2m]
cmip6 = "tas"
aliases = ["2t", "t2"]
standard_name = "air_temperature"
standard_names = ["air_temperature"]
long_name = "2 metre temperature"
units = "K"
grib = ["2t"]
shown = [1.0, "K"]
colours = "magma"
minimum = 170.0
maximum = 345.0
height = 2.0
"""


@pytest.fixture
def sixth(monkeypatch):
    """A further variable: a row of the table and nothing else."""
    (name, row), *_ = tomllib.loads(SIXTH).items()
    variable = variables.row(name, row)
    monkeypatch.setitem(VARIABLES, name, variable)
    return variable


@pytest.mark.parametrize(("units", "offset"), [("degC", 273.15), ("celsius", 273.15), ("K", 0.0)])
def test_a_sixth_variable_is_a_row(sixth, tmp_path, units, offset):
    """Found by its CMIP6 name, converted with an offset, written with its attributes, mirrored as the row says."""
    times = [cftime.datetime(2001, 1, 1, 6, calendar="noleap")]
    lat, lon = np.arange(-87.5, 90, 5.0), np.arange(0, 360, 5.0)
    values = 288 - 30 * np.abs(np.deg2rad(lat))[None, :, None] + np.zeros((1, lat.size, lon.size))
    data = xr.Dataset(
        {"tas": (("time", "lat", "lon"), values - offset, {"units": units, "standard_name": "air_temperature"})},
        {"time": xr.CFTimeIndex(times), "lat": lat, "lon": lon, "height": 2.0},
    )
    series = open_source(data, ["tas"])
    assert series.variables == ("t2m",)
    np.testing.assert_allclose(series.read(0, 1)[0, 0], values[0], rtol=1e-6)
    assert mirror_signs(("t2m", "v10")).tolist() == [1, -1]
    path, grid = tmp_path / "t.nc", fine_grid(Region(0, 10, 40, 50))
    with create_output(path, Contents(grid, times, 1, {"t2m": {}}, {})) as out:
        out.write(slice(0, 1), slice(0, 1), np.full((1, 1, 1, *grid.shape), 280.0))
    with xr.open_dataset(path) as written:
        assert written["t2m"].attrs["long_name"] == "2 metre temperature"
    downscaled(path, {}).save(tmp_path / "t.png")
    assert (tmp_path / "t.png").stat().st_size > 5000


def test_values_of_another_unit_are_refused_with_an_offset(sixth):
    data = np.full((1, 2, 2), 15.0)
    with pytest.raises(InputError, match="values 15..15 K are outside the plausible range 170..345 K"):
        check_plausible(data, "K", sixth)
    np.testing.assert_allclose(convert(data, "degC", sixth), 288.15)
