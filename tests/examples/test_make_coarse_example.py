"""The synthetic coarse file: read by zssd like any other, and weather that could be."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from zssd_cli.series.reading import open_source
from zssd_cli.times import format_time

SCRIPT = Path(__file__).parents[2] / "examples" / "make_coarse_example.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("example") / "psl.nc"
    done = subprocess.run([sys.executable, SCRIPT, path], capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def source(made):
    opened = open_source(made, ("msl", "u10", "v10"))
    yield opened
    opened.close()


def test_zssd_reads_it_without_a_word(source):
    assert source.variables == ("msl",)
    assert source.missing == ("u10", "v10")
    assert source.grid.shape == (72, 144)
    assert source.grid.circular
    assert source.grid.area.sum() == pytest.approx(4 * np.pi)
    assert (source.calendar, source.frequency) == ("noleap", "6hr")
    assert [format_time(t) for t in source.times] == ["2010-02-10T00:00:00", "2010-02-10T06:00:00"]
    assert source.notes == ()
    assert source.attributes["source_id"] == "zssd-example"
    assert source.attributes["tracking_id"].startswith("hdl:21.14100/")


def test_it_says_that_it_is_synthetic(made):
    with xr.open_dataset(made) as data:
        assert "ynthetic" in data.attrs["comment"]
        assert data.psl.dtype == np.float32
        assert data.psl.attrs["units"] == "Pa"
        assert {"table_id", "variant_label", "experiment_id", "mip_era"} <= set(data.attrs)
        assert data.lat.attrs["bounds"] == "lat_bnds"


def test_the_weather_could_be(source):
    fields = source.read(0, 2)[:, 0] / 100
    lat, area = source.grid.lat, source.grid.area
    assert 930 < fields.min() < 975
    assert 1030 < fields.max() < 1060
    assert np.average(fields[0], weights=area) == pytest.approx(1011, abs=4)
    zonal = fields.mean((0, 2))
    highs = [zonal[(lat > 20) & (lat < 45)].max(), zonal[(lat < -20) & (lat > -45)].max()]
    assert min(highs) > zonal[np.abs(lat) < 5].mean() + 4
    assert zonal[(lat < -60) & (lat > -70)].mean() < zonal[(lat > 55) & (lat < 65)].mean() - 10


def test_lows_lie_in_both_storm_tracks_and_move_east(source):
    fields = source.read(0, 2)[:, 0] / 100
    anomaly = fields - fields.mean((0, 2))[:, None]
    lat, lon = source.grid.lat, source.grid.lon
    for rows in ((lat > 40) & (lat < 65), (lat < -40) & (lat > -65)):
        assert anomaly[0][rows].min() < -18
    box = (lat > 50) & (lat < 66), (lon > 310) & (lon < 335)
    centres = []
    for field in fields:
        part = field[np.ix_(*box)]
        row, column = np.unravel_index(part.argmin(), part.shape)
        weights = np.clip(part.min() + 5 - part, 0, None)
        centres.append((weights * lon[box[1]]).sum() / weights.sum())
        assert part[row, column] < 980
    assert 2 < centres[1] - centres[0] < 6


def test_it_explains_itself():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 2
    assert "OUT.nc" in done.stderr
