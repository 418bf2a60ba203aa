"""Static fields: surface height and land fraction on the global 0.25 degree grid, the prior's geographic conditions.

Three sources are understood: the built-in file (``docs/static-fields.md``), ERA5's geopotential and land-sea mask, and
NOAA's ETOPO 2022. Whatever the source, a :class:`StaticFields` is identified by one hash, so that weights can tell
whether they meet the fields that they were trained with.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from zssd_cli import __version__
from zssd_cli.errors import ConfigError, InputError, OutputError, ZssdError
from zssd_cli.files import atomic_path, disk_errors
from zssd_cli.grids.conservative import latitude_weights, longitude_weights
from zssd_cli.grids.latlon import FINE_STEP, LatLonGrid, fine_grid
from zssd_cli.watchdog import watched

BUILTIN = Path(__file__).parent / "data" / "static_builtin_025.nc"
HASH_ATTRIBUTE = "zssd_static_sha256"
GRAVITY = 9.80665
SHAPE = (721, 1440)
LOWEST, HIGHEST = -500.0, 9000.0
LEAST_SUMMIT = 4500.0
"""No 0.25 degree field of the whole globe has a highest cell below this [m]: ERA5 5859, built-in 5894."""
ETOPO_BAND_ROWS = 240
_GEOPOTENTIAL_UNITS = {"m2s-2", "m2/s2"}


@dataclass(frozen=True, eq=False)
class StaticFields:
    """Height and land on the global 0.25 degree grid.

    Attributes
    ----------
    height
        Surface height in m, (721, 1440) float32; latitude -90..90, longitude 0..359.75. The sea is 0.
    land_fraction
        Share of land, 0..1, same shape.
    source
        Where they come from, one line.
    """

    height: np.ndarray
    land_fraction: np.ndarray
    source: str

    def __post_init__(self) -> None:
        for name, field, low, high in (
            ("height [m]", self.height, LOWEST, HIGHEST),
            ("land fraction", self.land_fraction, 0.0, 1.0),
        ):
            if field.shape != SHAPE:
                msg = (
                    f"Static {name}: expected the global 0.25 degree grid {SHAPE}, got {field.shape}. Use zssd "
                    "fetch-static."
                )
                raise InputError(msg)
            lowest, highest = float(np.min(field)), float(np.max(field))
            if not (low <= lowest and highest <= high):
                msg = (
                    f"Static {name}: expected {low:g} to {high:g}, got {lowest:g} to {highest:g}. Check the "
                    "file's units and missing values."
                )
                raise InputError(msg)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over the height in whole metres (int16) and the land fraction in percent (int8), little-endian rows.

        Files that different NetCDF libraries wrote agree, whatever their chunks and compression.
        """
        digest = hashlib.sha256(np.rint(self.height).astype("<i2").tobytes())
        digest.update(np.rint(self.land_fraction * 100).astype("i1").tobytes())
        return digest.hexdigest()

    def channels(self, grid: LatLonGrid) -> np.ndarray:
        """The static channels of the prior on any part of the 0.25 degree grid.

        Parameters
        ----------
        grid
            Centres on multiples of 0.25 degree; longitudes may be negative or beyond 360.

        Returns
        -------
        Array (4, lat, lon) float32: height in km, land fraction, sin(latitude), cos(latitude).

        Raises
        ------
        ConfigError
            The grid's centres are not multiples of 0.25 degree.
        """
        rows = _quarter_degree_index(grid.lat, "latitude") + 360
        columns = _quarter_degree_index(grid.lon, "longitude") % 1440
        phi = np.deg2rad(grid.lat)[:, None]
        cells = np.ix_(rows, columns)
        flat = (np.broadcast_to(f, grid.shape) for f in (np.sin(phi), np.maximum(np.cos(phi), 0.0)))
        return np.stack([self.height[cells] / 1000, self.land_fraction[cells], *flat]).astype(np.float32)


def _quarter_degree_index(centres: np.ndarray, name: str) -> np.ndarray:
    """Centres in units of 0.25 degree, whole numbers, or a :class:`ConfigError`."""
    index = np.rint(np.asarray(centres, dtype=np.float64) / FINE_STEP)
    if not np.allclose(index * FINE_STEP, centres, atol=1e-3):
        worst = centres[np.argmax(np.abs(index * FINE_STEP - centres))]
        msg = (
            f"Static fields: expected {name}s on multiples of 0.25 degree, got {worst:g}. Take the grid from the "
            "region."
        )
        raise ConfigError(msg)
    return index.astype(np.int64)


def load_static(path: Path | None = None) -> StaticFields:
    """The built-in fields, or those of a file that ``zssd fetch-static`` wrote.

    Raises
    ------
    InputError
        The file is absent, of another layout, or its fields do not match the hash that it carries.
    """
    path = BUILTIN if path is None else Path(path)
    with _open(path) as data:
        if not {"height", "lsm"} <= set(data.variables):
            have = ", ".join(sorted(data.variables)) or "nothing"
            msg = (
                f"{path}: expected the variables height and lsm, got {have}. Make a static file: zssd "
                f"fetch-static -o static.nc --source era5 {path.name}."
            )
            raise InputError(msg)
        height, land = (_field(data.variables[name], path) for name in ("height", "lsm"))
        if getattr(data.variables["height"], "units", "m") != "m":
            msg = f"{path}: expected height in m, got {data.variables['height'].units!r}."
            raise InputError(msg)
        static = StaticFields(
            height.astype(np.float32), land.astype(np.float32), str(getattr(data, "source", path.name))
        )
        expected = getattr(data, HASH_ATTRIBUTE, static.sha256)
    if expected != static.sha256:
        msg = (
            f"{path}: the fields do not match the file's own hash ({static.sha256[:12]}, expected "
            f"{expected[:12]}): damaged. Run zssd fetch-static again."
        )
        raise InputError(msg)
    return static


def from_era5(paths: Path | str | list[Path] | tuple[Path, ...]) -> StaticFields:
    """ERA5's geopotential (z, m2 s-2) and land-sea mask (lsm), from one or two NetCDF files.

    The global 0.25 degree grid in any order of latitude and any origin of longitude; time axes of length one.

    Raises
    ------
    InputError
        A variable is missing, or its units, range or grid is not that of ERA5's invariant fields.
    """
    files = [Path(p) for p in ([paths] if isinstance(paths, (str, Path)) else paths)]
    found: dict[str, np.ndarray] = {}
    for path in files:
        with _open(path) as data:
            for name, variable in data.variables.items():
                kind = _era5_kind(name, variable)
                if kind == "z":
                    found[kind] = _geopotential_height(variable, path)
                elif kind == "lsm":
                    found[kind] = _unit_fraction(variable, path)
    missing = [what for key, what in (("z", "geopotential (z)"), ("lsm", "land-sea mask (lsm)")) if key not in found]
    if missing:
        names = ", ".join(str(p) for p in files) or "no file"
        msg = (
            f"{names}: no {' and no '.join(missing)}. Give ERA5's invariant geopotential and land-sea mask, in "
            "one file or two."
        )
        raise InputError(msg)
    source = (
        f"ERA5 geopotential and land-sea mask ({', '.join(p.name for p in files)}); contains modified Copernicus "
        "Climate Change Service information"
    )
    return StaticFields(found["z"].astype(np.float32), found["lsm"].astype(np.float32), source)


def _era5_kind(name: str, variable: Any) -> str | None:  # noqa: ANN401 (netCDF4 has no types)
    """``z``, ``lsm`` or neither, by the name or the standard name of a field with two or more axes."""
    standard = getattr(variable, "standard_name", "")
    if variable.ndim < 2:
        return None
    if name in {"z", "geopotential"} or standard in {"geopotential", "surface_geopotential"}:
        return "z"
    return "lsm" if name == "lsm" or standard in {"land_binary_mask", "land_area_fraction"} else None


def _geopotential_height(variable: Any, path: Path) -> np.ndarray:  # noqa: ANN401
    """Surface geopotential to height in m, with the checks that tell it from metres and from pressure levels."""
    units = str(getattr(variable, "units", "absent"))
    if units.replace("**", "").replace("^", "").replace(" ", "") not in _GEOPOTENTIAL_UNITS:
        msg = (
            f"{path}: expected {variable.name} in m2 s-2, got units {units!r}. Give ERA5's geopotential, not a height."
        )
        raise InputError(msg)
    highest = float(np.ma.max(variable[...]))
    if highest < LEAST_SUMMIT * GRAVITY:
        msg = (
            f"{path}: {variable.name} says {units} but its maximum is {highest:.0f}, expected 55000 or more: "
            "these are metres, mislabelled, or not the globe."
        )
        raise InputError(msg)
    height = _field(variable, path) / GRAVITY
    if float(np.median(height)) > 1000:
        msg = (
            f"{path}: the median of {variable.name} is {np.median(height):.0f} m, expected that of the surface: "
            "this is a pressure level."
        )
        raise InputError(msg)
    return height


def _unit_fraction(variable: Any, path: Path) -> np.ndarray:  # noqa: ANN401
    """A land fraction; packing may miss 0 and 1 by a thousandth."""
    fraction = _field(variable, path)
    if fraction.min() < -1e-3 or fraction.max() > 1 + 1e-3:
        msg = (
            f"{path}: expected {variable.name} between 0 and 1, got {fraction.min():g} to {fraction.max():g}. "
            "Divide percent by 100."
        )
        raise InputError(msg)
    return np.clip(fraction, 0, 1)


def from_etopo(path: Path) -> StaticFields:
    """NOAA ETOPO 2022 surface relief (z in m, lat, lon): mean height with sea depths 0, land as the share above 0.

    Conservative means, read in bands of latitude: the 60 arc-second file has 10800 x 21600 cells. Land below the sea
    level (the Caspian shore, polders) counts as sea, ice shelves as land.
    """
    from scipy import sparse

    target, path = fine_grid(), Path(path)
    total = np.zeros((2, *SHAPE))
    with _open(path) as data:
        if not {"z", "lat", "lon"} <= set(data.variables):
            msg = f"{path}: expected ETOPO 2022 with z, lat and lon, got {', '.join(sorted(data.variables))}."
            raise InputError(msg)
        relief = data.variables["z"]
        lat_edges, lon_edges = (_edges(_values(data.variables[name]), name, path) for name in ("lat", "lon"))
        parts = [longitude_weights(lon_edges, target.lon_edges[i : i + 97]) for i in range(0, 1440, 96)]
        across = sparse.vstack([sparse.csr_array(part) for part in parts])
        for start in range(0, lat_edges.size - 1, ETOPO_BAND_ROWS):
            band = np.ma.filled(relief[start : start + ETOPO_BAND_ROWS].astype(np.float64), np.nan)
            edges = lat_edges[start : start + band.shape[0] + 1]
            down = latitude_weights(np.sort(edges), target.lat_edges)
            if edges[0] > edges[-1]:
                down = down[:, ::-1]
            for k, field in enumerate((np.maximum(band, 0), np.where(np.isnan(band), np.nan, band > 0))):
                total[k] += down @ (across @ field.T).T
        covered = latitude_weights(np.sort(lat_edges), target.lat_edges).sum(1).min() * across.sum(axis=1).min()
    if not np.isfinite(total).all() or abs(covered - 1) > 1e-6:
        msg = f"{path}: expected the whole globe without missing cells. Give the global ETOPO 2022 surface file."
        raise InputError(msg)
    source = f"NOAA National Centers for Environmental Information, ETOPO 2022 ({path.name}), doi:10.25921/fd45-gt74"
    return StaticFields(total[0].astype(np.float32), np.clip(total[1], 0, 1).astype(np.float32), source)


def _edges(centres: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Edges halfway between equally spaced centres; latitude clipped to the poles."""
    steps = np.diff(centres)
    if centres.size < 2 or not np.allclose(steps, steps[0], rtol=1e-3):
        msg = f"{path}: expected equally spaced {name}."
        raise InputError(msg)
    first, step = float(centres[0]), float(centres[-1] - centres[0]) / (centres.size - 1)
    edges = first + step * (np.arange(centres.size + 1) - 0.5)
    return np.clip(edges, -90, 90) if name == "lat" else edges


def write_static(static: StaticFields, path: Path) -> None:
    """Write the fields as CF-1.8 NetCDF, in the layout of the built-in file, whole or not at all.

    Raises
    ------
    OutputError
        The folder does not exist or cannot be written.
    """
    with disk_errors(path):
        try:
            with atomic_path(Path(path)) as temporary, netCDF4.Dataset(temporary, "w") as data:
                _write(static, data)
        except OSError as error:
            msg = f"Cannot write {path} ({error.strerror or error}). Check that the folder exists and has room."
            raise OutputError(msg) from error


def _write(static: StaticFields, data: netCDF4.Dataset) -> None:
    grid = fine_grid()
    for name, long, units, values in (
        ("lat", "latitude", "north", grid.lat),
        ("lon", "longitude", "east", grid.lon),
    ):
        data.createDimension(name, values.size)
        axis = data.createVariable(name, "f8", (name,))
        axis.setncatts({"units": f"degrees_{units}", "standard_name": long, "axis": "Y" if name == "lat" else "X"})
        axis[:] = values
    height = data.createVariable("height", "i2", ("lat", "lon"), zlib=True, complevel=9)
    height.setncatts({"units": "m", "standard_name": "surface_altitude"})
    height[:] = np.rint(static.height).astype("i2")
    land = data.createVariable("lsm", "i1", ("lat", "lon"), zlib=True, complevel=9)
    land.setncatts({"units": "1", "standard_name": "land_area_fraction", "scale_factor": 0.01})
    land.set_auto_scale(False)
    land[:] = np.rint(static.land_fraction * 100).astype("i1")
    title = "Surface height and land fraction at 0.25 degree"
    data.setncatts({"Conventions": "CF-1.8", "title": title, "source": static.source, HASH_ATTRIBUTE: static.sha256})
    data.history = f"zssd {__version__} fetch-static"


@contextmanager
def _open(path: Path) -> Iterator[netCDF4.Dataset]:
    """Open for reading; whatever is not NetCDF, or is damaged where it is read, is an :class:`InputError`."""
    if not Path(path).is_file():
        got = "a folder" if Path(path).is_dir() else "no such file"
        msg = f"{path}: expected a NetCDF file, got {got}; check the path."
        raise InputError(msg)
    try:
        with watched(Path(path)):
            data = netCDF4.Dataset(path)
    except (OSError, RuntimeError, ValueError) as error:
        msg = (
            f"{path} is not a readable NetCDF file ({getattr(error, 'strerror', None) or error}). For GRIB, convert it first: "
            "grib_to_netcdf or cdo -f nc4 copy."
        )
        raise InputError(msg) from error
    with data:
        try:
            yield data
        except (ZssdError, MemoryError):
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            msg = f"{path} is damaged ({reason}). Fetch it again, or make it anew with zssd fetch-static."
            raise InputError(msg) from error


def _values(variable: Any) -> np.ndarray:  # noqa: ANN401
    """All values as float64, missing ones NaN."""
    return np.ma.filled(np.ma.asarray(variable[...]).astype(np.float64), np.nan)


def _field(variable: Any, path: Path) -> np.ndarray:  # noqa: ANN401
    """A global field (721, 1440), latitude and longitude put in order by the coordinates; other axes of length one."""
    sizes = dict(zip(variable.dimensions, variable.shape, strict=True))
    lat, lon = (next((d for d in sizes if d in names), None) for names in ({"lat", "latitude"}, {"lon", "longitude"}))
    group = variable.group().variables
    if (
        lat not in group
        or lon not in group
        or variable.dimensions[-2:] != (lat, lon)
        or variable.size != sizes[lat] * sizes[lon]
    ):
        msg = (
            f"{path}: expected {variable.name} with latitude and longitude last and other axes of length one, got "
            f"{sizes}."
        )
        raise InputError(msg)
    target = fine_grid()
    lats, lons = _values(group[lat]), _values(group[lon]) % 360
    lons[lons > 360 - 1e-3] = 0.0
    rows, columns = np.argsort(lats), np.argsort(lons)
    same = (
        (lats.size, lons.size) == SHAPE
        and np.allclose(lats[rows], target.lat, atol=1e-3)
        and np.allclose(lons[columns], target.lon, atol=1e-3)
    )
    if not same:
        msg = (
            f"{path}: expected {variable.name} on the global 0.25 degree grid {SHAPE}, got {sizes}. Regridded or "
            "cropped files will not do."
        )
        raise InputError(msg)
    field = _values(variable).reshape(SHAPE)[np.ix_(rows, columns)]
    if not np.isfinite(field).all():
        msg = f"{path}: {variable.name} has {int((~np.isfinite(field)).sum())} missing cells, expected none."
        raise InputError(msg)
    return field
