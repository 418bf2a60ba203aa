"""Paired skill: coarsen a 0.25 degree field, downscale it with the command line, score against the field itself.

    python benchmarks/paired.py REFERENCE --region W,E,S,N --scales 5,2.5,1.5 --members 8
    python benchmarks/paired.py REFERENCE --region W,E,S,N --scales 5 --observed msl       # psl alone

One table: method, MAE, CRPS, 99th-percentile error and log spectral distance per variable and scale, beside bilinear
and bicubic interpolation of the same block means. With --observed the correlation of the inferred variables with the
truth is shown too (ensemble mean and single members). Everything goes through `zssd downscale` and `zssd evaluate`, as a
user would do it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import Console
from rich.table import Table

from zssd_cli.fields.reading import open_source
from zssd_cli.grids.latlon import block_grid
from zssd_cli.grids.regrid import separable
from zssd_cli.posterior.domain import source_region
from zssd_cli.variables import VARIABLES

VARS = ("msl", "u10", "v10")
DEFAULT = "../shared/data/reanalysis/ifs/ifs_global_msl_u10_v10_20250129T06.nc"


def write_coarse(reference: list[str], scale: float, observed: tuple[str, ...], every: int, out: Path) -> None:
    """Block means of the reference as a file of a climate model with cells of ``scale`` degrees."""
    source = open_source(reference, observed)
    blocks = block_grid(scale, source_region(source.grid, scale))
    regrid = separable(source.grid, blocks)
    times = range(0, len(source.times), every)
    values = np.stack([regrid(source.read(i, i + 1)[0]) for i in times])
    data = xr.Dataset(
        {
            name: (("time", "lat", "lon"), values[:, k].astype("f4"), {"units": VARIABLES[name].units})
            for k, name in enumerate(source.variables)
        },
        coords={
            "time": [source.times[i] for i in times],
            "lat": ("lat", blocks.lat, {"units": "degrees_north", "bounds": "lat_bnds"}),
            "lon": ("lon", blocks.lon, {"units": "degrees_east", "bounds": "lon_bnds"}),
            "lat_bnds": (("lat", "bnds"), np.stack([blocks.lat_edges[:-1], blocks.lat_edges[1:]], 1)),
            "lon_bnds": (("lon", "bnds"), np.stack([blocks.lon_edges[:-1], blocks.lon_edges[1:]], 1)),
        },
        attrs={"frequency": "6hr"},
    )
    data.to_netcdf(out)


def zssd(*arguments: str) -> None:
    """Run the command line; its errors end this program."""
    done = subprocess.run([sys.executable, "-m", "zssd_cli", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"zssd {' '.join(arguments)}\n{done.stdout}{done.stderr}")


def correlations(reference: list[str], out: Path, variable: str) -> tuple[float, float]:
    """Area-weighted correlation in space of ensemble mean and of single members with the truth, mean over times."""
    with xr.open_dataset(out, decode_times=False) as data:
        field = data[variable].values
        lat, lon = data["lat"].values, data["lon"].values
        count = data.sizes["time"]
    source = open_source(reference, (variable,))
    every = len(source.times) // count
    rows = np.rint((lat - source.grid.lat[0]) / 0.25).astype(int)
    columns = np.rint((lon - source.grid.lon[0]) / 0.25).astype(int) % 1440
    weights = np.cos(np.deg2rad(lat))[:, None] * np.ones(lon.size)

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        a, b = (x - np.average(x, weights=weights) for x in (a, b))
        return float((weights * a * b).sum() / np.sqrt((weights * a**2).sum() * (weights * b**2).sum()))

    pairs = []
    for k in range(count):
        truth = source.read(k * every, k * every + 1)[0, 0][np.ix_(rows, columns)]
        single = np.mean([correlation(member, truth) for member in field[k]])
        pairs.append((correlation(field[k].mean(0), truth), float(single)))
    return tuple(np.mean(pairs, 0))


def main() -> None:
    """Run all scales and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", nargs="*", default=[DEFAULT])
    parser.add_argument("--region", help="W,E,S,N; default: all blocks that the reference covers")
    parser.add_argument("--scales", default="5,2.5,1.5")
    parser.add_argument("--members", default="8")
    parser.add_argument("--observed", default=",".join(VARS))
    parser.add_argument("--every", type=int, default=1, help="take every n-th time of the reference")
    parser.add_argument("--json", type=Path)
    arguments, options = parser.parse_known_args()
    observed = tuple(arguments.observed.split(","))
    table = Table(
        "scale", "variable", "method", "MAE", "CRPS", "P99 error", "spread/skill", "LSD dB", "corr mean, member"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for scale in arguments.scales.split(","):
            coarse, out, scores = (Path(folder) / f"{scale}_{name}" for name in ("coarse.nc", "out.nc", "scores.json"))
            write_coarse(arguments.reference, float(scale), observed, arguments.every, coarse)
            started = time.monotonic()
            region = ["--region", arguments.region] if arguments.region else []
            zssd(
                "downscale",
                str(coarse),
                "--filter-scale",
                scale,
                "--members",
                arguments.members,
                *region,
                "-o",
                str(out),
                *options,
            )
            seconds = time.monotonic() - started
            zssd(
                "evaluate",
                str(out),
                *(part for path in arguments.reference for part in ("-r", path)),
                "--json",
                str(scores),
            )
            for row in json.loads(scores.read_text())["scores"]:
                inferred = row["method"] == "zssd" and row["variable"] in VARS and row["variable"] not in observed
                pair = correlations(arguments.reference, out, row["variable"]) if inferred else ()
                rows.append({"scale": float(scale), "seconds": seconds, **row, "correlation": pair})
                numbers = (row.get(key) for key in ("mae", "crps", "p99_error", "spread_skill", "lsd_db"))
                shown = [f"{n:.3g}" if n is not None else "-" for n in numbers]
                table.add_row(scale, row["variable"], row["method"], *shown, ", ".join(f"{c:.2f}" for c in pair))
    Console(width=120).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
