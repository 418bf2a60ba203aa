"""What ``zssd train`` does after its options are parsed: check the data, train, measure covariances, write the prior."""

import hashlib
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
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
from zssd_cli.fields.reading import open_source
from zssd_cli.fields.static import load_static
from zssd_cli.grids.latlon import describe_centres
from zssd_cli.prior.checkpoint import Prior, PriorHeader, mirror_signs, save_prior
from zssd_cli.prior.data import Part, SourceFields, check_training_source, climatology, scales
from zssd_cli.prior.training import Trainer, TrainingData, run_training
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
    parts, validation = open_parts(inputs, held_out, config)
    known = scales(parts[0])
    data = TrainingData(tuple(SourceFields(part, static, known) for part in parts), tuple(part.share for part in parts))
    checks = TrainingData((SourceFields(validation, static, known),)) if validation else None
    trainer = Trainer(config, data_name(parts, static.sha256))
    trainer.set_detail_scales(torch.as_tensor(known.detail_std, dtype=torch.float32))
    if resume and state.exists():
        trainer.load(state)
    parameters = sum(p.numel() for p in trainer.denoiser.parameters())
    console.print(
        f"Training   {len(data)} fields, {len(checks) if checks else 0} held out; {parameters / 1e6:.1f} million parameters, "
        f"step {trainer.step} of {config.steps}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    if not _train(console, trainer, data, checks, state):
        console.print(f"Stopped    at step {trainer.step}; the same command with --resume goes on", soft_wrap=True)
        raise SystemExit(130)
    console.print("Measuring climatological covariances ...")
    climate = climatology(parts, known, mirror_signs(config.variables).numpy())
    header = PriorHeader(
        variables=config.variables,
        network=config.network,
        time_known=config.time_dropout < 1,
        static_sha256=static.sha256,
        training=training_record(parts, validation, config, trainer.step),
    )
    tensors = (torch.as_tensor(a, dtype=torch.float32) for a in (known.mean, known.std, climate.zonal, climate.lags))
    save_prior(output, Prior(trainer.ema.module, *tensors, header))
    console.print(f"Wrote      {output}; the state to go on from stays in {state}", highlight=False, soft_wrap=True)


def open_parts(
    inputs: tuple[str, ...], held_out: tuple[str, ...], config: TrainConfig
) -> tuple[tuple[Part, ...], Part | None]:
    """The main training files and the further ones of the configuration; the held-out files, filtered as the main ones."""

    def opened(files: tuple[str, ...], **options: Any) -> Part:
        source = open_source(files, config.variables, allow_no_time=True)
        check_training_source(source, config.variables, config.patch, partial="share" in options)
        return Part(source, config.variables, **options)

    rest = 1 - sum(more.share for more in config.more)
    if rest <= 0:
        msg = f"The shares of `more` add up to {1 - rest:g}; expected less than 1, the rest is the main files'. Make them smaller."
        raise ConfigError(msg)
    main = replace(opened(inputs, lowpass_km=config.lowpass_km), share=rest)
    more = [opened(m.files, smooth=m.smooth, lowpass_km=m.lowpass_km, share=m.share) for m in config.more]
    return (main, *more), opened(held_out, lowpass_km=config.lowpass_km) if held_out else None


def data_name(parts: tuple[Part, ...], static_sha256: str) -> str:
    """A hash of what the network's scales and conditions hang on: grids, times and static fields."""
    lines = [static_sha256]
    for part in parts:
        lines += [describe_centres(part.source.grid), *(format_time(t) for t in part.source.times)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def training_record(parts: tuple[Part, ...], held_out: Part | None, config: TrainConfig, steps: int) -> dict[str, Any]:
    """What the header says about the training."""
    record: dict[str, Any] = {"steps": steps, "settings": config.model_dump(mode="json")}
    record["trained_on"] = [_part_record(part) for part in parts]
    if held_out is not None:
        record["held_out"] = _part_record(held_out)
    return record


def _part_record(part: Part) -> dict[str, Any]:
    times = [format_time(t) for t in part.source.times]
    return {
        "files": part.source.attributes.get("source_files", ""),
        "title": part.source.attributes.get("title", ""),
        "variables": [name for name in part.source.variables if name not in part.smooth],
        "lowpass_km": part.lowpass_km,
        "times": times if len(times) <= 20 else [times[0], "...", times[-1]],
        "count": len(times),
    }


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


def _train(console: Console, trainer: Trainer, data: TrainingData, held_out: TrainingData | None, state: Path) -> bool:
    """Train with a progress bar; False where a signal ended it early."""
    columns = (
        TextColumn("Step"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.4f}"),
        TextColumn("{task.fields[rate]:.1f} patches/s"), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress, stop_signals() as stop:
        task = progress.add_task("", total=trainer.config.steps, completed=trainer.step, loss=float("nan"), rate=0.0)
        for now in run_training(trainer, data, held_out, state, stop):
            progress.update(task, completed=now.step, loss=now.loss, rate=now.rate)
            if now.validation:
                levels = "  ".join(f"{level}: {value:.4f}" for level, value in now.validation.items())
                console.print(
                    f"step {now.step}  held-out error by noise level  {levels}", highlight=False, soft_wrap=True
                )
    return trainer.step >= trainer.config.steps
