"""Batches for the training: random patches of the globe, a pure function of seed and step, made ahead in a thread.

An archive is read a time at a time: every position of the batch holds one time and cuts ``patches_per_field`` patches from
it, one a step, before it goes on to the next. Positions change their times at different steps, so the patches of a batch come
from as many times as it has places; a step reads batch / patches_per_field fields and memory holds ``batch`` of them,
whatever the size of the archive.
"""

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from zssd_cli.config import TrainConfig
from zssd_cli.prior.checkpoint import mirror_signs
from zssd_cli.prior.denoiser import Conditions
from zssd_cli.prior.noise import coarse_training_sigmas, training_sigmas
from zssd_cli.prior.unet import STATIC_CHANNELS

_SIN, _COS = STATIC_CHANNELS.index("sin_latitude"), STATIC_CHANNELS.index("cos_latitude")
_STEP, _FIELD, _PATCH, _NOISE = range(4)
"""Streams of random numbers: what a step draws for the whole batch; a position's field, patch and noise."""


@dataclass(frozen=True)
class TrainingField:
    """One time of a reanalysis, standardised, with its static channels.

    Attributes
    ----------
    values
        (C, lat, lon), latitude ascending, standardised; NaN all over where a variable is absent.
    static
        (4, lat, lon), see :data:`zssd_cli.prior.unet.STATIC_CHANNELS`.
    time
        Fractions of the year and of the day, (2,).
    circular
        True where longitude is the whole circle: patches then cross the seam.
    """

    values: Tensor
    static: Tensor
    time: Tensor
    circular: bool


@dataclass(frozen=True)
class TrainingData:
    """Fields of one or several origins and the share of the patches that each gives."""

    parts: tuple[Sequence[TrainingField], ...]
    shares: tuple[float, ...] = (1.0,)

    def draw(self, rng: torch.Generator) -> TrainingField:
        """A field of a random part, every field of it as likely."""
        part = self.parts[int(torch.multinomial(torch.tensor(self.shares, dtype=torch.float32), 1, generator=rng))]
        return part[int(torch.randint(len(part), (), generator=rng))]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)


@dataclass(frozen=True)
class Batch:
    """Clean patches (B, C, H, W), their conditions, noise levels (B,), unit noise (B, C, H, W), variables present (B, C)."""

    clean: Tensor
    conditions: Conditions
    sigma: Tensor
    noise: Tensor
    present: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; from pinned memory the copy does not wait."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "Batch":
        """The batch in memory that a GPU can fetch by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Any) -> "Batch":
        conditions = Conditions(change(self.conditions.static), change(self.conditions.time))
        names = [field.name for field in fields(self) if field.name != "conditions"]
        return replace(self, conditions=conditions, **{name: change(getattr(self, name)) for name in names})


class Batches(Protocol):
    """Gives the batch of any step."""

    def batch(self, step: int) -> Batch:
        """The batch of a step, always the same."""
        ...


@dataclass(frozen=True)
class Patch:
    """A cut-out of a field: values (C, H, W), static channels (4, H, W) and the time (2,)."""

    values: Tensor
    static: Tensor
    time: Tensor


def generator(*key: int) -> torch.Generator:
    """Random numbers that are a function of ``key`` alone."""
    seed = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed) >> 1)


def cut(field: TrainingField, config: TrainConfig, rng: torch.Generator) -> Patch:
    """A random patch, uniform in area, in half of the cases mirrored at the equator, half a year later in the season."""
    size = config.patch
    columns = field.values.shape[2]
    area = field.static[_COS, :, 0].unfold(0, size, 1).mean(-1).clamp(min=1e-3)
    top = int(torch.multinomial(area, 1, generator=rng))
    left = int(torch.randint(columns if field.circular else columns - size + 1, (), generator=rng))
    index = torch.arange(left, left + size) % columns
    values = field.values[:, top : top + size].index_select(2, index)
    static = field.static[:, top : top + size].index_select(2, index)
    time = field.time
    if config.mirror and torch.rand((), generator=rng) < 0.5:
        values = values.flip(1) * mirror_signs(config.variables)[:, None, None]
        static = static.flip(1).clone()
        static[_SIN] *= -1
        time = torch.stack([(time[0] + 0.5) % 1, time[1]])
    return Patch(values, static, time)


class PatchSampler:
    """Batches of random patches, or one rank's part of them.

    Parameters
    ----------
    data, config
        Fields and settings.
    seed
        Of all random numbers; None: that of the settings.
    rank, ranks
        This process and how many share a batch: each makes its slice of the same batch.
    """

    def __init__(
        self, data: TrainingData, config: TrainConfig, seed: int | None = None, rank: int = 0, ranks: int = 1
    ) -> None:
        self._data, self._config = data, config
        self._seed = config.seed if seed is None else seed
        self._mine = slice(rank * config.batch // ranks, (rank + 1) * config.batch // ranks)
        self._held: dict[int, tuple[int, TrainingField]] = {}

    def batch(self, step: int) -> Batch:
        """The batch of a step, a function of seed and step alone."""
        config, mine = self._config, self._mine
        places = range(mine.start, mine.stop)
        patches = [self._patch(place, step) for place in places]
        rng = generator(self._seed, _STEP, step)
        hidden = (torch.rand(config.batch, generator=rng) < config.time_dropout)[mine]
        if config.coarse > 1:
            sigma = coarse_training_sigmas(config.batch, rng, config.coarse_learned, config.coarse)[mine]
        else:
            sigma = training_sigmas(config.batch, rng)[mine]
        clean = torch.stack([patch.values for patch in patches])
        time = torch.stack([patch.time for patch in patches]).masked_fill(hidden[:, None], torch.nan)
        rngs = [generator(self._seed, _NOISE, step, place) for place in places]
        noise = torch.stack([torch.randn(clean.shape[1:], generator=one) for one in rngs])
        conditions = Conditions(torch.stack([patch.static for patch in patches]), time)
        return Batch(clean.nan_to_num(0.0), conditions, sigma, noise, ~clean[:, :, 0, 0].isnan())

    def _patch(self, place: int, step: int) -> Patch:
        """The patch of one position of the batch; its next field is read when the last patch of the one before is used."""
        each = self._config.patches_per_field
        turn, number = divmod(step + place * each // self._config.batch, each)
        held = self._held.get(place)
        if held is None or held[0] != turn:
            held = self._held[place] = turn, self._data.draw(generator(self._seed, _FIELD, place, turn))
        return cut(held[1], self._config, generator(self._seed, _PATCH, place, turn, number))


class Ahead:
    """Batches made by a thread while the ones before are used: ``with Ahead(sampler, first, last) as batches``.

    Parameters
    ----------
    batches
        What makes them; only the thread calls it.
    first, last
        First step and the one after the last; they must be asked for in this order.
    pin
        Put them into pinned memory.
    """

    DEPTH = 3

    def __init__(self, batches: Batches, first: int, last: int, *, pin: bool = False) -> None:
        self._batches, self._steps, self._pin = batches, range(first, last), pin
        self._ready: queue.Queue[tuple[int, Batch | Exception]] = queue.Queue(self.DEPTH)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="zssd-batches", daemon=True)

    def __enter__(self) -> "Ahead":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def batch(self, step: int) -> Batch:
        """The batch of the next step; raises what the thread met."""
        ready, result = self._ready.get()
        if isinstance(result, Exception):
            raise result
        if ready != step:
            msg = f"batches come in order: step {ready} is next, asked for {step}"
            raise ValueError(msg)
        return result

    def _work(self) -> None:
        for step in self._steps:
            try:
                made = self._batches.batch(step)
                result: Batch | Exception = made.pinned() if self._pin else made
            except Exception as error:  # noqa: BLE001  raised again where the batch is asked for
                result = error
            while not self._closed.is_set():
                try:
                    self._ready.put((step, result), timeout=0.1)
                    break
                except queue.Full:
                    continue
            if self._closed.is_set() or isinstance(result, Exception):
                return
