"""Static fields: the hash survives files, real ERA5 fields agree with the built-in ones, traps are refused."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from zssd_cli.errors import ConfigError, InputError, OutputError
from zssd_cli.grids.latlon import LatLonGrid, fine_grid, parse_region
from zssd_cli.static import SHAPE, StaticFields, from_era5, from_etopo, load_static, write_static


@pytest.fixture(scope="module")
def builtin() -> StaticFields:
    return load_static()


def grid_file(
    path: Path, fields: dict[str, tuple[np.ndarray, str]], lat: np.ndarray, lon: np.ndarray, time: bool = True
) -> Path:
    """A NetCDF in ERA5's layout."""
    with netCDF4.Dataset(path, "w") as data:
        for name, values in (("latitude", lat), ("longitude", lon), ("time", np.zeros(1))):
            data.createDimension(name, values.size)
            data.createVariable(name, "f8", (name,))[:] = values
        for name, (values, units) in fields.items():
            variable = data.createVariable(
                name, "f4", (*(("time",) if time else ()), "latitude", "longitude"), zlib=True
            )
            variable.units = units
            variable[:] = values[None] if time else values
    return path


def test_builtin_is_the_earth(builtin: StaticFields) -> None:
    assert builtin.height.shape == builtin.land_fraction.shape == SHAPE
    assert builtin.height.dtype == np.float32
    everest, tibet, pacific = (112 + 360, 348), (360 + 132, 352), (360, 840)
    assert builtin.height[everest] > 3000
    assert builtin.height[tibet] > 4000
    assert builtin.height[pacific] == builtin.land_fraction[pacific] == 0
    weights = np.cos(np.deg2rad(fine_grid().lat))[:, None]
    assert (builtin.land_fraction * weights).sum() / (weights.sum() * 1440) == pytest.approx(0.29, abs=0.02)


def test_hash_survives_the_file(builtin: StaticFields, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    odd = StaticFields(builtin.height + rng.uniform(-0.4, 0.4, SHAPE).astype("f4"), builtin.land_fraction, "test")
    assert odd.sha256 == builtin.sha256
    write_static(odd, tmp_path / "static.nc")
    again = load_static(tmp_path / "static.nc")
    assert again.sha256 == builtin.sha256
    assert again.source == "test"
    np.testing.assert_array_equal(again.height, builtin.height)
    np.testing.assert_array_equal(again.land_fraction, builtin.land_fraction)
    assert [p.name for p in tmp_path.iterdir()] == ["static.nc"]


def test_changed_field_is_noticed(builtin: StaticFields, tmp_path: Path) -> None:
    path = tmp_path / "static.nc"
    write_static(builtin, path)
    with netCDF4.Dataset(path, "a") as data:
        data["height"][300, 300] = 17
    with pytest.raises(InputError, match="damaged"):
        load_static(path)


def test_unwritable_folder(builtin: StaticFields, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Cannot write"):
        write_static(builtin, tmp_path / "absent" / "static.nc")


def test_channels_of_regions(builtin: StaticFields) -> None:
    whole = builtin.channels(fine_grid())
    assert whole.shape == (4, *SHAPE)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole[2] ** 2 + whole[3] ** 2, 1, atol=1e-6)
    assert whole[3].min() >= 0
    atlantic = builtin.channels(fine_grid(parse_region("-80,0,20,70")))
    np.testing.assert_array_equal(atlantic, np.roll(whole, 320, axis=2)[:, 440:641, :321])
    far = fine_grid(parse_region("350,380,-5,5"))
    assert far.lon[-1] > 360
    np.testing.assert_array_equal(builtin.channels(far), builtin.channels(fine_grid(parse_region("-10,20,-5,5"))))


def test_channels_refuse_other_grids(builtin: StaticFields) -> None:
    edges = np.array([0.0, 0.25, 0.5])
    with pytest.raises(ConfigError, match=r"multiples of 0\.25"):
        builtin.channels(LatLonGrid(np.array([0.125, 0.375]), np.array([0.125, 0.375]), edges, edges))


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("west", [0, -180])
def test_era5_in_any_order(builtin: StaticFields, tmp_path: Path, descending: bool, west: int) -> None:
    lat, lon = fine_grid().lat, np.arange(1440) * 0.25 + west
    height, land = (
        np.roll(f, -4 * west, axis=1)[:: -1 if descending else 1] for f in (builtin.height, builtin.land_fraction)
    )
    lat = lat[::-1] if descending else lat
    path = grid_file(tmp_path / "e.nc", {"z": (height * 9.80665, "m**2 s**-2"), "lsm": (land, "(0 - 1)")}, lat, lon)
    assert from_era5(path).sha256 == builtin.sha256


@pytest.mark.parametrize(
    ("z", "units", "match"),
    [
        (1.0, "m**2 s**-2", "mislabelled"),
        (9.80665, "m", "m2 s-2"),
        (9.80665, "m2 s-2", "no land-sea mask"),
    ],
)
def test_era5_errors(builtin: StaticFields, tmp_path: Path, z: float, units: str, match: str) -> None:
    path = grid_file(tmp_path / "e.nc", {"z": (builtin.height * z, units)}, fine_grid().lat, np.arange(1440) * 0.25)
    with pytest.raises(InputError, match=match) as error:
        from_era5([path])
    assert "\n" not in str(error.value)


def test_era5_pressure_level_and_percent(builtin: StaticFields, tmp_path: Path) -> None:
    lat, lon = fine_grid().lat, np.arange(1440) * 0.25
    level = grid_file(tmp_path / "z.nc", {"z": (builtin.height * 0 + 55000.0, "m2 s-2")}, lat, lon)
    with pytest.raises(InputError, match="pressure level"):
        from_era5(level)
    percent = grid_file(tmp_path / "lsm.nc", {"lsm": (builtin.land_fraction * 100, "%")}, lat, lon)
    with pytest.raises(InputError, match="between 0 and 1"):
        from_era5(percent)


@pytest.mark.parametrize("content", [b"GRIB\x00\x00\x00\x01 not netcdf", b""])
def test_not_netcdf(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.nc").write_bytes(content)
    for read in (load_static, from_era5, from_etopo):
        with pytest.raises(InputError, match="not a readable NetCDF") as error:
            read(tmp_path / "x.nc")
        assert "\n" not in str(error.value)
        with pytest.raises(InputError, match="got no such file"):
            read(tmp_path / "absent.nc")


@pytest.mark.parametrize("descending", [True, False])
def test_etopo_is_conservative(tmp_path: Path, descending: bool) -> None:
    lat, lon = np.arange(-90 + 1 / 8, 90, 0.25), np.arange(-180 + 1 / 8, 180, 0.25)
    rng = np.random.default_rng(1)
    relief = rng.uniform(-3000, 3000, (lat.size, lon.size)).astype("f4")
    path = tmp_path / "etopo.nc"
    with netCDF4.Dataset(path, "w") as data:
        for name, values in (("lat", lat[::-1] if descending else lat), ("lon", lon)):
            data.createDimension(name, values.size)
            data.createVariable(name, "f8", (name,))[:] = values
        data.createVariable("z", "f4", ("lat", "lon"))[:] = relief[::-1] if descending else relief
    static = from_etopo(path)
    area = fine_grid().area
    source_area = (np.diff(np.sin(np.deg2rad(np.append(lat - 1 / 8, 90)))))[:, None]
    for field, truth in ((static.height, np.maximum(relief, 0)), (static.land_fraction, relief > 0)):
        expected = (truth * source_area).sum() / (source_area.sum() * lon.size)
        assert (field * area).sum() / area.sum() == pytest.approx(expected, rel=1e-5)
    column = np.maximum(relief, 0)[:, 719:721].mean(1)
    np.testing.assert_allclose(static.height[0, 0], column[0], rtol=1e-5)


def test_etopo_must_be_global(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "e.nc", "w") as data:
        for name, values in (("lat", np.arange(-89.5, 0)), ("lon", np.arange(360) + 0.5)):
            data.createDimension(name, values.size)
            data.createVariable(name, "f8", (name,))[:] = values
        data.createVariable("z", "f4", ("lat", "lon"))[:] = 1.0
    with pytest.raises(InputError, match="whole globe"):
        from_etopo(tmp_path / "e.nc")


def test_builtin_agrees_with_era5(builtin: StaticFields, shared_data: Path) -> None:
    folder = shared_data / "static"
    era5 = from_era5([folder / "era5_geopotential.nc", folder / "era5_land_sea_mask.nc"])
    assert era5.height.max() == pytest.approx(5859, abs=1)
    weight = np.broadcast_to(np.cos(np.deg2rad(fine_grid().lat))[:, None], SHAPE).ravel()
    for ours, theirs in ((builtin.height, era5.height), (builtin.land_fraction, era5.land_fraction)):
        covariance = np.cov(ours.ravel(), theirs.ravel(), aweights=weight)
        assert covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]) > 0.98


def test_mislabelled_metres_are_refused(shared_data: Path) -> None:
    trap = shared_data / "static" / "SpeedyWeather.jl_orography.nc"
    with pytest.raises(InputError, match="mislabelled"):
        from_era5([trap, trap.parent / "era5_land_sea_mask.nc"])
    with pytest.raises(InputError, match="height and lsm"):
        load_static(trap)
