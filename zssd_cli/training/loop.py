r"""Training of the prior: denoising score matching on random patches of the globe.

Loss: :math:`E_{\sigma,n} [ e^{-u_c(\sigma)} \lambda(\sigma) |D(x_0 + \sigma n) - x_0|^2 + u_c(\sigma) ]` with the weight
:math:`\lambda = (\sigma^2 + 1) / \sigma^2` of Karras et al. (2022) and a learned log-variance :math:`u_c(\sigma)` per
variable (Karras et al. 2024, eq. 14), so that noise levels whose error cannot shrink do not drown the others.

All randomness of step k comes from a generator seeded with (seed, k): a resumed run repeats an unbroken one bit for bit.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from zssd_cli.config import TrainConfig
from zssd_cli.errors import Diverged
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.prior.denoiser import Denoiser
from zssd_cli.prior.unet import UNet
from zssd_cli.training.batches import Batch, Batches, PatchSampler, TrainingData
from zssd_cli.training.distributed import World
from zssd_cli.training.state import Resumable, optimiser_tensors, part, prefixed, restore_optimiser

LEVELS = (0.02, 0.1, 0.5, 2.0, 10.0)
"""Noise levels of the validation."""
COARSE_LEVELS = (2.0, 8.0, 32.0, 100.0)
"""The same for means of several cells, as those of the fine field; those that are learned."""
VALIDATION_SEED = 10**9


class LogVariance(nn.Module):
    """Learned log-variance of the weighted error per variable and noise level, (B,) -> (B, C)."""

    def __init__(self, variables: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, variables))
        for parameter in self.net[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, sigma: Tensor) -> Tensor:
        """Log-variance for every noise level and variable."""
        return self.net(sigma.log()[:, None] / 4)


def weighted_error(denoiser: nn.Module, batch: Batch) -> Tensor:
    """Squared error with the weight of Karras et al. (2022), mean over space: (B, C)."""
    noisy = batch.clean + batch.sigma[:, None, None, None] * batch.noise
    answer = denoiser(noisy, batch.sigma, batch.conditions, present=batch.present)
    error = (answer - batch.clean).square().mean((2, 3))
    return error * ((batch.sigma.square() + 1) / batch.sigma.square())[:, None]


class DenoisingLoss(nn.Module):
    """Denoiser and learned log-variance as the one module whose gradients the processes of a training share."""

    def __init__(self, denoiser: nn.Module, log_variance: LogVariance, bf16: bool) -> None:
        super().__init__()
        self.denoiser, self.log_variance, self.bf16 = denoiser, log_variance, bf16

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss, summed over the variables present of all patches, and the weighted errors (B, C), 0 where absent."""
        with torch.autocast(batch.clean.device.type, torch.bfloat16, enabled=self.bf16):
            error = weighted_error(self.denoiser, batch).float()
        u = self.log_variance(batch.sigma)
        present = batch.present.float()
        return ((error / u.exp() + u) * present).sum(), (error * present).detach()


class Trainer(Resumable):
    """The state of one training: network, its moving average, optimiser, step.

    Parameters
    ----------
    config
        Settings.
    data
        A text that names the training data; a state made with another one is not resumed.
    world
        The processes that train together; each must be given its slice of the batches.

    Attributes
    ----------
    losses
        Weighted error of the last step per variable present, over all processes.
    """

    FORMAT = "zssd-training-1"
    SLOWER = "--learning-rate"
    FREE = ("steps", "checkpoint_minutes", "validate_every", "log_every", "max_missing", "any_frequency")

    def __init__(self, config: TrainConfig, data: str = "", world: World | None = None) -> None:
        torch.set_flush_denormal(True)
        torch.manual_seed(config.seed)
        self.config: TrainConfig = config
        self.data, self.world = data, world or World()
        device, count = self.world.device, len(config.variables)
        self.denoiser = Denoiser(UNet(count, config.network), time_known=config.time_dropout < 1)
        self.denoiser.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.log_variance = LogVariance(count).to(device)
        self.ema = AveragedModel(self.denoiser, avg_fn=self._average)
        self.parameters = [*self.denoiser.parameters(), *self.log_variance.parameters()]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.99)
        )
        self.step = 0
        self.losses: dict[str, float] = {}
        denoiser: nn.Module = self.denoiser
        if config.compile:
            denoiser = cast("nn.Module", torch.compile(self.denoiser, dynamic=False))
        self._objective: nn.Module = DenoisingLoss(denoiser, self.log_variance, config.bf16)
        if self.world.size > 1:
            self._objective = DistributedDataParallel(self._objective)

    @property
    def average(self) -> Denoiser:
        """The moving average, which is what a prior is made of."""
        return cast("Denoiser", self.ema.module)

    def start_from(self, prior: Prior) -> None:
        """Begin with the weights and detail scales of a trained prior; the network for high noise with those of one of its kind, if any."""
        config, start = self.config, prior.denoiser
        if prior.coarse is not None and prior.coarse.header.factor == config.coarse:
            start = prior.coarse.denoiser
        for denoiser in (self.denoiser, self.average):
            denoiser.network.load_state_dict(start.network.state_dict())
        self.set_detail_scales(start.detail_std)

    def set_detail_scales(self, scales: Tensor) -> None:
        """Standard deviation of the clean details (bands, C), see :class:`Denoiser`."""
        for denoiser in (self.denoiser, self.average):
            denoiser.detail_std.copy_(scales)

    def _average(self, average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        """Exponential moving average that forgets the random start: its memory grows with the number of steps."""
        return torch.lerp(average, new, 1 - min(self.config.ema, (1 + self.step) / (10 + self.step)))

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to 1 percent."""
        done = self.step / self.config.steps
        warm = min(1.0, (self.step + 1) / self.config.warmup)
        return self.config.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(done, 1.0))))

    def train_step(self, batches: Batches) -> float:
        """One optimiser step; returns the weighted error without the learned variance."""
        batch = batches.batch(self.step).to(self.world.device)
        total, error = self._objective(batch)
        sums = torch.stack([error.sum(0), batch.present.sum(0).float(), total.detach().expand(error.shape[1])])
        errors, counts, (summed, *_) = self.world.total(sums).tolist()
        self.check("loss", finite=bool(np.isfinite(summed)))
        self.optimiser.zero_grad(set_to_none=True)
        # gradients are averaged over the processes: with the count of all patches that is the gradient of the whole batch
        (total * (self.world.size / sum(counts))).backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        self.check("gradient", finite=bool(norm.isfinite()))
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.optimiser.step()
        self.ema.update_parameters(self.denoiser)
        self.step += 1
        named = zip(self.config.variables, errors, counts, strict=True)
        self.losses = {name: value / count for name, value, count in named if count}
        return sum(errors) / sum(counts)

    @torch.inference_mode()
    def validate(self, held_out: TrainingData, batches: int = 8) -> dict[str, float]:
        """Denoising error of the moving average on held-out fields: mean square per noise level, same draws every time."""
        # the moving average needs no large batch, and what fits the training need not fit beside it
        config = self.config.model_copy(update={"batch": min(self.config.batch, 16)})
        sampler, kind = PatchSampler(held_out, config, VALIDATION_SEED), self.world.device.type
        levels = LEVELS if config.coarse == 1 else tuple(n for n in COARSE_LEVELS if n >= config.coarse_learned)
        errors: dict[str, list[float]] = {f"{level:g}": [] for level in levels}
        for k in range(batches):
            batch = sampler.batch(k).to(self.world.device)
            for level in levels:
                noisy = replace(batch, sigma=torch.full_like(batch.sigma, level / config.coarse))
                with torch.autocast(kind, torch.bfloat16, enabled=config.bf16):
                    error = weighted_error(self.average, noisy).float()
                errors[f"{level:g}"].append(float(error[batch.present].mean()))
        return {level: float(np.mean(values)) for level, values in errors.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs."""
        return {
            **prefixed(self.denoiser.state_dict(), "model."),
            **prefixed(self.ema.state_dict(), "ema."),
            **prefixed(self.log_variance.state_dict(), "u."),
            **prefixed(optimiser_tensors(self.optimiser), "optimiser."),
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continue from :meth:`tensors`."""
        self.denoiser.load_state_dict(part(tensors, "model."))
        self.ema.load_state_dict(part(tensors, "ema."))
        self.log_variance.load_state_dict(part(tensors, "u."))
        restore_optimiser(self.optimiser, part(tensors, "optimiser."))


@dataclass(frozen=True)
class StepReport:
    """What the training reports: step, smoothed loss, patches per second, validation by noise level where just made, last loss."""

    step: int
    loss: float
    rate: float
    validation: dict[str, float] | None
    last: float = float("nan")


Given = TypeVar("Given", contravariant=True)
Held = TypeVar("Held", contravariant=True)


class Trainable(Protocol[Given, Held]):
    """What the loop asks of a training; ``config`` has steps, batch, validate_every and checkpoint_minutes."""

    config: Any
    step: int

    def train_step(self, batches: Given, /) -> float:
        """One optimiser step; returns the loss. One that fails does so before it changes anything."""
        ...

    def validate(self, held_out: Held, /) -> dict[str, float]:
        """Errors on what is held out, by name."""
        ...

    def save(self, path: Path) -> None:
        """Write the state."""
        ...


def run_training(
    trainer: Trainable[Given, Held],
    batches: Given,
    held_out: Held | None,
    state: Path,
    stop: Callable[[], int] = lambda: False,
    *,
    first: bool = True,
) -> Iterator[StepReport]:
    """Train to ``config.steps`` or until ``stop()``; yields after every step.

    The state is saved every few minutes and however the run ends, unless it diverged; a step that fails does so before it
    changes anything.
    Of several processes only the ``first`` validates and saves.
    """
    config, smooth, saved = trainer.config, None, time.monotonic()
    try:
        while trainer.step < config.steps and not stop():
            start = time.monotonic()
            loss = trainer.train_step(batches)
            rate = config.batch / (time.monotonic() - start)
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
            due = first and (trainer.step % config.validate_every == 0 or trainer.step == config.steps)
            yield StepReport(trainer.step, smooth, rate, trainer.validate(held_out) if due and held_out else None, loss)
            if first and time.monotonic() - saved > 60 * config.checkpoint_minutes:
                trainer.save(state)
                saved = time.monotonic()
    except Diverged:
        first = False
        raise
    finally:
        if first:
            trainer.save(state)
