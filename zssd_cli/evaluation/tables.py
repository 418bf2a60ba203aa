"""The report for a screen of 80 columns: sentences first, then tables, then a line on every column."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from zssd_cli.evaluation.results import OURS, TRUTH, Evaluation, Record
from zssd_cli.evaluation.verdict import YARDSTICK
from zssd_cli.text import plural


@dataclass(frozen=True)
class Column:
    """One column: a score of a variable, system and group.

    Attributes
    ----------
    heading
        Above it.
    score
        Name of the record; with ``versus`` where it has one.
    line
        What it means, at most 65 characters.
    shown
        How the record is written.
    """

    heading: str
    score: str
    line: str
    versus: str = ""
    shown: Callable[[Record], str] = lambda record: number(record.value)

    @property
    def one_line(self) -> str:
        """The heading without line breaks."""
        return self.heading.replace("-\n", "").replace("\n", " ")


def number(value: float) -> str:
    """Three significant digits, an exponent only beyond what a column holds, a dash for NaN."""
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 1e5:
        return f"{value:.0e}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def percent(record: Record) -> str:
    """A share in percent with half the width of its interval."""
    half = f"±{50 * (record.high - record.low):.0f}" if math.isfinite(record.low) else ""
    return f"{100 * record.value:.0f}{half}%"


def with_interval(record: Record) -> str:
    """A number and half the width of its interval."""
    half = f"±{number((record.high - record.low) / 2)}" if math.isfinite(record.low) else ""
    return f"{number(record.value)}{half}"


GAIN = Column("gain", "skill_crps", "part of bilinear's CRPS that is saved, and its 90% interval", YARDSTICK, percent)
PAIRED = (
    Column("CRPS", "crps", "error of the whole ensemble; of a single field its MAE; 0 is best"),
    GAIN,
    Column("MAE", "mae", "mean absolute error of the ensemble mean; 0 is best"),
    Column("bias", "bias", "ensemble mean less truth; 0 is best"),
    Column("P99\nerror", "quantile_99_error", "99th percentile of members less that of the truth; 0 is best"),
    Column("spread/\nskill", "spread_skill", "spread over error: 1 honest, below too narrow, above too wide"),
    Column("LSD\ndB", "lsd_db", "power spectrum's typical distance from the truth's; 0 is best"),
    Column("reso-\nlution", "effective_resolution", "shortest wavelength with power within 3 dB, degrees"),
)
DISTRIBUTIONAL = (
    Column("mean\nerror", "mean_error", "mean less that of the reference; 0 is best"),
    Column("P1\nerror", "quantile_1_error", "1st percentile less that of the reference; 0 is best"),
    Column("P50\nerror", "quantile_50_error", "median less that of the reference; 0 is best"),
    Column("P99\nerror", "quantile_99_error", "99th percentile less that of the reference; 0 is best"),
    Column("P99.9\nerror", "quantile_99.9_error", "99.9th percentile less that of the reference; 0 is best"),
    Column("dis-\ntance", "wasserstein", "how far values must move on average to agree; 0 is best"),
    Column("LSD\ndB", "lsd_db", "power spectrum's typical distance from the reference's; 0 is best"),
    Column("reso-\nlution", "effective_resolution", "shortest wavelength with power within 3 dB, degrees"),
)
CHANGE = (
    Column("mean", "change_mean", "change of the mean over places and times", shown=with_interval),
    Column(
        "variance %", "change_variance_percent", "change of the variance over times, in percent", shown=with_interval
    ),
    Column("P1", "change_quantile_1", "change of the 1st percentile"),
    Column("P99", "change_quantile_99", "change of the 99th percentile over places and times", shown=with_interval),
)
SHORT = {"quantile_mapping": "quantile map"}
WHOLE_ONLY = ("lsd_db", "effective_resolution", "quantile_50_error", "mean_error")
"""Not known by group."""
COLUMNS = {"paired": PAIRED, "distributional": DISTRIBUTIONAL, "change": CHANGE}


def title(evaluation: Evaluation) -> str:
    """What was scored, in a line."""
    blocks = f", baselines from {evaluation.scale:g} degree blocks" if evaluation.scale else ""
    counts = f"{plural(evaluation.times, 'time')}, {plural(evaluation.members, 'member')}"
    if evaluation.kind == "change":
        return f"Change from historical to future: {evaluation.extent}, blocks of {evaluation.scale:g} degrees"
    return f"{evaluation.kind.capitalize()} scores: {counts}, {evaluation.extent}{blocks}"


def empty(columns: tuple[Column, ...], heading: str, caption: str | None) -> Table:
    """A table without rows for a screen: names, then these columns."""
    table = Table(
        title=heading,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        min_width=min(len(heading), 79),
    )
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    return table


def _cells(
    evaluation: Evaluation, columns: tuple[Column, ...], variable: str, system: str, group: str = "all"
) -> list[str]:
    found = (evaluation.find(c.score, variable, system, group, c.versus) for c in columns)
    return ["-" if record is None else c.shown(record) for c, record in zip(columns, found, strict=True)]


def legend(columns: tuple[Column, ...]) -> str:
    """A line on every column."""
    return "\n".join(f"{c.one_line:<13} {c.line}" for c in columns)


def shown_columns(evaluation: Evaluation) -> tuple[Column, ...]:
    """Those of the kind that have a number: no gain without baselines, no interval of a single block."""
    columns = COLUMNS.get(evaluation.kind, PAIRED)
    kept = []
    for column in columns:
        records = [r for r in evaluation.records if (r.score, r.versus) == (column.score, column.versus)]
        if any(column.shown(record) != "-" for record in records):
            kept.append(column)
    return tuple(kept)


def as_table(evaluation: Evaluation) -> Table:
    """A row per variable and system, the output's own rows in bold."""
    columns = shown_columns(evaluation)
    caption = "* inferred: not in the coarse input" if evaluation.inferred else None
    table = empty(columns, title(evaluation), caption)
    previous = None
    for variable, units, system in evaluation.listing:
        if variable != previous:
            table.add_section()
            table.add_row(Text(f"{variable}{'*' if variable in evaluation.inferred else ''} [{units}]", style="italic"))
        previous = variable
        cells = _cells(evaluation, columns, variable, system)
        table.add_row(f"  {SHORT.get(system, system)}", *cells, style="bold" if system == OURS else None)
    return table


def group_columns(evaluation: Evaluation) -> tuple[Column, ...]:
    """Those that groups have, too."""
    return tuple(c for c in shown_columns(evaluation) if c.score not in WHOLE_ONLY)


def group_table(evaluation: Evaluation) -> Table | None:
    """The output's scores by group; None where there is one group only."""
    if len(evaluation.groups) < 2:
        return None
    columns = group_columns(evaluation)
    table = empty(columns, "By group, the output alone", None)
    for variable in evaluation.variables:
        table.add_section()
        table.add_row(Text(variable, style="italic"))
        for group in evaluation.groups:
            cells = _cells(evaluation, columns, variable, OURS, group)
            if any(cell != "-" for cell in cells):
                table.add_row(f"  {group}", *cells)
    return table


def difference_lines(evaluation: Evaluation) -> Iterator[str]:
    """Scores of the wind with pressure, output beside reference."""
    for score, what in (
        ("wind_pressure_correlation", "correlation of wind with its geostrophic wind"),
        ("wind_pressure_ratio", "its ratio to that wind"),
        ("wind_pressure_angle", "degrees turned to low pressure"),
    ):
        ours, truth = (evaluation.find(score, "wind", system) for system in (OURS, TRUTH))
        if ours is not None and truth is not None:
            yield f"{what} {ours.value:.2f} (reference {truth.value:.2f})"
