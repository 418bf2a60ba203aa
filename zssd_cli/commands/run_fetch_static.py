"""What ``zssd fetch-static`` does beyond reading files: ETOPO 2022 from its server."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from zssd_cli.commands.shared import say
from zssd_cli.errors import ConfigError, InputError
from zssd_cli.prior.fetching import HEADERS, Refused, save
from zssd_cli.static import StaticFields, from_etopo
from zssd_cli.text import plain

ETOPO_URL = "https://www.ngdc.noaa.gov/thredds/fileServer/global/ETOPO2022/60s/60s_surface_elev_netcdf/ETOPO_2022_v1_60s_N90W180_surface.nc"
MOST = 2_000_000_000
"""Bytes that the server may send; the file has about 500 MB."""


def etopo(given: Sequence[Path], offline: bool, console: Console) -> StaticFields:
    """Static fields from a given or downloaded ETOPO 2022 file."""
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
        say(console, f"Removed {path} from the cache: the next run downloads it again.")
        raise


def _download(console: Console) -> Path:
    """ETOPO 2022 (about 500 MB) into the cache; its hash is not known in advance, so it is shown."""
    import logging

    import pooch

    pooch.get_logger().setLevel(logging.ERROR)

    class Bounded(pooch.HTTPDownloader):
        """No larger and no slower than it may be."""

        def __call__(self, url: str, output_file: Any, *_: object) -> None:
            save(url, output_file, MOST)

    downloader = Bounded(headers=HEADERS)
    folder = Path(os.environ.get("ZSSD_CACHE") or pooch.os_cache("zssd"))
    name = ETOPO_URL.rsplit("/", 1)[1]
    try:
        with console.status(f"Downloading {name} (about 500 MB)"):
            path = Path(pooch.retrieve(ETOPO_URL, known_hash=None, fname=name, path=folder, downloader=downloader))
    except (OSError, ValueError, Refused) as error:
        told = isinstance(error, Refused) or "Client Error" in str(error)
        reason = plain(str(error).partition(" for url")[0]) if told else type(error).__name__
        msg = f"Cannot download {ETOPO_URL} ({reason}). Download it by hand and pass --file."
        raise InputError(msg) from error
    say(console, f"{path}: sha256 {pooch.file_hash(path)} (unverified: no hash is known in advance)")
    return path
