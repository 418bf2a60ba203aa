r"""Batched direct solves of symmetric five-point systems, differentiable in every coefficient.

With conductances :math:`c` between neighbouring cells and :math:`s \ge 0` from every cell to the outside, one field's
system is :math:`A h = b`, :math:`A = \mathrm{diag}(s) + \sum_{faces} c\,(e_i - e_j)(e_i - e_j)^T`.

Cells are coloured as a chessboard. Red cells touch black ones only, so they are eliminated exactly by a division, and
what is left is a banded system of half the size for the black cells, which LAPACK's band Cholesky (``dpbtrf``)
factorises. The factor serves the solve and its adjoint, :math:`A` being symmetric:
:math:`\lambda = A^{-1} \partial J/\partial h`, :math:`\partial J/\partial b = \lambda`,
:math:`\partial J/\partial s = -\lambda h`, :math:`\partial J/\partial c_{ij} = -(\lambda_i - \lambda_j)(h_i - h_j)`.

Everything is float64 on the CPU. LAPACK gets one thread: on a band as narrow as these several wait for each other, which took 29 times
as long on a busy machine with two cores (128 x 128 cells).
"""

from functools import cache, lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import torch
from scipy.linalg import lapack
from threadpoolctl import ThreadpoolController
from torch import Tensor

from zssd_cli.errors import SolverError

PAIRS = tuple(combinations(range(4), 2))
CHUNK = 16


class Chessboard:
    """Where the coefficients of an (ny, nx) grid go in the band matrix of its black cells."""

    def __init__(self, ny: int, nx: int) -> None:
        rows, columns = np.indices((ny, nx))
        self.black = torch.as_tensor((rows + columns) % 2 == 0)
        black = self.black.numpy()
        number = np.full((ny + 2, nx + 2), -1)
        number[1:-1, 1:-1][black] = np.arange(black.sum())
        around = (number[1:-1, :-2], number[1:-1, 2:], number[:-2, 1:-1], number[2:, 1:-1])
        near = np.stack([cells[~black] for cells in around])
        first, second = (near[list(side)] for side in zip(*PAIRS, strict=True))
        known = (first >= 0) & (second >= 0)
        apart = np.where(known, abs(first - second), 0)
        self.size, self.width = int(black.sum()), int(apart.max()) + 1
        corner = np.where(known, np.minimum(first, second) * self.width + apart, 0)
        self._pairs = torch.as_tensor(corner.ravel())
        self._own = torch.as_tensor((np.maximum(near, 0) * self.width).ravel())

    def band(self, near: Tensor, outside: Tensor) -> Tensor:
        """Lower band of the reduced matrix, (B, black cells, width), column by column.

        Parameters
        ----------
        near
            Conductances to west, east, south and north, 0 beyond the edge, (B, 4, ny, nx).
        outside
            To the outside, (B, ny, nx).
        """
        batch = len(near)
        total = outside + near.sum(1)
        red, red_total = near[:, :, ~self.black], total[:, ~self.black]
        band = near.new_zeros(batch, self.size, self.width)
        band[:, :, 0] = outside[:, self.black]
        flat = band.view(batch, -1)
        # c - c^2 / total = c (total - c) / total, summed without its cancellation
        rest = outside[:, ~self.black][:, None] + torch.stack(
            [red[:, [k for k in range(4) if k != side]].sum(1) for side in range(4)], 1
        )
        flat.index_add_(1, self._own, (red * rest / red_total[:, None]).flatten(1))
        first, second = (red[:, list(side)] for side in zip(*PAIRS, strict=True))
        flat.index_add_(1, self._pairs, (-first * second / red_total[:, None]).flatten(1))
        return band


@cache
def _linear_algebra() -> ThreadpoolController:
    """The libraries that LAPACK's calls go to."""
    return ThreadpoolController()


@lru_cache(maxsize=8)
def _chessboard(ny: int, nx: int) -> Chessboard:
    return Chessboard(ny, nx)


def _neighbours(east_west: Tensor, north_south: Tensor) -> Tensor:
    """Conductances of every cell to west, east, south and north, 0 beyond the edge, (B, 4, ny, nx)."""
    pad = torch.nn.functional.pad
    return torch.stack(
        [
            pad(east_west, (1, 0)),
            pad(east_west, (0, 1)),
            pad(north_south, (0, 0, 1, 0)),
            pad(north_south, (0, 0, 0, 1)),
        ],
        dim=1,
    )


def _weighted(east_west: Tensor, north_south: Tensor, x: Tensor) -> Tensor:
    """Sum over the neighbours of conductance times x, (B, ny, nx)."""
    out = torch.zeros_like(x)
    out[..., 1:] += east_west * x[..., :-1]
    out[..., :-1] += east_west * x[..., 1:]
    out[..., 1:, :] += north_south * x[..., :-1, :]
    out[..., :-1, :] += north_south * x[..., 1:, :]
    return out


class Factor:
    """Factorisation of a batch of systems.

    Parameters
    ----------
    east_west, north_south
        Conductances between neighbours in a row, (B, ny, nx - 1), and in a column, (B, ny - 1, nx); positive.
    outside
        Conductances to the outside, (B, ny, nx); not negative, positive somewhere in every field.

    Raises
    ------
    SolverError
        A system is singular or holds something that is not finite.
    """

    def __init__(self, east_west: Tensor, north_south: Tensor, outside: Tensor) -> None:
        self._turned = outside.shape[-1] > outside.shape[-2]
        if self._turned:  # the bandwidth is the length of a row
            east_west, north_south, outside = north_south.mT, east_west.mT, outside.mT
        self._faces = east_west.detach(), north_south.detach()
        near = _neighbours(*self._faces)
        self._total = outside.detach() + near.sum(1)
        self._board = _chessboard(*outside.shape[-2:])
        # a few fields at a time stay in the processor's cache
        parts = zip(near.split(CHUNK), outside.detach().split(CHUNK), strict=True)
        self._bands = [band for part in parts for band in self._board.band(*part).numpy()]
        with _linear_algebra().limit(limits=1, user_api="blas"):
            self._factorise()

    def _factorise(self) -> None:
        for index, band in enumerate(self._bands):
            finite = np.isfinite(band).all()  # LAPACK does not look
            _, info = lapack.dpbtrf(band.T, lower=1, overwrite_ab=1) if finite else (None, -1)
            if info:
                msg = (
                    f"Flow equations of field {index}: expected a positive definite system, got"
                    f" {'one that is singular' if finite else 'coefficients that are not finite'}."
                    " Look for NaN, for conductivities out of range or for a missing fixed head."
                )
                raise SolverError(msg)

    def solve(self, b: Tensor) -> Tensor:
        """Heads for sources b, (B, ny, nx) -> (B, ny, nx)."""
        b = b.mT if self._turned else b
        black = self._board.black
        reduced = (b + _weighted(*self._faces, torch.where(black, 0, b / self._total)))[:, black].numpy()
        found = np.empty_like(reduced)
        with _linear_algebra().limit(limits=1, user_api="blas"):
            for index, band in enumerate(self._bands):
                found[index] = lapack.dpbtrs(band.T, reduced[index], lower=1)[0]
        h = torch.zeros_like(b)
        h[:, black] = torch.as_tensor(found)
        h = torch.where(black, h, (b + _weighted(*self._faces, h)) / self._total)
        return h.mT if self._turned else h


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, east_west: Tensor, north_south: Tensor, outside: Tensor, b: Tensor, factor: Factor) -> Tensor:
        h = factor.solve(b)
        ctx.factor = factor
        ctx.save_for_backward(h)
        return h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (h,) = ctx.saved_tensors
        adjoint = ctx.factor.solve(gradient)
        needed = ctx.needs_input_grad
        return (
            -adjoint.diff(dim=-1) * h.diff(dim=-1) if needed[0] else None,
            -adjoint.diff(dim=-2) * h.diff(dim=-2) if needed[1] else None,
            -adjoint * h if needed[2] else None,
            adjoint if needed[3] else None,
            None,
        )


def solve(east_west: Tensor, north_south: Tensor, outside: Tensor, b: Tensor, factor: Factor | None = None) -> Tensor:
    """Solve a batch of five-point systems; differentiable in all four tensors.

    Parameters
    ----------
    east_west, north_south, outside
        Conductances as in :class:`Factor`.
    b
        Sources, (B, ny, nx).
    factor
        Factorisation of the same conductances, where it is there already.

    Returns
    -------
    Tensor
        Heads, (B, ny, nx).
    """
    return _Solve.apply(east_west, north_south, outside, b, factor or Factor(east_west, north_south, outside))
