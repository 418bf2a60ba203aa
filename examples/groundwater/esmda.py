"""Baseline: ensemble smoother with multiple data assimilation (Emerick and Reynolds 2013) by pyesmda.

The prior ensemble is drawn from the very family that the truth comes from. Two-material fields are updated as numbers
and cut to the range between the materials before every solution. Inflations are halved as in LD-DIM's own smoother.
"""

import numpy as np
import torch
from bed import CELLS, Bed, Estimate
from covmats import CovViaDiagonal
from pyesmda import ESMDA
from torch import Tensor

from zssd_cli.inversion.ensembles import halved_inflations
from zssd_cli.inversion.random_fields import draw_fields, generator


def invert_by_esmda(bed: Bed, data: Tensor, error: Tensor, init: int, members: int, assimilations: int) -> Estimate:
    """One ensemble per data set, (P, S) data."""

    def bounded(fields: Tensor) -> Tensor:
        return fields.clamp(-1, 1) if bed.kind == "bimaterial" else fields

    def predict(columns: np.ndarray) -> np.ndarray:
        fields = torch.as_tensor(columns.T, dtype=torch.float32).view(-1, CELLS, CELLS)
        with torch.no_grad():
            return bed.forward(bounded(fields)).double().numpy().T

    found = []
    for number, (d, s) in enumerate(zip(data, error, strict=True)):
        ensemble = draw_fields(bed.config, members, generator(6, init, number)).flatten(1).T.double().numpy()
        smoother = ESMDA(
            obs=d.double().numpy(), m_init=ensemble, cov_obs=CovViaDiagonal(s.double().numpy() ** 2), forward_model=predict,
            n_assimilations=assimilations, cov_obs_inflation_factors=halved_inflations(assimilations),
            is_forecast_for_last_assimilation=False, is_parallel_analyse_step=False,
            random_state=np.random.default_rng(1000 * init + number),
        )  # fmt: skip
        smoother.solve()
        found.append(bounded(torch.as_tensor(smoother.m_posterior.T, dtype=torch.float32).view(-1, CELLS, CELLS)))
    ensembles = torch.stack(found)
    return Estimate(ensembles.mean(1), members * assimilations, ensembles)
