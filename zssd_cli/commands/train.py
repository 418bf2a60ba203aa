"""``zssd train``: parse, call the engine, show."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PRIOR.safetensors", help="File to write.", show_default=False)
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILES...",
            help="Reanalysis at 0.25 degree, NetCDF or GRIB, or quoted globs; none for a latent prior.",
            show_default=False,
        ),
    ] = None,
    variables: Annotated[
        str | None,
        typer.Option("--vars", metavar="NAMES", help="Comma-separated; default msl,u10,v10.", show_default=False),
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
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.", show_default=False)] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Patches per step.", show_default=False)] = None,
    patch: Annotated[int | None, typer.Option(min=16, help="Side of a patch in cells.", show_default=False)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.", show_default=False)] = None,
    time_dropout: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of patches without season and hour; 1 when the files cover too few.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same prior.", show_default=False)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from OUTPUT.state where it exists.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT.")] = False,
) -> None:
    """Train a prior on 0.25 degree reanalysis, or on random conductivity fields (--config with kind: latent).

    Progress is saved every few minutes to PRIOR.safetensors.state; after an interruption the same command with
    --resume goes on where it stopped, bit for bit.

    [bold]Examples[/bold]

    zssd train 'era5_*.nc' --vars msl,u10,v10 --held-out era5_2020.nc -o prior.safetensors

    zssd train 'era5_*.nc' --config train.yaml -o prior.safetensors --resume

    zssd train --config weights/recipes/darcy-grf.yaml -o darcy-grf.safetensors
    """
    from zssd_cli.commands import run_train, run_train_latent

    flags = {
        "variables": variables.split(",") if variables else None, "steps": steps, "batch": batch, "patch": patch,
        "learning_rate": learning_rate, "time_dropout": time_dropout, "seed": seed,
    }  # fmt: skip
    latent = run_train_latent.read_latent(config)
    if latent is not None:
        given = {"FILES": inputs, "--held-out": held_out, "--static": static, **flags}
        run_train_latent.execute(latent, given, output, resume=resume, overwrite=overwrite)
        return
    if not inputs:
        msg = "Missing argument 'FILES...': reanalysis to train on, or --config with kind: latent."
        raise typer.BadParameter(msg)
    settings = run_train.read_settings(config, {k: v for k, v in flags.items() if v is not None})
    run_train.execute(
        tuple(inputs), tuple(held_out or ()), static, output, settings, resume=resume, overwrite=overwrite
    )
