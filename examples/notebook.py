# %% [markdown]
# zssd from Python: xarray in, xarray out. Run it cell by cell in an editor that knows `# %%`, or whole:
#
#     python examples/notebook.py [FOLDER]
#
# It needs no data and takes under a minute; the pictures land in FOLDER (here by default).

# %%
"""From a coarse Dataset to an ensemble of 0.25 degree fields, its mean and spread, and a score."""

import subprocess
import sys
from pathlib import Path

import matplotlib as mpl

if __name__ == "__main__":
    mpl.use("Agg")

import matplotlib.pyplot as plt
import xarray as xr

import zssd_cli

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

# %% A climate model's file: here one that the script beside this one makes, sea-level pressure on 2.5 degrees.
coarse_file = folder / "psl_example.nc"
subprocess.run([sys.executable, Path(__file__).with_name("make_coarse_example.py"), coarse_file], check=True)
coarse = xr.open_dataset(coarse_file, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True))

# %% Keywords are the options of `zssd downscale`. The winds are not in the input: they are inferred, and say so.
fine = zssd_cli.downscale(coarse.isel(time=[0]), vars="msl,u10,v10", region=(-60, -20, 40, 65), members=4, seed=1)
for name in ("msl", "u10", "v10"):
    print(f"{name}: observed {fine[name].attrs['zssd_observed']}, {fine[name].dims}, {fine[name].attrs['units']}")

# %% What one member looks like, and how far the members agree.
speed = (fine.u10**2 + fine.v10**2) ** 0.5
figure, axes = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
coarse.psl.isel(time=0).assign_coords(lon=(coarse.lon + 180) % 360 - 180).sortby("lon").sel(
    lat=slice(40, 65), lon=slice(-60, -20)
).plot(ax=axes[0])
speed.isel(time=0, member=0).plot(ax=axes[1], vmin=0)
speed.isel(time=0).std("member").plot(ax=axes[2], vmin=0)
for axis, title in zip(axes, ("pressure, as given", "wind speed, one member", "its spread over members"), strict=True):
    axis.set_title(title)
figure.savefig(folder / "notebook.png", dpi=110)

# %% Scores against a truth of the same time. There is none for a climate model; a member stands in for it here.
scored = zssd_cli.evaluate(fine.isel(member=slice(1, None)), fine.isel(member=0, drop=True), paired=True)
for line in scored.rows:
    if line.method == "zssd":
        print(
            f"{line.variable}: CRPS {line.scores.crps:.3g} {line.units}, spread over skill {line.scores.spread_skill:.2f}"
        )
