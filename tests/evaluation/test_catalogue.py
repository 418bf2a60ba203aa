"""What users read about scores is what the code says."""

from pathlib import Path

import pytest

from zssd_cli.evaluation.catalogue import SCORES, meaning

DOCS = Path(__file__).parents[2] / "docs" / "evaluate.md"


@pytest.mark.parametrize("name", SCORES)
def test_docs_say_what_the_catalogue_says(name) -> None:
    score = SCORES[name]
    cells = (f"`{name}`", score.heading, score.line.replace("|", "\\|"), score.good, score.source)
    assert f"| {' | '.join(cells)} |" in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["quantile_99", "quantile_99_error", "power_2_4_degree_db", "difference_crps", "change_mean_apart"]
)
def test_families_have_a_meaning(name) -> None:
    assert meaning(name)
