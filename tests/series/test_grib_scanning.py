"""GRIB in every order of its points: what is read stands where ecCodes says that it stands."""

import itertools

import numpy as np
import pytest

from zssd_cli.errors import InputError
from zssd_cli.series.reading import open_source

pytestmark = pytest.mark.grib
LAT, LON = np.arange(30.0, 61, 5), np.arange(-20.0, 41, 5)


def write(path, *, west=False, north=True, columns=False, to_and_fro=False, edition=2, missing=(), keys=None, lon=LON):
    """Two times of a field that tells its place: 100000 + 10 lat + lon + number of the time."""
    eccodes = pytest.importorskip("eccodes")
    lat, lon = LAT[:: 1 if north else -1], lon[:: -1 if west else 1]
    place = 100_000.0 + 10 * lat[:, None] + lon
    grid = {
        "Ni": lon.size, "Nj": lat.size, "iDirectionIncrementInDegrees": 5.0, "jDirectionIncrementInDegrees": 5.0,
        "latitudeOfFirstGridPointInDegrees": lat[0], "latitudeOfLastGridPointInDegrees": lat[-1],
        "longitudeOfFirstGridPointInDegrees": lon[0] % 360, "longitudeOfLastGridPointInDegrees": lon[-1] % 360,
        "iScansNegatively": int(west), "jScansPositively": int(north), "jPointsAreConsecutive": int(columns),
        "shortName": "msl", "dataTime": 0, "bitsPerValue": 24,
    }  # fmt: skip
    with path.open("wb") as file:
        for number in range(2):
            handle = eccodes.codes_grib_new_from_samples(f"regular_ll_sfc_grib{edition}")
            for key, value in {**grid, "dataDate": 20100101 + number, **(keys or {})}.items():
                eccodes.codes_set(handle, key, value)
            if to_and_fro:
                eccodes.codes_set(handle, "alternativeRowScanning", 1)
            values = (place.T if columns else place).ravel() + number
            if missing:
                eccodes.codes_set(handle, "bitmapPresent", 1)
                eccodes.codes_set(handle, "missingValue", 9999.0)
                values[list(missing)] = 9999.0
            eccodes.codes_set_values(handle, values)
            eccodes.codes_write(handle, file)
            eccodes.codes_release(handle)
    return path


def read(path, start=-150):
    """Fields, and what they should be, longitude from ``start`` on."""
    source = open_source([path], ["msl"])
    grid = source.cells["msl"].grid
    east = (grid.lon - start) % 360 + start
    return source.fields("msl", 0, 2), 100_000 + 10 * grid.lat[:, None] + east + np.arange(2)[:, None, None]


@pytest.mark.parametrize(("west", "north", "columns"), list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("edition", [1, 2])
def test_points_in_any_order(tmp_path, west, north, columns, edition):
    path = write(tmp_path / "a.grib", west=west, north=north, columns=columns, edition=edition)
    fields, truth = read(path)
    np.testing.assert_allclose(fields, truth, atol=0.01)


@pytest.mark.parametrize("west", [False, True])
def test_the_whole_circle(tmp_path, west):
    around = np.arange(0.0, 360, 5)
    path = write(tmp_path / "a.grib", lon=around, west=west)
    fields, truth = read(path, 0)
    np.testing.assert_allclose(fields, truth, atol=0.01)


@pytest.mark.parametrize("columns", [False, True])
def test_missing_points_stay_where_they_are(tmp_path, columns):
    fields, truth = read(write(tmp_path / "a.grib", west=True, columns=columns, missing=(0, 1, 30)))
    assert np.isnan(fields).sum() == 6
    np.testing.assert_allclose(fields[np.isfinite(fields)], truth[np.isfinite(fields)], atol=0.01)
    assert np.isnan(fields[0, 0, -1])


def test_rows_to_and_fro_are_refused(tmp_path):
    with pytest.raises(InputError, match="alternativeRowScanning"):
        open_source([write(tmp_path / "a.grib", to_and_fro=True)], ["msl"])


def test_columns_of_a_grid_without_axes_are_refused(tmp_path):
    turned = {
        "gridType": "rotated_ll",
        "latitudeOfSouthernPoleInDegrees": -40.0,
        "longitudeOfSouthernPoleInDegrees": 10.0,
    }
    with pytest.raises(InputError, match="columns of a rotated_ll grid"):
        open_source([write(tmp_path / "a.grib", columns=True, keys=turned)], ["msl"])


def test_a_reduced_gaussian_grid_is_not_taken_for_a_damaged_file(tmp_path):
    eccodes = pytest.importorskip("eccodes")
    handle = eccodes.codes_grib_new_from_samples("reduced_gg_pl_32_grib2")
    for key, value in {"shortName": "msl", "dataDate": 20100101, "dataTime": 0}.items():
        eccodes.codes_set(handle, key, value)
    places = [eccodes.codes_get_array(handle, key) for key in ("latitudes", "longitudes")]
    eccodes.codes_set(handle, "bitsPerValue", 24)
    eccodes.codes_set_values(handle, 100_000 + 10 * places[0] + places[1])
    with (tmp_path / "a.grib").open("wb") as file:
        eccodes.codes_write(handle, file)
    points = (source := open_source([tmp_path / "a.grib"], ["msl"])).cells["msl"].points
    truth = 100_000 + 10 * points.lat + points.lon % 360
    np.testing.assert_allclose(source.fields("msl", 0, 1)[0].ravel(), truth, atol=0.01)
