"""``--workers`` and ``--scheduler``: who draws, with how many threads, and what is said of it."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from zssd_cli.api import Plan, pick_device
from zssd_cli.commands.keeping import Limit
from zssd_cli.commands.shared import say
from zssd_cli.errors import ConfigError
from zssd_cli.outputs.parts import MANIFEST, Parts, folder_of
from zssd_cli.posterior import estimate
from zssd_cli.posterior.downscaling import batches
from zssd_cli.posterior.machine import free_memory
from zssd_cli.posterior.resuming import of_inputs
from zssd_cli.series.listing import expand
from zssd_cli.workers import cluster, drawing
from zssd_cli.workers.task import describe_work

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from distributed import Client


@dataclass(frozen=True)
class Crew:
    """Who draws: this process, processes that it starts, or those of a cluster.

    Attributes
    ----------
    workers, scheduler
        The options; None for both: this process.
    inputs, settings
        What :func:`zssd_cli.api.plan` is called with.
    """

    workers: int | None
    scheduler: str | None
    inputs: tuple[str | Path, ...]
    settings: dict[str, Any]

    def prepare(self, resumed: Path | None) -> None:
        """Check the options and settle the number of threads, on which the last bits of a sample hang.

        A run that goes on computes with as many as it was begun with. Workers have ``OMP_NUM_THREADS``, or one.

        Parameters
        ----------
        resumed
            Output that is gone on with, if any.

        Raises
        ------
        ConfigError
            Both options, or no Dask.
        """
        begun = None if resumed is None else _begun_with(resumed)
        if self.workers is not None or self.scheduler is not None:
            cluster.require()
            if self.workers is not None and self.scheduler is not None:
                msg = "--workers starts processes and --scheduler joins those that are there; give one of them."
                raise ConfigError(msg)
            if begun is None and not os.environ.get("OMP_NUM_THREADS"):
                begun = 1
        if begun is not None:
            torch.set_num_threads(begun)

    def draw(self, console: Console, planned: Plan, parts: Parts, tick: Callable[[int], None], limit: Limit) -> None:
        """Draw every batch that the folder lacks."""
        missing = len(list(batches(planned.job))) - len(parts)
        if missing == 0 or (self.workers is None and self.scheduler is None):
            planned.draw(parts, tick, limit)
            return
        files = expand(self.inputs)
        work = describe_work(planned, files, self.settings, planned.settings() | of_inputs(files))
        with self._client(planned, missing) as client:
            say(console, f"Workers    {len(client.nthreads())} at {cluster.describe(client)}")
            drawing.draw_missing(client, planned, work, parts, tick, limit, lambda line: say(console, line))

    def _client(self, planned: Plan, missing: int) -> "AbstractContextManager[Client]":
        if self.workers is None:
            return cluster.joined(str(self.scheduler))
        workers, devices = min(self.workers, missing), None
        if pick_device(self.settings["device"]) == "cuda":
            devices = cluster.visible_devices(torch.cuda.device_count(), workers)
        else:
            _check_room(planned, workers)
        return cluster.started(workers, torch.get_num_threads(), devices)


def _begun_with(output: Path) -> int | None:
    """Threads of the process that began an output, None where there is nothing to go on with."""
    manifest = folder_of(output) / MANIFEST
    try:
        with manifest.open("rb") as file:
            return int(json.loads(file.readline())["settings"]["threads"])
    except (OSError, ValueError, KeyError, TypeError):
        # what is wrong with it is said when it is opened
        return None


def _check_room(planned: Plan, workers: int) -> None:
    """Refuse more workers than the memory holds."""
    each, free = estimate.memory(planned.job), free_memory(planned.job.static.device)
    if workers > 1 and workers * each > free:
        msg = (
            f"--workers {workers}: each takes about {each / 1e9:.1f} GB of memory, got {free / 1e9:.1f} GB free. "
            f"Give --workers {max(1, int(free // each))}, or a smaller --region."
        )
        raise ConfigError(msg)
