"""``zssd debias fit`` and ``zssd downscale --debias``: the change survives the downscaling, the output says so, and refusals."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from tests.debias.made import FUTURE, GCM, MODEL, dates, write

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
