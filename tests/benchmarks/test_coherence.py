"""benchmarks/coherence.py: what counts as a fine scale, how its change is measured, and one toy run."""

from dataclasses import replace

import coherence
import numpy as np
import pytest

from zssd_cli.grids.latlon import Region, fine_grid

GRID = fine_grid(Region(0, 20, -10, 10))


def wave(degrees: float, phase: float = 0.0) -> np.ndarray:
    return np.cos(2 * np.pi * GRID.lon / degrees + phase)[None, :] * np.ones((GRID.lat.size, 1))


def test_fine_scales_are_the_short_waves():
    short, long = wave(1.25), wave(10.0)
    fine = coherence.fine_scales(short + long, GRID)
    inner = np.s_[20:-20, 20:-20]
    assert np.corrcoef(fine[inner].ravel(), short[inner].ravel())[0, 1] > 0.99
    assert coherence.fine_scales(long, GRID).std() < 0.01


def test_a_wave_that_turns_by_a_right_angle_changes_by_its_own_power_twice():
    fields = np.stack([wave(1.25), wave(1.25, np.pi / 2)])[:, None, None]
    change = coherence.change(fields, 1, GRID.area)
    assert change == pytest.approx([1.0], abs=0.02)  # root of twice one half
    assert coherence.correlation(fields, 1, GRID.area) == pytest.approx([0.0], abs=0.02)


def test_one_run(world, setting, monkeypatch, tmp_path, capsys):
    world = replace(world, first=0)
    monkeypatch.setattr(coherence, "FIELDS", {world: (1,)})
    monkeypatch.setattr(coherence, "open_prior", lambda _: setting)
    path = tmp_path / "rows.json"
    words = ["--kinds", "independent,fixed", "--members", "2", "--json", str(path)]
    coherence.main(words)
    rows = {row["name"]: row["records"][world.name] for row in coherence.Store(path).rows}
    assert rows["fixed"]["ratio"]["1"]["u10"] < rows["independent"]["ratio"]["1"]["u10"]
    assert "smooth" not in capsys.readouterr().out
