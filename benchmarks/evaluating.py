"""Memory and time of ``zssd evaluate`` on global series: made fields, an output of one member and a reference, of so many times.

    python benchmarks/evaluating.py --times 10,200 [--folder /tmp] [--variables msl]

Every length runs in a process of its own, whose peak memory is read at its end. The files are removed afterwards. Reading is what
the reader's calls take on the wall clock; they run beside the scoring in a thread of their own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

import zssd_cli
from zssd_cli.evaluation.alignment import OutputFile
from zssd_cli.grids.latlon import fine_grid
from zssd_cli.series.reading import Source

FIELDS = 8
"""Different fields; the series repeats them."""


def waves(k: int, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Pressure (lat, lon) [Pa] of waves of all sizes, in steps of 8 Pa so that it compresses."""
    rng = np.random.default_rng(k)
    field = np.full((lat.size, lon.size), 101000.0)
    for number in (2, 5, 11, 23, 47, 95, 180):
        phase, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(-3, 3)
        field += 2500 / number * np.sin(number * lon[None] + tilt * number * lat[:, None] / 3 + phase)
    return np.rint(field / 8) * 8


def write(path: Path, times: int, *, member: bool) -> None:
    """A file of so many 6-hourly times, as ``zssd downscale`` writes it where it has a member."""
    grid = fine_grid()
    lat, lon = np.deg2rad(grid.lat), np.deg2rad(grid.lon)
    shift = 40.0 if member else 0.0
    fields = [(waves(k, lat, lon) + shift).astype("f4") for k in range(FIELDS)]
    dims = ("time", "member", "lat", "lon") if member else ("time", "lat", "lon")
    with netCDF4.Dataset(path, "w") as data:
        for name, size in (("time", times), ("member", 1), ("lat", grid.lat.size), ("lon", grid.lon.size)):
            data.createDimension(name, size)
        data.createVariable("time", "f8", ("time",))[:] = 6 * np.arange(times)
        data["time"].setncatts({"units": "hours since 2010-01-01 00:00:00", "calendar": "standard"})
        for name, values, units in (("lat", grid.lat, "degrees_north"), ("lon", grid.lon, "degrees_east")):
            data.createVariable(name, "f8", (name,))[:] = values
            data[name].units = units
        chunks = (*[1] * (len(dims) - 2), 361, 720)
        field = data.createVariable("msl", "f4", dims, compression="zlib", complevel=1, shuffle=True, chunksizes=chunks)
        field.setncatts({"units": "Pa", "standard_name": "air_pressure_at_mean_sea_level"})
        data.setncatts({"zssd_filter_scale": 5.0} if member else {})
        for k in range(times):
            field[k] = fields[k % FIELDS]


def timed(cls: type, name: str, spent: list[float]) -> None:
    """Add the seconds of every call of a method to ``spent``."""
    inner = getattr(cls, name)

    def outer(*arguments: Any, **keywords: Any) -> Any:
        started = time.monotonic()
        try:
            return inner(*arguments, **keywords)
        finally:
            spent.append(time.monotonic() - started)

    setattr(cls, name, outer)


def measure(output: Path, reference: Path) -> dict[str, float]:
    """One evaluation in this process."""
    spent: list[float] = []
    timed(OutputFile, "read", spent)
    timed(Source, "read", spent)
    started = time.monotonic()
    found = zssd_cli.evaluate(output, str(reference), paired=True)
    wall = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"times": found.times, "seconds": wall, "reading": sum(spent), "peak_gb": peak}


def main() -> None:
    """Make, measure, remove, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", default="10,200")
    parser.add_argument("--folder", help="where the made files lie for a while")
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    print(
        "| times | seconds | seconds a time | reading, share of the seconds | peak memory GB |\n|---|---|---|---|---|"
    )
    for count in map(int, options.times.split(",")):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            files = Path(folder) / "out.nc", Path(folder) / "ref.nc"
            for path, member in zip(files, (True, False), strict=True):
                write(path, count, member=member)
            size = sum(path.stat().st_size for path in files) / 1e9
            print(f"{count} times: {size:.2f} GB of files", file=sys.stderr)
            call = [sys.executable, __file__, "--measure", *map(str, files)]
            row = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
        share = f"{row['reading'] / row['seconds']:.0%}"
        each = row["seconds"] / count
        print(f"| {count} | {row['seconds']:.0f} | {each:.2f} | {share} | {row['peak_gb']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
