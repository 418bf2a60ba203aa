"""Several processes that train one prior: started by ``torchrun`` (or anything that sets its variables), else one alone."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from zssd_cli.errors import ConfigError

T = TypeVar("T")
PATIENCE = timedelta(hours=2)
"""How long processes wait for the first one, which alone measures, validates and writes."""


@dataclass(frozen=True)
class World:
    """One process among all of a training.

    Attributes
    ----------
    rank, size
        Its number and how many there are.
    device
        Where it computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """True in the process that writes and speaks."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def largest(self, value: int) -> int:
        """The largest value of all processes: a signal that reaches one stops all after the same step."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared)

    def shared(self, make: Callable[[], T]) -> T:
        """What the first process makes, in all; where that fails, the first says why and the others leave quietly."""
        if self.size == 1:
            return make()
        box: list[Any] = [None, False]
        try:
            if self.first:
                box = [make(), True]
        finally:
            dist.broadcast_object_list(box, 0)
        if not box[1]:
            raise SystemExit(1)
        return box[0]


@contextmanager
def joined() -> Iterator[World]:
    """The world that the variables RANK, LOCAL_RANK and WORLD_SIZE of ``torchrun`` describe."""
    try:
        rank, local, size = (
            int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1))
        )
    except ValueError as error:
        msg = f"RANK, LOCAL_RANK and WORLD_SIZE must be whole numbers ({error}); start with torchrun, or unset them."
        raise ConfigError(msg) from error
    cuda = torch.cuda.is_available()
    if cuda and local >= torch.cuda.device_count():
        msg = f"LOCAL_RANK {local} has no GPU, this machine has {torch.cuda.device_count()}; start one process per GPU."
        raise ConfigError(msg)
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if size == 1:
        yield World(device=device)
        return
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield World(rank, size, device)
    finally:
        dist.destroy_process_group()
