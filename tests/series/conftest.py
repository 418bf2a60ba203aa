"""Small files as users have them, one fault at a time."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest


class FileMaker:
    """Writes CMIP-like files into a folder.

    Values are a smooth function of time step, latitude and longitude, so that a test can say what must come out where.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @staticmethod
    def values(name: str, lat: np.ndarray, lon: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """Plausible values in canonical units, (time, lat, lon)."""
        base, size = {"psl": (101000.0, 1000.0), "zg": (5500.0, 100.0)}.get(name, (2.0, 6.0))
        t, y, x = np.meshgrid(hours / 24.0, np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
        return base + size * np.sin(t + 2 * y) * np.cos(x)

    def __call__(
        self,
        file: str = "in.nc",
        *,
        name: str = "psl",
        lat=(-60.0, -20.0, 20.0, 60.0),
        lon=(0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0),
        hours=(0.0, 6.0, 12.0),
        units: str | None = "Pa",
        time_units: str | None = "hours since 2010-01-01 00:00:00",
        calendar: str | None = "standard",
        values: np.ndarray | None = None,
        dims: tuple[str, ...] = ("time", "lat", "lon"),
        extra: dict[str, int] | None = None,
        dtype: str = "f4",
        attributes: dict | None = None,
        globals_: dict | None = None,
        coordinate_names: dict[str, str] | None = None,
        lat_bounds: np.ndarray | None = None,
        lon_bounds: np.ndarray | None = None,
        scalars: dict[str, tuple[float, dict]] | None = None,
        format: str = "NETCDF4",
    ) -> Path:
        """Write one variable; ``values`` are (time, lat, lon) whatever ``dims`` say."""
        path = self.folder / file
        lat, lon, hours = (np.asarray(x, dtype=float) for x in (lat, lon, hours))
        values = self.values(name, lat, lon, hours) if values is None else np.asarray(values)
        names = {"time": "time", "lat": "lat", "lon": "lon"} | (coordinate_names or {})
        with netCDF4.Dataset(path, "w", format=format) as data:
            data.setncatts(globals_ or {})
            for key, axis, unit in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
                data.createDimension(names[key], axis.size)
                data.createVariable(names[key], "f8", (names[key],))[:] = axis
                data[names[key]].units = unit
            for key, bounds in (("lat", lat_bounds), ("lon", lon_bounds)):
                if bounds is not None:
                    if "bnds" not in data.dimensions:
                        data.createDimension("bnds", 2)
                    data.createVariable(f"{key}_bnds", "f8", (names[key], "bnds"))[:] = bounds
                    data[names[key]].bounds = f"{key}_bnds"
            if "time" in dims:
                data.createDimension(names["time"], hours.size)
                if time_units is not None:
                    data.createVariable(names["time"], "f8", (names["time"],))[:] = hours
                    data[names["time"]].units = time_units
                    if calendar is not None:
                        data[names["time"]].calendar = calendar
            for key, size in (extra or {}).items():
                data.createDimension(key, size)
            for key, (number, its) in (scalars or {}).items():
                data.createVariable(key, "f8", ())[...] = number
                data[key].setncatts(its)
            attributes = {"units": units} | (attributes or {})
            fill = attributes.pop("_FillValue", None)
            full = np.asarray(values)
            order = [d for d in ("time", "lat", "lon") if d in dims]
            if "time" not in dims:
                full = full[0]
            for key, size in (extra or {}).items():
                full, order = np.stack([full] * size), [key, *order]
            full = full.transpose([order.index(d) for d in dims])
            array = data.createVariable(name, dtype, tuple(names.get(d, d) for d in dims), fill_value=fill)
            array.setncatts({key: value for key, value in attributes.items() if value is not None})
            array.set_auto_maskandscale("scale_factor" in attributes)
            array[:] = full
        return path


@pytest.fixture
def make(tmp_path):
    """Write small files into the test's folder."""
    return FileMaker(tmp_path)
