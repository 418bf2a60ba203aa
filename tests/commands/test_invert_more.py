"""Whole runs of ``zssd invert`` with measured conductivities, outlines, uncertain forcing and forecasts."""

import numpy as np
import pytest
import xarray as xr

from tests.commands.test_invert import DOMAIN, domain, invert, measured, priors, refused, write_csv, write_netcdf

__all__ = ["domain", "invert", "priors", "refused"]  # fixtures

K = 3e-5
"""Far from what heads alone suggest: the median of the true field is 1e-5."""


def with_k(table, rows, error=0.05, k=K):
    """The table with conductivities measured in some rows."""
    count = len(table["x"])
    found = {name: np.full(count, np.nan) for name in ("k", "k_error")}
    found["k"][rows], found["k_error"][rows] = k, error
    return table | found


def blank(path, table, **options):
    """A CSV with empty cells for NaN."""
    write_csv(path, table, **options)
    path.write_text(path.read_text().replace("nan", ""))
    return path


def test_measured_conductivities_are_met_within_their_errors(invert, domain, tmp_path):
    path = domain()
    table = with_k(measured(path), [2, 5])
    done = invert(blank(tmp_path / "wells.csv", table), path)
    assert done.code == 0, done.err
    assert "12 heads" in done.err
    assert "2 conductivities" in done.err
    with xr.open_dataset(tmp_path / "out.nc") as data:
        np.testing.assert_allclose(data.point_log_k, np.log(K))
        for x, y in zip(table["x"][[2, 5]], table["y"][[2, 5]], strict=True):
            cell = data.log_k.sel(x=x, y=y, method="nearest")
            assert float(abs(cell - np.log(K)).max()) < 0.25
        assert float((data.point_residual_member**2).mean()) ** 0.5 < 0.12


def test_a_conductivity_needs_no_head_and_files_agree(invert, domain, tmp_path):
    path = domain()
    table = with_k(measured(path), [0])
    table["head"][0] = table["error"][0] = np.nan
    names = {"k": "m s-1", "k_error": "1"}
    for out, source in (
        ("csv.nc", blank(tmp_path / "w.csv", table)),
        ("nc.nc", write_netcdf(tmp_path / "w.nc", table, **names)),
    ):
        done = invert(source, path, out=out)
        assert done.code == 0, done.err
        assert "11 heads" in done.err
        assert "1 conductivities" in done.err
    with xr.open_dataset(tmp_path / "csv.nc") as one, xr.open_dataset(tmp_path / "nc.nc") as other:
        xr.testing.assert_equal(one.log_k, other.log_k)


def test_conductivities_in_metres_a_day(invert, domain, tmp_path):
    path = domain()
    table = with_k(measured(path), [1], k=K * 86400)
    header = [f"{name} [m/d]" if name == "k" else name for name in table]
    done = invert(blank(tmp_path / "wells.csv", table, header=header), path)
    assert done.code == 0, done.err
    assert "k converted from m/d" in done.err
    with xr.open_dataset(tmp_path / "out.nc") as data:
        np.testing.assert_allclose(data.point_log_k, np.log(K))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k_error": None}, ("it has a column k, expected k_error",)),
        ({"k": -1.0}, ("sensor 1, k: expected a positive number",)),
        ({"k_error": 1e-6}, ("sensor 1, k_error", "at least 0.01")),
        ({"k": 2.5}, ("does not fit the expected", "m/d or cm/s instead?")),
        ({"k": np.nan}, ("sensor 1, k: expected a finite number",)),
    ],
)
def test_conductivities_that_are_refused(refused, domain, tmp_path, change, words):
    path = domain()
    table = with_k(measured(path), [0])
    for name, value in change.items():
        if value is None:
            del table[name]
        else:
            table[name][0] = value
    refused(words, blank(tmp_path / "w.csv", table), path)


def test_two_conductivities_at_one_place_are_refused(refused, domain, tmp_path):
    path = domain()
    table = with_k(measured(path), [0, 1])
    table["x"][1], table["y"][1], table["head"][1], table["error"][1] = table["x"][0], table["y"][0], np.nan, np.nan
    table["k"][1] *= 2
    refused(("two conductivities are given at",), blank(tmp_path / "w.csv", table), path)


OUTLINE = [[1000.0, 0.0], [1320.0, 0.0], [1320.0, 100.0], [1160.0, 160.0], [1000.0, 160.0]]


def test_an_outline_leaves_the_rest_missing(invert, domain, tmp_path):
    path = domain(outline=OUTLINE)
    table = measured(domain())
    inside = (table["x"] < 1150) | (table["y"] < 90)
    done = invert(
        write_csv(tmp_path / "w.csv", {name: values[inside] for name, values in table.items()}),
        domain(outline=OUTLINE), "--plot", tmp_path / "out.png",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "16 x 16 cells, " in done.err
    assert " inactive" in done.err
    with xr.open_dataset(tmp_path / "out.nc") as data:
        for name in ("log_k_mean", "log_k_std", "log_k_map", "head_mean", "head_map"):
            missing = data[name].isnull()
            assert bool(missing.sel(x=1310, y=155)), name
            assert not bool(missing.sel(x=1010, y=155)), name
            assert 10 < int(missing.sum()) < 40, name
        assert not data.log_k.isel(x=0).isnull().any()
    refused_at = {name: np.append(values[inside], values[0]) for name, values in table.items()}
    refused_at["x"][-1], refused_at["y"][-1] = 1310.0, 155.0
    done = invert(write_csv(tmp_path / "w.csv", refused_at), path, out="no.nc")
    assert done.code == 1
    assert "lies in an inactive cell" in done.err


def test_uncertain_recharge_and_heads_are_found_with_the_conductivity(invert, domain, tmp_path):
    known = {"recharge": 2e-8, "anisotropy": 0.5}
    true = {"west": {"head": 10.8}, "east": {"head": 5.2}}
    table = measured(domain(**(known | {"recharge": 2.6e-8}), boundaries=true), waves=0.0)
    path = domain(**known, uncertain={"recharge": 0.3, "west": 1.0, "east": "1 m"})
    done = invert(write_csv(tmp_path / "w.csv", table), path, "--members", "16")
    assert done.code == 0, done.err
    assert "Uncertain  recharge, west, east" in done.err
    with xr.open_dataset(tmp_path / "out.nc") as data:
        assert float(data.recharge_factor.min()) > 0
        for name, right in (("head_shift_west", 0.8), ("head_shift_east", -0.8), ("recharge_factor", 1.3)):
            assert abs(float(data[name].mean()) - right) < 2.5 * float(data[name].std()), name
        assert float(data.head_shift_west.std()) < 0.4
        assert float(data.head_shift_east.std()) < 0.4


FORECAST = {
    "wells": [{"x": 1200.0, "y": 80.0, "rate": "-1 m3/d"}],
    "quantities": [
        {"name": "Head at the school", "head": [1100.0, 50.0]},
        {"name": "to the east", "inflow": "east"},
        {"name": "from the west", "capture": "west"},
    ],
}


def test_a_forecast_is_told_and_written(invert, domain, tmp_path):
    path = domain(forecast=FORECAST)
    done = invert(write_csv(tmp_path / "w.csv", measured(path)), path)
    assert done.code == 0, done.err
    assert "Forecast   Head at the school: " in done.err
    assert "5 to 95 percent of the members" in done.err
    with xr.open_dataset(tmp_path / "out.nc") as data:
        assert data.forecast_head_at_the_school.attrs["units"] == "m"
        assert data.forecast_head_at_the_school.dims == ("member",)
        assert (data.forecast_to_the_east < 0).all()
        assert ((data.forecast_from_the_west > 0) & (data.forecast_from_the_west < 1)).all()


@pytest.mark.parametrize(
    ("forecast", "words"),
    [
        ({"quantities": []}, ("forecast.quantities",)),
        ({"quantities": [{"name": "a"}]}, ("expected one of head, flux, inflow and capture, got none",)),
        ({"quantities": [{"name": "a", "inflow": "north"}]}, ("side north has no fixed head",)),
    ],
)
def test_forecasts_that_are_refused(refused, domain, tmp_path, forecast, words):
    path = domain(forecast=forecast)
    refused(words, write_csv(tmp_path / "w.csv", measured(domain())), domain(forecast=forecast))
    assert path.exists()


def test_units_in_the_domain_file(invert, domain, tmp_path):
    table = measured(domain())
    feet = domain(size=["1049.8687664 ft", "160 m"], thickness="500 cm", recharge="0 in/yr")
    for out, path in (("feet.nc", feet), ("metres.nc", None)):
        done = invert(write_csv(tmp_path / "w.csv", table), path or domain(**DOMAIN), out=out)
        assert done.code == 0, done.err
    with xr.open_dataset(tmp_path / "feet.nc") as one, xr.open_dataset(tmp_path / "metres.nc") as other:
        np.testing.assert_allclose(one.log_k, other.log_k, atol=0.02)
