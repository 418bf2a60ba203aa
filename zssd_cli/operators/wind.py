r"""Wind speed of standardised wind components: what many climate models publish instead of the components (sfcWind).

A block mean of speed is not the speed of the block means, so the operator is the speed cell by cell, after which the
blocks are averaged (:class:`zssd_cli.operators.coarsen.Coarsen`):

.. math:: s = \sqrt{u^2 + v^2 + \varepsilon^2} / c,

u, v in physical units, c the scale that makes s of order 1. :math:`\varepsilon^2` is the **expected** contribution of
what the denoised field does not resolve: E|V| is larger than |E V|. For a centred isotropic Gaussian wind with
variances summing to :math:`\tau^2` it is :math:`\sqrt{\pi/4}\,\tau`, hence :math:`\varepsilon^2 = \tau^2 \pi / 4`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

CALM = 0.01
"""Smallest epsilon [m s-1]: keeps the direction of no wind defined."""


@dataclass(frozen=True)
class WindSpeed:
    """Speed of two of a field's channels.

    Attributes
    ----------
    eastward, northward
        Channels of the components.
    mean, std
        Their scales in m s-1, (eastward, northward).
    """

    eastward: int
    northward: int
    mean: tuple[float, float]
    std: tuple[float, float]

    @property
    def channels(self) -> list[int]:
        """Channels of both components."""
        return [self.eastward, self.northward]

    @property
    def scale(self) -> float:
        """c, the root mean square of the components' standard deviations [m s-1]."""
        return math.hypot(*self.std) / math.sqrt(2)

    def _parts(self, x: Tensor, unresolved: Tensor | float) -> tuple[Tensor, Tensor]:
        """Wind (B, 2, H, W) and speed (B, H, W) in m s-1."""
        mean, std = (torch.tensor(s, dtype=x.dtype, device=x.device)[:, None, None] for s in (self.mean, self.std))
        wind = x[:, self.channels] * std + mean
        epsilon = CALM**2 + math.pi / 4 * unresolved
        return wind, (wind.square().sum(1) + epsilon).sqrt()

    def __call__(self, x: Tensor, unresolved: Tensor | float = 0.0) -> Tensor:
        """Standardised speed, (B, C, H, W) -> (B, H, W); ``unresolved`` is tau^2 [m2 s-2], of all or by row (H, 1)."""
        return self._parts(x, unresolved)[1] / self.scale

    def slope(self, x: Tensor, unresolved: Tensor | float = 0.0) -> Tensor:
        """Derivative of the speed with respect to the two channels, (B, 2, H, W)."""
        wind, speed = self._parts(x, unresolved)
        std = torch.tensor(self.std, dtype=x.dtype, device=x.device)[:, None, None]
        return wind / speed[:, None] * std / self.scale

    def move(self, x: Tensor, change: Tensor, unresolved: Tensor | float = 0.0) -> Tensor:
        """The field with the wind lengthened by ``change`` (standardised, (B, H, W)) in its own direction.

        The speed then grows by exactly ``change`` where nothing is unresolved, by less elsewhere; it does not pass 0.
        """
        wind, speed = self._parts(x, unresolved)
        std = torch.tensor(self.std, dtype=x.dtype, device=x.device)[:, None, None]
        factor = (change * self.scale / speed).clamp(min=-1)
        moved = x.clone()
        moved[:, self.channels] += factor[:, None] * wind / std
        return moved
