"""What ``zssd train`` does after its options are parsed: check the data, train, measure covariances, write the prior."""

import hashlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zssd_cli.config import TrainConfig
from zssd_cli.errors import ConfigError, OutputError
from zssd_cli.fields.calendar import format_time
from zssd_cli.fields.reading import Source, open_source
from zssd_cli.fields.static import load_static
from zssd_cli.grids.latlon import describe_centres
from zssd_cli.prior.checkpoint import Prior, PriorHeader, mirror_signs, save_prior
from zssd_cli.prior.data import SourceFields, check_training_source, global_rows, lag_covariances, statistics
from zssd_cli.prior.training import Trainer, run_training
from zssd_cli.variables import lookup


def read_settings(path: Path | None, flags: dict[str, Any]) -> TrainConfig:
    """Settings of a YAML file, overridden by flags; unknown keys and bad values are one-line errors."""
    settings: dict[str, Any] = {}
    if path is not None:
        try:
            settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            msg = f"--config {path} cannot be read: {reason}. Expected YAML with keys such as steps: 5000."
            raise ConfigError(msg) from error
        if not isinstance(settings, dict):
            msg = f"--config {path}: expected keys and values, got {type(settings).__name__}."
            raise ConfigError(msg)
    try:
        config = TrainConfig.model_validate({**settings, **flags})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        msg = f"Training setting {key}: {first['msg']}, got {first['input']!r}. Known: {', '.join(TrainConfig.model_fields)}."
        raise ConfigError(msg) from error
    names = tuple(dict.fromkeys(lookup(name.strip()).name for name in config.variables))
    return config.model_copy(update={"variables": names})


def execute(
    inputs: tuple[str, ...],
    held_out: tuple[str, ...],
    static_file: Path | None,
    output: Path,
    config: TrainConfig,
    *,
    resume: bool,
    overwrite: bool,
) -> None:
    """Train a prior from open files to the last line on screen."""
    console = Console(stderr=True)
    if not output.parent.is_dir():
        msg = f"Cannot write {output}: the folder {output.parent} does not exist."
        raise OutputError(msg)
    if output.exists() and not overwrite:
        msg = f"{output} exists. Choose another name with -o, or pass --overwrite."
        raise OutputError(msg)
    state = output.with_name(output.name + ".state")
    if state.exists() and not resume and not overwrite:
        msg = f"{state} holds an earlier training. Pass --resume to go on, or --overwrite to start anew."
        raise OutputError(msg)
    static = load_static(static_file)
    sources = [open_source(files, config.variables) for files in (inputs, held_out) if files]
    for source in sources:
        check_training_source(source, config.variables, config.patch)
    mean, std, zonal = statistics(sources[0])
    fields = [SourceFields(source, static, mean, std) for source in sources]
    trainer = Trainer(config, data_name(sources[0], static.sha256))
    if resume and state.exists():
        trainer.load(state)
    parameters = sum(p.numel() for p in trainer.denoiser.parameters())
    console.print(
        f"Training   {len(fields[0])} fields, {len(fields[1]) if held_out else 0} held out; {parameters / 1e6:.1f} million parameters, "
        f"step {trainer.step} of {config.steps}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    if not _train(console, trainer, fields, state):
        console.print(f"Stopped    at step {trainer.step}; the same command with --resume goes on", soft_wrap=True)
        raise SystemExit(130)
    console.print("Measuring climatological covariances ...")
    lags = torch.as_tensor(lag_covariances(sources[0], mirror_signs(config.variables).numpy()))
    header = PriorHeader(
        variables=config.variables,
        network=config.network,
        time_known=config.time_dropout < 1,
        static_sha256=static.sha256,
        training=training_record(sources, config, trainer.step),
    )
    scales = (torch.as_tensor(s, dtype=torch.float32) for s in (mean, std))
    rows = global_rows((zonal[..., 0] - mean[:, None]) / std[:, None], sources[0].grid.lat)
    save_prior(output, Prior(trainer.ema.module, *scales, rows, lags, header))
    console.print(f"Wrote      {output}; the state to go on from stays in {state}", highlight=False, soft_wrap=True)


def data_name(source: Source, static_sha256: str) -> str:
    """A hash of what the network's scales and conditions hang on: grid, times and static fields."""
    parts = [static_sha256, describe_centres(source.grid), *(format_time(t) for t in source.times)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def training_record(sources: list[Source], config: TrainConfig, steps: int) -> dict[str, Any]:
    """What the header says about the training."""
    roles = ("trained_on", "held_out")
    record: dict[str, Any] = {"steps": steps, "settings": config.model_dump(mode="json")}
    for role, source in zip(roles, sources, strict=False):
        times = [format_time(t) for t in source.times]
        record[role] = {
            "files": source.attributes.get("source_files", ""),
            "title": source.attributes.get("title", ""),
            "times": times if len(times) <= 20 else [times[0], "...", times[-1]],
            "count": len(times),
        }
    return record


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Ctrl-C, SIGTERM and SIGUSR1 (Slurm's warning) ask for a stop after the current step."""
    asked: list[int] = []
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.signal(name, lambda number, _: asked.append(number)) for name in names]
    try:
        yield lambda: bool(asked)
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)


def _train(console: Console, trainer: Trainer, fields: list[SourceFields], state: Path) -> bool:
    """Train with a progress bar; False where a signal ended it early."""
    columns = (
        TextColumn("Step"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.4f}"),
        TextColumn("{task.fields[rate]:.1f} patches/s"), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress, stop_signals() as stop:
        task = progress.add_task("", total=trainer.config.steps, completed=trainer.step, loss=float("nan"), rate=0.0)
        held_out = fields[1] if len(fields) > 1 else []
        for now in run_training(trainer, fields[0], held_out, state, stop):
            progress.update(task, completed=now.step, loss=now.loss, rate=now.rate)
            if now.validation:
                levels = "  ".join(f"{level}: {value:.4f}" for level, value in now.validation.items())
                console.print(
                    f"step {now.step}  held-out error by noise level  {levels}", highlight=False, soft_wrap=True
                )
    return trainer.step >= trainer.config.steps
