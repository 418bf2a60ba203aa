r"""The latent prior: noise -> short deterministic chain -> latent -> decoder -> field.

Interpolation between latent and noise goes along a quarter of a circle, :math:`w_\varphi = w \cos\varphi + n \sin\varphi`
(Albergo and Vanden-Eijnden 2023); with :math:`\sigma = \tan\varphi` it is the convention of
:mod:`zssd_cli.prior.noise` times :math:`\cos\varphi`, and the network's output F is that of Karras et al. (2022) with
data scale 1: :math:`E[w] = w_\varphi\cos\varphi + F\sin\varphi`. The probability flow is
:math:`d w_\varphi / d\varphi = -F`, walked from :math:`\varphi = \pi / 2`, pure noise, to 0.

Latents are whitened before (by the symmetric root of their covariance, which keeps places where they are). For a
Gaussian prior F is then 0 and the chain is exact with any number of steps, so a real one needs few: F is only what is
not Gaussian.

The unknown of an inversion is the whitened latent, where the chain ends; the chain draws the prior's members there
[ours]. With ``through_chain`` it is the noise where the chain starts [paper]: exactly standard normal, but every gradient
goes through the chain, and what the chain bends, the search has to unbend (measured: docs/groundwater.md).

Fields with a Gaussian decoder get back what the latent cannot hold: noise with the measured spectrum of the decoder's
error, at the level that the decoder states for each field. That noise is part of the unknown, too.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zssd_cli.inversion.autoencoder import FACTOR, Autoencoder, Residual
from zssd_cli.inversion.config import AutoencoderConfig, FlowConfig
from zssd_cli.prior.unet import HERE, rms_norm, start_at_zero

SHARPNESS = 1.0, 8.0, 32.0
"""Of two materials, on the way from the decoder's expectation to fields that are one or the other nearly everywhere."""

SOFTNESS = 0.1, 0.15, 0.25, 0.4, 0.7
"""Before it, for a search that knows nothing yet: fields that are nearly proportional to the log-odds."""


class FlowBlock(nn.Module):
    """Residual convolutions, shifted by the noise level, then attention between all places."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.shift = nn.Linear(embedding, 2 * width)
        self.residual = Residual(width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        start_at_zero(self.out)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C, h, w), (B, E) -> (B, C, h, w)."""
        scale, shift = self.shift(embedding)[:, :, None, None].chunk(2, 1)
        x = self.residual(x * (1 + scale) + shift)
        q, k, v = self.qkv(rms_norm(x)).flatten(2).transpose(1, 2).unflatten(2, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(mixed.permute(0, 1, 3, 2).reshape(x.shape))


class Flow(nn.Module):
    """The network F(w_phi, phi) on latents of a fixed size.

    Parameters
    ----------
    latent
        Channels of the latent.
    side
        Its height and width.
    config
        Shape of the network.
    """

    frequencies: Tensor

    def __init__(self, latent: int, side: int, config: FlowConfig) -> None:
        super().__init__()
        width, embedding = config.width, config.embedding
        frequencies = torch.linspace(0, math.log(32.0), embedding // 2, device=HERE).exp()
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.embed = nn.Sequential(nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.place = nn.Parameter(torch.zeros(width, side, side))
        self.stem = nn.Conv2d(latent, width, 3, padding=1)
        self.blocks = nn.ModuleList(FlowBlock(width, embedding) for _ in range(config.blocks))
        self.out = nn.Conv2d(width, latent, 3, padding=1)
        start_at_zero(self.out)

    def forward(self, w: Tensor, angle: Tensor) -> Tensor:
        """(B, C, h, w), angles (B,) in [0, pi / 2] -> (B, C, h, w)."""
        phase = angle[:, None] * self.frequencies
        embedding = F.silu(self.embed(torch.cat([phase.sin(), phase.cos()], 1)))
        h = self.stem(w) + self.place
        for block in self.blocks:
            h = block(h, embedding)
        return self.out(F.silu(rms_norm(h)))


def run_chain(flow: nn.Module, noise: Tensor, steps: int) -> Tensor:
    """Walk the probability flow from pure noise to the latent; memory does not grow with the number of steps.

    Euler at the first step, then the two-step Adams-Bashforth formula: second order, one evaluation a step.
    """
    w, before, width = noise, None, 0.5 * math.pi / steps
    for step in range(steps):
        angle = torch.full((len(w),), 0.5 * math.pi - step * width, dtype=w.dtype, device=w.device)
        now = checkpoint(flow, w, angle, use_reentrant=False) if w.requires_grad else flow(w, angle)
        w = w + width * (now if before is None else 1.5 * now - 0.5 * before)
        before = now
    return w


@dataclass(frozen=True)
class Whitening:
    """Symmetric whitening of latents (B, C, h, w), flattened to D = C h w numbers.

    Attributes
    ----------
    mean
        (C, h, w).
    root
        Symmetric root of the covariance, (D, D).
    """

    mean: Tensor
    root: Tensor

    @classmethod
    def of(cls, latents: Tensor) -> "Whitening":
        """Measure on samples (N, C, h, w), N well above D; shrunk a little towards its diagonal against sampling noise."""
        mean = latents.mean(0)
        flat = (latents - mean).flatten(1).double()
        covariance = flat.T @ flat / len(flat)
        shrink = min(1.0, flat.shape[1] / (10 * len(flat)))
        covariance = (1 - shrink) * covariance + shrink * covariance.diagonal().diag()
        values, vectors = torch.linalg.eigh(covariance)
        root = (vectors * values.clamp(min=1e-6).sqrt()) @ vectors.T
        return cls(mean, root.float())

    def colour(self, white: Tensor) -> Tensor:
        """White -> latent."""
        return (white.flatten(1) @ self.root).view(-1, *self.mean.shape) + self.mean

    def whiten(self, latents: Tensor) -> Tensor:
        """Latent -> white."""
        flat = (latents - self.mean).flatten(1)
        return torch.linalg.solve(self.root, flat, left=False).view_as(latents)


@dataclass(frozen=True)
class LatentPrior:
    """A trained prior of fields, seen as a map from unknowns of mean 0 and covariance 1.

    Attributes
    ----------
    autoencoder
        In evaluation mode.
    flow
        Network of the chain, in evaluation mode.
    whitening
        Between chain and decoder.
    texture
        From :func:`measure_texture`, (n, n // 2 + 1); None where the decoder is Bernoulli.
    side
        Height and width n of a field.
    steps
        Steps of the chain.
    through_chain
        True: the unknown is the start of the chain, else its end.
    sharpness
        Of the interfaces between two materials; 1: the decoder's expectation.
    """

    autoencoder: Autoencoder
    flow: Flow
    whitening: Whitening
    texture: Tensor | None
    side: int
    steps: int
    through_chain: bool = False
    sharpness: float = 1.0

    @property
    def binary(self) -> bool:
        """True where fields have two values, -1 and 1."""
        return self.autoencoder.binary

    @property
    def latent_size(self) -> int:
        """Numbers of the latent."""
        return self.whitening.mean.numel()

    @property
    def size(self) -> int:
        """Numbers of the whole unknown: the latent and, where there is one, the noise of the texture."""
        return self.latent_size + (0 if self.texture is None else self.side**2)

    def unknowns(self, noise: Tensor) -> Tensor:
        """Standard normal numbers (B, size) -> unknowns as the prior has them, (B, size)."""
        if self.through_chain:
            return noise
        with torch.no_grad():
            latents = run_chain(self.flow, self._latents(noise), self.steps)
        return torch.cat([latents.flatten(1), noise[:, self.latent_size :]], 1)

    def fields(self, unknown: Tensor) -> Tensor:
        """Fields of unknowns, differentiable.

        Parameters
        ----------
        unknown
            (B, size), of mean 0 and covariance 1 under the prior.

        Returns
        -------
        Tensor (B, n, n): mean about 0 and variance about 1, or for two materials values in (-1, 1).
        """
        white = self._latents(unknown)
        white = run_chain(self.flow, white, self.steps) if self.through_chain else white
        field, log_variance = self.autoencoder.decode(self.whitening.colour(white), self.sharpness)
        if self.texture is None:
            return field
        return field + (0.5 * log_variance).exp()[:, None, None] * self._textured(unknown[:, self.latent_size :])

    def sharpened(self) -> tuple["LatentPrior", ...]:
        """The same prior with interfaces from smooth to sharp, or itself where there are none.

        Gradients need smooth ones to find a way, users get sharp ones, and a field that explains heads by cells half of
        one material does not explain them any more when it is cut.
        """
        return tuple(replace(self, sharpness=value) for value in SHARPNESS) if self.binary else (self,)

    def softened(self) -> tuple["LatentPrior", ...]:
        """The same prior with interfaces from hardly any to nearly those of the decoder; none where there are no interfaces."""
        return tuple(replace(self, sharpness=value) for value in SOFTNESS) if self.binary else ()

    def _latents(self, unknown: Tensor) -> Tensor:
        return unknown[:, : self.latent_size].view(-1, *self.whitening.mean.shape)

    def _textured(self, noise: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(noise.view(-1, self.side, self.side))
        return torch.fft.irfft2(spectrum * self.texture, s=(self.side, self.side))

    def finish(self, fields: Tensor) -> Tensor:
        """What a user gets: two-material fields are cut at 0 to -1 and 1, others stay as they are."""
        return torch.where(fields > 0, 1.0, -1.0) if self.binary else fields

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Independent draws from the prior, (count, n, n)."""
        with torch.no_grad():
            return self.finish(self.fields(self.unknowns(torch.randn(count, self.size, generator=rng))))


def new_networks(
    autoencoder: AutoencoderConfig, flow: FlowConfig, cells: int, *, binary: bool
) -> tuple[Autoencoder, Flow]:
    """Untrained networks for fields of ``cells`` x ``cells``."""
    return Autoencoder(autoencoder, binary), Flow(autoencoder.latent, cells // FACTOR, flow)


def measure_texture(errors: Tensor, log_variance: Tensor) -> Tensor:
    """Amplitude spectrum of decoder errors relative to what the decoder states, (n, n // 2 + 1).

    White noise filtered by it and multiplied by the stated standard deviation looks like the errors (N, n, n) whose
    log-variances were stated as (N,).
    """
    scaled = errors * (-0.5 * log_variance).exp()[:, None, None]
    return torch.fft.rfft2(scaled).abs().square().mean(0).sqrt() / errors.shape[1]
