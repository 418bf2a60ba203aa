"""Seconds and peak memory of `zssd downscale` against domain size, members and times.

    python benchmarks/scaling.py [--quick] [--json FILE] [--weights NAME|FILE] [--threads N]

Every row is one run of the command line in a process of its own, as a user would start it: wall seconds, processor
seconds (user + system, which other load disturbs less) and the largest resident memory. The input is an analysis,
coarsened to 2.5 degrees and repeated in time with a small smooth disturbance, or synthetic weather where the shared
data is absent. The last column compares a row with the first of its group: seconds per sample, and memory.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import Console
from rich.table import Table

from zssd_cli.grids.latlon import GLOBE, block_grid
from zssd_cli.grids.regrid import separable
from zssd_cli.series.reading import open_source

VARS = ("msl", "u10", "v10")
REAL = Path(__file__).parents[2] / "shared/data/reanalysis/ifs/ifs_global_msl_u10_v10_20250129T06.nc"
SCALE = {"msl": (101_200.0, 1_200.0), "u10": (0.0, 5.7), "v10": (0.0, 4.7)}
UNITS = {"msl": "Pa", "u10": "m s-1", "v10": "m s-1"}


@dataclass(frozen=True)
class Case:
    """One run: the group that it is compared within, its region (None: the globe), members and times."""

    group: str
    region: str | None
    members: int = 1
    times: int = 1

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.region or 'globe'}, {self.members} members, {self.times} times"


@dataclass(frozen=True)
class Row:
    """What one run took."""

    group: str
    name: str
    samples: int
    seconds: float
    cpu_seconds: float
    memory_mb: float


BOXES = ("-30,-10,40,60", "-40,0,30,70", "-80,0,0,80")
SMALL = "-30,-20,45,55"


def cases(*, quick: bool) -> list[Case]:
    """What is run."""
    domains = [Case("domain", box) for box in (BOXES[:2] if quick else (*BOXES, None))]
    members = [Case("members", SMALL, members=n) for n in ((1, 4) if quick else (1, 4, 16))]
    times = [Case("times", SMALL, times=n) for n in ((2, 10) if quick else (10, 100))]
    return domains + members + times


def coarse_fields(reference: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One time of block means on 2.5 degrees, (C, lat, lon), and its axes: real where there is a file."""
    blocks = block_grid(2.5, GLOBE)
    if reference.is_file():
        source = open_source([str(reference)], VARS)
        return separable(source.grid, blocks)(source.read(0, 1)[0]), blocks.lat, blocks.lon
    y, x = np.deg2rad(blocks.lat)[:, None], np.deg2rad(blocks.lon)
    wave = np.sin(4 * y) * np.cos(5 * x) + 0.5 * np.cos(7 * y + 9 * x)
    return np.stack([mean + size * wave for mean, size in SCALE.values()]), blocks.lat, blocks.lon


def write_series(reference: Path, times: int, path: Path) -> None:
    """The field again and again, drifting east, with a smooth disturbance of a tenth of a standard deviation."""
    field, lat, lon = coarse_fields(reference)
    rng, step = np.random.default_rng(0), np.arange(times)
    phase = rng.uniform(0, 2 * np.pi, (len(VARS), 1, 1))
    series = {}
    for k, name in enumerate(VARS):
        wave = np.cos(np.deg2rad(3 * lat)[None, :, None] + np.deg2rad(4 * lon) + 0.3 * step[:, None, None] + phase[k])
        moved = np.stack([np.roll(field[k], t // 4, -1) for t in step])
        values = (moved + 0.1 * SCALE[name][1] * wave).astype("f4")
        series[name] = (("time", "lat", "lon"), values, {"units": UNITS[name]})
    axes = {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}
    hours = ("time", 6.0 * step, {"units": "hours since 2020-01-01", "calendar": "standard"})
    xr.Dataset(series, {"time": hours, **axes}, {"frequency": "6hr"}).to_netcdf(path)


def measure(case: Case, folder: Path, options: list[str], threads: int) -> Row:
    """Run the command line once."""
    command = [
        sys.executable, "-m", "zssd_cli", "downscale", str(folder / f"{case.times}.nc"), "-o", str(folder / "out.nc"),
        "--overwrite", "--quiet", "--members", str(case.members), *options,
    ]  # fmt: skip
    if case.region is not None:
        command += ["--region", case.region]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return Row(
        case.group, case.name, case.members * case.times, seconds, used.ru_utime + used.ru_stime, _megabytes(used)
    )


def _megabytes(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def table(rows: list[Row]) -> Table:
    """All rows with ratios to the first of their group."""
    result = Table(title="zssd downscale, whole command")
    for column in ("group", "run", "wall s", "cpu s", "cpu s / sample", "memory MB", "time / sample", "memory"):
        result.add_column(column, justify="left" if column in ("group", "run") else "right")
    first: dict[str, Row] = {}
    for row in rows:
        base = first.setdefault(row.group, row)
        each = row.cpu_seconds / row.samples
        result.add_row(
            row.group, row.name, f"{row.seconds:.1f}", f"{row.cpu_seconds:.1f}", f"{each:.2f}", f"{row.memory_mb:.0f}",
            f"x {each / (base.cpu_seconds / base.samples):.2f}", f"x {row.memory_mb / base.memory_mb:.2f}",
        )  # fmt: skip
    return result


def main() -> None:
    """Parse, run, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small domains and short series only")
    parser.add_argument("--only", metavar="GROUP", help="domain, members or times")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows")
    parser.add_argument("--reference", type=Path, default=REAL, help="global 0.25 degree field to coarsen")
    parser.add_argument("--weights", help="prior; default: the one that ships with zssd")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    options = ["--weights", arguments.weights] if arguments.weights else []
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = [c for c in cases(quick=arguments.quick) if arguments.only in (None, c.group)]
        for count in {case.times for case in wanted}:
            write_series(arguments.reference, count, folder / f"{count}.nc")
        for case in wanted:
            rows.append(measure(case, folder, options, arguments.threads))
            Console(stderr=True).print(f"{case.name}: {rows[-1].seconds:.1f} s", highlight=False)
    Console(width=130).print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
