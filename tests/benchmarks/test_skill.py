"""benchmarks/skill.py on a toy world: one command, one table, rows of another prior beside it."""

import json

import numpy as np
import pytest
import skill
from harness.engine import Counter, Drawn
from harness.fields import SMALL
from harness.scoring import baseline


@pytest.fixture
def card(world, setting, monkeypatch, tmp_path):
    monkeypatch.setattr(skill, "LARGE", (world,))
    monkeypatch.setattr(skill, "open_prior", lambda _: setting)

    def call(name, *more):
        path = tmp_path / f"{name}.json"
        words = ["--label", name, "--members", "2", "--scales", "5", "--json", str(path), *more]
        skill.main([*words, "--markdown", str(tmp_path / "card.md")])
        return path, (tmp_path / "card.md").read_text()

    return call


def test_the_table_has_a_row_for_every_method_and_variable(card):
    first, _ = card("first")
    _, text = card("second", "--other", f"older={first}")
    lines = [line for line in text.splitlines() if line.startswith("| toy world")]
    assert len(lines) == 4 * 4  # variables and wind speed; second, older, bilinear, bicubic
    bilinear = next(line for line in lines if "bilinear" in line and "u10" in line)
    assert bilinear.split("|")[6].strip() == "1"
    assert bilinear.split("|")[2].strip() == "x20"
    # the same untrained network twice: the same numbers
    assert [v for v in lines if "second" in v][0].split("second")[1] == [v for v in lines if "older" in v][0].split(
        "older"
    )[1]


def interpolated(_setting, job):
    """Bilinear interpolation twice instead of two members: cheap."""
    members = np.repeat(baseline("bilinear", job.source, job.domain.output), 2, 1)
    return Drawn(members, job.domain.output, 0.0, Counter())


def test_what_is_measured_is_not_measured_again(card, monkeypatch):
    monkeypatch.setattr(skill, "draw", interpolated)
    path, text = card("first")
    monkeypatch.setattr(skill, "draw", lambda *_: pytest.fail("measured again"))
    assert card("first")[1] == text
    assert {row["name"] for row in json.loads(path.read_text())} == {"first", "bilinear", "bicubic"}


def test_only_ifs_gets_the_low_pass_of_the_training():
    ifs, era5 = SMALL[0], SMALL[2]
    assert (ifs.filtered(24).lowpass_km, era5.filtered(24).lowpass_km) == (24, 0)
    assert ifs.filtered(24).name != ifs.name
    assert ifs.filtered(0) is ifs


def test_a_field_counts_once_in_the_mean():
    rows = [([name, "x20", "msl", "a"], {}) for name in ("IFS A", "IFS A, low-pass 24 km", "ERA5 B")]
    assert [label[0] for label, _ in skill.one_truth(rows)] == ["IFS A, low-pass 24 km", "ERA5 B"]
