r"""Where the sampling starts: an exact draw from the posterior of the climatological Gaussian, in closed form [ours].

Above a noise level the prior is Gaussian (:mod:`zssd_cli.climate.gaussian`), x0 ~ N(m, B), and the observation is linear,
y = A x0 + e. Its posterior needs no walk through noise levels: a draw of the prior is moved by what it misses
(Matheron's rule; "pathwise conditioning", Wilson et al. 2021):

.. math:: x = x' + B A^T (A B A^T + S)^{-1} (y + e' - A x'), \qquad x' \sim N(m, B),\; e' \sim N(0, S),

is a draw from p(x0 | y). The sampler goes on from x + sigma n. (A walk from pure noise at sigma_max ends a linear mode of
posterior variance v at a share 1 - sqrt(v / (v + sigma_max^2)) of its mean: inferred winds lost half their amplitude so.)

With a balance, winds are balanced with *this draw's* pressure plus a deviation. The pressure is drawn first, from its own
observation alone; the winds' mean is then H of it, less L of the change that the joint formula will make and count itself.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from zssd_cli.climate.gaussian import ClimateFields
from zssd_cli.posterior.guidance import Observation
from zssd_cli.posterior.guidance.analysis import Analysis

SWEEPS = 2
"""Moves per draw: what the first leaves (bands, cosine weights and the rim are approximate in the gain), the second takes."""
NO_NOISE = math.inf


class Start:
    """Draws from p(x0 | y) under the climatological Gaussian.

    Parameters
    ----------
    fields
        The climate on the domain.
    """

    def __init__(self, fields: ClimateFields) -> None:
        self.fields = fields
        climate = fields.climate
        self._joint, self._alone = (Analysis(climate.lags, climate.signs, fields.bands) for _ in range(2))

    def __call__(self, observation: Observation, noise: Tensor, errors: Tensor, winter: Tensor) -> Tensor:
        """A draw for every sample of the batch.

        Parameters
        ----------
        observation
            Of the batch.
        noise
            Unit noise with the margin of ``fields``, (B, C, H + 2 rows, W + 2 columns).
        errors
            Unit noise per block, (B, observed, h, w).
        winter
            Of the northern hemisphere at the samples' times, (B,).
        """
        fields, climate = self.fields, self.fields.climate
        wanted = replace(observation, values=observation.values + errors * observation.error[:, None, None])
        x = self._unbalanced(noise, winter)
        if climate.balance is not None:
            pressure = x[:, climate.pressure]
            if climate.pressure in observation.channels:
                where = [observation.channels.index(climate.pressure)]
                alone = replace(
                    wanted, values=wanted.values[:, where], channels=(climate.pressure,), error=wanted.error[where]
                )
                pressure = self._moved(self._alone, x, alone)[:, climate.pressure]
            x[:, climate.winds] += fields.balanced(pressure, pressure - x[:, climate.pressure])
        return self._moved(self._joint, x, wanted)

    def free(self, noise: Tensor, winter: Tensor) -> Tensor:
        """A draw from the climatological Gaussian that knows of no observation; arguments as of :meth:`__call__`."""
        x, climate = self._unbalanced(noise, winter), self.fields.climate
        if climate.balance is not None:
            pressure = x[:, climate.pressure]
            x[:, climate.winds] += self.fields.balanced(pressure, torch.zeros_like(pressure))
        return x

    def _unbalanced(self, noise: Tensor, winter: Tensor) -> Tensor:
        """With winds that are still to be added to those that go with their pressure."""
        return self.fields.mean + self.fields.deviations(noise, winter)

    @staticmethod
    def _moved(analysis: Analysis, x: Tensor, wanted: Observation) -> Tensor:
        if not wanted.channels:
            return x
        solver, present = analysis.solver(wanted), ~wanted.values.isnan()
        for _ in range(SWEEPS):
            x = x + solver.increment(wanted.residual(x), present, NO_NOISE)
        return x
