"""Series out of files: variables, units, order, times, grids and provenance, on small files whose values are known."""

import netCDF4
import numpy as np
import pytest

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.series.reading import open_source
from zssd_cli.times import format_time
from zssd_cli.variables import VARIABLES

LAT = np.array([-60.0, -20.0, 20.0, 60.0])
LON = np.arange(0.0, 360.0, 45.0)
HOURS = np.array([0.0, 6.0, 12.0])


def open_and_read(*arguments, **options):
    source = open_source(*arguments, **options)
    return source.read(0, len(source.times))


def refused(paths, variables=("msl",), error=InputError, **options) -> str:
    """The one line that opening and reading these files ends with."""
    with pytest.raises(error) as caught:
        open_and_read(paths, variables, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def read_all(source):
    return source.read(0, len(source.times))


def test_one_file(make):
    path = make(globals_={"source_id": "TOY", "frequency": "6hrPt"}, attributes={"cell_methods": "time: point"})
    source = open_source([path], ["psl", "u10"])
    assert source.variables == ("msl",)
    assert source.missing == ("u10",)
    assert [format_time(t) for t in source.times] == [
        "2010-01-01T00:00:00",
        "2010-01-01T06:00:00",
        "2010-01-01T12:00:00",
    ]
    assert source.calendar == "standard"
    assert source.frequency == "6hr"
    assert source.cell_methods == {"msl": "time: point"}
    assert source.attributes == {"source_id": "TOY", "source_files": "in.nc"}
    assert source.notes == ()
    assert source.grid.circular
    assert source.points is None
    block = source.read(1, 3)
    assert block.dtype == np.float32
    np.testing.assert_allclose(block[:, 0], make.values("psl", LAT, LON, HOURS)[1:], atol=0.01)
    source.close()


@pytest.mark.parametrize("dims", [("lon", "lat", "time"), ("lat", "time", "lon"), ("time", "lon", "lat")])
def test_any_order_of_dimensions(make, dims):
    block = read_all(open_source([make(dims=dims)], ["msl"]))
    np.testing.assert_allclose(block[:, 0], make.values("psl", LAT, LON, HOURS), atol=0.01)


@pytest.mark.parametrize(
    "lon",
    [
        LON,
        (LON + 180) % 360 - 180,
        np.arange(-180.0, 180.0, 45.0),
        LON[::-1],
        np.append(LON, 360.0),
        LON + 180,
    ],
)
@pytest.mark.parametrize("lat", [LAT, LAT[::-1]])
def test_values_stay_at_their_place(make, lat, lon):
    source = open_source([make(lat=lat, lon=lon)], ["msl"])
    assert source.grid.shape == (4, 8)
    assert np.all(np.diff(source.grid.lat) > 0)
    assert np.all(np.diff(source.grid.lon) > 0)
    assert source.grid.circular
    expected = make.values("psl", source.grid.lat, source.grid.lon, HOURS)
    np.testing.assert_allclose(read_all(source)[:, 0], expected, atol=0.01)


def test_bounds_are_used(make):
    lat_bounds = np.array([[-90, -35], [-35, 0], [0, 35], [35, 90]], dtype=float)
    source = open_source([make(lat=LAT[::-1], lat_bounds=lat_bounds[::-1, ::-1])], ["msl"])
    np.testing.assert_allclose(source.grid.lat_edges, [-90, -35, 0, 35, 90])


def test_bad_bounds_give_a_note(make):
    source = open_source([make(lat_bounds=np.tile([0.0, 1.0], (4, 1)))], ["msl"])
    np.testing.assert_allclose(source.grid.lat_edges, [-90, -40, 0, 40, 90])
    assert source.notes == (
        "in.nc: latitude bounds do not enclose the centres; midpoints between the centres are used instead",
    )


@pytest.mark.parametrize(
    ("name", "standard_name", "asked"),
    [
        ("psl", None, "msl"),
        ("msl", None, "msl"),
        ("PRMSL", None, "msl"),
        ("pressure_sea", "air_pressure_at_sea_level", "msl"),
        ("ua10", "eastward_wind", "u10"),
    ],
)
def test_variables_are_found_by_any_of_their_names(make, name, standard_name, asked):
    wind = asked == "u10"
    path = make(
        name=name,
        values=make.values("uas" if wind else "psl", LAT, LON, HOURS),
        units="m s-1" if wind else "Pa",
        attributes={"standard_name": standard_name, "coordinates": "height" if wind else None},
        scalars={"height": (10.0, {"standard_name": "height", "units": "m"})} if wind else None,
    )
    assert open_source([path], [asked]).variables == (asked,)


def test_wind_at_another_height_is_not_the_ten_metre_wind(make):
    path = make(
        name="ua100",
        units="m s-1",
        attributes={"standard_name": "eastward_wind", "coordinates": "height"},
        scalars={"height": (100.0, {"standard_name": "height", "units": "m"})},
    )
    text = refused([path], ["u10"])
    assert "none of u10 (uas) found, it holds ua100" in text
    assert "ua100 is eastward_wind on other levels" in text


def test_surface_pressure_that_calls_itself_psl_is_refused(make):
    text = refused([make(attributes={"standard_name": "surface_air_pressure"})])
    assert "psl has the standard_name surface_air_pressure, expected air_pressure_at_mean_sea_level" in text


def test_two_arrays_of_one_standard_name_are_not_guessed_between(make):
    path = make(name="p1", attributes={"standard_name": "air_pressure_at_sea_level"})
    with netCDF4.Dataset(path, "a") as data:
        data.createVariable("p2", "f4", ("time", "lat", "lon"))[:] = 101000.0
        data["p2"].setncatts({"units": "Pa", "standard_name": "air_pressure_at_sea_level"})
    assert "p1, p2 all have the standard_name air_pressure_at_sea_level" in refused([path])


def on_levels(make, name, units, level_name, levels, level_units):
    """A geopotential file in which level k is worth 10 k metres more than make.values says."""
    path = make(
        "plev.nc", name=name, units=units, dims=("time", level_name, "lat", "lon"), extra={level_name: len(levels)}
    )
    with netCDF4.Dataset(path, "a") as data:
        data.createVariable(level_name, "f8", (level_name,))[:] = levels
        if level_units:
            data[level_name].units = level_units
        scale = 1.0 if units == "m" else 9.80665
        metres = make.values("zg", LAT, LON, HOURS)
        data[name][:] = scale * np.stack([metres + 10 * k for k in range(len(levels))], axis=1)
    return path


@pytest.mark.parametrize(
    ("name", "units", "level_name", "levels", "level_units", "position"),
    [
        ("zg", "m", "plev", [85000.0, 50000.0, 25000.0], "Pa", 1),
        ("zg", "m", "plev", [50000.001], "Pa", 0),
        ("z", "m**2 s**-2", "level", [500.0, 1000.0], "millibars", 0),
        ("z", "m**2 s**-2", "pressure_level", [1000.0, 500.0], "hPa", 1),
        ("z", "m**2 s**-2", "isobaricInhPa", [1000.0, 500.0], None, 1),
        ("gh", "gpm", "lev", [1000.0, 850.0, 500.0], None, 2),
    ],
)
def test_geopotential_at_its_level(make, name, units, level_name, levels, level_units, position):
    path = on_levels(make, name, "m" if units == "gpm" else units, level_name, levels, level_units)
    source = open_source([path], ["z500"])
    expected = 9.80665 * (make.values("zg", LAT, LON, HOURS) + 10 * position)
    np.testing.assert_allclose(read_all(source)[:, 0], expected, rtol=1e-6)


def test_a_level_that_is_not_there_is_missing_and_said_so(make):
    path = on_levels(make, "zg", "m", "plev", [85000.0, 50000.0], "Pa")
    source = open_source([path], ["z500", "z250"])
    assert source.missing == ("z250",)
    assert source.notes == ("z250 not found in plev.nc: zg has no 250 hPa level (levels 850, 500 hPa)",)


def test_orography_is_not_a_geopotential_on_a_level(make):
    text = refused([make(name="z", units="m2 s-2")], ["z500"])
    assert "z has no pressure axis" in text


def test_wind_on_pressure_levels_is_not_the_surface_wind(make):
    path = on_levels(make, "uas", "m", "plev", [85000.0, 50000.0], "Pa")
    assert "uas is on the pressure level 850, 500 hPa (coordinate plev), expected the surface" in refused(
        [path], ["u10"]
    )


def test_units_are_converted(make):
    values = make.values("psl", LAT, LON, HOURS)
    block = read_all(open_source([make(values=values / 100, units="hPa")], ["msl"]))
    np.testing.assert_allclose(block[:, 0], values, atol=0.02)


def test_missing_units_are_inferred_with_a_note(make):
    values = make.values("psl", LAT, LON, HOURS)
    source = open_source([make(values=values / 100, units=None)], ["msl"])
    assert source.notes == (
        "in.nc: msl: units attribute missing, taken as hPa, the only known unit that makes the values plausible",
    )
    np.testing.assert_allclose(read_all(source)[:, 0], values, atol=0.02)


def test_ambiguous_missing_units_are_refused(make):
    text = refused([make(name="uas", units=None)], ["u10"])
    assert "in.nc: u10: the units attribute is missing and the values fit m s-1 or knot" in text


def test_wrong_units_are_refused_at_once(make):
    path = make(values=make.values("psl", LAT, LON, HOURS) / 100)
    with pytest.raises(InputError, match="look like hPa but the units attribute says 'Pa'"):
        open_source([path], ["msl"])


def test_values_that_go_wrong_later_are_refused_when_read(make):
    values = make.values("psl", LAT, LON, HOURS)
    values[2, 1, 1] = 0.0
    source = open_source([make(values=values)], ["msl"])
    assert source.read(0, 2).shape == (2, 1, 4, 8)
    with pytest.raises(InputError, match="are outside the plausible range"):
        source.read(0, 3)


@pytest.mark.parametrize("fill", [9.96921e36, 1e20, -9e33, np.inf, np.nan])
def test_undeclared_fill_values_become_missing(make, fill):
    values = make.values("psl", LAT, LON, HOURS)
    values[1, 0, 3] = fill
    block = read_all(open_source([make(values=values)], ["msl"]))
    assert np.isnan(block[1, 0, 0, 3])
    assert np.isfinite(block).sum() == block.size - 1


def test_declared_fill_value(make):
    values = make.values("psl", LAT, LON, HOURS)
    values[0, 3, 7] = -9999.0
    block = read_all(open_source([make(values=values, attributes={"_FillValue": np.float32(-9999.0)})], ["msl"]))
    assert np.flatnonzero(np.isnan(block)).tolist() == [31]


@pytest.mark.parametrize("declared", [True, False])
def test_packed_integers(make, declared):
    attributes = {"scale_factor": 0.1, "add_offset": 101000.0}
    if declared:
        attributes["_FillValue"] = np.int16(-32767)
    path = make(dtype="i2", attributes=attributes)
    with netCDF4.Dataset(path, "a") as data:
        data.set_auto_maskandscale(False)
        data["psl"][0, 0, 0] = -32767
    block = read_all(open_source([path], ["msl"]))
    assert np.isnan(block[0, 0, 0, 0])
    expected = make.values("psl", LAT, LON, HOURS)
    np.testing.assert_allclose(block[0, 0, 1:], expected[0, 1:], atol=0.06)


def test_a_field_without_a_single_value_is_refused_when_read(make):
    values = make.values("psl", LAT, LON, HOURS)
    values[1] = np.nan
    source = open_source([make(values=values)], ["msl"])
    with pytest.raises(InputError, match=r"in.nc: msl: every value is missing at 2010-01-01T06:00:00"):
        source.read(0, 3)
    assert np.isfinite(source.read(2, 3)).all()


def test_read_outside_the_series_is_refused(make):
    source = open_source([make()], ["msl"])
    for start, stop in ((0, 4), (2, 2), (-1, 1)):
        with pytest.raises(InputError, match="not within the 3 of the files"):
            source.read(start, stop)


# Several files


def test_files_split_in_time_in_any_order(make):
    paths = [make(f"{h:02d}.nc", hours=[h, h + 6.0]) for h in (24, 0, 12)]
    source = open_source(paths, ["msl"])
    assert len(source.times) == 6
    assert source.times == tuple(sorted(source.times))
    hours = np.arange(0, 36, 6.0)
    np.testing.assert_allclose(read_all(source)[:, 0], make.values("psl", LAT, LON, hours), atol=0.01)
    np.testing.assert_allclose(source.read(1, 5)[:, 0], make.values("psl", LAT, LON, hours[1:5]), atol=0.01)


def test_glob_patterns(make):
    for day in range(3):
        make(f"psl_{day}.nc", hours=[24.0 * day])
    source = open_source([str(make.folder / "psl_*.nc")], ["msl"])
    assert len(source.times) == 3
    assert source.frequency == "day"
    assert source.attributes["source_files"] == "psl_0.nc;psl_1.nc;psl_2.nc"


def test_a_file_given_twice_counts_once(make):
    path = make()
    assert len(open_source([path, str(path), str(make.folder / "*.nc")], ["msl"]).times) == 3


def test_a_file_per_variable_in_the_order_asked(make):
    paths = [make("p.nc"), make("u.nc", name="uas", units="m s-1"), make("v.nc", name="vas", units="knots")]
    source = open_source(paths, ["v10", "msl", "u10"])
    assert source.variables == ("v10", "msl", "u10")
    block = read_all(source)
    np.testing.assert_allclose(block[:, 0], make.values("vas", LAT, LON, HOURS) * 1852 / 3600, atol=1e-5)
    np.testing.assert_allclose(block[:, 1], make.values("psl", LAT, LON, HOURS), atol=0.01)


def test_different_times_are_intersected_with_a_note(make):
    paths = [make("p.nc", hours=[0, 6, 12, 18]), make("u.nc", name="uas", units="m s-1", hours=[6, 18, 30])]
    source = open_source(paths, ["msl", "u10"])
    assert [t.hour for t in source.times] == [6, 18]
    assert source.notes == (
        "3 of 5 times are left out because not every variable has them",
        "msl lacks 1: 2010-01-02T06:00",
        "u10 comes every 12 h only",
    )
    np.testing.assert_allclose(read_all(source)[:, 0], make.values("psl", LAT, LON, np.array([6.0, 18])), atol=0.01)


def test_steps_that_a_variable_lacks_are_an_error_in_strict_mode(make):
    """Those of a finer variable are none: a 6-hourly series is whole beside a 3-hourly one."""
    psl = make("p.nc", hours=np.arange(0, 48, 6))
    fine = make("u.nc", name="uas", units="m s-1", hours=np.arange(0, 48, 3))
    whole = open_source([psl, fine], ["msl", "u10"], strict=True)
    assert (len(whole.times), whole.notes[1:]) == (8, ("msl comes every 6 h only",))
    holed = make("v.nc", name="vas", units="m s-1", hours=[0, 6, 24, 30, 36, 42])
    with pytest.raises(InputError, match=r"v10 lacks 2: 2010-01-01T12:00..2010-01-01T18:00 \(2\)\. Add the files"):
        open_source([psl, holed], ["msl", "v10"], strict=True)
    assert "v10 lacks" not in str(open_source([psl, holed], ["msl", "v10"], time_range=("2010-01-02", None)).notes)


def test_no_common_time_is_refused_with_both_spans(make):
    paths = [make("p.nc", hours=[0, 6]), make("u.nc", name="uas", units="m s-1", hours=[3, 9])]
    text = refused(paths, ["msl", "u10"])
    assert "no time in common" in text
    assert "msl 2010-01-01T00:00:00..2010-01-01T06:00:00; u10 2010-01-01T03:00:00..2010-01-01T09:00:00" in text


def test_duplicate_times_are_refused_and_named(make):
    text = refused([make("a.nc", hours=[0, 6]), make("b.nc", hours=[6, 12])])
    assert "msl at 2010-01-01T06:00:00 is in both" in text
    assert "a.nc" in text
    assert "b.nc" in text
    assert "mergetime" in text
    assert "is twice in" in refused([make("c.nc", hours=[0, 6, 6])])


def test_unsorted_times_are_sorted_with_a_note(make):
    source = open_source([make(hours=[12, 0, 6])], ["msl"])
    assert [t.hour for t in source.times] == [0, 6, 12]
    assert source.notes == ("in.nc: the time axis is not in order and was sorted",)
    np.testing.assert_allclose(read_all(source)[:, 0], make.values("psl", LAT, LON, HOURS), atol=0.01)


def test_other_grids_are_refused(make):
    paths = [make("p.nc"), make("u.nc", name="uas", units="m s-1", lat=LAT + 1)]
    text = refused(paths, ["msl", "u10"])
    assert "u.nc: u10 is on another grid (4 x 8 cells, lat -59..61, lon 0..315) than msl of p.nc" in text


def test_files_without_the_variables_are_noted(make):
    source = open_source([make("p.nc"), make("t.nc", name="tas", units="K")], ["msl"])
    assert source.notes == ("t.nc holds none of the variables and is not used",)


def test_provenance_is_gathered(make):
    shared = {"source_id": "TOY", "variant_label": "r1i1p1f1", "title": "toy output", "license": "CC BY 4.0"}
    paths = [
        make(f"{i}.nc", hours=[24 * i], globals_=shared | {"tracking_id": f"hdl:{i}", "history": f"made {i}"})
        for i in range(2)
    ]
    assert open_source(paths, ["msl"]).attributes == {
        "source_id": "TOY",
        "variant_label": "r1i1p1f1",
        "tracking_id": "hdl:0;hdl:1",
        "license": "CC BY 4.0",
        "title": "toy output",
        "history": "made 0",
        "source_files": "0.nc;1.nc",
    }


def test_two_models_for_the_same_times_are_refused(make):
    paths = [
        make("p.nc", globals_={"source_id": "A"}),
        make("u.nc", name="uas", units="m/s", globals_={"source_id": "B"}),
    ]
    assert "p.nc and this file are of model A and B for the same times (2010-01-01T00:00:00)" in refused(
        paths, ["msl", "u10"]
    )


# Times


@pytest.mark.parametrize(
    ("calendar", "units", "hours", "expected"),
    [
        ("360_day", "days since 2010-02-29", [0, 1], ["2010-02-29T00:00:00", "2010-02-30T00:00:00"]),
        ("noleap", "days since 2012-02-28", [0, 1], ["2012-02-28T00:00:00", "2012-03-01T00:00:00"]),
        ("365_day", "days since 0700-01-01", [0.5, 1.5], ["0700-01-01T12:00:00", "0700-01-02T12:00:00"]),
        ("NoLeap", "days since 0000-01-01 00:00:00", [15, 16], ["0000-01-16T00:00:00", "0000-01-17T00:00:00"]),
        ("proleptic_gregorian", "hours since 1850-1-1", [1, 2], ["1850-01-01T01:00:00", "1850-01-01T02:00:00"]),
        (None, "seconds since 1970-01-01T00:00:00Z", [0, 3600], ["1970-01-01T00:00:00", "1970-01-01T01:00:00"]),
        ("standard", "days since 2010-01-01", [0.04166667, 0.0833333], ["2010-01-01T01:00:00", "2010-01-01T02:00:00"]),
    ],
)
def test_calendars(make, calendar, units, hours, expected):
    source = open_source([make(calendar=calendar, time_units=units, hours=hours)], ["msl"])
    assert [format_time(t) for t in source.times] == expected
    assert source.calendar == {None: "standard", "365_day": "noleap"}.get(calendar, str(calendar).lower())


@pytest.mark.parametrize(
    ("time_range", "expected"),
    [
        (("2010-02-30", "2010-02-30"), ["2010-02-30T00:00:00", "2010-02-30T12:00:00"]),
        (("2010-02-30T06", None), ["2010-02-30T12:00:00", "2010-03-01T00:00:00"]),
        ((None, "2010-02"), ["2010-02-29T12:00:00", "2010-02-30T00:00:00", "2010-02-30T12:00:00"]),
        (("2010-03", "2011"), ["2010-03-01T00:00:00"]),
    ],
)
def test_time_range_in_the_files_calendar(make, time_range, expected):
    path = make(calendar="360_day", time_units="hours since 2010-02-29", hours=[12, 24, 36, 48])
    source = open_source([path], ["msl"], time_range=time_range)
    assert [format_time(t) for t in source.times] == expected
    first = source.read(0, 1)
    position = [12, 24, 36, 48][
        ["2010-02-29T12", "2010-02-30T00", "2010-02-30T12", "2010-03-01T00"].index(expected[0][:13])
    ]
    np.testing.assert_allclose(first[0, 0], make.values("psl", LAT, LON, np.array([position]))[0], atol=0.01)


def test_empty_time_range_tells_the_span(make):
    text = refused([make()], time_range=("2011", None))
    assert "No time step lies in the range 2011 to the end" in text
    assert "the files run from 2010-01-01T00:00:00 to 2010-01-01T12:00:00" in text


def test_date_that_the_calendar_lacks(make):
    text = refused([make()], time_range=("2010-02-30", None), error=ConfigError)
    assert "Date '2010-02-30' does not exist in the calendar 'standard'" in text


@pytest.mark.parametrize(
    "units", ["days", "fortnights since 2010-01-01", "days since yesterday", "months since 2010-01-01"]
)
def test_times_that_cannot_be_decoded(make, units):
    assert f"time units '{units}' with calendar 'standard' cannot be decoded" in refused([make(time_units=units)])


def test_unknown_calendar(make):
    assert "calendar 'martian' cannot be decoded" in refused([make(calendar="martian")])


def test_missing_times(make):
    assert "time coordinate 'time' holds missing" in refused([make(hours=[0, np.nan, 12])])
    assert "time coordinate 'time' holds missing" in refused([make(hours=[0, 9.96921e36, 12])])


def test_calendars_that_do_not_go_together(make):
    paths = [make("p.nc", calendar="360_day"), make("u.nc", name="uas", units="m s-1", calendar="noleap")]
    assert "has the calendar 360_day but" in refused(paths, ["msl", "u10"])


def test_real_world_calendars_go_together(make):
    paths = [make("p.nc", calendar="standard"), make("u.nc", name="uas", units="m s-1", calendar="proleptic_gregorian")]
    source = open_source(paths, ["msl", "u10"])
    assert len(source.times) == 3
    assert source.calendar == "standard"


def test_a_field_without_time(make):
    path = make(dims=("lat", "lon"))
    assert "psl has no time coordinate; add one" in refused([path])
    source = open_source([path], ["msl"], allow_no_time=True)
    assert [format_time(t) for t in source.times] == ["0001-01-01T00:00:00"]
    assert source.notes == ("in.nc: psl has no time; season and hour are not known",)
    assert source.frequency is None
    np.testing.assert_allclose(source.read(0, 1)[0, 0], make.values("psl", LAT, LON, HOURS)[0], atol=0.01)


def test_a_time_dimension_without_coordinate(make):
    path = make(time_units=None)
    assert "dimension 'time' has no time coordinate" in refused([path], allow_no_time=True)


def test_a_scalar_time(make):
    path = make(dims=("lat", "lon"), attributes={"coordinates": "time"})
    with netCDF4.Dataset(path, "a") as data:
        data.createVariable("time", "f8", ())[...] = 6.0
        data["time"].units = "hours since 2010-01-01"
    source = open_source([path], ["msl"])
    assert [format_time(t) for t in source.times] == ["2010-01-01T06:00:00"]
    assert source.read(0, 1).shape == (1, 1, 4, 8)


def test_frequency_from_the_spacing(make):
    assert open_source([make(hours=[0, 3, 6])], ["msl"]).frequency == "3hr"
    assert open_source([make(hours=[0, 744, 1416])], ["msl"]).frequency == "mon"
    assert open_source([make(hours=[0])], ["msl"]).frequency is None
    assert open_source([make(hours=[0], globals_={"table_id": "6hrPlevPt"})], ["msl"]).frequency == "6hr"


# Dimensions and layouts beyond the ordinary


def test_new_era5_layout(make):
    path = make(
        name="msl",
        lat=LAT[::-1],
        coordinate_names={"time": "valid_time", "lat": "latitude", "lon": "longitude"},
        time_units="seconds since 1970-01-01",
        hours=HOURS * 3600,
        attributes={"coordinates": "number valid_time latitude longitude expver"},
        scalars={"number": (0.0, {"standard_name": "realization", "units": "1"})},
        values=make.values("psl", LAT[::-1], LON, HOURS),
    )
    with netCDF4.Dataset(path, "a") as data:
        data.createVariable("expver", str, ("valid_time",))[:] = np.array(["0001"] * 3, dtype=object)
    source = open_source([path], ["msl"])
    assert [t.hour for t in source.times] == [0, 6, 12]
    np.testing.assert_allclose(read_all(source)[:, 0], make.values("psl", LAT, LON, HOURS), atol=0.01)


def test_final_and_preliminary_era5_are_merged(make):
    path = make(dims=("time", "expver", "lat", "lon"), extra={"expver": 2})
    with netCDF4.Dataset(path, "a") as data:
        data["psl"][:2, 1] = np.nan
        data["psl"][2:, 0] = np.nan
    block = read_all(open_source([path], ["msl"]))
    np.testing.assert_allclose(block[:, 0], make.values("psl", LAT, LON, HOURS), atol=0.01)


def test_dimensions_of_size_one_are_squeezed(make):
    path = make(dims=("number", "time", "lat", "lon"), extra={"number": 1})
    assert read_all(open_source([path], ["msl"])).shape == (3, 1, 4, 8)


def test_an_ensemble_must_be_reduced_to_one_member(make):
    text = refused([make(dims=("number", "time", "lat", "lon"), extra={"number": 5})])
    assert "psl has the further dimension number (5); select one member, level or lead time" in text


def with_2d_coordinates(make, lat2, lon2, values):
    path = make.folder / "curved.nc"
    with netCDF4.Dataset(path, "w") as data:
        for name, size in (("time", 1), ("y", lat2.shape[0]), ("x", lat2.shape[1])):
            data.createDimension(name, size)
        data.createVariable("time", "f8", ("time",))[:] = 0
        data["time"].units = "days since 2010-01-01"
        for name, field, unit in (("lat", lat2, "degrees_north"), ("lon", lon2, "degrees_east")):
            data.createVariable(name, "f8", ("y", "x"))[:] = field
            data[name].units = unit
        data.createVariable("psl", "f4", ("time", "y", "x"))[:] = values
        data["psl"].setncatts({"units": "Pa", "coordinates": "lat lon"})
    return path


def test_curvilinear_grid_gives_points(make):
    y, x = np.meshgrid(np.arange(5.0), np.arange(6.0), indexing="ij")
    lat, lon = 40 + y + 0.1 * x, 10 + x - 0.1 * y
    source = open_source([with_2d_coordinates(make, lat, lon, 101000 + lat * 10)], ["msl"])
    assert source.grid is None
    np.testing.assert_allclose(source.points.lat, lat)
    np.testing.assert_allclose(source.points.lon, lon)
    assert source.points.lat_vertices is None
    block = source.read(0, 1)
    assert block.shape == (1, 1, 5, 6)
    np.testing.assert_allclose(block[0, 0], 101000 + lat * 10, atol=0.01)


@pytest.mark.parametrize("transposed", [False, True])
def test_rectilinear_grid_with_two_dimensional_coordinates_is_a_grid(make, transposed):
    lat, lon = np.meshgrid(LAT[::-1], LON, indexing="xy" if transposed else "ij")
    source = open_source([with_2d_coordinates(make, lat, lon, 101000 + lat * 10 + lon)], ["msl"])
    assert source.points is None
    assert source.grid.circular
    expected = 101000 + source.grid.lat[:, None] * 10 + source.grid.lon[None, :]
    np.testing.assert_allclose(source.read(0, 1)[0, 0], expected, atol=0.01)


def test_fill_values_in_coordinates_are_refused(make):
    y, x = np.meshgrid(np.arange(5.0), np.arange(6.0), indexing="ij")
    lat = 40 + y + 0.1 * x
    lat[2, 2] = 9.96921e36
    text = refused([with_2d_coordinates(make, lat, 10 + x - 0.1 * y, np.full((1, 5, 6), 101000.0))])
    assert "coordinate 'lat' holds missing, fill or out-of-range values" in text


def unstructured(make, n, dim):
    path = make.folder / "mesh.nc"
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("time", 1)
        data.createDimension(dim, n)
        data.createVariable("time", "f8", ("time",))[:] = 0
        data["time"].units = "days since 2010-01-01"
        for name, values, unit in (
            ("clat", np.linspace(-1.5, 1.5, n), "radian"),
            ("clon", np.linspace(0, 6, n), "radian"),
        ):
            data.createVariable(name, "f8", (dim,))[:] = values
            data[name].setncatts({"units": unit, "standard_name": "latitude" if name == "clat" else "longitude"})
        data.createVariable("psl", "f4", ("time", dim))[:] = 101000 + np.arange(n)
        data["psl"].setncatts({"units": "Pa", "coordinates": "clat clon"})
    return path


def test_unstructured_grid_gives_points_in_degrees(make):
    source = open_source([unstructured(make, 20, "ncells")], ["msl"])
    assert source.grid is None
    assert source.points.lat[0] == pytest.approx(np.rad2deg(-1.5))
    np.testing.assert_allclose(source.read(0, 1)[0, 0], 101000 + np.arange(20))


@pytest.mark.parametrize("dim", ["station", "somewhere"])
def test_station_data_are_refused(make, dim):
    assert f"psl is station data (20 points along '{dim}')" in refused([unstructured(make, 20, dim)])


def test_rotated_coordinates_alone_are_refused(make):
    path = make(coordinate_names={"lat": "rlat", "lon": "rlon"})
    with netCDF4.Dataset(path, "a") as data:
        data["rlat"].setncatts({"standard_name": "grid_latitude", "units": "degrees"})
        data["rlon"].setncatts({"standard_name": "grid_longitude", "units": "degrees"})
    assert "psl has no latitude coordinate (it has only rotated or projected coordinates)" in refused([path])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lat": [10, 20, 20, 30]}, "the latitude coordinate repeats a value at 20"),
        ({"lat": [10, 30, 20, 40]}, "the latitude coordinate changes direction at 20"),
        ({"lon": [0, 10, 5, 20]}, "the longitude coordinate changes direction at 5"),
        ({"lat": [80, 90, 100, 110]}, "latitude runs from 80 to 110"),
        ({"lon": [5]}, "a single longitude (5) without bounds"),
    ],
)
def test_broken_coordinates_name_the_file(make, options, message):
    text = refused([make(**options)])
    assert message in text
    assert "in.nc: " in text


def test_one_path_and_one_name_need_no_list(make):
    path = make()
    assert open_source(path, "msl").variables == open_source(str(path), "psl").variables == ("msl",)


def test_wind_along_a_rotated_grid_is_refused(make):
    text = refused([make(name="uas", units="m s-1", attributes={"standard_name": "grid_eastward_wind"})], ["u10"])
    assert "uas is grid_eastward_wind, along the axes of a grid of another kind that was remapped since" in text


def test_an_empty_time_axis_is_refused(make):
    text = refused([make(hours=[], values=np.zeros((0, 4, 8)))])
    assert "time coordinate 'time' is empty" in text


def test_rows_of_the_table_serve_as_variables(make):
    assert open_source([make()], [VARIABLES["msl"]]).variables == ("msl",)


def test_reading_a_block_reads_only_that_block(make, monkeypatch):
    """The fields that one read fetches do not depend on the length of the series."""
    import zssd_cli.series.pieces as pieces

    path = make(hours=np.arange(200.0))
    source = open_source([path], ["msl"])
    sizes = []
    original = pieces._blanked
    monkeypatch.setattr(
        pieces, "_blanked", lambda values, encoding: sizes.append(len(values)) or original(values, encoding)
    )
    source.read(100, 103)
    assert sizes == [3]


def test_axes_that_cdo_renamed_are_latitude_and_longitude(make):
    path = make()
    with netCDF4.Dataset(path, "a") as data:
        data["lat"].standard_name, data["lon"].standard_name = "projection_y_coordinate", "projection_x_coordinate"
    assert open_source([path], ["msl"]).grid.shape == (4, 8)
