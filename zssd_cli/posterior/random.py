"""The random stream: a function of (seed, member, time), whatever the batch, the window or the number of members."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass
class NoiseStream:
    """Unit noise for a batch of (member, time) pairs on the whole domain.

    Attributes
    ----------
    seed
        The user's seed.
    keys
        For every sample of the batch its member number and an integer that names its time.
    shape
        (C, H, W) of one field.
    device
        Where the noise is wanted; it is drawn on the CPU, so that devices agree.
    """

    seed: int
    keys: list[tuple[int, int]]
    shape: tuple[int, int, int]
    device: str | torch.device = "cpu"
    _generators: list[np.random.Generator] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._generators = [
            np.random.Generator(np.random.SFC64(np.random.SeedSequence((self.seed, member, time))))
            for member, time in self.keys
        ]

    def draw(self) -> Tensor:
        """Fresh unit noise, (B, C, H, W) float32; every sample advances its own stream."""
        noise = np.stack([g.standard_normal(self.shape, dtype=np.float32) for g in self._generators])
        return torch.from_numpy(noise).to(self.device)
