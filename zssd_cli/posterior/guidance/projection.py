"""``projection``: make the block means of the denoised field right, smoothly, at every step. No back-propagation [ours].

x0 <- x0 + R (y - A x0) with A R = I and R smooth (:meth:`zssd_cli.operators.coarsen.Coarsen.lift`). Observed variables
only; what is not observed follows through the prior alone.
"""

from torch import Tensor

from zssd_cli.posterior.guidance import Denoise, GuidedDenoise, Observation


def projection(denoise: Denoise, observation: Observation) -> GuidedDenoise:
    """Guided denoiser whose answer has exactly the observed block means."""
    channels = list(observation.channels)

    def guided(x: Tensor, sigma: float, _next: float) -> Tensor:
        x0 = denoise(x, sigma).clone()
        x0[:, channels] += observation.operator.lift(observation.residual(x0))
        return x0

    return guided
