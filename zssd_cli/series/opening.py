"""File formats: from a path or URL to open datasets, or one line on what is wrong."""

import re
import struct
import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import cftime
import numpy as np
import xarray as xr

from zssd_cli.errors import InputError, ZssdError
from zssd_cli.series.classic import missing_bytes
from zssd_cli.series.contact import is_opendap, refuse_foreign, refuse_opendap, refuse_other_formats
from zssd_cli.series.grib import open_grib
from zssd_cli.variables import Variable
from zssd_cli.watchdog import watched

_LONGEST = 300
_STORAGE = {"scale_factor", "add_offset", "_FillValue", "missing_value"}
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]+):/+")
"""A URL as a path: pathlib folds its two slashes into one."""


def one_line(text: object) -> str:
    """Any message on one line of bearable length."""
    line = " ".join(str(text).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


@contextmanager
def reading(path: Path, what: str = "cannot be read") -> Iterator[None]:
    """Turn whatever a library says about a broken file into one line with the file's name or URL."""
    name = url_of(path) or str(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ZssdError as error:
        text = one_line(error)
        if text.startswith((str(path), name)):
            raise
        msg = f"{name}: {text}"
        raise type(error)(msg) from error
    except Exception as error:
        remedy = "check the file, for instance with ncdump -h"
        if name != str(path):
            remedy = "check the address and the network"
        elif is_zarr(path):
            remedy = "check the store, or write it again"
        msg = f"{name}: {what} ({one_line(error) or type(error).__name__}); {remedy}."
        raise InputError(msg) from error


def url_of(path: Path) -> str | None:
    """The URL that a path was made of (``gs://bucket/era5.zarr``), None for a path of this machine."""
    scheme = _SCHEME.match(str(path))
    if scheme is None:
        return None
    return f"{scheme[1]}://{'/' if scheme[1] in ('file', 'memory') else ''}{str(path)[scheme.end() :]}"


def is_zarr(path: Path) -> bool:
    """True for a Zarr store: a URL, or a folder with Zarr's metadata."""
    return url_of(path) is not None or any((path / name).is_file() for name in (".zgroup", ".zmetadata", "zarr.json"))


def open_datasets(path: Path, variables: Sequence[Variable]) -> tuple[xr.Dataset, ...]:
    """The datasets of one file, lazy and with undecoded times: one for NetCDF and Zarr, one per variable for GRIB.

    None for a GRIB file without a message of the variables.

    Raises
    ------
    InputError
        The file cannot be read as NetCDF, GRIB or Zarr, or is truncated.
    """
    with reading(path):
        url = url_of(path)
        if url is not None and is_opendap(url):
            refuse_opendap(url)
        if is_zarr(path):
            return (_open_zarr(path),)
        if refuse_other_formats(path) == b"GRIB":
            return open_grib(path, variables)
        _check_complete(path)
        with watched(path):
            dataset = _open_netcdf(path)
            try:
                refuse_foreign(dataset, path)
            except InputError:
                dataset.close()
                raise
        return (dataset,)


def _open_netcdf(path: Path) -> xr.Dataset:
    """A NetCDF file; numbers that are written as text in the attributes that say how values are stored are numbers."""
    dataset = xr.open_dataset(path, engine="netcdf4", decode_times=False, cache=False)
    if not any(isinstance(array.encoding.get(key), str) for array in dataset.variables.values() for key in _STORAGE):
        return dataset
    dataset.close()
    raw = xr.open_dataset(path, engine="netcdf4", decode_cf=False, cache=False)
    for array in raw.variables.values():
        for key in _STORAGE & array.attrs.keys():
            if isinstance(array.attrs[key], str):
                array.attrs[key] = _number(array.attrs[key], f"{key} of {array.dtype} values")
                if key in ("_FillValue", "missing_value"):
                    array.attrs[key] = np.array(array.attrs[key]).astype(array.dtype)[()]
    decoded = xr.decode_cf(raw, decode_times=False)
    decoded.set_close(raw.close)
    return decoded


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        msg = f"{what} is the text {text!r}, expected a number; correct it, for instance with ncatted."
        raise InputError(msg) from error


def undecoded(dataset: xr.Dataset) -> xr.Dataset:
    """A Dataset in memory as :func:`open_datasets` would give it: dates as numbers with units and calendar."""
    dates = {name: _encoded(name, array) for name, array in dataset.variables.items() if _holds_dates(array)}
    return dataset.drop_indexes([n for n in dates if n in dataset.indexes]).assign_coords(
        {name: array for name, array in dates.items() if name in dataset.coords}
    )


def _holds_dates(array: xr.Variable) -> bool:
    first = array.values.flat[0] if array.dtype == object and array.size else None
    return array.dtype.kind in "mM" or isinstance(first, cftime.datetime)


def _encoded(name: Hashable, array: xr.Variable) -> xr.Variable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoded = xr.conventions.encode_cf_variable(array, name=name)
    encoded.attrs.pop("_FillValue", None)
    return encoded


def _check_complete(path: Path) -> None:
    try:
        lacking = missing_bytes(path)
    except (struct.error, LookupError, ArithmeticError, ValueError, OSError) as error:
        msg = "the NetCDF header is broken; download or write the file again."
        raise InputError(msg) from error
    if lacking:
        msg = f"is truncated, {lacking} bytes of data are missing; download or write it again."
        raise InputError(msg)


def _open_zarr(path: Path) -> xr.Dataset:
    """A Zarr store in a folder or behind a URL that fsspec knows; consolidated metadata where there are some."""
    url = url_of(path)
    for module in ("zarr", "fsspec") if url else ("zarr",):
        if find_spec(module) is None:
            msg = f"is a Zarr store, which needs {module}: pip install zarr fsspec."
            raise InputError(msg)
    if url is not None and url.startswith("http") and not (find_spec("aiohttp") and find_spec("requests")):
        msg = "is behind HTTP, which needs aiohttp and requests: pip install aiohttp requests."
        raise InputError(msg)
    return xr.open_dataset(url or str(path), engine="zarr", chunks=None, decode_times=False, cache=False)
