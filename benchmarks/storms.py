"""Cyclones before and after: pressure and wind of block means, their interpolation, the downscaled members, and the truth.

    zssd downscale FIELD.nc --vars msl,u10,v10 --region=100,140,-40,-5 --members 8 --filter-scale 5 -o zelia_5.nc
    python benchmarks/storms.py FIELD.nc zelia_5.nc --near=-19.75,118.25

The truth is the field that was downscaled. Numbers are the lowest pressure and the strongest wind within five degrees of the
place, and whether zssd track's criteria (2 hPa within 5.5 degrees) find a cyclone there.
"""

import argparse
from pathlib import Path

import numpy as np

from zssd_cli.evaluation.alignment import open_output
from zssd_cli.evaluation.baselines import bilinear
from zssd_cli.evaluation.views import open_view
from zssd_cli.grids.conservative import latitude_weights, longitude_weights
from zssd_cli.grids.latlon import LatLonGrid, Region, block_grid, fine_grid
from zssd_cli.series.reading import open_source
from zssd_cli.tracking.detection import detect, distance

NAMES, NEAR = ("msl", "u10", "v10"), 5.0


def measure(fields: np.ndarray, grid: LatLonGrid, place: tuple[float, float]) -> tuple[float, float, bool]:
    """Lowest pressure [hPa], strongest wind [m s-1], and whether there is a closed low, near a place."""
    away = distance(grid.lat[:, None], grid.lon[None, :], *place)
    near, speed = away <= NEAR, np.hypot(fields[1], fields[2])
    lows = detect(fields[0], grid.lat, grid.lon, speed)
    found = any(distance(low.lat, low.lon, *place) <= NEAR for low in lows)
    return float(fields[0][near].min()) / 100, float(speed[near].max()), found


def main() -> None:
    """Print a row for each kind of field."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--near", required=True, help="LAT,LON of the storm")
    options = parser.parse_args()
    lat, lon = (float(part) for part in options.near.split(","))
    view = open_view(open_output(options.output))
    scale, grid = view.output.filter_scale or 5.0, view.grid
    source = open_source([options.truth], NAMES)
    whole = source.grid or grid
    every = source.read(0, 1)[0]
    truth = every[:, np.isin(whole.lat, grid.lat)][:, :, [int(np.argmin((whole.lon - x) % 360)) for x in grid.lon]]
    fine = fine_grid()
    blocks = block_grid(scale, Region(grid.lon[0], grid.lon[-1], grid.lat[0], grid.lat[-1]))
    down, across = (
        latitude_weights(fine.lat_edges, blocks.lat_edges),
        longitude_weights(whole.lon_edges, blocks.lon_edges),
    )
    coarse = np.stack([down @ field @ across.T for field in every.astype(float)])
    rows = [("block means", measure(coarse, blocks, (lat, lon)))]
    rows.append(("bilinear", measure(bilinear(coarse, blocks, grid), grid, (lat, lon))))
    members = [np.stack([view.field(name, 0, m) for name in NAMES]) for m in view.members]
    rows += [
        (f"member {m}", measure(fields, grid, (lat, lon))) for m, fields in zip(view.members, members, strict=True)
    ]
    rows.append(("truth", measure(truth, grid, (lat, lon))))
    print(f"{options.output.name}, blocks of {scale:g} degrees")
    for name, (pressure, wind, found) in rows:
        print(f"{name:12} {pressure:7.1f} hPa {wind:5.1f} m/s {'closed' if found else 'none'}")


if __name__ == "__main__":
    main()
