"""What an output says of its variables: what they were held to, and what the input says of time."""

from types import SimpleNamespace

import numpy as np
import pytest

from zssd_cli.grids.latlon import Region, fine_grid
from zssd_cli.posterior.provenance import Observed, evidence, time_method
from zssd_cli.posterior.together import Result


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


def result(time, holes, rows=slice(0, 0)):
    """One time of a 5 x 5 grid: cells that were drawn by variable, rows without any value."""
    values = np.zeros((1, 3, 5, 5), np.float32)
    values[:, :, rows] = np.nan
    return Result(time, 0, values, np.zeros(2), holes)


def test_observed_share_by_area_over_cells_and_times():
    """Cells without any value do not count; speed that was not seen is wind that was not seen."""
    grid = fine_grid(Region(0, 1, 59, 60))
    job = SimpleNamespace(source=SimpleNamespace(variables=("msl", "si10")), domain=SimpleNamespace(output=grid))
    observed = Observed(("msl", "u10", "t2m"), job)
    hole = np.zeros((5, 5), bool)
    hole[:2] = True
    assert observed.add(result(0, {})) == {}
    drawn = observed.add(result(1, {"si10": hole}, rows=slice(4, 5)))
    assert list(drawn) == ["u10"]
    np.testing.assert_array_equal(drawn["u10"], hole)
    rows = grid.area[:, 0]
    share = 1 - rows[:2].sum() / (rows.sum() + rows[:4].sum())
    assert observed.shares == pytest.approx({"u10": share})
    said = observed.describe("u10")
    assert said == {"zssd_observed": "partly, as wind speed (si10)", "zssd_observed_share": round(share, 4)}


def test_a_variable_that_was_seen_nowhere_is_inferred():
    grid = fine_grid(Region(0, 1, 59, 60))
    job = SimpleNamespace(source=SimpleNamespace(variables=("msl", "u10")), domain=SimpleNamespace(output=grid))
    observed = Observed(("u10",), job)
    observed.add(result(0, {"u10": np.ones((5, 5), bool)}))
    assert observed.describe("u10") == {"zssd_observed": "no", "zssd_observed_share": 0.0}
