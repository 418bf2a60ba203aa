"""Averaging intervals from all that files say, and the dates that follow from bounds."""

import netCDF4
import numpy as np
import pytest

from zssd_cli.errors import InputError
from zssd_cli.series.interval import said_hours
from zssd_cli.series.reading import open_source
from zssd_cli.times import format_time

DAY = (0.0, 24.0, 48.0)


def bounded(path, bounds, units=None):
    """The file with time bounds."""
    with netCDF4.Dataset(path, "a") as data:
        if "bnds" not in data.dimensions:
            data.createDimension("bnds", 2)
        data.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = bounds
        data["time"].bounds = "time_bnds"
    return path


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("6hrPlevPt", 6), ("3hr", 3), ("E3hrPt", 3), ("AERhr", 1), ("Amon", 730), ("Eday", 24), ("monC", 730), ("fx", None),
        ("daily", 24), ("hourly", 1), ("6-hourly", 6), ("E1hrClimMon", 730), ("subhrPt", None), ("", None), ("yrPt", 8760),
    ],
)  # fmt: skip
def test_frequencies_and_tables(text, hours):
    assert said_hours(text) == hours


@pytest.mark.parametrize(
    ("hours", "header", "attributes", "bounds", "words"),
    [
        (DAY, {"frequency": "day"}, {}, None, "daily means of msl (frequency day, times 24 h apart)"),
        (DAY, {}, {}, None, "daily means of msl (times 24 h apart)"),
        (DAY, {"frequency": "6hr"}, {"cell_methods": "time: mean (interval: 1 day)"}, None,
         "frequency 6hr contradicts times 24 h apart and cell_methods time: mean"),
        (DAY, {"frequency": "6hr"}, {}, None, "frequency 6hr contradicts times 24 h apart"),
        ((0, 6, 12), {"frequency": "mon"}, {}, None, "frequency mon contradicts times 6 h apart"),
        ((0, 6, 12), {"frequency": "mon", "table_id": "6hrPlev"}, {}, None, "frequency mon contradicts table_id 6hrPlev"),
        ((0, 6, 12), {}, {}, [[-12, 12], [-6, 18], [0, 24]], "time bounds 24 h apart contradicts times 6 h apart"),
        ((12.0,), {}, {}, [[0, 24]], "daily means of msl (time bounds 24 h apart)"),
        ((372.0,), {}, {"cell_methods": "time: mean"}, [[0, 744]], "monthly means of msl"),
        ((0.0, 120.0, 240.0), {}, {}, None, "5-day means of msl"),
        ((0.0, 6.0), {"frequency": "6hrPt"}, {"cell_methods": "time: mean"}, None, "contradicts cell_methods time: mean"),
        ((0.0,), {"title": "ERA5 monthly averaged data"}, {}, None, "monthly means of msl (title 'monthly average')"),
        ((12.0,), {}, {"long_name": "Daily mean sea level pressure"}, None, "daily means of msl (long_name 'Daily mean')"),
        ((12.0, 36.0), {"history": "Mon Jan: cdo -O daymean in.nc out.nc"}, {}, None, "daily means of msl (history 'daymean'"),
        ((0.0, 6.0, 744.0, 750.0), {}, {}, None, "all 4 dates lie on one day of each of 2 months"),
    ],
)  # fmt: skip
def test_means_and_contradictions(make, hours, header, attributes, bounds, words):
    path = make(hours=hours, globals_=header, attributes=attributes)
    if bounds is not None:
        bounded(path, bounds)
    assert words in open_source(path, "msl").averaging


@pytest.mark.parametrize(
    ("hours", "header", "attributes", "bounds"),
    [
        ((0, 6, 12), {"frequency": "6hrPt", "table_id": "6hrPlevPt"}, {"cell_methods": "area: mean time: point"}, None),
        ((0, 6, 12), {}, {}, None),
        ((0, 6, 12), {"history": "cdo sub psl.nc psl_monmean.nc out.nc", "title": "Daily maximum and more"}, {}, None),
        (DAY, {"frequency": "6hrPt"}, {"cell_methods": "time: point"}, None),  # every day at midnight
        (DAY, {"frequency": "6hr"}, {"cell_methods": "time: mean"}, [[-3, 3], [21, 27], [45, 51]]),
        ((0.0, 6.0, 744.0, 750.0), {}, {"cell_methods": "time: point"}, None),
        (DAY, {}, {}, [[0, 0], [24, 24], [48, 48]]),
    ],
)
def test_moments(make, hours, header, attributes, bounds):
    path = make(hours=hours, globals_=header, attributes=attributes)
    if bounds is not None:
        bounded(path, bounds)
    assert open_source(path, "msl").averaging is None


def test_the_table_in_the_name_of_a_cmip6_file_counts(make):
    assert "monthly means" in open_source(make("psl_Amon_X_ssp126_r1i1p1f1_gn.nc", hours=(372.0,)), "msl").averaging


def test_short_means_get_a_note(make):
    source = open_source(make(attributes={"cell_methods": "time: mean"}, globals_={"frequency": "6hr"}), "msl")
    assert source.averaging is None
    assert source.notes[0].startswith("msl is a mean over 6 hours (frequency 6hr, cell_methods time: mean")


def test_a_mean_of_unknown_length_gets_a_note(make):
    source = open_source(make(hours=(0.0,), attributes={"cell_methods": "time: mean"}), "msl")
    assert source.notes == ("msl is a mean over an unknown time (cell_methods time: mean)",)


def test_variables_of_different_intervals_are_never_paired(make):
    monthly = bounded(make("psl.nc", hours=(372.0,), globals_={"frequency": "mon"}), [[0, 744]])
    wind = make("uas.nc", name="uas", units="m s-1", hours=(366, 372, 378), globals_={"frequency": "6hrPt"})
    with pytest.raises(InputError, match=r"msl of psl.nc is a monthly mean .* but u10 of uas.nc is no mean over a day"):
        open_source([monthly, wind], ["msl", "u10"])


@pytest.mark.parametrize(("stamps", "place"), [((6, 12), "end"), ((0, 6), "beginning")])
def test_means_stamped_at_an_end_are_dated_at_the_middle(make, stamps, place):
    path = bounded(make(hours=stamps, attributes={"cell_methods": "time: mean"}), [[0, 6], [6, 12]])
    source = open_source(path, "msl")
    assert [format_time(t) for t in source.times] == ["2010-01-01T03:00:00", "2010-01-01T09:00:00"]
    assert any(f"times are the {place}s of averaging intervals" in note for note in source.notes)
    first = source.time_bounds[0]
    assert [format_time(t) for t in first] == ["2010-01-01T00:00:00", "2010-01-01T06:00:00"]


def test_moments_with_bounds_keep_their_stamps(make):
    path = bounded(make(hours=(6, 12), attributes={"cell_methods": "time: point"}), [[0, 6], [6, 12]])
    source = open_source(path, "msl")
    assert format_time(source.times[0]) == "2010-01-01T06:00:00"
    assert source.time_bounds is None


def test_ends_of_means_do_not_meet_moments(make):
    mean = bounded(make("psl.nc", hours=(6, 12), attributes={"cell_methods": "time: mean"}), [[0, 6], [6, 12]])
    wind = make("uas.nc", name="uas", units="m s-1", hours=(6, 12))
    with pytest.raises(InputError, match=r"no time in common .*averaging intervals"):
        open_source([mean, wind], ["msl", "u10"])


def test_bounds_that_cannot_be_read_are_left_aside(make):
    path = bounded(make(hours=(6, 12)), [[np.nan, 6], [6, 12]])
    assert format_time(open_source(path, "msl").times[0]) == "2010-01-01T06:00:00"


@pytest.mark.parametrize(
    ("hours", "attributes", "kind"),
    [
        ((0, 120, 240, 384), {}, "5-day"),  # pentads, one over a leap day
        ((0, 240, 480, 744), {}, "10-day"),
        ((0, 2160, 4368, 6576), {"cell_methods": "time: mean"}, "92-day"),
    ],
)
def test_steps_of_days_that_are_nearly_even(make, hours, attributes, kind):
    assert open_source(make(hours=hours, attributes=attributes), "msl").averaging.startswith(f"{kind} means of msl")


def test_dates_without_a_step_are_moments(make):
    assert open_source(make(hours=(0, 312, 330, 378)), "msl").averaging is None


@pytest.mark.parametrize(
    ("attributes", "header", "words"),
    [
        ({"cell_methods": "time: mean within days time: mean over days"}, {}, "a cycle within or over days or years"),
        ({"cell_methods": "time:mean"}, {"frequency": "day"}, "cell_methods time: mean"),
        ({"long_name": "24-hour running mean of pressure"}, {}, "'24-hour running mean'"),
        ({}, {"frequency": "annual"}, "frequency annual"),
        ({}, {"time_coverage_resolution": "P1M"}, "time_coverage_resolution P1M"),
        ({}, {"time_period_freq": "month_1"}, "time_period_freq month_1"),
        ({"GRIB_stepType": "avgua"}, {"frequency": "mon"}, "GRIB stepType avgua"),
    ],
)
def test_other_words_for_means(make, attributes, header, words):
    assert words in open_source(make(hours=(372.0,), attributes=attributes, globals_=header), "msl").averaging


def test_any_day_of_every_month(make):
    hours = [24.0 * day + hour for day in (14, 45, 73) for hour in (0, 6)]
    assert "all 6 dates lie on one day of each of 3 months" in open_source(make(hours=hours), "msl").averaging


def test_a_first_record_of_no_length(make):
    path = bounded(
        make(hours=(0, 6, 12, 18), attributes={"cell_methods": "time: mean"}), [[0, 0], [0, 6], [6, 12], [12, 18]]
    )
    source = open_source(path, "msl")
    assert [format_time(t)[11:13] for t in source.times] == ["00", "03", "09", "15"]


def test_moments_by_their_table_keep_their_stamps(make):
    path = bounded(make(hours=(6, 12), globals_={"frequency": "6hrPt"}), [[0, 6], [6, 12]])
    assert format_time(open_source(path, "msl").times[0]) == "2010-01-01T06:00:00"


def test_cam_writes_no_cell_methods_for_moments(make):
    path = bounded(make(hours=(6, 12), globals_={"source": "CAM"}), [[0, 6], [6, 12]])
    assert format_time(open_source(path, "msl").times[0]) == "2010-01-01T06:00:00"
    mean = bounded(
        make("m.nc", hours=(6, 12), globals_={"source": "CAM"}, attributes={"cell_methods": "time: mean"}),
        [[0, 6], [6, 12]],
    )
    assert format_time(open_source(mean, "msl").times[0]) == "2010-01-01T03:00:00"


def test_bounds_without_the_attribute(make):
    path = make(hours=(12.0,))
    with netCDF4.Dataset(path, "a") as data:
        data.createDimension("bnds", 2)
        data.createVariable("time_bounds", "f8", ("time", "bnds"))[:] = [[0, 24]]
    assert "daily means" in open_source(path, "msl").averaging


def test_spacing_alone_does_not_part_variables(make):
    files = [
        make("p.nc", hours=DAY),
        make("u.nc", name="uas", units="m s-1", hours=(0, 6, 24, 30, 48), globals_={"frequency": "6hrPt"}),
    ]
    assert "daily means of msl (times 24 h apart)" in open_source(files, ["msl", "u10"]).averaging


def test_moments_a_day_apart_get_a_note(make):
    source = open_source(make(hours=DAY, attributes={"cell_methods": "time: point"}), "msl")
    assert source.notes == ("msl: taken as moments a day or more apart (cell_methods time: point, times 24 h apart)",)


@pytest.mark.parametrize(
    ("name", "fine"),
    [("era5_day_01.nc", True), ("msl_era5_common_2010.nc", True), ("psl_Amon_X_hist_r1i1p1_1.nc", False)],
)
def test_only_cmip_names_hold_tables(make, name, fine):
    assert (open_source(make(name, hours=(0, 1)), "msl").averaging is None) == fine


def test_bounds_are_those_of_all_variables_or_none(make):
    both = {"attributes": {"cell_methods": "time: mean"}, "hours": (3, 9)}
    mean = bounded(make("p.nc", **both), [[0, 6], [6, 12]])
    alike = bounded(make("u.nc", name="uas", units="m s-1", **both), [[0, 6], [6, 12]])
    assert len(open_source([mean, alike], ["msl", "u10"]).time_bounds) == 2
    moment = make("v.nc", name="uas", units="m s-1", hours=(3, 9), attributes={"cell_methods": "time: point"})
    assert open_source([mean, moment], ["msl", "u10"]).time_bounds is None
