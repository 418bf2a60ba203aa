"""The ablation of the ZSSD paper: size of the gradient that steers the sampler, on the coarse and on the fine grid.

    python benchmarks/gradient_ablation.py [REFERENCE] [--weights FILE] [--levels 40] [--json FILE]

One reverse process per block size, with `ucg` (zeta 1) along a DDPM path of few levels. At every level the gradient of
the mismatch is taken at the same noisy field on both grids: `dps` measures the mismatch on the coarse grid, `ucg` in
0.25 degree space. Writes a picture and the numbers; what they mean is in docs/guidance.md.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zssd_cli.grids.latlon import Region, block_grid, fine_grid, parse_region
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.guidance import Observation
from zssd_cli.posterior.guidance.ucg import mismatch_gradients, step_scale
from zssd_cli.posterior.random import NoiseStream, Window
from zssd_cli.posterior.sampler import sample
from zssd_cli.posterior.windows import windowed
from zssd_cli.prior.checkpoint import Prior, load_prior
from zssd_cli.prior.denoiser import Conditions
from zssd_cli.prior.noise import ddpm_sigmas
from zssd_cli.prior.registry import locate
from zssd_cli.series.reading import open_source
from zssd_cli.static import load_static
from zssd_cli.times import year_day_fractions

REFERENCE = "../shared/data/reanalysis/ifs/ifs_global_msl_u10_v10_20250129T06.nc"
SCALES = (1.5, 2.5, 5.0)
COLOURS = {1.5: "#61a5c2", 2.5: "#2a6f97", 5.0: "#d1495b"}


@dataclass(frozen=True)
class Trace:
    """Gradients with respect to x_t (the paper's variable) over one reverse process.

    Attributes
    ----------
    scale
        Block size in degrees.
    sigma
        Noise levels, falling, (levels,).
    fine, coarse
        Norm of the gradient of the mismatch in 0.25 degree space (`ucg`) and on the coarse grid (`dps`), (levels,).
    """

    scale: float
    sigma: list[float]
    fine: list[float]
    coarse: list[float]

    @property
    def ratio(self) -> float:
        """Median over the levels of fine / coarse."""
        return float(np.median(np.divide(self.fine, self.coarse)))


def trace(prior: Prior, reference: str, region: Region, scale: float, levels: int) -> Trace:
    """Run one reverse process and record both gradients at every level."""
    coarse = block_grid(scale, region)
    around = Region(coarse.lon_edges[0], coarse.lon_edges[-1], coarse.lat_edges[0], coarse.lat_edges[-1])
    operator = Coarsen(fine_grid(around), coarse)
    fine = operator.fine
    source = open_source([reference], prior.variables)
    rows = np.rint((fine.lat - source.grid.lat[0]) / 0.25).astype(int)
    columns = np.rint((fine.lon - source.grid.lon[0]) / 0.25).astype(int) % source.grid.shape[1]
    truth = torch.as_tensor(source.read(0, 1)[:, :, rows][..., columns])
    truth = (truth - prior.mean[:, None, None]) / prior.std[:, None, None]
    count = len(prior.variables)
    observation = Observation(operator(truth), tuple(range(count)), operator, torch.full((count,), 0.01))
    time = torch.tensor([year_day_fractions(source.times[0])], dtype=torch.float32)
    static = torch.as_tensor(load_static().channels(fine))[None]
    denoise = windowed(prior.denoiser, Conditions(static, time), circular=False)
    norms: dict[str, list[float]] = {"sigma": [], "fine": [], "coarse": []}

    def guided(x: torch.Tensor, sigma: float, sigma_next: float) -> torch.Tensor:
        x0, (on_fine, on_coarse) = mismatch_gradients(denoise, observation, x, sigma, (True, False))
        norms["sigma"].append(sigma)
        for name, gradient in (("fine", on_fine), ("coarse", on_coarse)):
            norms[name].append(float(gradient.norm()) * (1 + sigma**2) ** 0.5)
        return x0 - step_scale(sigma, sigma_next) * on_fine

    noise = NoiseStream(0, [(0, 0)], truth.shape[1], Window(0, 0, *truth.shape[2:]))
    for _ in sample(guided, noise.draw, ddpm_sigmas(levels), "ddpm"):
        pass
    source.close()
    return Trace(scale, **norms)


def picture(traces: list[Trace], path: Path) -> None:
    """Left: both gradients over the noise level; right: their ratio against the block factor."""
    figure = Figure(figsize=(8.4, 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for one in traces:
        factor = round(one.scale * 4)
        left.loglog(one.sigma, one.fine, color=COLOURS[one.scale], label=f"ucg, x{factor}")
        left.loglog(one.sigma, one.coarse, color=COLOURS[one.scale], ls="--", label=f"dps, x{factor}")
        ratio = np.divide(one.fine, one.coarse)
        right.semilogx(one.sigma, ratio, color=COLOURS[one.scale])
        right.axhline(factor, color=COLOURS[one.scale], lw=0.8, ls=":")
        right.text(one.sigma[-1], factor * 1.02, f"x{factor}", color=COLOURS[one.scale], va="bottom", ha="right")
    left.set(xlabel="noise level $\\sigma$ (the process runs to the right)", ylabel="norm of the gradient, $x_t$")
    left.legend(fontsize=8, ncols=2, frameon=False)
    right.set(xlabel="noise level $\\sigma$", ylabel="ucg / dps (dotted: block factor)", ylim=(0, None))
    for axis in (left, right):
        axis.invert_xaxis()
        axis.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Trace every block size, print a line each, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", nargs="?", default=REFERENCE)
    parser.add_argument("--weights")
    parser.add_argument("--region", default="-60,-20,30,70", help="W,E,S,N")
    parser.add_argument("--levels", type=int, default=40)
    parser.add_argument("--json", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/figures/gradient_ablation.png"))
    options = parser.parse_args()
    prior = load_prior(locate(options.weights)[0])
    traces = []
    for scale in SCALES:
        one = trace(prior, options.reference, parse_region(options.region), scale, options.levels)
        traces.append(one)
        last = np.flatnonzero(np.array(one.sigma) > 0.05)[-1]
        print(
            f"x{round(4 * scale):<3} ucg/dps median {one.ratio:5.1f}   "
            f"at sigma {one.sigma[last]:.2f}: ucg {one.fine[last]:.3g}, dps {one.coarse[last]:.3g}",
            flush=True,
        )
    picture(traces, options.output)
    print(f"Wrote {options.output}")
    if options.json:
        options.json.write_text(json.dumps([vars(one) for one in traces], indent=1))


if __name__ == "__main__":
    main()
