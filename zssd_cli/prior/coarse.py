"""A second network for high noise: it sees means of several cells, which is all that can be seen there [ours].

At noise level sigma the mean of n x n cells holds noise of sigma / n, and weather is smooth: waves that the means lose are far below
the noise where this network is asked. A call costs a (n * n)-th, and it sees n times as far.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from zssd_cli.prior.denoiser import Conditions, Denoiser
from zssd_cli.prior.unet import extend


@dataclass(frozen=True)
class Coarse:
    """A denoiser of the means of ``factor`` x ``factor`` cells, and from which noise level on it stands in for the fine one.

    Attributes
    ----------
    denoiser
        Of the means; its noise levels are those of the means.
    factor
        Cells on a side.
    above
        Noise level of the fine field from which on it is asked.
    patch
        Side of the squares of means that it was trained on: in a smaller domain it would be at the rim everywhere.
    """

    denoiser: Denoiser
    factor: int
    above: float
    patch: int

    def serves(self, height: int, width: int) -> bool:
        """True for a domain of at least a training patch of means."""
        return min(height, width) >= self.factor * self.patch

    def __call__(self, x: Tensor, sigma: Tensor, conditions: Conditions, circular: bool = False) -> Tensor:
        """Best guess of the clean field as of :meth:`Denoiser.forward`, as smooth as the means: (B, C, H, W), any H and W."""
        n, (height, width) = self.factor, x.shape[-2:]
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
