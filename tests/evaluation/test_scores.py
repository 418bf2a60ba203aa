"""Scores against closed forms."""

import numpy as np
import pytest

from zssd_cli.evaluation.scores import QuantileSketch, ScoreSums, fair_crps


def brute_force_crps(errors: np.ndarray) -> np.ndarray:
    m = errors.shape[0]
    pairs = np.abs(errors[:, None] - errors[None]).sum((0, 1))
    return np.abs(errors).mean(0) - pairs / (2 * m * (m - 1))


def test_crps_of_two_members() -> None:
    # mean |e| = (1 + 3) / 2, pair term = |1 - (-3)| / 2
    np.testing.assert_allclose(fair_crps(np.array([[1.0], [-3.0]])), [2.0 - 2.0])
    np.testing.assert_allclose(fair_crps(np.array([[1.0], [3.0]])), [2.0 - 1.0])


@pytest.mark.parametrize("m", [2, 3, 8])
def test_crps_by_sorting_equals_all_pairs(m: int) -> None:
    errors = np.random.default_rng(0).normal(1, 2, (m, 5, 7))
    np.testing.assert_allclose(fair_crps(errors), brute_force_crps(errors), rtol=1e-12)


def test_crps_of_one_member_is_absolute_error() -> None:
    np.testing.assert_array_equal(fair_crps(np.array([[-2.0, 3.0]])), [2.0, 3.0])


def test_crps_agrees_with_the_scores_package() -> None:
    probability = pytest.importorskip("scores.probability")
    xr = pytest.importorskip("xarray")
    rng = np.random.default_rng(1)
    members, truth = rng.normal(size=(6, 50)), rng.normal(size=50)
    theirs = probability.crps_for_ensemble(
        xr.DataArray(members, dims=("member", "cell")), xr.DataArray(truth, dims="cell"), "member", method="fair"
    )
    assert fair_crps(members - truth).mean() == pytest.approx(float(theirs), rel=1e-10)


def test_latitude_weights_count() -> None:
    truth = np.zeros((2, 3))
    sums = ScoreSums()
    sums.add(np.array([[[1.0] * 3, [-4.0] * 3]]), truth, np.array([[3.0] * 3, [1.0] * 3]))
    scores = sums.result()
    assert scores.mae == pytest.approx((3 * 1 + 4) / 4)
    assert scores.rmse == pytest.approx(np.sqrt((3 * 1 + 16) / 4))
    assert scores.bias == pytest.approx((3 * 1 - 4) / 4)
    assert scores.crps == pytest.approx(scores.mae)
    assert np.isnan(scores.spread_skill)
    assert scores.rank_histogram == ()


def test_reliable_ensemble() -> None:
    rng = np.random.default_rng(2)
    sums = ScoreSums()
    for _ in range(20):
        centre = rng.normal(0, 5, (60, 60))
        sums.add(centre + rng.normal(size=(5, 60, 60)), centre + rng.normal(size=(60, 60)), np.ones((60, 60)))
    scores = sums.result()
    assert scores.spread_skill == pytest.approx(1, abs=0.01)
    assert scores.rmse == pytest.approx(np.sqrt(1 + 1 / 5), abs=0.01)
    assert scores.crps == pytest.approx(1 / np.sqrt(np.pi), abs=0.01)
    np.testing.assert_allclose(scores.rank_histogram, 1 / 6, atol=0.01)
    assert scores.p99_error == pytest.approx(0, abs=0.15)


def test_masked_cells_do_not_count() -> None:
    truth = np.array([[1.0, np.nan]])
    sums = ScoreSums()
    sums.add(np.array([[[2.0, 7.0]], [[2.0, np.nan]]]), truth, np.array([[1.0, 0.0]]))
    assert sums.result().mae == 1
    empty = ScoreSums()
    empty.add(np.full((1, 1, 1), np.nan), np.full((1, 1), np.nan), np.zeros((1, 1)))
    assert np.isnan(empty.result().mae)


def test_float32_pressure_keeps_its_digits() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(101325, 1000, (200, 200)).astype(np.float32)
    members = (truth + np.float32(0.5)).astype(np.float32)[None]
    sums = ScoreSums()
    sums.add(members, truth, np.ones(truth.shape))
    assert sums.result().bias == pytest.approx(0.5, abs=1e-3)
    assert sums.result().p99_error == pytest.approx(0.5, abs=1.0)


def test_quantiles_of_a_stream() -> None:
    rng = np.random.default_rng(4)
    values = rng.gamma(2.0, 3.0, 100_000)
    sketch = QuantileSketch(6.0, 4.2)
    for part in np.split(values, 10):
        sketch.add(part, np.ones(part.size))
    for level in (0.01, 0.5, 0.99):
        assert sketch.quantile(level) == pytest.approx(np.quantile(values, level), abs=0.01)


def test_quantiles_with_weights_and_outliers() -> None:
    sketch = QuantileSketch(0.0, 1.0)
    sketch.add(np.array([0.0, 1.0, 1e30]), np.array([98.5, 1.0, 0.5]))
    assert sketch.quantile(0.99) == pytest.approx(1, abs=2e-3)
    assert sketch.quantile(0.5) == pytest.approx(0, abs=2e-3)


def test_constant_truth() -> None:
    sums = ScoreSums()
    sums.add(np.full((2, 3, 3), 2.0), np.full((3, 3), 2.0), np.ones((3, 3)))
    scores = sums.result()
    assert scores.mae == scores.rmse == 0
    assert np.isnan(scores.spread_skill)
    assert scores.p99_error == pytest.approx(0, abs=1e-5)


def test_a_damped_mean_has_a_slope_above_one() -> None:
    """Half the amplitude: correlation does not see it, the slope of the truth on the mean does."""
    truth = np.random.default_rng(5).normal(101325, 100, (3, 40, 50))
    sums = ScoreSums()
    for y in truth:
        mean = 101325 + (y - 101325) / 2
        sums.add(np.stack([mean - 10, mean + 10]), y, np.ones(y.shape))
    scores = sums.result()
    assert (scores.slope, scores.correlation) == pytest.approx((2, 1), abs=1e-6)
    assert scores.std_truth == pytest.approx(truth.std(), rel=1e-6)
    assert scores.std_mean == pytest.approx(truth.std() / 2, rel=1e-6)
    assert scores.std_member == pytest.approx(np.hypot(truth.std() / 2, 10), rel=1e-6)
