"""On a made world: the bias goes, the change stays, in every season and calendar; what the file says of itself."""

import numpy as np
import pytest
import xarray as xr

from tests.debias.conftest import TREND, fit
from tests.debias.made import GCM, MODEL, SPREAD, dates, write
from zssd_cli.debias.gathering import gather
from zssd_cli.debias.summary import biases, shares
from zssd_cli.series.reading import open_source
from zssd_cli.times import year_day_fractions


def means(path, grid, tmp_path):
    """Times and block means, (times, 1, h, w)."""
    source = open_source(path, ["msl"])
    found = gather(source, ["msl"], grid, tmp_path / "means")
    return found.times, np.array(found.values).transpose(2, 0, 1, 3)


@pytest.fixture(scope="module")
def worlds(files, fitted, tmp_path_factory):
    """Block means of all three, of the latter two also adjusted, over the blocks that all have."""
    found = {role: means(path, fitted.grid, tmp_path_factory.mktemp("means")) for role, path in files.items()}
    for role in ("historical", "target"):
        times, values = found[role]
        found[f"{role} adjusted"] = times, fitted.adjust(["msl"], times, fitted.grid, values)
    inside = np.isfinite(found["target"][1][0, 0])
    assert inside.sum() == 63
    return {role: (times, values[:, 0][:, inside]) for role, (times, values) in found.items()}


def by_quarter(times, values):
    quarter = (np.array([year_day_fractions(t)[0] for t in times]) * 4).astype(int)
    return np.array([values[quarter == q].mean(0) for q in range(4)]), np.array(
        [values[quarter == q].std(0) for q in range(4)]
    )


def test_the_historical_runs_bias_is_gone(worlds):
    mean, spread = by_quarter(*worlds["reference"])
    before, wide = by_quarter(*worlds["historical"])
    after, narrow = by_quarter(*worlds["historical adjusted"])
    assert np.abs(before - mean).max() > 600
    assert np.median(wide / spread) > 1.35
    # windows of 31 days reach over the quarters' ends: what is left is sampling there, 700 Pa in ten years of weather
    np.testing.assert_allclose(after, mean, atol=0.06 * SPREAD["psl"])
    assert np.sqrt(np.mean((after - mean) ** 2)) < 0.025 * SPREAD["psl"]
    np.testing.assert_allclose(narrow / spread, 1, atol=0.05)


def test_the_change_is_kept_to_five_percent(worlds):
    change, kept = (
        worlds[f"target{end}"][1].mean(0) - worlds[f"historical{end}"][1].mean(0) for end in ("", " adjusted")
    )
    assert change.mean() == pytest.approx(TREND * 20 * SPREAD["psl"], rel=0.1)
    np.testing.assert_allclose(kept / change, 1, atol=0.05)


def test_the_change_is_kept_decade_by_decade(worlds):
    def half_to_half(values):
        half = len(values) // 2
        return values[half:].mean() - values[:half].mean()

    change, kept = (half_to_half(worlds[f"target{end}"][1]) for end in ("", " adjusted"))
    assert kept == pytest.approx(change, rel=0.05)


def test_the_file_says_what_it_was_made_of(files, fitted):
    said = fitted.attributes
    assert "quantile delta mapping" in said["zssd_debias"]
    assert "by 31d: msl additive" in said["zssd_debias"]
    assert said["zssd_debias_target"] == (
        "source_id TOY-ESM; experiment_id ssp585; tracking_id hdl:1/ssp; period 2015-01-01/2034-12-31"
    )
    with xr.open_dataset(fitted.path) as data:
        assert {"msl_reference", "msl_model", "msl_trend"} == set(data.data_vars) - {"counts", "span_years"}
        assert data["msl_model"].dims == ("span", "season", "quantile", "lat", "lon")
        assert "xsdba" in data.attrs["source"]
        assert data["counts"].min() >= 300
    row = biases(fitted)["msl"]
    assert (row.mean, row.spread) == (pytest.approx(0.8 * 700, rel=0.15), pytest.approx(1.4, abs=0.03))


def test_a_mean_of_quantiles_is_the_mean_although_the_tails_have_more_nodes(fitted):
    with xr.open_dataset(fitted.path) as data:
        nodes = data["quantile"].to_numpy()
    assert shares(nodes).sum() == pytest.approx(1)
    assert (-np.log(1 - nodes) * shares(nodes)).sum() == pytest.approx(1, abs=0.01)  # exponential; .01 is in its tail
    assert (-np.log(1 - nodes)).mean() > 1.2


@pytest.mark.parametrize("calendar", ["360_day", "standard"])
@pytest.mark.parametrize("window", ["month", "31d"])
def test_other_calendars_and_windows(files, tmp_path, calendar, window):
    model = write(tmp_path / "hist.nc", ["psl"], dates(1995, 10, calendar), MODEL, seed=11, attributes=GCM)
    found = fit({"reference": files["reference"], "historical": model}, tmp_path / "bias.nc", window=window)
    times, values = means(model, found.grid, tmp_path)
    _, truth = means(files["reference"], found.grid, tmp_path)
    after = found.adjust(["msl"], times, found.grid, values)
    inside = np.isfinite(values[0, 0])
    np.testing.assert_allclose(after.mean((0, 1))[inside], truth.mean((0, 1))[inside], atol=0.03 * SPREAD["psl"])
    assert np.isfinite(after[:, :, inside]).all()


def test_a_missing_block_stays_missing(fitted):
    times = dates(2020, 1, "noleap")[:3]
    blocks = np.full((3, 1, *fitted.grid.shape), np.nan)
    blocks[1, 0, 5, 5] = 101_000.0
    after = fitted.adjust(["msl"], times, fitted.grid, blocks)
    assert np.isfinite(after).sum() == 1
    assert np.isfinite(after[1, 0, 5, 5])


def test_no_year_is_lost_at_the_new_year(fitted):
    """Weights add up to one on every date, leap days too."""
    for time in dates(2015, 20, "noleap")[::11] + dates(1995, 10, "standard")[::7]:
        assert sum(weight for _, _, weight in fitted.weights(time)) == pytest.approx(1)


def test_blocks_of_a_smaller_region_are_adjusted_alike(files, fitted, tmp_path):
    from zssd_cli.grids.latlon import Region, block_grid

    times, values = means(files["target"], fitted.grid, tmp_path)
    small = block_grid(5, Region(370, 380, 30, 45))
    rows = [int(np.flatnonzero(fitted.grid.lat == lat)[0]) for lat in small.lat]
    columns = [int(np.flatnonzero(fitted.grid.lon == lon - 360)[0]) for lon in small.lon]
    part = values[:5][:, :, rows][:, :, :, columns]
    whole = fitted.adjust(["msl"], times[:5], fitted.grid, values[:5])
    np.testing.assert_array_equal(fitted.adjust(["msl"], times[:5], small, part), whole[:, :, rows][:, :, :, columns])
