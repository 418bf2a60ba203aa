r"""The prior as a denoiser :math:`D(x_0 + \sigma n, \sigma, c) \to E[x_0]`, with the preconditioning of Karras et al. (2022).

By Tweedie's formula the score of the noisy distribution is :math:`(D - x) / \sigma^2`: whoever holds D can sample.
Fields are standardised per variable before they come here, so the data scale is 1.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zssd_cli.prior.unet import DETAILS, UNet, extend

GAINS = (0.890, 0.201, 0.0856)
"""Standard deviation of :func:`details` of unit white noise."""


@dataclass(frozen=True)
class Conditions:
    """What the prior is told about place and time.

    Attributes
    ----------
    static
        Channels of :data:`zssd_cli.prior.unet.STATIC_CHANNELS`, (B or 1, 4, H, W).
    time
        Fractions of the year and of the day in [0, 1), NaN where unknown, (B or 1, 2).
    """

    static: Tensor
    time: Tensor


def details(x: Tensor, circular: bool) -> list[Tensor]:
    """What repeated smoothing takes away, finest first: (..., H, W) -> DETAILS of the same shape.

    Binomial smoothing of five cells, then of the result with every second, every fourth cell ("a trous"): bands around
    wavelengths of 2 to 4, 4 to 8, 8 to 16 cells.
    """
    bands = []
    for step in (2**k for k in range(DETAILS)):
        wide = extend(x, 2 * step, circular)
        for axis in (-1, -2):
            size = x.shape[axis]
            a, b, c, d, e = (wide.narrow(axis, k * step, size) for k in range(5))
            wide = (a + e) / 16 + (b + d) / 4 + c * (6 / 16)
        bands.append(x - wide)
        x = wide
    return bands


class Denoiser(nn.Module):
    r"""Karras preconditioning around a U-Net: :math:`D = c_{skip} x + c_{out} F(c_{in} x, \ln\sigma, c)`, eq. 7 with data scale 1.

    F also sees the :func:`details` of x, each scaled to about 1 [ours]: weather is smooth, so at low noise all there is to
    remove sits in them, a thousandth of the field, where bfloat16 would round it away and training would be slow to find it.
    The scales of clean details are the buffer ``detail_std`` (bands, C), measured on the training data.
    """

    detail_std: Tensor

    def __init__(self, network: UNet, time_known: bool = True) -> None:
        super().__init__()
        self.network = network
        self.time_known = time_known
        self.register_buffer("detail_std", torch.full((DETAILS, network.variables), 0.05))

    def forward(
        self,
        x: Tensor,
        sigma: Tensor,
        conditions: Conditions,
        circular: bool = False,
        present: Tensor | None = None,
    ) -> Tensor:
        """Best guess of the clean field.

        Parameters
        ----------
        x
            Noisy standardised fields, (B, C, H, W), any H and W.
        sigma
            Noise levels, (B,) or scalar tensor.
        conditions
            Place and time, broadcast over the batch.
        circular
            True where W is the whole circle of longitude.
        present
            False where a variable is not known at all, (B, C); the answer for it means nothing. None: all are known.

        Returns
        -------
        Tensor (B, C, H, W).
        """
        batch, _, height, width = x.shape
        sigma = sigma.to(x).expand(batch)
        stride = self.network.stride
        bottom, right = -height % stride, 0 if circular else -width % stride
        if circular and width % stride:
            msg = f"A domain around the whole globe needs a width that is a multiple of {stride}, got {width}."
            raise ValueError(msg)
        level = sigma[:, None, None, None]
        scale = (level.square() + 1).sqrt()
        known = torch.ones_like(x[:, :, 0, 0]) if present is None else present.to(x)
        x = x * known[:, :, None, None]
        bands = [
            band * ((gain * level).square() + std[:, None, None].square()).rsqrt()
            for band, gain, std in zip(details(x, circular), GAINS, self.detail_std.to(x), strict=True)
        ]
        static = conditions.static.to(x).expand(batch, -1, -1, -1)
        time = conditions.time.to(x).expand(batch, -1)
        if not self.time_known:
            time = torch.full_like(time, torch.nan)
        inputs = F.pad(torch.cat([x / scale, *bands], 1), (0, right, 0, bottom), mode="replicate")
        static = F.pad(static, (0, right, 0, bottom), mode="replicate")
        if inputs.device.type == "cpu":
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        raw = self.network(inputs, sigma.log(), static, time, known, circular)[..., :height, :width]
        return x / scale.square() + raw * (level / scale)
