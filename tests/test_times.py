"""Dates in every CF calendar."""

from itertools import pairwise

import cftime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zssd_cli.errors import ConfigError
from zssd_cli.times import format_time, order, parse_partial, seconds_apart, year_day_fractions

CALENDARS = ["standard", "proleptic_gregorian", "julian", "noleap", "all_leap", "360_day"]
DAYS = {"noleap": 365, "all_leap": 366, "360_day": 360}


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (cftime.datetime(2010, 1, 1, calendar="standard"), (0.0, 0.0)),
        (cftime.datetime(2010, 7, 2, 12, calendar="noleap"), (0.5, 0.5)),
        (cftime.datetime(2010, 7, 1, calendar="360_day"), (0.5, 0.0)),
        (cftime.datetime(2010, 2, 30, 6, calendar="360_day"), (59.25 / 360, 0.25)),
        (cftime.datetime(2012, 12, 31, 18, calendar="standard"), (365.75 / 366, 0.75)),
        (cftime.datetime(1582, 12, 31, calendar="standard"), (354 / 355, 0.0)),
    ],
)
def test_fractions(date, expected):
    assert year_day_fractions(date) == pytest.approx(expected, abs=1e-12)


@given(
    st.sampled_from(CALENDARS),
    st.integers(1, 3000),
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59),
)
def test_fractions_lie_in_the_unit_interval_and_agree_with_the_day_of_the_year(calendar, y, m, d, hour, minute, second):
    date = cftime.datetime(y, m, d, hour, minute, second, calendar=calendar)
    year, day = year_day_fractions(date)
    assert 0 <= year < 1
    assert 0 <= day < 1
    assert day == pytest.approx((hour * 3600 + minute * 60 + second) / 86400)
    if calendar in DAYS:
        assert year == pytest.approx((date.dayofyr - 1 + day) / DAYS[calendar], abs=1e-9)


@st.composite
def several(draw):
    """Dates of one calendar, also around its gap of 1582, to the microsecond."""
    calendar, start = (
        draw(st.sampled_from(CALENDARS)),
        draw(st.sampled_from(["1582-10-10", "0010-01-01", "2000-02-28"])),
    )
    days = st.floats(-2000, 2000, allow_nan=False)
    numbers = draw(st.lists(days | st.integers(-2000, 2000), min_size=2, max_size=30))
    units = f"days since {start if calendar != 'standard' else start.replace('10-10', '10-04')}"
    return cftime.num2date(numbers, units, calendar)


@given(several())
def test_order_is_that_of_the_dates(dates):
    assert sorted(dates, key=order) == sorted(dates)
    assert len({order(date) for date in dates}) == len(set(dates))


@given(several())
def test_seconds_apart_are_those_of_subtraction(dates):
    expected = [(later - earlier).total_seconds() for earlier, later in pairwise(dates)]
    assert seconds_apart(dates).tolist() == pytest.approx(expected, abs=1e-5)


def test_less_than_two_dates_are_no_seconds_apart():
    assert seconds_apart([]).tolist() == seconds_apart([cftime.datetime(2000, 1, 1)]).tolist() == []


@given(st.sampled_from(CALENDARS), st.integers(1583, 3000), st.integers(1, 12), st.integers(1, 28), st.integers(0, 23))
def test_format_and_parse_are_inverse(calendar, y, m, d, hour):
    date = cftime.datetime(y, m, d, hour, calendar=calendar)
    assert parse_partial(format_time(date), calendar) == date


@given(st.sampled_from(CALENDARS), st.integers(1583, 3000), st.integers(1, 12), st.integers(1, 28))
def test_a_period_ends_one_second_before_the_next_begins(calendar, y, m, d):
    for text in (f"{y:04d}", f"{y:04d}-{m:02d}", f"{y:04d}-{m:02d}-{d:02d}"):
        first, last = parse_partial(text, calendar), parse_partial(text, calendar, end=True)
        assert first < last
        assert (last.hour, last.minute, last.second) == (23, 59, 59)
        assert format_time(last).startswith(text)
        following = last + (last - last.replace(second=58))
        assert not format_time(following).startswith(text)


@pytest.mark.parametrize(
    ("text", "calendar", "end", "expected"),
    [
        ("2010", "standard", False, "2010-01-01T00:00:00"),
        ("2010", "standard", True, "2010-12-31T23:59:59"),
        ("2010", "360_day", True, "2010-12-30T23:59:59"),
        ("2010-02", "360_day", True, "2010-02-30T23:59:59"),
        ("2010-02", "noleap", True, "2010-02-28T23:59:59"),
        ("2012-02", "standard", True, "2012-02-29T23:59:59"),
        ("2010-02-30", "360_day", False, "2010-02-30T00:00:00"),
        ("2010-01-01T06", "standard", True, "2010-01-01T06:59:59"),
        ("2010-01-01 06:30", "standard", True, "2010-01-01T06:30:59"),
        ("2010-01-01T06:30:15Z", "standard", True, "2010-01-01T06:30:15"),
        ("0700", "noleap", False, "0700-01-01T00:00:00"),
    ],
)
def test_parse_partial(text, calendar, end, expected):
    assert format_time(parse_partial(text, calendar, end=end)) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2010-", "2010/01/01", "20100101T06:00-extra", "2010-01-01T"])
def test_malformed_dates_are_refused(text):
    with pytest.raises(ConfigError, match="expected an ISO date"):
        parse_partial(text, "standard")


@pytest.mark.parametrize(
    ("text", "calendar"),
    [("2010-02-30", "standard"), ("2012-02-29", "noleap"), ("2010-01-31", "360_day"), ("2010-13", "standard")],
)
def test_dates_that_the_calendar_lacks_are_refused(text, calendar):
    with pytest.raises(ConfigError, match=f"'{text}' does not exist in the calendar '{calendar}'"):
        parse_partial(text, calendar)
