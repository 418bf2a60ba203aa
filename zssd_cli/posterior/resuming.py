"""A job whose batches are kept as they are drawn and given back in order: killed at any moment, it goes on with the same bits."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zssd_cli.errors import ConfigError
from zssd_cli.outputs.parts import Parts
from zssd_cli.posterior.downscaling import Batch, Job, Result, batches, draw
from zssd_cli.times import now_utc

Seen = dict[tuple[str, str], list[str]]
"""Doubts about fields, as :class:`zssd_cli.series.doubts.Watch` gathers them."""


def name_of(batch: Batch) -> str:
    """Under which a batch is kept."""
    times, members = batch.times, batch.members
    return f"times-{times.start}-{times.stop}-members-{members.start}-{members.stop}"


def done_steps(job: Job, parts: Parts) -> int:
    """How many of ``job.steps`` are finished."""
    done = sum(len(batch.times) * len(batch.members) for batch in batches(job) if name_of(batch) in parts)
    return done * (len(job.noise_levels) - 1)


def header(job: Job, settings: Mapping[str, Any], command: str) -> dict[str, Any]:
    """First line of a manifest: what an output that is begun now hangs on."""
    of_machine = {"batch": job.batch, "call_cells": job.call_cells}
    return {"created": now_utc(), "command": command, **of_machine, "settings": settings}


def going_on(job: Job, settings: Mapping[str, Any], parts: Parts) -> Job:
    """The job in the batches in which it was begun, whatever memory is free now.

    Raises
    ------
    ConfigError
        Other settings than then.
    """
    then, now = parts.header["settings"], json.loads(json.dumps(settings))
    if then != now:
        names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        told = "; ".join(f"{name} was {_told(then.get(name))}, is {_told(now.get(name))}" for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        msg = f"--resume: {parts.folder} was begun with other settings: {told}{more}. Give those, or --overwrite to start anew."
        raise ConfigError(msg)
    return replace(job, batch=parts.header["batch"], call_cells=parts.header["call_cells"])


def _told(value: object) -> str:
    return "not given" if value is None else str(value)


def draw_missing(
    job: Job,
    parts: Parts,
    seen: Seen,
    shown: Callable[[Result], Result],
    tick: Callable[[int], None],
    before_each: Callable[[], None],
) -> None:
    """Draw and keep every batch that a folder lacks.

    Parameters
    ----------
    job
        With the batch and call sizes of the folder's header.
    parts
        The folder.
    seen
        Doubts of the source; those about batches of earlier processes are added.
    shown
        From the prior's variables to the output's.
    tick
        As of :func:`zssd_cli.posterior.downscaling.run`.
    before_each
        Called before a further batch is drawn; may raise to stop.
    """
    for line in parts.lines:
        _add_doubts(seen, line.get("doubts", []))
    missing = [batch for batch in batches(job) if name_of(batch) not in parts]
    drawing = draw(job, tick, lambda batch: name_of(batch) in parts)
    for _ in missing:
        before_each()
        started, before = time.monotonic(), {key: len(times) for key, times in seen.items()}
        batch, results = next(drawing)
        doubts = [
            [*key, *times[before.get(key, 0) :]] for key, times in seen.items() if len(times) > before.get(key, 0)
        ]
        noted: dict[str, Any] = {"seconds": round(time.monotonic() - started, 3)}
        parts.keep(name_of(batch), _arrays(map(shown, results)), noted | ({"doubts": doubts} if doubts else {}))


def _add_doubts(seen: Seen, doubts: list[list[str]]) -> None:
    for where, kind, *times in doubts:
        known = seen.setdefault((where, kind), [])
        known.extend(when for when in times if when not in known)


def _arrays(results: Iterator[Result]) -> dict[str, np.ndarray]:
    """What is stored of a batch; its times are numbered from 0."""
    arrays: dict[str, np.ndarray] = {}
    for k, result in enumerate(results):
        arrays |= {f"values.{k}": result.values, f"residual.{k}": result.residual}
        arrays |= {f"unobserved.{k}.{name}": cells for name, cells in result.unobserved.items()}
    return arrays


def kept(job: Job, parts: Parts) -> Iterator[Result]:
    """The results of all batches in order, out of the folder; raises :class:`KeyError` where one is not there."""
    for batch in batches(job):
        arrays = parts.load(name_of(batch))
        for k, index in enumerate(batch.times):
            start = f"unobserved.{k}."
            names = [name for name in job.source.variables if start + name in arrays]
            unobserved = {name: arrays[start + name] for name in names}
            yield Result(index, batch.members.start, arrays[f"values.{k}"], arrays[f"residual.{k}"], unobserved)
