"""Cyclones of known pressure and wind are found, measured and followed: Holland's profile (1980, doi:10.1175/1520-0493(1980)108)."""

import csv

import cftime
import numpy as np
import pytest
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.grids.latlon import fine_grid, parse_region
from zssd_cli.tracking.detection import DEGREE_KM, Criteria, detect, distance
from zssd_cli.tracking.stitching import Linking, Stitcher, compare, read_best_tracks

AMBIENT, DENSITY, SHAPE, RADIUS = 101000.0, 1.15, 1.4, 120.0
"""Pa, kg m-3, Holland's B, radius of maximum wind in km."""


def holland(grid, lat, lon, depth):
    """Pressure [Pa] and speed [m s-1] of a cyclone ``depth`` Pa deep."""
    r = np.maximum(distance(grid.lat[:, None], grid.lon[None, :], lat, lon) * DEGREE_KM, 1e-3)
    ratio = (RADIUS / r) ** SHAPE
    fall = np.exp(-ratio)
    return AMBIENT - depth * (1 - fall), np.sqrt(SHAPE / DENSITY * ratio * depth * fall)


def strongest(depth):
    return np.sqrt(SHAPE * depth / (DENSITY * np.e))


@pytest.mark.parametrize(
    ("lat", "lon", "box"),
    [(-18.1, 118.07, "100,135,-35,0"), (21.3, 179.95, "0,360,-90,90"), (15.0, 359.9, "0,360,-90,90")],
)
def test_pressure_and_wind_to_one_percent(lat, lon, box):
    grid, depth = fine_grid(parse_region(box)), 5000.0
    (low,) = detect(*holland(grid, lat, lon, depth)[:1], grid.lat, grid.lon, holland(grid, lat, lon, depth)[1])
    assert distance(low.lat, low.lon, lat, lon) * DEGREE_KM < 14
    assert AMBIENT - low.pressure == pytest.approx(depth, rel=0.01)
    assert low.wind == pytest.approx(strongest(depth), rel=0.01)
    assert low.rmw == pytest.approx(RADIUS, abs=25)
    r = np.linspace(RADIUS, 1500, 20000)
    ratio = (RADIUS / r) ** SHAPE
    gale = r[np.sqrt(SHAPE / DENSITY * ratio * depth * np.exp(-ratio)) >= 17][-1]
    assert low.gales == pytest.approx(gale, rel=0.05)


def test_what_is_no_cyclone():
    grid = fine_grid(parse_region("100,135,-35,0"))
    shallow, _ = holland(grid, -18, 118, 150.0)
    assert detect(shallow, grid.lat, grid.lon) == []
    trough = np.broadcast_to(AMBIENT + 200 * (grid.lat[:, None] + 18) ** 2, grid.shape)
    assert detect(trough, grid.lat, grid.lon) == []
    rim, _ = holland(grid, -18, 101, 5000.0)
    assert detect(rim, grid.lat, grid.lon, criteria=Criteria(rise=3500.0)) == []
    deep, _ = holland(grid, -18, 118, 5000.0)
    assert detect(deep, grid.lat, grid.lon, criteria=Criteria(poleward=15.0)) == []
    (low,) = detect(deep, grid.lat, grid.lon)
    assert np.isnan(low.wind)
    holes = deep.copy()
    holes[:, grid.lon > 118.1] = np.nan
    assert detect(holes, grid.lat, grid.lon) == []


def test_of_two_close_lows_the_deeper_counts():
    grid = fine_grid(parse_region("100,135,-35,0"))
    both = holland(grid, -18, 115, 5000.0)[0] + holland(grid, -18, 119, 3000.0)[0] - AMBIENT
    (low,) = detect(both, grid.lat, grid.lon)
    assert low.lon == pytest.approx(115, abs=0.3)


def times(count, hours=6):
    start = cftime.datetime(2001, 2, 27, calendar="noleap")
    return [start + k * (cftime.datetime(2001, 1, 1, hours) - cftime.datetime(2001, 1, 1)) for k in range(count)]


def test_no_track_in_noise():
    grid, rng, stitcher = fine_grid(parse_region("0,40,-20,20")), np.random.default_rng(0), Stitcher(Linking())
    from scipy import ndimage

    for time in times(12):
        noise = ndimage.gaussian_filter(rng.normal(size=grid.shape), 4)
        stitcher.add(time, detect(AMBIENT + 150 * noise / noise.std(), grid.lat, grid.lon, np.full(grid.shape, 5.0)))
    assert stitcher.tracks() == []


@pytest.fixture
def archive(tmp_path):
    """Two members of a cyclone that crosses the date line; the second is deeper and misses one time."""
    grid, dates = fine_grid(parse_region("160,200,5,35")), times(11)
    fields = {name: np.zeros((11, 2, *grid.shape), np.float32) for name in ("msl", "u10", "v10")}
    for t in range(11):
        for member, depth in enumerate((3000.0, 5000.0)):
            pressure, speed = holland(grid, 15 + 0.5 * t, 174 + 1.2 * t, depth)
            gone = member == 1 and t == 5
            fields["msl"][t, member] = AMBIENT if gone else pressure
            fields["u10"][t, member] = 0 if gone else speed
    data = xr.Dataset(
        {
            n: (("time", "member", "lat", "lon"), v, {"units": "Pa" if n == "msl" else "m s-1"})
            for n, v in fields.items()
        },
        {"time": dates, "member": [0, 1], "lat": grid.lat, "lon": grid.lon},
    )
    data.to_netcdf(tmp_path / "out.nc")
    return tmp_path / "out.nc"


def test_two_members_across_the_date_line(archive, tmp_path, capfd):
    from zssd_cli.app import main

    best = tmp_path / "ibtracs.csv"
    lines = ["SID,ISO_TIME,LAT,LON", " ,,degrees_north,degrees_east"]
    lines += [f"A,{time.isoformat(sep=' ')},{15 + 0.5 * t},{174 + 1.2 * t}" for t, time in enumerate(times(11))]
    lines += [f"B,{times(1)[0].isoformat(sep=' ')},30,165"]
    best.write_text("\n".join(lines))
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "track",
                str(archive),
                "-o",
                str(tmp_path / "t.csv"),
                "--best-track",
                str(best),
                "--plot",
                str(tmp_path / "t.png"),
            ]
        )
    assert stop.value.code in (0, None)
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert "1 of 2 storms found, 0 of 1 tracks match none" in capfd.readouterr().err
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [sum(row["member"] == m for row in rows) for m in "01"] == [11, 10]
    assert {row["track"] for row in rows} == {"0"}
    for row, depth in ((rows[0], 3000), (rows[-1], 5000)):
        assert 1010 - float(row["msl_hPa"]) == pytest.approx(depth / 100, rel=0.01)
        assert float(row["wind"]) == pytest.approx(strongest(depth), rel=0.01)
    assert float(rows[0]["lon"]) > 170
    assert float(rows[-1]["lon"]) < -170
    assert rows[4]["time"] == "2001-02-28T00:00:00"


def test_pressure_alone_leaves_wind_empty(archive, tmp_path):
    from zssd_cli.app import main

    with xr.open_dataset(archive) as data:
        data[["msl"]].isel(member=0, drop=True).rename(msl="psl").to_netcdf(tmp_path / "psl.nc")
    with pytest.raises(SystemExit):
        main(["track", str(tmp_path / "psl.nc"), "-o", str(tmp_path / "t.csv")])
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 11
    assert {(row["wind"], row["rmw_km"], row["r17_km"]) for row in rows} == {("", "", "")}


def test_a_longer_gap_ends_a_track():
    grid = fine_grid(parse_region("100,135,-35,0"))
    lows = detect(holland(grid, -18, 118, 5000.0)[0], grid.lat, grid.lon)
    stitcher = Stitcher(Linking(hours=6, gap=12))
    for k, time in enumerate(times(8)):
        stitcher.add(time, [] if k in (2, 3, 4) else lows)
    assert [len(track.points) for track in stitcher.tracks()] == [2, 3]
    assert compare(stitcher.tracks(), {}, times(8)).false == 2


def test_best_tracks_out_of_a_spreadsheet(tmp_path):
    """A mark before the text, names in another encoding, and a line that was cut."""
    path = tmp_path / "best.csv"
    row = b"A,Jos\xe9,2010-01-01 00:00:00,10,20\n"
    path.write_bytes(b"\xef\xbb\xbfSID,NAME,ISO_TIME,LAT,LON\n" + row)
    assert read_best_tracks(path) == {"A": {(2010, 1, 1, 0, 0): (10.0, 20.0)}}
    path.write_bytes(b"SID,NAME,ISO_TIME,LAT,LON\n" + row + b"B,x,2010-01-01 00:00:00\n")
    with pytest.raises(InputError, match=r"line 3: expected a date and a place"):
        read_best_tracks(path)


def test_best_tracks_of_another_layout(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text("name,lat\nA,3\n")
    with pytest.raises(InputError, match="got no ISO_TIME, LAT, LON, SID"):
        read_best_tracks(path)
