"""``zssd downscale`` from the command line to the file: what comes out, on which grid, and that it fits the input."""

import sys

import cftime
import netCDF4
import numpy as np
import pytest
import torch
import xarray as xr

import zssd_cli
from tests.commands.conftest import BOX, FAST, VARIABLES, edges
from tests.posterior.test_methods import NONE_AT_ALL
from zssd_cli import defaults
from zssd_cli.posterior import guidance as guidance_folder
from zssd_cli.prior.denoiser import Denoiser
from zssd_cli.prior.registry import sha256_of

pytestmark = pytest.mark.filterwarnings("error")


def assert_same(ours, theirs) -> None:
    """To the last bit: on a processor no sample's arithmetic hangs on the batch that it is in."""
    for name in VARIABLES:
        np.testing.assert_array_equal(ours[name], theirs[name])


def recording(forward, levels):
    """The denoiser's method, which notes the noise levels that it is asked for."""

    def noted(self, x, sigma, *arguments, **options):
        levels.append(float(sigma.max()))
        return forward(self, x, sigma, *arguments, **options)

    return noted


def read(path) -> dict[str, np.ndarray]:
    """Every field of an output, (time, member, lat, lon), missing values NaN."""
    with netCDF4.Dataset(path) as data:
        return {name: data[name][:].filled(np.nan) for name in VARIABLES if name in data.variables}


def integral_means(lat_edges, lon_edges, values, west, east, south, north, block) -> np.ndarray:
    """Area means over blocks of a piecewise constant field, by brute force on cells of 1/8 degree."""
    eighth = 0.125
    y = np.arange(south, north, eighth) + eighth / 2
    x = np.arange(west, east, eighth) + eighth / 2
    rows = np.searchsorted(lat_edges, y) - 1
    columns = np.searchsorted(lon_edges, (x - lon_edges[0]) % 360 + lon_edges[0]) - 1
    area = np.cos(np.deg2rad(y))[:, None] * np.ones(x.size)
    side = round(block / eighth)
    shape = (y.size // side, side, x.size // side, side)
    total = (values[..., rows[:, None], columns] * area).reshape(*values.shape[:-2], *shape).sum((-3, -1))
    return total / area.reshape(shape).sum((1, 3))


def output_means(path, name, west, east, south, north, block=5.0) -> np.ndarray:
    with netCDF4.Dataset(path) as data:
        lat, lon = data["lat"][:].filled(), data["lon"][:].filled()
        return integral_means(edges(lat), edges(lon), data[name][:].astype("f8"), west, east, south, north, block)


def input_means(path, name, west, east, south, north, block=5.0) -> np.ndarray:
    with netCDF4.Dataset(path) as data:
        lat, lon, values = data["lat"][:].filled(), data["lon"][:].filled(), data[name][:].astype("f8")
    order_y, order_x = np.argsort(lat), np.argsort(lon)
    values = values[:, order_y][:, :, order_x]
    return integral_means(edges(lat[order_y]), edges(lon[order_x]), values, west, east, south, north, block)


@pytest.fixture
def run(zssd, tmp_path):
    """Downscale a file with the fast settings; returns the output's path."""
    count = iter(range(100))

    def call(*arguments, settings=FAST):
        out = tmp_path / f"out{next(count)}.nc"
        done = zssd("downscale", *arguments, "-o", out, *settings)
        assert (done.code, done.out) == (0, ""), done.err
        assert f"Wrote      {out}" in done.err
        return out

    return call


def test_output_follows_cf(run, model):
    """Axes, bounds, attributes and fill values as CF-1.8 asks, read by a plain xarray."""
    out = run(model(), "--members", 2)
    with xr.open_dataset(out) as data:
        assert data.attrs["Conventions"] == "CF-1.8, ACDD-1.3"
        assert dict(data.sizes) == {"time": 2, "member": 2, "lat": 41, "lon": 41, "bnds": 2}
        np.testing.assert_array_equal(data.lat, np.arange(40, 50.1, 0.25))
        np.testing.assert_array_equal(data.lon, np.arange(0, 10.1, 0.25))
        np.testing.assert_array_equal(data.time.values, np.array(["2010-01-01T00", "2010-01-01T06"], "M8[ns]"))
        np.testing.assert_array_equal(data.member, [0, 1])
        for axis, standard_name, units in (
            ("lat", "latitude", "degrees_north"),
            ("lon", "longitude", "degrees_east"),
            ("member", "realization", "1"),
        ):
            assert (data[axis].attrs["standard_name"], data[axis].attrs["units"]) == (standard_name, units)
        for axis in ("lat", "lon"):
            bounds = data[data[axis].attrs["bounds"]].values
            np.testing.assert_array_equal(bounds[:-1, 1], bounds[1:, 0])
            np.testing.assert_allclose(bounds.mean(1), data[axis])
        expected = {
            "msl": ("air_pressure_at_mean_sea_level", "Pa"),
            "u10": ("eastward_wind", "m s-1"),
            "v10": ("northward_wind", "m s-1"),
        }
        for name, (standard_name, units) in expected.items():
            assert data[name].dims == ("time", "member", "lat", "lon")
            assert data[name].dtype == np.float32
            assert (data[name].attrs["standard_name"], data[name].attrs["units"]) == (standard_name, units)
            assert data[name].encoding["_FillValue"] == np.float32(1e20)
            assert bool(np.isfinite(data[name]).all())
        assert float(data.msl.std("member").mean()) > 1


def test_output_says_where_it_comes_from(run, model, prior_file, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["zssd", "downscale", "in.nc", "-o", "o u t.nc"])
    out = run(model(attributes={"variant_label": "r1i1p1f1"}, cell_methods="time: point"), "--seed", 7)
    with netCDF4.Dataset(out) as data:
        first, second = data.history.split("\n")
        assert first.endswith(" zssd downscale in.nc -o 'o u t.nc'")
        assert second == "made by a test"
        its = {name.removeprefix("zssd_"): data.getncattr(name) for name in data.ncattrs()}
        assert [data[name].zssd_observed for name in VARIABLES] == ["yes", "no", "no"]
        assert data["msl"].zssd_source_cell_methods == "time: point"
    expected = {
        "tracking_id": "hdl:21.14100/toy", "source_id": "TOY-ESM", "variant_label": "r1i1p1f1",
        "source_files": "in.nc", "prior": "toy", "prior_sha256": sha256_of(prior_file), "seed": "7", "members": 1,
        "guidance": "projection", "sampler": "dpmpp_2m", "steps": 2, "filter_scale": 5.0, "obs_error": 0.01,
        "regridder": "builtin", "time_noise": "smooth:5", "threads": torch.get_num_threads(),
    }  # fmt: skip
    assert {name: its[name] for name in expected} == expected
    assert its["coarse_residual_msl"] < 1e-4
    assert "coarse_residual_u10" not in its
    assert its["source"].startswith("zssd ")


def test_screen(run, zssd, model, tmp_path):
    done = zssd("downscale", model(), "-o", tmp_path / "a.nc", *FAST, "--members", 2)
    lines = done.err.splitlines()
    assert lines[0] == "Input      msl; 2 times, 2010-01-01T00:00:00 to 2010-01-01T06:00:00 (standard calendar)"
    assert lines[1] == "Inferred   u10, v10: not in the input, drawn from the prior given msl"
    assert lines[2] == "Output     msl, u10, v10; 2 members, 41 x 41 cells of 0.25 degrees,"
    assert all(len(line) <= 100 for line in lines[:-1])
    quiet = zssd("downscale", model(), "-o", tmp_path / "b.nc", *FAST, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


@pytest.mark.parametrize("guidance", ["projection", "analysis"])
def test_block_means_are_those_of_the_input(run, model, guidance):
    source = model(names=("psl", "uas", "vas"))
    settings = ("--region", BOX, "--steps", "4", "--guidance", guidance, "--obs-error", "0")
    out = run(source, settings=settings)
    scale = {"msl": 1188.0, "u10": 5.7, "v10": 4.7}
    tolerance = 1e-4 if guidance == "projection" else 0.02
    for name, coarse in zip(VARIABLES, ("psl", "uas", "vas"), strict=True):
        ours, theirs = output_means(out, name, 0, 10, 40, 50)[:, 0], input_means(source, coarse, 0, 10, 40, 50)
        np.testing.assert_allclose(ours, theirs, atol=tolerance * scale[name])
        assert theirs.std() > 0.02 * scale[name]


def test_globe(run, model):
    """No region: 721 x 1440, block means kept over the poles and across the seam."""
    source = model(hours=(0.0,))
    out = run(source, settings=FAST[2:])
    with netCDF4.Dataset(out) as data:
        assert data["msl"].shape == (1, 1, 721, 1440)
        assert (data["lat"][0], data["lat"][-1], data["lon"][0], data["lon"][-1]) == (-90, 90, 0, 359.75)
    ours = output_means(out, "msl", 0, 360, -90, 90)[:, 0]
    np.testing.assert_allclose(ours, input_means(source, "psl", 0, 360, -90, 90), atol=0.1)
    values = read(out)["msl"][0, 0]
    across = np.abs(values[:, 0] - values[:, -1]).mean()
    inside = np.abs(np.diff(values, axis=1)).mean()
    assert across < 1.5 * inside


def test_a_regional_file_gives_its_whole_blocks(run, model):
    source = model(lat=np.arange(31.0, 60, 2), lon=np.arange(-13.0, 20, 2))
    out = run(source, settings=FAST[2:])
    with netCDF4.Dataset(out) as data:
        assert (data["lat"][0], data["lat"][-1]) == (30, 60)
        assert (data["lon"][0], data["lon"][-1]) == (-10, 20)
    ours = output_means(out, "msl", -10, 20, 30, 60)[:, 0]
    np.testing.assert_allclose(ours, input_means(source, "psl", -10, 20, 30, 60), atol=0.12)


def test_orientation_of_the_input_does_not_matter(run, model):
    """Descending latitude and longitudes from -180 give the same as ascending ones from 0."""
    plain = run(model("plain.nc"))
    turned = run(model("turned.nc", lat=np.arange(88.0, -89, -4), lon=np.arange(-180.0, 180, 5)))
    np.testing.assert_allclose(read(turned)["msl"], read(plain)["msl"], atol=0.05)


@pytest.mark.parametrize("region", ["-5,5,40,50", "355,365,40,50", "355,5,40,50"])
def test_region_across_the_seam(run, model, region):
    source = model()
    out = run(source, settings=("--region", region, *FAST[2:]))
    np.testing.assert_allclose(
        output_means(out, "msl", -5, 5, 40, 50)[:, 0], input_means(source, "psl", -5, 5, 40, 50), atol=0.1
    )


@pytest.mark.parametrize("region", ["-360,-350,-5,5", "530,540,-5,5", "170,190,80,90", "0,350,-10,10", "0,0,0,5"])
def test_regions_at_the_limits(run, model, region):
    """Also where the halo leaves the allowed longitudes, at a pole and around the globe."""
    out = run(model(hours=(0.0,)), settings=("--region", region, *FAST[2:]))
    with netCDF4.Dataset(out) as data:
        first, last, south, north = (float(part) for part in region.split(","))
        last = 359.75 if first == last else last
        assert (data["lon"][0], data["lon"][-1], data["lat"][0], data["lat"][-1]) == (first, last, south, north)
    assert np.isfinite(read(out)["msl"]).all()


def test_two_files_and_a_pattern(run, model, tmp_path):
    """Variables in several files are as good as in one."""
    model("psl_1.nc")
    model("wind_1.nc", ("uas", "vas"))
    apart = run(tmp_path / "psl_1.nc", tmp_path / "w*.nc")
    together = run(model("all.nc", ("psl", "uas", "vas")))
    for name in VARIABLES:
        np.testing.assert_array_equal(read(apart)[name], read(together)[name])
    with netCDF4.Dataset(apart) as data:
        assert [data[name].zssd_observed for name in VARIABLES] == ["yes"] * 3
        assert data.zssd_source_files == "psl_1.nc;wind_1.nc"


@pytest.mark.parametrize(
    ("calendar", "since", "hours", "expected"),
    [
        ("360_day", "days since 2010-02-30", (0.0, 0.25), [(2010, 2, 30, 0), (2010, 2, 30, 6)]),
        ("noleap", "hours since 2012-02-28", (18.0, 24.0), [(2012, 2, 28, 18), (2012, 3, 1, 0)]),
        ("julian", "days since 0850-01-01", (0.0, 0.25), [(850, 1, 1, 0), (850, 1, 1, 6)]),
        ("noleap", "days since 0001-01-01", (0.125, 0.375), [(1, 1, 1, 3), (1, 1, 1, 9)]),
        ("proleptic_gregorian", "hours since 1850-01-01", (2191467.0, 2191473.0), [(2100, 1, 1, 3), (2100, 1, 1, 9)]),
    ],
)  # fmt: skip
def test_dates_stay_in_the_calendar_of_the_input(run, model, calendar, since, hours, expected):
    out = run(model(calendar=calendar, since=since, hours=hours))
    with xr.open_dataset(out, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True)) as data:
        assert data.time.encoding["calendar"] == calendar
        dates = [cftime.datetime(*parts, calendar=calendar) for parts in expected]
        assert [(t.year, t.month, t.day, t.hour, t.minute, t.second) for t in data.time.values] == [
            (t.year, t.month, t.day, t.hour, 0, 0) for t in dates
        ]


def test_same_seed_same_fields(run, model):
    source = model()
    first, again, other = run(source, "--seed", 3), run(source, "--seed", 3), run(source, "--seed", 4)
    for name in VARIABLES:
        np.testing.assert_array_equal(read(first)[name], read(again)[name])
        assert np.abs(read(first)[name] - read(other)[name]).max() > 0.1


@pytest.mark.parametrize(("guidance", "most"), [("projection", 70), ("analysis", 5)])
def test_more_members_keep_the_first(run, model, guidance, most):
    """Also where the members do not fit into one batch."""
    source = model(hours=(0.0,))
    settings = ("--region", BOX, "--steps", "2", "--guidance", guidance, "--sampler", "dpmpp_2m_sde")
    many = read(run(source, "--members", most, settings=settings))
    for count in (1, 3):
        few = read(run(source, "--members", count, settings=settings))
        assert_same(few, {name: values[:, :count] for name, values in many.items()})
    assert many["u10"].shape[1] == most
    assert many["u10"].std(1).min() > 1e-3


@pytest.mark.parametrize("guidance", ["projection", "analysis"])
def test_times_together_or_one_by_one(run, model, guidance):
    """A selection of times gives the fields that they have in the whole series."""
    source = model(hours=(0.0, 6.0, 12.0, 18.0))
    settings = ("--region", BOX, "--steps", "3", "--guidance", guidance)
    whole = read(run(source, settings=settings))
    for position, hour in ((0, "00"), (2, "12")):
        alone = read(run(source, "--time", f"2010-01-01T{hour}", settings=settings))
        assert_same(alone, {name: values[[position]] for name, values in whole.items()})


@pytest.mark.parametrize(
    ("selection", "count"), [("2010-01-01T06/", 3), ("/2010-01-01T06", 2), ("2010-01-01", 4), ("2010/2011", 4)]
)
def test_time_selection(run, model, selection, count):
    source = model(hours=(0.0, 6.0, 12.0, 18.0))
    assert read(run(source, "--time", selection))["msl"].shape[0] == count


def test_shifted_pressure_shifts_the_block_means(run, model):
    plain, shifted = run(model("a.nc")), run(model("b.nc", change=lambda values: values + 300.0))
    difference = output_means(shifted, "msl", 0, 10, 40, 50) - output_means(plain, "msl", 0, 10, 40, 50)
    np.testing.assert_allclose(difference, 300.0, atol=0.1)


def test_wind_turns_with_pressure_under_analysis(run, model):
    """``analysis`` moves what is not observed: other pressure, other wind."""
    settings = ("--region", BOX, "--steps", "8")
    plain = read(run(model("a.nc"), settings=settings))
    other = read(run(model("b.nc", change=lambda values: 2 * values - 101000.0), settings=settings))
    assert np.abs(other["u10"] - plain["u10"]).mean() > 0.1


@pytest.mark.parametrize(("names", "level"), [(("psl", "uas", "vas"), 40), (("psl",), 10)])
def test_inferred_variables_lean_on_the_climatology(run, model, monkeypatch, names, level):
    """The network takes over from the climatological Gaussian at a lower noise level where something is not observed."""
    calls = []
    monkeypatch.setattr(Denoiser, "forward", recording(Denoiser.forward, calls))
    out = run(model(names=names, hours=(0.0,)), settings=("--region", BOX, "--device", "cpu"))
    with xr.open_dataset(out) as data:
        assert data.attrs["zssd_gaussian_above"] == level
    assert level / 2 < max(calls) <= level


@pytest.mark.parametrize(("names", "kept"), [("psl,uas", ["msl", "u10"]), ("v10", ["v10"]), (" msl , msl ", ["msl"])])
def test_chosen_variables(run, model, names, kept):
    """CMIP6 and ERA5 names; what is not asked for does not change what is."""
    source = model()
    chosen, every = read(run(source, "--vars", names)), read(run(source))
    assert list(chosen) == kept
    for name in kept:
        np.testing.assert_array_equal(chosen[name], every[name])


def test_missing_blocks_stay_missing(run, model):
    """A block whose input is missing is missing in every variable; the rest is fitted."""

    def hole(values):
        values[:, 26, 0] = np.nan  # latitude 40 to 45, longitude 0 to 5
        return values

    lat, lon = np.arange(-87.5, 88, 5), np.arange(2.5, 360, 5)
    out = run(model(lat=lat, lon=lon, change=hole))
    expected = np.zeros((41, 41), dtype=bool)
    expected[1:20, 1:20] = True
    for values in read(out).values():
        np.testing.assert_array_equal(np.isnan(values), np.broadcast_to(expected, values.shape))
    with netCDF4.Dataset(out) as data:
        data.set_auto_mask(False)
        assert (data["u10"][0, 0][expected] == np.float32(1e20)).all()
    full = input_means(model("full.nc", lat=lat, lon=lon), "psl", 5, 10, 45, 50)
    partly = output_means(out, "msl", 5, 10, 45, 50)[:, 0]
    np.testing.assert_allclose(partly, full, atol=0.1)


def test_a_store_by_its_ending(zssd, model, tmp_path):
    """It says and holds what the file does, and is scored, pictured and replaced as that is."""
    pytest.importorskip("zarr")
    source, file, store = model(), tmp_path / "o.nc", tmp_path / "o.zarr"
    for out in (file, store):
        done = zssd("downscale", source, "-o", out, *FAST, "--members", 2, "--plot", tmp_path / f"{out.name}.png")
        assert done.code == 0, done.err
    assert (tmp_path / "o.nc.png").read_bytes()[:4] == (tmp_path / "o.zarr.png").read_bytes()[:4] == b"\x89PNG"
    with xr.open_dataset(file) as one, xr.open_dataset(store, engine="zarr", chunks=None) as other:
        for moment in ("history", "date_created", "date_modified", "date_metadata_modified"):
            assert {one.attrs.pop(moment)[:4], other.attrs.pop(moment)[:4]} > set()
        xr.testing.assert_identical(one.load(), other.load())
    truth = tmp_path / "truth.nc"
    one.isel(member=0, drop=True).to_netcdf(truth)
    by_file, by_store = (zssd_cli.evaluate(out, truth, vars="msl", paired=True) for out in (file, store))
    assert by_file.rows[0].scores == by_store.rows[0].scores
    assert by_store.rows[0].scores.mae > 0
    assert "exists" in zssd("downscale", source, "-o", store, *FAST).err
    assert zssd("downscale", source, "-o", store, *FAST, "--overwrite").code == 0
    with xr.open_dataset(store, engine="zarr", chunks=None) as data:
        assert data.sizes["member"] == 1


def test_dry_run_writes_nothing(zssd, model, tmp_path):
    source = model()
    done = zssd("downscale", source, "-o", tmp_path / "out.nc", "--plot", tmp_path / "p.png", "--dry-run", *FAST)
    assert done.code == 0
    assert "Dry run    2 network calls, " in done.err
    assert "nothing written" in done.err
    assert "timed calls of the network on" in done.err
    assert list(tmp_path.iterdir()) == [source]


def test_plot(run, model, tmp_path):
    for number, variables in enumerate(("msl,u10,v10", "v10")):
        picture = tmp_path / f"{number}.png"
        run(model(), "--vars", variables, "--plot", picture)
        assert picture.read_bytes()[:4] == b"\x89PNG"
        assert picture.stat().st_size > 10_000


def test_overwrite(zssd, model, tmp_path):
    source, out = model(), tmp_path / "out.nc"
    out.write_text("old")
    refused = zssd("downscale", source, "-o", out, *FAST)
    assert refused.code == 1
    assert out.read_text() == "old"
    assert zssd("downscale", source, "-o", out, "--overwrite", *FAST).code == 0
    assert read(out)["msl"].shape == (2, 1, 41, 41)


def test_region_that_begins_with_a_minus(zssd, model, tmp_path):
    """As in the README: the option's value may follow a space."""
    out = tmp_path / "out.nc"
    done = zssd("downscale", model(hours=(0.0,)), "-o", out, "--region", "-80,-70,20,30", *FAST[2:])
    assert done.code == 0
    with netCDF4.Dataset(out) as data:
        assert (data["lon"][0], data["lon"][-1]) == (-80, -70)


@pytest.mark.parametrize(
    ("guidance", "asked", "used"), [("ucg", (), 0.15), ("dps", (), 2.5), ("dps", ("--zeta", "0.1"), 0.1)]
)
def test_modes_with_back_propagation(run, model, guidance, asked, used):
    settings = ("--region", BOX, "--steps", "3", "--guidance", guidance, *asked)
    out = run(model(hours=(0.0,)), settings=settings)
    with netCDF4.Dataset(out) as data:
        assert data.zssd_sampler == "ddpm"
        assert data.zssd_zeta == used
    assert np.isfinite(read(out)["u10"]).all()


def test_finer_blocks(run, model):
    source = model(lat=np.arange(-89.5, 90), lon=np.arange(0.5, 360), hours=(0.0,))
    out = run(source, "--filter-scale", "2.5")
    ours, theirs = output_means(out, "msl", 0, 10, 40, 50, 2.5), input_means(source, "psl", 0, 10, 40, 50, 2.5)
    np.testing.assert_allclose(ours[:, 0], theirs, atol=0.12)


def test_text_in_attributes_survives(run, model):
    """Non-ASCII, line breaks and long texts are handed on, enormous ones in part."""
    history = "Sat: ncatted\n" + "x" * 15_000 + " é ü 漢"
    out = run(model(attributes={"history": history, "license": "CC BY\n4.0", "variant_label": ""}))
    with netCDF4.Dataset(out) as data:
        assert data.history.endswith(history)
        assert data.zssd_license == "CC BY 4.0"
    out = run(model(attributes={"history": "y" * 100_000}), "--overwrite")
    with netCDF4.Dataset(out) as data:
        assert 15_000 < data.history.count("y") < 21_000
        assert "more characters)" in data.history


def test_history_survives_undecodable_arguments(run, model, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["zssd", "downscale", "caf\udce9.nc"])
    with netCDF4.Dataset(run(model())) as data:
        assert "zssd downscale 'caf?.nc'" in data.history


def test_precision_is_recorded_and_hardly_matters(run, zssd, model, tmp_path):
    source, means = model(hours=(0.0,)), {}
    for precision in ("float32", "bfloat16"):
        out = run(source, "--precision", precision)
        with netCDF4.Dataset(out) as data:
            assert data.zssd_precision == precision
        means[precision] = read(out)["u10"]
    spread = float(np.std(means["float32"]))
    assert 0 < np.abs(means["float32"] - means["bfloat16"]).max() < 0.1 * spread
    wrong = zssd("downscale", source, "-o", tmp_path / "x.nc", "--precision", "half", *FAST)
    assert wrong.code == 1
    assert "--precision" in wrong.err


def test_mmps(run, model):
    """The covariances of the network itself: runs, meets the block means, says what it was."""
    source = model(hours=(0.0,))
    settings = ("--region", BOX, "--steps", "6", "--guidance", "mmps", "--spacing", "log-snr")
    out = run(source, settings=settings)
    with netCDF4.Dataset(out) as data:
        assert (data.zssd_guidance, data.zssd_products, data.zssd_spacing) == ("mmps", 3, "log-snr")
    ours, theirs = output_means(out, "msl", 0, 10, 40, 50)[:, 0], input_means(source, "psl", 0, 10, 40, 50)
    np.testing.assert_allclose(ours, theirs, atol=0.02 * 1188)


@pytest.mark.parametrize("guidance", ["analysis", "projection", "mmps"])
def test_observed_wind_speed(run, zssd, model, tmp_path, guidance):
    """sfcWind in its own file: block means of the output's wind speed are those of the input."""
    pressure, wind = model("psl.nc", hours=(0.0,)), model("wind.nc", ("sfcWind",), hours=(0.0,))
    settings = ("--region", BOX, "--steps", "12", "--guidance", guidance)
    out = run(pressure, wind, settings=settings)
    fields = read(out)
    with netCDF4.Dataset(out) as data:
        assert [data[name].zssd_observed for name in VARIABLES] == ["yes", *["as wind speed (si10)"] * 2]
        assert data.zssd_coarse_residual_si10 < 0.05
        speed = np.hypot(fields["u10"], fields["v10"])
        grid = edges(data["lat"][:].filled()), edges(data["lon"][:].filled())
    ours = integral_means(*grid, speed[:, 0], 0, 10, 40, 50, 5.0)
    theirs = input_means(wind, "sfcWind", 0, 10, 40, 50)
    np.testing.assert_allclose(ours, theirs, atol=0.4)
    assert np.ptp(theirs) > 0.5
    done = zssd("downscale", pressure, wind, "-o", tmp_path / "x.nc", "--dry-run", *FAST)
    assert done.err.splitlines()[0].startswith("Input      msl, si10;")


def test_wind_speed_is_left_out_where_the_components_are_there(zssd, model, tmp_path):
    done = zssd("downscale", model(names=("uas", "vas", "sfcWind")), "-o", tmp_path / "x.nc", "--dry-run", *FAST)
    assert "si10 (sfcWind) is not used because u10 and v10 are there" in done.err
    assert "Input      u10, v10;" in done.err


def test_error_by_variable(run, model):
    """A large error frees the block means of that variable, and of no other; the output says so."""
    source = model(names=("psl", "uas"), hours=(0.0,))
    out = run(source, settings=("--region", BOX, "--steps", "6", "--obs-error", "psl=1,u10=0"))
    with netCDF4.Dataset(out) as data:
        assert data.zssd_obs_error == "msl=1,u10=0"
        assert data.zssd_coarse_residual_u10 < 1e-3
        assert data.zssd_coarse_residual_msl > 0.05


@pytest.mark.parametrize("guidance", ["projection", "analysis"])
def test_correlated_noise_flickers_less(run, model, guidance):
    """Differences of consecutive fields beyond those of the input; the output says which noise it was."""
    source = model(hours=(0.0, 6.0, 12.0))
    flicker = {}
    for kind in ("independent", "ar1:48", "smooth:24", "fixed"):
        settings = ("--region", BOX, "--steps", "4", "--guidance", guidance, "--time-noise", kind)
        out = run(source, settings=settings)
        with netCDF4.Dataset(out) as data:
            assert data.zssd_time_noise == kind
        flicker[kind] = float(np.diff(read(out)["v10"][:, 0], axis=0).std())
    for kind in ("ar1:48", "smooth:24"):
        assert flicker["fixed"] < flicker[kind] < 0.8 * flicker["independent"]


@pytest.mark.parametrize("kind", ["ar1:24", defaults.TIME_NOISE])
def test_a_correlated_series_in_two_jobs(run, model, kind):
    source = model(hours=(0.0, 6.0, 12.0, 18.0))
    settings = (*FAST, "--time-noise", kind)
    whole = read(run(source, settings=settings))
    late = read(run(source, "--time", "2010-01-01T12/", "--members", 2, settings=settings))
    assert_same({name: values[:, :1] for name, values in late.items()}, {n: v[2:] for n, v in whole.items()})


def test_a_new_guidance_is_a_file_that_the_command_finds(run, model, new_file):
    """The means of the blocks are not those of the input where the new file's guidance does not guide."""
    new_file(guidance_folder, "unguided", NONE_AT_ALL)
    path = model()
    drawn, guided = (
        run(path, settings=("--region", BOX, "--guidance", name, "--steps", "3")) for name in ("unguided", "projection")
    )
    means, given = output_means(drawn, "msl", 0, 10, 40, 50), input_means(path, "psl", 0, 10, 40, 50)
    assert np.abs(means[:, 0] - given).max() > 100
    np.testing.assert_allclose(output_means(guided, "msl", 0, 10, 40, 50)[:, 0], given, atol=1)
    with netCDF4.Dataset(drawn) as data:
        assert (data.zssd_guidance, data.zssd_sampler, data.zssd_steps) == ("unguided", "ddim", 3)


def test_staggered_winds_are_averaged_from_their_own_cells(run, model):
    """Winds half a cell aside, as UKESM1 has them: every block mean of the output is that of the variable's own cells."""
    lat, lon = np.arange(-87.5, 88, 5.0), np.arange(2.5, 360, 5.0)
    files = [
        model("p.nc", lat=lat, lon=lon),
        model("u.nc", ("uas",), lat=lat, lon=lon - 2.5),
        model("v.nc", ("vas",), lat=np.arange(-90.0, 91, 5.0), lon=lon),
    ]
    out = run(*files)
    for path, names in zip(files, (("psl", "msl"), ("uas", "u10"), ("vas", "v10")), strict=True):
        full, ours = input_means(path, names[0], 0, 10, 40, 50), output_means(out, names[1], 0, 10, 40, 50)[:, 0]
        np.testing.assert_allclose(ours, full, atol=0.1 if names[0] == "psl" else 0.02)
