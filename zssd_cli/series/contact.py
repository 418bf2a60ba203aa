"""First contact: files that are not what the tool reads, named for what they are, with the command that helps."""

from pathlib import Path

import netCDF4
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.files import check_regular
from zssd_cli.variables import VARIABLES

_NETCDF = (b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF")
_KINDS = (
    (b"PK", "a zip archive", "unzip it first"),
    (b"\x1f\x8b", "compressed with gzip", "decompress it first with gunzip"),
    (b"BZh", "compressed with bzip2", "decompress it first with bunzip2"),
    (b"\xfd7zX", "compressed with xz", "decompress it first with unxz"),
    (b"(\xb5/\xfd", "compressed with zstd", "decompress it first with unzstd"),
    (b"\x0e\x03\x13\x01", "HDF4", "convert it first, for instance with ncl_convert2nc"),
    (b"%PDF", "a PDF document", "choose the data file"),
    (b"\x89PNG", "a picture", "choose the data file"),
    (b"II*\x00", "a TIFF image", "convert it first with gdal_translate -of netCDF"),
    (b"PAR1", "a Parquet table", "give gridded NetCDF files"),
    (b"BUFR", "BUFR, which holds observations", "give gridded NetCDF files"),
)
KNOWN = {name for variable in VARIABLES.values() for name in (*variable.own_names, *variable.profiles)}
_TEXT_LIKE = 0.95


def refuse_other_formats(path: Path) -> bytes:
    """The first four bytes of a file that may be NetCDF or GRIB.

    Raises
    ------
    InputError
        It is a pipe or a device, empty, packed, a web page, text, or of another format.
    """
    check_regular(path)
    with path.open("rb") as stream:
        start = stream.read(512)
    if not start:
        msg = "the file is empty (0 bytes); download or write it again."
        raise InputError(msg)
    for magic, what, remedy in _KINDS:
        if start.startswith(magic):
            msg = f"is {what}, expected NetCDF; {remedy}."
            raise InputError(msg)
    if start[257:262] == b"ustar":
        msg = "is a tar archive, expected NetCDF; unpack it first (tar xf)."
        raise InputError(msg)
    if start.startswith(b"version https://git-lfs"):
        msg = "is a pointer of Git LFS, not the file; fetch it with git lfs pull."
        raise InputError(msg)
    if start.lstrip()[:1] in (b"<", b"{"):
        msg = "is a text or web page, expected NetCDF; the download probably failed."
        raise InputError(msg)
    if start[:4] not in _NETCDF and _is_text(start):
        msg = f"is text ({start[:40].decode(errors='replace').split(chr(10))[0]!r} ...), expected NetCDF; give gridded NetCDF files."
        raise InputError(msg)
    return start[:4]


def _is_text(start: bytes) -> bool:
    printable = sum(32 <= byte < 127 or byte in (9, 10, 13) for byte in start)
    return b"\x00" not in start and printable >= _TEXT_LIKE * len(start)


def refuse_foreign(dataset: xr.Dataset, path: Path) -> None:
    """Raise :class:`InputError` for datasets of a layout that has to be converted first: fields in groups, raw WRF output."""
    groups = _groups_with_fields(path)
    if groups:
        name = groups[0].rsplit("/", 1)[-1]
        others = f" (and in {', '.join(groups[1:4])})" if len(groups) > 1 else ""
        msg = (
            f"it holds fields in the group {groups[0]!r}{others}, which are not read; "
            f"take them out with ncks -G : -g {name} {path.name} out.nc."
        )
        raise InputError(msg)
    if {"south_north", "west_east"} <= {str(d) for d in dataset.dims} and "XLAT" in dataset.variables:
        msg = (
            "is raw WRF output: its winds point along the model's axes and it holds no sea-level pressure; "
            "make slp and uvmet10 with wrf-python (getvar), name them psl, uas and vas, and give those."
        )
        raise InputError(msg)


def _groups_with_fields(path: Path) -> list[str]:
    """Full names of the groups of a NetCDF-4 file that hold arrays with the name of a variable that zssd knows."""
    if not path.is_file():
        return []
    found: list[str] = []
    with netCDF4.Dataset(path) as file:
        waiting = list(file.groups.values())
        while waiting and len(found) < 100:
            group = waiting.pop(0)
            waiting.extend(group.groups.values())
            if any(name.lower() in KNOWN and array.ndim >= 2 for name, array in group.variables.items()):
                found.append(group.path.lstrip("/"))
    return found


def is_opendap(url: str) -> bool:
    """True for an address that serves NetCDF, not Zarr: THREDDS, OPeNDAP, ERDDAP, or a file of that name."""
    plain = url.split("?")[0].lower()
    served = ("/dodsc/", "/opendap/", "/thredds/", "/erddap/", "/fileserver/")
    return plain.startswith("http") and (
        any(part in plain for part in served) or plain.endswith((".nc", ".nc4", ".grib", ".grib2"))
    )


def refuse_opendap(url: str) -> None:
    """Raise :class:`InputError` for such an address, with the command that fetches it."""
    if url.lower().split("?")[0].endswith((".html", ".xml")):
        msg = "is the page of a catalogue, expected a file; open it in a browser and fetch the file by its HTTPServer address."
        raise InputError(msg)
    served = "/fileserver/" in url.lower() or not any(
        part in url.lower() for part in ("/dodsc/", "/opendap/", "/erddap/")
    )
    remedy = f"wget '{url}'" if served else f"nccopy '{url}' in.nc (a part: ncks -d time,0,3 '{url}' in.nc)"
    msg = f"is an address that serves NetCDF, expected a file; fetch it first: {remedy}."
    raise InputError(msg)
