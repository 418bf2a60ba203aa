"""Write a small aquifer to try `zssd invert`: domain.yaml, wells.csv with measured heads, and the truth.

A 640 m x 640 m aquifer, 10 m thick, between a river in the west and one in the east, walls in the south and north, one
pumping well and some recharge. The truth is a random log-normal field that the prior has never seen, or with --kind bimaterial
a smooth one cut into two materials; heads of irregularly placed wells are taken from it with an error of 2 cm.

    python examples/groundwater/make_example.py example
    zssd invert example/wells.csv --domain example/domain.yaml --prior darcy-grf -o example/k.nc --plot example/k.png

    python examples/groundwater/make_example.py two --kind bimaterial
    zssd invert two/wells.csv --domain two/domain.yaml --prior darcy-bimaterial -o two/k.nc --plot two/k.png
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from zssd_cli.inversion.domain import read_domain
from zssd_cli.inversion.flow import FlowSolver, Observe, Sensors

DOMAIN = """\
units: m
cells: [64, 64]            # along x, along y
size: [640.0, 640.0]       # m
thickness: 10.0            # m
boundaries:                # a side that is not named is a wall
  west: {head: 12.0}       # m
  east: {head: 9.0}
recharge: 3.0e-9           # m s-1, about 95 mm a year
wells:
  - {x: 405.0, y: 255.0, rate: -2.0e-4}   # m3 s-1, negative is pumped
conductivity:              # what is expected before any head is seen
"""
CONDUCTIVITY = {
    "grf": """\
  geometric_mean: 2.0e-5   # m s-1
  log_std: 1.0             # of the natural logarithm
""",
    "bimaterial": """\
  materials: [4.0e-6, 1.0e-4]   # m s-1
""",
}
WELLS, ERROR, CELLS, LENGTH = 36, 0.02, 64, 12.0


def random_field(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A Gaussian field of mean 0 and variance 1 with an exponential covariance, or a smooth one cut into -1 and 1, (CELLS, CELLS)."""
    side = 3 * CELLS
    lag = np.minimum(np.arange(side), side - np.arange(side))
    distance = np.hypot(lag[:, None], lag[None]) / LENGTH
    covariance = np.exp(-distance) if kind == "grf" else np.exp(-(distance**2))
    amplitude = np.sqrt(np.clip(np.fft.fft2(covariance).real, 0, None))
    field = np.fft.ifft2(amplitude * np.fft.fft2(rng.standard_normal((side, side)))).real[:CELLS, :CELLS]
    return field if kind == "grf" else np.where(field > 0, 1.0, -1.0)


def main(arguments: list[str] | None = None) -> None:
    """Write the three files into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Write domain.yaml, wells.csv and truth.nc of a synthetic aquifer.")
    parser.add_argument("folder", type=Path, help="made where it does not exist")
    parser.add_argument("--kind", choices=CONDUCTIVITY, default="grf")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    (given.folder / "domain.yaml").write_text(DOMAIN + CONDUCTIVITY[given.kind], encoding="utf-8")
    domain = read_domain(given.folder / "domain.yaml")
    problem, log_k = domain.problem(), domain.log_k(given.kind)
    rng = np.random.default_rng(given.seed)
    truth = log_k(torch.as_tensor(random_field(given.kind, rng)))
    heads = FlowSolver(problem).heads(truth[None])[0]
    x, y = (np.round(rng.uniform(20.0, 620.0, WELLS), 1) for _ in range(2))
    places = Sensors(x, y, np.zeros(WELLS), np.full(WELLS, ERROR))
    measured = Observe(problem, places)(heads).numpy() + ERROR * rng.standard_normal(WELLS)
    with (given.folder / "wells.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["x", "y", "head", "error"])
        rows.writerows([f"{a:.1f}", f"{b:.1f}", f"{h:.3f}", ERROR] for a, b, h in zip(x, y, measured, strict=True))
    xr.Dataset(
        {
            "log_k": (("y", "x"), truth.numpy(), {"units": "1", "long_name": "natural logarithm of K in m s-1"}),
            "head": (("y", "x"), heads.numpy(), {"units": "m"}),
        },
        coords={"x": problem.x, "y": problem.y},
    ).to_netcdf(given.folder / "truth.nc")


if __name__ == "__main__":
    main()
