"""What ``zssd train --prepare`` does: check the data as for a training and write all that it reads into one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from zssd_cli.commands.run_train import TrainFiles, all_inputs, gather
from zssd_cli.commands.shared import bar, check_targets
from zssd_cli.commands.train_checks import Checks, say_left_out
from zssd_cli.commands.train_report import report_console
from zssd_cli.commands.train_shared import check_name
from zssd_cli.config import TrainConfig
from zssd_cli.errors import ConfigError
from zssd_cli.training.distributed import World
from zssd_cli.training.pack import pack_among, read_pack, write_pack


def prepared_settings(inputs: Sequence[str | Path]) -> Mapping[str, Any] | None:
    """Settings for which the data were prepared, where they are; None for files."""
    pack = pack_among(inputs)
    return None if pack is None else read_pack(pack).settings


def execute(files: TrainFiles, config: TrainConfig, checks: Checks, *, overwrite: bool) -> None:
    """Check the data as for a training and write all that it reads into one file."""
    console = report_console(quiet=False)
    check_name(files.output)
    check_targets({"--prepare": files.output}, lambda: all_inputs(files, config), overwrite=overwrite)
    if pack_among(files.inputs):
        msg = f"{files.inputs[0]} is prepared already. Train from it with -o PRIOR.safetensors."
        raise ConfigError(msg)
    material = gather(console, World(), files, config, checks)
    total = sum(len(part.source.times) for part in material.named.values())
    if checks.dry_run:
        console.print(f"Dry run    {total} times would be prepared; nothing written", highlight=False, soft_wrap=True)
        return
    columns = (TextColumn("Preparing"), BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
    with bar(console, *columns) as progress:
        task = progress.add_task("", total=total)
        write_pack(
            files.output,
            material.parts,
            material.held_out,
            config.model_dump(mode="json"),
            lambda: progress.advance(task),
        )
    say_left_out(console, material.named)
    size = files.output.stat().st_size / 1e6
    text = (
        f"Wrote      {files.output}, {size:.1f} MB; zssd train {files.output.name} -o PRIOR.safetensors trains from it"
    )
    console.print(text, highlight=False, soft_wrap=True)
