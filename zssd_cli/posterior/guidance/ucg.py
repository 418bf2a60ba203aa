r"""``ucg``: Unified Coordinate Guidance, the method of the ZSSD paper (arXiv 2601.21760).

The reverse step of the DDPM is moved against the gradient of the mismatch with respect to the noisy field:

.. math:: x_{t-1} = \mathrm{DDPM}(x_t) - \zeta\, \nabla_{x_t} \lVert W (Y - P A\, D(x_t)) \rVert,

Y = P y, P the bilinear interpolation to 0.25 degree. The gradient goes through the network. [paper: the 0.25 degree
space, the norm's gradient, 1000 steps; ours: latitude weights cos(lat) / mean cos(lat), bilinear P, the plain norm.]
There is one norm per member, so that members do not depend on the batch.

To fit the seam (a guidance returns a denoised field) the step is written as a shift of D. In the variance-exploding
variable the ancestral step is x' = D + (s'/s)^2 (x - D) + noise, so shifting D by d moves x' by (1 - (s'/s)^2) d; with
x_t = x / sqrt(1 + s^2) the wanted move is -zeta G sqrt(1 + s^2) sqrt(1 + s'^2), G the gradient with respect to x.
"""

import torch
from torch import Tensor

from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.guidance import Denoise, Guidance, GuidedDenoise, Method, Observation


def mismatch_gradients(
    denoise: Denoise, observation: Observation, x: Tensor, sigma: float, grids: tuple[bool, ...]
) -> tuple[Tensor, list[Tensor]]:
    """D(x) and, per entry of ``grids`` (True: 0.25 degree, False: coarse), the gradient of the mismatch's norm in x.

    All (B, C, H, W); one call of the denoiser, one back-propagation per grid.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        x0 = denoise(x, sigma)
        residual = observation.full_residual(x0, sigma)
        norms = [_norm(observation.operator, residual, fine) for fine in grids]
        gradients = [
            torch.autograd.grad(norm.sum(), x, retain_graph=k < len(norms) - 1)[0] for k, norm in enumerate(norms)
        ]
    return x0.detach(), gradients


def _norm(operator: Coarsen, residual: Tensor, fine: bool) -> Tensor:
    """Latitude-weighted norm of the mismatch, one per member, (B,)."""
    grid = operator.fine if fine else operator.coarse
    weights = torch.as_tensor(grid.lat, dtype=residual.dtype, device=residual.device).deg2rad().cos()
    weights = (weights / weights.mean())[:, None]
    if fine:
        residual = operator.refine(residual)
    return (weights * residual).square().sum((1, 2, 3)).clamp(min=1e-20).sqrt()


def step_scale(sigma: float, sigma_next: float) -> float:
    """What turns a gradient in x into the shift of D that moves the ancestral step by it (see above)."""
    return ((1 + sigma**2) * (1 + sigma_next**2)) ** 0.5 / (1 - (sigma_next / sigma) ** 2)


def stepwise(fine: bool, zeta: float) -> Guidance:
    """Move the step against the gradient of the mismatch in 0.25 degree space or on the coarse grid."""

    def guidance(denoise: Denoise, observation: Observation) -> GuidedDenoise:
        def guided(x: Tensor, sigma: float, sigma_next: float) -> Tensor:
            x0, (gradient,) = mismatch_gradients(denoise, observation, x, sigma, (fine,))
            return x0 - zeta * step_scale(sigma, sigma_next) * gradient

        return guided

    return guidance


def ucg(zeta: float) -> Guidance:
    """The paper's guidance; meant for the ``ddpm`` sampler with 1000 steps."""
    return stepwise(fine=True, zeta=zeta)


ZETA = {1.5: 0.5, 2.5: 0.5, 5.0: 0.15}
"""Best of three each on a training field at blocks of these sizes (docs/benchmarks.md); the paper gives no number for this norm."""
METHOD: Method = Method(
    lambda setup: ucg(METHOD.zeta_of(setup.config) or 0.0),
    steps=1000,
    sampler="ddpm",
    zeta=ZETA,
    stepwise=True,
    backward=lambda _: 1,
)
