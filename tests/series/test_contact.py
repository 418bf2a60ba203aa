"""First contact: what a file is, where it is not what the tool reads."""

import netCDF4
import numpy as np
import pytest

from zssd_cli.errors import InputError
from zssd_cli.series.reading import open_source


def refused(paths, variables=("msl", "u10", "v10")):
    with pytest.raises(InputError) as caught:
        open_source(paths, variables)
    return str(caught.value)


@pytest.mark.parametrize("group", ["data", "forecast/surface"])
def test_fields_in_groups(tmp_path, group):
    path = tmp_path / "grouped.nc"
    with netCDF4.Dataset(path, "w") as data:
        inner = data.createGroup(group)
        inner.createDimension("lat", 3)
        inner.createDimension("lon", 4)
        inner.createVariable("psl", "f4", ("lat", "lon"))[:] = 1e5
    last = group.rsplit("/", 1)[-1]
    assert f"in the group '{group}', which are not read; take them out with ncks -G : -g {last} grouped.nc" in refused(
        path
    )


def test_raw_wrf_output(tmp_path):
    path = tmp_path / "wrfout_d01_2010-01-01"
    with netCDF4.Dataset(path, "w") as data:
        for name, size in (("Time", 1), ("south_north", 3), ("west_east", 4), ("DateStrLen", 19)):
            data.createDimension(name, size)
        for name in ("XLAT", "XLONG", "U10", "V10", "PSFC"):
            data.createVariable(name, "f4", ("Time", "south_north", "west_east"))[:] = np.arange(12).reshape(3, 4)
    assert "is raw WRF output: its winds point along the model's axes" in refused(path)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://esgf.example.org/thredds/dodsC/psl.nc", "fetch it first: nccopy 'https://esgf.example.org/thredds/dodsC/psl.nc'"),
        ("http://esgf.example.org/thredds/fileServer/a/psl.nc", "fetch it first: wget 'http://esgf.example.org/thredds/fileServer"),
        ("https://esgf.example.org/thredds/catalog.html", "is the page of a catalogue"),
        ("https://example.org/psl_6hr.nc", "fetch it first: wget 'https://example.org/psl_6hr.nc'"),
    ],
)  # fmt: skip
def test_addresses_that_serve_netcdf(url, words):
    assert words in refused(url)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"BZh91AY", "compressed with bzip2"), (b"\xfd7zXZ\x00", "compressed with xz"), (b"\x0e\x03\x13\x01rest", "is HDF4"),
        (b"II*\x00rest", "gdal_translate"), (b"time,psl\n2010,101325\n", "is text ('time,psl' ...), expected NetCDF"),
        (b"%PDF-1.4", "a PDF document"), (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"a" * 257 + b"ustar" + b"\x00" * 50, "is a tar archive"),
    ],
)  # fmt: skip
def test_other_formats(tmp_path, content, words):
    path = tmp_path / "in.nc"
    path.write_bytes(content)
    assert words in refused(path)


# Whose output

SSP = {"source_id": "X", "experiment_id": "ssp126", "variant_label": "r1i1p1f1"}


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"experiment_id": "ssp585"}, "experiment ssp126 and ssp585"),
        ({"variant_label": "r2i1p1f1"}, "member r1i1p1f1 and r2"),
    ],
)
def test_two_scenarios_or_members_for_the_same_times(make, other, what):
    files = [make("p.nc", globals_=SSP), make("u.nc", name="uas", units="m s-1", globals_=SSP | other)]
    assert f"are of {what}" in refused(files)


def test_one_experiment_after_another(make):
    past = make("a.nc", globals_=SSP | {"experiment_id": "historical"})
    source = open_source([past, make("b.nc", hours=(18.0, 24.0), globals_=SSP)], "msl")
    assert len(source.times) == 5
    assert source.notes == ("the files go from one to another in time: experiment historical and ssp126",)
    assert source.attributes["experiment_id"] == "historical;ssp126"


# Staggered winds


def test_each_variable_has_its_own_cells(make):
    lat, lon = np.arange(-67.5, 68, 15.0), np.arange(7.5, 360, 15.0)
    files = [
        make("p.nc", lat=lat, lon=lon),
        make("u.nc", name="uas", units="m s-1", lat=lat, lon=lon - 7.5),
        make("v.nc", name="vas", units="m s-1", lat=np.arange(-75.0, 76, 15.0), lon=lon),
    ]
    source = open_source(files, ["msl", "u10", "v10"])
    assert [source.cells[name].grid.shape for name in source.variables] == [(10, 24), (10, 24), (11, 24)]
    assert source.cells["u10"].grid.lon[0] == 0
    assert source.fields("v10", 0, 2).shape == (2, 11, 24)
    with pytest.raises(InputError, match="u10 is on another grid"):
        source.read(0, 1)


def test_the_same_cells_with_another_origin_are_one_grid(make):
    lon = np.arange(0.0, 360, 15.0)
    files = [make("p.nc", lon=lon), make("u.nc", name="uas", units="m s-1", lon=lon - 180 + 1e-4)]
    source = open_source(files, ["msl", "u10"])
    assert source.cells["msl"] is source.cells["u10"]
    fields = source.read(0, 1)[0, 1]
    np.testing.assert_allclose(fields, make.values("uas", source.grid.lat, source.grid.lon, np.zeros(1))[0], atol=1e-3)


def test_numbers_that_are_written_as_text(make):
    path = make(dtype="i2", values=np.zeros((3, 4, 8)))
    values = make.values("psl", np.array([-60.0, -20, 20, 60]), np.arange(0.0, 360, 45), np.arange(3) * 6.0)
    with netCDF4.Dataset(path, "a") as data:
        data["psl"].set_auto_maskandscale(False)
        stored = np.rint((values - 101000) / 0.1).astype("i2")
        stored[0, 0, 0] = -999
        data["psl"][:] = stored
        data["psl"].setncatts({"scale_factor": "0.1", "add_offset": "101000", "missing_value": "-999"})
    read = open_source(path, "msl").read(0, 3)[:, 0]
    assert np.isnan(read[0, 0, 0])
    np.testing.assert_allclose(read[1:], values[1:], atol=0.06)
    with netCDF4.Dataset(path, "a") as data:
        data["psl"].scale_factor = "a tenth"
    assert "scale_factor of int16 values is the text 'a tenth', expected a number" in refused(path, "msl")


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ({"sub_experiment_id": "s1960"}, {"sub_experiment_id": "s1961"}, "start s1960 and s1961"),
        ({"driving_model_id": "A"}, {"driving_model_id": "B"}, "driving model A and B"),
        ({"case": "b.e21"}, {"case": "f.e20"}, "experiment b.e21 and f.e20"),
    ],
)
def test_other_names_of_origins(make, first, second, what):
    files = [make("p.nc", globals_=first), make("u.nc", name="uas", units="m s-1", globals_=second)]
    assert f"are of {what}" in refused(files)


def test_origins_by_the_names_of_files(make):
    names = [f"{v}_6hrPlev_X_{e}_r1i1p1f1_gn_2015.nc" for v, e in (("psl", "ssp126"), ("uas", "ssp585"))]
    files = [make(names[0]), make(names[1], name="uas", units="m s-1")]
    assert "are of experiment ssp126 and ssp585 for the same times" in refused(files)


def test_a_group_beside_fields_of_the_root(make):
    path = make()
    with netCDF4.Dataset(path, "a") as data:
        inner = data.createGroup("wind")
        for name, size in (("y", 3), ("x", 4)):
            inner.createDimension(name, size)
        inner.createVariable("uas", "f4", ("y", "x"))
    assert "it holds fields in the group 'wind', which are not read" in refused(path)


def test_the_same_region_with_another_origin(make):
    lat, lon = np.arange(30.0, 61, 5), np.arange(-10.0, 31, 5)
    first = make("a.nc", lat=lat, lon=lon)
    source = open_source([first, make("b.nc", lat=lat, lon=lon + 360, hours=(18.0, 24.0))], "msl")
    assert len(source.times) == 5


def test_grids_of_several_labels_get_a_note(make):
    files = [
        make("p.nc", globals_={"grid_label": "gn"}),
        make("u.nc", name="uas", units="m s-1", globals_={"grid_label": "gr"}),
    ]
    assert open_source(files, ["msl", "u10"]).notes == ("the files mix the grid labels gn, gr",)
