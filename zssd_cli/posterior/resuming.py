"""A job whose batches are kept as they are drawn and given back in order: killed at any moment, it goes on with the same bits."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zssd_cli.errors import ConfigError
from zssd_cli.files import changed, fingerprint
from zssd_cli.outputs.parts import Parts
from zssd_cli.outputs.sink import Contents
from zssd_cli.posterior import differences
from zssd_cli.posterior.differences import told
from zssd_cli.posterior.downscaling import Job, batches, draw, read_before
from zssd_cli.posterior.together import Batch, Result
from zssd_cli.series.doubts import Watch
from zssd_cli.times import now_utc

MACHINE = ("torch", "threads", "device")
"""Settings that may be others where a run goes on: its fields may differ in their last bits."""
ELSEWHERE = "zssd_also_drawn_on"
"""Global attribute of an output that went on on other machines."""
MOMENT = "last change of "
"""Begin of the names of settings that say when a file was changed: a copy has the same fields."""


def name_of(batch: Batch) -> str:
    """Under which a batch is kept."""
    times, members = batch.times, batch.members
    return f"times-{times.start}-{times.stop}-members-{members.start}-{members.stop}"


def hash_of(inputs: Iterable[Path]) -> str:
    """Of what :func:`of_inputs` tells but when files were changed: an output that is there is of other files where it differs."""
    told = {name: value for name, value in of_inputs(inputs).items() if not name.startswith(MOMENT)}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def of_inputs(inputs: Iterable[Path]) -> dict[str, str]:
    """What tells whether files are those of the beginning, by their names, wherever they lie now."""
    named: dict[str, list[Path]] = {}
    for path in inputs:
        named.setdefault(path.name, []).append(path)
    return {f"input {name}": ", ".join(sorted(map(fingerprint, paths))) for name, paths in named.items()} | {
        f"{MOMENT}{name}": ", ".join(sorted(map(changed, paths))) for name, paths in named.items()
    }


def done_steps(job: Job, parts: Parts) -> int:
    """How many of ``job.steps`` are finished."""
    done = sum(len(batch.times) * len(batch.members) for batch in batches(job) if name_of(batch) in parts)
    return done * (len(job.noise_levels) - 1)


def header(job: Job, settings: Mapping[str, Any], command: str) -> dict[str, Any]:
    """First line of a manifest: what an output that is begun now hangs on."""
    of_machine = {"batch": job.batch, "call_cells": job.call_cells}
    return {"created": now_utc(), "command": command, **of_machine, "settings": settings}


def _differing(job: Job, settings: Mapping[str, Any], parts: Parts) -> dict[str, tuple[Any, Any]]:
    """Settings that are others now than when a folder was begun: name -> then, now; None for one that is not given."""
    then, now = parts.header["settings"], json.loads(json.dumps(settings))
    if job.config.precision == "auto":
        # what is kept cannot differ
        now["precision"] = then.get("precision")
    return {name: (then.get(name), now.get(name)) for name in {**then, **now} if then.get(name) != now.get(name)}


def _harmless(name: str) -> bool:
    """Whether another value of a setting leaves the fields as they are, but for their last bits."""
    return name in MACHINE or name.startswith(MOMENT)


def told_only(job: Job, settings: Mapping[str, Any], parts: Parts) -> list[str]:
    """Lines on what is otherwise than when a folder was begun and does not keep a run from going on."""
    different = _differing(job, settings, parts)
    machine = [
        f"{name} was {told(different[name][0])}, is {told(different[name][1])}" for name in MACHINE if name in different
    ]
    files = [name.removeprefix(MOMENT) for name in different if name.startswith(MOMENT)]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    precision = str(job.precision).removeprefix("torch.")
    begun = parts.header["settings"].get("precision", precision)
    return [
        *([f"Another machine than at the beginning ({'; '.join(machine)}): last bits may differ"] if machine else []),
        *(
            [f"{files[0]}{more} changed or was copied since; size and samples are the same: taken as it was"]
            if files
            else []
        ),
        *(
            [f"Goes on in {begun}, as it was begun; this machine's own choice is {precision}"]
            if begun != precision
            else []
        ),
    ]


def going_on(job: Job, settings: Mapping[str, Any], parts: Parts) -> Job:
    """The job in the batches and the precision in which it was begun, whatever machine it is now.

    Another machine is noted in the folder, for :func:`as_begun`.

    Raises
    ------
    ConfigError
        Other settings than then, but for those of :func:`told_only`.
    """
    then = parts.header["settings"]
    now = json.loads(json.dumps(settings))
    others = [name for name in _differing(job, settings, parts) if not _harmless(name)]
    if others:
        options = differences.asked_for(then, others)
        remedy = f"Give those ({options})" if options else "Give those"
        said = differences.named(then, now, others)
        msg = f"--resume: {parts.folder} was begun with other settings: {said}. {remedy}, or --overwrite to start anew."
        raise ConfigError(msg)
    last, here = _machine(then), json.loads(json.dumps(_machine(settings)))
    for line in parts.lines:
        last = line.get("machine", last)
    if last != here:
        parts.note({"machine": here})
    precision = getattr(torch, then["precision"]) if "precision" in then else job.precision
    return replace(job, batch=parts.header["batch"], call_cells=parts.header["call_cells"], precision=precision)


def _machine(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings.get(name) for name in MACHINE}


def as_begun(contents: Contents, parts: Parts) -> Contents:
    """What an output holds with attributes that say on what it was drawn, not on what it is written: the machine on which it was
    begun, and the others on which it went on.
    """  # fmt: skip
    first = machine = _machine(parts.header["settings"])
    others: dict[str, None] = {}
    for line in parts.lines:
        machine = line.get("machine", machine)
        if "batch" in line and machine != first:
            others[", ".join(f"{name} {value}" for name, value in machine.items())] = None
    said = {f"zssd_{name}": value for name, value in first.items() if name != "device" and value is not None}
    if others:
        said[ELSEWHERE] = "; ".join(others)
    return replace(contents, attributes={**contents.attributes, **said})


class Drawing:
    """Draws one batch after the other, whichever is asked for: in any order each has the values and doubts that it has in a whole run."""

    def __init__(
        self, job: Job, watch: Watch, shown: Callable[[Result], Result], tick: Callable[[int], None] = lambda _: None
    ) -> None:
        """Begin with a source of which only the first time was read.

        Parameters
        ----------
        job
            With the batch and call sizes of all of the run.
        watch
            Of the job's source.
        shown
            From the prior's variables to the output's.
        tick
            As of :func:`zssd_cli.posterior.downscaling.run`.
        """
        self._job, self._watch, self._shown, self._tick = job, watch, shown, tick
        self._wanted, self._read, self._passed = Batch(range(0), range(0)), range(1), -1
        self._drawing = self._begun()

    def _begun(self) -> Iterator[tuple[Batch, list[Result]]]:
        return draw(self._job, self._tick, lambda batch: batch != self._wanted)

    def __call__(self, batch: Batch) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What :meth:`zssd_cli.outputs.parts.Parts.keep` is to store and to note of a batch: its doubts are those of its own."""
        started, position = time.monotonic(), batch.times.start * self._job.config.members + batch.members.start
        if position <= self._passed:
            self._watch.forget()
            self._drawing, self._read = self._begun(), range(1)
            if batch.times.start < 2:
                read_before(self._job.source, 1)
        if batch.times.start > self._read.stop:
            self._watch.forget()
        # what is passed cannot be drawn again without beginning anew, also where this one fails
        self._wanted, self._passed = batch, self._job.samples
        self._watch.seen.clear()
        _, results = next(self._drawing)
        self._read, self._passed = batch.times, position
        arrays = _arrays(map(self._shown, results))
        doubts = [[*key, *times] for key, times in self._watch.seen.items()]
        noted: dict[str, Any] = {"seconds": round(time.monotonic() - started, 3)}
        return arrays, noted | ({"doubts": doubts} if doubts else {})


def draw_missing(
    job: Job,
    parts: Parts,
    watch: Watch,
    shown: Callable[[Result], Result],
    tick: Callable[[int], None],
    before_each: Callable[[], None],
) -> None:
    """Draw and keep every batch that a folder lacks.

    Parameters
    ----------
    job, watch, shown, tick
        As of :class:`Drawing`; the watch then has the doubts about all batches.
    parts
        The folder; the job has the batch and call sizes of its header.
    before_each
        Called before a further batch is drawn; may raise to stop.
    """
    with all_doubts(job, parts, watch):
        drawn = Drawing(job, watch, shown, tick)
        for batch in batches(job):
            if name_of(batch) not in parts:
                before_each()
                parts.keep(name_of(batch), *drawn(batch))


@contextmanager
def all_doubts(job: Job, parts: Parts, watch: Watch) -> Iterator[None]:
    """After the block the doubts are those of all kept batches, in the order of a run that drew them one after the other."""
    first = {key: [*times] for key, times in watch.seen.items()}
    try:
        yield
    finally:
        noted = {line["batch"]: line.get("doubts", []) for line in parts.lines if "batch" in line}
        watch.seen.clear()
        watch.seen.update(first)
        for batch in batches(job):
            for where, kind, *times in noted.get(name_of(batch), []):
                known = watch.seen.setdefault((where, kind), times[:1])
                known.extend(when for when in times[1:] if when not in known)


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
