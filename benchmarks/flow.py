"""Flow solver against scipy's sparse solver: a batch of 64 steady problems on 64 x 64 cells.

    python benchmarks/flow.py
    python benchmarks/flow.py --cells 128 --batch 16

One table: milliseconds per field for `FlowSolver.heads`, for its gradient, and for scipy alone (`spsolve`, `splu`
with its best ordering for symmetric patterns), matrices assembled before the clock starts. Processor times, the least of
several repetitions, one thread.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy import sparse
from scipy.sparse import linalg

from zssd_cli.inversion.flow import FlowSolver
from zssd_cli.inversion.problem import FlowProblem, Side


def matrices(log_k: np.ndarray) -> list[sparse.csc_matrix]:
    """The same equations for square cells and fixed heads west and east, as scipy wants them, one per field."""
    count, ny, nx = log_k.shape
    resistance = np.exp(-log_k)
    east_west, north_south = (2 / (resistance[:, a, b] + resistance[:, c, d]) for a, b, c, d in (
        (slice(None), slice(1, None), slice(None), slice(None, -1)),
        (slice(1, None), slice(None), slice(None, -1), slice(None)),
    ))  # fmt: skip
    diagonal = np.zeros_like(log_k)
    diagonal[:, :, 1:] += east_west
    diagonal[:, :, :-1] += east_west
    diagonal[:, 1:] += north_south
    diagonal[:, :-1] += north_south
    diagonal[:, :, 0] += 2 / resistance[:, :, 0]
    diagonal[:, :, -1] += 2 / resistance[:, :, -1]
    found = []
    for i in range(count):
        beside = np.zeros((ny, nx))
        beside[:, :-1] = east_west[i]
        one, far = -beside.ravel()[:-1], -north_south[i].ravel()
        found.append(sparse.diags([diagonal[i].ravel(), one, one, far, far], [0, 1, -1, nx, -nx], format="csc"))
    return found


def best(run: Callable[[], object], repetitions: int) -> float:
    """Least seconds of several runs after one to warm up."""
    run()
    seconds = []
    for _ in range(repetitions):
        started = time.process_time()
        run()
        seconds.append(time.process_time() - started)
    return min(seconds)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    n, batch = given.cells, given.batch
    problem = FlowProblem(n, n, 10.0, 10.0, west=Side("head", 10.0), east=Side("head", 0.0))
    solver = FlowSolver(problem)
    log_k = torch.randn(batch, n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 11
    systems = matrices(log_k.numpy())
    source = np.zeros((batch, n, n))
    source[:, :, 0] = 2 * np.exp(log_k[:, :, 0].numpy()) * 10.0
    with_gradient = log_k.clone().requires_grad_()

    def both_ways() -> None:
        solver.heads(with_gradient).square().sum().backward()

    def splu() -> list[np.ndarray]:
        options = {"SymmetricMode": True}
        return [
            linalg.splu(a, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options).solve(b.ravel())
            for a, b in zip(systems, source, strict=True)
        ]

    def spsolve() -> list[np.ndarray]:
        return [linalg.spsolve(a, b.ravel()) for a, b in zip(systems, source, strict=True)]

    difference = np.abs(np.stack(spsolve()).reshape(source.shape) - solver.heads(log_k).numpy()).max()
    runs = {
        "zssd, heads": lambda: solver.heads(log_k),
        "zssd, heads and gradient": both_ways,
        "scipy spsolve, matrix given": spsolve,
        "scipy splu (MMD_AT_PLUS_A), matrix given": splu,
    }
    seconds = {name: best(run, given.repetitions) for name, run in runs.items()}
    table = Table("", "ms per field", "ratio to zssd, heads", title=f"{batch} fields of {n} x {n} cells, one thread")
    for name, value in seconds.items():
        table.add_row(name, f"{1000 * value / batch:.2f}", f"{value / seconds['zssd, heads']:.2f}")
    Console(width=100).print(table)
    Console().print(f"Largest difference of the heads: {difference:.1e} m", highlight=False)


if __name__ == "__main__":
    main()
