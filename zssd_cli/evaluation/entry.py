"""From files or Datasets to an evaluation: opens them, decides what kind of comparison they allow, and closes them."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import xarray as xr

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.evaluation.alignment import COMPONENTS, SPEED, OutputFile, open_output, refuse_means, with_speed
from zssd_cli.evaluation.change import evaluate_change
from zssd_cli.evaluation.distributional import evaluate_distributional
from zssd_cli.evaluation.groups import parse_kinds
from zssd_cli.evaluation.options import Options, parse_thresholds
from zssd_cli.evaluation.paired import check_paired, choose_variables, evaluate_paired
from zssd_cli.evaluation.resampling import REPLICATES
from zssd_cli.evaluation.results import Evaluation
from zssd_cli.evaluation.scenery import Tick
from zssd_cli.series.protocol import Series
from zssd_cli.series.reading import Input, Source, open_source
from zssd_cli.variables import lookup

Output = str | Path | xr.Dataset


def evaluate(
    output: Output,
    reference: Input,
    *,
    vars: str | Sequence[str] | None = None,  # noqa: A002
    scale: float | None = None,
    paired: bool = False,
    any_frequency: bool = False,
    distributional: bool = False,
    against: Output | None = None,
    by: str | Sequence[str] | None = None,
    region: str | Sequence[str] | None = None,
    threshold: str | Sequence[str] | None = None,
    bootstrap: int = REPLICATES,
    block_days: float | None = None,
    progress: Tick = lambda _done, _total: None,
) -> Evaluation:
    """Score an output against a reanalysis: ``zssd evaluate``.

    Parameters
    ----------
    output
        What :func:`downscale` returned or the command wrote.
    reference
        0.25 degree fields: Dataset, files or patterns.
    vars
        Names; None: all that both hold.
    scale
        Blocks of the baselines in degrees; None: the output's filter scale.
    paired
        Vouch that the model's weather follows the reference.
    distributional
        Compare climates: the times of the two need not agree.
    any_frequency
        Accept a reference of means where the output is of moments, and the like.
    against
        Another output, scored on the same cells and times, with the interval of the difference.
    by
        Some of season, hour, surface, height.
    region
        Names or ``W,E,S,N`` that are scored apart.
    threshold
        ``wind_speed>17.2``, ``msl<98000``, ``u10>p95``: where the threshold-weighted CRPS looks.
    bootstrap, block_days
        Replicates for the intervals, 0 for none, and days that are resampled together.
    progress
        Called with times done and times in all.

    Returns
    -------
    Records, curves and maps; ``zssd_cli.evaluation.report.as_dict`` gives what ``--json`` writes.
    """
    one_kind(paired=paired, distributional=distributional)
    options = Options(scale, parse_kinds(by), _texts(region), parse_thresholds(threshold), bootstrap, block_days)
    names = None if vars is None else _names(vars)
    with closing(open_output(output)) as out:
        refuse_means(out)
        _check_kind(out, against, paired=paired, distributional=distributional)
        chosen, name = replace(out, variables=choose_variables(out, names)), shown(reference)
        with _opened(against) as other, _reference(reference, chosen, any_frequency=any_frequency) as truth:
            if distributional:
                return evaluate_distributional(chosen, truth, name, options, progress)
            if other is not None:
                refuse_means(other)
                check_paired(other, paired)
            return _with_shares(
                evaluate_paired(chosen, truth, name, None, progress, against=other, options=options), chosen
            )


def change_signal(
    historical: Output,
    future: Output,
    *,
    coarse_historical: Input | None = None,
    coarse_future: Input | None = None,
    vars: str | Sequence[str] | None = None,  # noqa: A002
    scale: float | None = None,
    bootstrap: int = REPLICATES,
    block_days: float | None = None,
    progress: Tick = lambda _done, _total: None,
) -> Evaluation:
    """Change from one downscaled period to another, beside that of the climate model's own blocks.

    Parameters
    ----------
    historical, future
        What :func:`zssd_cli.api.downscale` returned or the command wrote, on the same cells.
    coarse_historical, coarse_future
        What they were made of, both or none; without them the input's blocks are those of the downscaled fields.
    vars
        Names; None: all that both hold.
    scale
        Side of the blocks in degrees; None: the outputs' filter scale.
    bootstrap, block_days, progress
        As of :func:`evaluate`; without ``block_days`` years are resampled where both periods have five.
    """
    if (coarse_historical is None) != (coarse_future is None):
        msg = "--coarse and --coarse-historical go together: the climate model's fields of both periods. Give both or none."
        raise ConfigError(msg)
    options = Options(scale=scale, replicates=bootstrap, block_days=block_days)
    with closing(open_output(historical)) as before, closing(open_output(future)) as after:
        for one in (before, after):
            refuse_means(one)
        shared = tuple(name for name in after.variables if name in before.variables)
        if not shared:
            msg = f"{after.path} holds {', '.join(after.variables)}, {before.path} {', '.join(before.variables)}; nothing in common."
            raise InputError(msg)
        chosen = choose_variables(replace(after, variables=shared), None if vars is None else _names(vars))
        pair = replace(before, variables=chosen), replace(after, variables=chosen)
        with _coarse(coarse_historical, chosen) as first, _coarse(coarse_future, chosen) as second:
            return evaluate_change(*pair, (first, second), options, progress)


@contextmanager
def _coarse(source: Input | None, names: tuple[str, ...]) -> Iterator[Source | None]:
    if source is None:
        yield None
        return
    with closing(open_source(source, names)) as found:
        yield found


def _check_kind(out: OutputFile, against: Output | None, *, paired: bool, distributional: bool) -> None:
    """Point by point only where that means something; --against only there."""
    if not distributional:
        check_paired(out, paired)
    elif against is not None:
        msg = "--against compares point by point, not with --distributional. Evaluate both outputs, each on its own."
        raise ConfigError(msg)


@contextmanager
def _opened(output: Output | None) -> Iterator[OutputFile | None]:
    if output is None:
        yield None
        return
    with closing(open_output(output)) as out:
        yield out


@contextmanager
def _reference(reference: Input, out: OutputFile, *, any_frequency: bool) -> Iterator[Series]:
    """The truth, with wind speed where the output has it; fields of another kind are an :class:`InputError`."""
    wanted = (*out.variables, *(COMPONENTS if SPEED in out.variables else ()))
    with closing(open_source(reference, wanted)) as truth:
        _same_kind(truth, out, any_frequency=any_frequency)
        yield with_speed(truth) if SPEED in out.variables else truth


def _same_kind(truth: Source, out: OutputFile, *, any_frequency: bool) -> None:
    if truth.kind != out.kind and not any_frequency:
        held = truth.averaging or truth.kind
        msg = (
            f"The reference holds {held}, the output {out.kind}; a common time stamp does not make them fields of "
            "one time. Give a reference of the same kind, or pass --any-frequency."
        )
        raise InputError(msg)


def _with_shares(evaluation: Evaluation, out: OutputFile) -> Evaluation:
    """With a note on what was observed in part."""
    partly = [f"{n} was observed in {out.shares[n]:.0%} of area and times" for n in out.variables if n in out.shares]
    note = f"{', '.join(partly)}: elsewhere drawn, while the baselines have the truth's block means everywhere"
    return replace(evaluation, notes=(*evaluation.notes, note)) if partly else evaluation


def one_kind(*, paired: bool, distributional: bool) -> None:
    """Both at once is a :class:`ConfigError`."""
    if paired and distributional:
        msg = "--paired and --distributional exclude each other: point by point, or climate by climate. Choose one."
        raise ConfigError(msg)


def shown(reference: Input) -> str:
    """How to call files in messages."""
    if isinstance(reference, xr.Dataset):
        return "the reference"
    first: str | Path = reference if isinstance(reference, str | Path) else reference[0]
    return Path(first).name


def _texts(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """One or several texts."""
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Canonical names of variables under any of theirs."""
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(dict.fromkeys(lookup(part.strip()).name for part in parts if part.strip()))
