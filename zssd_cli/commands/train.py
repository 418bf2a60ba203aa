"""``zssd train``: parse, call the engine, show."""

from pathlib import Path
from typing import Annotated

import typer

from zssd_cli import defaults


def train(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILES...",
            help="Reanalysis at 0.25 degree: NetCDF, GRIB, Zarr, folders, quoted globs; - reads a list; or what --prepare wrote; "
            "none for a latent prior.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PRIOR.safetensors", help="File to write.", show_default=False),
    ] = None,
    prepare: Annotated[
        Path | None,
        typer.Option(
            metavar="PACK.safetensors",
            help="Do not train: write all that a training reads into one file, to train from it elsewhere.",
            show_default=False,
        ),
    ] = None,
    variables: Annotated[
        str | None,
        typer.Option(
            "--vars",
            metavar="NAMES",
            help=f"Comma-separated; default {','.join(defaults.VARIABLES)}.",
            show_default=False,
        ),
    ] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            "--held-out",
            metavar="FILE",
            help="Fields for validation, never trained on; repeat for more.",
            show_default=False,
        ),
    ] = None,
    static: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Static fields of fetch-static; default: built-in.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Settings of the training; flags win.", show_default=False)
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Network and training sized for a machine: tiny (CPU), small (laptop GPU), base (one GPU), large (many).",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="PRIOR", help="Start from a prior (fine-tune): a file or a name.", show_default=False
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.", show_default=False)] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Patches per step.", show_default=False)] = None,
    patch: Annotated[int | None, typer.Option(min=16, help="Side of a patch in cells.", show_default=False)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.", show_default=False)] = None,
    time_dropout: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of patches without season and hour; set it to 1 when the files cover too few.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same prior.", show_default=False)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from OUTPUT.state where it exists.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT.")] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out times that not every variable has.")
    ] = False,
    max_missing: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SHARE",
            help="Share of the times that may be left out because values are missing or implausible; "
            f"default {defaults.MAX_MISSING:g}.",
            show_default=False,
        ),
    ] = None,
    any_frequency: Annotated[
        bool, typer.Option("--any-frequency", help="Accept means over hours, days or months.")
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Log; default: OUTPUT.log.jsonl.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the data, time a few steps, say what the training needs.")
    ] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="With --dry-run: read every field, say which are missing or implausible.")
    ] = False,
) -> None:
    """Train a prior on 0.25 degree reanalysis, or on random conductivity fields (--config with kind: latent).

    Progress is saved every few minutes to PRIOR.safetensors.state; after an interruption the same command with
    --resume goes on where it stopped, bit for bit. On several GPUs: torchrun --nproc-per-node N -m zssd_cli train ...

    [bold]Examples[/bold]

    zssd train 'era5_*.nc' --vars msl,u10,v10 --held-out era5_2020.nc -o prior.safetensors

    zssd train 'era5_*.nc' --config train.yaml -o prior.safetensors --resume

    zssd train 'alps_*.nc' --from analyses-msl-u10-v10 --steps 2000 -o alps.safetensors

    zssd train 'era5_*.nc' --held-out era5_2020.nc --prepare pack.safetensors   (where the archive is)

    zssd train pack.safetensors -o prior.safetensors                            (where the GPU is)

    zssd train --config weights/recipes/darcy-grf.yaml -o darcy-grf.safetensors
    """
    from zssd_cli.commands import run_prepare, run_train, run_train_latent
    from zssd_cli.commands.shared import named_files
    from zssd_cli.commands.train_settings import read_settings
    from zssd_cli.commands.train_shared import given_files

    flags = {
        "variables": None if variables is None else variables.split(","), "steps": steps, "batch": batch, "patch": patch,
        "learning_rate": learning_rate, "time_dropout": time_dropout, "seed": seed, "max_missing": max_missing,
        "any_frequency": any_frequency or None,
    }  # fmt: skip
    target = output or prepare
    if target is None or (output and prepare):
        msg = "Expected either -o PRIOR.safetensors, to train, or --prepare PACK.safetensors, to prepare the data."
        raise typer.BadParameter(msg)
    latent = run_train_latent.read_latent(config)
    if latent is not None:
        others = {
            "--from": start,
            "--preset": preset,
            "--prepare": prepare,
            "--log": log,
            "--allow-missing": allow_missing,
            "--dry-run": dry_run,
            "--thorough": thorough,
        }
        given = {"FILES": inputs, "--held-out": held_out, "--static": static, **others, **flags}
        run_train_latent.execute(latent, given, target, config, resume=resume, overwrite=overwrite)
        return
    if not inputs:
        msg = "Missing argument 'FILES...': reanalysis to train on, or --config with kind: latent."
        raise typer.BadParameter(msg)
    if thorough and not dry_run:
        msg = "--thorough reads every field before nothing is trained: add --dry-run, or leave it out."
        raise typer.BadParameter(msg)
    files_in, files_out = given_files(inputs, held_out)
    given = {k: v for k, v in flags.items() if v is not None}
    begun = run_train.load_start(start)
    settings = read_settings(
        config, given, preset, begun.prior if begun else None, run_prepare.prepared_settings(files_in)
    )
    read = named_files(config, static, start)
    files = run_train.TrainFiles(files_in, files_out, static, target, log, begun, read)
    checks = run_train.Checks(dry_run=dry_run, allow_missing=allow_missing, thorough=thorough)
    if prepare is not None:
        run_prepare.execute(files, settings, checks, overwrite=overwrite)
    else:
        run_train.execute(files, settings, checks, resume=resume, overwrite=overwrite)
