"""Build ``zssd_cli/data/static_builtin_025.nc`` (developers only; users never run this).

Surface height and land fraction on the 0.25 degree grid, from data that ship with well-kept packages:

* height, 56 S to 60 N: ``pvlib`` 0.16.1 ``Altitude.h5`` (5 arcminutes, Mapzen/Tilezen "joerd": SRTM, GMTED2010,
  ETOPO1 and national models; steps of 28 m); elsewhere and where it has no value: NOAA ETOPO5 (public domain,
  1988), as in Debian's ``ferret-datasets`` 7.6.0 (``etopo5.cdf``). Depths are 0.
* land fraction: ``global-land-mask`` 1.0.0 (MIT), NOAA GLOBE at 30 arcseconds. Lakes count as land, the large Antarctic ice shelves as sea.

Usage: python docs/build_builtin_static.py Altitude.h5 globe_combined_mask_compressed.npz etopo5.cdf OUT.nc
"""

import sys

import h5py
import numpy as np
import xarray as xr

from zssd_cli.grids.conservative import latitude_weights, longitude_weights


def five_minute_cells_to_quarter_degree(field: np.ndarray) -> np.ndarray:
    """Conservative mean of a (2160, 4320) north-up field starting at 180 W; returns ascending latitude, 0..359.75 E."""
    edges_lat = np.linspace(-90, 90, 2161)
    edges_lon = np.linspace(-180, 180, 4321)
    return to_quarter_degree(field[::-1], edges_lat, edges_lon)


def to_quarter_degree(field: np.ndarray, edges_lat: np.ndarray, edges_lon: np.ndarray) -> np.ndarray:
    """Conservative mean on the global 0.25 degree grid."""
    lat = np.arange(721) * 0.25 - 90
    target_lat = np.clip(np.concatenate([lat - 0.125, [90.125]]), -90, 90)
    target_lon = np.arange(1441) * 0.25 - 0.125
    return latitude_weights(edges_lat, target_lat) @ field @ longitude_weights(edges_lon, target_lon).T


def main(altitude: str, mask: str, etopo5: str, out: str) -> None:
    """Read the three sources, merge and write int16 metres and percent."""
    with h5py.File(altitude) as file:
        coded = file["Altitude"][...].astype("f8")
    land = (~np.load(mask)["mask"]).reshape(2160, 10, 4320, 10).mean((1, 3))
    with xr.open_dataset(etopo5, decode_times=False) as source:
        points = np.maximum(source["ROSE"].values.astype("f8"), 0)
    lat_edges = np.clip(np.linspace(-90 - 1 / 24, 90 + 1 / 24, 2162), -90, 90)
    old = to_quarter_degree(points, lat_edges, np.arange(4321) / 12 - 1 / 24)

    missing = coded == 255
    height = np.where(missing, 0.0, np.maximum(coded * 28.0 - 450.0, 0.0))
    height[(height < 28) & (land == 0)] = 0.0
    new = five_minute_cells_to_quarter_degree(height)
    hole = five_minute_cells_to_quarter_degree((missing & (land > 0.5)).astype("f8"))

    lat = np.arange(721) * 0.25 - 90
    blend = np.clip(np.minimum((60 - lat) / 2, (lat + 56) / 2), 0, 1)[:, None] * (hole < 0.5)
    height = blend * new + (1 - blend) * old
    fraction = five_minute_cells_to_quarter_degree(land)

    data = xr.Dataset(
        {
            "height": (
                ("lat", "lon"),
                np.rint(height).astype("i2"),
                {"units": "m", "standard_name": "surface_altitude"},
            ),
            "lsm": (
                ("lat", "lon"),
                np.rint(fraction * 100).astype("i1"),
                {"units": "1", "standard_name": "land_area_fraction", "scale_factor": 0.01},
            ),
        },
        coords={
            "lat": ("lat", lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", np.arange(1440) * 0.25, {"units": "degrees_east", "standard_name": "longitude"}),
        },
        attrs={
            "Conventions": "CF-1.8",
            "title": "Surface height and land fraction at 0.25 degree, zssd built-in",
            "source": "pvlib 0.16.1 Altitude.h5 (Mapzen/Tilezen joerd), NOAA ETOPO5, global-land-mask 1.0.0 (NOAA GLOBE)",
            "comment": "Attributions of the height data: see docs/static-fields.md of zssd.",
        },
    )
    data.to_netcdf(out, encoding={name: {"zlib": True, "complevel": 9, "shuffle": True} for name in ("height", "lsm")})


if __name__ == "__main__":
    main(*sys.argv[1:5])
