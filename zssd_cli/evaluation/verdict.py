"""What the numbers say, in sentences: better than interpolation or not, ensemble honest or not, spectra, where it fails."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from zssd_cli.evaluation.results import AGAINST, OURS, TRUTH, WIND_SPEED, Evaluation, Record
from zssd_cli.evaluation.spectra import KM_PER_DEGREE

YARDSTICK = "bilinear"
NARROW, WIDE, OFTEN_OUTSIDE = 0.9, 1.1, 1.5
"""Spread over skill below and above which an ensemble is called so; times as often outside as it should be."""
LARGE_BIAS, LARGE_EXTREME = 0.05, 0.05
"""Shares of the truth's standard deviation, and of its own 99th percentile's distance from the median, that are called failures."""
MOST_FAILURES = 6


def with_verdict(evaluation: Evaluation) -> Evaluation:
    """The same with its sentences."""
    if evaluation.kind == "change":
        return replace(evaluation, verdict=tuple(_changes(evaluation)))
    makers = (_gain, _distribution, _comparison, _ensemble, _spectra, _failures)
    parts = [make(evaluation) for make in makers]
    return replace(evaluation, verdict=tuple(part for part in parts if part))


def interval(record: Record, factor: float = 1.0, digits: int = 0) -> str:
    """`` (54 to 61)``, nothing where there is no interval."""
    if not (math.isfinite(record.low) and math.isfinite(record.high)):
        return ""
    low, high = sorted((record.low * factor, record.high * factor))
    return f" ({low:.{digits}f} to {high:.{digits}f})"


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _gain(evaluation: Evaluation) -> str:
    """Against bilinear interpolation."""
    groups: dict[str, list[str]] = {"Better than": [], "Not told apart from": [], "Worse than": []}
    for name in evaluation.variables:
        skill = evaluation.find("skill_crps", name, versus=YARDSTICK)
        if skill is not None:
            unclear = skill.low <= 0 <= skill.high or skill.value == 0
            kind = "Not told apart from" if unclear else "Better than" if skill.value > 0 else "Worse than"
            shown = interval(skill, 100 if skill.value >= 0 else -100)
            side = "lower" if skill.value >= 0 else "higher"
            groups[kind].append(f"{name} {abs(100 * skill.value):.0f} %{shown} {side}")
    lines = [f"{kind} {YARDSTICK} interpolation, by CRPS: {_joined(said)}." for kind, said in groups.items() if said]
    return " ".join(lines)


def _comparison(evaluation: Evaluation) -> str:
    """Against another output."""
    said = []
    for name in evaluation.variables:
        apart = evaluation.find("difference_crps", name, versus=AGAINST)
        theirs = evaluation.find("crps", name, AGAINST)
        if apart is not None and theirs is not None and theirs.value > 0:
            share = 100 / theirs.value
            verdict = "better" if apart.value < 0 else "worse"
            if not (apart.low > 0 or apart.high < 0):
                verdict = "no clear difference" if math.isfinite(apart.low) else f"{verdict}, no interval"
            said.append(f"{name} CRPS {share * apart.value:+.1f} %{interval(apart, share, 1)}: {verdict}")
    return f"Beside {evaluation.systems[AGAINST]}: {'; '.join(said)}." if said else ""


def _range(record: Record) -> str:
    """`` (0.21 to 0.41)`` with three digits, nothing where there is no interval."""
    return f" ({record.low:.3g} to {record.high:.3g})" if math.isfinite(record.low) else ""


def _changes(evaluation: Evaluation) -> Iterator[str]:
    """Whether the change after downscaling is the input's."""
    for name in evaluation.variables:
        before = evaluation.find("change_mean", name, "input")
        after = evaluation.find("change_mean", name, OURS)
        if after is None:
            continue
        shown = f"{after.value:+.3g} {after.units}{_range(after)}"
        if before is None:
            yield f"{name} was inferred: its mean changes by {shown}; the input has none to compare with."
            continue
        apart = evaluation.find("change_mean_apart", name, OURS, versus="input")
        gap = f", {apart.value:+.2g}{_range(apart)} apart" if apart is not None else ""
        yield f"{name}: the mean changes by {before.value:+.3g} {before.units} in the input, by {shown} after downscaling{gap}."


def _distribution(evaluation: Evaluation) -> str:
    """Wasserstein distances beside the yardstick's, where times are not paired."""
    if evaluation.kind != "distributional":
        return ""
    said = []
    for name in evaluation.variables:
        ours, simple = (evaluation.find("wasserstein", name, system) for system in (OURS, YARDSTICK))
        if ours is not None:
            shown = _range(ours)
            beside = f", {YARDSTICK} {simple.value:.3g}" if simple is not None else ""
            noise = evaluation.find("wasserstein_noise", name, TRUTH)
            chance = f", chance alone {noise.value:.3g}" if noise is not None else ""
            said.append(f"{name} {ours.value:.3g} {ours.units}{shown}{beside}{chance}")
    return f"Distance of the distributions from the reference's: {'; '.join(said)}." if said else ""


def ensemble_word(spread_skill: float, outside: float) -> str:
    """An ensemble in words, from its spread over skill and how often the truth is outside."""
    if spread_skill < NARROW:
        return "too narrow" if not outside < 1 else "too narrow where errors are large"
    if spread_skill > WIDE:
        return "too wide"
    return "honest" if not outside > OFTEN_OUTSIDE else "honest on average, but misses extremes"


def _ensemble(evaluation: Evaluation) -> str:
    words: dict[str, list[str]] = {}
    for name in evaluation.variables:
        ratio, outside = (evaluation.find(score, name) for score in ("spread_skill", "outside"))
        if ratio is not None:
            far = outside.value if outside is not None else math.nan
            shown = f"{name} spread/skill {ratio.value:.2f}{interval(ratio, digits=2)}, truth outside {far:.1f} times as often as it should"
            words.setdefault(ensemble_word(ratio.value, far), []).append(shown)
    return " ".join(f"Ensemble {word}: {'; '.join(said)}." for word, said in words.items())


def _spectra(evaluation: Evaluation) -> str:
    said = []
    for curves in evaluation.spectra:
        name = curves.variable
        down, worst, where = (
            evaluation.find(score, name) for score in ("effective_resolution", "worst_db", "worst_db_at")
        )
        if worst is None or where is None:
            continue
        reach = "not at the longest wavelength"
        if down is not None:
            reach = f"down to {down.value:.2g} degrees ({down.value * KM_PER_DEGREE:.0f} km)"
        if down is not None and math.isclose(down.value, curves.wavelength[0]):
            reach = "at all wavelengths"
        simple = evaluation.find("worst_db", name, YARDSTICK)
        beside = f", {YARDSTICK} {simple.value:+.0f}" if simple is not None else ""
        said.append(f"{name} {reach}, worst {worst.value:+.1f} dB at {where.value:.2g} degrees{beside}")
    return f"Power within 3 dB of the reference's: {'; '.join(said)}." if said else ""


def _failures(evaluation: Evaluation) -> str:
    found = [*_losing(evaluation), *_extremes(evaluation), *_biases(evaluation)][:MOST_FAILURES]
    weakest = _weakest(evaluation)
    if not found:
        return f"Where it fails: nowhere by these scores.{weakest}" if evaluation.records else ""
    return f"Where it fails: {'; '.join(found)}.{weakest}"


def _losing(evaluation: Evaluation) -> list[str]:
    """Variables and groups in which a baseline is better."""
    worse = [
        r for r in evaluation.records
        if r.score == "skill_crps" and r.system == OURS and r.value < 0 and not r.high > 0
    ]  # fmt: skip
    return [f"{r.versus} is better for {r.variable}{'' if r.group == 'all' else f' in {r.group}'}" for r in worse]


def _extremes(evaluation: Evaluation) -> list[str]:
    said = []
    for name in [r.variable for r in evaluation.records if r.score == "quantile_50" and r.system == TRUTH]:
        middle = evaluation.find("quantile_50", name, TRUTH)
        levels = ("99",) if name in (WIND_SPEED, "si10") else ("1", "99")
        for level in levels:
            error, truth = (
                evaluation.find(f"quantile_{level}{x}", name, s) for x, s in (("_error", OURS), ("", TRUTH))
            )
            if error is None or truth is None or middle is None:
                continue
            if abs(error.value) > LARGE_EXTREME * abs(truth.value - middle.value):
                side = "high" if error.value > 0 else "low"
                nth = "1st" if level == "1" else f"{level}th"
                said.append(
                    f"{nth} percentile of {name} {abs(error.value):.3g} {error.units} too {side}{_beside(evaluation, error)}"
                )
    return said


def _beside(evaluation: Evaluation, error: Record) -> str:
    simple = evaluation.find(error.score, error.variable, YARDSTICK)
    return f" ({YARDSTICK}: {simple.value:+.3g})" if simple is not None else ""


def _biases(evaluation: Evaluation) -> list[str]:
    said = []
    for name in evaluation.variables:
        bias = evaluation.find("bias", name) or evaluation.find("mean_error", name)
        std = evaluation.find("std_truth", name) or evaluation.find("std", name, TRUTH)
        if bias is not None and std is not None and abs(bias.value) > LARGE_BIAS * std.value:
            said.append(f"bias of {name} {bias.value:+.3g} {bias.units}")
    return said


def _weakest(evaluation: Evaluation) -> str:
    """The group with the least gain."""
    records = [
        r for r in evaluation.records
        if r.score == "skill_crps" and r.system == OURS and r.versus == YARDSTICK and r.group != "all"
    ]  # fmt: skip
    if not records:
        return ""
    least = min(records, key=lambda r: r.value)
    return f" Least gain over {YARDSTICK}: {least.variable} in {least.group}, {100 * least.value:.0f} %{interval(least, 100)}."
