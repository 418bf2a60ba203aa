r"""Bias adjustment of a climate model's block means before they guide the prior: quantile delta mapping.

A value x of the model at a date t, in a block and a season, becomes

.. math:: x + F_{ref}^{-1}(\tau) - F_{hist}^{-1}(\tau), \qquad \tau = F_{mod,t}(x)

(Cannon, Sobie & Murdock 2015, J. Climate 28; for the wind's speed the difference is a ratio). :math:`F_{mod,t}` is the
model's distribution in the decades around t, so that its change of every quantile stays. All three distributions are stored as
quantiles in one file (:mod:`calibration`), fitted once for a model and scenario (:mod:`fitting`); the adjustment is then a function of
the value and its date alone, whatever is drawn, in which order, by which process.
"""
