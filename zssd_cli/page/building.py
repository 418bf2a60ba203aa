"""An evaluation as one page that needs nothing else: no network, no files beside it, readable without seeing or a mouse."""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from zssd_cli import __version__
from zssd_cli.evaluation.catalogue import SCORES
from zssd_cli.evaluation.results import OURS, TRUTH, Distributions, Evaluation, Record, Spectra
from zssd_cli.evaluation.tables import Column, difference_lines, group_columns, number, shown_columns, title
from zssd_cli.page.charts import Chart, figure, table
from zssd_cli.page.scenes import Scene, error_maps, sequence
from zssd_cli.text import masked, plain, plural

MOST_CURVES = 6
KEYS = "Keys while a button has the focus: t next time, l next on the left, r next on the right, v next variable; capitals go back."
LEVELS = np.concatenate([[0.001, 0.005], np.arange(0.01, 1, 0.01), [0.995, 0.999]])


def page(
    evaluation: Evaluation, scenes: Sequence[Scene] = (), about: Mapping[str, Any] | None = None, command: str = ""
) -> str:
    """The page as text.

    Parameters
    ----------
    evaluation
        What :func:`zssd_cli.evaluate` found.
    scenes
        Pictures to flip (:func:`zssd_cli.page.scenes.scenes`).
    about
        What to tell of the files: name -> text. May come from strangers.
    command
        How to make the page again.
    """
    parts = {
        "Verdict": _verdict(evaluation),
        "Scores": _scores(evaluation),
        "Maps": _viewer(scenes),
        "Errors by place": "".join(map(_picture, error_maps(evaluation))),
        "Spectra": charts(spectra(evaluation.spectra)),
        "Ensemble": charts(_ranks(evaluation)),
        "Distributions": charts(_quantiles(evaluation.distributions)),
        "Seasons and hours": charts(_cycles(evaluation)),
        "Groups": _groups(evaluation),
        "What the scores mean": _meanings(evaluation),
        "Provenance": _provenance(evaluation, about or {}, command),
    }
    return document(title(evaluation), _subtitle(evaluation), parts, scenes)


def document(heading: str, subtitle: str, parts: Mapping[str, str], scenes: Sequence[Scene] = ()) -> str:
    """A page of sections, name -> HTML; empty ones are left out."""
    parts = {name: part for name, part in parts.items() if part}
    anchors = {name: name.lower().replace(" ", "-") for name in parts}
    style, script = _asset("page.css"), _asset("page.js")
    return Template(_asset("page.html")).substitute(
        title=escape(heading),
        subtitle=escape(subtitle),
        generator=f"zssd {__version__}",
        style=style, style_hash=_hash(style), script=script, script_hash=_hash(script),
        links=" ".join(f'<a href="#{anchors[name]}">{escape(name)}</a>' for name in parts),
        sections="\n".join(
            f'<section aria-labelledby="{anchors[n]}"><h2 id="{anchors[n]}">{escape(n)}</h2>{part}</section>' for n, part in parts.items()
        ),
        scenes=_data(scenes),
    )  # fmt: skip


def _asset(name: str) -> str:
    return (files("zssd_cli.page") / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _source(scene: Scene) -> str:
    return f"data:image/png;base64,{base64.b64encode(scene.png).decode()}"


def _data(scenes: Sequence[Scene]) -> str:
    known = [
        {"variable": s.variable, "time": s.time, "layer": s.layer, "alt": s.alt, "src": _source(s)} for s in scenes
    ]
    # nothing that ends the element
    return json.dumps(known).replace("<", "\\u003c")


def _subtitle(evaluation: Evaluation) -> str:
    where, drawn = f"{evaluation.extent}; {plural(evaluation.points, 'cell')}.", evaluation.bootstrap
    if drawn.replicates == 0 or drawn.blocks < 2:
        return f"{where} No intervals: a single block of time."
    return f"{where} Intervals: {drawn.level:.0%}, {drawn.blocks} blocks of {drawn.block} resampled {drawn.replicates} times."


def items(lines: Iterable[str], kind: str = "") -> str:
    """A list of texts; nothing where there are none."""
    found = "".join(f"<li>{escape(plain(line))}</li>" for line in lines)
    return f'<ul class="{kind}">{found}</ul>' if found else ""


def _verdict(evaluation: Evaluation) -> str:
    return items(evaluation.verdict, "verdict") + items(f"Note: {note}" for note in evaluation.notes)


def _cell(column: Column, record: Record | None) -> str:
    """The number as the screen shows it, its interval below."""
    if record is None:
        return "-"
    percent, value = column.score.startswith("skill_"), number(record.value)
    factor, sign = (100.0, "%") if percent else (1.0, "")
    value = f"{100 * record.value:.0f}%" if percent else value
    if not math.isfinite(record.low):
        return value
    return f"{value}\n{number(factor * record.low)} to {number(factor * record.high)}{sign}"


def _scores(evaluation: Evaluation) -> str:
    columns = shown_columns(evaluation)
    rows = []
    for variable, units, system in evaluation.listing:
        star = " (inferred)" if variable in evaluation.inferred else ""
        records = [evaluation.find(c.score, variable, system, "all", c.versus) for c in columns]
        cells = [_cell(c, r) for c, r in zip(columns, records, strict=True)]
        rows.append([f"{variable}{star} [{units}]", system, *cells])
    systems = items(f"{name}: {what}" for name, what in evaluation.systems.items())
    heads = ["variable", "system", *(c.one_line for c in columns)]
    legend = items(f"{c.one_line}: {c.line}" for c in columns)
    return (
        table(heads, rows, "Scores, and their intervals", wide=2, strong=OURS)
        + legend
        + systems
        + items(difference_lines(evaluation))
    )


def _groups(evaluation: Evaluation) -> str:
    if len(evaluation.groups) < 2:
        return ""
    columns, rows = group_columns(evaluation), []
    for variable in evaluation.variables:
        for group in evaluation.groups:
            records = [evaluation.find(c.score, variable, OURS, group, c.versus) for c in columns]
            if any(record is not None for record in records):
                rows.append([variable, group, *(_cell(c, r) for c, r in zip(columns, records, strict=True))])
    return table(["variable", "group", *(c.one_line for c in columns)], rows, "The output by group", wide=2)


def _viewer(scenes: Sequence[Scene]) -> str:
    if not scenes:
        return ""
    first = scenes[0]

    def choice(name: str, label: str, values: Sequence[str]) -> str:
        options = "".join(f"<option>{escape(value)}</option>" for value in values)
        return f'<label>{label}<select id="{name}">{options}</select></label>'

    chosen = choice("variable", "Variable", sequence(scenes, "variable")) + choice(
        "time", "Time", sequence(scenes, "time")
    )
    layers = choice("left", "Left", sequence(scenes, "layer")) + choice("right", "Right", sequence(scenes, "layer"))
    buttons = "".join(
        f'<button type="button" id="{name}">{label}</button>'
        for name, label in (
            ("next-time", "Next time"),
            ("next-left", "Next left"),
            ("next-right", "Next right"),
            ("swap", "Swap"),
        )
    )
    return (
        f'<div id="viewer" hidden><div class="tools">{chosen}{layers}{buttons}</div>'
        '<div class="pair"><img id="under" alt=""><img id="over" alt=""><span id="edge"></span></div>'
        '<label for="divide" class="soft">Line between left and right</label><input id="divide" type="range" min="0" max="100" value="50">'
        f'<p id="said" role="status"></p><p class="soft">{KEYS}</p></div><noscript>{_picture(first)}</noscript>'
    )


def _picture(scene: Scene) -> str:
    return (
        f'<figure class="maps"><div class="wide" tabindex="0" role="region" aria-label="{escape(f"Maps: {scene.variable}", quote=True)}">'
        f'<img src="{_source(scene)}" alt="{escape(scene.alt, quote=True)}"></div>'
        f"<figcaption>{escape(scene.variable)}, {escape(scene.layer)}, {escape(scene.time)}</figcaption></figure>"
    )


def charts(several: Iterable[Chart]) -> str:
    """Charts beside each other; nothing where there are none."""
    drawn = "".join(map(figure, several))
    return f'<div class="charts">{drawn}</div>' if drawn else ""


def _ordered(curves: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Ours and the truth first."""
    first = [name for name in (OURS, TRUTH) if name in curves]
    return {
        name: np.asarray(curves[name], float) for name in [*first, *(n for n in curves if n not in first)][:MOST_CURVES]
    }


def spectra(found: Iterable[Spectra]) -> Iterable[Chart]:
    """Power and coherence by wavelength."""
    for one in found:
        x, power = np.asarray(one.wavelength, float), _ordered(one.power)
        if OURS in power and TRUTH in power:
            with np.errstate(divide="ignore", invalid="ignore"):
                off = 10 * np.log10(power[OURS] / power[TRUTH])
            known = np.isfinite(off)
            words = "No wavelength in common."
            if known.any():
                worst = int(np.nanargmax(np.abs(np.where(known, off, np.nan))))
                words = (
                    f"The output's power is {off[known].min():+.1f} to {off[known].max():+.1f} dB from the reference's; "
                    f"farthest, {off[worst]:+.1f} dB, at {x[worst]:.3g} degrees."
                )
            yield Chart(
                f"{one.variable}: power by wavelength",
                "wavelength [degrees]",
                f"power [({one.units})² degree]",
                x,
                power,
                words,
                log_x=True,
                log_y=True,
            )
        coherence = _ordered(one.coherence)
        if OURS in coherence:
            half = x[np.nan_to_num(coherence[OURS]) >= 0.5]
            words = (
                f"A member's waves are where the reference's are (above one half) down to {half.min():.3g} degrees."
                if half.size
                else "At no wavelength above one half."
            )
            yield Chart(
                f"{one.variable}: coherence with the reference",
                "wavelength [degrees]",
                "coherence",
                x,
                coherence,
                words,
                log_x=True,
                level=0.5,
            )


def _ranks(evaluation: Evaluation) -> Iterable[Chart]:
    for variable, systems in evaluation.ranks.items():
        shares = np.asarray(systems.get(OURS, {}).get("all", []), float)
        if shares.size < 3:
            continue
        even = 1 / shares.size
        words = (
            f"Reference below all members in {shares[0]:.1%} of cells, above all in {shares[-1]:.1%}; {even:.1%} each where the "
            f"ensemble is honest (dashed). More at both ends: too narrow; fewer: too wide."
        )
        yield Chart(
            f"{variable}: rank of the reference among members",
            "members below it",
            "share",
            np.arange(shares.size, dtype=float),
            {OURS: shares},
            words,
            bars=True,
            level=even,
        )


def _quantiles(distributions: Iterable[Distributions]) -> Iterable[Chart]:
    for one in distributions:
        edges, shares = np.asarray(one.edges, float), _ordered(one.shares)
        if TRUTH not in shares or edges.size < 2:
            continue
        at = {name: _inverse(edges, share) for name, share in shares.items()}
        x = at.pop(TRUTH)
        if OURS not in at:
            continue
        ends = [int(np.abs(LEVELS - level).argmin()) for level in (0.01, 0.99, 0.999)]
        off = ", ".join(f"{at[OURS][k] - x[k]:+.3g} at {LEVELS[k]:.1%}" for k in ends)
        yield Chart(f"{one.variable}: quantiles against the reference's", f"reference [{one.units}]", f"system [{one.units}]", x, at,
                    f"The output's quantiles less the reference's: {off} ({one.units}).", diagonal=True)  # fmt: skip


def _inverse(edges: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Quantiles at :data:`LEVELS` of a histogram with these lower edges."""
    width = edges[1] - edges[0]
    reached = np.concatenate([[0.0], np.cumsum(shares)])
    return np.interp(LEVELS * reached[-1], reached, np.append(edges, edges[-1] + width))


def _cycles(evaluation: Evaluation) -> Iterable[Chart]:
    for cycle in evaluation.cycles:
        curves = _ordered(cycle.mean)
        x = np.asarray(cycle.of, float)
        if x.size < 2 or OURS not in curves:
            continue
        words = (
            f"The output's mean runs from {np.nanmin(curves[OURS]):.4g} to {np.nanmax(curves[OURS]):.4g} {cycle.units}."
        )
        yield Chart(f"{cycle.variable}: mean by {cycle.kind}", cycle.kind, f"[{cycle.units}]", x, curves, words)


def _meanings(evaluation: Evaluation) -> str:
    used = dict.fromkeys(record.score for record in evaluation.records)
    rows = [[name, SCORES[name].line, SCORES[name].good, SCORES[name].source] for name in used if name in SCORES]
    return (
        f"<details><summary>{len(rows)} scores</summary>{table(['name', 'what it is', 'good', 'source'], rows)}</details>"
        if rows
        else ""
    )


def _provenance(evaluation: Evaluation, about: Mapping[str, Any], command: str) -> str:
    told = {
        "times": evaluation.times,
        "members": evaluation.members,
        "area": evaluation.extent,
    }
    return provenance({**told, **about}, command)


def provenance(told: Mapping[str, Any], command: str) -> str:
    """Name -> text, which may come from strangers, and how to make the page again."""
    terms = "".join(
        f"<dt>{escape(plain(name))}</dt><dd>{escape(masked(plain(what)))}</dd>"
        for name, what in {"zssd": __version__, **told}.items()
    )
    again = (
        f'<h3>How to make this page again</h3><pre tabindex="0">{escape(masked(plain(command)))}</pre>'
        if command
        else ""
    )
    return f"<dl>{terms}</dl>{again}"
