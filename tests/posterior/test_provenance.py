"""What an output says of its variables: what they were held to, and what the input says of time."""

import pytest

from zssd_cli.posterior.provenance import evidence, time_method


@pytest.mark.parametrize(
    ("name", "observed", "expected"),
    [
        ("msl", ("msl",), ("msl",)),
        ("u10", ("msl", "u10"), ("u10",)),
        ("u10", ("msl",), ()),
        ("u10", ("msl", "si10"), ("si10",)),
        ("msl", ("u10", "si10"), ()),
        ("si10", ("msl", "si10"), ("si10",)),
        ("si10", ("msl", "u10", "v10"), ("u10", "v10")),
        ("si10", ("msl", "u10"), ()),
    ],
)
def test_what_a_variable_is_held_to(name, observed, expected):
    assert evidence(name, observed) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("area: mean time: point", "time: point"),
        ("area: time: mean", "time: mean"),
        ("time: mean (interval: 6 hours)", "time: mean (interval: 6 hours)"),
        ("time: lat: lon: mean", "time: mean"),
        ("area: mean where land time: maximum", "time: maximum"),
        ("", ""),
        ("area: mean", ""),
        ("time: maximum within days time: mean over days", ""),
        ("time: mean over years", ""),
        ("time: avg", ""),
        ("forecast_time: mean", ""),
    ],
)
def test_what_the_input_says_of_time(given, expected):
    assert time_method(given) == expected
