"""What a training is made of: the parts of its data, static fields, scales, a prior to start from; and what is recorded of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cftime

from zssd_cli.config import TrainConfig
from zssd_cli.errors import ConfigError, InputError
from zssd_cli.grids.latlon import describe_centres
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.series.listing import expand
from zssd_cli.series.reading import open_source
from zssd_cli.static import StaticFields
from zssd_cli.times import format_time
from zssd_cli.training.batches import TrainingData
from zssd_cli.training.data import Part, Scales, SourceFields
from zssd_cli.training.pack import pack_among, read_pack


@dataclass(frozen=True)
class Start:
    """A prior to start from and the hash of its file."""

    prior: Prior
    sha256: str


@dataclass(frozen=True)
class Material:
    """All that a training is made of, checked."""

    parts: tuple[Part, ...]
    held_out: Part | None
    static: StaticFields
    scales: Scales
    start: Start | None
    cells: int = 1
    """Cells on a side of the means that are trained on."""

    @property
    def named(self) -> dict[str, Part]:
        """Every origin of data by the name that it has on screen."""
        return named_parts(self.parts, self.held_out)

    def training(self) -> TrainingData:
        """The fields to train on."""
        fields = tuple(SourceFields(part, self.static, self.scales, self.cells) for part in self.parts)
        return TrainingData(fields, tuple(part.share for part in self.parts))

    def validation(self) -> TrainingData | None:
        """The fields to validate with."""
        if self.held_out is None:
            return None
        return TrainingData((SourceFields(self.held_out, self.static, self.scales, self.cells),))


def named_parts(parts: Sequence[Part], held_out: Part | None) -> dict[str, Part]:
    """Every origin of data by the name that it has on screen."""
    named = {f"main ({parts[0].share:.0%})" if len(parts) > 1 else "main": parts[0]}
    named |= {f"more {k} ({part.share:.0%})": part for k, part in enumerate(parts[1:], 1)}
    return named | ({"held out": held_out} if held_out else {})


def large_enough(part: Part, config: TrainConfig) -> bool:
    """False for a region that has no patch of means of several cells."""
    return config.coarse == 1 or min(part.grid.shape) >= config.patch * config.coarse


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
    """What the header says about the training; that of the network for high noise lies beside that of the one it started from."""
    record: dict[str, Any] = {"steps": steps, "settings": config.model_dump(mode="json")}
    record["trained_on"] = [_part_record(part) for part in material.parts]
    if material.held_out is not None:
        record["held_out"] = _part_record(material.held_out)
    if material.start is not None:
        start = material.start
        record["started_from"] = {"sha256": start.sha256}
        if config.coarse == 1:
            record["started_from"]["training"] = start.prior.header.training
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
