"""Baseline: a physics-embedded variational autoencoder, small.

The encoder reads the heads at the sensors and gives a Gaussian in a latent of 32 numbers, the decoder a field; the loss is the
reconstruction of the field, the divergence from the standard normal, and the misfit of the heads that the flow solver computes
from the decoded field. Once trained (on draws of the field family, never on held-out ones) an inversion is one call.
"""

import torch
import torch.nn.functional as F
from bed import CELLS, DROP, Bed, Estimate
from torch import Tensor, nn

from zssd_cli.inversion.random_fields import draw_fields, generator

LATENT, BATCH, DIVERGENCE, PHYSICS = 32, 16, 0.02, 0.01


class Autoencoder(nn.Module):
    """Heads (B, S) -> latent -> field (B, n, n)."""

    def __init__(self, sensors: int, *, bounded: bool) -> None:
        super().__init__()
        self.bounded = bounded
        self.encoder = nn.Sequential(
            nn.Linear(sensors, 256), nn.SiLU(), nn.Linear(256, 128), nn.SiLU(), nn.Linear(128, 2 * LATENT)
        )
        self.first = nn.Sequential(nn.Linear(LATENT, 256), nn.SiLU(), nn.Linear(256, 24 * 8 * 8), nn.SiLU())
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(24, 16, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(16, 12, 4, 2, 1), nn.SiLU(),
            nn.ConvTranspose2d(12, 1, 4, 2, 1),
        )  # fmt: skip

    def encode(self, heads: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latent."""
        mean, log_variance = self.encoder(heads).chunk(2, 1)
        return mean, log_variance.clamp(-8, 2)

    def decode(self, z: Tensor) -> Tensor:
        """Field of a latent."""
        u = self.decoder(self.first(z).view(-1, 24, 8, 8))[:, 0]
        return torch.tanh(u) if self.bounded else u


def invert_by_pe_vae(bed: Bed, data: Tensor, error: Tensor, init: int, steps: int) -> Estimate:
    """Train for the sensors and the noise of the bed from weights that ``init`` decides, then read (P, S) data."""
    torch.manual_seed(init)
    rng = generator(8, init)
    network = Autoencoder(bed.sensors, bounded=bed.kind == "bimaterial")
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.1)
    noise = float(error.mean())
    with torch.no_grad():
        plain = bed.forward(torch.zeros(1, CELLS, CELLS))
    for _ in range(steps):
        fields = draw_fields(bed.config, BATCH, rng)
        with torch.no_grad():
            heads = bed.forward(fields)
        heads = heads + noise * torch.randn(heads.shape, generator=rng)
        mean, log_variance = network.encode((heads - plain) / (0.1 * DROP))
        z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=rng)
        found = network.decode(z)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / LATENT
        # the misfit in errors grows without bound for a network that is still blind
        physics = F.smooth_l1_loss((bed.forward(found) - heads) / noise, torch.zeros_like(heads))
        loss = F.mse_loss(found, fields) + DIVERGENCE * divergence + PHYSICS * physics
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        mean, _ = network.encode((data - plain) / (0.1 * DROP))
        return Estimate(network.decode(mean), 2 * steps * BATCH)
