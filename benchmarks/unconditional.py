"""Unconditional samples beside real fields: a picture and their spectra.

    python benchmarks/unconditional.py --plot docs/figures/unconditional.png

Boxes of 40 x 40 degrees in both hemispheres are drawn from the prior alone, once as the engine does it where something is
inferred (the climatological Gaussian above noise level 10, the network below) and once by the network alone. They are shown beside
the held-out IFS field, low-passed as in the training. The table says by how many dB the samples' spectra differ from the real
field's, and how vorticity goes with the Laplacian of pressure: positive in the north and negative in the south where wind turns
the right way around lows.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from harness.engine import Setting, open_prior
from harness.fields import IFS, HeldOut, training_lowpass
from rich.console import Console
from rich.table import Table
from torch import Tensor

from zssd_cli.climate.gaussian import ClimateFields
from zssd_cli.evaluation.spectra import SpectrumSums, WavelengthBins, decibels
from zssd_cli.grids.latlon import LatLonGrid, Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.guidance import Observation
from zssd_cli.posterior.random import NoiseStream, window_around
from zssd_cli.posterior.sampler import sample
from zssd_cli.posterior.start import Start
from zssd_cli.posterior.windows import windowed
from zssd_cli.prior.denoiser import Conditions
from zssd_cli.prior.noise import karras_sigmas

mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

BOXES = {"North Atlantic": Region(-60, -20, 30, 70), "South Pacific": Region(-150, -110, -65, -25)}
STEPS = 30


def draw(setting: Setting, box: Region, above: float, members: int) -> np.ndarray:
    """Samples (members, C, lat, lon) in physical units; the Gaussian stands in above a noise level."""
    prior, grid = setting.prior, fine_grid(box)
    static = torch.as_tensor(setting.static.channels(grid))[None]
    network = windowed(prior.denoiser, Conditions(static, torch.full((1, 2), torch.nan)), grid.circular)
    climate = ClimateFields(prior.climate, grid, static[0], prior.climate.bands(grid.lat))
    rim, side = climate.margin
    height, width = grid.shape
    keys = [(member, 0) for member in range(members)]
    noise = NoiseStream(0, keys, len(prior.variables), window_around(grid, rim, side))
    blocks = block_grid(5.0, box)
    levels = karras_sigmas(STEPS)

    def cells() -> Tensor:
        return noise.draw()[:, :, rim : rim + height, side : side + width]

    with torch.inference_mode():
        start: Tensor | float = 0.0
        if above < np.inf:
            nothing = Observation(torch.zeros(members, 0, *blocks.shape), (), Coarsen(grid, blocks), torch.zeros(0))
            start = Start(climate)(nothing, noise.draw(), nothing.values, torch.full((members,), 0.5))
        *_, field = sample(lambda x, s, _: network(x, s), cells, levels[levels <= above], "dpmpp_2m_sde", start)
    return (field * prior.std[:, None, None] + prior.mean[:, None, None]).numpy()


def turning(fields: np.ndarray, grid: LatLonGrid) -> float:
    """Correlation of vorticity with the Laplacian of pressure, (members, C, lat, lon) of msl, u10, v10."""
    narrow = np.cos(np.deg2rad(grid.lat))[:, None]
    msl, u, v = (fields[:, k] for k in range(3))
    vorticity = np.gradient(v, axis=-1) / narrow - np.gradient(u, axis=-2)
    second = np.gradient(np.gradient(msl, axis=-2), axis=-2)
    curvature = second + np.gradient(np.gradient(msl, axis=-1), axis=-1) / narrow**2
    return float(np.corrcoef(vorticity.ravel(), curvature.ravel())[0, 1])


def deviations(fields: np.ndarray, truth: np.ndarray, grid: LatLonGrid) -> list[float]:
    """Largest difference in dB of the mean spectrum from the truth's between 1 and 10 degrees, by variable."""
    bins = WavelengthBins(grid)
    shown = (bins.centres >= 1) & (bins.centres <= 10)
    result = []
    for channel in range(fields.shape[1]):
        ours, theirs = SpectrumSums(bins), SpectrumSums(bins)
        ours.add(fields[:, channel])
        theirs.add(truth[None, channel])
        difference = decibels(ours.result()[0], theirs.result()[0])[shown]
        result.append(float(difference[np.nanargmax(np.abs(difference))]))
    return result


def show(axes: np.ndarray, fields: list[np.ndarray], titles: list[str], grid: LatLonGrid) -> None:
    """Pressure as colours, wind as arrows, one panel each."""
    low, high = np.percentile(fields[0][0], [1, 99])
    skip = (slice(None, None, 8), slice(None, None, 8))
    for axis, field, title in zip(axes, fields, titles, strict=True):
        axis.pcolormesh(grid.lon, grid.lat, field[0], vmin=low, vmax=high, cmap="viridis", rasterized=True)
        axis.quiver(grid.lon[::8], grid.lat[::8], field[1][skip], field[2][skip], scale=400, width=0.004)
        axis.set_title(title, fontsize=9)


def main() -> None:
    """Draw, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="name or file of the prior; the default prior else")
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    setting = open_prior(options.weights)
    km = training_lowpass(setting.prior)
    table = Table("box", "drawn by", "worst dB, 1-10 deg: msl, u10, v10", "vorticity with Laplacian of msl")
    figure, axes = plt.subplots(
        len(BOXES), 1 + 2 * options.members, figsize=(4 * (1 + 2 * options.members), 4 * len(BOXES))
    )
    for (name, box), line in zip(BOXES.items(), axes, strict=True):
        grid = fine_grid(box)
        truth = HeldOut(name, IFS, box).filtered(km).series.on(grid)[0]
        panels, titles = [truth], [f"{name}: held-out IFS"]
        table.add_row(name, "real", "-", f"{turning(truth[None], grid):.2f}")
        for label, above in (("Gaussian above 10", 10.0), ("network alone", np.inf)):
            fields = draw(setting, box, above, options.members)
            worst = ", ".join(f"{value:.1f}" for value in deviations(fields, truth, grid))
            table.add_row(name, label, worst, f"{turning(fields, grid):.2f}")
            panels += list(fields)
            titles += [label] * options.members
        show(line, panels, titles, grid)
    Console(width=120).print(table)
    if options.plot:
        figure.tight_layout()
        figure.savefig(options.plot, dpi=60)


if __name__ == "__main__":
    main()
