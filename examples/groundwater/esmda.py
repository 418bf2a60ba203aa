r"""Baseline: ensemble smoother with multiple data assimilation (Emerick and Reynolds 2013), plain by pyesmda and localised.

The prior ensemble is drawn from the very family that the truth comes from. Two-material fields are updated as numbers
and cut to the range between the materials before every solution. Inflations are halved as in LD-DIM's own smoother.

Localised: the Kalman gain :math:`C_{md} (C_{dd} + \alpha R)^{-1}` is multiplied, cell by sensor, by the taper of Gaspari and
Cohn (1999, equation 4.10) of their distance (Chen and Oliver 2017), which ends at twice ``RANGE``. The gain and not the
covariances, since heads depend on all of the aquifer: with covariances tapered at 300 m fields left what can be solved. RANGE is
the best of 150, 300 and 600 m on the tuning stream (36 sensors, 1 percent noise, four fields of ``grf``, two of ``bimaterial``).
"""

import math

import numpy as np
import torch
from bed import CELLS, LENGTH, Bed, Estimate
from covmats import CovViaDiagonal
from pyesmda import ESMDA, distances_to_weights_fifth_order
from torch import Tensor

from zssd_cli.inversion.ensembles import halved_inflations
from zssd_cli.inversion.random_fields import draw_fields, generator

RANGE = {"grf": 300.0, "bimaterial": 300.0}
"""Metres, by kind; the taper is 0.21 there."""


class Ensemble:
    """Fields of one bed as columns of numbers, (n n, members)."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed

    def drawn(self, members: int, init: int, number: int) -> np.ndarray:
        """Of the family of the truth."""
        fields = draw_fields(self._bed.config, members, generator(6, init, number))
        return fields.flatten(1).T.double().numpy()

    def fields(self, columns: np.ndarray) -> Tensor:
        """(members, n, n), those of two materials cut to their range."""
        fields = torch.as_tensor(columns.T, dtype=torch.float32).view(-1, CELLS, CELLS)
        return fields.clamp(-1, 1) if self._bed.kind == "bimaterial" else fields

    def predict(self, columns: np.ndarray) -> np.ndarray:
        """Heads at the sensors [m], (S, members)."""
        with torch.no_grad():
            return self._bed.forward(self.fields(columns)).double().numpy().T


def invert_by_esmda(
    bed: Bed, data: Tensor, error: Tensor, init: int, members: int, assimilations: int, *, local: bool = False
) -> Estimate:
    """One ensemble per data set, (P, S) data."""
    ensemble, found = Ensemble(bed), []
    weights = taper(bed, RANGE[bed.kind]) if local else None
    for number, (d, s) in enumerate(zip(data.double().numpy(), error.double().numpy(), strict=True)):
        drawn = ensemble.drawn(members, init, number)
        rng = np.random.default_rng(1000 * init + number)
        if weights is None:
            smoother = ESMDA(
                obs=d, m_init=drawn, cov_obs=CovViaDiagonal(s**2), forward_model=ensemble.predict,
                n_assimilations=assimilations, cov_obs_inflation_factors=halved_inflations(assimilations),
                is_forecast_for_last_assimilation=False, is_parallel_analyse_step=False, random_state=rng,
            )  # fmt: skip
            smoother.solve()
            columns = smoother.m_posterior
        else:
            columns = drawn
            for inflation in halved_inflations(assimilations):
                columns = columns + local_step(columns, ensemble.predict(columns), d, s, inflation, weights, rng)
        found.append(ensemble.fields(columns))
    ensembles = torch.stack(found)
    return Estimate(ensembles.mean(1), members * assimilations, ensembles)


def taper(bed: Bed, scale: float) -> np.ndarray:
    """Weight of every sensor in every cell, (n n, S); 1 at the sensor, 0 beyond twice the scale [m]."""
    centres = (np.arange(CELLS) + 0.5) / CELLS * LENGTH
    x, y = np.meshgrid(centres, centres)
    there_x, there_y = bed.places
    return distances_to_weights_fifth_order(np.hypot(x.reshape(-1, 1) - there_x, y.reshape(-1, 1) - there_y), scale)


def local_step(
    columns: np.ndarray, predicted: np.ndarray, d: np.ndarray, s: np.ndarray, inflation: float, weights: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Change of an ensemble (n n, M) that predicts (S, M), data d and errors s (S,); the gain is tapered."""
    noise = math.sqrt(inflation) * s[:, None] * rng.standard_normal(predicted.shape)
    ours, theirs = (a - a.mean(1, keepdims=True) for a in (columns, predicted))
    among = theirs @ theirs.T + inflation * (columns.shape[1] - 1) * np.diag(s**2)
    gain = np.linalg.solve(among, theirs @ ours.T).T
    return (weights * gain) @ (d[:, None] + noise - predicted)
