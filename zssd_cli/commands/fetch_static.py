"""``zssd fetch-static``: surface height and land fraction from the built-in file, ETOPO 2022 or ERA5."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from zssd_cli import __version__
from zssd_cli.errors import ConfigError, InputError, OutputError

if TYPE_CHECKING:
    from zssd_cli.static import StaticFields

ETOPO_URL = "https://www.ngdc.noaa.gov/thredds/fileServer/global/ETOPO2022/60s/60s_surface_elev_netcdf/ETOPO_2022_v1_60s_N90W180_surface.nc"


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
    from zssd_cli.files import check_target
    from zssd_cli.static import from_era5, load_static, write_static

    console = Console()
    files = files or []
    check_target(output, "-o", (*files, *([file] if file else [])))
    if output.exists() and not overwrite:
        msg = f"{output} exists. Pass --overwrite to replace it."
        raise OutputError(msg)
    if source is StaticSource.etopo:
        static = _etopo(files, file, offline, console)
    elif file is not None or (source is StaticSource.builtin and files):
        msg = (
            f"--source {source}: unexpected file {file or files[0]}. Name the source that it belongs to: --source "
            "era5 FILE..., --source etopo --file FILE."
        )
        raise ConfigError(msg)
    else:
        static = from_era5(files) if source is StaticSource.era5 else load_static()
    write_static(static, output)
    console.print(
        f"{output}: height up to {static.height.max():.0f} m, sha256 {static.sha256[:16]}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Source: {static.source}", highlight=False, markup=False, soft_wrap=True)


def _etopo(files: list[Path], file: Path | None, offline: bool, console: Console) -> "StaticFields":
    """Static fields from a given or downloaded ETOPO 2022 file."""
    from zssd_cli.static import from_etopo

    given = [*files, *([file] if file else [])]
    if len(given) > 1:
        msg = f"--source etopo: expected one file, got {len(given)}."
        raise ConfigError(msg)
    if given:
        return from_etopo(given[0])
    if offline:
        msg = (
            f"--offline: ETOPO 2022 would be downloaded. Fetch {ETOPO_URL} elsewhere and pass --file, or use "
            "--source builtin."
        )
        raise ConfigError(msg)
    path = _download(console)
    try:
        return from_etopo(path)
    except InputError:
        path.unlink(missing_ok=True)
        console.print(
            f"Removed {path} from the cache: the next run downloads it again.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        raise


def _download(console: Console) -> Path:
    """ETOPO 2022 (about 500 MB) into the cache; its hash is not known in advance, so it is shown."""
    import logging

    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    folder = Path(os.environ.get("ZSSD_CACHE") or pooch.os_cache("zssd"))
    downloader = pooch.HTTPDownloader(headers={"User-Agent": f"zssd/{__version__}"}, timeout=60)
    name = ETOPO_URL.rsplit("/", 1)[1]
    try:
        with console.status(f"Downloading {name} (about 500 MB)"):
            path = Path(pooch.retrieve(ETOPO_URL, known_hash=None, fname=name, path=folder, downloader=downloader))
    except (OSError, ValueError) as error:
        reason = str(error).partition(" for url")[0] if "Client Error" in str(error) else type(error).__name__
        msg = f"Cannot download {ETOPO_URL} ({reason}). Download it by hand and pass --file."
        raise InputError(msg) from error
    digest = pooch.file_hash(path)
    console.print(
        f"{path}: sha256 {digest} (unverified: no hash is known in advance)",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return path
