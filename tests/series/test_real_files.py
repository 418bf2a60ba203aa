"""The real files of ../shared/data: for each the right numbers, or one line that says what is wrong with it.

Expected numbers were read from the files with netCDF4 alone. Quantities that zssd does not know (tas, pr ...) are read
as made-up rows of the table of variables, because their files carry the grids, calendars and faults that matter here.
"""

# ruff: noqa: E501  a file per row reads better than a file on eight lines

import numpy as np
import pytest

from zssd_cli.errors import InputError
from zssd_cli.grids.latlon import block_grid
from zssd_cli.grids.regridders import make_regrid
from zssd_cli.series.reading import open_source
from zssd_cli.times import format_time
from zssd_cli.variables import Variable

EVERY = ("msl", "u10", "v10", "z500", "z250")
G = 9.80665


def other(name: str, units: str, level: float | None = None, low: float = -1e18, high: float = 1e18) -> Variable:
    """A row of the table for a quantity that the table lacks."""
    profiles = (name.lower(),) if level is not None else ()
    return Variable(name, name, (), name, (), name, units, low, high, level=level, profiles=profiles)


def open_and_read(paths, variables):
    source = open_source(paths, variables)
    return source.read(0, len(source.times))


def span(source):
    return format_time(source.times[0]), format_time(source.times[-1])


# Files that give a result: file, variable, shape, first and last time, calendar, frequency, (index, value), edges, circular

MPI = "psl_6hrPlev_MPI-ESM1-2-LR_historical_r1i1p1f1_gn_201001010300.nc"
GRIDDED = [
    (f"global/{MPI}", "msl", (2, 96, 192), "2010-01-01T03:00:00", "2010-01-01T09:00:00", "proleptic_gregorian", "6hr",
     {(0, 0, 0): 100166.8125, (1, 50, 100): 100715.375}, (-90, 90, -0.9375, 359.0625)),
    ("global/psl_Amon_GFDL-ESM2M_rcp45_r1i1p1_208101-208512.nc", "msl", (60, 90, 144), "2081-01-16T12:00:00",
     "2085-12-16T12:00:00", "noleap", "mon", {(59, 10, 20): 99339.34375}, (-90, 90, 0, 360)),
    ("global/cube_for_intersection.nc", "msl", (3, 192, 288), "0700-01-15T12:00:00", "0700-03-15T12:00:00", "noleap", "mon",
     {(2, 100, 5): 100903.6797}, (-90, 90, -0.625, 359.375)),
    ("global/uas_CNRM-CM6_sample.nc", "u10", (1, 128, 256), "1850-01-01T06:00:00", "1850-01-01T06:00:00", "standard", "6hr",
     {(0, 60, 3): -3.6387248}, (-90, 90, -0.703125, 359.296875)),
    ("global/vas_CNRM-CM6_sample.nc", "v10", (1, 128, 256), "1850-01-01T06:00:00", "1850-01-01T06:00:00", "standard", "6hr",
     {(0, 60, 3): 3.8933315}, (-90, 90, -0.703125, 359.296875)),
    ("global/uas_rectilinear_grid_2D.nc", "u10", (12, 96, 192), "2005-01-16T12:00:00", "2005-12-16T12:00:00",
     "proleptic_gregorian", "mon", {(11, 3, 4): -2.3963614}, (-90, 90, -0.9375, 359.0625)),
    ("global/tas_Amon_FGOALS-g3_historical_r1i1p1f1_gn_185001.nc", other("tas", "K"), (1, 80, 180), "1850-01-16T12:00:00",
     "1850-01-16T12:00:00", "noleap", "mon", {(0, 3, 4): 241.4988556}, (-90, 90, -1, 359)),
    ("global/tas_Amon_HadCM3_rcp45_r1i1p1_203101-203512.nc", other("tas", "K"), (60, 73, 96), "2031-01-16T00:00:00",
     "2035-12-16T00:00:00", "360_day", "mon", {(59, 3, 4): 245.7572021}, (-90, 90, -1.875, 358.125)),
    ("global/tas_day_MIROC6_ssp119_r1i1p1f1_gn_20150101.nc", other("tas", "K"), (1, 128, 256), "2015-01-01T12:00:00",
     "2015-01-01T12:00:00", "standard", "day", {(0, 3, 4): 258.9545898}, (-90, 90, -0.703125, 359.296875)),
    ("global/tasmin_day_HadGEM3-GC31-MM_dcppA-hindcast_s1960-r2i1p1f2_gn_19601101.nc", other("tasmin", "K"), (1, 324, 432),
     "1960-11-01T12:00:00", "1960-11-01T12:00:00", "360_day", "day", {(0, 3, 4): 228.9013672}, (-90, 90, 0, 360)),
    ("stand_in/mslp.nc", "msl", (4, 451, 900), "2022-08-17T00:00:00", "2022-08-19T00:00:00", "standard", "12hr",
     {(1, 0, 899): 100997.0665}, (-90, 90, -0.2, 359.8)),
    ("stand_in/sample_data_N20.nc", "msl", (4, 40, 80), "2024-01-01T00:00:00", "2024-01-01T18:00:00", "standard", "6hr",
     {(3, 0, 7): 99582.98438}, (-90, 90, -2.25, 357.75)),
    ("stand_in/sample_data_N20.nc", "v10", (4, 40, 80), "2024-01-01T00:00:00", "2024-01-01T18:00:00", "standard", "6hr",
     {(3, 39, 7): -5.55862093}, (-90, 90, -2.25, 357.75)),
    ("regional/zg_test.nc", "z500", (20, 20, 20), "2015-01-01T00:00:00", "2015-01-19T12:00:00", "noleap", "day",
     {(4, 2, 1): 57911.70632}, (13.193717, 32.041885, 124.375, 149.375)),
    ("regional/zg_test.nc", "z250", (20, 20, 20), "2015-01-01T00:00:00", "2015-01-19T12:00:00", "noleap", "day",
     {(4, 2, 1): 108193.09196}, (13.193717, 32.041885, 124.375, 149.375)),
    ("regional/tiny_gcm_360_day_cal.nc", other("tasmin", "K"), (3601, 4, 4), "1965-01-01T12:00:00", "1975-01-01T12:00:00",
     "360_day", "day", {(3600, 3, 2): 274.6499023}, (-68.75, -58.75, 31.875, 46.875)),
    ("odd/region_mismatch/zg_test.nc", "z500", (20, 20, 20), "2015-01-01T00:00:00", "2015-01-19T12:00:00", "noleap", "day",
     {(0, 0, 0): 5192.728515625 * G}, (-90, -71.62304, -0.625, 24.375)),
    ("odd/bcsd_obs_1999_borked.nc", other("tas", "C"), (12, 33, 81), "1999-01-31T00:00:00", "1999-12-31T00:00:00", "standard",
     "mon", {(11, 2, 1): 7.072419167}, (33, 37.125, -85, -74.875)),
    ("odd/err684_packed_output.nc", other("SST", "degC"), (1, 4, 20), "2012-10-01T00:00:00", "2012-10-01T00:00:00", "standard",
     None, {(0, 3, 19): 28.64, (0, 2, 0): np.nan}, (15, 16, 80, 85)),
    ("odd/latlon_latincreasing.nc", other("data_var_1", "none"), (2, 3, 4), "2017-10-15T07:31:52", "2017-10-15T07:31:53",
     "standard", None, {(0, 0, 0): 1.0, (1, 0, 0): 11.0}, (51, 54, 4.55, 8.55)),
    ("odd/tripolar_subset.nc", other("U", "m/sec"), (1, 21, 360), "0061-02-15T00:00:00", "0061-02-15T00:00:00", "noleap", None,
     {(0, 20, 80): -0.7126728892}, (-10.332820, 0.167180, -0.5, 359.5)),
    ("odd/tas_Amon_modify_time_203012-205611.nc", other("tas", "K"), (300, 2, 2), "2030-12-16T00:00:00", "2055-11-16T00:00:00",
     "360_day", "mon", {(0, 0, 0): 254.919}, (-90, 90, -86.25, 273.75)),
    ("odd/tas_modify_fill_value.nc", other("tas", "K"), (300, 2, 2), "2030-12-16T00:00:00", "2055-11-16T00:00:00", "360_day",
     "mon", {(0, 0, 0): 254.919}, (-90, 90, -86.25, 273.75)),
    ("odd/coardsMissingCalendarAttr.nc", other("uwnd", "m s-1", level=100.0), (1, 2, 2), "2015-12-22T00:00:00",
     "2015-12-22T00:00:00", "standard", None, {(0, 1, 1): -3.78}, (86.25, 90, -1.25, 3.75)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "variable", "shape", "first", "last", "calendar", "frequency", "values", "edges"),
    GRIDDED,
    ids=[f"{row[0].split('/')[-1]}-{row[1] if isinstance(row[1], str) else row[1].name}" for row in GRIDDED],
)
def test_gridded_files(shared_data, file, variable, shape, first, last, calendar, frequency, values, edges):
    source = open_source([shared_data / "cmip6" / file], [variable])
    assert (len(source.times), *source.grid.shape) == shape
    assert span(source) == (first, last)
    assert source.calendar == calendar
    assert source.frequency == frequency
    for (time, row, column), expected in values.items():
        block = source.read(time, time + 1)
        assert block.shape == (1, 1, *shape[1:])
        assert block[0, 0, row, column] == pytest.approx(expected, rel=1e-6, nan_ok=True)
    grid = source.grid
    found = (grid.lat_edges[0], grid.lat_edges[-1], grid.lon_edges[0], grid.lon_edges[-1])
    assert found == pytest.approx(edges, abs=2e-5)
    assert grid.circular == (edges[3] - edges[2] == 360)
    source.close()


def test_an_ocean_grid_whose_centres_are_absent_on_land(shared_data):
    path = shared_data / "cmip6/grids/tos_Omon_CESM2-FV2_historical_r1i1p1f1_gn_200001.nc"
    source = open_source(path, [other("tos", "degC")])
    assert int(np.isnan(source.points.lat).sum()) == 16016
    blocks = make_regrid(source.cells["tos"], block_grid(10.0))[0](source.fields("tos", 0, 1))[0]
    sea = ~np.isnan(blocks)
    assert 0.2 < sea.mean() < 0.7
    assert (blocks[sea] > -2).all()
    assert (blocks[sea] < 31).all()
    assert blocks[8:10][sea[8:10]].mean() > 24  # at the equator


def test_the_main_example_in_kind(shared_data):
    source = open_source([shared_data / "cmip6" / "global" / MPI], ["msl", "u10", "v10"])
    assert source.variables == ("msl",)
    assert source.missing == ("u10", "v10")
    assert source.cell_methods == {"msl": "area: time: mean"}
    assert source.attributes["source_id"] == "MPI-ESM1-2-LR"
    assert source.attributes["experiment_id"] == "historical"
    assert source.attributes["variant_label"] == "r1i1p1f1"
    assert source.attributes["institution_id"] == "MPI-M"
    assert source.attributes["source_files"] == MPI
    assert source.attributes["tracking_id"].startswith("hdl:")
    assert source.notes == (
        "msl is a mean over 6 hours (frequency 6hr, cell_methods time: mean, times 6 h apart), smoother than the weather of a moment",
    )
    assert source.averaging is None
    block = source.read(0, 2)
    weights = source.grid.area / source.grid.area.sum()
    assert (block[0, 0] * weights).sum() == pytest.approx(101100, abs=200)
    assert block.min() > 94000
    assert block.max() < 108000


def test_winds_and_pressure_of_a_gaussian_stand_in(shared_data):
    source = open_source([shared_data / "cmip6/stand_in/sample_data_N20.nc"], ["msl", "u10", "v10"])
    assert source.variables == ("msl", "u10", "v10")
    assert source.grid.lat[0] == pytest.approx(-86.59795421)
    assert source.read(0, 4).shape == (4, 3, 40, 80)


def test_two_files_of_winds(shared_data):
    files = [shared_data / "cmip6/global" / f"{name}_CNRM-CM6_sample.nc" for name in ("vas", "uas")]
    source = open_source(files, ["u10", "v10"])
    assert source.read(0, 1)[0, :, 60, 3] == pytest.approx([-3.6387248, 3.8933315])


@pytest.mark.parametrize(
    ("file", "variable", "shape", "vertices", "date"),
    [
        ("grids/tas_Amon_ICON-ESM-LR_historical_r1i1p1f1_gn_185001.nc", "tas", (20480,), True, "1850-01-16T12:00:00"),
        ("grids/tos_Omon_CNRM-CM6-1_ssp245_r1i1p1f2_gn_201501.nc", "tos", (294, 362), True, "2015-01-16T12:00:00"),
        ("odd/CRM026_test2.nc", "FR_LAND", (271, 257), False, "1950-01-01T00:00:00"),
    ],
)
def test_other_grids_give_points(shared_data, file, variable, shape, vertices, date):
    units = {"tas": "K", "tos": "degC", "FR_LAND": "1"}[variable]
    source = open_source([shared_data / "cmip6" / file], [other(variable, units)])
    assert source.grid is None
    assert source.points.lat.shape == shape
    assert (source.points.lat_vertices is not None) == vertices
    assert np.abs(source.points.lat).max() <= 90
    assert span(source)[0] == date
    assert source.read(0, 1).shape == (1, 1, *shape)


def test_rotated_grid_with_true_coordinates(shared_data):
    file = "zg500_EUR-11_IPSL-IPSL-CM5A-MR_rcp85_r1i1p1_IPSL-WRF381P_v1_day_20710101-20751231.nc"
    source = open_source([shared_data / "cmip6/grids" / file], ["z500"])
    assert source.points.lat.shape == (5, 5)
    assert source.points.lat_vertices.shape == (5, 5, 4)
    assert len(source.times) == 1826
    assert source.read(1825, 1826)[0, 0, 2, 3] == pytest.approx(5365.39941 * G, rel=1e-6)


def test_curvilinear_snippet_without_calendar(shared_data):
    source = open_source([shared_data / "cmip6/odd/cfMissingCalendarAttr.nc"], ["msl"])
    assert span(source)[0] == "2015-12-22T00:00:00"
    assert source.read(0, 1)[0, 0].tolist() == [[101560, 101562], [101561, 101558]]


@pytest.mark.parametrize(
    ("file", "variable", "units", "first"),
    [
        ("grids/camse_unstructured_grid.nc", "T850", "K", 283.56808),
        ("grids/sampleCurveGrid4.nc", "sample", "m s-1", None),
        ("odd/dims_not_coord.nc", "U", "m/sec", -0.3528633),
        ("stand_in/era5_msl_2025120100_2.5x2.5.nc", "msl", "Pa", 101072.0),
        ("regional/orog_test.nc", "orog", "m", None),
        ("odd/ipcc_cmip5_tas_historical_subset.nc", "tas", "degC", None),
        ("odd/sample_tas_cmip6_ssp585_preIndustrial_warming2_year.nc", "tas", "degC", None),
    ],
)
def test_fields_without_time(shared_data, file, variable, units, first):
    row = "msl" if variable == "msl" else other(variable, units)
    with pytest.raises(InputError, match=f"{variable} has no time coordinate; add one"):
        open_source([shared_data / "cmip6" / file], [row])
    source = open_source([shared_data / "cmip6" / file], [row], allow_no_time=True)
    assert span(source) == ("0001-01-01T00:00:00", "0001-01-01T00:00:00")
    block = source.read(0, 1)
    assert np.isfinite(block).any()
    if first is not None:
        corner = block[0, 0].reshape(-1)[0]
        assert corner == pytest.approx(first, rel=1e-2 if variable == "msl" else 1e-6)


# Files that end in one line: file, variables, what the line says

REFUSED = [
    ("odd/PI-GWL-B2035.pa-109904_mon.nc", ["msl"], "msl: every value is missing at 1099-04-16T00:00:00"),
    ("odd/PI-GWL-B2035.pa-109904_mon.nc", ["u10"], "fld_s03i209, fld_s03i225 all have the standard_name eastward_wind"),
    ("odd/bad_cdf5_begin.nc", EVERY, "is truncated"),
    ("odd/bad_missing_data.nc", EVERY, "none of msl (psl)"),
    ("odd/bad_missing_data.nc", [other("temp", "K")], "temp has no latitude coordinate"),
    ("odd/bad_missing_data.nc", [other("salinity", "1")], "the latitude coordinate holds missing or fill values"),
    ("odd/bad_units.nc", [other("temp", "N")], "temp is a single point or line"),
    ("odd/badbounds_even.nc", [other("var", "1")], "var has no latitude coordinate"),
    ("odd/badbounds_uneven.nc", [other("var", "1")], "var has no latitude coordinate"),
    ("odd/bounds_overlapping.nc", [other("A", "1")], "A has no latitude coordinate"),
    ("odd/coardsMissingCalendarAttr.nc", [other("uwnd", "m s-1")], "uwnd is on the pressure level 1 hPa"),
    ("odd/dims_not_coord.nc", EVERY, "none of msl (psl), u10 (uas), v10 (vas), z500 (zg), z250 (zg) found, it holds U"),
    ("odd/example_file_irregular_2Dlat2Dlon_grid.nc", [other("data_var_1", "none")], "further dimension extra (10)"),
    ("odd/fill_is_nan.nc", [other("TEMP_IR_UNCOR_MEAN", "degC")], "has no latitude coordinate"),
    ("odd/illeg_axname.nc", [other("SST", "Deg C")], "SST has no latitude coordinate"),
    ("odd/misordered_5d.nc", [other("Tinz_d", "C")], "Tinz_d has no latitude coordinate"),
    ("odd/modulo_lon_time.nc", EVERY, "it holds no fields"),
    ("odd/nan_missing.nc", [other("temp", "degree_Celsius")], "a single latitude (0) without bounds"),
    ("odd/permuteTest.nc", [other("tzyx", "K")], "further dimension z (4)"),
    ("odd/permuteTest.nc", [other("xyt", "K")], "units attribute is missing"),
    ("odd/rankTest.nc", [other("T1noZ", "K")], "units attribute is missing"),
    ("odd/ref_test_365_day_1900.nc", EVERY, "it holds no fields"),
    ("odd/ref_test_corrupt_magic.nc", EVERY, "it holds no fields"),
    ("odd/region_mismatch/ua_test.nc", ["u10"], "ua is eastward_wind on other levels"),
    ("odd/repeat_t_coord.nc", [other("A", "1")], "A has no latitude coordinate"),
    ("odd/tas_rotated_grid_EUR11.nc", [other("tas", "K")], "it has only rotated or projected coordinates"),
    ("odd/twodtime.nc", EVERY, "it holds no fields"),
    ("odd/z_reversed.nc", EVERY, "none of msl (psl)"),
    ("odd/duplicate.cdf", [other("SST", "degC")], "a single longitude (179) without bounds"),
    ("stand_in/daily_surface_cancities_1990-1993.nc", ["msl"], "psl is station data (5 points along 'location')"),
    ("stand_in/pyPoseidon_meteo.nc", ["msl"], "psl has the standard_name air_pressure, expected air_pressure_at_mean_sea"),
    ("regional/uas_test.nc", ["u10"], "the units attribute is missing and the values fit m s-1 or knot"),
    ("regional/ua_test.nc", ["u10"], "ua is eastward_wind on other levels"),
    ("regional/va_test.nc", ["v10"], "va is northward_wind on other levels"),
    ("global/ua_6hrPlevPt_MPI-ESM1-2-LR_historical_r1i1p1f1_gn_201001010600.nc", ["u10"], "eastward_wind on other levels"),
    ("global/va_6hrPlevPt_MPI-ESM1-2-LR_historical_r1i1p1f1_gn_201001010600.nc", ["v10"], "northward_wind on other levels"),
    ("global/uv_6hrPlevPt_MPI-ESM1-2-LR_historical_r1i1p1f1_gn_201001010600.nc", EVERY, "eastward_wind on other levels"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "variables", "message"), REFUSED, ids=[f"{i}-{row[0].split('/')[-1]}" for i, row in enumerate(REFUSED)]
)
def test_refused_files(shared_data, capfd, file, variables, message):
    path = shared_data / "cmip6" / file
    with pytest.raises(InputError) as caught:
        open_and_read([path], variables)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text
    assert len(text) < 700
    assert capfd.readouterr() == ("", "")


def test_every_file_of_the_collection_gives_a_result_or_one_line(shared_data):
    """No file is forgotten: whatever is not named above must at least be refused in one line for the five variables."""
    files = sorted(p for p in (shared_data / "cmip6").rglob("*") if p.suffix in (".nc", ".cdf"))
    assert len(files) >= 90
    refusals = {}
    for path in files:
        try:
            source = open_source([path], EVERY)
            block = source.read(0, 1)
            assert np.isfinite(block).any()
            source.close()
        except InputError as error:
            refusals[path] = str(error)
    assert 60 < len(refusals) < len(files)
    for path, text in refusals.items():
        assert text.startswith(f"{path}: ")
        assert "\n" not in text


@pytest.mark.parametrize(
    ("folder", "variable", "files", "steps", "first", "last", "calendar", "frequency", "corner"),
    [
        ("HadGEM3_360day", other("pr", "kg m-2 s-1"), 12, 125, "2004-11-16T00:00:00", "2015-03-16T00:00:00", "360_day", "mon",
         5.228059308e-05),
        ("MIROC6", other("ta", "K", level=1e5), 3, 1096, "2000-01-01T12:00:00", "2002-12-31T12:00:00", "standard", "day",
         252.649169921875),
        ("MPI-ESM1-2-HR", other("ta", "K", level=1e5), 12, 720, "1950-01-16T12:00:00", "2009-12-16T12:00:00",
         "proleptic_gregorian", "mon", 248.7297058),
    ],
    ids=["HadGEM3", "MIROC6", "MPI"],
)  # fmt: skip
def test_series(shared_data, folder, variable, files, steps, first, last, calendar, frequency, corner):
    paths = sorted((shared_data / "cmip6/series" / f"series_{folder}").glob("*.nc"))
    assert len(paths) == files
    source = open_source(paths[::-1], [variable])
    assert len(source.times) == steps
    assert all(a < b for a, b in zip(source.times[:-1], source.times[1:], strict=True))
    assert span(source) == (first, last)
    assert source.calendar == calendar
    assert source.frequency == frequency
    assert source.read(steps - 1, steps)[0, 0, 1, 1] == pytest.approx(corner, rel=1e-6)
    forwards = open_source(paths, [variable])
    np.testing.assert_array_equal(forwards.read(0, 40), source.read(0, 40))
    assert len(source.attributes["source_files"].split(";")) == files


@pytest.mark.parametrize(
    "file", ["GFDL-CM4_historical_r1i1p1f1_gr2_19900101-20091231", "MIROC6_historical_r1i1p1f1_gn_20000101-20001231"]
)
def test_undeclared_fill_values(shared_data, file):
    """9.97e36 stands in these files where a level lies below the ground, and nothing declares it."""
    variable = other("ta", "K", level=1e5, low=200, high=320)
    source = open_source([shared_data / f"cmip6/regional/ta_day_{file}.nc"], [variable])
    blocks, refusals = [], []
    for start in range(0, len(source.times), 50):
        try:
            blocks.append(source.read(start, min(start + 50, len(source.times))))
        except InputError as error:
            refusals.append(str(error))
    assert all("ta: every value is missing at" in text for text in refusals)
    assert blocks
    assert min(np.nanmin(block) for block in blocks) > 230
    assert max(np.nanmax(block) for block in blocks) < 300


# Reanalysis


@pytest.mark.parametrize(
    ("file", "variables", "shape", "first", "frequency", "probe", "expected", "edges"),
    [
        ("era5/germany_u10_v10_20251104_hourly.nc", ["u10", "v10"], (24, 32, 37), "2025-11-04T00:00:00", "1hr", (23, 0, 0, 0),
         0.0487985611, (47.175, 55.175, 5.775, 15.025)),
        ("era5/canary_u10_v10_t2m_tp_20230106.nc", ["u10", "v10"], (3, 121, 121), "2023-01-06T00:00:00", "6hr", (2, 1, 0, 5),
         -3.1460265589, (19.875, 50.125, -20.125, 10.125)),
        ("era5/spacific_samerica_z500_z1000_20210823_6h.nc", ["z500"], (4, 381, 601), "2021-08-23T00:00:00", "6hr",
         (3, 0, 0, 0), 47693.76886, (-85.125, 10.125, -130.125, 20.125)),
        ("other/era5_kazakhstan_z100-350hPa_incl250_20221111T00-02_45x133.nc", ["z250"], (3, 45, 133), "2022-11-11T00:00:00",
         "1hr", (2, 0, 0, 0), 101915.38268, (48.875, 60.125, 43.875, 77.125)),
        ("era5/era5_norway_msl_u10_v10_t2m_20250601-07_6h_64x112.nc", ["msl", "u10", "v10"], (28, 64, 112),
         "2025-06-01T00:00:00", "6hr", (0, 0, 0, 0), 100842.44, (56.875, 72.875, 3.875, 31.875)),
        ("ifs/ifs_global_msl_u10_v10_20250129T06.nc", ["msl", "u10", "v10"], (1, 721, 1440), "2025-01-29T06:00:00", None,
         (0, 0, 0, 0), 100296.0, (-90, 90, -0.125, 359.875)),
    ],
)  # fmt: skip
def test_reanalysis(shared_data, file, variables, shape, first, frequency, probe, expected, edges):
    source = open_source([shared_data / "reanalysis" / file], variables)
    assert source.variables == tuple(variables)
    assert (len(source.times), *source.grid.shape) == shape
    assert span(source)[0] == first
    assert source.frequency == frequency
    time, *where = probe
    assert source.read(time, time + 1)[0][tuple(where)] == pytest.approx(expected, rel=1e-6)
    grid = source.grid
    assert (grid.lat_edges[0], grid.lat_edges[-1], grid.lon_edges[0], grid.lon_edges[-1]) == pytest.approx(
        edges, abs=1e-5
    )


def test_orography_of_era5_is_not_a_level(shared_data):
    file = shared_data / "reanalysis/era5/static_norway_z_lsm_slt_64x112.nc"
    with pytest.raises(InputError, match="z has no pressure axis"):
        open_source([file], ["z500"])


@pytest.mark.grib
def test_grib_of_era5(shared_data):
    pytest.importorskip("cfgrib")
    file = shared_data / "reanalysis/era5/pyposeidon_era5_msl_u10_v10_2011010100-10323_hourly.grib"
    source = open_source([file], ["msl", "u10", "v10"])
    assert source.variables == ("msl", "u10", "v10")
    assert len(source.times) == 72
    assert span(source) == ("2011-01-01T00:00:00", "2011-01-03T23:00:00")
    assert source.grid.shape == (81, 89)
    assert source.read(0, 1)[0, :, 0, 0] == pytest.approx([101641.06, -2.2384949, 7.371597], rel=1e-5)
    assert list(file.parent.glob("*.idx")) == []


@pytest.mark.grib
def test_grib_with_every_variable_and_mixed_levels(shared_data):
    pytest.importorskip("cfgrib")
    source = open_source([shared_data / "reanalysis/other/gfs_poland_33x49_allvars_20200721T12_f000.grib2"], EVERY)
    assert source.variables == EVERY
    assert span(source)[0] == "2020-07-21T12:00:00"
    found = source.read(0, 1)[0, :, 0, 0]
    assert found == pytest.approx([101839.42, 1.5370069, -2.0794556, 57122.547, 105321.01], rel=1e-6)


@pytest.mark.grib
def test_grib_forecasts_are_dated_by_the_time_they_are_valid(shared_data):
    pytest.importorskip("cfgrib")
    source = open_source([shared_data / "reanalysis/other/gfs_global_prmsl_20250306T04_f022.grib2"], ["msl"])
    assert span(source)[0] == "2025-03-06T04:00:00"
    assert source.grid.circular
