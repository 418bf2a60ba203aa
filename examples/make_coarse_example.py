"""Write a synthetic coarse pressure file that looks like CMIP6 output, to try zssd without any download.

Mean sea level pressure on a 2.5 degree grid at two times, six hours apart: a zonal mean with subtropical highs and
subpolar lows, a stationary wave, and travelling lows and highs in both hemispheres. It is weather from nowhere: good
for seeing that the tool works, not for science.

    python examples/make_coarse_example.py psl_example.nc
    zssd downscale psl_example.nc --vars msl,u10,v10 --region north-atlantic -o fine.nc
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

STEP = 2.5
HOURS = (0.0, 6.0)
EARTH_RADIUS = 6371.0
START = 58440.0
"""Days from 1850-01-01 to 2010-02-10 in the calendar without leap years."""

ATTRIBUTES = {
    "Conventions": "CF-1.7 CMIP-6.2",
    "activity_id": "none",
    "comment": "Synthetic data made by examples/make_coarse_example.py of zssd. No climate model produced it.",
    "experiment_id": "zssd-demo",
    "frequency": "6hr",
    "grid_label": "gr",
    "institution_id": "none",
    "mip_era": "CMIP6",
    "nominal_resolution": "250 km",
    "realm": "atmos",
    "source": "synthetic lows and highs on a zonal mean",
    "source_id": "zssd-example",
    "table_id": "6hrPlevPt",
    "title": "Synthetic mean sea level pressure for trying zssd",
    "tracking_id": "hdl:21.14100/00000000-7a73-7364-0000-000000000001",
    "variable_id": "psl",
    "variant_label": "r1i1p1f1",
}


@dataclass(frozen=True)
class Eddy:
    """A travelling low (negative depth) or high.

    Attributes
    ----------
    lat, lon
        Centre at the first time, degrees.
    depth
        Pressure difference at the centre, hPa.
    radius
        Distance at which the difference has fallen to 1/e, km.
    east, north
        Speed, m s-1.
    """

    lat: float
    lon: float
    depth: float
    radius: float
    east: float
    north: float


EDDIES = (
    Eddy(57.0, -38.0, -38.0, 950.0, 11.0, 4.0),
    Eddy(44.0, -62.0, -24.0, 800.0, 16.0, 6.0),
    Eddy(62.0, -8.0, -22.0, 850.0, 9.0, 3.0),
    Eddy(36.0, -22.0, 20.0, 1200.0, 6.0, 0.0),
    Eddy(50.0, 175.0, -36.0, 1050.0, 10.0, 3.0),
    Eddy(40.0, 150.0, -22.0, 800.0, 15.0, 5.0),
    Eddy(34.0, -140.0, 21.0, 1200.0, 5.0, 0.0),
    Eddy(52.0, 85.0, 24.0, 1200.0, 4.0, 0.0),
    Eddy(-56.0, 20.0, -32.0, 900.0, 14.0, -3.0),
    Eddy(-50.0, 95.0, -28.0, 850.0, 16.0, -4.0),
    Eddy(-59.0, 165.0, -34.0, 950.0, 13.0, -3.0),
    Eddy(-48.0, -120.0, -26.0, 800.0, 15.0, -4.0),
    Eddy(-55.0, -45.0, -30.0, 850.0, 14.0, -3.0),
    Eddy(-40.0, 60.0, 20.0, 1100.0, 10.0, 0.0),
    Eddy(-38.0, -85.0, 22.0, 1200.0, 8.0, 0.0),
)


def zonal_mean(lat: np.ndarray) -> np.ndarray:
    """Climatological pressure in hPa: subtropical highs, subpolar lows, the deepest around Antarctica."""
    bumps = ((31.0, 15.0, 8.0), (-31.0, 13.0, 8.0), (61.0, 11.0, -5.0), (-65.0, 12.0, -27.0), (88.0, 12.0, 5.0))
    return 1011.0 + sum(size * np.exp(-(((lat - at) / width) ** 2)) for at, width, size in bumps)


def great_circle(lat: np.ndarray, lon: np.ndarray, lat_0: float, lon_0: float) -> np.ndarray:
    """Distance in km from a point, (lat, lon)."""
    a, b = np.deg2rad(lat)[:, None], np.deg2rad(lat_0)
    cosine = np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(np.deg2rad(lon - lon_0))[None]
    return EARTH_RADIUS * np.arccos(np.clip(cosine, -1.0, 1.0))


def pressure(lat: np.ndarray, lon: np.ndarray, hours: float) -> np.ndarray:
    """Mean sea level pressure in Pa at a time after the start, (lat, lon)."""
    wave = 4.0 * np.cos(np.deg2rad(2.0 * (lon + 30.0)))[None] * np.exp(-(((lat - 55.0) / 15.0) ** 2))[:, None]
    field = zonal_mean(lat)[:, None] + wave
    for eddy in EDDIES:
        kilometres = 3.6 * hours
        lat_0 = eddy.lat + eddy.north * kilometres / 111.2
        lon_0 = eddy.lon + eddy.east * kilometres / (111.2 * np.cos(np.deg2rad(eddy.lat)))
        field = field + eddy.depth * np.exp(-((great_circle(lat, lon, lat_0, lon_0) / eddy.radius) ** 2))
    return 100.0 * field


def make_dataset() -> xr.Dataset:
    """The file's content: psl (time, lat, lon) with bounds and the attributes of CMIP6."""
    lat, lon = np.arange(-90 + STEP / 2, 90, STEP), np.arange(STEP / 2, 360, STEP)
    half = np.array([-STEP / 2, STEP / 2])
    psl = np.stack([pressure(lat, lon, hours) for hours in HOURS]).astype(np.float32)
    names = {
        "standard_name": "air_pressure_at_mean_sea_level",
        "long_name": "Sea Level Pressure",
        "units": "Pa",
        "cell_methods": "area: mean time: point",
    }
    days = {"standard_name": "time", "axis": "T", "units": "days since 1850-01-01", "calendar": "noleap"}
    south_north = {"standard_name": "latitude", "axis": "Y", "units": "degrees_north", "bounds": "lat_bnds"}
    west_east = {"standard_name": "longitude", "axis": "X", "units": "degrees_east", "bounds": "lon_bnds"}
    return xr.Dataset(
        {
            "psl": (("time", "lat", "lon"), psl, names),
            "lat_bnds": (("lat", "bnds"), lat[:, None] + half),
            "lon_bnds": (("lon", "bnds"), lon[:, None] + half),
        },
        coords={
            "time": ("time", START + np.array(HOURS) / 24, days),
            "lat": ("lat", lat, south_north),
            "lon": ("lon", lon, west_east),
        },
        attrs=ATTRIBUTES,
    )


def main(arguments: list[str] | None = None) -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description="Write a synthetic CMIP6-like file of sea level pressure.")
    parser.add_argument("output", metavar="OUT.nc", type=Path, help="file to write; an existing one is replaced")
    output = parser.parse_args(arguments).output
    dataset = make_dataset()
    encoding = {name: {"_FillValue": None} for name in dataset.variables}
    encoding["psl"] = {"_FillValue": np.float32(1e20), "zlib": True, "complevel": 4}
    dataset.to_netcdf(output, encoding=encoding, unlimited_dims=["time"])


if __name__ == "__main__":
    main()
