"""What output and reference have in common, for every kind of evaluation."""

from collections.abc import Callable, Sequence

import numpy as np

from zssd_cli.errors import InputError
from zssd_cli.evaluation.alignment import OutputFile
from zssd_cli.series.protocol import Series

Tick = Callable[[int, int], None]
"""Called with times done and times in all."""


def shared_variables(output: OutputFile, reference: Series, against: OutputFile | None, name: str) -> tuple[str, ...]:
    """Those that all hold; an :class:`InputError` where there is none."""
    others = (reference.variables, *([against.variables] if against is not None else []))
    variables = tuple(v for v in output.variables if all(v in held for held in others))
    if not variables:
        got = "; ".join(", ".join(held) or "nothing" for held in others)
        msg = f"{name}: expected one of {', '.join(output.variables)}, got {got}."
        raise InputError(msg)
    return variables


def cut(
    output: OutputFile, variables: Sequence[str], index: int, cells: tuple[np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """Fields (member, lat, lon) of an output at one time on some of its cells, given as rows and columns."""
    rows, columns = cells
    whole = rows.size == output.grid.shape[0] and columns.size == output.grid.shape[1] and np.all(np.diff(columns) == 1)
    fields = {name: output.read(name, index) for name in variables}
    return fields if whole else {name: field[:, rows[:, None], columns] for name, field in fields.items()}
