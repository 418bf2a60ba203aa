"""Pictures of outputs: what is read, which panels there are, what the words say. The numbers are those of the world."""

import cftime
import netCDF4
import numpy as np
import pytest

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.evaluation import gallery
from zssd_cli.evaluation.views import (
    Held,
    Read,
    chosen_members,
    chosen_times,
    chosen_variables,
    default_variables,
    on_cells,
    open_view,
    origin,
    shown_time,
)
from zssd_cli.grids.latlon import block_grid, fine_grid, parse_region
from zssd_cli.series.reading import open_source

REGION = parse_region("350,375,30,50")


@pytest.fixture
def output(tmp_path, make_output):
    return make_output(tmp_path / "out.nc", "350,375,30,50", shifts=(-1.0, 1.0, 3.0), steps=2, zssd_source_id="TOY")


def titles(picture):
    return [axis.get_title(loc="left") for axis in picture.figure.axes if axis.get_title(loc="left")]


def coarse(*names):
    blocks = block_grid(5, REGION)
    return Held({name: (blocks.lat_edges, blocks.lon_edges, np.full(blocks.shape, 1e5)) for name in names})


def test_inferred_wind_has_no_panel_of_the_input(output):
    picture = gallery.member_map(open_view(output), source=coarse("msl"))
    assert titles(picture) == [
        "msl, input", "msl, member 0", "msl, member 1",
        "wind, member 0 (inferred)", "wind, member 1 (inferred)", "wind, member 2 (inferred)",
    ]  # fmt: skip
    assert "msl, input: mean sea level pressure 1000 to 1000 hPa, mean 1000" in picture.alt
    assert "TOY, 2010-01-01 00:00" in picture.alt
    data = picture.png
    assert data.startswith(b"\x89PNG")
    assert b"Description" in data
    assert gallery.member_map(open_view(output), source=coarse("msl")).alt == picture.alt


def test_members_and_variables_that_are_asked_for(output):
    view = open_view(output, members=(2, 0), times=chosen_times("2010-01-02"))
    picture = gallery.member_map(view, ("v10", "wind"), every=True, reference=coarse("msl", "u10", "v10"))
    assert titles(picture)[:3] == ["v10, member 2 (inferred)", "v10, member 0 (inferred)", "v10, reference"]
    assert "2010-01-02" in picture.alt


def test_mean_and_spread_are_those_of_all_members(output):
    view = open_view(output)
    fields = np.stack([view.field("msl", 1, m).astype(float) for m in range(3)])
    mean, spread = view.mean_and_spread("msl", 1)
    np.testing.assert_allclose(mean, fields.mean(0))
    np.testing.assert_allclose(spread, 200.0, rtol=1e-4)  # members are the truth -100, +100 and +300 Pa
    assert (
        "msl, spread of 3 members: mean sea level pressure, standard deviation 2 to 2 hPa"
        in gallery.spread_map(view).alt
    )
    with pytest.raises(ConfigError, match="expected two members or more"):
        gallery.spread_map(open_view(output, members=(0,)))


def test_a_region_in_another_turn_is_cut_out(output):
    view = open_view(output, region=parse_region("-5,5,35,40"))
    assert view.grid.lon[[0, -1]].tolist() == [-5.0, 5.0]
    whole, part = open_view(output).field("u10", 0, 1), view.field("u10", 0, 1)
    np.testing.assert_array_equal(part, whole[20:41, 20:61])
    with pytest.raises(InputError, match="nothing of it within the region"):
        open_view(output, region=parse_region("100,110,35,40"))


def test_descending_latitude_reads_the_same(output, tmp_path):
    import xarray as xr

    with xr.open_dataset(output) as data:
        turned = data.isel(lat=slice(None, None, -1)).load()
    np.testing.assert_array_equal(open_view(turned).field("msl", 0, 0), open_view(output).field("msl", 0, 0))


def test_what_was_drawn_of_an_observed_variable_is_hatched(output):
    with netCDF4.Dataset(output, "a") as data:
        for name in ("u10", "v10"):
            data[name].zssd_observed = "partly"
            mask = data.createVariable(f"{name}_observed", "i1", ("time", "lat", "lon"))
            mask[:] = 1
            mask[0, :8] = 0
    view = open_view(output)
    assert view.drawn("wind", 0).mean() == pytest.approx(8 / 81)
    assert not view.drawn("u10", 1).any()
    assert view.drawn("msl", 0) is None
    picture = gallery.member_map(view, ("wind",))
    assert titles(picture)[0] == "wind, member 0 (hatched: drawn)"
    assert "10% of the cells were not observed but drawn" in picture.alt
    hatched = [
        c for axis in picture.figure.axes for c in axis.collections if "////" in (getattr(c, "hatches", None) or [])
    ]
    assert len(hatched) == 3


def test_control_characters_and_mathematics_stay_out_of_titles(output):
    with netCDF4.Dataset(output, "a") as data:
        data.zssd_source_id = "A\x1b[31m\nB $x_2$"
    picture = gallery.member_map(open_view(output), ("msl",))
    assert "\x1b" not in picture.alt
    assert picture.figure.get_suptitle().startswith("A?[31m B $x_2$")
    assert picture.png


def test_cells_of_the_rim_have_their_block():
    blocks = block_grid(5, parse_region("-80,0,20,70"))
    grid = fine_grid(parse_region("-80,0,20,70"))
    values = np.arange(blocks.lat.size * blocks.lon.size, dtype=float).reshape(blocks.shape)
    found = on_cells((blocks.lat_edges, blocks.lon_edges, values), grid)
    assert np.isfinite(found).all()
    assert (found[0, 0], found[-1, -1]) == (values[0, 0], values[-1, -1])
    turned = on_cells((blocks.lat_edges, blocks.lon_edges + 360, values), grid)
    np.testing.assert_array_equal(found, turned)
    globe = block_grid(5)
    across = on_cells(
        (globe.lat_edges, globe.lon_edges, np.tile(globe.lon, (36, 1))), fine_grid(parse_region("-7,7,0,9"))
    )
    assert across[0, [0, -1]].tolist() == [352.5, 7.5]
    assert np.isnan(
        on_cells((blocks.lat_edges, blocks.lon_edges, values), fine_grid(parse_region("10,20,20,30")))
    ).all()


def test_spectra_of_members_and_reference(output, tmp_path, make_output):
    reference = make_output(tmp_path / "ref.nc", "350,375,30,50", shifts=(0.0,), steps=2)
    import xarray as xr

    with xr.open_dataset(reference) as data:
        truth = data.isel(member=0, drop=True).load()
    beside, ticks = Read(open_source(truth, ["msl"]), "The reference"), []
    picture = gallery.spectrum(open_view(output), ("msl",), reference=beside, tick=lambda: ticks.append(1))
    assert len(ticks) == 2 * 3
    lines = {line.get_label(): line for line in picture.figure.axes[0].lines}
    # constant shifts do not change spectra
    np.testing.assert_allclose(lines["members"].get_ydata(), lines["reference"].get_ydata(), rtol=2e-2)


def test_reference_of_another_time(output):
    import xarray as xr

    with xr.open_dataset(output) as data:
        other = data.isel(member=0, time=[1], drop=True).load()
    beside = Read(open_source(other, ["msl"]), "The reference")
    with pytest.raises(InputError, match="The reference has no 2010-01-01T00:00:00"):
        gallery.member_map(open_view(output), reference=beside)


def test_frames_keep_their_size_and_scales(output):
    view = open_view(output, members=(0,))
    frames = list(gallery.frames_of(gallery.animation(view)))
    assert len(frames) == 2
    assert frames[0].shape == frames[1].shape
    assert not np.array_equal(*frames)


def test_choices(output):
    view = open_view(output)
    assert default_variables(view) == ("msl", "wind")
    assert chosen_variables(view, "psl, WIND,si10") == ("msl", "wind", "si10")
    with pytest.raises(ConfigError, match="the file has msl, u10, v10, wind, got z500"):
        chosen_variables(view, "z500")
    assert chosen_members("all") is None
    assert chosen_members("1,0,1") == (1, 0)
    with pytest.raises(ConfigError, match="expected numbers"):
        chosen_members("one")
    with pytest.raises(ConfigError, match="members 0 to 2, got 3"):
        open_view(output, members=(3,))
    assert chosen_times("2010/") == ("2010", None)
    assert origin(view) == "TOY"
    assert shown_time(cftime.datetime(2010, 1, 1, calendar="noleap")) == "2010-01-01 00:00 (noleap calendar)"
