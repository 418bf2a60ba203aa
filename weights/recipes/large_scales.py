"""Coarse global fields on 0.25 degree cells by cubic interpolation: for the covariances of a training (`smooth`), not for its network.

R=../shared/data/reanalysis/coarser
python weights/recipes/large_scales.py $R/gfs.grb $R/gfs.t12z.pgrbf120.2p5deg.grib2 --vars msl,u10,v10,z500,z250 -o large.nc
"""

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from zssd_cli.series.reading import open_source
from zssd_cli.variables import VARIABLES


def main() -> None:
    """Read, interpolate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--vars", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    source = open_source(options.files, tuple(options.vars.split(",")))
    lat, lon = np.arange(-90, 90.01, 0.25), np.arange(0, 360, 0.25)
    fields = {}
    for name in source.variables:
        grid = source.cells[name].grid
        values = xr.DataArray(
            source.fields(name, 0, len(source.times)), dims=("time", "latitude", "longitude"),
            coords={"time": list(source.times), "latitude": grid.lat, "longitude": grid.lon},
        ).pad(longitude=(2, 2), mode="wrap")  # fmt: skip
        step = grid.lon[1] - grid.lon[0]
        values["longitude"] = grid.lon[0] + step * np.arange(-2, grid.lon.size + 2)
        turned = (lon - grid.lon[0]) % 360 + grid.lon[0]
        fields[name] = values.interp(latitude=lat, longitude=turned, method="cubic").assign_coords(longitude=lon)
        fields[name].attrs = {
            "standard_name": VARIABLES[name].standard_name,
            "units": VARIABLES[name].units,
            "cell_methods": "time: point",
        }
    data = xr.Dataset(
        fields, attrs={"title": f"Large scales of {', '.join(Path(file).name for file in options.files)}"}
    )
    for axis, units in (("latitude", "degrees_north"), ("longitude", "degrees_east")):
        data[axis].attrs = {"standard_name": axis, "units": units}
    data.to_netcdf(options.output, encoding={name: {"dtype": "float32", "zlib": True} for name in fields})


if __name__ == "__main__":
    main()
