"""The workers: started on this machine, or those of a Dask cluster that is there already."""

import logging
import os
import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zssd_cli import __version__
from zssd_cli.errors import ConfigError

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 60
"""Seconds that a scheduler has to answer."""


def require() -> None:
    """Raise :class:`ConfigError` where Dask is missing."""
    if find_spec("distributed") is None:
        msg = "--workers and --scheduler need Dask: pip install 'zssd[dask]' (or dask and distributed)."
        raise ConfigError(msg)


def describe(client: "Client") -> str:
    """The scheduler's address, and its dashboard's where it has one (which needs bokeh)."""
    info = client.scheduler_info()
    return f"{info['address']}, dashboard {client.dashboard_link}" if _has_dashboard(info) else str(info["address"])


def _has_dashboard(info: Mapping[str, Any]) -> bool:
    return "dashboard" in info.get("services", {}) and find_spec("bokeh") is not None


def visible_devices(count: int, workers: int) -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` says in each of the workers, of ``count`` GPUs that this process sees.

    Raises
    ------
    ConfigError
        More workers than GPUs.
    """
    if workers > count:
        gpus = "1 GPU" if count == 1 else f"{count} GPUs"
        msg = f"--workers {workers}: each needs a GPU of its own, this machine has {gpus}. Give --workers {count}, or --device cpu."
        raise ConfigError(msg)
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = given.split(",") if given else [str(number) for number in range(count)]
    return [name.strip() for name in names[:workers]]


@contextmanager
def started(workers: int, threads: int, devices: list[str] | None = None) -> Iterator["Client"]:
    """That many processes on this machine, and a client of them; none is left after the block.

    Parameters
    ----------
    workers
        How many.
    threads
        Of each.
    devices
        Of each worker its ``CUDA_VISIBLE_DEVICES``; None: they use no GPU.
    """
    import dask
    from distributed import Client, Nanny, Scheduler, SpecCluster

    host = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    environment = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    own = [{} if devices is None else {"CUDA_VISIBLE_DEVICES": devices[k]} for k in range(workers)]
    common: dict[str, Any] = {
        "host": host["host"], "nthreads": 1, "memory_limit": 0, "dashboard": False, "silence_logs": logging.CRITICAL,
        "preload": ["zssd_cli.workers.preload"],
    }  # fmt: skip
    spec = {k: {"cls": Nanny, "options": common | {"env": environment | own[k]}} for k in range(workers)}
    scheduler = {"cls": Scheduler, "options": host | {"dashboard": find_spec("bokeh") is not None}}
    with dask.config.set({"distributed.worker.profile.enabled": False}), ExitStack() as stack:
        try:
            cluster = stack.enter_context(SpecCluster(workers=spec, scheduler=scheduler, silence_logs=logging.CRITICAL))
            # a default client would be asked by whatever else here uses Dask
            client = stack.enter_context(Client(cluster, set_as_default=False))
        except (RuntimeError, OSError) as error:
            msg = f"--workers {workers}: the processes did not start ({error}). Give fewer, or see what the machine has free."
            raise ConfigError(msg) from error
        yield client


@contextmanager
def joined(scheduler: str) -> Iterator["Client"]:
    """A client of a cluster that is there: ``tcp://HOST:PORT``, or the file that a scheduler wrote.

    Raises
    ------
    ConfigError
        Nothing answers there, or zssd is not there.
    """
    from distributed import Client

    in_file = scheduler.endswith(".json") or Path(scheduler).is_file()
    if in_file and not Path(scheduler).is_file():
        msg = f"--scheduler {scheduler}: no such file. Start one with dask scheduler --scheduler-file {scheduler}."
        raise ConfigError(msg)
    where = {"scheduler_file": scheduler} if in_file else {"address": scheduler}
    try:
        client = Client(**where, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        msg = f"--scheduler {scheduler}: no Dask scheduler answers there ({error}). Check the address and that it runs."
        raise ConfigError(msg) from error
    with client:
        _check_versions(client)
        yield client


def _check_versions(client: "Client") -> None:
    """The scheduler and those workers that are there need this version of zssd."""
    # a function of the standard library is found where zssd is not
    asked = (pkgutil.resolve_name, "zssd_cli:__version__")
    found = {"The scheduler": _outcome(lambda: client.run_on_scheduler(*asked))}
    found |= {f"Worker {address}": got for address, got in client.run(*asked, on_error="return").items()}
    for who, got in found.items():
        if got != __version__:
            told = f"none ({type(got).__name__}: {got})" if isinstance(got, Exception) else str(got)
            msg = f"{who}: expected zssd {__version__}, got {told}. Install the same version there: pip install 'zssd[dask]'."
            raise ConfigError(msg)


def _outcome(ask: Any) -> Any:
    try:
        return ask()
    except Exception as error:
        return error
