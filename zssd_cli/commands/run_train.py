"""What ``zssd train`` does after its options are parsed: check the data, train, measure covariances, write the prior."""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cftime
import torch
from rich.console import Console

from zssd_cli.commands.train_checks import Checks, is_finished, read_all, refuse_means, say_left_out
from zssd_cli.commands.train_report import TrainingLog, data_table, estimate, progress_bar, report_console
from zssd_cli.commands.train_shared import check_name, check_output, leave_stopped, state_of, stop_signals
from zssd_cli.config import TrainConfig
from zssd_cli.errors import ConfigError, InputError, OutputError
from zssd_cli.grids.latlon import describe_centres
from zssd_cli.locks import alone
from zssd_cli.prior.checkpoint import Prior, PriorHeader, load_prior, mirror_signs, save_prior
from zssd_cli.prior.registry import locate
from zssd_cli.series.coverage import check_first_fields, coverage, refuse_lacking
from zssd_cli.series.listing import expand
from zssd_cli.series.reading import open_source
from zssd_cli.static import StaticFields, load_static
from zssd_cli.times import format_time
from zssd_cli.training.batches import Ahead, Batches, PatchSampler, TrainingData
from zssd_cli.training.data import Part, Scales, SourceFields, check_training_source, climatology, scales
from zssd_cli.training.distributed import World, joined
from zssd_cli.training.loop import Trainer, run_training
from zssd_cli.training.pack import pack_among, read_pack


@dataclass(frozen=True)
class Start:
    """A prior to start from and the hash of its file."""

    prior: Prior
    sha256: str


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


@dataclass(frozen=True)
class Material:
    """All that a training is made of, checked."""

    parts: tuple[Part, ...]
    held_out: Part | None
    static: StaticFields
    scales: Scales
    start: Start | None

    @property
    def named(self) -> dict[str, Part]:
        """Every origin of data by the name that it has on screen."""
        return _named(self.parts, self.held_out)

    def training(self) -> TrainingData:
        """The fields to train on."""
        fields = tuple(SourceFields(part, self.static, self.scales) for part in self.parts)
        return TrainingData(fields, tuple(part.share for part in self.parts))

    def validation(self) -> TrainingData | None:
        """The fields to validate with."""
        return TrainingData((SourceFields(self.held_out, self.static, self.scales),)) if self.held_out else None


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
        if resume and not (overwrite or checks.dry_run) and world.shared(lambda: is_finished(files.output, config)):
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


def _named(parts: Sequence[Part], held_out: Part | None) -> dict[str, Part]:
    """Every origin of data by the name that it has on screen."""
    named = {f"main ({parts[0].share:.0%})" if len(parts) > 1 else "main": parts[0]}
    named |= {f"more {k} ({part.share:.0%})": part for k, part in enumerate(parts[1:], 1)}
    return named | ({"held out": held_out} if held_out else {})


def gather(console: Console, world: World, files: TrainFiles, config: TrainConfig, checks: Checks) -> Material:
    """Open and check everything; the first process shows what the data hold and measures their scales for all."""
    static = load_static(files.static)
    opened: list[tuple[tuple[Part, ...], Part | None]] = []

    def check() -> Scales:
        opened.append(open_parts(files.inputs, files.held_out, config))
        named = _named(*opened[0])
        rows = {name: coverage(part.source) for name, part in named.items()}
        console.print(data_table(list(rows.items())))
        for note in _notes(named):
            console.print(f"note       {note}", highlight=False, soft_wrap=True, markup=False)
        for name, part in named.items():
            check_training_source(part.source, config.variables, config.patch, partial=name.startswith("more"))
            if not checks.allow_missing:
                refuse_lacking(rows[name])
        refuse_means(named, any_frequency=config.any_frequency)
        if checks.thorough:
            read_all(console, named)
        return _measured(console, named)

    measured = world.shared(check)
    parts, held_out = opened[0] if opened else open_parts(files.inputs, files.held_out, config)
    if files.start is None:
        return Material(parts, held_out, static, measured, None)
    start = files.start.prior
    _compare_scales(console, start, measured)
    kept = Scales(start.mean.double().numpy(), start.std.double().numpy(), start.denoiser.detail_std.double().numpy())
    return Material(parts, held_out, static, kept, files.start)


def _measured(console: Console, named: dict[str, Part]) -> Scales:
    """Scales of the main files, after a look at each file and at a sample of the times of each origin."""
    for part in named.values():
        check_first_fields(part.source)
    main, *others = named.values()
    measured = scales(main)
    for part in others:
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


def open_parts(
    inputs: tuple[str | Path, ...], held_out: tuple[str | Path, ...], config: TrainConfig
) -> tuple[tuple[Part, ...], Part | None]:
    """The main training files and the further ones of the configuration, without the held-out ones; those, filtered as the main ones."""
    pack = pack_among(inputs)
    if pack is not None:
        if held_out:
            msg = f"{pack} holds its own held-out fields; leave out --held-out, or prepare the data anew with it."
            raise ConfigError(msg)
        prepared = read_pack(pack)
        return prepared.parts, prepared.held_out
    kept = {path.resolve() for path in expand(held_out)} if held_out else set()

    def left(files: Sequence[str | Path]) -> tuple[Path, ...]:
        paths = tuple(path for path in expand(files) if path.resolve() not in kept)
        if not paths:
            named = ", ".join(map(str, files[:3])) + (" ..." if len(files) > 3 else "")
            msg = f"All files of {named} are held out, none is left to train on; give more files, or hold out fewer."
            raise InputError(msg)
        return paths

    def opened(files: Sequence[str | Path], **options: Any) -> Part:
        source = open_source(files, config.variables, allow_no_time=True)
        return Part(source, config.variables, max_missing=config.max_missing, **options)

    rest = 1 - sum(more.share for more in config.more)
    if rest <= 0:
        msg = f"The shares of `more` add up to {1 - rest:g}; expected less than 1, the rest is the main files'. Make them smaller."
        raise ConfigError(msg)
    main = replace(opened(left(inputs), lowpass_km=config.lowpass_km), share=rest)
    more = [opened(left(m.files), smooth=m.smooth, lowpass_km=m.lowpass_km, share=m.share) for m in config.more]
    return (main, *more), opened(held_out, lowpass_km=config.lowpass_km) if held_out else None


def data_name(material: Material) -> str:
    """A hash of what the network's scales and conditions hang on: grids, times, static fields and a prior to start from."""
    lines = [material.static.sha256]
    for part in material.parts:
        lines += [describe_centres(part.grid), *(format_time(t) for t in part.source.times)]
    lines += [material.start.sha256] if material.start else []
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def training_record(material: Material, config: TrainConfig, steps: int) -> dict[str, Any]:
    """What the header says about the training."""
    record: dict[str, Any] = {"steps": steps, "settings": config.model_dump(mode="json")}
    record["trained_on"] = [_part_record(part) for part in material.parts]
    if material.held_out is not None:
        record["held_out"] = _part_record(material.held_out)
    if material.start is not None:
        start = material.start
        record["started_from"] = {"sha256": start.sha256, "training": start.prior.header.training}
    return record


def _part_record(part: Part) -> dict[str, Any]:
    return {
        "files": part.source.attributes.get("source_files", ""),
        "title": part.source.attributes.get("title", ""),
        "variables": [name for name in part.source.variables if name not in part.smooth],
        "lowpass_km": part.lowpass_km,
        "averaging": part.source.averaging,
        "times": _ends(part.source.times),
        "count": len(part.source.times),
        "left_out": _ends(part.holes.met),
        "left_out_count": len(part.holes.met),
    }


def _ends(dates: Sequence[cftime.datetime]) -> list[str]:
    """All of a few dates, the first and the last of many."""
    times = [format_time(date) for date in dates]
    return times if len(times) <= 20 else [times[0], "...", times[-1]]


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
    """Measure the covariances and write the prior."""
    console.print("Measuring climatological covariances ...")
    config, known = trainer.config, material.scales
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
    text = f"Wrote      {files.output}; the state to go on from stays in {files.state}"
    console.print(text, highlight=False, soft_wrap=True)
