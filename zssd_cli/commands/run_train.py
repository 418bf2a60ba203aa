"""What ``zssd train`` does after its options are parsed: check the data, train, measure covariances, write the prior."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from zssd_cli.commands.train_checks import Checks, is_finished, read_all, refuse_means, say_left_out
from zssd_cli.commands.train_material import (
    Material,
    Start,
    data_name,
    large_enough,
    named_parts,
    open_parts,
    training_record,
)
from zssd_cli.commands.train_report import TrainingLog, data_table, estimate, progress_bar, report_console
from zssd_cli.commands.train_shared import check_name, check_output, leave_stopped, state_of, stop_signals
from zssd_cli.config import TrainConfig
from zssd_cli.errors import ConfigError, OutputError
from zssd_cli.locks import alone
from zssd_cli.prior.checkpoint import Prior, PriorHeader, load_prior, mirror_signs, save_prior
from zssd_cli.prior.coarse import CoarseHeader
from zssd_cli.prior.registry import locate
from zssd_cli.series.coverage import check_first_fields, coverage, refuse_lacking
from zssd_cli.series.listing import expand
from zssd_cli.static import load_static
from zssd_cli.times import format_time
from zssd_cli.training.batches import Ahead, Batches, PatchSampler
from zssd_cli.training.data import (
    Part,
    Scales,
    check_training_source,
    check_variables,
    climatology,
    holders,
    scales,
)
from zssd_cli.training.distributed import World, joined
from zssd_cli.training.loop import Trainer, run_training
from zssd_cli.training.pack import pack_among


@dataclass(frozen=True)
class TrainFiles:
    """What a training reads and writes.

    Attributes
    ----------
    inputs, held_out
        Reanalysis to train on and to validate with.
    static
        Static fields; None: the built-in ones.
    output
        The prior to write; beside it lies the state to go on from.
    log
        JSON lines; None: ``output`` with the ending ``.log.jsonl``.
    start
        The prior to start from.
    read
        Further files that are read: configuration, static fields, prior.
    """

    inputs: tuple[str | Path, ...]
    held_out: tuple[str | Path, ...]
    static: Path | None
    output: Path
    log: Path | None = None
    start: Start | None = None
    read: tuple[Path, ...] = ()

    @property
    def state(self) -> Path:
        """The state to go on from."""
        return state_of(self.output)

    @property
    def log_file(self) -> Path:
        """Where the log goes."""
        return self.log or self.output.with_name(self.output.name + ".log.jsonl")


def load_start(name: str | None) -> Start | None:
    """The prior to start from, by name or file."""
    if name is None:
        return None
    path, sha256 = locate(name)
    return Start(load_prior(path), sha256)


def execute(
    files: TrainFiles,
    config: TrainConfig,
    checks: Checks,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Train a prior from open files to the last line on screen, together with the other processes of ``torchrun``."""
    with joined() as world, ExitStack() as stack:
        console = report_console(quiet=not world.first)
        if config.batch % world.size:
            msg = f"--batch {config.batch} is shared by {world.size} processes; expected a multiple of {world.size}."
            raise ConfigError(msg)
        check_name(files.output)
        if (
            resume
            and not (overwrite or checks.dry_run)
            and world.shared(lambda: is_finished(files.output, config, files.start.sha256 if files.start else None))
        ):
            console.print(
                f"Finished   {files.output} is the prior of this training; nothing is left to do", soft_wrap=True
            )
            return
        if not checks.dry_run:
            world.shared(lambda: stack.enter_context(alone(files.output)))
            world.shared(lambda: _check_files(files, config, resume=resume, overwrite=overwrite))
        material = gather(console, world, files, config, checks)
        trainer = Trainer(config, data_name(material), world)
        if material.start is not None:
            trainer.start_from(material.start.prior)
        trainer.set_detail_scales(torch.as_tensor(material.scales.detail_std, dtype=torch.float32))
        if resume:
            _go_on(trainer, files.state)
        sampler = PatchSampler(material.training(), config, rank=world.rank, ranks=world.size)
        if checks.dry_run:
            estimate(console, trainer, sampler)
            return
        _say_start(console, trainer, material)
        stopped = _train(console, trainer, sampler, material, files, resume=resume)
        if stopped:
            say_left_out(console, material.named)
            leave_stopped(console, trainer.step, stopped)
        if world.first:
            _finish(console, trainer, material, files)


def _go_on(trainer: Trainer, state: Path) -> None:
    """Load the state where there is one; all processes must find the same."""
    world = trainer.world
    if not world.shared(state.exists):
        return
    if world.largest(int(not state.exists())):
        msg = f"{state} is not there for every process. Put it in a folder that all nodes share, or copy it to each."
        raise ConfigError(msg)
    trainer.load(state)
    least, most = -world.largest(-trainer.step), world.largest(trainer.step)
    if least != most:
        msg = f"{state} is of step {least} for some processes and of step {most} for others. Give all nodes the same file."
        raise ConfigError(msg)


def all_inputs(files: TrainFiles, config: TrainConfig) -> tuple[Path, ...]:
    """Every file that a training reads."""
    more = () if pack_among(files.inputs) else tuple(file for part in config.more for file in part.files)
    return (*expand([*files.inputs, *files.held_out, *more]), *files.read)


def _check_files(files: TrainFiles, config: TrainConfig, *, resume: bool, overwrite: bool) -> None:
    """Refuse to write over anything."""

    def inputs() -> tuple[Path, ...]:
        return all_inputs(files, config)

    check_output(files.output, inputs, resume=resume, overwrite=overwrite, log=files.log_file)
    if files.log is not None and files.log.exists() and not (resume or overwrite):
        msg = f"--log {files.log} exists. Choose another name, or pass --resume or --overwrite."
        raise OutputError(msg)


def gather(console: Console, world: World, files: TrainFiles, config: TrainConfig, checks: Checks) -> Material:
    """Open and check everything; the first process shows what the data hold and measures their scales for all."""
    static = load_static(files.static)
    opened: list[tuple[tuple[Part, ...], Part | None]] = []

    def check() -> Scales:
        opened.append(open_parts(files.inputs, files.held_out, config))
        named = named_parts(*opened[0])
        rows = {name: coverage(part.source) for name, part in named.items()}
        console.print(data_table(list(rows.items())))
        notes = _notes(named)
        if files.start is not None and files.start.prior.coarse is not None and config.coarse == 1:
            notes.append("the network for high noise of --from is left out; train one for the new prior with coarse: 4")
        for note in notes:
            console.print(f"note       {note}", highlight=False, soft_wrap=True, markup=False)
        for name in [
            name for name, part in named.items() if name.startswith("more") and not large_enough(part, config)
        ]:
            text = f"note       {name}: smaller than a patch of {config.patch} x {config.coarse} cells, left out"
            console.print(text, highlight=False, soft_wrap=True)
            del named[name]
        for name, part in named.items():
            check_training_source(part.source, config.patch * config.coarse)
            if not checks.allow_missing:
                refuse_lacking(rows[name])
        check_variables(*opened[0])
        refuse_means(named, any_frequency=config.any_frequency)
        if checks.thorough:
            read_all(console, named)
        return _measured(console, named, config.coarse)

    measured = world.shared(check)
    parts, held_out = opened[0] if opened else open_parts(files.inputs, files.held_out, config)
    parts = (parts[0], *(part for part in parts[1:] if large_enough(part, config)))
    if files.start is None:
        return Material(parts, held_out, static, measured, None)
    start = files.start.prior
    _compare_scales(console, start, measured)
    kept = Scales(start.mean.double().numpy(), start.std.double().numpy(), start.denoiser.detail_std.double().numpy())
    if config.coarse > 1:
        kept = replace(kept, detail_std=measured.detail_std * measured.std / kept.std)
    return Material(parts, held_out, static, kept, files.start, config.coarse)


def _measured(console: Console, named: dict[str, Part], cells: int) -> Scales:
    """Scales, after a look at each file and at a sample of the times of each origin."""
    for part in named.values():
        check_first_fields(part.source)
    trained = [part for name, part in named.items() if name != "held out"]
    measured, seen = scales(trained, cells), {id(part) for part in holders(trained)}
    for part in (part for part in named.values() if id(part) not in seen):
        for _ in part.sample():
            pass
    say_left_out(console, named)
    return measured


def _notes(named: dict[str, Part]) -> list[str]:
    """What the files say about themselves, and held-out times that are trained on."""
    notes = [f"{name}: {note}" for name, part in named.items() for note in part.source.notes]
    if "held out" in named:
        trained = {format_time(t) for name, part in named.items() if name != "held out" for t in part.source.times}
        both = [t for t in map(format_time, named["held out"].source.times) if t in trained]
        if both:
            notes.append(f"held out: {len(both)} times, the first {both[0]}, are also in training files and trained on")
    return notes


def _compare_scales(console: Console, start: Prior, measured: Scales) -> None:
    """Note where the new data vary much more or less than those that the prior was standardised with."""
    ratio = measured.std / start.std.numpy()
    far = [f"{name} {value:.2g}" for name, value in zip(start.variables, ratio, strict=True) if not 0.5 < value < 2]
    if far:
        text = f"note       --from keeps the prior's scales; the files' standard deviations are far from them: {', '.join(far)} times"
        console.print(text, highlight=False, soft_wrap=True)


def _say_start(console: Console, trainer: Trainer, material: Material) -> None:
    parameters = sum(p.numel() for p in trainer.denoiser.parameters())
    fields = sum(len(part.source.times) for part in material.parts)
    held_out = len(material.held_out.source.times) if material.held_out else 0
    where = f"{trainer.world.size} x " if trainer.world.size > 1 else ""
    console.print(
        f"Training   {fields} fields, {held_out} held out; {parameters / 1e6:.1f} million parameters, "
        f"step {trainer.step} of {trainer.config.steps}, on {where}{trainer.world.device.type}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def _train(
    console: Console, trainer: Trainer, sampler: Batches, material: Material, files: TrainFiles, *, resume: bool
) -> int:
    """Train with a progress bar and a log; the number of the signal that ended it early, else 0."""
    config, world, held_out = trainer.config, trainer.world, material.validation()
    log = TrainingLog(files.log_file, trainer.step if resume else 0, config.log_every) if world.first else None
    ahead = Ahead(sampler, trainer.step, config.steps, pin=world.device.type == "cuda")
    stopped = 0
    with progress_bar(console) as progress, stop_signals() as asked, ahead as batches:

        def stop() -> int:
            nonlocal stopped
            stopped = world.largest(asked())
            return stopped

        task = progress.add_task("", total=config.steps, completed=trainer.step, loss=float("nan"), rate=0.0)
        for now in run_training(trainer, batches, held_out, files.state, stop, first=world.first):
            progress.update(task, completed=now.step, loss=now.loss, rate=now.rate)
            if log is not None:
                log.add(now, trainer)
            if now.validation:
                levels = "  ".join(f"{level}: {value:.4f}" for level, value in now.validation.items())
                console.print(
                    f"step {now.step}  held-out error by noise level  {levels}", highlight=False, soft_wrap=True
                )
    if log is not None:
        log.close(trainer)
    return stopped


def _finish(console: Console, trainer: Trainer, material: Material, files: TrainFiles) -> None:
    """Measure the covariances and write the prior; one that had another network has that for high noise beside it."""
    config, known = trainer.config, material.scales
    if config.coarse > 1 and material.start is not None:
        say_left_out(console, material.named)
        save_prior(files.output, _with_coarse(material.start.prior, trainer, material))
        _say_written(console, files)
        return
    console.print("Measuring climatological covariances ...")
    climate = climatology(material.parts, known, mirror_signs(config.variables).numpy(), material.static)
    say_left_out(console, material.named)
    header = PriorHeader(
        variables=config.variables,
        network=config.network,
        time_known=config.time_dropout < 1,
        static_sha256=material.static.sha256,
        training=training_record(material, config, trainer.step),
    )
    arrays = (known.mean, known.std, climate.zonal, climate.lags)
    mean, std, zonal, lags = (torch.as_tensor(array, dtype=torch.float32) for array in arrays)
    save_prior(files.output, Prior(trainer.average, mean, std, zonal, lags, header, climate.balance))
    _say_written(console, files)


def _say_written(console: Console, files: TrainFiles) -> None:
    text = f"Wrote      {files.output}; the state to go on from stays in {files.state}"
    console.print(text, highlight=False, soft_wrap=True)


def _with_coarse(prior: Prior, trainer: Trainer, material: Material) -> Prior:
    """The prior that the training started from with what it made as its network for high noise."""
    config = trainer.config
    header = CoarseHeader(
        network=config.network,
        factor=config.coarse,
        above=config.coarse_above,
        patch=config.patch,
        training=training_record(material, config, trainer.step),
    )
    return replace(prior, second=trainer.average, header=prior.header.model_copy(update={"coarse": header}))
