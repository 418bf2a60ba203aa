"""Impossible fields of plausible values: told with count and place, errors on request."""

import netCDF4
import numpy as np
import pytest

from zssd_cli.errors import InputError
from zssd_cli.series.reading import open_source

LAT, LON = np.arange(30.0, 60.1, 1.0), np.arange(-20.0, 20.1, 1.0)


def weather(make, name="psl", hours=(0.0, 6.0, 12.0)):
    return np.array(make.values(name, LAT, LON, np.asarray(hours)))


def doubts(path, variable="msl"):
    source = open_source(path, variable)
    source.read(0, len(source.times))
    return source.doubts


def write(make, values, name="psl", **options):
    units = "Pa" if name == "psl" else "m s-1"
    return make(name=name, units=units, lat=LAT, lon=LON, values=values, **options)


def test_good_fields_raise_no_doubts(make):
    assert doubts(write(make, weather(make))) == ()
    assert doubts(write(make, weather(make, "uas"), "uas"), "u10") == ()


def test_an_undeclared_fill_value_within_the_range(make):
    values = weather(make, "uas")
    values[1, 3:6, 7:9] = -99.0
    line = doubts(write(make, values, "uas"), "u10")[0]
    assert (
        "in.nc: u10: values as of an undeclared fill value: 6 cells hold exactly -99 m s-1, first lat 33, lon -13"
        in line
    )
    assert "at 2010-01-01T06:00:00" in line


def test_zeros_in_the_place_of_land(make):
    values = weather(make, "uas")
    values[:, :10] = 0.0
    (line,) = [one for one in doubts(write(make, values, "uas"), "u10") if "zeros" in one]
    assert "410 of 1271 cells hold exactly 0 at 2010-01-01T00:00:00 and 2 more times" in line


def test_a_constant_field(make):
    values = weather(make)
    values[2] = 101300.0
    assert "a constant field: 1271 cells hold 101300 Pa at 2010-01-01T12:00:00" in doubts(write(make, values))[0]


def test_a_field_that_repeats_the_one_before(make):
    values = weather(make)
    values[2] = values[1]
    path = write(make, values)
    assert "a field that repeats the one before it: 1271 equal cells at 2010-01-01T12:00:00" in doubts(path)[0]
    source = open_source(path, "msl")
    for k in range(3):
        source.read(k, k + 1)
    assert len(source.doubts) == 1


def folded(path, values, scale=0.1, offset=101000.0):
    """Values packed into 16 bits that wrap round."""
    with netCDF4.Dataset(path, "a") as data:
        data.renameVariable("psl", "old")
        new = data.createVariable("psl", "i2", ("time", "lat", "lon"))
        new.set_auto_maskandscale(False)
        new[:] = np.rint((values - offset) / scale).astype(np.int64).astype(np.uint16).view(np.int16)
        new.setncatts({"units": "Pa", "scale_factor": scale, "add_offset": offset})
    return path


def test_packing_that_wrapped_round(make):
    values = weather(make)
    depth = 6000 * np.exp(-((LAT[:, None] - 45) ** 2 + LON[None, :] ** 2) / 30)
    path = folded(write(make, values), values - depth)
    line = doubts(path)[0]
    assert "packed values that were wrapped round" in line
    assert "nearly the whole range of the packing, 6554" in line
    assert doubts(folded(write(make, values), values)) == ()


def test_a_jump_without_packing(make):
    values = weather(make)
    values[0, 10:14, 10:14] += 5000
    assert (
        "a jump between neighbours: 8 pairs of neighbouring cells differ by up to 5" in doubts(write(make, values))[0]
    )


def test_strict_makes_them_errors(make):
    values = weather(make)
    values[1] = 101300.0
    source = open_source(write(make, values), "msl", strict=True)
    with pytest.raises(
        InputError, match=r"a constant field.*at 2010-01-01T06:00:00; mend the file, or leave --strict out"
    ):
        source.read(0, 3)
    values[0] = 101300.0
    with pytest.raises(InputError, match="a constant field"):
        open_source(
            write(make, values, file="b.nc"), "msl", strict=True
        )  # the first field is read when the file is opened
