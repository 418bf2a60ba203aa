"""The main job: a coarse series and a prior in, an ensemble of 0.25 degree fields out, time by time.

Nothing here grows with the length of the series: times and members are sampled in batches of bounded size and handed
on at once.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from zssd_cli.climate.balance import northern_winter
from zssd_cli.climate.gaussian import ClimateFields
from zssd_cli.config import DownscaleConfig
from zssd_cli.defaults import OBS_ERROR
from zssd_cli.errors import ConfigError, InputError
from zssd_cli.grids.extent import cell_width, common_region, covered_region, describe_cells
from zssd_cli.grids.latlon import Region, describe_centres
from zssd_cli.grids.regrid import Regrid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior import observing
from zssd_cli.posterior.adjustment import Adjustment
from zssd_cli.posterior.domain import Domain, check_scale, make_domain, regridders_of
from zssd_cli.posterior.guidance import Guidance, Method, Observation, Setup, by_name
from zssd_cli.posterior.guidance.projection import match, match_speed
from zssd_cli.posterior.machine import free_memory, network_precision, plan_batch, plan_call
from zssd_cli.posterior.random import NoiseStream, noise_weights, window_around
from zssd_cli.posterior.sampler import sample
from zssd_cli.posterior.start import Start
from zssd_cli.posterior.subdaily import Moments, Paths, moments
from zssd_cli.posterior.together import Batch, Halving, Result, pieces
from zssd_cli.posterior.windows import above, windowed
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.prior.coarse import Coarse
from zssd_cli.prior.denoiser import Conditions
from zssd_cli.prior.noise import ddpm_sigmas, karras_sigmas, log_snr_sigmas, long_sigmas
from zssd_cli.series.interval import DAILY
from zssd_cli.series.protocol import CoarseSeries
from zssd_cli.static import StaticFields
from zssd_cli.times import format_time, year_day_fractions

SPACINGS: dict[str, Callable[[int], Tensor]] = {
    "ddpm": ddpm_sigmas,
    "karras": karras_sigmas,
    "log-snr": log_snr_sigmas,
    "long": long_sigmas,
}
"""Falling noise levels that end with 0, from pure noise on, by the number of steps."""
GAUSSIAN_ABOVE = 40.0
"""Noise level above which the climatological Gaussian is the prior, where all is observed or a network for high noise is asked."""
NEARLY_ALL = 0.9
"""Share of the output's blocks without input from which on a variable is doubted, and not taken for observed."""
ABSURD = 1e3
"""Standard deviations that no weather and no plausible input reaches."""


@dataclass(frozen=True)
class Job:
    """Everything decided before the first network call.

    Attributes
    ----------
    source, prior, config
        As given.
    domain
        Grids.
    static
        Static channels of the sampled domain, (1, 4, H, W).
    channels
        Index in the prior of every observed variable that is a channel, in the source's order.
    regridders
        From the cells of each of the source's variables to the blocks.
    regridder
        Their name.
    batch
        Samples (times x members) that are drawn together.
    call_cells
        Cells that samples which share a network call may have together.
    precision
        Of the network.
    first
        Block means of the first time in standard units, (1, observed, h, w), NaN where missing.
    adjustment
        Of block means; None: they are taken as they are.
    """

    source: CoarseSeries
    prior: Prior
    config: DownscaleConfig
    domain: Domain
    static: Tensor
    channels: tuple[int, ...]
    regridders: tuple[Regrid, ...]
    regridder: str
    batch: int
    call_cells: int
    precision: torch.dtype
    first: np.ndarray
    adjustment: Adjustment | None = None

    @property
    def method(self) -> Method:
        """The guidance: how it is made, what it needs, what it costs."""
        return by_name(self.config.guidance)

    @property
    def coarse(self) -> Coarse | None:
        """The prior's network for high noise, where a level asks it, the domain is large enough and the guidance allows it."""
        coarse, first = self.prior.coarse, self.config.gaussian_above
        if coarse is None or self.method.stepwise or not coarse.serves(*self.domain.fine.shape):
            return None
        walked = self._levels <= (GAUSSIAN_ABOVE if first is None else first)
        return coarse if (walked & (self._levels >= coarse.header.above)).any() else None

    @property
    def samples(self) -> int:
        """Times x members."""
        return len(self.source.times) * self.config.members

    @property
    def steps(self) -> int:
        """Denoising steps for all samples (a step of a whole field counts as one), a network call each."""
        return self.samples * (len(self.noise_levels) - 1)

    @property
    def full_calls(self) -> int:
        """Calls of the network that sees every cell; those of the one for high noise cost next to nothing."""
        first = math.inf if self.coarse is None else self.coarse.header.above
        return self.samples * int(((self.noise_levels > 0) & (self.noise_levels < first)).sum())

    @property
    def gaussian_above(self) -> float:
        """Noise level above which the climatological Gaussian is the prior; infinite for the paper's modes.

        A variable counts as observed unless nearly all of its blocks in the output are missing at the first time. A prior with a
        network for high noise needs no exception where some are inferred.
        """
        if self.method.stepwise:
            return math.inf
        if self.config.gaussian_above is not None:
            return self.config.gaussian_above
        observed = set(self.source.variables) - self.nearly_missing.keys()
        return GAUSSIAN_ABOVE if self.coarse is not None or set(self.prior.variables) <= observed else 10.0

    @property
    def nearly_missing(self) -> dict[str, int]:
        """Variable of the source that lacks nearly all blocks of the output at the first time -> how many it lacks."""
        inside = self.domain.core > 0
        counts = (np.isnan(self.first[0]) & inside).sum((1, 2)).tolist()
        found = zip(self.source.variables, counts, strict=True)
        return {name: count for name, count in found if count >= NEARLY_ALL * inside.sum()}

    @property
    def noise_levels(self) -> Tensor:
        """Falling noise levels that are walked, from where the network takes over to 0."""
        return self._levels[self._levels <= self.gaussian_above]

    @property
    def _levels(self) -> Tensor:
        return SPACINGS[self.method.spacing_of(self.config)](self.method.steps_of(self.config))


def prepare(
    source: CoarseSeries, prior: Prior, static: StaticFields, config: DownscaleConfig, region: Region | None,
    adjustment: Adjustment | None = None,
) -> Job:  # fmt: skip
    """Check that source, prior and static fields fit together and lay out the run.

    Raises
    ------
    ConfigError
        Other static fields than the prior's, a filter scale finer than the input, a region of no whole block.
    InputError
        Means over days or months; no value in the region at the first time; surface pressure in the place of msl.
    """
    if static.sha256 != prior.header.static_sha256:
        msg = (
            f"The prior was trained with other static fields: expected hash {prior.header.static_sha256[:12]}, "
            f"got {static.sha256[:12]} from {static.source}. "
            "Pass --static with the file used in training, or train a prior with yours."
        )
        raise ConfigError(msg)
    if config.subdaily is not None:
        source = moments(source, config.subdaily)
    method = by_name(config.guidance)
    if method.stepwise and method.sampler_of(config) != method.sampler:
        msg = (
            f"--guidance {config.guidance} is defined by the {method.sampler} sampler's step, got --sampler {config.sampler}. "
            "Leave --sampler out."
        )
        raise ConfigError(msg)
    if source.averaging is not None and not config.any_frequency:
        remedy = "--subdaily 6h (draws moments that keep the daily means) or " if source.kind == DAILY else ""
        msg = (
            f"The input holds {source.averaging}; the prior knows fields at one moment and would add weather "
            f"that a mean lacks. Use 6-hourly or finer input, or pass {remedy}--any-frequency."
        )
        raise InputError(msg)
    step = config.filter_scale
    if region is None:
        region = common_region([covered_region(place, step) for place in source.cells.values()])
    for place in source.cells.values():
        check_scale(cell_width(place), step)
    domain = make_domain(region, step)
    regridders, name = regridders_of(source, domain.coarse, config.regridder)
    channels = observing.channels(prior, source.variables)
    cells = domain.fine.shape[0] * domain.fine.shape[1]
    device = prior.denoiser.network.out.weight.device
    channels_static = torch.as_tensor(static.channels(domain.fine), device=device)[None]
    free = free_memory(device)
    precision = network_precision(config.precision, device, gradients=method.backward(config) > 0)
    batch = 1 if method.backward(config) else plan_batch(cells, len(prior.variables), free, device)
    call = plan_call(prior.header.network.channels[0], free, precision)
    first = _block_means(source, prior, domain, regridders, adjustment, 0, 1)
    observing.refuse_surface_pressure(first[0], prior, source.variables, static, domain)
    return Job(
        source, prior, config, domain, channels_static, channels, regridders, name, batch, call, precision, first, adjustment
    )  # fmt: skip


def observe(job: Job, start: int, stop: int) -> np.ndarray:
    """Block means of the source in standard units, (times, observed, h, w), NaN where missing.

    Raises
    ------
    InputError
        Where no block of the region has a value.
    """
    if start == 0 and stop == 1:
        return job.first
    begin = max(start, 1)
    means = _block_means(job.source, job.prior, job.domain, job.regridders, job.adjustment, begin, stop)
    return means if start > 0 else np.concatenate([job.first, means])


def _block_means(
    source: CoarseSeries, prior: Prior, domain: Domain, regridders: Sequence[Regrid], adjustment: Adjustment | None,
    start: int, stop: int,
) -> np.ndarray:  # fmt: skip
    means = [
        regrid(source.fields(name, start, stop)) for name, regrid in zip(source.variables, regridders, strict=True)
    ]
    blocks = np.stack(means, 1)
    if adjustment is not None:
        blocks = adjustment.adjust(source.variables, source.times[start:stop], domain.coarse, blocks)
    for k in range(stop - start):
        if domain.unseen(np.isnan(blocks[k]).all(0)).all():
            where = describe_cells(next(iter(source.cells.values())))
            time = format_time(source.times[start + k])
            msg = (
                f"The input has no value in the region at {time}: expected data for "
                f"{describe_centres(domain.output)}, the input covers {where}. Choose another --region."
            )
            raise InputError(msg)
    mean, std = (scale[:, None, None] for scale in observing.standards(prior, source.variables))
    return ((blocks - mean) / std).astype(np.float32)


def batches(job: Job) -> Iterator[Batch]:
    """The job in pieces that are drawn together, in the order of their times and members."""
    return pieces(Batch(range(len(job.source.times)), range(job.config.members)), job.batch)


def run(job: Job, tick: Callable[[int], None] = lambda _: None) -> Iterator[Result]:
    """Draw all samples; ``tick(n)`` is called after every step with the number of fields that it advanced.

    Yields one :class:`Result` per time and run of members, in order.
    """
    for _, results in draw(job, tick):
        yield from results


def draw(
    job: Job, tick: Callable[[int], None] = lambda _: None, done: Callable[[Batch], bool] = lambda _: False
) -> Iterator[tuple[Batch, list[Result]]]:
    """Draw batch by batch as :func:`run` does; those that are done already are neither read nor drawn."""
    operator = Coarsen(job.domain.fine, job.domain.coarse, device=job.static.device)
    prior, fine = job.prior, job.domain.fine
    bands = prior.climate.bands(fine.lat)
    guidance = job.method.make(Setup(job.config, prior.lags, prior.signs, bands, job.gaussian_above))
    speed_seen = observing.SPEED in job.source.variables
    unresolved = observing.unresolved_wind(prior, bands, job.static.device) if speed_seen else None
    climate = Start(ClimateFields(prior.climate, fine, job.static[0], bands))
    begin = None if job.method.stepwise else climate
    paths = None
    if isinstance(job.source, Moments):
        paths = Paths(job.source, job.channels, climate, operator, job.config.seed, partial(observe, job))
    times, observed, together = range(1), job.first, Halving(job.batch)
    for batch in batches(job):
        if done(batch):
            continue
        if batch.times != times:
            if batch.times.start > times.stop:
                read_before(job.source, batch.times.start)
            times, observed = batch.times, observe(job, batch.times.start, batch.times.stop)
        members = batch.members
        values = (
            torch.as_tensor(observed).repeat_interleave(len(members), 0) if paths is None else paths(times, members)
        )
        values = values.to(job.static.device)
        yield batch, together(batch, partial(_draw, job, operator, guidance, begin, unresolved, values, batch), tick)


def read_before(source: CoarseSeries, start: int) -> None:
    """Read the fields of the time before a gap's end: that a field repeats its neighbour is only seen by reading both."""
    for name in source.variables:
        source.fields(name, start - 1, start)


def _draw(
    job: Job,
    operator: Coarsen,
    guidance: Guidance,
    begin: Start | None,
    unresolved: Callable[[float], Tensor | float] | None,
    values: Tensor,
    batch: Batch,
    piece: Batch,
    tick: Callable[[int], None],
) -> Iterator[Result]:
    """Sample a piece of a batch, guided by standardised block means of the whole batch, (times * members, observed, h, w)."""
    values, indices, members = batch.cut(values, piece), piece.times, piece.members
    device, config, count = job.static.device, job.config, len(members)
    times = job.source.times[indices.start : indices.stop]
    observation = observing.make_observation(job.prior, job.source.variables, values, operator, config, unresolved)
    fractions = torch.tensor([year_day_fractions(t) for t in times], dtype=torch.float32, device=device)
    conditions = Conditions(job.static, fractions.repeat_interleave(count, 0))
    with torch.no_grad(), torch.inference_mode(not job.method.backward(config)):
        fine, window = job.domain.fine, config.window_cells
        prior = windowed(job.prior.denoiser, conditions, fine.circular, window, job.call_cells, job.precision)
        if job.coarse is not None:
            prior = above(job.coarse, conditions, fine.circular, job.precision, prior)
        keys = [(member, noise_weights(t, config.time_noise)) for t in times for member in members]
        (height, width), (rim, side) = fine.shape, (0, 0) if begin is None else begin.fields.margin
        noise = NoiseStream(config.seed, keys, len(job.prior.variables), window_around(fine, rim, side), device)

        def draw() -> Tensor:
            return noise.draw()[:, :, rim : rim + height, side : side + width]

        clean: Tensor | float = 0.0
        if begin is not None:
            errors = operator.white(draw()[:, list(observation.channels)])
            clean = begin(observation, noise.draw(), errors, northern_winter(conditions.time[:, 0]))
        for step in sample(guidance(prior, observation), draw, job.noise_levels, job.method.sampler_of(config), clean):
            field = step
            tick(len(values))
        if job.method.exact:
            field = _made_exact(field, observation)
        area = torch.as_tensor(job.domain.core, dtype=field.dtype, device=device) * ~values.isnan()
        squares = (observation.full_residual(field).square() * area).sum((2, 3))
        residual = (squares / area.sum((2, 3)).clamp(min=torch.finfo(field.dtype).tiny)).sqrt().cpu().numpy()
        mean, std = (s.to(device)[:, None, None] for s in (job.prior.mean, job.prior.std))
        rows, columns = job.domain.crop
        field = field[:, :, rows][:, :, :, columns]
        farthest, finished = field.abs().amax((1, 2, 3)).cpu().numpy(), (field * std + mean).cpu().numpy()
    for k in range(len(times)):
        part = finished[k * count : (k + 1) * count]
        # a value that is none is not less either
        if not (np.isfinite(part).all() and (farthest[k * count : (k + 1) * count] < ABSURD).all()):
            msg = (
                f"The sampling gave values that are not finite, or beyond {ABSURD:g} standard deviations, at {format_time(times[k])}. "
                "Check the input's units and the weights, use more --steps, or a smaller --zeta."
            )
            raise InputError(msg)
        unseen, drawn = _not_observed(job, values[k * count].isnan().cpu().numpy())
        part[:, :, unseen] = np.nan
        yield Result(indices[k], members.start, part, residual[k * count : (k + 1) * count].max(0), drawn)


def _not_observed(job: Job, missing: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Output cells (lat, lon) where nothing was observed, and per variable where others were, of blocks (observed, h, w)."""
    unseen = job.domain.unseen(np.logical_and.reduce(missing))
    holes = {name: hole for name, hole in zip(job.source.variables, missing, strict=True) if hole.any()}
    drawn = {name: job.domain.unseen(hole) & ~unseen for name, hole in holes.items()}
    return unseen, {name: cells for name, cells in drawn.items() if cells.any()}


def _made_exact(field: Tensor, observation: Observation) -> Tensor:
    """The sample with those block means made right, smoothly, whose error is at most the default, which is meant as none."""
    small = [c for c, error in zip(observation.channels, observation.error.tolist(), strict=True) if error <= OBS_ERROR]
    field = match(field, observation, small)
    exact_speed = observation.speed is not None and observation.speed.error <= OBS_ERROR
    return match_speed(field, observation) if exact_speed else field
