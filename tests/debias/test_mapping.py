"""The few lines that interpolate: equal to xsdba's own adjustment, sane in the tails, for ties and for missing values."""

import numpy as np
import pytest
import xarray as xr

from zssd_cli.debias import mapping
from zssd_cli.debias.mapping import NODES, Kind, correction, interpolated, quantiles, train

DAYS = 4000


@pytest.fixture
def series():
    """Reference, historical run and a warmer, wider one, (times, 3 points)."""
    rng = np.random.default_rng(3)
    noise = rng.gamma(4, 1, (3, DAYS, 3))
    return noise[0], 1.5 * noise[1] + 0.5, 1.8 * noise[2] + 2


def array(values):
    days = np.datetime64("2000-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "D")
    return xr.DataArray(values, dims=("time", "point"), coords={"time": days}, attrs={"units": "1"})


@pytest.mark.parametrize("kind", list(Kind))
def test_the_same_as_xsdba_adjusts(series, kind):
    """xsdba ranks every value in the whole series, here its rank lies between stored quantiles."""
    from xsdba import QuantileDeltaMapping

    trained = QuantileDeltaMapping.train(
        *(array(one) for one in series[:2]), nquantiles=NODES, kind=str(kind), group="time"
    )
    theirs = trained.adjust(array(series[2]), interp="linear").transpose("time", "point").values
    reference, historical = train(*series[:2], kind)
    model = quantiles(series[2])
    change = interpolated(series[2], model[:, None], correction(reference, historical, kind)[:, None])
    ours = series[2] + change if kind is Kind.DIFFERENCE else series[2] * change
    spread = series[2].std()
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < 0.004 * spread
    assert np.abs(ours - theirs).max() < 0.05 * spread
    assert np.abs(theirs - series[2]).mean() > 0.3 * spread


def test_equal_to_xsdba_to_rounding_where_every_value_is_a_node(monkeypatch):
    """With as many nodes as values nothing is left of the difference."""
    from xsdba import QuantileDeltaMapping

    rng = np.random.default_rng(5)
    reference, historical, target = rng.normal(0, 1, (101, 2)), rng.normal(1, 2, (101, 2)), rng.normal(3, 2, (101, 2))
    nodes = np.linspace(0, 1, 101)
    monkeypatch.setattr(mapping, "NODES", nodes)
    trained = QuantileDeltaMapping.train(array(reference), array(historical), nquantiles=nodes, kind="+", group="time")
    theirs = trained.adjust(array(target), interp="linear").transpose("time", "point").values
    model, both = quantiles(target), train(reference, historical, Kind.DIFFERENCE)
    ours = target + interpolated(target, model[:, None], correction(*both, Kind.DIFFERENCE)[:, None])
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_beyond_the_trained_range_the_correction_is_constant(series):
    reference, historical = train(*series[:2], Kind.DIFFERENCE)
    model, change = quantiles(series[2]), correction(reference, historical, Kind.DIFFERENCE)
    far = np.array([[-1000.0] * 3, [1e6] * 3])
    np.testing.assert_allclose(interpolated(far, model[:, None], change[:, None]), change[[0, -1]])


def test_order_is_kept(series):
    """A larger value stays the larger one wherever the reference's quantiles ascend."""
    reference, historical = train(series[0], series[1], Kind.DIFFERENCE)
    values = np.linspace(series[1].min() - 5, series[1].max() + 5, 500)[:, None] * np.ones(3)
    after = values + interpolated(
        values, historical[:, None], correction(reference, historical, Kind.DIFFERENCE)[:, None]
    )
    assert (np.diff(after, axis=0) > -1e-9).all()


def test_ties_get_the_middle_of_their_quantiles():
    model = np.array([0.0, 0.0, 0.0, 1.0, 2.0])[:, None]
    change = np.arange(5.0)[:, None]
    found = [float(interpolated(np.array([x]), model, change)[0]) for x in (-1.0, 0.0, 0.5, 1.0, 2.0, 3.0)]
    assert found == [0.0, 1.0, 2.5, 3.0, 4.0, 4.0]
    flat = np.full((5, 1), 7.0)
    assert [float(interpolated(np.array([x]), flat, change)[0]) for x in (6.0, 7.0, 8.0)] == [0.0, 2.0, 4.0]


def test_missing_values_and_points_stay_missing(series):
    one = series[0].copy()
    one[: DAYS // 2 + 1, 0], one[5, 1] = np.nan, np.nan
    reference, historical = train(one, series[1][: DAYS // 3], Kind.DIFFERENCE)
    assert np.isnan(reference[:, 0]).all()
    np.testing.assert_allclose(reference[:, 1], np.nanquantile(one[:, 1], NODES), atol=1e-9)
    np.testing.assert_allclose(historical[:, 2], np.quantile(series[1][: DAYS // 3, 2], NODES), atol=1e-9)
    values = np.array([[1.0, np.nan, 1.0]])
    change = interpolated(values, historical[:, None], correction(reference, historical, Kind.DIFFERENCE)[:, None])
    assert np.isnan(change[0]).tolist() == [True, True, False]


def test_ratios_are_bounded_where_the_wind_is_calm():
    assert correction(np.array([1.0, 0.0]), np.array([0.0, 2.0]), Kind.RATIO).tolist() == [5.0, 0.2]
