"""Reanalysis as its users have it: old and new Climate Data Store, GRIB among other files, Zarr in the layout of ARCO-ERA5."""

import subprocess
import sys
from datetime import timedelta

import cftime
import netCDF4
import numpy as np
import pytest
import xarray as xr

from zssd_cli.commands.train_report import data_table
from zssd_cli.errors import InputError
from zssd_cli.series import opening
from zssd_cli.series.coverage import check_first_fields, coverage, refuse_lacking, spans
from zssd_cli.series.listing import expand
from zssd_cli.series.opening import is_zarr, url_of
from zssd_cli.series.reading import open_source
from zssd_cli.series.timeline import UNKNOWN_TIME, is_unknown

LAT, LON, HOURS = np.arange(50.0, 44.9, -0.25), np.arange(0.0, 6.0, 0.25), np.arange(0, 24, 6)
SHAPE = (HOURS.size, LAT.size, LON.size)
EVERY = ("msl", "u10", "v10", "z500")


def wave(base, size):
    """Something smooth, (time, lat, lon)."""
    t, y, x = np.meshgrid(HOURS / 24, np.deg2rad(LAT), np.deg2rad(LON), indexing="ij")
    return base + size * np.sin(9 * y + t) * np.cos(7 * x)


TRUE = {"msl": wave(101000.0, 900.0), "u10": wave(2.0, 8.0), "v10": wave(-1.0, 7.0), "z500": wave(55000.0, 800.0)}


def store(path, *, time="time", packed=False, expver_dim=False, versions=False, level=True):
    """ERA5 as the Climate Data Store writes it: latitude from north to south, z on two levels."""
    with netCDF4.Dataset(path, "w") as data:
        for name, axis, units in (("latitude", LAT, "degrees_north"), ("longitude", LON, "degrees_east")):
            data.createDimension(name, axis.size)
            data.createVariable(name, "f4", (name,))[:] = axis
            data[name].units = units
        data.createDimension(time, HOURS.size)
        data.createVariable(time, "i8", (time,))[:] = HOURS
        data[time].setncatts({"units": "hours since 2020-01-01", "calendar": "gregorian", "standard_name": "time"})
        dims = (time, "latitude", "longitude")
        if versions:
            data.createVariable("number", "i8", ())[...] = 0
            data.createVariable("expver", str, (time,))[:] = np.array(["0001", "0001", "0005", "0005"], dtype=object)
        if expver_dim:
            data.createDimension("expver", 2)
            data.createVariable("expver", "i4", ("expver",))[:] = [1, 5]
            dims = (time, "expver", "latitude", "longitude")
        units = {"msl": "Pa", "u10": "m s**-1", "v10": "m s**-1"}
        for name, unit in units.items():
            put(data, name, dims, unit, TRUE[name], packed, expver_dim)
        if level:
            data.createDimension("pressure_level", 2)
            data.createVariable("pressure_level", "f8", ("pressure_level",))[:] = [500, 1000]
            data["pressure_level"].setncatts({"units": "hPa", "positive": "down", "standard_name": "air_pressure"})
            both = np.stack([TRUE["z500"], TRUE["z500"] - 54000], 1)
            put(data, "z", (time, "pressure_level", *dims[-2:]), "m**2 s**-2", both, packed, False)
    return path


def put(data, name, dims, unit, values, packed, expver_dim):
    if expver_dim:  # the final data end where the preliminary ones begin
        final, preliminary = values.copy(), values.copy()
        final[2:], preliminary[:2] = np.nan, np.nan
        values = np.stack([final, preliminary], 1)
    if packed:
        low, high = np.nanmin(values), np.nanmax(values)
        array = data.createVariable(name, "i2", dims, fill_value=np.int16(-32767))
        array.setncatts(
            {"scale_factor": (high - low) / 65000, "add_offset": (high + low) / 2, "missing_value": np.int16(-32767)}
        )
    else:
        array = data.createVariable(name, "f4", dims, fill_value=np.float32(np.nan))
    array.units = unit
    array[:] = np.ma.masked_array(np.nan_to_num(values), np.isnan(values))


def assert_true(source, tolerance=1e-6):
    """What was read is what was written, south to north."""
    fields = source.read(0, len(source.times))
    assert source.missing == ()
    for k, name in enumerate(source.variables):
        true = TRUE[name][:, ::-1]
        np.testing.assert_allclose(fields[:, k], true, atol=tolerance * np.ptp(true) + 1e-7 * np.abs(true).max())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"packed": True},
        {"time": "valid_time", "versions": True},
        {"expver_dim": True},
        {"expver_dim": True, "packed": True, "time": "valid_time"},
    ],
    ids=lambda o: "+".join(o) or "plain",
)
def test_climate_data_store(tmp_path, options):
    source = open_source(store(tmp_path / "era5.nc", **options), EVERY)
    assert_true(source, 1.3e-3 if options.get("packed") else 1e-6)
    check_first_fields(source)


def arco(path, consolidated, zarr_format=2):
    """The layout of ARCO-ERA5: long names, a level axis in hPa without units, one time a chunk."""
    zarr = pytest.importorskip("zarr")
    assert zarr
    dims = ("time", "latitude", "longitude")
    long = {
        "msl": "mean_sea_level_pressure",
        "u10": "10m_u_component_of_wind",
        "v10": "10m_v_component_of_wind",
    }
    units = {"msl": "Pa", "u10": "m s**-1", "v10": "m s**-1"}
    fields = {long[n]: (dims, TRUE[n].astype(np.float32), {"units": units[n], "short_name": n}) for n in long}
    both = np.stack([TRUE["z500"] - 54000, TRUE["z500"]], 1).astype(np.float32)
    fields["geopotential"] = (
        ("time", "level", *dims[1:]),
        both,
        {"units": "m**2 s**-2", "standard_name": "geopotential"},
    )
    time = ("time", HOURS, {"units": "hours since 2020-01-01", "calendar": "proleptic_gregorian"})
    place = {
        "latitude": ("latitude", LAT, {"units": "degrees_north"}),
        "longitude": ("longitude", LON, {"units": "degrees_east"}),
    }
    dataset = xr.Dataset(fields, {"time": time, "level": [1000, 500], **place})
    encoding = {name: {"chunks": (1, *dataset[name].shape[1:])} for name in fields}
    dataset.to_zarr(path, encoding=encoding, consolidated=consolidated, zarr_format=zarr_format)
    return path


@pytest.mark.parametrize(("consolidated", "zarr_format"), [(True, 2), (False, 2), (False, 3)])
def test_zarr_folder(tmp_path, consolidated, zarr_format):
    path = arco(tmp_path / "era5.zarr", consolidated, zarr_format)
    assert is_zarr(path)
    source = open_source(path, EVERY)
    assert_true(source)
    assert source.attributes["source_files"] == "era5.zarr"
    assert open_source(str(tmp_path / "*.zarr"), "msl").variables == ("msl",)


def test_zarr_behind_a_url(tmp_path):
    path = arco(tmp_path / "era5.zarr", True)
    assert_true(open_source(f"file://{path}", EVERY))


@pytest.mark.parametrize(
    "url", ["gs://gcp-public-data-arco-era5/ar/full.zarr-v3", "s3://bucket/era5.zarr", "https://host.org/a/b.zarr"]
)
def test_urls_survive_as_paths(url):
    (path,) = expand([url])
    assert url_of(path) == url
    assert url_of(path.parent / "x") is not None


def test_paths_are_no_urls(tmp_path):
    assert url_of(tmp_path / "a.nc") is None
    with pytest.raises(InputError, match="is a directory"):
        expand([tmp_path])


def test_a_url_that_leads_nowhere_is_one_line(tmp_path):
    pytest.importorskip("zarr")
    with pytest.raises(InputError, match="cannot be read") as caught:
        open_source(f"file://{tmp_path}/no.zarr", "msl")
    assert "\n" not in str(caught.value)


@pytest.mark.grib
def test_grib_files_without_the_variables_are_a_note_among_others(tmp_path, shared_data):
    pytest.importorskip("cfgrib")
    folder = shared_data / "reanalysis" / "other"
    pressure, height = (next(iter(sorted(folder.glob(f"gfs_global_{name}*")))) for name in ("prmsl_2025", "gh500"))
    source = open_source([pressure, height], ("msl", "u10"), allow_no_time=True)
    assert source.variables == ("msl",)
    assert any(note.startswith(f"{height.name} holds none of the variables") for note in source.notes)
    with pytest.raises(InputError, match=r"none of msl \(psl\) found"):
        open_source(height, ("msl",))


def test_what_is_absent_and_where(tmp_path):
    whole, winds = store(tmp_path / "a.nc", level=False), store(tmp_path / "b.nc", level=False)
    with netCDF4.Dataset(winds, "a") as data:
        data.renameVariable("msl", "other")
        data["time"][:] = HOURS + 24
    source = open_source([whole, winds], ("msl", "u10", "z500"))
    rows = {row.variable: row for row in coverage(source)}
    assert list(rows) == ["msl", "u10", "z500"]
    assert (rows["msl"].files, len(rows["msl"].times), rows["u10"].files, len(rows["u10"].times)) == (1, 4, 2, 8)
    assert set(rows["msl"].lacking.values()) == {winds}
    assert spans(rows["msl"].lacking, rows["u10"].step) == "2020-01-02T00:00..2020-01-02T18:00 (4)"
    assert (rows["z500"].files, rows["z500"].times) == (0, ())
    with pytest.raises(InputError, match=r"msl is absent at 4 of 8 times: 2020-01-02T00:00.*b\.nc"):
        refuse_lacking(tuple(rows.values()))
    assert len(source.times) == 4


def test_gaps_of_a_regular_series(tmp_path):
    first, second = store(tmp_path / "a.nc"), store(tmp_path / "b.nc")
    with netCDF4.Dataset(second, "a") as data:
        data["time"][:] = HOURS + 36
    (row,) = coverage(open_source([first, second], "msl"))
    assert row.step.total_seconds() == 6 * 3600
    assert spans(row.gaps, row.step) == "2020-01-02T00:00..2020-01-02T06:00 (2)"


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "proleptic_gregorian"])
def test_the_table_and_the_check_take_any_calendar(tmp_path, calendar):
    first, second = (store(tmp_path / f"{name}.nc", level=False) for name in "ab")
    for path, shift in ((first, 0), (second, 24)):
        with netCDF4.Dataset(path, "a") as data:
            data["time"].calendar = calendar
            data["time"][:] = HOURS + shift
            data["msl"][:] = data["msl"][:] / (100 if shift else 1)
    source = open_source([first, second], ("msl", "u10"))
    table = data_table([("main", coverage(source))])
    assert next(iter(table.columns[4].cells)) == "2020-01-01T00:00 2020-01-02T18:00"
    with pytest.raises(InputError, match="msl: values .*first seen at 2020-01-02T00:00:00"):
        check_first_fields(source)


def test_a_time_that_is_not_known():
    assert is_unknown(UNKNOWN_TIME)
    assert is_unknown(cftime.DatetimeProlepticGregorian(1, 1, 1))
    assert not is_unknown(cftime.DatetimeNoLeap(1, 1, 1))
    assert not is_unknown(cftime.DatetimeGregorian(2020, 1, 1))


def test_a_url_is_named_as_it_was_given(monkeypatch):
    pytest.importorskip("zarr")
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name == "aiohttp" else name)
    with pytest.raises(InputError, match=r"^https://host.org/a.zarr: is behind HTTP.*pip install aiohttp requests"):
        open_source("https://host.org/a.zarr", "msl")


def test_many_runs_are_cut_short():
    dates = [cftime.DatetimeGregorian(2020, 1, day) for day in (1, 2, 5, 7, 9, 11)]
    assert spans(dates, timedelta(days=1), 2) == "2020-01-01T00:00..2020-01-02T00:00 (2), 2020-01-05T00:00 and 3 more"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_several_broken_arrays_of_a_zarr_store_are_one_line(tmp_path, zarr_format):
    path = arco(tmp_path / "era5.zarr", False, zarr_format)
    for name in ("latitude", "longitude", "10m_u_component_of_wind", "mean_sea_level_pressure"):
        (path / name / (".zarray" if zarr_format == 2 else "zarr.json")).write_text('{"zarr_format": 2, broken')
    ended = subprocess.run(
        [sys.executable, "-m", "zssd_cli", "downscale", path, "-o", tmp_path / "out.nc"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"zssd: error: {path}: cannot be read")
    assert line.endswith("check the store, or write it again.")
