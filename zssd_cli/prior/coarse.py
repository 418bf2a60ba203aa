"""A second network for high noise: it sees means of several cells, which is all that can be seen there [ours].

At noise level sigma the mean of n x n cells holds noise of sigma / n, and weather is smooth: waves that the means lose are far below
the noise where this network is asked. A call costs a (n * n)-th, and it sees n times as far.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from zssd_cli.config import UNetConfig, misfit
from zssd_cli.prior.denoiser import Conditions, Denoiser
from zssd_cli.prior.unet import extend


class CoarseHeader(BaseModel):
    """What the header of a prior says of its network for high noise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: UNetConfig
    factor: Annotated[int, Field(ge=2, le=16)]
    """Cells on a side of a mean."""
    above: Annotated[float, Field(ge=1, le=50)]
    """Noise level of the fine field from which on the network is asked."""
    patch: Annotated[int, Field(ge=1, le=1440)]
    """Side of the squares of means that it was trained on: in a smaller domain it would be at the rim everywhere."""
    training: dict[str, Any]
    """As of the fine network."""

    @model_validator(mode="after")
    def _fits_the_globe(self) -> "CoarseHeader":
        if problem := misfit(self.factor, self.network):
            raise ValueError(problem)
        return self


@dataclass(frozen=True)
class Coarse:
    """A denoiser of means of several cells, which stands in for the fine one at high noise.

    Attributes
    ----------
    denoiser
        Of the means; its noise levels are those of the means.
    header
        Of how many cells, and from which noise level on it is asked.
    """

    denoiser: Denoiser
    header: CoarseHeader

    def serves(self, height: int, width: int) -> bool:
        """True for a domain of at least a training patch of means."""
        return min(height, width) >= self.header.factor * self.header.patch

    def __call__(self, x: Tensor, sigma: Tensor, conditions: Conditions, circular: bool = False) -> Tensor:
        """Best guess of the clean field as of :meth:`Denoiser.forward`, as smooth as the means: (B, C, H, W), any H and W."""
        n, (height, width) = self.header.factor, x.shape[-2:]
        if circular and width % n:
            msg = f"A domain around the whole globe needs a width that is a multiple of {n}, got {width}."
            raise ValueError(msg)
        means = Conditions(averaged(conditions.static.to(x), n), conditions.time)
        answer = self.denoiser(averaged(x, n), sigma / n, means, circular)
        wide = F.interpolate(extend(answer.float(), 1, circular), scale_factor=n, mode="bilinear")
        return wide[..., n : n + height, n : n + width].to(answer)


def averaged(x: Tensor, n: int) -> Tensor:
    """Means of n x n cells from the south-west on, of fewer where they do not fit: (..., H, W) -> (..., H / n, W / n), rounded up."""
    return F.avg_pool2d(x, n, ceil_mode=True, count_include_pad=False)
