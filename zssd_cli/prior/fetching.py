"""Files from a server into the cache: over https, no larger and no slower than they may be, their sha256 checked, with a bar.

``http`` is for this machine only (a mirror, a tunnel) unless ``ZSSD_ALLOW_HTTP=1`` says otherwise. A redirection that
changes the scheme is refused. What is fetched lies under a temporary name until it is whole and has its hash.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from zssd_cli import __version__
from zssd_cli.errors import WeightsError, ZssdError
from zssd_cli.text import masked, plain

if TYPE_CHECKING:
    from requests import Response
    from rich.progress import Progress

TIMEOUT = 30.0
"""Seconds without an answer of the server after which an attempt has failed."""
LEAST, SLOWEST = 120.0, 20_000.0
"""Seconds that any download may take, and bytes per second from which on it may take as long as it needs."""
LARGEST = 1 << 32
"""Bytes of a file whose size the registry does not say."""
HEADERS = {"User-Agent": f"zssd/{__version__}", "Accept-Encoding": "identity"}
REDIRECTIONS = 5
_LOCAL = ("localhost", "127.0.0.1", "::1")
_CHUNK, _OLD = 1 << 16, 24 * 3600.0


class Refused(ZssdError):
    """A server that sends more than there is, for longer than it may, or elsewhere."""


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
    shown, base = masked(url), url.rstrip("/") + "/"
    check_address(base, f"ZSSD_WEIGHTS_URL={shown}")
    _sweep(folder)
    store = pooch.create(path=folder, base_url=base, registry={file: f"sha256:{sha256}"}, retry_if_failed=retries)
    try:
        return Path(store.fetch(file, downloader=_downloader(name, size)))
    except (RequestException, ValueError, Refused) as error:
        reason = " ".join(plain(masked(error)).split()).rstrip(".")
        msg = (
            f"Prior {name}: {file} could not be fetched from ZSSD_WEIGHTS_URL={shown}: {reason}."
            " Check the address and the connection, or give a file with --weights."
        )
        # what the library raised may show the password of the address, in the traceback of --debug too
        raise WeightsError(msg) from None
    except OSError as error:
        msg = (
            f"Prior {name}: the cache {folder} cannot be written: {error.strerror or error}."
            " Free space there, or set ZSSD_CACHE to another folder."
        )
        raise WeightsError(msg) from error


def check_address(url: str, what: str) -> None:
    """Refuse an address that is neither https nor on this machine; ``what`` names it.

    Raises
    ------
    WeightsError
        Another scheme, or http to another machine.
    """
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), parts.hostname
    except ValueError:
        scheme, host = "", None
    allowed = host in _LOCAL or os.environ.get("ZSSD_ALLOW_HTTP", "") not in ("", "0")
    if not host or scheme not in ("http", "https") or (scheme == "http" and not allowed):
        got = f"scheme {scheme!r}" if scheme and host else "no address"
        msg = (
            f"{plain(what)}: expected an address that begins with https://, got {plain(got)}. "
            "Use https, or set ZSSD_ALLOW_HTTP=1 where http is meant."
        )
        raise WeightsError(msg)


def _sweep(folder: Path) -> None:
    """Remove what killed downloads left in the cache a day ago or earlier, under pooch's temporary names."""
    with suppress(OSError):
        for left in folder.glob("tmp*"):
            if left.is_file() and not left.suffix and time.time() - left.stat().st_mtime > _OLD:
                left.unlink(missing_ok=True)


def _downloader(name: str, size: int) -> Callable[..., None]:
    """HTTP with bounds and, on a terminal, a progress bar."""
    import pooch
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())

    def fetch(url: str, output: str | Any, store: pooch.Pooch) -> None:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            save(url, output, size or None, _shown(progress, name, size))

    return fetch


def _shown(progress: "Progress", name: str, size: int) -> Callable[[int], None]:
    task = progress.add_task(name, total=size or None)
    return lambda count: progress.update(task, advance=count)


def save(url: str, output: Any, size: int | None, tick: Callable[[int], None] = lambda _: None) -> None:
    """Write what lies at an address to an open file or a path.

    Parameters
    ----------
    url
        Address of a file.
    output
        Where it goes.
    size
        Bytes that it may have at most; None: ``LARGEST``.
    tick
        Called with the number of bytes of every piece.

    Raises
    ------
    Refused
        The server sends a lot more (a little is told by the hash), or takes longer than ``LEAST`` and ``SLOWEST`` allow.
    requests.exceptions.RequestException
        No good answer.
    """
    if isinstance(output, str | Path):
        with Path(output).open("wb") as file:
            save(url, file, size, tick)
        return
    most = size or LARGEST
    limit = LEAST + (size or 0) / SLOWEST if size else 6 * 3600.0
    until, got = time.monotonic() + limit, 0
    for piece in _pieces(url):
        got += len(piece)
        if got > most + _CHUNK:
            msg = f"the server sends more than the {most} bytes of the file"
            raise Refused(msg)
        if time.monotonic() > until:
            msg = f"only {got} bytes came within {limit:.0f} s"
            raise Refused(msg)
        output.write(piece)
        tick(len(piece))


def _pieces(url: str) -> Iterator[bytes]:
    """What a server sends, as it comes; redirections are followed within the scheme."""
    import requests

    first = urlsplit(url).scheme
    with requests.Session() as session:
        for _ in range(REDIRECTIONS):
            with session.get(url, headers=HEADERS, timeout=TIMEOUT, stream=True, allow_redirects=False) as answer:
                if not answer.is_redirect:
                    answer.raise_for_status()
                    yield from _body(answer)
                    return
                url = urljoin(url, answer.headers["Location"])
            if urlsplit(url).scheme != first:
                msg = f"the server redirects from {first} to another scheme, {plain(urlsplit(url).scheme)!r}"
                raise Refused(msg)
    msg = f"the server redirects more than {REDIRECTIONS} times"
    raise Refused(msg)


def _body(answer: "Response") -> Iterator[bytes]:
    """What there is so far, again and again: a server that drips keeps nobody waiting for a whole block."""
    from requests.exceptions import ConnectionError as Broken
    from urllib3.exceptions import HTTPError

    read = getattr(answer.raw, "read1", answer.raw.read)
    try:
        while piece := read(_CHUNK):
            yield piece
    except HTTPError as error:
        raise Broken(error) from error
