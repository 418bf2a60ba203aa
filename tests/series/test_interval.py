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
