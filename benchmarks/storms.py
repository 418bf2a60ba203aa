"""Winds from pressure alone in a storm of either hemisphere: coarse input, formula, a member, the mean, the truth.

    python benchmarks/storms.py docs/figures/winds-from-pressure.png

Wind speed in colour, pressure as isobars every 4 hPa, wind as arrows; the held-out IFS field, low-passed as in the training.
"""

import argparse

import matplotlib as mpl
import numpy as np
from harness.engine import draw, open_prior
from harness.fields import IFS, HeldOut, training_lowpass
from inferred import coarse_input, formula

from zssd_cli.config import DownscaleConfig
from zssd_cli.evaluation.baselines import bicubic
from zssd_cli.grids.latlon import Region
from zssd_cli.posterior.downscaling import prepare

mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

BOXES = {"North Atlantic": Region(-45, -15, 40, 65), "South Indian Ocean": Region(50, 80, -60, -35)}
TITLES = ("pressure, all that is given", "formula", "a member", "mean of the members", "truth")


def main() -> None:
    """Draw and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture")
    parser.add_argument("--members", type=int, default=8)
    options = parser.parse_args()
    setting = open_prior(None)
    config = DownscaleConfig(filter_scale=5.0, members=options.members, seed=1)
    figure, axes = plt.subplots(
        len(BOXES), len(TITLES), figsize=(4 * len(TITLES), 3.8 * len(BOXES)), layout="constrained"
    )
    for (name, box), line in zip(BOXES.items(), axes, strict=True):
        field = HeldOut(name, IFS, box).filtered(training_lowpass(setting.prior))
        blocks = coarse_input(field.series, ("msl",), 5.0)
        drawn = draw(setting, prepare(blocks, setting.prior, setting.static, config, box))
        grid, members = drawn.grid, drawn.ensembles[0]
        whole = coarse_input(field.series, ("msl", "u10", "v10"), 5.0)
        pressure = bicubic(blocks.values[0, 0].astype(float), blocks.grid, grid)
        simple = np.stack([pressure, *(formula(part, whole, grid)[0] for part in ("u10", "v10"))])
        truth = field.series.on(grid)[0]
        fields = (None, simple, members[0], members.mean(0), truth)
        top = np.hypot(*truth[1:]).max()
        for axis, title, shown in zip(line, TITLES, fields, strict=True):
            axis.set_title(f"{name}: {title}", fontsize=9)
            axis.set(xlim=(box.west, box.east), ylim=(box.south, box.north))
            if shown is None:
                pressure = blocks.values[0, 0] / 100
                east = blocks.grid.lon_edges - 360 * (box.west < 0)
                mesh = axis.pcolormesh(east, blocks.grid.lat_edges, pressure, cmap="cividis",
                                       vmin=truth[0].min() / 100, vmax=truth[0].max() / 100)  # fmt: skip
                figure.colorbar(mesh, ax=axis, label="hPa", location="left")
                continue
            mesh = axis.pcolormesh(grid.lon, grid.lat, np.hypot(*shown[1:]), vmin=0, vmax=top, cmap="viridis")
            axis.contour(grid.lon, grid.lat, shown[0] / 100, np.arange(920, 1060, 4), colors="white", linewidths=0.6)
            skip = (slice(None, None, 6), slice(None, None, 6))
            axis.quiver(grid.lon[::6], grid.lat[::6], shown[1][skip], shown[2][skip], scale=500, width=0.003)
        figure.colorbar(mesh, ax=line, label="wind speed [m/s]", shrink=0.8)
    figure.savefig(options.picture, dpi=70)


if __name__ == "__main__":
    main()
