"""Maps are drawn whole: boxes across the seam, the globe, poles; projections keep places and directions."""

import numpy as np
import pytest
from matplotlib.image import imread

from zssd_cli.errors import OutputError
from zssd_cli.grids.latlon import fine_grid, parse_region
from zssd_cli.pictures.maps import Panel, map_picture, quicklook, scales_of
from zssd_cli.pictures.planes import Plate, Polar, plane_for
from zssd_cli.pictures.style import colour_map, printable


def panel(region, **options):
    grid = fine_grid(parse_region(region))
    values = options.pop("values", np.add.outer(grid.lat, np.cos(np.deg2rad(grid.lon))))
    return Panel(options.pop("title", "x"), grid.lat, grid.lon, values, options.pop("units", "Pa"), **options)


def test_odd_panels(tmp_path):
    globe = panel("-180,180,-90,90")
    values = np.where(globe.lat[:, None] > 0, globe.values, np.nan)
    strip = fine_grid(parse_region("0,1,0,0.25"))
    panels = [
        Panel("globe", globe.lat, globe.lon, values, "m", wind=(values * 0 + 5, values * 0), isobars=values),
        panel("0,1,0,0.25", values=np.ones(strip.shape), cmap="RdBu_r"),
        panel("0,1,0,0.25", values=np.full(strip.shape, np.nan), vmin=0, vmax=1),
    ]
    quicklook(panels, tmp_path / "a.png", columns=2, title="odd")
    assert imread(tmp_path / "a.png").std() > 0
    assert "no data" in map_picture(panels).alt


def test_unwritable_folder(tmp_path):
    with pytest.raises(OutputError, match="Cannot write"):
        quicklook([panel("0,1,0,1")], tmp_path / "absent" / "x.png")


def test_the_words_say_the_numbers():
    grid = fine_grid(parse_region("170,190,-30,-20"))
    pressure = np.full(grid.shape, 1010.0)
    pressure[10, 60] = 950.0
    picture = map_picture([panel("170,190,-30,-20", values=pressure, isobars=pressure, units="hPa", title="p")])
    assert "p: 950 to 1010 hPa" in picture.alt
    assert "lowest pressure 950.0 hPa at -27.5N -175E" in picture.alt


@pytest.mark.parametrize(
    ("region", "kind"),
    [
        ("0,360,60,90", Polar),
        ("-180,180,-90,-50", Polar),
        ("0,360,-90,90", Plate),
        ("0,90,60,90", Plate),
        ("0,360,0,90", Plate),
    ],
)
def test_poles_are_in_the_middle_of_their_maps(region, kind):
    assert isinstance(plane_for(*panel(region).edges), kind)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_polar_plane_turns_winds_as_places_move(side):
    plane, lat, lon, step = Polar(side, 50 * side), np.array([70.0 * side]), np.array([33.0]), 1e-4
    x, y = plane.forward(lat, lon)
    for move, wind in (((0, step / np.cos(np.deg2rad(lat[0]))), (1.0, 0.0)), ((step, 0), (0.0, 1.0))):
        there = plane.forward(lat + move[0], lon + move[1])
        way = np.array([there[0] - x, there[1] - y])[:, 0]
        turned = np.array(plane.turned(lon, np.array([wind[0]]), np.array([wind[1]])))[:, 0]
        np.testing.assert_allclose(way / np.linalg.norm(way), turned, atol=1e-5)
    back = plane.raster(12)
    assert (side * back[0] > 50).all()
    assert np.hypot(*plane.forward(*back)).max() < np.hypot(*plane.forward(np.array(50 * side), np.array(0.0)))


def test_polar_map_with_everything_on_it():
    grid = fine_grid(parse_region("0,360,80,90"))
    ones = np.ones(grid.shape)
    shown = panel(
        "0,360,80,90", values=ones, isobars=1000 + ones * grid.lon / 36, wind=(ones, ones), drawn=ones * grid.lon > 180
    )
    assert map_picture([shown]).png.startswith(b"\x89PNG")


def test_panels_of_one_kind_share_colours_and_arrows():
    weak, strong = (panel("0,5,0,5", cmap="wind", wind=(np.full((21, 21), u), np.zeros((21, 21)))) for u in (6.0, 20.0))
    scales = scales_of([weak, strong])
    assert scales.strong == 20.0
    assert scales.limits[weak.kind][0] == 0.0
    assert len(scales.limits) == 1


def test_our_colours_grow_darker_or_lighter_all_the_way():
    for name in ("wind", "pressure", "spread"):
        red, green, blue, _ = colour_map(name)(np.linspace(0, 1, 64)).T
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert len(set(np.sign(np.diff(light)))) == 1


def test_printable():
    assert printable("a\x07b\n c") == "a?b c"
    assert len(printable("x" * 500)) == 110
