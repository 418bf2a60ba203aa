r"""Regridding as a differentiable operator.

:math:`A` (``coarsen``): area-weighted mean of a fine field over coarse blocks, :math:`A x = L\,x\,M^T` with two small
dense matrices. :math:`P` (``refine``): bilinear interpolation of block means back to the fine cells, separable too.
:math:`R = P (A P)^{-1}` (``lift``) is the smooth right inverse, :math:`A R = I`: it adds exactly the missing block
means without block edges.
"""

import numpy as np
import torch
from torch import Tensor

from zssd_cli.grids.conservative import latitude_weights, longitude_weights
from zssd_cli.grids.latlon import LatLonGrid


def linear_weights(source: np.ndarray, target: np.ndarray, period: float | None = None) -> np.ndarray:
    """Weights of linear interpolation between ascending points, (n_target, n_source); constant beyond the ends.

    With ``period`` the source repeats and nothing lies beyond its ends.
    """
    if source.size == 1:
        return np.ones((target.size, 1))
    if period is not None:
        source = np.concatenate([[source[-1] - period], source, [source[0] + period]])
        target = (target - source[0]) % period + source[0]
    right = np.clip(np.searchsorted(source, target), 1, source.size - 1)
    share = np.clip((target - source[right - 1]) / (source[right] - source[right - 1]), 0, 1)
    weights = np.zeros((target.size, source.size))
    np.add.at(weights, (np.arange(target.size), right - 1), 1 - share)
    np.add.at(weights, (np.arange(target.size), right), share)
    if period is not None:
        weights[:, -2] += weights[:, 0]
        weights[:, 1] += weights[:, -1]
        weights = weights[:, 1:-1]
    return weights


def _normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(1, keepdims=True)


class Coarsen:
    """Block means of a fine field and their smooth right inverse.

    Parameters
    ----------
    fine, coarse
        Grids; the fine cells must cover every coarse block. A fine cell that a block's edge cuts counts with the part
        inside.
    dtype, device
        Where the fields live that will be regridded.
    """

    def __init__(
        self,
        fine: LatLonGrid,
        coarse: LatLonGrid,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        period = 360.0 if fine.circular else None
        down = (
            _normalised(latitude_weights(fine.lat_edges, coarse.lat_edges)),
            _normalised(longitude_weights(fine.lon_edges, coarse.lon_edges)),
        )
        up = (linear_weights(coarse.lat, fine.lat), linear_weights(coarse.lon, fine.lon, period))
        lift = tuple(p @ np.linalg.inv(a @ p) for a, p in zip(down, up, strict=True))
        self.fine, self.coarse = fine, coarse
        self._down, self._up, self._lift = (
            [torch.as_tensor(matrix, dtype=dtype, device=device) for matrix in pair] for pair in (down, up, lift)
        )

    @staticmethod
    def _apply(pair: list[Tensor], x: Tensor) -> Tensor:
        return pair[0] @ x @ pair[1].T

    def __call__(self, x: Tensor) -> Tensor:
        """A: (..., H, W) -> (..., h, w)."""
        return self._apply(self._down, x)

    def white(self, noise: Tensor) -> Tensor:
        """Unit noise per block from unit noise per cell: its block means, scaled; (..., H, W) -> (..., h, w)."""
        down, across = (matrix.square().sum(1).sqrt() for matrix in self._down)
        return self(noise) / (down[:, None] * across)

    def adjoint(self, y: Tensor) -> Tensor:
        """A transposed (Euclidean): (..., h, w) -> (..., H, W)."""
        return self._down[0].T @ y @ self._down[1]

    def refine(self, y: Tensor) -> Tensor:
        """P, bilinear: (..., h, w) -> (..., H, W)."""
        return self._apply(self._up, y)

    def lift(self, y: Tensor) -> Tensor:
        """R, smooth right inverse, A R = I: (..., h, w) -> (..., H, W)."""
        return self._apply(self._lift, y)
