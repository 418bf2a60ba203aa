"""The package's own engine on one held-out field, measured."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from harness.fields import HeldOut
from zssd_cli.config import DownscaleConfig
from zssd_cli.errors import ZssdError
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.posterior.downscaling import Job, prepare, run
from zssd_cli.prior.checkpoint import Prior, load_prior
from zssd_cli.prior.registry import locate
from zssd_cli.static import StaticFields, load_static


@dataclass(frozen=True)
class Setting:
    """The network that all rows share.

    Attributes
    ----------
    prior, static
        As the engine wants them.
    name, sha256
        Of the weights.
    """

    prior: Prior
    static: StaticFields
    name: str
    sha256: str


def open_prior(weights: str | None) -> Setting:
    """A registered prior or a file; ends the program where there is none."""
    try:
        path, sha256 = locate(weights, offline=True)
        return Setting(load_prior(path), load_static(), Path(path).stem, sha256)
    except ZssdError as error:
        sys.exit(str(error))


@dataclass
class Counter:
    """Network evaluations and back-propagations through the network, in fields (a batch of four counts four)."""

    forward: int = 0
    backward: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def counted(network: nn.Module) -> Iterator[Counter]:
    """Count and time what happens inside the block."""
    counter = Counter()

    def seen(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
        counter.forward += len(output)

        def differentiated(gradient: Tensor) -> None:
            counter.backward += len(gradient)

        if output.requires_grad:
            output.register_hook(differentiated)

    handle = network.register_forward_hook(seen)
    wall, cpu = time.monotonic(), time.process_time()
    try:
        yield counter
    finally:
        handle.remove()
        counter.seconds, counter.cpu_seconds = time.monotonic() - wall, time.process_time() - cpu


@dataclass(frozen=True)
class Drawn:
    """An ensemble of one field and what it cost.

    Attributes
    ----------
    ensembles
        (times, members, C, lat, lon), canonical units.
    grid
        Its cells.
    residual
        Root mean square of y - A x in standard deviations, the worst variable, time and member.
    counter
        Cost of all members and times.
    """

    ensembles: np.ndarray
    grid: LatLonGrid
    residual: float
    counter: Counter


def make_job(setting: Setting, truth: HeldOut, config: DownscaleConfig, given: tuple[str, ...]) -> Job:
    """The run on block means of some variables of a truth; all members of a time in one batch, whatever the mode."""
    blocks = truth.series.only(given).blocks(config.filter_scale)
    region = truth.region(config.filter_scale)
    job = prepare(blocks, setting.prior, setting.static, config, region)
    return replace(job, batch=config.members)


def draw(setting: Setting, job: Job, tick: Callable[[int], None] = lambda _: None) -> Drawn:
    """Downscale all times with the package's engine."""
    parts: list[list[np.ndarray]] = [[] for _ in job.source.times]
    residual = 0.0
    with counted(setting.prior.denoiser) as counter:
        for result in run(job, tick):
            parts[result.time].append(result.values)
            residual = max(residual, float(result.residual.max()))
    return Drawn(np.stack([np.concatenate(part) for part in parts]), job.domain.output, residual, counter)
