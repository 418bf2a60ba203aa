"""What an evaluation found, for machines and documents: JSON, CSV, Markdown; see :mod:`zssd_cli.evaluation.tables` for screens."""

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from zssd_cli import __version__
from zssd_cli.evaluation.catalogue import meaning
from zssd_cli.evaluation.paired import check_paired, choose_variables, evaluate_paired
from zssd_cli.evaluation.results import (
    OURS,
    SCHEMA,
    SCHEMA_VERSION,
    TRUTH,
    WIND_SPEED,
    Evaluation,
    Maps,
    Record,
    Row,
    Spectra,
)
from zssd_cli.evaluation.spectra import WAVEBANDS
from zssd_cli.evaluation.tables import as_table, legend, number, shown_columns, title

__all__ = [
    "OURS", "TRUTH", "WIND_SPEED", "Evaluation", "Row", "Spectra", "as_csv", "as_dict", "as_markdown", "as_table",
    "check_paired", "choose_variables", "evaluate_paired", "number",
]  # fmt: skip
FIELDS = ("variable", "units", "group", "system", "score", "versus", "value", "low", "high")
DIGITS = 5
"""Significant digits of fields in the JSON."""


def as_dict(evaluation: Evaluation, **extra: Any) -> dict[str, Any]:
    """The report as plain lists and dicts, for ``--json`` and for pages; NaN becomes None.

    ``schema_version`` grows when a key is renamed or means something else; new keys may come at any time. What every key
    holds: ``docs/evaluate.md``.
    """
    report = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "kind": evaluation.kind,
        "zssd_version": __version__,
        **extra,
        **{key: getattr(evaluation, key) for key in ("times", "members", "points", "extent", "scale", "notes")},
        **{
            key: getattr(evaluation, key) for key in ("verdict", "systems", "groups", "inferred", "thresholds", "ranks")
        },
        "bootstrap": asdict(evaluation.bootstrap),
        "scores": [_row(row) for row in evaluation.rows],
        "records": [_record(record) for record in evaluation.records],
        "meanings": {score: meaning(score) for score in dict.fromkeys(r.score for r in evaluation.records)},
        "spectra": [_spectra(spectra) for spectra in evaluation.spectra],
        "distributions": [
            {"variable": d.variable, "units": d.units, "edges": d.edges, "shares": d.shares}
            for d in evaluation.distributions
        ],
        "maps": [_maps(maps) for maps in evaluation.maps],
        "cycles": [asdict(cycle) for cycle in evaluation.cycles],
    }
    return jsonable(report)


def _row(row: Row) -> dict[str, Any]:
    named = {"variable": row.variable, "units": row.units, "method": row.method, "observed": row.observed}
    bands = {
        f"power_{low:g}_{high:g}_degree_db": value for (low, high), value in zip(WAVEBANDS, row.bands, strict=True)
    }
    return named | asdict(row.scores) | {"lsd_db": row.lsd} | bands


def _record(record: Record) -> dict[str, Any]:
    return {field: getattr(record, field) for field in FIELDS}


def _spectra(spectra: Spectra) -> dict[str, Any]:
    return {
        "variable": spectra.variable,
        "units": spectra.units,
        "wavelength_degree": spectra.wavelength,
        "power": spectra.power,
        "coherence": spectra.coherence,
    }


def _maps(maps: Maps) -> dict[str, Any]:
    fields = {system: {name: rounded(field) for name, field in part.items()} for system, part in maps.fields.items()}
    return {
        "variable": maps.variable,
        "units": maps.units,
        "lat": maps.lat,
        "lon": maps.lon,
        "step_degree": maps.step,
        "fields": fields,
    }


def rounded(field: np.ndarray) -> list[Any]:
    """A field as nested lists of numbers with five significant digits beyond its mean's place, None for NaN."""
    size = float(np.nanmax(np.abs(field))) if np.isfinite(field).any() else 1.0
    digits = DIGITS + 1 - math.ceil(math.log10(size)) if size > 0 else 0
    return [[None if not math.isfinite(v) else round(v, digits) for v in row] for row in field.tolist()]


def jsonable(value: Any) -> Any:
    """Lists, dicts, numbers and texts; None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_csv(evaluation: Evaluation) -> str:
    """All records, tidy: one number a line with its variable, group, system and score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows(csv_rows(evaluation))
    return text.getvalue()


def csv_rows(evaluation: Evaluation) -> Iterator[list[Any]]:
    """The records' FIELDS; nothing where a number is not finite."""
    for record in evaluation.records:
        values = (getattr(record, field) for field in FIELDS)
        yield ["" if isinstance(v, float) and not math.isfinite(v) else v for v in values]


def as_markdown(evaluation: Evaluation) -> str:
    """Verdict, table, a line on every column, notes."""
    columns = shown_columns(evaluation)
    heads = ["variable", "system", *(c.one_line for c in columns)]
    lines = [f"## {title(evaluation)}", "", *(f"* {sentence}" for sentence in evaluation.verdict), ""]
    lines += [f"| {' | '.join(heads)} |", "|---|---|" + "---:|" * len(columns)]
    for variable, units, system in evaluation.listing:
        records = (evaluation.find(c.score, variable, system, "all", c.versus) for c in columns)
        cells = ["-" if r is None else c.shown(r) for c, r in zip(columns, records, strict=True)]
        name = f"{variable}{' (inferred)' if variable in evaluation.inferred else ''} [{units}]"
        lines.append(f"| {' | '.join([name, system, *cells])} |")
    lines += ["", *(f"* {line.strip()}" for line in legend(columns).splitlines())]
    lines += ["", *(f"Note: {note}" for note in evaluation.notes)] if evaluation.notes else []
    return "\n".join(lines) + "\n"
