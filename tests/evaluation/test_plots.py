"""Pictures are drawn whole, for boxes across the seam and for the globe."""

import numpy as np
import pytest
from matplotlib.image import imread

from zssd_cli.errors import InputError, OutputError
from zssd_cli.evaluation.alignment import open_output
from zssd_cli.evaluation.plots import Panel, plot_output, quicklook, spectra_plot
from zssd_cli.evaluation.report import evaluate_paired
from zssd_cli.grids.latlon import block_grid, fine_grid, parse_region

REGION = parse_region("350,375,30,50")


def test_output_beside_its_input(tmp_path, make_output) -> None:
    path = make_output(tmp_path / "out.nc", "350,375,30,50")
    blocks = block_grid(5, REGION)
    coarse = {"msl": (blocks.lat_edges, blocks.lon_edges, np.full(blocks.shape, 1e5))}
    plot_output(path, coarse, tmp_path / "both.png", time_index=-1)
    plot_output(path, None, tmp_path / "alone.png")
    both, alone = imread(tmp_path / "both.png"), imread(tmp_path / "alone.png")
    assert min(both.shape[:2]) > 500
    assert alone.shape[1] > alone.shape[0]
    assert {p.name for p in tmp_path.iterdir()} == {"out.nc", "both.png", "alone.png"}


def test_time_that_is_not_there(tmp_path, make_output) -> None:
    path = make_output(tmp_path / "out.nc", "0,10,30,40", steps=2)
    with pytest.raises(InputError, match="time 2 asked for, it has 2"):
        plot_output(path, None, tmp_path / "x.png", time_index=2)


def test_odd_panels(tmp_path) -> None:
    grid = fine_grid(parse_region("-180,180,-90,90"))
    values = np.where(grid.lat[:, None] > 0, grid.lon[None, :], np.nan)
    strip = fine_grid(parse_region("0,1,0,0.25"))
    panels = [
        Panel("globe", grid.lat, grid.lon, values, "m", wind=(values * 0 + 5, values * 0)),
        Panel("constant", strip.lat, strip.lon, np.ones(strip.shape), "Pa", cmap="RdBu_r"),
        Panel("nothing", strip.lat, strip.lon, np.full(strip.shape, np.nan), "Pa", vmin=0, vmax=1),
    ]
    quicklook(panels, tmp_path / "a.png", columns=2, title="odd")
    assert imread(tmp_path / "a.png").std() > 0


def test_unwritable_folder(tmp_path) -> None:
    grid = fine_grid(parse_region("0,1,0,1"))
    with pytest.raises(OutputError, match="Cannot write"):
        quicklook([Panel("x", grid.lat, grid.lon, np.ones(grid.shape), "1")], tmp_path / "absent" / "x.png")


def test_spectra(tmp_path, make_output, world) -> None:
    output = open_output(make_output(tmp_path / "out.nc", "-30,0,30,50", steps=1))
    spectra_plot(evaluate_paired(output, world("-30,0,30,50", steps=1), "era5"), tmp_path / "s.png")
    assert imread(tmp_path / "s.png").std() > 0
