"""A suite as one page that needs nothing else: the table, every trial's verdict and spectra, how it was made."""

from collections.abc import Sequence
from typing import Any

from zssd_cli.evaluation.results import OURS
from zssd_cli.page.building import charts, document, items, provenance, spectra
from zssd_cli.page.charts import table as html_table
from zssd_cli.suites import table
from zssd_cli.suites.catalogue import Suite
from zssd_cli.suites.running import Outcome


def page(
    suite: Suite, outcomes: Sequence[Outcome], left_out: dict[str, str], files: dict[str, Any], command: str
) -> str:
    """The page as text."""
    shown = table.columns(suite)
    rows = [
        [line.trial, f"{line.variable}{' (inferred)' if line.inferred else ''} [{line.units}]", line.system, *line.cells(shown)]
        for line in table.lines(suite, outcomes)
    ]  # fmt: skip
    heads = ["trial", "variable", "method", *(column.one_line for column in shown)]
    notes = (f"Note: {note}" for note in table.notes(outcomes, left_out))
    parts = {
        "Scores": html_table(heads, rows, "Scores, and their intervals", wide=3, strong=OURS)
        + items(table.legend(suite))
        + items(table.sizes(outcomes))
        + items(notes),
        **{
            f"Trial {o.trial.name}": items(o.evaluation.verdict, "verdict") + charts(spectra(o.evaluation.spectra))
            for o in outcomes
        },
        "Provenance": provenance({name: ", ".join(told) for name, told in files.items()}, command),
    }
    return document(table.title(suite), "Every trial is one downscaling, scored on its own.", parts)
