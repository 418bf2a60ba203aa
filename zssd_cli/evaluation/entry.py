"""From files or Datasets to an evaluation: opens them, decides what kind of comparison they allow, and closes them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import xarray as xr

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.evaluation.alignment import COMPONENTS, SPEED, OutputFile, open_output, with_speed
from zssd_cli.evaluation.options import Options
from zssd_cli.evaluation.paired import check_paired, choose_variables, evaluate_paired
from zssd_cli.evaluation.results import Evaluation
from zssd_cli.series.protocol import Series
from zssd_cli.series.reading import Input, Source, open_source

Tick = Callable[[int, int], None]
Output = str | Path | xr.Dataset


def compare(
    output: Output,
    reference: Input,
    *,
    names: tuple[str, ...] | None,
    against: Output | None,
    paired: bool,
    any_frequency: bool,
    options: Options,
    progress: Tick,
) -> Evaluation:
    """Score an output against a reanalysis; see :func:`zssd_cli.api.evaluate`."""
    with closing(open_output(output)) as out:
        check_paired(out, paired)
        chosen = replace(out, variables=choose_variables(out, names))
        with _opened(against) as other, _reference(reference, chosen, any_frequency=any_frequency) as truth:
            if other is not None:
                check_paired(other, paired)
            evaluation = evaluate_paired(
                chosen, truth, shown(reference), None, progress, against=other, options=options
            )  # fmt: skip
        return _with_shares(evaluation, chosen)


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


def one_kind(paired: bool, distributional: bool) -> None:
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


def as_sequence(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """One or several texts."""
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)
