"""What ``zssd evaluate`` does after its options are parsed: score, show, write."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from zssd_cli import api
from zssd_cli.commands.shared import Page, command_line, say
from zssd_cli.errors import UsageError
from zssd_cli.evaluation.alignment import open_output
from zssd_cli.evaluation.report import as_csv, as_dict, as_markdown, as_table
from zssd_cli.evaluation.results import Evaluation
from zssd_cli.evaluation.tables import difference_lines, group_table, legend, shown_columns
from zssd_cli.files import atomic_pair

TOLD = (
    "title", "summary", "source", "history", "zssd_source_id", "zssd_experiment_id", "zssd_variant_label", "zssd_prior",
    "zssd_prior_sha256", "zssd_guidance", "zssd_steps", "zssd_seed", "zssd_time_noise", "zssd_notes", "zssd_doubts",
)  # fmt: skip
"""Attributes of an output that a page shows."""


@dataclass(frozen=True)
class Targets:
    """Files to write, None for those that were not asked for."""

    json: Path | None
    csv: Path | None
    markdown: Path | None
    html: Path | None
    plot: Path | None


def check_kind(
    files: Sequence[str | Path], reference: Sequence[str] | None, historical: Path | None, of_suites: dict[str, Any]
) -> Path:
    """The one output, scored against either a reference or an earlier period; else a :class:`UsageError`."""
    refuse(of_suites, "only with --suite")
    if len(files) != 1:
        msg = f"expected one output, OUT.nc, got {len(files)}; --suite NAME takes several files and downscales them first."
        raise UsageError(msg)
    if bool(reference) == (historical is not None):
        got = "both" if reference else "none"
        msg = f"expected either --reference (score) or --historical (change of climate), got {got}."
        raise UsageError(msg)
    return Path(files[0])


def refuse(options: Mapping[str, Any], why: str) -> None:
    """A :class:`UsageError` where one of these options (name -> value) was given."""
    given = [f"--{name}" for name, value in options.items() if value not in (None, False, [])]
    if given:
        msg = f"{', '.join(given)}: {why}. Leave {'it' if len(given) == 1 else 'them'} out."
        raise UsageError(msg)


def change(future: Path, historical: Path, targets: Targets, **settings: Any) -> None:
    """How the climate changes."""
    console = Page()
    with console.status("Reading") as status:

        def show(done: int, total: int) -> None:
            status.update(f"Reading time {done} of {total}")

        evaluation = api.change_signal(historical, future, progress=show, **settings)
    present(console, evaluation)
    write(evaluation, targets, {"output": str(future), "historical": str(historical)})


def execute(output: Path, reference: Sequence[str | Path], targets: Targets, **settings: Any) -> None:
    """Score, then show and write."""
    console = Page()
    with console.status("Scoring") as status:

        def show(done: int, total: int) -> None:
            status.update(f"Scoring time {done} of {total}")

        evaluation = api.evaluate(output, reference, progress=show, **settings)
    present(console, evaluation)
    write(evaluation, targets, {"output": str(output), "reference": [str(path) for path in reference]})


def present(console: Console, evaluation: Evaluation) -> None:
    """Verdict, tables, a line on every column, notes."""
    for sentence in evaluation.verdict:
        console.print(f"- {sentence}", highlight=False, markup=False)
    console.print()
    console.print(as_table(evaluation))
    for line in legend(shown_columns(evaluation)).splitlines():
        say(console, line, style="dim")
    groups = group_table(evaluation)
    if groups is not None:
        console.print()
        console.print(groups)
    for line in difference_lines(evaluation):
        say(console, f"Wind and pressure: {line}")
    for note in evaluation.notes:
        say(console, f"Note: {note}", style="yellow")


def write(evaluation: Evaluation, targets: Targets, files: dict[str, Any]) -> None:
    """What was asked for, all of it or none."""
    with atomic_pair(*vars(targets).values()) as (numbers, table, document, page, picture):
        if numbers is not None:
            report = as_dict(evaluation, command=["zssd", *sys.argv[1:]], files=files)
            numbers.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        if table is not None:
            table.write_text(as_csv(evaluation), encoding="utf-8")
        if document is not None:
            document.write_text(as_markdown(evaluation), encoding="utf-8")
        if page is not None:
            page.write_text(_page(evaluation, files), encoding="utf-8")
        if picture is not None:
            from zssd_cli.evaluation.plots import spectra_plot

            spectra_plot(evaluation, picture)


def _page(evaluation: Evaluation, files: dict[str, Any]) -> str:
    """The evaluation as a page, with maps of the output beside the reference where the two are compared time by time."""
    from zssd_cli.page.building import page
    from zssd_cli.page.scenes import scenes

    output = Path(files["output"])
    with Page(stderr=True).status("Drawing maps"):
        maps = scenes(output, files.get("reference") if evaluation.kind == "paired" else None)
    with closing(open_output(output)) as opened:
        told = {name: opened.attributes[name] for name in TOLD if name in opened.attributes}
    given = {name: shown if isinstance(shown, str) else ", ".join(shown) for name, shown in files.items()}
    about = given | told
    return page(evaluation, maps, about, command_line())
