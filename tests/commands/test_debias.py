"""``zssd debias fit`` and ``zssd downscale --debias``: the change survives the downscaling, the output says so, and refusals."""

import shutil
from dataclasses import replace

import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.debias.made import FUTURE, GCM, MODEL, TRUTH, climate, dates, write
from zssd_cli.debias.calibration import load
from zssd_cli.errors import InputError

FAST = ("--steps", 2, "--guidance", "projection", "--device", "cpu", "--region", "10,20,35,45")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Reference, historical run and a scenario that is 1400 Pa higher, four times a month."""
    folder = tmp_path_factory.mktemp("made")
    return {
        "reference": write(folder / "era.nc", ["psl"], dates(2000, 3, step=2), seed=1),
        "historical": write(folder / "hist.nc", ["psl"], dates(2000, 3, "noleap", 2), MODEL, seed=11, attributes=GCM),
        "target": write(
            folder / "ssp.nc", ["psl"], dates(2050, 3, "noleap", 2), replace(MODEL, shift=MODEL.shift + 2), seed=21,
            attributes=FUTURE,
        ),
    }  # fmt: skip


@pytest.fixture
def bias(zssd, files, tmp_path):
    """A bias file by the command, for one region and by month."""
    out = tmp_path / "bias.nc"
    options = [word for role, path in files.items() for word in (f"--{role}", path)]
    done = zssd("debias", "fit", *options, "--vars", "psl", "--region", "10,20,35,45", "--window", "month", "-o", out)
    assert done.code == 0, done.err
    assert "fewer than 20" in done.err
    return out


def test_the_change_survives_and_the_output_says_what_was_done(zssd, files, bias, tmp_path):
    def mean(role, time, *options):
        out = tmp_path / f"{role}{len(options)}.nc"
        done = zssd("downscale", files[role], *FAST, "--time", time, "--vars", "msl", "-o", out, *options)
        assert done.code == 0, done.err
        with xr.open_dataset(out) as data:
            weights = np.cos(np.deg2rad(data["lat"]))
            return float(data["msl"].weighted(weights).mean()), dict(data.attrs)

    past, future = "2001-01-01/2001-01-10", "2051-01-01/2051-01-10"
    (before, _), (after, said) = mean("target", future), mean("target", future, "--debias", bias)
    (old, _), (new, _) = mean("historical", past), mean("historical", past, "--debias", bias)
    assert after < before - 300
    assert new < old - 300
    assert said["zssd_debias"].startswith("quantile delta mapping")
    assert len(said["zssd_debias_sha256"]) == 64
    assert "experiment_id ssp585" in said["zssd_debias_target"]


def test_daily_means_are_adjusted_before_moments_are_drawn(zssd, tmp_path):
    """The day's mean of the moments is the adjusted mean of the day."""
    day = {"frequency": "day"}
    roles = {
        "reference": write(tmp_path / "era.nc", ["psl"], dates(2000, 2), seed=1, attributes=day),
        "historical": write(tmp_path / "hist.nc", ["psl"], dates(2000, 2), MODEL, seed=11, attributes=GCM | day),
    }
    bias = tmp_path / "bias.nc"
    files = [word for role, path in roles.items() for word in (f"--{role}", path)]
    done = zssd("debias", "fit", *files, "--vars", "psl", "--region", "10,20,35,45", "--window", "month", "-o", bias)
    assert done.code == 0, done.err

    def daily(name, *options):
        out = tmp_path / f"{name}.nc"
        call = ("--time", "2001-03-02/2001-03-04", "--vars", "msl", "-o", out, *options)
        assert zssd("downscale", roles["historical"], *FAST, *call).code == 0
        with xr.open_dataset(out) as data:
            weights = np.cos(np.deg2rad(data["lat"]))
            return data["msl"].weighted(weights).mean(("lat", "lon", "member")).values.reshape(3, -1).mean(1)

    raw = daily("raw", "--any-frequency")
    held = daily("held", "--any-frequency", "--debias", bias)
    drawn = daily("drawn", "--subdaily", "12h", "--debias", bias)
    assert abs(raw - held).min() > 100
    np.testing.assert_allclose(drawn, held, atol=20)


def test_what_does_not_fit_is_refused_in_one_line(zssd, files, bias, tmp_path):
    other = write(tmp_path / "o.nc", ["psl"], dates(2050, 1, "noleap", 90), attributes=FUTURE | {"source_id": "OTHER"})
    wind = write(tmp_path / "u.nc", ["uas"], dates(2050, 1, "noleap", 90), attributes=FUTURE)
    late = write(tmp_path / "l.nc", ["psl"], dates(2070, 1, "noleap", 90), attributes=FUTURE)
    done_before = write(
        tmp_path / "a.nc", ["psl"], dates(2050, 1, "noleap", 90), attributes=FUTURE | {"bias_adjustment": "x"}
    )
    for file, options, words in (
        (other, (), "was fitted on source_id TOY-ESM, the input is OTHER"),
        (wind, (), "not u10 of the input"),
        (late, (), "not 2070-01-01"),
        (done_before, (), "bias-adjusted already"),
        (files["target"], ("--filter-scale", 10), "Pass --filter-scale 5"),
        (files["target"], ("--region", "20,30,45,55"), "Fit one with the --region"),
    ):
        done = zssd("downscale", file, *FAST, "--debias", bias, "-o", tmp_path / "out.nc", *options)
        assert (done.code, words in done.err, done.err.count("error:")) == (1, True, 1), done.err
    done = zssd("downscale", other, *FAST, "--debias", bias, "--debias-anyway", "-o", tmp_path / "out.nc", "--dry-run")
    assert done.code == 0, done.err


def refused(zssd, words, *call):
    """One line with these words, and nothing else made."""
    done = zssd(*call)
    assert (done.code, words in done.err, done.err.count("error:")) == (1, True, 1), done.err
    return done


def test_a_date_between_the_files_periods_is_found_before_any_work(zssd, files, bias, tmp_path):
    between = write(tmp_path / "b.nc", ["psl"], dates(2020, 1, "noleap", 90), MODEL, attributes=GCM)
    call = ("downscale", files["historical"], between, files["target"], *FAST, "--debias", bias)
    done = refused(zssd, "not 2020-01-01", *call, "-o", tmp_path / "out.nc", "--time", "2002-12-20/2050-01-10")
    assert "Kept" not in done.err
    assert not list(tmp_path.glob("out.nc*"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.setncattr("sources", "[]"),
        lambda data: data.setncattr("sources", '{"historical": {}}'),
        lambda data: data.setncattr("window", "10d"),
        lambda data: data.delncattr("filter_scale"),
        lambda data: data["lat"].__setitem__(0, np.nan),
        lambda data: data["span_years"].__setitem__(0, np.nan),
        lambda data: data["lon_edges"].__setitem__(0, -3.0),
        lambda data: data.renameVariable("msl_trend", "other"),
    ],
)
def test_a_damaged_bias_file_is_refused_in_one_line(zssd, files, bias, tmp_path, damage):
    shutil.copy(bias, tmp_path / "damaged.nc")
    with netCDF4.Dataset(tmp_path / "damaged.nc", "a") as data:
        damage(data)
    refused(zssd, "damaged.nc: ", "debias", "show", tmp_path / "damaged.nc")
    call = ("downscale", files["target"], *FAST, "--debias", tmp_path / "damaged.nc", "-o", tmp_path / "out.nc")
    refused(zssd, "damaged.nc: ", *call)


@pytest.mark.parametrize("which", [0, -1])
def test_a_damaged_chunk_is_found_before_any_work(zssd, files, bias, tmp_path, which, monkeypatch):
    """Also one of a part of the year that the run does not come to at once."""
    data, damaged = bytearray(bias.read_bytes()), tmp_path / "damaged.nc"
    chunk = [place for place in range(len(data)) if data[place : place + 2] == b"\x78\x5e"][which]
    data[chunk + 8 : chunk + 16] = b"\xff" * 8
    damaged.write_bytes(data)
    monkeypatch.setattr("zssd_cli.api.prepare", None)  # what comes next
    call = ("downscale", files["target"], *FAST, "--debias", damaged, "-o", tmp_path / "out.nc")
    for words in (call, ("debias", "show", damaged)):
        assert (
            ": msl_"
            in refused(zssd, " is damaged (NetCDF: HDF error). Copy the file again, or fit it again.", *words).err
        )
    assert not list(tmp_path.glob("out.nc*"))


def test_blocks_of_which_the_file_knows_nothing_are_told(zssd, files, tmp_path):
    """Where the reference lacks a corner the file knows three blocks; where it lacks all, there is no file."""
    roles = {role: path for role, path in files.items() if role != "reference"}
    others = [word for role, path in roles.items() for word in (f"--{role}", path)]
    box = ("--vars", "psl", "--region", "10,20,35,45", "--window", "month")
    for columns, rows in ((slice(6, 8), slice(6, 8)), (slice(None), slice(None))):
        times = dates(2000, 3, step=2)
        values = climate("psl", times, TRUTH, 1)
        values[:, rows, columns] = np.nan
        if columns == slice(None):
            values[:, 0, 0] = 101_000.0
        lacking = write(tmp_path / "era.nc", ["psl"], times, values={"psl": values})
        call = ("debias", "fit", *others, "--reference", lacking, *box, "-o", tmp_path / "bias.nc", "--overwrite")
        if columns == slice(None):
            refused(zssd, "msl: no block has half of its values in both", *call)
            continue
        done = zssd(*call)
        assert done.code == 0, done.err
        assert "15 of 16" in done.err
        call = (
            "downscale",
            files["target"],
            *FAST,
            "--debias",
            tmp_path / "bias.nc",
            "--time",
            "2050-01-01/2050-01-03",
        )
        done = zssd(*call, "-o", tmp_path / "out.nc", "--quiet")
        assert done.code == 0, done.err
        assert "Doubt      msl: 1 blocks have input at the first time of which the bias file knows nothing" in done.err


def test_a_bias_file_that_is_replaced_is_never_mixed_with_the_old_one(bias):
    found = load(bias)
    times, blocks = dates(2050, 1, "noleap")[:40:39], np.full((1, 1, *found.grid.shape), 101_000.0)
    found.adjust(["msl"], times[:1], found.grid, blocks)
    shutil.copy(bias, bias.with_name("other.nc"))
    bias.with_name("other.nc").replace(bias)
    with pytest.raises(InputError, match="was changed since this run began"):
        found.adjust(["msl"], times[1:], found.grid, blocks)


def test_series_that_cover_other_parts_of_the_year_are_noted(zssd, files, tmp_path):
    winter = [time for time in dates(2000, 3, step=2) if time.month in (11, 12, 1, 2)]
    reference = write(tmp_path / "w.nc", ["psl"], winter, seed=1)
    call = ("--historical", files["historical"], "--vars", "psl", "--region", "10,20,35,45", "--window", "month")
    done = zssd("debias", "fit", "--reference", reference, *call, "-o", tmp_path / "b.nc")
    assert done.code == 0, done.err
    assert "the cycle of the year counts as bias" in done.err
    done = zssd("debias", "fit", "--reference", files["reference"], *call, "-o", tmp_path / "c.nc")
    assert "cycle of the year" not in done.err


def test_the_model_in_the_place_of_the_reference_is_refused(zssd, files, tmp_path):
    call = ("--historical", files["reference"], "--reference", files["historical"], "--target", files["target"])
    refused(zssd, "expected a reanalysis", "debias", "fit", *call, "--vars", "psl", "-o", tmp_path / "b.nc")
