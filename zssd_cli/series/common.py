"""The times that all variables share, and a table of those that one lacks: they are left out, never interpolated."""

from collections.abc import Iterator, Sequence

import cftime

from zssd_cli.errors import InputError
from zssd_cli.series.drs import Range
from zssd_cli.series.joining import VariableSeries
from zssd_cli.series.timeline import in_range, spans, usual_step
from zssd_cli.times import format_time, order


def common_times(
    series: Sequence[VariableSeries], asked: Range, notes: list[str], *, strict: bool
) -> tuple[cftime.datetime, ...]:
    """Sorted dates in a range that every variable has; what is left out is added to ``notes``.

    Raises
    ------
    InputError
        There is none; in strict mode: a variable lacks one, although it would be a step of its own series.
    """
    common = [date for date in series[0].places if all(date in one.places for one in series[1:])]
    if not common:
        spans_ = "; ".join(
            f"{one.variable.name} {format_time(min(one.places))}..{format_time(max(one.places))}" for one in series
        )
        moved = next((p.stamps.notes[-1] for one in series for p in one.pieces if p.stamps.moved), "")
        why = f"; {moved}" if moved else ""
        msg = f"The variables have no time in common ({spans_}{why}); give files of the same times or fewer variables."
        raise InputError(msg)
    times = _within(common, asked)
    alike = all(len(one.places) == len(common) for one in series)
    every = times if alike else _within(sorted(set().union(*(one.places for one in series)), key=order), asked)
    if len(every) > len(times):
        head = f"{len(every) - len(times)} of {len(every)} times are left out because not every variable has them"
        rows = list(_rows(series, every))
        lacking = [row for row, is_step in rows if is_step]
        if strict and lacking:
            msg = f"{head}: {'; '.join(lacking)}. Add the files, or leave --strict out to go on without these times."
            raise InputError(msg)
        notes += [head, *(row for row, _ in rows)]
    return times


def _within(dates: Sequence[cftime.datetime], asked: Range) -> tuple[cftime.datetime, ...]:
    return tuple(dates[k] for k in in_range(tuple(dates), asked))


def _rows(series: Sequence[VariableSeries], every: Sequence[cftime.datetime]) -> Iterator[tuple[str, bool]]:
    """Per variable, what it lacks of all dates, and whether these would be steps of its own regular series."""
    for one in series:
        name, own = one.variable.name, tuple(one.places)
        absent = [date for date in every if date not in one.places]
        step = usual_step(own)
        steps = [date for date in absent if step is None or not (date - own[0]) % step]
        if steps:
            yield f"{name} lacks {len(steps)}: {spans(steps, step)}", True
        if len(absent) > len(steps) and step is not None:
            yield f"{name} comes every {step.total_seconds() / 3600:g} h only", False
