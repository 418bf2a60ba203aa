"""The inverse Darcy problem of DiffusionPDE (Huang et al. 2024) and FunDPS (Yao et al. 2025): misclassified cells of held-out fields.

    python examples/groundwater/darcy_flow.py -o darcy.jsonl --fields 10

-div(a grad u) = 1 on the unit square, u = 0 on its sides, a of 3 and 12 as Li et al. (2021) draw it, 128 x 128 cells; u is known
at 500 random cells, exactly or with 1 percent noise, and a is wanted. Every field is one line of the output; a run goes on where
another ended. The answer is the maximum a posteriori of the prior darcy-flow, cut at its middle. ``--truth-cells 256``
solves the true fields on cells half as wide, so that data and inversion do not share their discretisation.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zssd_cli.inversion.checkpoint import load_latent_prior
from zssd_cli.inversion.config import FieldsConfig
from zssd_cli.inversion.flow import FlowSolver, Observe, Sensors
from zssd_cli.inversion.posterior import invert
from zssd_cli.inversion.problem import FlowProblem, LogK, Side
from zssd_cli.inversion.random_fields import generator, numbered_fields
from zssd_cli.inversion.settings import InversionSettings
from zssd_cli.prior.registry import locate

CELLS, OBSERVED = 128, 500
LOG_A = LogK(math.log(6.0), math.log(2.0))
"""-1 and 1 to the logarithms of 3 and 12."""
EXACT = 0.5
"""Error that data without noise are given, in percent of the standard deviation of u: what the autoencoder's fields miss."""


def square(cells: int) -> FlowProblem:
    """The unit square."""
    return FlowProblem(cells, cells, 1 / cells, 1 / cells, *(Side("head", 0.0) for _ in range(4)), recharge=1.0)


def observed(number: int, problem: FlowProblem) -> Sensors:
    """The 500 cells of a field at whose centres u is known."""
    cells = torch.randperm(CELLS**2, generator=generator(81, number))[:OBSERVED].numpy()
    blank = np.ones(OBSERVED)
    return Sensors(problem.x[cells % CELLS], problem.y[cells // CELLS], blank, blank)


def truth(number: int, cells: int, stream: str) -> tuple[Tensor, Tensor]:
    """A field (1, 128, 128) and its u on ``cells`` x ``cells``."""
    field = numbered_fields(FieldsConfig(kind="darcy-flow", cells=CELLS), stream, [number])
    finer = field.repeat_interleave(cells // CELLS, 1).repeat_interleave(cells // CELLS, 2)
    return field, FlowSolver(square(cells)).heads(LOG_A(finer))


def run(given: argparse.Namespace, number: int, noise: float) -> dict[str, float]:
    """Invert one field."""
    prior, _ = load_latent_prior(locate(given.prior, offline=True, kind="conductivity")[0])
    field, u = truth(number, given.truth_cells, given.stream)
    coarse = square(CELLS)
    sensors, solver = observed(number, coarse), FlowSolver(coarse)
    observe, scale = Observe(coarse, sensors), float(u.std())
    clean = Observe(square(given.truth_cells), sensors)(u)[0]
    data = clean + noise / 100 * scale * torch.randn(OBSERVED, generator=generator(82, number))
    error = torch.tensor(max(noise, given.exact) / 100 * scale)
    settings = InversionSettings(starts=given.starts, lbfgs_steps=given.steps, members=0, discrepancy=given.discrepancy)
    began = time.monotonic(), time.process_time()
    found = invert(prior, lambda fields: observe(solver.heads(LOG_A(fields))), data, error, settings)
    wall, processor = time.monotonic() - began[0], time.process_time() - began[1]
    answer = prior.finish(found.map_field)
    return {
        "field": number, "noise": noise, "truth_cells": given.truth_cells, "misclassified": float((answer != field).float().mean()),
        "misfit": float(found.start_misfits.min().sqrt()), "solves": found.solves, "seconds": wall, "cpu_seconds": processor,
    }  # fmt: skip


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("darcy.jsonl"), metavar="FILE")
    parser.add_argument("--fields", type=int, default=10, help="fields, numbered from 0")
    parser.add_argument("--noise", default="0,1", help="percent of the standard deviation of u")
    parser.add_argument("--exact", type=float, default=EXACT, help="error that data without noise are given, percent")
    parser.add_argument("--truth-cells", type=int, default=CELLS, choices=(128, 256, 512))
    parser.add_argument("--prior", default="darcy-flow", metavar="NAME|FILE")
    parser.add_argument("--stream", default="held-out", choices=("held-out", "tuning"))
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--discrepancy", type=float, default=1.0)
    return parser.parse_args()


def main() -> None:
    """Run what is missing and print the means."""
    given = parse()
    settings = {key: value for key, value in vars(given).items() if key not in ("output", "fields", "noise")}
    lines = [json.loads(line) for line in given.output.read_text().splitlines()] if given.output.is_file() else []
    done = [row for row in lines if settings.items() <= row.items()]
    for noise in map(float, given.noise.split(",")):
        for number in range(given.fields):
            if any((r["field"], r["noise"]) == (number, noise) for r in done):
                continue
            done.append(settings | run(given, number, noise))
            print(" ".join(f"{k} {v:.4g}" for k, v in done[-1].items() if isinstance(v, float)), flush=True)
            with given.output.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
        rows = [r for r in done if r["noise"] == noise]
        shares = np.array([r["misclassified"] for r in rows])
        spread = shares.std(ddof=1) / math.sqrt(len(shares)) if len(shares) > 1 else math.nan
        print(
            f"noise {noise:g} %, {len(rows)} fields: misclassified {100 * shares.mean():.2f} +- {100 * spread:.2f} %, worst"
            f" {100 * shares.max():.2f}; {np.mean([r['seconds'] for r in rows]):.0f} s a field"
        )


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
