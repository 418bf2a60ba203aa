"""What a worker process is sent and what it does: it opens the files and the prior once, and draws the batches that it is asked for.

What is sent is small: where the files are, the keywords of :func:`zssd_cli.api.plan`, and what the result must not hang on. A worker whose
settings come out otherwise (another torch, another processor, other weights) draws nothing.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zssd_cli.api import Plan, plan
from zssd_cli.buffers import keep_buffers
from zssd_cli.errors import ConfigError, ZssdError
from zssd_cli.posterior.resuming import MOMENT, Drawing, of_inputs
from zssd_cli.posterior.together import Batch

_ONE = threading.Lock()
"""A worker with several threads draws one batch at a time: neither the NetCDF library nor a job is made for more."""

Answer = tuple[dict[str, np.ndarray], dict[str, Any]] | ZssdError
"""Arrays and notes of a batch, or what is wrong: an error that is returned is neither logged nor tried again."""


@dataclass(frozen=True)
class Work:
    """A job as it travels to the workers.

    Attributes
    ----------
    inputs
        Absolute paths.
    settings
        Keywords of :func:`zssd_cli.api.plan`.
    batch, call_cells
        Sizes in which the job was begun.
    threads
        With which a worker computes.
    expected
        The settings of the run and the fingerprints of its inputs, as JSON.
    """

    inputs: tuple[str, ...]
    settings: tuple[tuple[str, Any], ...]
    batch: int
    call_cells: int
    threads: int
    expected: str


def describe_work(
    planned: Plan, inputs: Sequence[Path], settings: Mapping[str, Any], expected: Mapping[str, Any]
) -> Work:
    """The work of a plan, made of these inputs and keywords; ``expected`` are what its numbers hang on."""
    paths = tuple(str(path.absolute()) for path in inputs)
    items = tuple((name, _absolute(name, value)) for name, value in settings.items())
    job = planned.job
    return Work(paths, items, job.batch, job.call_cells, torch.get_num_threads(), json.dumps(expected))


def _absolute(name: str, value: Any) -> Any:
    """A worker may be in another folder: names of files do not hang on it."""
    if name == "weights" and isinstance(value, str) and Path(value).expanduser().is_file():
        value = Path(value)
    return value.expanduser().absolute() if isinstance(value, Path) else value


def draw_batch(work: Work, batch: Batch) -> Answer:
    """Draw one batch; what Dask runs in a worker."""
    with _ONE:
        try:
            # both are settings of the thread, and Dask's threads are older than this module
            torch.set_num_threads(work.threads)
            torch.set_flush_denormal(True)
            return _opened(work)(batch)
        except ZssdError as error:
            return error


@lru_cache(maxsize=1)
def _opened(work: Work) -> Drawing:
    """The job, opened in this process and kept open."""
    try:
        with ExitStack() as stack:
            keep_buffers(256 << 20, insist=True)
            planned = stack.enter_context(plan(work.inputs, **dict(work.settings)))
            _check(planned, work)
            job = replace(planned.job, batch=work.batch, call_cells=work.call_cells)
            drawing = replace(planned, job=job).one_by_one()
            # the files stay open as long as the process lives
            _KEPT.append(stack.pop_all())
            return drawing
    except ZssdError as error:
        msg = f"Worker {_name()}: {error}"
        raise type(error)(msg) from error


_KEPT: list[ExitStack] = []


def _check(planned: Plan, work: Work) -> None:
    expected = json.loads(work.expected)
    got = json.loads(json.dumps(planned.settings() | of_inputs(map(Path, work.inputs))))
    every = (name for name in {**expected, **got} if not name.startswith(MOMENT))
    names = [name for name in every if expected.get(name) != got.get(name)]
    if names:
        told = "; ".join(f"{name} is {got.get(name)}, expected {expected.get(name)}" for name in names[:3])
        msg = f"would not draw the same numbers: {told}. Start it on the same kind of machine with the same versions and files."
        raise ConfigError(msg)


def _name() -> str:
    """Of this worker, for people."""
    import socket

    from distributed import get_worker

    return f"{get_worker().address} on {socket.gethostname()}"
