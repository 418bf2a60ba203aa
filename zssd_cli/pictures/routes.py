"""Tracks over the coasts: lines, and dots whose colour is the central pressure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from zssd_cli.pictures.maps import Panel, coast
from zssd_cli.pictures.planes import Plate
from zssd_cli.pictures.style import INK, Picture, colour_map, printable

MARGIN = 5.0


def route_picture(routes: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], title: str = "") -> Picture:
    """Tracks on a map that holds them all.

    Parameters
    ----------
    routes
        Latitudes, longitudes and pressures [hPa] of each track.
    title
        Above the map.
    """
    lats = np.concatenate([lat for lat, _, _ in routes])
    lons = np.sort(np.concatenate([lon for _, lon, _ in routes]) % 360)
    # the map begins after the widest gap of longitude
    gaps = np.diff(np.append(lons, lons[0] + 360))
    after = (int(gaps.argmax()) + 1) % lons.size
    west, width = lons[after] - MARGIN, min(360 - float(gaps.max()) + 2 * MARGIN, 360.0)
    south, north = max(lats.min() - MARGIN, -90.0), min(lats.max() + MARGIN, 90.0)
    step = 0.25
    grid_lat, grid_lon = np.arange(south, north + step, step), np.arange(west, west + width + step, step)
    plane = Plate(west, west + width, south, north)
    panel = Panel("", grid_lat, grid_lon, np.empty((0, 0)), "hPa")
    figure = Figure(figsize=(9.5, float(np.clip(7.6 * plane.ratio, 2.5, 8)) + 0.6), layout="constrained")
    axis = figure.subplots()
    coast(axis, panel, plane)
    pressures = np.concatenate([pressure for _, _, pressure in routes])
    for lat, lon, pressure in routes:
        x = np.rad2deg(np.unwrap(np.deg2rad((lon - west) % 360 + west)))
        axis.plot(x, lat, color="0.35", lw=0.9, zorder=4)
        dots = axis.scatter(
            x,
            lat,
            c=pressure,
            s=16,
            cmap=colour_map("inferno"),
            vmin=pressures.min(),
            vmax=pressures.max() + 1e-6,
            zorder=5,
        )
    plane.frame(axis)
    bar = figure.colorbar(dots, ax=axis, shrink=0.9, pad=0.02)
    bar.set_label("central pressure [hPa]", fontsize=8, color=INK)
    axis.set_title(printable(title), fontsize=10, loc="left", color=INK, parse_math=False)
    words = f"{printable(title)}: {len(routes)} tracks, {lats.size} points, {pressures.min():.1f} to {pressures.max():.1f} hPa, "
    return Picture(figure, words + f"latitude {lats.min():.1f} to {lats.max():.1f}.")
