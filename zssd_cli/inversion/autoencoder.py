r"""Convolutional variational autoencoder: fields (B, 1, H, W) and latents (B, C, H / 8, W / 8).

Both ends have a linear path (one strided convolution) beside the network: the best autoencoder of a Gaussian field is
linear, and what is left for the network is the rest. Trained on the evidence lower bound without an invented weight:

* Gaussian fields: :math:`p(u | z) = N(\hat u(z), s(z)^2)` with a learned variance per field, so rough fields own up to
  the detail that the latent cannot hold (Rybkin, Daniilidis and Levine 2021);
* two-material fields: :math:`p(u = 1 | z)` Bernoulli; the decoder's output is :math:`\tanh(l / 2) = 2 p - 1` of the
  log-odds, bounded by the two materials, and interfaces are as sharp as the log-odds are steep.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zssd_cli.inversion.config import AutoencoderConfig
from zssd_cli.prior.unet import rms_norm, start_at_zero

FACTOR = 8
LOG_VARIANCE = (-9.0, 1.0)


class Residual(nn.Module):
    """Norm, SiLU, conv, norm, SiLU, conv, added to the input: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        start_at_zero(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the two convolutions make of ``x``."""
        h = self.first(F.silu(rms_norm(x)))
        return x + self.second(F.silu(rms_norm(h)))


class Encoder(nn.Module):
    """Field -> mean and log-variance of the latent."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        _, quarter, eighth = config.channels
        self.linear = nn.Conv2d(1, 2 * config.latent, 2 * FACTOR, FACTOR, FACTOR // 2)
        self.stem = nn.Conv2d(16, quarter, 3, padding=1)
        self.fine = Residual(quarter)
        self.down = nn.Conv2d(4 * quarter, eighth, 1)
        self.coarse = nn.Sequential(Residual(eighth), Residual(eighth))
        self.out = nn.Conv2d(eighth, 2 * config.latent, 3, padding=1)

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) -> two (B, C, H / 8, W / 8)."""
        h = self.fine(self.stem(F.pixel_unshuffle(u, 4)))
        h = self.coarse(self.down(F.pixel_unshuffle(h, 2)))
        mean, log_variance = (self.linear(u) + self.out(F.silu(rms_norm(h)))).float().chunk(2, 1)
        return mean, log_variance.clamp(-12, 4)


class Decoder(nn.Module):
    """Latent -> field (or log-odds) and log-variance per field of what is missing."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        half, quarter, eighth = config.channels
        self.linear = nn.ConvTranspose2d(config.latent, 1, 2 * FACTOR, FACTOR, FACTOR // 2)
        self.stem = nn.Conv2d(config.latent, eighth, 3, padding=1)
        self.coarse = nn.Sequential(Residual(eighth), Residual(eighth))
        self.up = nn.ModuleList((nn.Conv2d(eighth, 4 * quarter, 1), nn.Conv2d(quarter, 4 * half, 1)))
        self.fine = nn.ModuleList((Residual(quarter), Residual(half)))
        self.out = nn.Conv2d(half, 4, 3, padding=1)
        self.missing = nn.Linear(eighth, 1)
        start_at_zero(self.missing)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> (B, 1, 8 h, 8 w) and (B,)."""
        h = self.coarse(self.stem(z))
        low, high = LOG_VARIANCE
        share = torch.sigmoid(self.missing(F.silu(h).square().mean((2, 3))).squeeze(1).float() + 1.0)
        for up, fine in zip(self.up, self.fine, strict=True):
            h = fine(F.pixel_shuffle(up(h), 2))
        field = self.linear(z) + F.pixel_shuffle(self.out(F.silu(rms_norm(h))), 2)
        return field.float(), low + (high - low) * share


class Autoencoder(nn.Module):
    """Encoder and decoder of one family of fields.

    Parameters
    ----------
    config
        Shape.
    binary
        True for fields of -1 and 1 (Bernoulli decoder), False for continuous ones (Gaussian decoder).
    """

    def __init__(self, config: AutoencoderConfig, binary: bool) -> None:
        super().__init__()
        self.encoder, self.decoder, self.binary = Encoder(config), Decoder(config), binary

    def decode(self, z: Tensor, sharpness: float = 1.0) -> tuple[Tensor, Tensor]:
        """Expected field (B, H, W) and log-variance per field of what the latent does not say (B,).

        Log-odds of two materials are multiplied by ``sharpness``: the larger, the nearer all cells are to either of them.
        """
        field, log_variance = self.decoder(z)
        field = field.squeeze(1)
        return (torch.tanh(sharpness * field / 2) if self.binary else field), log_variance

    def loss(self, u: Tensor, rng: torch.Generator) -> Tensor:
        """Negative evidence lower bound in nats per cell, constants left out, (B,).

        Parameters
        ----------
        u
            Fields, (B, H, W).
        rng
            Source of the noise of the latents.
        """
        mean, log_variance = self.encoder(u[:, None])
        z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=rng)
        field, missing = self.decoder(z)
        cells = math.prod(u.shape[1:])
        if self.binary:
            surprise = F.softplus(-field.squeeze(1) * u).mean((1, 2))
        else:
            error = (field.squeeze(1) - u).square().mean((1, 2))
            surprise = 0.5 * (error / missing.exp() + missing)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum((1, 2, 3))
        return surprise + divergence / cells
