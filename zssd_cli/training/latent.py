r"""Training of a latent prior: the autoencoder on random fields, then the diffusion model on its latents.

The diffusion loss is :math:`E_\varphi |F(w_\varphi, \varphi) - (w \sin\varphi - n \cos\varphi)|^2` with :math:`\varphi`
uniform on the quarter circle. Validation tells it relative to what F = 0 has on the same latents, the Gaussian of the whitening:
what is below 1 is structure beyond that. (Latents that the whitening was not measured on have a variance of N / (N - D)
rather than 1, N samples of D numbers, so F = 0 has a loss above 1.)

Fields are drawn when needed and never twice. All randomness of step k comes from a generator seeded with (seed, k), a
bank of latents from one seeded with (seed, number of the bank): a resumed run repeats an unbroken one bit for bit.
"""

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from zssd_cli.inversion.autoencoder import Autoencoder
from zssd_cli.inversion.config import LatentTrainConfig
from zssd_cli.inversion.latent_prior import Flow, LatentPrior, Whitening, measure_texture, new_networks
from zssd_cli.inversion.random_fields import STREAMS, draw_fields, generator, numbered_fields
from zssd_cli.training.state import Resumable, optimiser_tensors, part, prefixed, restore_optimiser

_BATCH, _BANK = 0, 1


class Stage:
    """One network in training: its moving average, its optimiser, its share of the steps.

    Parameters
    ----------
    model
        Network.
    steps
        How many steps it gets.
    config
        Settings of the training.
    """

    def __init__(self, model: nn.Module, steps: int, config: LatentTrainConfig) -> None:
        self.model, self.steps, self.config = model, steps, config
        self.ema = AveragedModel(model, avg_fn=self._average)
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.99)
        )

    def _average(self, average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        """Exponential moving average whose memory grows with the number of steps."""
        done = float(count)
        return torch.lerp(average, new, 1 - min(self.config.ema, (1 + done) / (10 + done)))

    def gradient(self, loss: Tensor) -> Tensor:
        """Back-propagate; returns the gradient's norm before it is clipped."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        return nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)

    def descend(self, step: int) -> None:
        """One optimiser step; linear warm-up, then a cosine to 1 percent."""
        warm = min(1.0, (step + 1) / self.config.warmup)
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1.0)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * warm * cosine
        self.optimiser.step()
        self.ema.update_parameters(self.model)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs."""
        tensors = prefixed(self.model.state_dict(), "model.") | prefixed(self.ema.state_dict(), "ema.")
        return tensors | prefixed(optimiser_tensors(self.optimiser), "optimiser.")

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continue from :meth:`tensors`."""
        self.model.load_state_dict(part(tensors, "model."))
        self.ema.load_state_dict(part(tensors, "ema."))
        restore_optimiser(self.optimiser, part(tensors, "optimiser."))


def _no_flow(w: Tensor, _: Tensor) -> Tensor:
    """F of the Gaussian that the whitening was measured on."""
    return torch.zeros_like(w)


def flow_loss(flow: Callable[[Tensor, Tensor], Tensor], white: Tensor, angle: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of F: whitened latents (B, C, h, w), angles (B,), unit noise -> (B,)."""
    cos, sin = angle.cos()[:, None, None, None], angle.sin()[:, None, None, None]
    return (flow(white * cos + noise * sin, angle) - (white * sin - noise * cos)).square().mean((1, 2, 3))


class LatentTrainer(Resumable):
    """The state of one training.

    Parameters
    ----------
    config
        Settings.
    """

    FORMAT = "zssd-latent-training-1"
    SLOWER = "learning_rate in --config"
    FREE = ("checkpoint_minutes", "validate_every", "chain_steps", "autoencoder_steps", "prior_steps")

    def __init__(self, config: LatentTrainConfig) -> None:
        torch.set_flush_denormal(True)
        torch.manual_seed(config.seed)
        self.config: LatentTrainConfig = config
        binary = config.fields.binary
        autoencoder, flow = new_networks(config.autoencoder, config.network, config.fields.cells, binary=binary)
        self.autoencoder = Stage(autoencoder, config.autoencoder_steps, config)
        self.flow = Stage(flow, config.prior_steps, config)
        self._bank: tuple[int, Tensor, Tensor] | None = None
        self._whitening: Whitening | None = None

    def train_step(self, _batches: None = None) -> float:
        """One optimiser step of the stage that is due, on fields that it draws; returns its loss."""
        rng = generator(STREAMS["training"], self.config.seed, _BATCH, self.step)
        stage = self.autoencoder if self.step < self.config.autoencoder_steps else self.flow
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bf16):
            loss = (self._autoencoder_loss(rng) if stage is self.autoencoder else self._flow_loss(rng)).mean()
        self.check("loss", finite=bool(loss.isfinite()))
        self.check("gradient", finite=bool(stage.gradient(loss).isfinite()))
        stage.descend(self.step if stage is self.autoencoder else self.step - self.config.autoencoder_steps)
        self.step += 1
        return float(loss.detach())

    def _autoencoder_loss(self, rng: torch.Generator) -> Tensor:
        fields = draw_fields(self.config.fields, self.config.batch, rng)
        return self.autoencoder.model.loss(fields, rng)  # type: ignore[operator]

    def _flow_loss(self, rng: torch.Generator) -> Tensor:
        mean, deviation = self._latents((self.step - self.config.autoencoder_steps) // self.config.bank_steps)
        count = self.config.prior_batch
        pick = torch.randint(len(mean), (count,), generator=rng)
        latents = mean[pick] + deviation[pick] * torch.randn(count, *mean.shape[1:], generator=rng)
        angle = 0.5 * math.pi * torch.rand(count, generator=rng)
        noise = torch.randn(latents.shape, generator=rng)
        return flow_loss(self.flow.model, self.whitening.whiten(latents), angle, noise)

    @property
    def whitening(self) -> Whitening:
        """Measured on the first bank once the autoencoder is done."""
        if self._whitening is None:
            mean, deviation = self._latents(0)
            rng = generator(STREAMS["training"], self.config.seed, _BANK)
            self._whitening = Whitening.of(mean + deviation * torch.randn(mean.shape, generator=rng))
        return self._whitening

    def _latents(self, number: int) -> tuple[Tensor, Tensor]:
        """One bank; the last one is kept."""
        if self._bank is None or self._bank[0] != number:
            self._bank = (number, *self._encode_bank(number))
        return self._bank[1:]

    def _averaged(self) -> Autoencoder:
        """The moving average of the autoencoder, for use."""
        return cast("Autoencoder", self.autoencoder.ema.module.eval())

    @torch.no_grad()
    def _encode_bank(self, number: int) -> tuple[Tensor, Tensor]:
        """Means and standard deviations of the latents of fresh fields, two (bank, C, h, w)."""
        rng = generator(STREAMS["training"], self.config.seed, _BANK, number)
        parts = []
        for start in range(0, self.config.bank, 64):
            fields = draw_fields(self.config.fields, min(64, self.config.bank - start), rng)
            mean, log_variance = self._averaged().encoder(fields[:, None])
            parts.append((mean, (0.5 * log_variance).exp()))
        return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])

    @torch.no_grad()
    def validate(self, numbers: Sequence[int]) -> dict[str, float]:
        """Errors of the moving averages on held-out fields, the same draws every time."""
        fields, rng = numbered_fields(self.config.fields, "held-out", numbers), generator(STREAMS["held-out"])
        model = self._averaged()
        latents = sample_latents(model, fields, rng)
        decoded, _ = model.decode(latents)
        result = {"bound": float(model.loss(fields, rng).mean())}
        if model.binary:
            result["misclassified"] = float(((decoded > 0) != (fields > 0)).float().mean())
        else:
            result["relative L2"] = float(relative_l2(decoded, fields))
        if self.step > self.config.autoencoder_steps:
            white = self.whitening.whiten(latents).repeat(4, 1, 1, 1)
            for share in (0.25, 0.5, 0.75):
                angle = torch.full((len(white),), 0.5 * math.pi * share)
                noise = torch.randn(white.shape, generator=rng)
                ours, none = (flow_loss(flow, white, angle, noise).mean() for flow in (self.flow.ema.module, _no_flow))
                result[f"F {share:g}"] = float(ours / none)
        return result

    @torch.no_grad()
    def prior(self) -> LatentPrior:
        """The prior as trained so far; the texture is measured on fields of its own."""
        model = self._averaged().requires_grad_(False)
        flow = self.flow.ema.module.eval().requires_grad_(False)
        texture, side = None, self.config.fields.cells
        if not model.binary:
            rng = generator(STREAMS["training"], self.config.seed, _BANK, 10**9)
            fields = torch.cat([draw_fields(self.config.fields, 64, rng) for _ in range(16)])
            decoded, log_variance = model.decode(sample_latents(model, fields, rng))
            texture = measure_texture(fields - decoded, log_variance)
        assert isinstance(flow, Flow)  # noqa: S101 - for the type checker
        return LatentPrior(model, flow, self.whitening, texture, side, self.config.chain_steps)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs."""
        return prefixed(self.autoencoder.tensors(), "autoencoder.") | prefixed(self.flow.tensors(), "flow.")

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continue from :meth:`tensors`."""
        self.autoencoder.restore(part(tensors, "autoencoder."))
        self.flow.restore(part(tensors, "flow."))
        self._bank = self._whitening = None


def sample_latents(autoencoder: Autoencoder, fields: Tensor, rng: torch.Generator) -> Tensor:
    """Latents of fields (B, H, W) with the encoder's noise, (B, C, h, w)."""
    mean, log_variance = autoencoder.encoder(fields[:, None])
    return mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=rng)


def relative_l2(estimate: Tensor, truth: Tensor) -> Tensor:
    """Mean over fields (B, H, W) of the norm of the error over the norm of the truth."""
    return ((estimate - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)).mean()
