r"""``mmps``: moment-matching posterior sampling (Rozet et al. 2024, "Learning diffusion priors from observations", section 4).

The covariance of the clean field given the noisy one is :math:`V = \sigma^2\, \partial D / \partial x` (Tweedie's second
formula), so the network itself knows it, flow-dependent and for every variable:

.. math:: D + V H^T w, \qquad (H V H^T + S)\, w = y - h(D),

H the derivative of the observation operator h at D (block means; for wind speed a Gauss-Newton step). One product with
V is one back-propagation; a few iterations of a Krylov method solve the system, each sample with scalars of its own.

w hardly changes from one noise level to the next (it is the score of the observation, up to H V), so every level begins
with the w of the level before and improves it by conjugate gradients [ours]: on Gaussian fields three products a step
then reach what an exact solution does, where two to three from nothing do not (``tests/posterior/test_exact.py``).

A trained network's Jacobian is not exactly symmetric and its quadratic form not surely positive, which conjugate
gradients ask for. Back-propagation gives the transpose, which is used on both sides; a sample whose direction shows
less curvature than S alone would give stops there, and the former w is dropped where it fits worse than none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zssd_cli.posterior.guidance import Denoise, Guidance, GuidedDenoise, Method, Observation, Setup, analysis

Product = Callable[[Tensor], Tensor]
TINY = 1e-20
SMALLEST = 1e-8
"""Least error variance, so that the system has a solution without observation error too."""


def linearise(observation: Observation, x0: Tensor, sigma: float) -> tuple[Product, Product]:
    """H and its transpose at a denoised field, rows of missing blocks 0.

    Returns
    -------
    (B, C, H, W) -> (B, observed, h, w) and back; speed, where observed, is the last of the observed.
    """
    channels, count, speed = list(observation.channels), len(observation.channels), observation.speed
    present = ~observation.values.isnan()
    if speed is not None:
        slope = speed.wind.slope(x0, speed.unresolved(sigma))
        present = torch.cat([present, ~speed.values.isnan()[:, None]], 1)

    def forward(change: Tensor) -> Tensor:
        fine = change[:, channels]
        if speed is not None:
            fine = torch.cat([fine, (slope * change[:, speed.wind.channels]).sum(1, keepdim=True)], 1)
        return present * observation.operator(fine)

    def transpose(w: Tensor) -> Tensor:
        fine = observation.operator.adjoint(present * w)
        change = torch.zeros_like(x0)
        change[:, channels] += fine[:, :count]
        if speed is not None:
            change[:, speed.wind.channels] += slope * fine[:, count:]
        return change

    return forward, transpose


@dataclass
class Solution:
    """An iterate of (H V H^T + S) w = r.

    Attributes
    ----------
    w
        (B, n, h, w).
    increment
        V H^T w, (B, C, H, W).
    residual
        What is left of r, (B, n, h, w).
    """

    w: Tensor
    increment: Tensor
    residual: Tensor


def solve(
    right: Tensor, former: Tensor | None, spread: Product, observe: Product, variance: Tensor, products: int
) -> Solution:
    """Conjugate gradients from a former solution, every sample with its own scalars.

    Parameters
    ----------
    right
        The right-hand side r, (B, n, h, w).
    former
        Where to begin; None: at nothing.
    spread, observe
        w -> V H^T w and H.
    variance
        Diagonal of S, (n, 1, 1).
    products
        How often ``spread`` may be called, once of them for ``former``.
    """
    w, residual = torch.zeros_like(right), right
    increment: Tensor | float = 0.0
    if former is not None:
        moved = spread(former)
        left = right - observe(moved) - variance * former
        use = (_dot(left, left) < _dot(right, right)).to(right)
        w, increment, residual = use * former, use * moved, torch.lerp(right, left, use)
        products -= 1
    direction, size = residual, _dot(residual, residual)
    active = torch.ones_like(size, dtype=torch.bool)
    for _ in range(products):
        moved = spread(direction)
        image = observe(moved) + variance * direction
        curvature = _dot(direction, image)
        active = active & (curvature > variance.min() * _dot(direction, direction) * (1 - 1e-3)) & (size > TINY)
        step = torch.where(active, size / curvature, 0.0)
        w, increment, residual = w + step * direction, increment + step * moved, residual - step * image
        following = _dot(residual, residual)
        direction = residual + following / size.clamp(min=TINY) * direction
        size = following
    return Solution(w, increment + torch.zeros_like(moved), residual)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2, 3), keepdim=True)


def mmps(products: int = 3) -> Guidance:
    """The guidance with so many products with V, each one back-propagation, per step (at least 2)."""

    def guidance(denoise: Denoise, observation: Observation) -> GuidedDenoise:
        former: Tensor | None = None

        def guided(x: Tensor, sigma: float, _next: float) -> Tensor:
            nonlocal former
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                x0 = denoise(x, sigma)
            field = x0.detach()
            forward, transpose = linearise(observation, field, sigma)

            def spread(w: Tensor) -> Tensor:
                return sigma**2 * torch.autograd.grad(x0, x, transpose(w), retain_graph=True)[0]

            right = observation.full_residual(field, sigma)
            found = solve(right, former, spread, forward, observation.variance.clamp(min=SMALLEST), products)
            former = found.w
            return field + found.increment

        return guided

    return guidance


def staged(high: Guidance, low: Guidance, level: float) -> Guidance:
    """``high`` above a noise level and ``low`` from there down: what suits the prior of each stage."""

    def guidance(denoise: Denoise, observation: Observation) -> GuidedDenoise:
        above, below = high(denoise, observation), low(denoise, observation)
        return lambda x, sigma, following: (above if sigma > level else below)(x, sigma, following)

    return guidance


def make(setup: Setup) -> Guidance:
    """Where the climatological Gaussian is the prior the analysis knows its V in closed form; the network's below."""
    return staged(analysis.make(setup), mmps(setup.config.products), setup.gaussian_above)


METHOD = Method(make, exact=True, backward=lambda config: config.products, gains=lambda _: 1)
