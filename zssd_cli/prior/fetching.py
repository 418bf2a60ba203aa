"""Priors from a server into the cache, with their sha256 checked and a progress bar on a terminal."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from zssd_cli import __version__
from zssd_cli.errors import WeightsError

if TYPE_CHECKING:
    from rich.progress import Progress

TIMEOUT = 30.0
"""Seconds without an answer of the server after which an attempt has failed."""


def download(name: str, file: str, sha256: str, size: int, url: str, folder: Path, retries: int) -> Path:
    """Fetch a prior's file unless ``folder`` holds it.

    Parameters
    ----------
    name, file, sha256, size
        Of the prior; the size in bytes.
    url
        Address of the folder that holds the file.
    folder
        The cache.
    retries
        Further attempts after a failed one.

    Raises
    ------
    WeightsError
        The server does not give the file, or another one; the cache cannot be written.
    """
    import pooch
    from requests.exceptions import RequestException

    pooch.get_logger().setLevel("WARNING")
    store = pooch.create(
        path=folder, base_url=url.rstrip("/") + "/", registry={file: f"sha256:{sha256}"}, retry_if_failed=retries
    )
    try:
        return Path(store.fetch(file, downloader=_downloader(name, size)))
    except (RequestException, ValueError) as error:
        reason = " ".join(str(error).split())
        msg = (
            f"Prior {name}: {file} could not be fetched from ZSSD_WEIGHTS_URL={url}: {reason}."
            " Check the address and the connection, or give a file with --weights."
        )
        raise WeightsError(msg) from error
    except OSError as error:
        msg = (
            f"Prior {name}: the cache {folder} cannot be written: {error.strerror or error}."
            " Free space there, or set ZSSD_CACHE to another folder."
        )
        raise WeightsError(msg) from error


def _downloader(name: str, size: int) -> Callable[..., None]:
    """HTTP with our own User-Agent and, on a terminal, a progress bar."""
    import pooch
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())

    def fetch(url: str, output: str, store: pooch.Pooch) -> None:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            http = pooch.HTTPDownloader(
                progressbar=_Bar(progress, name, size),
                chunk_size=1 << 16,
                headers={"User-Agent": f"zssd/{__version__}"},
                timeout=TIMEOUT,
            )
            http(url, output, store)

    return fetch


class _Bar:
    """What pooch asks of a progress bar, told to rich."""

    def __init__(self, progress: "Progress", name: str, size: int) -> None:
        self.total = size
        self._progress = progress
        self._task = progress.add_task(name, total=size or None)

    def update(self, count: int) -> None:
        self._progress.update(self._task, advance=count, total=self.total or None)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.refresh()
