"""The one table of a suite, trial by variable by method, for screen, Markdown, CSV and JSON."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from zssd_cli import __version__
from zssd_cli.evaluation.baselines import TEXTBOOK
from zssd_cli.evaluation.report import FIELDS, as_dict, csv_rows, jsonable
from zssd_cli.evaluation.results import OURS, Evaluation, Record
from zssd_cli.evaluation.tables import SHORT, Column, empty, number
from zssd_cli.evaluation.verdict import YARDSTICK
from zssd_cli.suites.catalogue import Suite
from zssd_cli.suites.running import Outcome
from zssd_cli.text import plural

SCHEMA, SCHEMA_VERSION = "zssd-suite", 1


def with_range(record: Record) -> str:
    """A number and its interval."""
    if not (math.isfinite(record.low) and math.isfinite(record.high)):
        return number(record.value)
    return f"{number(record.value)} ({number(record.low)} to {number(record.high)})"


SKILL = Column("skill", "skill_crps", "1 - CRPS over bilinear's, and its 90 % interval; 1 is best", shown=with_range)
PAIRED = (
    Column("CRPS", "crps", "error of the whole ensemble; of a single field its MAE; 0 is best"),
    Column("MAE", "mae", "mean absolute error of the ensemble mean; 0 is best"),
    Column("spread/\nskill", "spread_skill", "spread over error: 1 honest, below too narrow, above too wide"),
    Column("LSD\ndB", "lsd_db", "power spectrum's typical distance from the truth's; 0 is best"),
    SKILL,
)
DISTRIBUTIONAL = (
    Column("quantile\nerror", "wasserstein", "mean over all quantiles of the error's size (Wasserstein distance); 0 is best"),
    Column("P99\nerror", "quantile_99_error", "99th percentile less the reference's, and its 90 % interval", shown=with_range),
    Column("P99.9\nerror", "quantile_99.9_error", "99.9th percentile less the reference's"),
    Column("LSD\ndB", "lsd_db", "power spectrum's typical distance from the reference's; 0 is best"),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One row: trial, variable, units, method and a record, or None, for each of :func:`columns`."""

    trial: str
    variable: str
    units: str
    inferred: bool
    system: str
    records: tuple[Record | None, ...]

    def cells(self, columns: Sequence[Column]) -> list[str]:
        """The numbers as text."""
        return ["-" if r is None else c.shown(r) for c, r in zip(columns, self.records, strict=True)]


def columns(suite: Suite) -> tuple[Column, ...]:
    """Those of the suite's kind."""
    return PAIRED if suite.paired else DISTRIBUTIONAL


def lines(suite: Suite, outcomes: Sequence[Outcome]) -> Iterator[Line]:
    """In the order trial, variable, method: the output first, then what the suite shows beside it.

    Beside an inferred wind stands the textbook's, and nothing that knows the wind's own block means.
    """
    for outcome in outcomes:
        found = outcome.evaluation
        for variable, units, system in found.listing:
            textbook = variable in found.inferred
            beside = [name for name in suite.beside if (name == TEXTBOOK) == textbook]
            if system == OURS or system in beside:
                records = tuple(_record(found, c, variable, system, textbook) for c in columns(suite))
                yield Line(outcome.trial.name, variable, units, variable in found.inferred, system, records)


def _record(found: Evaluation, column: Column, variable: str, system: str, textbook: bool) -> Record | None:
    versus = "" if column is not SKILL else TEXTBOOK if textbook else YARDSTICK
    return found.find(column.score, variable, system, "all", versus)


def legend(suite: Suite) -> list[str]:
    """A line on every column, and on what is particular to the suite."""
    told = [f"{c.one_line}: {c.line}" for c in columns(suite)]
    if TEXTBOOK in suite.beside:
        where = "beside it, and in its skill," if suite.paired else "beside it"
        told.append(f"inferred (*): not in the input; {where} the {TEXTBOOK} wind of the pressure's block means")
    return told


def sizes(outcomes: Sequence[Outcome]) -> list[str]:
    """What every trial was, a line each."""
    return [
        f"{o.trial.name}: {o.attributes['guidance']}, blocks of {o.attributes['filter_scale']:g} degrees, "
        f"{o.attributes['steps']} steps of {o.attributes['sampler']}{_zeta(o)}, given {', '.join(o.observed)}; "
        f"{plural(o.evaluation.times, 'time')}, {plural(o.evaluation.members, 'member')}, {o.evaluation.extent}; drawn in {o.seconds:.0f} s"
        for o in outcomes
    ]


def _zeta(outcome: Outcome) -> str:
    return f", zeta {outcome.attributes['zeta']:g}" if "zeta" in outcome.attributes else ""


def notes(outcomes: Sequence[Outcome], left_out: dict[str, str]) -> list[str]:
    """What was left out, and what the evaluations say, each once."""
    said = [f"{name} left out: {why}" for name, why in left_out.items()]
    return list(dict.fromkeys([*said, *(note for o in outcomes for note in o.evaluation.notes)]))


def title(suite: Suite) -> str:
    """Above the table."""
    return f"Suite {suite.name}, {'paired' if suite.paired else 'distributional'} scores"


def as_table(suite: Suite, outcomes: Sequence[Outcome]) -> Table:
    """For a screen: a block of rows per trial and variable, the output's own in bold."""
    shown = columns(suite)
    table, trial, variable = empty(shown, title(suite), None), "", ""
    for line in lines(suite, outcomes):
        if line.trial != trial:
            table.add_section()
            table.add_row(Text(line.trial, style="bold"))
            trial, variable = line.trial, ""
        if line.variable != variable:
            table.add_row(Text(f"  {line.variable}{'*' if line.inferred else ''} [{line.units}]", style="italic"))
            variable = line.variable
        style = "bold" if line.system == OURS else None
        table.add_row(f"    {SHORT.get(line.system, line.system)}", *line.cells(shown), style=style)
    return table


def as_markdown(suite: Suite, outcomes: Sequence[Outcome], left_out: dict[str, str]) -> str:
    """The table, a line on every column and trial, notes."""
    shown = columns(suite)
    text = [f"## {title(suite)}", ""]
    text += [f"| trial | variable | method | {' | '.join(c.one_line for c in shown)} |"]
    text += ["|---|---|---|" + "---:|" * len(shown)]
    for line in lines(suite, outcomes):
        name = f"{line.variable}{' (inferred)' if line.inferred else ''} [{line.units}]"
        text.append(f"| {' | '.join([line.trial, name, line.system, *line.cells(shown)])} |")
    text += ["", *(f"* {one}" for one in [*legend(suite), *sizes(outcomes)])]
    text += ["", *(f"Note: {note}" for note in notes(outcomes, left_out))]
    return "\n".join(text).rstrip() + "\n"


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """All records of all trials, one number a line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("trial", *FIELDS))
    for outcome in outcomes:
        writer.writerows([outcome.trial.name, *row] for row in csv_rows(outcome.evaluation))
    return text.getvalue()


def as_json(suite: Suite, outcomes: Sequence[Outcome], left_out: dict[str, str], **extra: Any) -> dict[str, Any]:
    """Every trial with its settings and its whole evaluation (``zssd-evaluation``), in plain lists and dicts."""
    trials = [
        {
            "name": outcome.trial.name,
            "observed": list(outcome.observed),
            "settings": outcome.attributes,
            "seconds": outcome.seconds,
            "evaluation": as_dict(outcome.evaluation),
        }
        for outcome in outcomes
    ]
    head = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "suite": suite.name, "zssd_version": __version__}
    table = [
        {"trial": line.trial, "variable": line.variable, "units": line.units, "system": line.system, "inferred": line.inferred}
        | {c.score: r and (r.value, r.low, r.high) for c, r in zip(columns(suite), line.records, strict=True)}
        for line in lines(suite, outcomes)
    ]  # fmt: skip
    report = {**head, **extra, "left_out": left_out, "table": table, "trials": trials}
    return dict(jsonable(report))
