"""Block means beside those of ``cdo remapcon``, and beside the truth where the field is a formula.

    python benchmarks/remapcon.py ../shared/data/cmip6

Needs cdo on the path (apt-get install cdo). Prints three tables in Markdown, those of docs/grids.md:

* files of models: the largest and the root mean square difference over the blocks that valid cells cover wholly, relative to the
  field's standard deviation over them;
* a formula on the cells of those grids and of made ones: root mean square error in Pa of zssd, of cdo, and of the value
  at the centre that is nearest to the block's;
* how far the mean of a part of a block is from that of the whole.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from zssd_cli.grids.cells import CellCenters
from zssd_cli.grids.corners import to_degrees, to_vectors
from zssd_cli.grids.latlon import LatLonGrid, block_grid
from zssd_cli.grids.polygons import overlap_weights
from zssd_cli.grids.regrid import separable
from zssd_cli.grids.regridders import make_regrid
from zssd_cli.series.layout import find_layout

STEP = 5.0
BLOCKS = block_grid(STEP)
WHOLE = 1 - 1e-4
FILES = {
    "GFDL-ESM2M, 2 x 2.5": ("global/psl_Amon_GFDL-ESM2M_rcp45_r1i1p1_208101-208512.nc", "psl"),
    "MPI-ESM1-2-LR, T63": ("global/psl_6hrPlev_MPI-ESM1-2-LR_historical_r1i1p1f1_gn_201001010300.nc", "psl"),
    "CNRM-CM6 wind, T127": ("global/uas_CNRM-CM6_sample.nc", "uas"),
    "N20": ("stand_in/sample_data_N20.nc", "msl"),
    "ICON, 160 km": ("grids/tas_Amon_ICON-ESM-LR_historical_r1i1p1f1_gn_185001.nc", "tas"),
    "CNRM-CM6-1 ocean, ORCA1": ("grids/tos_Omon_CNRM-CM6-1_ssp245_r1i1p1f2_gn_201501.nc", "tos"),
    "CORDEX EUR-11, rotated": ("odd/tas_rotated_grid_EUR11.nc", "tas"),
    "CAM-SE, our Voronoi cells": ("grids/camse_unstructured_grid.nc", "T850"),
}


class Field(NamedTuple):
    """Values on cells: ``values`` has the shape of the grid or of the points."""

    values: np.ndarray
    grid: LatLonGrid | None
    points: CellCenters | None


def rotated_box(pole: tuple[float, float], lat: np.ndarray, lon: np.ndarray, *, corners: bool = True) -> CellCenters:
    """The cells of a regular grid in rotated coordinates, (lat.size, lon.size)."""

    def place(lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y, z = np.moveaxis(to_vectors(*np.meshgrid(lat, lon, indexing="ij")), -1, 0)
        tilt = np.deg2rad(90.0 - pole[0])
        # the prime meridian of CF's rotated grids lies away from the pole
        lats, lons = to_degrees(
            np.stack([z * np.sin(tilt) - x * np.cos(tilt), -y, z * np.cos(tilt) + x * np.sin(tilt)], -1)
        )
        return lats, lons + pole[1]

    def edges(centres: np.ndarray) -> np.ndarray:
        return np.append(centres, 2 * centres[-1] - centres[-2]) - (centres[1] - centres[0]) / 2

    outer = place(edges(lat), edges(lon))
    around = [np.stack([p[:-1, :-1], p[:-1, 1:], p[1:, 1:], p[1:, :-1]], -1) for p in outer]
    return CellCenters(*place(lat, lon), *(around if corners else ()))


def read(path: Path, variable: str) -> Field:
    """The first time of a variable, on the cells that the file gives or, for a rotated grid without them, that its pole gives."""
    with xr.open_dataset(path, decode_times=False) as data:
        array = data[variable]
        if "rotated_pole" in data and "lat" not in data:
            pole = data["rotated_pole"].attrs
            pole = float(pole["grid_north_pole_latitude"]), float(pole["grid_north_pole_longitude"])
            points = rotated_box(pole, data["rlat"].values.astype(float), data["rlon"].values.astype(float))
            return Field(array.values.reshape(-1, *points.lat.shape)[0].astype(float), None, points)
        layout = find_layout(data, array)
        stack = array.transpose(..., *layout.dims).values
    values = layout.arrange(stack.reshape(-1, *stack.shape[-len(layout.dims) :])[:1])[0]
    return Field(values.astype(float), layout.grid, layout.points)


def write(field: Field, path: Path) -> None:
    """The same as cdo reads it: centres and corners as bounds."""
    if field.grid is not None:
        grid = field.grid
        coords = {
            "lat": ("lat", grid.lat, {"units": "degrees_north", "bounds": "lat_bnds"}),
            "lon": ("lon", grid.lon, {"units": "degrees_east", "bounds": "lon_bnds"}),
            "lat_bnds": (("lat", "b"), np.stack([grid.lat_edges[:-1], grid.lat_edges[1:]], 1)),
            "lon_bnds": (("lon", "b"), np.stack([grid.lon_edges[:-1], grid.lon_edges[1:]], 1)),
        }
        xr.Dataset({"field": (("lat", "lon"), field.values)}, coords).to_netcdf(path)
        return
    kept = ~np.isnan(field.points.corners[0]).any(1)
    lat_corners, lon_corners = (part[kept] for part in field.points.corners)
    coords = {
        "lat": ("cell", field.points.lat.ravel()[kept], {"units": "degrees_north", "bounds": "lat_bnds"}),
        "lon": ("cell", field.points.lon.ravel()[kept], {"units": "degrees_east", "bounds": "lon_bnds"}),
        "lat_bnds": (("cell", "corner"), lat_corners),
        "lon_bnds": (("cell", "corner"), lon_corners),
    }
    attributes = {"coordinates": "lat lon", "CDI_grid_type": "unstructured"}
    xr.Dataset({"field": ("cell", field.values.ravel()[kept], attributes)}, coords).to_netcdf(path)


def by_cdo(path: Path, variable: str, folder: Path) -> tuple[np.ndarray, float]:
    """The first time's block means of cdo, NaN where missing, and its seconds."""
    grid, out = folder / "grid", folder / "out.nc"
    grid.write_text(
        f"gridtype=lonlat\nxsize={BLOCKS.lon.size}\nysize={BLOCKS.lat.size}\nxfirst={BLOCKS.lon[0]}\nxinc={STEP}\n"
        f"yfirst={BLOCKS.lat[0]}\nyinc={STEP}\n"
    )
    steps = ["-seltimestep,1", f"-selname,{variable}", str(path)] if variable != "field" else [str(path)]
    begin = time.perf_counter()
    subprocess.run(
        ["cdo", "-s", "-O", "-b", "F64", f"remapcon,{grid}", *steps, str(out)], check=True, capture_output=True
    )
    seconds = time.perf_counter() - begin
    with xr.open_dataset(out, decode_times=False) as data:
        return data[variable].values.reshape(BLOCKS.shape), seconds


def by_zssd(field: Field) -> tuple[np.ndarray, np.ndarray, float]:
    """Block means, which blocks valid cells cover wholly, and seconds."""
    begin = time.perf_counter()
    regrid, _ = make_regrid(field, BLOCKS)
    means = regrid(field.values)
    seconds = time.perf_counter() - begin
    valid = ~np.isnan(field.values)
    if field.points is None:
        return means, regrid(valid.astype(float)) > WHOLE, seconds
    share = overlap_weights(*field.points.corners, BLOCKS) @ valid.ravel().astype(float)
    return means, share.reshape(BLOCKS.shape) > WHOLE, seconds


def compare(root: Path) -> Iterator[str]:
    """Rows of the first table."""
    yield "| grid | cells | blocks | largest difference | rms difference | zssd, s | cdo, s |"
    yield "|---|---|---|---|---|---|---|"
    for name, (path, variable) in FILES.items():
        field = read(root / path, variable)
        with tempfile.TemporaryDirectory() as folder:
            given = root / path
            if "Voronoi" in name:
                given, variable = Path(folder) / "in.nc", "field"
                write(field, given)
            theirs, their_time = by_cdo(given, variable, Path(folder))
        ours, whole, our_time = by_zssd(field)
        whole &= ~np.isnan(theirs)
        difference = (ours - theirs)[whole] / np.nanstd(ours[whole])
        rms = np.sqrt(np.mean(difference**2))
        yield (
            f"| {name} | {field.values.size:,} | {whole.sum():,} | {np.abs(difference).max():.1e} | {rms:.1e} | "
            f"{our_time:.2f} | {their_time:.2f} |"
        )


def pressure(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """A smooth field of highs and lows of some 20 degrees, in Pa, from degrees."""
    x, y, z = np.moveaxis(to_vectors(lat, lon), -1, 0)
    return 101300 + 1500 * np.sin(7 * x + 2) * np.cos(9 * y) + 1200 * np.sin(8 * z + 5 * x) - 1000 * z**2


def truth() -> np.ndarray:
    """Its block means, by 200 x 200 points of a block."""
    part = (np.arange(200) + 0.5) / 200
    means = np.empty(BLOCKS.shape)
    for row, (south, north) in enumerate(
        np.sin(np.deg2rad(np.stack([BLOCKS.lat_edges[:-1], BLOCKS.lat_edges[1:]], 1)))
    ):
        lat = np.rad2deg(np.arcsin(south + part * (north - south)))
        lon = (BLOCKS.lon_edges[:-1, None] + STEP * part).ravel()
        means[row] = pressure(*np.meshgrid(lat, lon, indexing="ij")).reshape(part.size, -1, part.size).mean((0, 2))
    return means


def known(root: Path) -> Iterator[str]:
    """Rows of the second table."""
    yield "| grid | cells | blocks | zssd | zssd, corners guessed | cdo | nearest centre |"
    yield "|---|---|---|---|---|---|---|"
    europe = (39.25, -162.0)
    cells = {
        "EUR-44": rotated_box(europe, -23.21 + 0.44 * np.arange(103), -28.21 + 0.44 * np.arange(106)),
        "EUR-11": rotated_box(europe, -23.375 + 0.11 * np.arange(412), -28.375 + 0.11 * np.arange(424)),
        "rotated globe, 2 degrees": rotated_box(europe, np.arange(-89, 90, 2.0), np.arange(-180, 180, 2.0)),
    }
    fields = {name: Field(pressure(p.lat, p.lon), None, p) for name, p in cells.items()}
    for name in list(FILES)[4:6] + list(FILES)[7:]:
        field = read(root / FILES[name][0], FILES[name][1])
        values = pressure(field.points.lat, field.points.lon)
        fields[name] = Field(np.where(np.isnan(field.values), np.nan, values), None, field.points)
    right, places = truth(), to_vectors(*np.meshgrid(BLOCKS.lat, BLOCKS.lon, indexing="ij"))
    for name, field in fields.items():
        means, whole, _ = by_zssd(field)
        guess, whole_too, _ = by_zssd(field._replace(points=CellCenters(field.points.lat, field.points.lon)))
        with tempfile.TemporaryDirectory() as folder:
            write(field, Path(folder) / "in.nc")
            theirs, _ = by_cdo(Path(folder) / "in.nc", "field", Path(folder))
        valid = ~np.isnan(field.values)
        nearest = cKDTree(to_vectors(field.points.lat[valid], field.points.lon[valid])).query(places)[1]
        whole &= whole_too & ~np.isnan(theirs)
        errors = (
            np.sqrt(np.mean((result - right)[whole] ** 2))
            for result in (means, guess, theirs, field.values[valid][nearest])
        )
        yield f"| {name} | {field.values.size:,} | {whole.sum():,} | " + " | ".join(f"{e:.2f}" for e in errors) + " |"


def partly(root: Path) -> Iterator[str]:
    """Rows of the third table: the mean of a part of a block, cut by a meridian or a parallel, as that of the whole block."""
    yield "| covered, at most | by a meridian: covered | rms, Pa | largest, Pa | by a parallel: covered | rms, Pa | largest, Pa |"
    yield "|---|---|---|---|---|---|---|"
    field = read(root / "stand_in/mslp.nc", "msl")
    right = separable(field.grid, BLOCKS)(field.values)
    yield f"| spread of the block means | | {right.std():.0f} | | | | |"
    for part in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
        row = f"| {part:g} "
        for axis, centres in ((1, field.grid.lon), (0, field.grid.lat)):
            lost = np.expand_dims((centres + 90) % STEP > part * STEP, 1 - axis)
            values = np.where(lost, np.nan, field.values)
            errors = separable(field.grid, BLOCKS, 0.01)(values) - right
            share = separable(field.grid, BLOCKS)((~np.isnan(values)).astype(float)).mean()
            row += f"| {share:.2f} | {np.sqrt(np.mean(errors**2)):.0f} | {np.abs(errors).max():.0f} "
        yield row + "|"


def main() -> None:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the folder with global, grids, odd and stand_in")
    root = parser.parse_args().root
    for table in (compare, known, partly):
        for row in table(root):
            print(row, flush=True)
        print()


if __name__ == "__main__":
    main()
