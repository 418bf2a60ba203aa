"""What a run will take, before it: seconds from one timed call of the network, memory from what is kept (rules measured on one machine)."""

import time

import numpy as np
import torch

from zssd_cli.posterior.downscaling import Job, noise_levels
from zssd_cli.posterior.machine import FEATURE_COPIES, FIELD_COPIES
from zssd_cli.posterior.windows import plan, windowed
from zssd_cli.prior.covariance import BAND_WIDTH, MAX_LAG, SHORT_RANGE, TORUS
from zssd_cli.prior.denoiser import Conditions
from zssd_cli.prior.gaussian import KEPT_BYTES

BACKWARD = 3.0
"""A step with back-propagation in units of a plain network call."""
LARGE, LARGER = 300_000, 1.5
"""In windows beyond LARGE cells a cell takes LARGER times as long: their tensors are fetched from the system at every call."""
LINEAR, LINEAR_RING = 0.3, 0.08
"""A cell of a linear step in units of one of a network call; on the whole circle nothing has to be filled."""
INCREMENT = 0.12
"""A cell of an analysis increment, in the same units."""
SETUP = 0.25
"""Seconds per band of latitude to prepare covariances and gains."""
PROGRAM = 0.5e9
"""Bytes of the program with its libraries."""


def seconds_per_cell(job: Job) -> float:
    """Seconds that the network takes for a cell, timed on a small square."""
    side = min(128, *job.domain.fine.shape) // 8 * 8
    x = torch.randn(1, len(job.prior.variables), side, side, device=job.static.device)
    here = Conditions(job.static[..., :side, :side], torch.zeros(1, 2, device=x.device))
    network = windowed(job.prior.denoiser, here, circular=False, precision=job.precision)
    taken = []
    with torch.inference_mode():
        for _ in range(3):
            started = time.monotonic()
            network(x, 1.0).sum().item()
            taken.append(time.monotonic() - started)
    return min(taken) / side**2


def bands(job: Job) -> int:
    """Bands of latitude that touch the domain."""
    lat = job.domain.fine.lat
    return min(int((lat[-1] - lat[0]) // BAND_WIDTH) + 2, round(180 / BAND_WIDTH))


def seconds(job: Job, per_cell: float) -> float:
    """Seconds of the sampling, about."""
    fine = job.domain.fine
    cells, samples = fine.shape[0] * fine.shape[1], job.samples
    rows, columns = plan(*fine.shape, fine.circular, job.config.window_cells, job.prior.denoiser.network.stride)
    seen = len(rows.starts) * rows.size * len(columns.starts) * columns.size
    window = rows.size * columns.size
    network = job.network_calls * seen * (LARGER if window > LARGE else 1.0)
    if job.config.stepwise:
        return 1 + per_cell * network * (1 + BACKWARD)
    if job.config.guidance == "mmps":
        network *= 1 + BACKWARD * job.config.products
    linear = (job.steps - job.network_calls) * cells * (LINEAR_RING if fine.circular else LINEAR)
    total = 1 + SETUP * bands(job) + per_cell * (network + linear)
    if job.config.guidance == "analysis":
        total += per_cell * INCREMENT * samples * job.config.used_steps * cells
    return total


def memory(job: Job) -> float:
    """Peak memory in bytes, about; the same for any number of times."""
    fine, count = job.domain.fine, len(job.prior.variables)
    cells = int(np.prod(fine.shape))
    rows, columns = plan(*fine.shape, fine.circular, job.config.window_cells, job.prior.denoiser.network.stride)
    batch = min(job.batch, job.samples)
    window = rows.size * columns.size
    called = window * max(1, min(job.call_cells // window, batch))
    width = job.prior.header.network.channels[0] * torch.empty((), dtype=job.precision).element_size()
    fields = FIELD_COPIES * 4 * count * cells * batch
    if job.config.back_propagates:
        return PROGRAM + fields + 10 * FEATURE_COPIES * width * called
    total = PROGRAM + fields + FEATURE_COPIES * width * called
    total += bands(job) * TORUS * (TORUS // 2) * 4 * (count + 2 * count**2)
    total += min(KEPT_BYTES, 12 * count**2 * cells)
    if job.config.guidance == "analysis":
        wide = int((noise_levels(job.config) >= SHORT_RANGE).sum())
        total += bands(job) * wide * 2 * count * len(job.channels) * (2.1 * MAX_LAG) ** 2
    return total
