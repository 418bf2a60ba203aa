"""What ``zssd train`` does for a configuration with ``kind: latent``: no data but random fields, two stages, one file."""

from pathlib import Path
from typing import Any

from rich.console import Console

from zssd_cli.commands.shared import named_files
from zssd_cli.commands.train_report import progress_bar, report_console
from zssd_cli.commands.train_settings import validated
from zssd_cli.commands.train_shared import check_name, check_output, leave_stopped, state_of, stop_signals
from zssd_cli.errors import ConfigError
from zssd_cli.inversion.checkpoint import LatentHeader, save_latent_prior
from zssd_cli.inversion.config import LatentTrainConfig
from zssd_cli.locks import alone
from zssd_cli.settings_file import read_settings_file
from zssd_cli.training.latent import LatentTrainer
from zssd_cli.training.loop import run_training

HELD_OUT = range(128)
"""Held-out fields by whose error the training is watched."""


def read_latent(path: Path | None) -> dict[str, Any] | None:
    """Settings of a YAML file that says ``kind: latent``; None for any other, which is not looked at further."""
    try:
        settings = {} if path is None else read_settings_file(path, "--config", "steps: 5000")
    except ConfigError:
        return None
    return settings if settings.get("kind") == "latent" else None


def execute(
    settings: dict[str, Any], given: dict[str, Any], output: Path, file: Path | None, *, resume: bool, overwrite: bool
) -> None:
    """Train a latent prior; ``given`` are the other options of the command, of which only a seed counts; ``file`` held the settings."""
    useless = [name for name, value in given.items() if value and name != "seed"]
    if useless:
        msg = f"A training with kind: latent draws its own fields; got {', '.join(useless)}. Leave it out, or set it in --config."
        raise ConfigError(msg)
    seed = given.get("seed")
    config = validated(LatentTrainConfig, settings if seed is None else {**settings, "seed": seed})
    check_name(output)
    with alone(output):
        check_output(output, lambda: named_files(file), resume=resume, overwrite=overwrite)
        _run(config, output, resume=resume)


def _run(config: LatentTrainConfig, output: Path, *, resume: bool) -> None:
    """Train, from the state where there is one to go on from, and write the prior."""
    console, trainer, state = report_console(quiet=False), LatentTrainer(config), state_of(output)
    if resume and state.exists():
        trainer.load(state)
    sizes = [sum(p.numel() for p in stage.model.parameters()) / 1e6 for stage in (trainer.autoencoder, trainer.flow)]
    console.print(
        f"Training   {config.fields.kind} fields of {config.fields.cells} x {config.fields.cells}; autoencoder {sizes[0]:.2f}, "
        f"diffusion {sizes[1]:.2f} million parameters, step {trainer.step} of {config.steps}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    stopped = _train(console, trainer, state)
    if stopped:
        leave_stopped(console, trainer.step, stopped)
    header = LatentHeader(
        variables=("log_conductivity",),
        fields=config.fields,
        autoencoder=config.autoencoder,
        network=config.network,
        chain_steps=config.chain_steps,
        training={"settings": config.model_dump(mode="json"), "held_out": trainer.validate(HELD_OUT)},
    )
    save_latent_prior(output, trainer.prior(), header)
    console.print(f"Wrote      {output}; the state to go on from stays in {state}", highlight=False, soft_wrap=True)


def _train(console: Console, trainer: LatentTrainer, state: Path) -> int:
    """Train with a progress bar; the number of the signal that ended it early, else 0."""
    with progress_bar(console, rate=False) as progress, stop_signals() as stop:
        task = progress.add_task("", total=trainer.config.steps, completed=trainer.step, loss=float("nan"))
        for now in run_training(trainer, None, HELD_OUT, state, stop):
            progress.update(task, completed=now.step, loss=now.loss)
            if now.validation:
                errors = "  ".join(f"{name}: {value:.4f}" for name, value in now.validation.items())
                console.print(f"step {now.step}  held-out  {errors}", highlight=False, soft_wrap=True)
        return stop() if trainer.step < trainer.config.steps else 0
