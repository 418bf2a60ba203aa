"""``zssd fetch-static``: surface height and land fraction from the built-in file, ETOPO 2022 or ERA5."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from zssd_cli.commands.shared import Page, check_targets, say
from zssd_cli.errors import ConfigError


class StaticSource(StrEnum):
    """Where static fields come from."""

    builtin = "builtin"
    etopo = "etopo"
    era5 = "era5"


def fetch_static(
    output: Annotated[Path, typer.Option("--output", "-o", help="The NetCDF file to write.", show_default=False)],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE", help="era5: NetCDF with geopotential z and land-sea mask lsm.", show_default=False
        ),
    ] = None,
    source: Annotated[StaticSource, typer.Option(help="Where the fields come from.")] = StaticSource.builtin,
    file: Annotated[Path | None, typer.Option(help="etopo: an already downloaded copy.", show_default=False)] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never download.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
) -> None:
    """Write surface height and land fraction at 0.25 degree, the geographic conditions of the prior.

    [bold]Examples[/bold]

    zssd fetch-static -o static.nc

    zssd fetch-static -o static.nc --source era5 era5_geopotential.nc era5_land_sea_mask.nc

    zssd fetch-static -o static.nc --source etopo --file ETOPO_2022_v1_60s_N90W180_surface.nc
    """
    from zssd_cli.commands.run_fetch_static import etopo
    from zssd_cli.static import from_era5, load_static, write_static

    console = Page()
    files = files or []
    given = [*files, *([file] if file else [])]
    check_targets({"-o": output}, lambda: given, overwrite=overwrite)
    if source is StaticSource.etopo:
        static = etopo(given, offline, console)
    elif file is not None or (source is StaticSource.builtin and files):
        msg = (
            f"--source {source}: unexpected file {file or files[0]}. Name the source that it belongs to: --source "
            "era5 FILE..., --source etopo --file FILE."
        )
        raise ConfigError(msg)
    else:
        static = from_era5(files) if source is StaticSource.era5 else load_static()
    write_static(static, output)
    say(console, f"{output}: height up to {static.height.max():.0f} m, sha256 {static.sha256[:16]}")
    say(console, f"Source: {static.source}")
