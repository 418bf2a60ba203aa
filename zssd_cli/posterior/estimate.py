"""What a run will take, before it: seconds from timed calls of the network, memory from what is kept (rules measured on one machine)."""

import numpy as np
import torch
from torch import Tensor

from zssd_cli.climate.bands import BAND_WIDTH
from zssd_cli.climate.covariance import MAX_LAG, TORUS
from zssd_cli.errors import ConfigError
from zssd_cli.posterior.downscaling import Job
from zssd_cli.posterior.guidance import Denoise
from zssd_cli.posterior.machine import FEATURE_COPIES, FIELD_COPIES, free_memory
from zssd_cli.posterior.windows import plan, windowed
from zssd_cli.prior.denoiser import Conditions
from zssd_cli.timing import Timing, timed

BACKWARD = 3.0
"""A step with back-propagation in units of a plain network call."""
LARGE, LARGER = 300_000, 1.5
"""In windows beyond LARGE cells a cell takes LARGER times as long where their tensors are fetched from the system at every call."""
SETUP = 0.12
"""Seconds per band of latitude to prepare covariances and gains."""
RULES = 0.7, 1.3
"""How far a run may be from what these rules make of a call of the network."""
PROGRAM = 0.5e9
"""Bytes of the program with its libraries."""
AT_WORK = 0.7
"""Bytes in use while a window is back-propagated, in units of what was kept of it."""


def _square(job: Job, side: int) -> tuple[Denoise, Tensor]:
    """The network on a small square of the domain, and noise for it."""
    x = torch.randn(1, len(job.prior.variables), side, side, device=job.static.device)
    here = Conditions(job.static[..., :side, :side], torch.zeros(1, 2, device=x.device))
    return windowed(job.prior.denoiser, here, circular=False, precision=job.precision), x


def _side(job: Job) -> int:
    return min(128, *job.domain.fine.shape) // 8 * 8


def network_call(job: Job) -> tuple[Timing, int]:
    """A call of the network on a small square, timed, and the square's cells."""
    side = _side(job)
    network, x = _square(job, side)
    with torch.inference_mode():
        return timed(lambda: network(x, 1.0).sum().item()), side**2


def kept_per_cell(job: Job) -> float:
    """Bytes that the network keeps of a cell for back-propagation: what a square keeps more than one of half its side."""
    side = _side(job)
    return (_kept(job, side) - _kept(job, side // 2)) / (side**2 - (side // 2) ** 2)


def _kept(job: Job, side: int) -> int:
    network, x = _square(job, side)
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _answer = network(x.requires_grad_(), 1.0)  # keeps alive what was noted, so that no address comes twice
    return sum(sizes.values())


def bands(job: Job) -> int:
    """Bands of latitude that touch the domain."""
    lat = job.domain.fine.lat
    return min(int((lat[-1] - lat[0]) // BAND_WIDTH) + 2, round(180 / BAND_WIDTH))


def _windows(job: Job) -> tuple[int, int]:
    """Cells of a window of the network, and of all of them."""
    rows, columns = plan(
        *job.domain.fine.shape, job.domain.fine.circular, job.config.window_cells, job.prior.denoiser.network.stride
    )
    window = rows.size * columns.size
    return window, window * len(rows.starts) * len(columns.starts)


def seconds(job: Job, per_cell: float) -> float:
    """Seconds of the sampling, about."""
    method, cells = job.method, int(np.prod(job.domain.fine.shape))
    window, seen = _windows(job)
    network = job.full_calls * seen * (LARGER if window > LARGE else 1.0) * (1 + BACKWARD * method.backward(job.config))
    beside = method.increment * job.samples * method.steps_of(job.config) * cells
    return 1 + (0 if method.stepwise else SETUP * bands(job)) + per_cell * (network + beside)


def seconds_range(job: Job, call: Timing, cells: int) -> tuple[float, float]:
    """Seconds of the sampling at least, on an idle machine, and at most, beside what else is running now."""
    low, high = (seconds(job, taken / cells) for taken in (call.fastest, call.usual))
    return RULES[0] * low, RULES[1] * high


def memory(job: Job) -> float:
    """Peak memory in bytes, about; the same for any number of times."""
    fine, count = job.domain.fine, len(job.prior.variables)
    cells = int(np.prod(fine.shape))
    window, seen = _windows(job)
    batch = min(job.batch, job.samples)
    total = PROGRAM + FIELD_COPIES * 4 * count * cells * batch
    if job.method.backward(job.config):
        total += kept_per_cell(job) * (seen + AT_WORK * window)
    else:
        called = window * max(1, min(job.call_cells // window, batch))
        width = job.prior.header.network.channels[0] * torch.empty((), dtype=job.precision).element_size()
        total += FEATURE_COPIES * width * called
    if job.method.stepwise:
        return total
    total += bands(job) * TORUS * (TORUS // 2) * 4 * (count + 2 * count**2)
    gains = job.method.gains(job.noise_levels)
    return total + bands(job) * gains * 2 * count * len(job.channels) * (2.1 * MAX_LAG) ** 2


def check_memory(job: Job) -> None:
    """Refuse a guidance that back-propagates through more than fits: what the network keeps of all windows lies there at once.

    Raises
    ------
    ConfigError
        It takes more than the free memory.
    """
    if not job.method.backward(job.config):
        return
    # the program itself is in memory already
    needed, free = memory(job) - PROGRAM, free_memory(job.static.device)
    if needed > free:
        msg = (
            f"--guidance {job.config.guidance} back-propagates through the whole domain and takes about {needed / 1e9:.1f} GB "
            f"of memory, got {free / 1e9:.1f} GB free. Ask for a smaller --region, or --guidance analysis."
        )
        raise ConfigError(msg)
