"""The scores of the benchmarks against closed forms."""

import numpy as np
import pytest
from harness.scoring import score
from harness.store import Store

from zssd_cli.grids.latlon import Region, fine_grid

GRID = fine_grid(Region(0, 20, 0, 20))
NAMES = ("msl", "u10", "v10")


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal((*shape, *GRID.shape)).astype(np.float32)


def test_an_ensemble_drawn_like_the_truth_has_the_crps_of_theory():
    scores = score([draw(8, 3, seed=1)], draw(1, 3), NAMES, GRID)
    for name in NAMES:
        # E|X - y| - E|X - X'| / 2 = 2/sqrt(pi) - 1/sqrt(pi) for standard normals
        assert scores[name]["crps"] == pytest.approx(1 / np.sqrt(np.pi), abs=0.02)
        assert scores[name]["spread_skill"] == pytest.approx(1, abs=0.03)
        assert scores[name]["mae"] == pytest.approx(np.sqrt(2 / np.pi) * np.sqrt(1 + 1 / 8), abs=0.02)
        assert abs(scores[name]["p99_error"]) < 0.1
    assert set(scores) == {*NAMES, "wind_speed"}


def test_the_truth_itself_scores_zero():
    truth = draw(2, 3)
    scores = score([np.stack([field, field]) for field in truth], truth, NAMES, GRID)
    for values in scores.values():
        assert [values[key] for key in ("crps", "mae", "p99_error")] == [0, 0, 0]
        assert [values[key] for key in ("lsd_db", "worst_db")] == pytest.approx([0, 0], abs=1e-6)


def test_three_decibels_too_much_power_are_seen_at_every_wavelength():
    truth = draw(1, 3)
    scores = score([truth * 10 ** (3 / 20)], truth, NAMES, GRID)
    assert scores["msl"]["lsd_db"] == pytest.approx(3, abs=1e-4)
    assert scores["msl"]["worst_db"] == pytest.approx(3, abs=1e-4)


def test_wind_speed_is_scored_from_both_components():
    truth = np.zeros((1, 3, *GRID.shape), np.float32)
    wind = np.stack([np.zeros(GRID.shape), np.full(GRID.shape, 3.0), np.full(GRID.shape, 4.0)])[None]
    assert score([wind], truth, NAMES, GRID)["wind_speed"]["crps"] == pytest.approx(5)


def test_measurements_outlive_the_program_and_belong_to_their_settings(tmp_path):
    path = tmp_path / "rows.json"
    first = Store(path)
    first.add(first.row("a", {"members": 2}), "here", {"crps": 1.0, "spread_skill": float("nan")})
    again = Store(path)
    assert again.record(again.row("a", {"members": 2}), "here") == {"crps": 1.0, "spread_skill": None}
    assert again.record(again.row("a", {"members": 3}), "here") is None
    assert again.record(again.row("a", {"members": 2}), "there") is None


def test_redo_measures_once_more_and_then_keeps(tmp_path):
    path = tmp_path / "rows.json"
    first = Store(path)
    first.add(first.row("a", {}), "here", {"crps": 1.0})
    redo = Store(path, redo=True)
    row = redo.row("a", {})
    assert redo.record(row, "here") is None
    redo.add(row, "here", {"crps": 2.0})
    assert redo.record(row, "here") == {"crps": 2.0}
