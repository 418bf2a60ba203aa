"""When a field is valid: units of time, rounding, lead times."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.series.reading import open_source
from zssd_cli.times import format_time


def retimed(path, values, dtype, units):
    """The file with another time coordinate."""
    data = xr.load_dataset(path, decode_times=False)
    data["time"] = ("time", np.asarray(values, dtype), {"units": units, "calendar": "standard"})
    data.to_netcdf(path)
    return path


def dates(path):
    return [format_time(time) for time in open_source(path, "msl").times]


@pytest.mark.parametrize(
    ("values", "dtype", "units"),
    [
        ([0, 21600 * 10**9, 43200 * 10**9], "i8", "nanoseconds since 2010-01-01"),
        ([0, 21600 * 10**6, 43200 * 10**6], "i8", "microseconds since 2010-01-01"),
        ([0, 21600, 43200], "i4", "s since 2010-01-01"),
        ([0, 0.25 / 7, 0.5 / 7], "f8", "weeks since 2010-01-01"),
        ([0.00005, 0.24996, 0.5], "f8", "days since 2010-01-01"),
    ],
)
def test_units_and_digits(make, values, dtype, units):
    path = retimed(make(), values, dtype, units)
    assert [text[11:] for text in dates(path)] == ["00:00:00", "06:00:00", "12:00:00"]


def test_coarse_stamps_are_rounded_with_a_note(make):
    hours = np.arange(3) / 24
    path = retimed(make(), 60000.0 + hours, "f4", "days since 1850-01-01")
    source = open_source(path, "msl")
    assert [format_time(t)[11:] for t in source.times] == ["00:00:00", "01:00:00", "02:00:00"]
    assert "stored with a resolution of 338 s; times are rounded to 60 minutes" in source.notes[0]


def test_missing_nanoseconds_are_refused(make):
    path = retimed(make(), [0, np.iinfo("i8").min, 1], "i8", "nanoseconds since 2010-01-01")
    with pytest.raises(InputError, match="missing or non-numeric"):
        open_source(path, "msl")


def forecast(path, lead, *, dims=("time", "lead"), attrs=None, time_attrs=None, name="lead_time", extra=None):
    """A store of forecasts with one lead time."""
    lat, lon, time = np.arange(-60.0, 61, 20), np.arange(0.0, 360, 45), np.array([0.0, 12.0])
    values = 101000 + np.random.default_rng(0).standard_normal((2, lat.size, lon.size)) * 500
    coords = {
        "time": ("time", time, {"units": "hours since 2010-01-01", **(time_attrs or {})}),
        "lat": ("lat", lat, {"units": "degrees_north"}),
        "lon": ("lon", lon, {"units": "degrees_east"}),
        name: ((), float(lead), {"units": "hours", **(attrs or {})}),
    }
    data = xr.Dataset({"msl": (("time", "lat", "lon"), values, {"units": "Pa"})}, coords | (extra or {}))
    if len(dims) == 2:
        data = data.expand_dims(name, 1)
    data.to_netcdf(path)
    return path


@pytest.mark.parametrize("name", ["lead_time", "prediction_timedelta", "step"])
@pytest.mark.parametrize("dims", [("time",), ("time", "lead")])
def test_a_lead_time_is_added(tmp_path, name, dims):
    path = forecast(tmp_path / "f.nc", 72, dims=dims, name=name)
    assert dates(path) == ["2010-01-04T00:00:00", "2010-01-04T12:00:00"]
    assert f"72 h of {name} are added" in open_source(path, "msl").notes[0]


def test_a_lead_time_of_zero_changes_nothing(tmp_path):
    source = open_source(forecast(tmp_path / "f.nc", 0), "msl")
    assert format_time(source.times[0]) == "2010-01-01T00:00:00"
    assert source.notes == ()


def test_the_time_of_a_forecast_beside_its_reference_time_is_valid(tmp_path):
    reference = ((), -72.0, {"units": "hours since 2010-01-01", "standard_name": "forecast_reference_time"})
    extra = {"forecast_reference_time": reference}
    attrs = {"standard_name": "forecast_period"}
    path = forecast(tmp_path / "f.nc", 72, dims=("time",), attrs=attrs, name="forecast_period", extra=extra)
    assert dates(path)[0] == "2010-01-01T00:00:00"


def test_a_period_without_its_reference_is_ambiguous(tmp_path):
    path = forecast(tmp_path / "f.nc", 72, dims=("time",), name="forecast_period")
    with pytest.raises(InputError, match=r"may be the time of initialisation or of validity: 72 h of forecast_period"):
        open_source(path, "msl")


def test_a_named_initial_time_is_not_ambiguous(tmp_path):
    long_name = {"long_name": "initial time of forecast", "standard_name": "time"}
    path = forecast(tmp_path / "f.nc", 24, dims=("time",), name="forecast_period", time_attrs=long_name)
    assert dates(path)[0] == "2010-01-02T00:00:00"


def test_valid_times_of_two_dimensions_and_one_step(tmp_path):
    path = forecast(tmp_path / "f.nc", 72, name="step")
    data = xr.load_dataset(path, decode_times=False)
    valid = ("time", "step"), np.array([[72.0], [84.0]]), {"units": "hours since 2010-01-01"}
    data = data.assign_coords(valid_time=valid)
    data.to_netcdf(tmp_path / "v.nc")
    assert dates(tmp_path / "v.nc") == ["2010-01-04T00:00:00", "2010-01-04T12:00:00"]


def test_a_lead_time_without_units_is_refused(tmp_path):
    path = forecast(tmp_path / "f.nc", 72)
    with netCDF4.Dataset(path, "a") as data:
        data["lead_time"].units = "furlongs"
    with pytest.raises(InputError, match="lead time 'lead_time' has the units 'furlongs'"):
        open_source(path, "msl")


def test_several_lead_times_have_to_be_chosen(tmp_path):
    data = xr.load_dataset(forecast(tmp_path / "f.nc", 72), decode_times=False)
    later = data.assign_coords(lead_time=data.lead_time + 24)
    xr.concat([data, later.assign_coords(lead_time=("lead_time", [96.0], {"units": "hours"}))], "lead_time").to_netcdf(
        tmp_path / "m.nc"
    )
    with pytest.raises(InputError, match=r"further dimension lead_time \(2\)"):
        open_source(tmp_path / "m.nc", "msl")


@pytest.mark.parametrize("name", ["init_time", "reference_time", "analysis_time", "date_issued"])
def test_the_time_of_initialisation_is_not_the_time(make, name):
    data = xr.load_dataset(make(), decode_times=False)
    del data.time.attrs["calendar"]
    data = data.assign_coords({name: ("time", data.time.values - 72, {"units": "hours since 2010-01-01"})})
    data.to_netcdf(make.folder / "i.nc")
    assert dates(make.folder / "i.nc")[0] == "2010-01-01T00:00:00"


def test_a_lead_time_along_time_is_not_added(make):
    for hours in ((6.0,), (6.0, 12.0)):
        data = xr.load_dataset(make(hours=hours), decode_times=False)
        data = data.assign_coords(lead_time=("time", np.full(len(hours), 6.0), {"units": "hours"}))
        data.to_netcdf(make.folder / f"l{len(hours)}.nc")
        assert dates(make.folder / f"l{len(hours)}.nc")[0] == "2010-01-01T06:00:00"


def test_a_reference_time_that_is_the_time(tmp_path):
    reference = ((), 0.0, {"units": "hours since 2010-01-01", "standard_name": "forecast_reference_time"})
    path = forecast(
        tmp_path / "f.nc", 72, dims=("time",), name="forecast_period", extra={"forecast_reference_time": reference}
    )
    data = xr.load_dataset(path, decode_times=False).isel(time=[0])
    data.to_netcdf(tmp_path / "one.nc")
    assert dates(tmp_path / "one.nc") == ["2010-01-04T00:00:00"]


def test_a_lead_time_that_no_coordinates_attribute_names(make):
    path = make(hours=(0.0,))
    with netCDF4.Dataset(path, "a") as data:
        lead = data.createVariable("leadtime", "f8", ())
        lead[...], lead.units = 24.0, "hours"
        data["psl"].coordinates = "lat lon"
    assert dates(path) == ["2010-01-02T00:00:00"]


def test_a_time_of_initialisation_without_lead_gets_a_note(make):
    path = make(hours=(0.0,))
    with netCDF4.Dataset(path, "a") as data:
        data["time"].long_name = "initialization time"
    assert "calls itself a time of initialisation" in open_source(path, "msl").notes[0]


def test_negative_lead_times_are_refused(tmp_path):
    with pytest.raises(InputError, match="is -3 days, expected 0 to 400"):
        open_source(forecast(tmp_path / "f.nc", -72), "msl")


@pytest.mark.parametrize(
    ("units", "fine"), [("00:00:00 UTC", True), ("00:00:00 EST", False), ("00:00 +6:00", False), ("00:00:00Z", True)]
)
def test_time_zones(make, units, fine):
    path = make(time_units=f"hours since 2010-01-01 {units}")
    if fine:
        assert dates(path)[0] == "2010-01-01T00:00:00"
    else:
        with pytest.raises(InputError, match="name a time zone that cannot be read"):
            open_source(path, "msl")
