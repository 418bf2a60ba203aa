r"""The prior as a denoiser :math:`D(x_0 + \sigma n, \sigma, c) \to E[x_0]`, with the preconditioning of Karras et al. (2022).

By Tweedie's formula the score of the noisy distribution is :math:`(D - x) / \sigma^2`: whoever holds D can sample.
Fields are standardised per variable before they come here, so the data scale is 1.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zssd_cli.prior.unet import UNet


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


class Denoiser(nn.Module):
    r"""Karras preconditioning around a U-Net: :math:`D = c_{skip} x + c_{out} F(c_{in} x, \ln\sigma, c)`, eq. 7 with data scale 1."""

    def __init__(self, network: UNet, time_known: bool = True) -> None:
        super().__init__()
        self.network = network
        self.time_known = time_known

    def forward(self, x: Tensor, sigma: Tensor, conditions: Conditions, circular: bool = False) -> Tensor:
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
        scale = (sigma.square() + 1).sqrt()[:, None, None, None]
        static = conditions.static.to(x).expand(batch, -1, -1, -1)
        time = conditions.time.to(x).expand(batch, -1)
        if not self.time_known:
            time = torch.full_like(time, torch.nan)
        inputs = F.pad(x / scale, (0, right, 0, bottom), mode="replicate")
        static = F.pad(static, (0, right, 0, bottom), mode="replicate")
        if inputs.device.type == "cpu":
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        raw = self.network(inputs, sigma.log(), static, time, circular)[..., :height, :width]
        return x / scale.square() + raw * (sigma[:, None, None, None] / scale)
