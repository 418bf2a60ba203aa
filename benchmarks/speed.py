"""Two versions of zssd in turn: what whole ``zssd downscale`` commands take, and where the present one's time goes.

    git worktree add /tmp/old d13a84d
    python benchmarks/speed.py --old /tmp/old [--regions small,large,globe] [--precisions float32,bfloat16] [--members 1,3] [--repeat 2]
    python benchmarks/speed.py --stages [--regions ...]

Input is a made field of 2.5 degree cells with all three variables. Every command runs in a process of its own, old and new in turn, with
the threads that it takes by itself; the fastest of the repetitions counts. "each further" is what a member adds. Stages are timed in this
process, once, and beside them the operations of the network and what a convolution of its most frequent shape reaches alone.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as zssd does, before torch is imported
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

import zssd_cli
from zssd_cli.climate import covariance, gaussian
from zssd_cli.posterior import downscaling, start
from zssd_cli.posterior.guidance import analysis
from zssd_cli.posterior.machine import network_precision
from zssd_cli.prior.denoiser import Denoiser
from zssd_cli.prior.registry import locate

REGIONS = {"small": "--region=-60,-20,30,70", "large": "--region=-80,0,20,70", "globe": "--region=globe"}


def write_input(path: Path) -> None:
    """Waves of all sizes: pressure and winds on 2.5 degree cells."""
    lat, lon = np.arange(-88.75, 90, 2.5), np.arange(1.25, 360, 2.5)
    rng = np.random.default_rng(0)

    def waves(size: float) -> np.ndarray:
        field = np.zeros((lat.size, lon.size))
        for number in (1, 3, 5, 8, 12, 20):
            phase, tilt = rng.uniform(0, 2 * np.pi, 2)
            field += (
                size
                / number
                * np.sin(np.deg2rad(number * lon[None] + tilt * 60 * np.sin(np.deg2rad(lat[:, None]))) + phase)
            )
        return field * np.cos(np.deg2rad(lat[:, None]))

    with netCDF4.Dataset(path, "w") as data:
        for name, size in (("time", 1), ("lat", lat.size), ("lon", lon.size)):
            data.createDimension(name, size)
        data.createVariable("time", "f8", ("time",))[:] = 0
        data["time"].setncatts({"units": "hours since 2010-01-15 00:00:00", "calendar": "standard"})
        for name, values, units in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            data.createVariable(name, "f8", (name,))[:] = values
            data[name].units = units
        for name, mean, size, units in (("psl", 101000, 1500, "Pa"), ("uas", 0, 8, "m s-1"), ("vas", 0, 6, "m s-1")):
            data.createVariable(name, "f4", ("time", "lat", "lon"))[:] = (mean + waves(size))[None]
            data[name].units = units


def command(tree: Path, source: Path, *options: str) -> tuple[float, float, float]:
    """Wall clock and processor seconds and peak memory [GB] of ``zssd downscale`` of a source tree."""
    call = [sys.executable, "-m", "zssd_cli", "downscale", str(source), "--vars", "msl,u10,v10", "--overwrite"]
    call += ["-o", str(source.with_name("out.nc")), *options]
    begin = time.monotonic()
    process = subprocess.Popen(call, env={**os.environ, "PYTHONPATH": str(tree)}, cwd=tree, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(call)} in {tree} ended with status {status}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def compare(old: Path, source: Path, options: argparse.Namespace) -> None:
    """A table of both versions."""
    trees = {"old": old, "new": Path(__file__).parents[1]}
    few, many = map(int, options.members.split(","))
    titles = ("region", "precision", "version", f"{few} member: s", "CPU s", "each further: s", "CPU s", "peak GB")
    table = Table(*titles, title=f"{torch.get_num_threads()} threads")
    for region in options.regions.split(","):
        for precision in options.precisions.split(","):
            best: dict[tuple[str, int], tuple[float, ...]] = {}
            for _ in range(options.repeat):
                for name, tree in trees.items():
                    for members in (few, many):
                        took = command(
                            tree, source, REGIONS[region], "--members", str(members), "--precision", precision
                        )
                        best[name, members] = min(best.get((name, members), took), took)
            further = {
                name: [(b - a) / (many - few) for a, b in zip(best[name, few][:2], best[name, many][:2], strict=True)]
                for name in trees
            }
            for name in trees:
                numbers = (*best[name, few][:2], *further[name], best[name, few][2])
                table.add_row(region, precision, name, *(f"{number:.1f}" for number in numbers))
            ratios = [a / b for a, b in zip(best["old", few], best["new", few], strict=True)]
            more = [a / b for a, b in zip(further["old"], further["new"], strict=True)]
            table.add_row(
                region, precision, "old / new", *(f"{ratio:.2f}" for ratio in (*ratios[:2], *more, ratios[2]))
            )
    Console(width=140).print(table)


def convolution_peak(precision: torch.dtype) -> float:
    """Operations per second of a 3 x 3 convolution of 80 channels alone."""
    layer = torch.nn.Conv2d(80, 80, 3).to(memory_format=torch.channels_last, dtype=precision)
    x = torch.randn(1, 80, 130, 130, dtype=precision).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        layer(x)
        begin = time.monotonic()
        for _ in range(20):
            layer(x)
    return 20 * 2 * 80 * 80 * 9 * 128 * 128 / (time.monotonic() - begin)


def stages(source: Path, options: argparse.Namespace) -> None:
    """Where the time of one member goes."""
    spent: dict[str, float] = defaultdict(float)
    operations = [0.0]

    def timed(name: str, call: Callable[..., Any], *, count: bool = False) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            begin = time.monotonic()
            if count and not operations[0]:
                with FlopCounterMode(display=False) as counter:
                    answer = call(*arguments, **keywords)
                operations[0] = counter.get_total_flops() / arguments[1].numel() * arguments[1].shape[1]
            else:
                answer = call(*arguments, **keywords)
            spent[name] += time.monotonic() - begin
            if count:
                spent["cells"] += arguments[1].numel() / arguments[1].shape[1]
            return answer

        return run

    Denoiser.forward = timed("network", Denoiser.forward, count=True)  # type: ignore[method-assign]
    analysis.AnalysisSolver.gains = timed("gains", analysis.AnalysisSolver.gains)  # type: ignore[method-assign]
    analysis.AnalysisSolver.increment = timed("increments with gains", analysis.AnalysisSolver.increment)  # type: ignore[method-assign]
    gaussian.latitude_bands = timed("covariances of the bands", covariance.latitude_bands)
    start.Start.__call__ = timed("start with its increments", start.Start.__call__)  # type: ignore[method-assign]
    downscaling.ClimateFields = timed("climate with the poles", downscaling.ClimateFields)  # type: ignore[misc]
    precision = network_precision("auto", torch.device("cpu"))
    table = Table("region", "all", "stage", "s", "share")
    for region in options.regions.split(","):
        spent.clear()
        begin = time.monotonic()
        zssd_cli.downscale(
            source, vars=["msl", "u10", "v10"], region=REGIONS[region].partition("=")[2], progress=False
        ).load()
        total = time.monotonic() - begin
        cells = spent.pop("cells")
        for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
            table.add_row(region, f"{total:.1f}", name, f"{seconds:.1f}", f"{100 * seconds / total:.0f}%")
        rate, peak = operations[0] * cells / spent["network"], convolution_peak(precision)
        table.add_row(region, "", f"network: {operations[0] * cells / 1e12:.2f} TFLOP, {operations[0] / 1e6:.2f} MFLOP a cell and call",
                      f"{rate / 1e9:.0f} GFLOP/s", f"{100 * rate / peak:.0f}% of a convolution's {peak / 1e9:.0f}")  # fmt: skip
    Console(width=140).print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, help="source tree of the version to compare with")
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--regions", default="small,large,globe")
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--members", default="1,3")
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.nc"
        write_input(source)
        if options.old:
            locate(None, offline=True)
            compare(options.old.resolve(), source, options)
        if options.stages:
            stages(source, options)


if __name__ == "__main__":
    main()
