r"""Training of the prior: denoising score matching on random patches of the globe.

Loss: :math:`E_{\sigma,n} [ e^{-u_c(\sigma)} \lambda(\sigma) |D(x_0 + \sigma n) - x_0|^2 + u_c(\sigma) ]` with the weight
:math:`\lambda = (\sigma^2 + 1) / \sigma^2` of Karras et al. (2022) and a learned log-variance :math:`u_c(\sigma)` per
variable (Karras et al. 2024, eq. 14), so that noise levels whose error cannot shrink do not drown the others.

All randomness of step k comes from a generator seeded with (seed, k): a resumed run repeats an unbroken one bit for bit.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from zssd_cli.config import TrainConfig
from zssd_cli.errors import ConfigError, WeightsError
from zssd_cli.files import atomic_path
from zssd_cli.prior.checkpoint import mirror_signs, read_safetensors, write_safetensors
from zssd_cli.prior.denoiser import Conditions, Denoiser
from zssd_cli.prior.noise import training_sigmas
from zssd_cli.prior.unet import STATIC_CHANNELS, UNet


@dataclass(frozen=True)
class TrainingField:
    """One time of a reanalysis, standardised, with its static channels.

    Attributes
    ----------
    values
        (C, lat, lon), latitude ascending, standardised; NaN all over where a variable is absent.
    static
        (4, lat, lon), see :data:`zssd_cli.prior.unet.STATIC_CHANNELS`.
    time
        Fractions of the year and of the day, (2,).
    circular
        True where longitude is the whole circle: patches then cross the seam.
    """

    values: Tensor
    static: Tensor
    time: Tensor
    circular: bool


@dataclass(frozen=True)
class TrainingData:
    """Fields of one or several origins and the share of the patches that each gives."""

    parts: tuple[Sequence[TrainingField], ...]
    shares: tuple[float, ...] = (1.0,)

    def draw(self, rng: torch.Generator) -> TrainingField:
        """A field of a random part, every field of it as likely."""
        part = self.parts[int(torch.multinomial(torch.tensor(self.shares), 1, generator=rng))]
        return part[int(torch.randint(len(part), (), generator=rng))]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)


@dataclass(frozen=True)
class Batch:
    """Clean patches (B, C, H, W), their conditions, noise levels (B,), unit noise (B, C, H, W), variables present (B, C)."""

    clean: Tensor
    conditions: Conditions
    sigma: Tensor
    noise: Tensor
    present: Tensor


def sample_batch(data: TrainingData, config: TrainConfig, seed: tuple[int, int]) -> Batch:
    """Patches uniform in area, a function of ``seed`` alone."""
    key = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    rng = torch.Generator().manual_seed(int(key) >> 1)
    size, clean, static, times = config.patch, [], [], []
    for _ in range(config.batch):
        field = data.draw(rng)
        rows, columns = field.values.shape[1:]
        area = field.static[STATIC_CHANNELS.index("cos_latitude")][:, 0].unfold(0, size, 1).mean(-1).clamp(min=1e-3)
        top = int(torch.multinomial(area, 1, generator=rng))
        left = int(torch.randint(columns if field.circular else columns - size + 1, (), generator=rng))
        index = torch.arange(left, left + size) % columns
        x = field.values[:, top : top + size].index_select(2, index)
        s = field.static[:, top : top + size].index_select(2, index)
        if config.mirror and torch.rand((), generator=rng) < 0.5:
            x = x.flip(1) * mirror_signs(config.variables)[:, None, None]
            s = s.flip(1).clone()
            s[STATIC_CHANNELS.index("sin_latitude")] *= -1
        clean.append(x)
        static.append(s)
        times.append(field.time)
    hidden = torch.rand(config.batch, generator=rng) < config.time_dropout
    time_ = torch.stack(times).masked_fill(hidden[:, None], torch.nan)
    x0 = torch.stack(clean)
    present = ~x0[:, :, 0, 0].isnan()
    noise = torch.randn(x0.shape, generator=rng)
    conditions = Conditions(torch.stack(static), time_)
    return Batch(x0.nan_to_num(0.0), conditions, training_sigmas(config.batch, rng), noise, present)


class LogVariance(nn.Module):
    """Learned log-variance of the weighted error per variable and noise level, (B,) -> (B, C)."""

    def __init__(self, variables: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, variables))
        nn.init.zeros_(self.net[2].weight)
        nn.init.zeros_(self.net[2].bias)

    def forward(self, sigma: Tensor) -> Tensor:
        """Log-variance for every noise level and variable."""
        return self.net(sigma.log()[:, None] / 4)


def weighted_error(denoiser: nn.Module, batch: Batch) -> Tensor:
    """Squared error with the weight of Karras et al. (2022), mean over space: (B, C)."""
    noisy = batch.clean + batch.sigma[:, None, None, None] * batch.noise
    answer = denoiser(noisy, batch.sigma, batch.conditions, present=batch.present)
    error = (answer - batch.clean).square().mean((2, 3))
    return error * ((batch.sigma.square() + 1) / batch.sigma.square())[:, None]


class Trainer:
    """The state of one training: network, its moving average, optimiser, step.

    Parameters
    ----------
    config
        Settings.
    data
        A text that names the training data; a state made with another one is not resumed.
    """

    def __init__(self, config: TrainConfig, data: str = "") -> None:
        torch.set_flush_denormal(True)
        torch.manual_seed(config.seed)
        self.config, self.data = config, data
        count = len(config.variables)
        self.denoiser = Denoiser(UNet(count, config.network), time_known=config.time_dropout < 1)
        self.denoiser.to(memory_format=torch.channels_last)
        self.log_variance = LogVariance(count)
        self.ema = AveragedModel(self.denoiser, avg_fn=self._average)
        self.parameters = [*self.denoiser.parameters(), *self.log_variance.parameters()]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.99)
        )
        self.step = 0
        self._compiled = torch.compile(self.denoiser, dynamic=False) if config.compile else self.denoiser

    def set_detail_scales(self, scales: Tensor) -> None:
        """Standard deviation of the clean details (bands, C), see :class:`Denoiser`."""
        for denoiser in (self.denoiser, self.ema.module):
            denoiser.detail_std.copy_(scales)

    def _average(self, average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        """Exponential moving average that forgets the random start: its memory grows with the number of steps."""
        count = float(count)
        return torch.lerp(average, new, 1 - min(self.config.ema, (1 + count) / (10 + count)))

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to 1 percent."""
        done = self.step / self.config.steps
        warm = min(1.0, (self.step + 1) / self.config.warmup)
        return self.config.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(done, 1.0))))

    def train_step(self, data: TrainingData) -> float:
        """One optimiser step; returns the weighted error without the learned variance."""
        batch = sample_batch(data, self.config, (self.config.seed, self.step))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bf16):
            error = weighted_error(self._compiled, batch).float()
        u = self.log_variance(batch.sigma)
        present = batch.present.float()
        loss = ((error / u.exp() + u) * present).sum() / present.sum()
        if not torch.isfinite(loss):
            msg = f"The loss is not finite at step {self.step}. Lower --learning-rate and start anew, or --resume from the last state."
            raise ConfigError(msg)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.optimiser.step()
        self.ema.update_parameters(self.denoiser)
        self.step += 1
        return float((error.detach() * present).sum() / present.sum())

    @torch.inference_mode()
    def validate(self, held_out: TrainingData, batches: int = 8) -> dict[str, float]:
        """Denoising error of the moving average on held-out fields: mean square per noise level, same draws every time."""
        result = {}
        for level in (0.02, 0.1, 0.5, 2.0, 10.0):
            errors = []
            for k in range(batches):
                batch = sample_batch(held_out, self.config, (10**9 + k, 0))
                batch = replace(batch, sigma=torch.full_like(batch.sigma, level))
                errors.append(float(weighted_error(self.ema.module, batch).mean()))
            result[f"{level:g}"] = float(np.mean(errors))
        return result

    def save(self, path: Path) -> None:
        """Write everything that a resumed run needs, atomically."""
        tensors = {f"model.{k}": v for k, v in self.denoiser.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.state_dict().items()}
        tensors |= {f"u.{k}": v for k, v in self.log_variance.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{k}": v for k, v in state.items()}
        meta = {
            "format": "zssd-training-1",
            "step": str(self.step),
            "config": self.config.model_dump_json(),
            "data": self.data,
        }
        with atomic_path(path) as temporary:
            write_safetensors(temporary, tensors, meta)

    def load(self, path: Path) -> None:
        """Continue from :meth:`save`; raises :class:`WeightsError` where the file fits another configuration."""
        tensors, meta = read_safetensors(path)
        if meta.get("format") != "zssd-training-1":
            msg = f"{path}: expected a training state (zssd-training-1), got {meta.get('format')!r}; remove it or drop --resume."
            raise WeightsError(msg)
        ours, theirs = json.loads(self.config.model_dump_json()), json.loads(meta["config"])
        free = ("steps", "checkpoint_minutes", "validate_every")
        changed = sorted(k for k in ours if ours[k] != theirs.get(k) and k not in free)
        if changed:
            msg = f"{path} was made with other settings: {', '.join(changed)}. Use the same settings, or start anew without --resume."
            raise WeightsError(msg)

        if meta.get("data", "") != self.data:
            msg = f"{path} was made with other training files or static fields. Give the same ones, or start anew without --resume."
            raise WeightsError(msg)

        def part(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        self.denoiser.load_state_dict(part("model."))
        self.ema.load_state_dict(part("ema."))
        self.log_variance.load_state_dict(part("u."))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in part("optimiser.").items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        template = self.optimiser.state_dict()
        self.optimiser.load_state_dict({"state": state, "param_groups": template["param_groups"]})
        self.step = int(meta["step"])


@dataclass(frozen=True)
class Progress:
    """What the training reports: step, smoothed loss, patches per second, validation by noise level where just made."""

    step: int
    loss: float
    rate: float
    validation: dict[str, float] | None


def run_training(
    trainer: Trainer,
    data: TrainingData,
    held_out: TrainingData | None,
    state: Path,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Train to ``config.steps`` or until ``stop()``; yields after every step.

    The state is saved every few minutes and however the run ends; a step that fails does so before it changes anything.
    """
    config, smooth, saved = trainer.config, None, time.monotonic()
    try:
        while trainer.step < config.steps and not stop():
            start = time.monotonic()
            loss = trainer.train_step(data)
            rate = config.batch / (time.monotonic() - start)
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
            due = held_out is not None and (trainer.step % config.validate_every == 0 or trainer.step == config.steps)
            yield Progress(trainer.step, smooth, rate, trainer.validate(held_out) if due and held_out else None)
            if time.monotonic() - saved > 60 * config.checkpoint_minutes:
                trainer.save(state)
                saved = time.monotonic()
    finally:
        trainer.save(state)
