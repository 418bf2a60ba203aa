"""The network: a small 2-D U-Net that is strictly local in space.

* Channel RMS normalisation at every pixel, never statistics over the domain: the answer at a point does not depend on
  how large the domain (or the window) is beyond the receptive field.
* Padding is circular in longitude where the domain is the whole circle, replicate elsewhere, in every convolution.
* The finest level is thin (pixel-unshuffle to half resolution early): that is where a CPU spends its time.
* Season and hour enter by cross-attention over three tokens (a learned constant, time of year, time of day); the noise
  level and nothing else scales and shifts the features.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zssd_cli.config import UNetConfig

DETAILS = 3
"""Bands of detail that the network sees beside the field, see :func:`zssd_cli.prior.denoiser.details`."""
HERE = "cpu"
"""For tensors that are made with a value, even while the rest is made on "meta": torch imports its compiler for those there, a second."""
STATIC_CHANNELS = ("height", "land_fraction", "sin_latitude", "cos_latitude")


class Conv(nn.Conv2d):
    """3 x 3 convolution that pads the field as the sphere asks for: (B, C, H, W) -> (B, C', H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3)

    def forward(self, x: Tensor, circular: bool) -> Tensor:  # type: ignore[override]
        """Pad longitude circular or replicate, latitude replicate, and convolve."""
        return super().forward(extend(x, 1, circular))

    def activated(self, x: Tensor, circular: bool, gain: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """The same of silu(gain * rms_norm(x) + shift), gain and shift (B, C, 1, 1); without gradients in one buffer, rim and all."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            h = rms_norm(x)
            return self(F.silu(h if gain is None or shift is None else torch.addcmul(shift, h, gain)), circular)
        batch, count, height, width = x.shape
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        shape = batch, count, height + 2, width + 2
        wide = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)
        inner = wide[..., 1:-1, 1:-1]
        torch.mul(x, _shrinkage(x), out=inner)
        if gain is not None and shift is not None:
            torch.addcmul(shift, inner, gain, out=inner)
        F.silu(inner, inplace=True)
        west, east = (-2, 1) if circular else (1, -2)
        wide[..., 0], wide[..., -1] = wide[..., west], wide[..., east]
        wide[..., 0, :], wide[..., -1, :] = wide[..., 1, :], wide[..., -2, :]
        return super().forward(wide)


class Halve(nn.Conv2d):
    """A 1 x 1 convolution of what ``pixel_unshuffle`` makes of x, without making it: (B, C, H, W) -> (B, C', H / 2, W / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(4 * inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Weights are kept as those of the 1 x 1 convolution."""
        return F.conv2d(x, self.weight.flatten(1).unflatten(1, (-1, 2, 2)), self.bias, stride=2)


def extend(x: Tensor, cells: int, circular: bool) -> Tensor:
    """Rim of ``cells`` around (..., H, W): circular or replicate in longitude, replicate in latitude.

    By concatenation: ``F.pad`` of a channels-last tensor copies it back and forth, and torch.compile cannot follow it.
    """
    if circular:
        x = torch.cat([x[..., -cells:], x, x[..., :cells]], -1)
    else:
        x = torch.cat([x[..., :1]] * cells + [x] + [x[..., -1:]] * cells, -1)
    return torch.cat([x[..., :1, :]] * cells + [x] + [x[..., -1:, :]] * cells, -2)


def start_at_zero(layer: nn.Linear | nn.Conv2d) -> None:
    """Weights and bias zero: the layer says nothing until it has learned to."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def rms_norm(x: Tensor) -> Tensor:
    """Unit mean square over channels at every pixel, (B, C, H, W)."""
    return x * _shrinkage(x)


def _shrinkage(x: Tensor) -> Tensor:
    """What :func:`rms_norm` multiplies with, (B, 1, H, W)."""
    # autocast on a GPU makes the norm float32, and all after it
    size = torch.linalg.vector_norm(x, dim=1, keepdim=True).to(x.dtype)
    return torch.rsqrt(size.square() / x.shape[1] + 1e-4)


class Block(nn.Module):
    """Residual block: norm, SiLU, conv, scale and shift by the noise level, SiLU, conv."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.first = Conv(channels, channels)
        self.second = Conv(channels, channels)
        self.modulation = nn.Linear(embedding, 2 * channels)
        start_at_zero(self.modulation)
        start_at_zero(self.second)

    def forward(self, x: Tensor, embedding: Tensor, circular: bool) -> Tensor:
        """(B, C, H, W), (B, E) -> (B, C, H, W)."""
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.first.activated(x, circular)
        return x + self.second.activated(h, circular, 1 + scale, shift)


class TimeAttention(nn.Module):
    """Cross-attention from every pixel to the time tokens."""

    def __init__(self, channels: int, token: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Conv2d(channels, channels, 1)
        self.key_value = nn.Linear(token, 2 * channels)
        self.out = nn.Conv2d(channels, channels, 1)
        start_at_zero(self.out)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """(B, C, H, W), (B, T, token) -> (B, C, H, W)."""
        b, c, h, w = x.shape
        split = (b, self.heads, c // self.heads)
        query = self.query(rms_norm(x)).reshape(*split, h * w)
        key, value = self.key_value(tokens).transpose(1, 2).chunk(2, dim=1)
        scores = torch.einsum("bhcp,bhct->bhpt", query, key.reshape(*split, -1)) / math.sqrt(c // self.heads)
        mixed = torch.einsum("bhpt,bhct->bhcp", scores.softmax(-1), value.reshape(*split, -1))
        return x + self.out(mixed.reshape(b, c, h, w))


class TimeTokens(nn.Module):
    """Fractions of the year and of the day -> three tokens; an unknown (NaN) fraction gives a learned token."""

    HARMONICS = 3

    def __init__(self, token: int) -> None:
        super().__init__()
        self.year = nn.Linear(2 * self.HARMONICS, token)
        self.day = nn.Linear(2 * self.HARMONICS, token)
        self.unknown = nn.Parameter(torch.randn(3, token, device=HERE))

    def forward(self, time: Tensor) -> Tensor:
        """(B, 2) fractions in [0, 1) or NaN -> (B, 3, token)."""
        order = torch.arange(1, self.HARMONICS + 1, device=time.device)
        angle = 2 * math.pi * time[..., None] * order
        waves = torch.cat([angle.sin(), angle.cos()], -1).nan_to_num()
        known = torch.stack([self.year(waves[:, 0]), self.day(waves[:, 1])], 1)
        tokens = torch.where(time.isnan()[..., None], self.unknown[1:].expand_as(known), known)
        return torch.cat([self.unknown[:1].expand(len(time), 1, -1), tokens], 1)


class Level(nn.Module):
    """A run of blocks at one resolution, with time attention after the first where asked for."""

    def __init__(self, channels: int, blocks: int, embedding: int, token: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, embedding) for _ in range(blocks))
        self.attention = TimeAttention(channels, token) if token and blocks else None

    def forward(self, x: Tensor, embedding: Tensor, tokens: Tensor, circular: bool) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        for i, block in enumerate(self.blocks):
            x = block(x, embedding, circular)
            if i == 0 and self.attention is not None:
                x = self.attention(x, tokens)
        return x


class UNet(nn.Module):
    """U-Net over (variables + static) channels; height and width must be multiples of ``stride``."""

    frequencies: Tensor

    def __init__(self, variables: int, config: UNetConfig) -> None:
        super().__init__()
        ch, emb, blocks, depth = config.channels, config.embedding, config.blocks, len(config.channels) - 1
        self.stride, self.variables = 2**depth, variables
        frequencies = torch.linspace(0, math.log(64.0), emb // 4, device=HERE).exp()
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.embed = nn.Sequential(nn.Linear(emb // 2, emb), nn.SiLU(), nn.Linear(emb, emb), nn.SiLU())
        self.absent = nn.Linear(variables, emb, bias=False)
        start_at_zero(self.absent)
        self.tokens = TimeTokens(config.token)
        self.stem = Conv((1 + DETAILS) * variables + len(STATIC_CHANNELS), ch[0])
        self.down = nn.ModuleList(Halve(ch[i], ch[i + 1]) for i in range(depth))
        self.up = nn.ModuleList(nn.Conv2d(ch[i + 1], 4 * ch[i], 1) for i in range(depth))
        self.merge = nn.ModuleList(nn.Conv2d(2 * ch[i], ch[i], 1) for i in range(depth))
        token = [config.token if i >= config.attention_from else 0 for i in range(depth + 1)]
        self.encoder = nn.ModuleList(Level(ch[i], blocks if i else 0, emb, token[i]) for i in range(depth))
        self.middle = Level(ch[depth], blocks + 1, emb, token[depth])
        self.decoder = nn.ModuleList(Level(ch[i], blocks if i else 1, emb, token[i]) for i in range(depth))
        self.out = Conv(ch[0], variables)
        start_at_zero(self.out)

    def forward(
        self, x: Tensor, log_sigma: Tensor, static: Tensor, time: Tensor, known: Tensor, circular: bool = False
    ) -> Tensor:
        """Raw network output.

        Parameters
        ----------
        x
            Scaled noisy field and its bands of detail, (B, (1 + DETAILS) variables, H, W), H and W multiples of ``stride``.
        log_sigma
            Natural logarithm of the noise level, (B,).
        static
            The channels of ``STATIC_CHANNELS``, (B, 4, H, W).
        time
            Fractions of the year and of the day, NaN where unknown, (B, 2).
        known
            1 where a variable is given, 0 where it is absent from the data, (B, variables).
        circular
            True where the width is the whole circle of longitude.
        """
        angle = log_sigma[:, None] * self.frequencies * 0.25
        embedding = self.embed(torch.cat([angle.sin(), angle.cos()], 1)) + self.absent(1 - known)
        tokens = self.tokens(time)
        h = self.stem(torch.cat([x, static], 1), circular)
        skips = []
        for level, down in zip(self.encoder, self.down, strict=True):
            h = level(h, embedding, tokens, circular)
            skips.append(h)
            h = down(h)
        h = self.middle(h, embedding, tokens, circular)
        for i in reversed(range(len(self.up))):
            h = F.pixel_shuffle(self.up[i](h), 2)
            h = self.merge[i](torch.cat([h, skips[i]], 1))
            h = self.decoder[i](h, embedding, tokens, circular)
        return self.out.activated(h, circular)
