"""What an array is: never by one name only."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.grids.test_rotation import ROTATED as POLE
from tests.grids.test_rotation import rotated_grid
from zssd_cli.errors import InputError
from zssd_cli.grids.rotation import grid_angle, to_east_north
from zssd_cli.series.reading import open_source

LAT, LON = np.arange(-75.0, 76, 10), np.arange(0.0, 360, 15)


def wind(make, file="u.nc", **options):
    """A component that blows both ways, unless values are given."""
    return make(file, **({"name": "uas", "units": "m s-1", "lat": LAT, "lon": LON} | options))


def refused(path, variables="u10"):
    with pytest.raises(InputError) as caught:
        open_source(path, variables)
    return str(caught.value)


@pytest.mark.parametrize(
    "long_name", ["10m wind speed", "Wind Speed at 10 m", "10 metre wind speed", "Near-surface wind speed"]
)
def test_a_speed_that_is_called_u10_guides_as_speed(make, long_name):
    values = np.abs(make.values("uas", LAT, LON, np.arange(3.0))) + 1
    path = wind(make, name="U10", values=values, attributes={"long_name": long_name})
    source = open_source(path, ["u10", "v10", "si10"])
    assert source.variables == ("si10",)
    assert source.notes == (f"u10 not found in u.nc: U10 is a wind speed ({long_name})",)


def test_a_speed_that_is_called_u10_is_no_component(make):
    path = wind(make, name="U10", attributes={"long_name": "10m wind speed"})
    text = refused(path, ["u10", "v10"])
    assert "U10 is a wind speed (10m wind speed), expected 10 metre eastward wind as its name says; rename it" in text


@pytest.mark.parametrize(
    "long_name",
    ["Eastward Near-Surface Wind Speed", "Zonal wind speed", "10 m u-component of wind speed", "U wind speed"],
)
def test_a_component_may_call_itself_a_speed(make, long_name):
    assert open_source(wind(make, attributes={"long_name": long_name}), "u10").variables == ("u10",)


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        ({"long_name": "10 metre U wind component, ensemble spread"}, "an ensemble spread"),
        ({"long_name": "U wind std"}, "a standard deviation"),
        ({"long_name": "Eastward wind gust"}, "a gust"),
        ({"long_name": "Eastward wind anomaly"}, "an anomaly"),
        ({"long_name": "Daily maximum eastward wind"}, "a maximum"),
        ({"cell_methods": "area: mean time: maximum"}, "a maximum"),
        ({"cell_methods": "realization: standard_deviation"}, "a standard deviation"),
        ({"GRIB_dataType": "es"}, "an ensemble spread (GRIB dataType es)"),
        ({"standard_name": "eastward_wind standard_error"}, "standard_name eastward_wind standard_error"),
        ({"standard_name": "wind_speed_of_gust"}, "standard_name wind_speed_of_gust"),
    ],
)  # fmt: skip
def test_statistics_are_refused(make, attributes, what):
    assert what in refused(wind(make, attributes=attributes))


def test_an_ensemble_mean_gets_a_note(make):
    source = open_source(wind(make, attributes={"cell_methods": "realization: mean"}), "u10")
    assert "uas is an ensemble mean" in source.notes[0]


@pytest.mark.parametrize(
    ("long_name", "fine"), [("Surface pressure", False), ("Surface pressure reduced to sea level", True)]
)
def test_surface_pressure_by_its_long_name(make, long_name, fine):
    path = make(attributes={"long_name": long_name})
    if fine:
        assert open_source(path, "msl").variables == ("msl",)
    else:
        assert "psl is surface pressure (long_name 'Surface pressure')" in refused(path, "msl")


def test_a_component_that_is_nowhere_negative(make):
    values = np.abs(make.values("uas", LAT, LON, np.arange(3.0)))
    assert "u10 is nowhere negative in 384 cells" in refused(wind(make, values=values))
    trades = {"lat": np.arange(0.0, 26, 2.5), "lon": np.arange(300.0, 341, 2.5)}
    small = 5 + np.abs(make.values("vas", trades["lat"], trades["lon"], np.arange(3.0)))
    assert open_source(wind(make, "t.nc", values=small, **trades), "u10").variables == ("u10",)


def test_a_long_name_alone_identifies(make):
    values = make.values("psl", np.arange(-60.0, 61, 40), np.arange(0.0, 360, 45), np.arange(3.0))
    path = make(name="PMSL_MEAN", values=values, attributes={"long_name": "Sea level pressure"})
    assert open_source(path, "msl").variables == ("msl",)
    assert "none of msl" in refused(make("b.nc", name="p", attributes={"long_name": "Pressure"}), "msl")


PLEV = {"plev": (50000.0, {"units": "Pa", "standard_name": "air_pressure"})}


@pytest.mark.parametrize("name", ["psl", "uas"])
def test_a_pressure_left_by_another_variable_is_not_believed(make, name):
    variable = {"psl": "msl", "uas": "u10"}[name]
    path = make(name=name, units={"psl": "Pa", "uas": "m s-1"}[name], scalars=PLEV, attributes={"coordinates": "plev"})
    source = open_source(path, [variable])
    assert source.variables == (variable,)
    assert f"{name}: its coordinate plev = 500 hPa is not believed" in source.notes[0]


@pytest.mark.parametrize(("height", "fine"), [(10.0, True), (2.0, True), (50.0, False), (100.0, False)])
def test_a_height_that_contradicts_the_name(make, height, fine):
    path = wind(
        make,
        scalars={"height": (height, {"units": "m", "standard_name": "height"})},
        attributes={"coordinates": "height"},
    )
    if not fine:
        assert f"uas is at a height of {height:g} m, expected 10 m as its name says" in refused(path)
    else:
        assert len(open_source(path, "u10").notes) == (height != 10)


def test_u10_on_a_pressure_level_is_refused(make):
    path = wind(make, name="u10", scalars={"plev": (1000.0, PLEV["plev"][1])}, attributes={"coordinates": "plev"})
    assert "u10 is on the pressure level 10 hPa (coordinate plev), expected the surface as its name says" in refused(
        path
    )


def test_z500_on_another_level_is_refused(make):
    path = make(
        name="z500", units="m2 s-2", scalars={"plev": (85000.0, PLEV["plev"][1])}, attributes={"coordinates": "plev"}
    )
    assert "z500 is on the pressure level 850 hPa (coordinate plev), expected 500 hPa" in refused(path, "z500")


def test_a_fill_value_of_zero_gets_a_note(make):
    path = wind(make, attributes={"_FillValue": np.float32(0)})
    assert "uas declares 0 as its fill value: calms count as missing" in open_source(path, "u10").notes[0]


# Winds along the axes of a grid


def rotated(path, *, standard=("x_wind", "y_wind"), mapping=True, both=True):
    """A constant wind of 8 m/s to the east, stored along the axes of a rotated grid."""
    points, _, _ = rotated_grid(np.arange(-20.0, 21, 2), np.arange(-25.0, 26, 2))
    angle = grid_angle(points, POLE)
    x, y = to_east_north(np.full(points.lat.shape, 8.0), np.full(points.lat.shape, 0.0), -angle)
    coords = {
        "lat": (("rlat", "rlon"), points.lat, {"units": "degrees_north"}),
        "lon": (("rlat", "rlon"), points.lon, {"units": "degrees_east"}),
        "time": ("time", [0.0], {"units": "hours since 2010-01-01"}),
    }
    fields = {}
    for name, values, known in (("uas", x, standard[0]), ("vas", y, standard[1])):
        attributes = {"units": "m s-1", "standard_name": known, "grid_mapping": "pole"}
        fields[name] = (("time", "rlat", "rlon"), values[None], attributes)
    if not both:
        del fields["vas"]
    data = xr.Dataset(fields, coords)
    if mapping:
        data["pole"] = ((), 0, POLE)
    data.to_netcdf(path)
    return path


@pytest.mark.parametrize("mapping", [True, False])
def test_winds_of_a_rotated_grid_are_turned(tmp_path, mapping):
    source = open_source(rotated(tmp_path / "r.nc", mapping=mapping), ["u10", "v10"])
    np.testing.assert_allclose(source.fields("u10", 0, 1), 8.0, atol=1e-3 if mapping else 0.05)
    np.testing.assert_allclose(source.fields("v10", 0, 1), 0.0, atol=1e-3 if mapping else 0.3)
    assert "uas is turned from the grid's axes to east" in source.notes[0]


def test_one_component_of_a_rotated_grid_is_refused(tmp_path):
    assert "vas is not in the same file" in refused(rotated(tmp_path / "r.nc", both=False))


def test_eastward_winds_of_a_rotated_grid_are_left(tmp_path):
    path = rotated(tmp_path / "r.nc", standard=("eastward_wind", "northward_wind"))
    assert np.ptp(open_source(path, ["u10", "v10"]).fields("v10", 0, 1)) > 1  # as it is in the file


def test_winds_of_a_grid_that_was_remapped_are_refused(make):
    path = wind(make, attributes={"standard_name": "x_wind", "grid_mapping": "pole"})
    with netCDF4.Dataset(path, "a") as data:
        data.createVariable("pole", "i4").setncatts(POLE)
    assert "along the axes of a grid of rotated_latitude_longitude that was remapped since" in refused(path)
    assert open_source(wind(make, "um.nc", attributes={"standard_name": "x_wind"}), "u10").variables == ("u10",)


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        ({"long_name": "10 metre northward wind"}, "a wind of another direction"),
        ({"long_name": "Westward wind"}, "a wind of another direction"),
        ({"long_name": "100 metre U wind component"}, "a wind at 100 m"),
        ({"long_name": "RMS of eastward wind"}, "a root mean square"),
        ({"cell_methods": "number: std"}, "a standard deviation"),
        ({"GRIB_stepType": "max"}, "a maximum (GRIB stepType max)"),
        ({"standard_name": "surface_downward_eastward_stress"}, "standard_name surface_downward_eastward_stress"),
        ({"standard_name": "sea_water_x_velocity"}, "standard_name sea_water_x_velocity"),
        ({"long_name": "", "GRIB_name": "10 metre wind gust"}, "a gust"),
    ],
)  # fmt: skip
def test_other_things_under_the_name_of_a_wind(make, attributes, what):
    assert what in refused(wind(make, attributes=attributes))


@pytest.mark.parametrize(
    "attributes", [{"long_name": "windspeed at 10m"}, {"long_name": "wind magnitude"}, {"GRIB_shortName": "10si"}]
)
def test_other_words_for_a_speed(make, attributes):
    assert "is a wind speed" in refused(wind(make, attributes=attributes))


@pytest.mark.parametrize(
    "attributes",
    [{"long_name": "Pressure at surface"}, {"long_name": "Air pressure at ground level"}, {"GRIB_shortName": "sp"}],
)
def test_other_words_for_surface_pressure(make, attributes):
    assert "psl is surface pressure" in refused(make(attributes=attributes), "msl")


@pytest.mark.parametrize("long_name", ["Bias-corrected sea level pressure", "Bias-Adjusted mean sea level pressure"])
def test_corrected_data_are_no_difference(make, long_name):
    assert open_source(make(attributes={"long_name": long_name}), "msl").variables == ("msl",)


def test_the_component_comes_before_a_speed_of_the_same_letters(make):
    path = wind(make, name="u10")
    with netCDF4.Dataset(path, "a") as data:
        data.createVariable("U10", "f4", ("time", "lat", "lon"))[:] = 3.0
        data["U10"].setncatts({"units": "m s-1", "long_name": "10m wind speed"})
    np.testing.assert_allclose(open_source(path, "u10").read(0, 1)[0, 0], wind_values(make), atol=1e-4)


def wind_values(make):
    return make.values("u10", LAT, LON, np.zeros(1))[0]


def test_names_of_era5_with_a_stray_level(make):
    stray = {"scalars": {"plev": (50000.0, PLEV["plev"][1])}, "attributes": {"coordinates": "plev"}}
    path = make(
        "m.nc", name="msl", values=make.values("psl", LAT, LON, np.zeros(1)), lat=LAT, lon=LON, hours=(0.0,), **stray
    )
    with netCDF4.Dataset(path, "a") as data:
        data.createVariable("u10", "f4", ("time", "lat", "lon"))[:] = wind_values(make)[None]
        data["u10"].setncatts({"units": "m s-1", "coordinates": "plev"})
    source = open_source(path, ["msl", "u10"])
    assert source.variables == ("msl", "u10")
    assert sum("is not believed" in note for note in source.notes) == 2


def test_winds_of_turned_grids_must_say_which_way_they_point(tmp_path):
    unclear = rotated(tmp_path / "u.nc", standard=("", ""))
    assert "does not say whether it points east or along the grid's axes" in refused(unclear)
    mixed = rotated(tmp_path / "m.nc", standard=("x_wind", "northward_wind"))
    assert "is x_wind but vas of the same file is not" in refused(mixed)
    source = open_source(
        relative(rotated(tmp_path / "g.nc", standard=("eastward_wind", "northward_wind"))), ["u10", "v10"]
    )
    np.testing.assert_allclose(source.fields("u10", 0, 1), 8.0, atol=1e-3)


def relative(path):
    """As cfgrib says it of a Lambert grid."""
    with netCDF4.Dataset(path, "a") as data:
        for name in ("uas", "vas"):
            data[name].setncatts({"GRIB_uvRelativeToGrid": 1, "GRIB_gridType": "lambert"})
    return path


def test_statistics_along_a_dimension_of_one(make):
    path = wind(make, dims=("time", "quantile", "lat", "lon"), extra={"quantile": 1})
    assert "uas is a quantile" in refused(path)


@pytest.mark.parametrize(("name", "along"), [("uas", "y_wind"), ("vas", "x_wind"), ("uas", "grid_northward_wind")])
def test_the_axis_of_the_other_component_is_refused(make, name, along):
    path = wind(make, name=name, attributes={"standard_name": along})
    assert f"{name} has the standard_name {along}" in refused(path, {"uas": "u10", "vas": "v10"}[name])
