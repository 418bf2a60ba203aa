"""Charts as inline SVG, each with its numbers in words and in a table, so that nobody needs to see it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from zssd_cli.evaluation.results import TRUTH

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 74, 14, 12, 44
MOST_ROWS = 40


@dataclass(frozen=True, eq=False)
class Chart:
    """Curves over one axis, or bars.

    Attributes
    ----------
    title
        Above it.
    across, up
        Names of the axes with units.
    x
        (n,) positions.
    curves
        Name -> (n,), NaN where there is nothing.
    log_x, log_y
        Scales.
    bars
        Draw the curves as groups of bars.
    words
        What it says, with numbers.
    level
        A dashed horizontal line.
    diagonal
        A dashed line of equality.
    """

    title: str
    across: str
    up: str
    x: np.ndarray
    curves: Mapping[str, np.ndarray]
    words: str
    log_x: bool = False
    log_y: bool = False
    bars: bool = False
    level: float | None = None
    diagonal: bool = False


def figure(chart: Chart) -> str:
    """HTML of a chart with its table."""
    names = [f'<span class="key k{k}">{escape(name)}</span>' for k, name in _numbered(chart)]
    return (
        f'<figure class="chart"><figcaption>{escape(chart.title)}</figcaption>{_svg(chart)}<p class="keys">{" ".join(names)}</p>'
        f"<p>{escape(chart.words)}</p><details><summary>Numbers of this chart</summary>{_table(chart)}</details></figure>"
    )


def _numbered(chart: Chart) -> list[tuple[int, str]]:
    """Number of the colour and name of every curve; 1 is the reference's alone, so that colours mean the same in all charts."""
    first = list(chart.curves)
    gap = len(first) > 1 and TRUTH not in first
    return [(k + (1 if gap and k else 0), name) for k, name in enumerate(first)]


@dataclass(frozen=True)
class _Axis:
    """From values to pixels."""

    low: float
    high: float
    start: float
    stop: float
    log: bool

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.stop - self.start) * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            every = max(1, (last - first) // 5)
            whole = [10.0**k for k in range(first, last + 1, every)]
            return (
                whole
                if len(whole) > 1
                else [
                    f * 10.0**k
                    for k in range(first - 1, last + 1)
                    for f in (1, 2, 5)
                    if self.low <= f * 10.0**k <= self.high
                ]
            )
        raw = (self.high - self.low) / 5
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(size * f for f in (1, 2, 5, 10) if size * f >= raw * 0.999)
        return [step * k for k in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]


def _axis(values: np.ndarray, start: float, stop: float, *, log: bool, zero: bool = False) -> _Axis:
    known = values[np.isfinite(values) & ((values > 0) | (not log))]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.1, 1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    return _Axis(low, high, start, stop, log)


def _svg(chart: Chart) -> str:
    every = np.concatenate(
        [np.asarray(y, float) for y in chart.curves.values()]
        + ([np.array([chart.level])] if chart.level is not None else [])
    )
    half = 0.5 if chart.bars else 0.0
    reach = np.array([chart.x.min() - half, chart.x.max() + half])
    across = _axis(reach, LEFT, WIDTH - RIGHT, log=chart.log_x)
    up = _axis(every, HEIGHT - BOTTOM, TOP, log=chart.log_y, zero=chart.bars)
    marks = [
        _tick(across(v), HEIGHT - BOTTOM + 16, v, "middle", f"M{across(v):.1f} {TOP}V{HEIGHT - BOTTOM}")
        for v in across.ticks()
    ]
    marks += [_tick(LEFT - 6, up(v) + 4, v, "end", f"M{LEFT} {up(v):.1f}H{WIDTH - RIGHT}") for v in up.ticks()]
    if chart.level is not None:
        marks.append(f'<path class="level" d="M{LEFT} {up(chart.level):.1f}H{WIDTH - RIGHT}"/>')
    if chart.diagonal:
        low, high = max(across.low, up.low), min(across.high, up.high)
        marks.append(f'<path class="level" d="M{across(low):.1f} {up(low):.1f}L{across(high):.1f} {up(high):.1f}"/>')
    shapes = [
        _bars(chart.x, chart.curves[name], across, up, k, len(chart.curves))
        if chart.bars
        else _line(chart, np.asarray(chart.curves[name], float), across, up, k)
        for k, name in _numbered(chart)
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{chart.title}. {chart.words}", quote=True)}">'
        f"{''.join(marks)}{''.join(shapes)}"
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(chart.across)}</text>'
        f'<text transform="translate(13 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{escape(chart.up)}</text></svg>'
    )


def _tick(x: float, y: float, value: float, anchor: str, line: str) -> str:
    shown = f"{value:.0f}" if 1e4 <= abs(value) < 1e6 else f"{value:.4g}"
    return f'<path class="grid" d="{line}"/><text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown}</text>'


def _line(chart: Chart, y: np.ndarray, across: _Axis, up: _Axis, k: int) -> str:
    known = np.isfinite(y) & np.isfinite(chart.x) & ((y > 0) | (not chart.log_y))
    path, pen = "", "M"
    for at, value, there in zip(chart.x, y, known, strict=True):
        path += f"{pen}{across(float(at)):.1f} {up(float(value)):.1f}" if there else ""
        pen = "L" if there else "M"
    return f'<path class="curve k{k}" d="{path}"/>'


def _bars(x: np.ndarray, y: np.ndarray, across: _Axis, up: _Axis, k: int, count: int) -> str:
    width = (across(float(x[0]) + 0.4) - across(float(x[0]) - 0.4)) / count
    rects = []
    for at, value in zip(x, np.nan_to_num(np.asarray(y, float)), strict=True):
        left, top, foot = across(float(at) - 0.4) + k * width, up(max(float(value), 0.0)), up(0.0)
        rects.append(
            f'<rect class="bar k{k}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{max(foot - top, 0):.1f}"/>'
        )
    return "".join(rects)


def _table(chart: Chart) -> str:
    some = np.unique(np.linspace(0, chart.x.size - 1, min(chart.x.size, MOST_ROWS)).astype(int))
    rows = [[f"{chart.x[i]:.4g}", *(_cell(float(y[i])) for y in chart.curves.values())] for i in some]
    return table([chart.across, *chart.curves], rows)


def _cell(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", *, wide: int = 1, strong: str = ""
) -> str:
    """An HTML table.

    Parameters
    ----------
    heads, rows
        Texts; what follows a line break in a cell is written small.
    caption
        Above it.
    wide
        How many first cells of a row are its headings.
    strong
        Rows with this heading are written bold.
    """
    sides = [' class="name"'] * wide + [""] * (len(heads) - wide)
    head = "".join(f'<th scope="col"{side}>{escape(one)}</th>' for one, side in zip(heads, sides, strict=True))
    body = "".join(_row(row, wide, strong) for row in rows)
    label, caption = (
        escape(caption or "numbers", quote=True),
        f"<caption>{escape(caption)}</caption>" if caption else "",
    )
    whole = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="{label}">{whole}</div>'


def _row(row: Sequence[str], wide: int, strong: str) -> str:
    kind = ' class="ours"' if strong and strong in row[:wide] else ""
    cells = [f'<th scope="row">{escape(cell)}</th>' for cell in row[:wide]]
    for cell in row[wide:]:
        first, _, small = cell.partition("\n")
        cells.append(f"<td>{escape(first)}{f' <small>{escape(small)}</small>' if small else ''}</td>")
    return f"<tr{kind}>{''.join(cells)}</tr>"
