r"""Baseline: the principal component geostatistical approach (Kitanidis and Lee 2014, Lee and Kitanidis 2014) by pypcga.

The field is :math:`u = X\beta + Z\xi`, X a constant of unknown level, :math:`Q \approx Z Z^T` the ``RANK`` largest principal
components of the average covariance of the very family that the truth comes from. Gauss-Newton steps solve

.. math:: \begin{pmatrix} HQH^T + R & HX \\ (HX)^T & 0 \end{pmatrix} \begin{pmatrix} \lambda \\ \beta \end{pmatrix}
          = \begin{pmatrix} d - h(u) + Hu \\ 0 \end{pmatrix}, \qquad u \leftarrow X\beta + Q H^T \lambda,

where the products HX, HZ and Hu come from differences of flow solutions along those directions: no adjoint, ``RANK`` + 2 and a
few solutions a step. Of several steps with R inflated by up to 1000 the lowest is taken (Levenberg-Marquardt). The variance of
the estimate is :math:`Q_{ii}` (of the whole covariance, not of its components alone) less what the same system explains at the
last step. That the mean of the fields is 0, which the other methods know, is told by one more datum: the mean of u, with the
standard deviation that it has under Q.
"""

from functools import lru_cache
from statistics import NormalDist

import numpy as np
import torch
from bed import CELLS, Bed, Estimate
from covmats import CovViaDiagonal, CovViaEigenFactorization
from pypcga import PCGA
from torch import Tensor

from zssd_cli.inversion.config import FieldsConfig
from zssd_cli.inversion.random_fields import draw_fields, generator

RANK, BATCHES, BATCH, QUANTILES = 192, 16, 256, 64
LEVELS = np.array([NormalDist().inv_cdf((i + 0.5) / QUANTILES) for i in range(QUANTILES)])


def average_covariance(config: FieldsConfig, batches: int = BATCHES) -> np.ndarray:
    """Covariance between the cells of a family, a function of the distance along the axes, (n n, n n).

    Products of cells at every distance, averaged over draws and their mirror images; the mean is known to be 0.
    """
    n, rng = config.cells, generator(8)
    twice = (2 * n, 2 * n)
    power = torch.zeros(2 * n, n + 1)
    for _ in range(batches):
        power += torch.fft.rfft2(draw_fields(config, BATCH, rng), s=twice).abs().square().mean(0) / batches
    pairs = torch.fft.irfft2(torch.fft.rfft2(torch.ones(n, n), s=twice).abs().square(), s=twice)
    products = torch.fft.irfft2(power, s=twice)
    lags = ((products + products.flip(1).roll(1, 1)) / (2 * pairs))[:n, :n]
    lags = ((lags + lags.T) / 2).double().numpy()
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return lags[apart[:, None, :, None], apart[None, :, None, :]].reshape(n * n, n * n)


@lru_cache(2)
def components(config: FieldsConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Largest eigenvalues (RANK,), their vectors (n n, RANK), the cells' variances (n n,) and that of the field's mean."""
    covariance = average_covariance(config)
    values, vectors = largest(covariance, RANK)
    return values, vectors, covariance.diagonal(), float(covariance.mean())


def largest(covariance: np.ndarray, rank: int, sweeps: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalues (rank,), falling, and their vectors (n, rank), by subspace iteration (Halko et al. 2011)."""
    matrix = torch.as_tensor(covariance)
    basis = torch.randn(len(matrix), rank + rank // 4 + 8, generator=generator(9), dtype=matrix.dtype)
    for _ in range(sweeps):
        basis = torch.linalg.qr(matrix @ basis).Q
    values, within = torch.linalg.eigh(basis.T @ matrix @ basis)
    return values.flip(0)[:rank].numpy(), (basis @ within.flip(1)[:, :rank]).numpy()


def variance_left(solver: PCGA, variance: np.ndarray) -> np.ndarray:
    """Variance of the estimate (n n,): the prior's less what the linear system of the last step explains."""
    explained = solver.Q.get_diagonal() - solver.get_dense_post_cov(is_direct_solve=True, inflation=1.0).diagonal()
    return np.clip(variance - explained, 0, None)


def invert_by_pcga(bed: Bed, data: Tensor, error: Tensor, steps: int) -> Estimate:
    """One estimate per data set from the mean of the prior, (P, S) data; its members are quantiles, cell by cell."""
    values, vectors, variance, of_mean = components(bed.config)
    solves, fields, members = 0, [], []

    def predict(columns: np.ndarray) -> np.ndarray:
        nonlocal solves
        solves += columns.shape[1]
        with torch.no_grad():
            heads = bed.forward(torch.as_tensor(columns.T).view(-1, CELLS, CELLS))
        return np.vstack([heads.numpy().T, columns.mean(0)])

    for d, s in zip(data.double().numpy(), error.double().numpy(), strict=True):
        solver = PCGA(
            s_init=np.zeros(CELLS * CELLS), obs=np.append(d, 0.0), cov_obs=CovViaDiagonal(np.append(s**2, of_mean)),
            forward_model=predict, Q=CovViaEigenFactorization((values, vectors)), prior_s_var=variance, random_state=0,
            is_lm=True, max_it_lm=8, is_line_search=True, maxiter=steps,
        )  # fmt: skip
        solver.max_workers = 1  # processes for systems of this size cost more than they save
        with np.errstate(divide="ignore"):  # the relative change of an estimate that starts from 0
            best = solver.run()[0].ravel()
        fields.append(best)
        members.append(best + LEVELS[:, None] * np.sqrt(variance_left(solver, variance)))
    shape = (len(data), -1, CELLS, CELLS)
    found, around = (torch.as_tensor(np.stack(part)).float().view(shape) for part in (fields, members))
    if bed.kind == "bimaterial":
        found, around = found.clamp(-1, 1), around.clamp(-1, 1)
    return Estimate(found[:, 0], solves / len(data), around)
