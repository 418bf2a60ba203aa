"""A world whose posterior is known: two cross-correlated Gaussian variables on a small box, all matrices dense."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from zssd_cli.climate.covariance import MAX_LAG, band_centres
from zssd_cli.grids.latlon import Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.guidance import Observation

SIDE = 8.0
STEP = 2.0
CORRELATION = 0.7


def lag_function(dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
    """Covariance (2, 2, ...) of a pressure-like and a wind-like variable at a lag in cells.

    The second variable mixes the first, moved by five cells, with a rougher field of its own, so the
    cross-covariance is neither zero nor symmetric.
    """

    def bump(y: np.ndarray, x: np.ndarray, scale: float) -> np.ndarray:
        return np.exp(-(np.abs(y) ** 2 + np.abs(x) ** 2) / (2 * scale**2))

    shift, own = 5, 1 - CORRELATION**2
    first = bump(dy, dx, 9.0)
    # x2(p) = CORRELATION x1(p + shift east) + rough(p)
    cross_12 = CORRELATION * bump(dy, dx + shift, 9.0)
    cross_21 = CORRELATION * bump(dy, dx - shift, 9.0)
    second = CORRELATION**2 * first + own * bump(dy, dx, 3.0)
    return np.stack([np.stack([first, cross_12]), np.stack([cross_21, second])]) + 0.0


def lag_table() -> torch.Tensor:
    """The same covariance in the layout of :meth:`zssd_cli.climate.covariance.LagSums.result`, one for every band."""
    dy, dx = np.meshgrid(np.arange(MAX_LAG + 1), np.arange(-MAX_LAG, MAX_LAG + 1), indexing="ij")
    table = lag_function(dy, dx)
    table[0, 0, 0, MAX_LAG] += 1e-3
    table[1, 1, 0, MAX_LAG] += 1e-3
    return torch.as_tensor(np.repeat(table[None], band_centres().size, 0), dtype=torch.float32)


@dataclass(frozen=True)
class World:
    """Eigen-decomposed prior covariance over (variable, cell), observation operator and its dense matrix."""

    operator: Coarsen
    values: torch.Tensor
    vectors: torch.Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """(2, H, W)."""
        return (2, *self.operator.fine.shape)

    def denoise(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """B (B + sigma^2)^-1 x."""
        vectors, values = self._single
        return (((x.flatten(1) @ vectors) * (values / (values + sigma**2))) @ vectors.T).reshape(x.shape)

    @cached_property
    def _single(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.vectors.float(), self.values.float()

    def draw(self, count: int, seed: int) -> torch.Tensor:
        """Samples of the prior, (count, 2, H, W)."""
        noise = torch.randn(
            count, self.values.numel(), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        )
        return ((noise * self.values.sqrt()) @ self.vectors.T).reshape(count, *self.shape).float()

    def matrix(self, channels: Sequence[int]) -> torch.Tensor:
        """The operator on these channels, (channels * blocks, 2 * cells)."""
        cells = self.operator.fine.shape[0] * self.operator.fine.shape[1]
        eye = torch.eye(cells).reshape(cells, *self.operator.fine.shape)
        single = self.operator(eye).reshape(cells, -1).T.double()
        matrix = torch.zeros(len(channels) * len(single), 2 * cells, dtype=torch.float64)
        for row, channel in enumerate(channels):
            matrix[row * len(single) : (row + 1) * len(single), channel * cells : (channel + 1) * cells] = single
        return matrix

    def posterior(self, observation: Observation) -> tuple[torch.Tensor, torch.Tensor]:
        """Exact mean (B, 2, H, W) and standard deviation (2, H, W)."""
        matrix = self.matrix(observation.channels)
        prior = (self.vectors * self.values) @ self.vectors.T
        blocks = self.operator.coarse.shape[0] * self.operator.coarse.shape[1]
        noise = observation.error.double().square().repeat_interleave(blocks).diag()
        gain = prior @ matrix.T @ torch.linalg.inv(matrix @ prior @ matrix.T + noise)
        mean = observation.values.reshape(len(observation.values), -1).double() @ gain.T
        variance = (prior - gain @ matrix @ prior).diagonal()
        return mean.reshape(-1, *self.shape).float(), variance.clamp(min=0).sqrt().reshape(self.shape).float()


def make_world() -> World:
    """Box of SIDE degrees at the equator, STEP degree blocks."""
    return world_of(lag_function, nugget=1e-3)


def world_of(lags: Callable[[np.ndarray, np.ndarray], np.ndarray], nugget: float = 0.0) -> World:
    """The same with the covariance ``lags``: cells north, cells east -> (2, 2, ...)."""
    region = Region(0, SIDE, -SIDE / 2, SIDE / 2)
    fine = fine_grid(region)
    row, column = (a.ravel() for a in np.meshgrid(np.arange(fine.shape[0]), np.arange(fine.shape[1]), indexing="ij"))
    blocks = lags(row[None, :] - row[:, None], column[None, :] - column[:, None])
    dense = np.concatenate([np.concatenate(list(line), 1) for line in blocks], 0)
    dense += nugget * np.eye(len(dense))
    values, vectors = torch.linalg.eigh(torch.as_tensor((dense + dense.T) / 2))
    return World(Coarsen(fine, block_grid(STEP, region)), values.clamp(min=0), vectors)
