"""From Python: the same numbers and attributes as the command, from files and from Datasets, and the same one-line errors."""

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import xarray as xr

import zssd_cli
from tests.commands.conftest import FAST
from zssd_cli.api import plan
from zssd_cli.errors import ConfigError, InputError
from zssd_cli.outputs.conventions import CONVENTIONS
from zssd_cli.outputs.memory import MemorySink

OPTIONS = {"region": "0,10,40,50", "steps": 2, "guidance": "projection", "device": "cpu", "members": 2, "seed": 4}


def opened(path) -> xr.Dataset:
    return xr.open_dataset(path, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True))


def no_wind_in_the_east(values):
    """No value east of 5 degrees at the second time."""
    values = values.copy()
    values[1, :, 1:4] = np.nan
    return values


def test_partly_observed_and_derived_variables_are_alike_too(model, zssd, prior_file, tmp_path):
    path, out = model(names=("psl",)), tmp_path / "out.nc"
    wind = model(
        "wind.nc",
        ("uas", "vas"),
        change=no_wind_in_the_east,
        cell_methods="time: mean",
        attributes={"frequency": "6hr"},
    )
    done = zssd("downscale", path, wind, *FAST, "--members", 2, "--seed", 4, "--vars", "si10,u10,msl", "-o", out)
    assert done.code == 0, done.err
    made = zssd_cli.downscale([path, wind], vars="si10,u10,msl", weights=prior_file, **OPTIONS)
    made.to_netcdf(tmp_path / "again.nc")
    for file in (opened(out), opened(tmp_path / "again.nc")):
        assert set(made.variables) == set(file.variables) >= {"u10_observed", "si10_observed", "height"}
        for name in file.variables:
            xr.testing.assert_identical(made[name].variable, file[name].variable)
        assert [file[name].encoding.get("coordinates") for name in ("si10", "msl")] == ["height", None]


def test_speed_alone_is_derived_from_both_components(model, zssd, prior_file, tmp_path):
    """Member by member, although neither component is written and the prior knows no speed."""
    path = model("psl")
    both = zssd_cli.downscale(path, vars="u10,v10", weights=prior_file, **OPTIONS)
    speed = zssd_cli.downscale(path, vars="sfcWind", weights=prior_file, **OPTIONS)
    assert set(speed.data_vars) == {"si10", "lat_bnds", "lon_bnds", "crs"}
    np.testing.assert_allclose(speed["si10"], np.hypot(both["u10"], both["v10"]), rtol=1e-6)
    assert speed["si10"].attrs["comment"].startswith("derived from u10 and v10")
    assert (speed["si10"].attrs["zssd_observed"], speed["si10"].attrs["units"]) == ("no", "m s-1")
    assert "cell_methods" not in speed["si10"].attrs
    done = zssd("downscale", path, *FAST, "--vars", "si10", "-o", tmp_path / "x.nc", "--dry-run")
    assert "Derived    si10: of each member's u10 and v10" in done.err
    assert "Inferred" not in done.err


@pytest.fixture
def written(model, zssd, tmp_path):
    """A climate model's file and what the command makes of it."""
    path, out = model("psl"), tmp_path / "out.nc"
    done = zssd("downscale", path, *FAST, "--members", 2, "--seed", 4, "-o", out)
    assert done.code == 0, done.err
    return path, out


@pytest.mark.parametrize("decode_times", [True, False, "cftime"])
def test_a_dataset_gives_what_the_command_writes(written, prior_file, decode_times):
    path, out = written
    given = opened(path) if decode_times == "cftime" else xr.open_dataset(path, decode_times=decode_times)
    made = zssd_cli.downscale(given, vars="msl,u10,v10", weights=prior_file, **OPTIONS)
    file = opened(out)
    assert set(made.variables) == set(file.variables)
    for name in file.variables:
        xr.testing.assert_identical(made[name].variable, file[name].variable)
    differing = {key for key in {**made.attrs, **file.attrs} if made.attrs.get(key) != file.attrs.get(key)}
    # a Dataset has no files to be told apart by
    assert differing <= {"history", "date_created", "date_modified", "date_metadata_modified", "zssd_inputs"}
    assert "zssd_cli.downscale(vars=('msl', 'u10', 'v10'), region='0,10,40,50'" in made.attrs["history"]
    assert made.attrs["Conventions"] == CONVENTIONS


def test_files_and_datasets_are_alike_and_stay_open(written, prior_file):
    path, _ = written
    with xr.open_dataset(path) as given:
        one = zssd_cli.downscale(given, vars=["psl"], weights=prior_file, **OPTIONS)
        again = zssd_cli.downscale(given, vars=["psl"], weights=prior_file, **OPTIONS)
    other = zssd_cli.downscale([str(path)], vars="msl", weights=prior_file, **{**OPTIONS, "region": (0, 10, 40, 50)})
    for made in (again, other):
        np.testing.assert_array_equal(one["msl"], made["msl"])
    assert set(one.data_vars) == {"msl", "lat_bnds", "lon_bnds", "crs"}


class Bounded:
    """A series whose times stand for the six hours before them."""

    def __init__(self, source):
        self._source = source
        self.time_bounds = [(time - timedelta(hours=6), time) for time in source.times]
        self.cell_methods = {"msl": "area: mean time: mean (interval: 1 hour)"}

    def __getattr__(self, name):
        return getattr(self._source, name)


def test_bounds_and_means_of_the_input_go_to_the_output(model, prior_file):
    """What was inferred from means alone is theirs in time; the speed of a mean wind is no mean."""
    sink = MemorySink()
    with plan(model("psl"), vars="msl,u10,si10", weights=prior_file, **OPTIONS) as planned:
        given = Bounded(planned.job.source)
        replace(planned, job=replace(planned.job, source=given)).write(sink, "x")
    made = sink.dataset
    assert made["time_bnds"].values.tolist() == [list(pair) for pair in given.time_bounds]
    methods = {name: made[name].attrs.get("cell_methods") for name in ("msl", "u10", "si10")}
    mean = "area: mean time: mean (interval: 1 hour)"
    assert methods == {"msl": mean, "u10": mean, "si10": None}


def test_evaluate_takes_datasets(written, prior_file):
    _, out = written
    made = opened(out)
    truth = made.isel(member=0, drop=True)
    by_file = zssd_cli.evaluate(out, truth, vars="msl", paired=True)
    by_dataset = zssd_cli.evaluate(made, truth, vars=["psl"], paired=True)
    assert by_file.rows[0].scores == by_dataset.rows[0].scores
    assert by_file.rows[0].scores.mae > 0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"stepz": 3}, ConfigError, "--stepz: there is no such option"),
        ({"steps": 1}, ConfigError, "--steps: "),
        ({"obs_error": "msl=x"}, ConfigError, "--obs-error: expected a number"),
        ({"vars": "tas"}, ConfigError, "'tas' is not known"),
        ({"vars": []}, ConfigError, "got nothing"),
        ({"time": "1700"}, InputError, "1700"),
        ({"device": "tpu"}, ConfigError, "--device: expected auto"),
    ],
)
def test_errors_are_one_line(written, prior_file, options, error, words):
    path, _ = written
    with pytest.raises(error, match=words) as caught:
        zssd_cli.downscale(path, **{"weights": prior_file, **OPTIONS, **options})
    assert "\n" not in str(caught.value)


def test_an_empty_dataset_is_refused_by_name(prior_file):
    with pytest.raises(InputError, match="Dataset: none of msl"):
        zssd_cli.downscale(xr.Dataset(), weights=prior_file, **OPTIONS)


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, zssd_cli; print(sorted({'torch', 'xarray', 'numpy'} & set(sys.modules)), dir(zssd_cli.downscale)[:0])"
    light = "import sys, zssd_cli; zssd_cli.__version__; print(sorted({'torch', 'xarray', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", light], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).returncode == 0


def test_the_series_reads_as_the_command_does(written):
    path, _ = written
    with xr.open_dataset(path) as given:
        series, filed = zssd_cli.open_series(given, "msl"), zssd_cli.open_series(path, "psl")
        np.testing.assert_array_equal(series.read(0, 1), filed.read(0, 1))
        assert series.times == filed.times
        filed.close()
