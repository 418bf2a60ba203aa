"""The linear algebra of ensembles of unknowns: Kalman gains from a Jacobian or from the ensemble, inflations, antithetic noise."""

import math

import torch
from torch import Tensor

MOST_INFLATIONS = 10
"""Steps of the smoother at most."""


def inflations_of(misfit: float) -> list[float]:
    """Inflations for an ensemble whose median mean square residual is ``misfit``: the first is one to four times that."""
    return halved_inflations(min(max(round(math.log2(max(misfit, 1.0))) + 1, 4), MOST_INFLATIONS))


def halved_inflations(steps: int) -> list[float]:
    """So many inflations of the error variance, each half of the one before, whose reciprocals add up to 1."""
    total = 2.0 - 2.0 ** (1 - steps)
    return [total * 2.0 ** (steps - 1 - k) for k in range(steps)]


def kalman_step(z: Tensor, residual: Tensor, innovation: Tensor, inflation: float) -> Tensor:
    """Change of an ensemble (N, n) by its own covariances; residuals and innovations (N, m) in units of the errors."""
    ours, theirs = (z - z.mean(0)).double(), (residual.mean(0) - residual).double()
    identity = torch.eye(theirs.shape[1], dtype=torch.float64, device=z.device)
    weights = torch.linalg.solve(theirs.T @ theirs + inflation * (len(z) - 1) * identity, innovation.double().T)
    return (weights.T @ (theirs.T @ ours)).float()


def shrunk_covariance(z: Tensor, share: float = 0.3) -> Tensor:
    """Covariance of an ensemble (N, n), drawn by ``share`` towards the multiple of one with its trace, (n, n)."""
    ours = z - z.mean(0)
    covariance = ours.T @ ours / max(len(z) - 1, 1)
    identity = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    return (1 - share) * covariance + share * covariance.diagonal().mean() * identity


class Gain:
    """The Kalman gain :math:`J^T (I + J J^T)^{-1}` of every data set, J (P, m, n)."""

    def __init__(self, jacobian: Tensor) -> None:
        self._jacobian = jacobian
        identity = torch.eye(jacobian.shape[1], dtype=torch.float64, device=jacobian.device)
        self._factor = torch.linalg.cholesky(identity + jacobian.double() @ jacobian.double().mT)

    def jacobian(self, v: Tensor) -> Tensor:
        """(P, M, n) -> (P, M, m)."""
        return v @ self._jacobian.mT

    def __call__(self, innovation: Tensor) -> Tensor:
        """(P, M, m) -> (P, M, n)."""
        solved = torch.cholesky_solve(innovation.double().mT, self._factor).mT
        return solved.float() @ self._jacobian


def antithetic(count: int, size: int, rng: torch.Generator) -> Tensor:
    """Unit noise whose second half is the first with the sign reversed, (count, size)."""
    half = torch.randn(math.ceil(count / 2), size, generator=rng)
    return torch.cat([half, -half])[:count]
