r"""``projection``: make the block means of the denoised field right, smoothly, at every step. No back-propagation [ours].

x0 <- x0 + R (y - A x0) with A R = I and R smooth (:meth:`zssd_cli.operators.coarsen.Coarsen.lift`). Observed variables
only; what is not observed follows through the prior alone.

Observed wind **speed** is met along the present direction of the wind: the lifted residual lengthens or shortens every
wind vector. This is the Gauss-Newton step for A|V| whose right inverse is R too, and it is exact wherever no wind would
have to turn round. At high noise, where the direction is hardly known, the step shrinks with what is known of it
(:class:`zssd_cli.operators.wind.WindSpeed`).
"""

from collections.abc import Sequence

from torch import Tensor

from zssd_cli.posterior.guidance import Denoise, Guidance, GuidedDenoise, Method, Observation


def projection(denoise: Denoise, observation: Observation) -> GuidedDenoise:
    """Guided denoiser whose answer has exactly the observed block means."""
    channels = list(observation.channels)

    def guided(x: Tensor, sigma: float, _next: float) -> Tensor:
        x0 = match(denoise(x, sigma), observation, channels)
        return match_speed(x0, observation, sigma)

    return guided


def match(x0: Tensor, observation: Observation, channels: Sequence[int]) -> Tensor:
    """A copy of the field whose block means are those observed, for these of the observed channels."""
    x0 = x0.clone()
    where = [observation.channels.index(channel) for channel in channels]
    if where:
        x0[:, list(channels)] += observation.operator.lift(observation.residual(x0)[:, where])
    return x0


def match_speed(x0: Tensor, observation: Observation, sigma: float = 0.0) -> Tensor:
    """A copy of the field with the observed block means of wind speed, where speed is observed."""
    speed = observation.speed
    if speed is None:
        return x0
    change = observation.operator.lift(observation.speed_residual(x0, sigma))
    return speed.wind.move(x0, change, speed.unresolved(sigma))


def sequential(linear: Guidance) -> Guidance:
    """A guidance by the linear part of the observation, then the step for wind speed where that is observed."""

    def guidance(denoise: Denoise, observation: Observation) -> GuidedDenoise:
        if observation.speed is None:
            return linear(denoise, observation)
        first = linear(denoise, observation) if observation.channels else lambda x, sigma, _next: denoise(x, sigma)
        return lambda x, sigma, sigma_next: match_speed(first(x, sigma, sigma_next), observation, sigma)

    return guidance


METHOD = Method(make=lambda _: projection)
