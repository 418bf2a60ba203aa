"""What ``zssd --version --verbose`` shows: what a bug report needs to know of the machine and of the libraries."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from zssd_cli import __version__
from zssd_cli.errors import ZssdError
from zssd_cli.prior import registry

LIBRARIES = (
    "numpy", "scipy", "xarray", "netCDF4", "cftime", "cf-xarray", "pint", "torch", "safetensors", "pydantic", "pooch", "typer", "rich",
    "matplotlib", "zarr", "fsspec", "eccodes", "cfgrib", "dask", "distributed", "xesmf", "xsdba",
)  # fmt: skip


def lines() -> list[str]:
    """A line for each fact; nothing of it names a user's data."""
    return [
        f"zssd        {__version__} in {Path(__file__).parents[1]}",
        f"python      {platform.python_version()} ({sys.executable})",
        f"platform    {platform.platform()}",
        f"processor   {_processor()}, {_cores()} of {os.cpu_count()} cores usable",
        *_torch(),
        *(f"{name:<12}{_version(name)}" for name in LIBRARIES if name != "torch"),
        *_netcdf(),
        _prior(),
        f"cache       {registry.cache_folder()}",
        *(f"{key} is set" for key in sorted(os.environ) if key.startswith("ZSSD_")),
    ]


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _torch() -> list[str]:
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return [f"torch       {torch.__version__}, {torch.get_num_threads()} threads, {gpu}"]


def _netcdf() -> list[str]:
    import netCDF4

    return [f"netcdf-c    {netCDF4.__netcdf4libversion__}, HDF5 {netCDF4.__hdf5libversion__}"]


def _prior() -> str:
    try:
        name = registry.default_name()
        path = registry.find_local(registry.entry(name))
        found = "not on this machine" if path is None else f"{path}, sha256 {registry.sha256_of(path)}"
    except ZssdError as error:
        return f"prior       {error}"
    return f"prior       {name}: {found}"
