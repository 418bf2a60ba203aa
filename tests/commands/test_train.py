"""``zssd train`` from files to a prior that loads, its resumption, and one line for whatever is wrong."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import netCDF4
import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from tests.worlds import noise, random_conditions, write_world
from zssd_cli import app
from zssd_cli.climate.covariance import MAX_LAG
from zssd_cli.commands import run_train
from zssd_cli.commands.run_train import _go_on
from zssd_cli.commands.train_settings import read_settings
from zssd_cli.config import PRESETS
from zssd_cli.errors import ConfigError
from zssd_cli.grids.latlon import Region
from zssd_cli.locks import alone
from zssd_cli.prior.checkpoint import load_prior, read_safetensors
from zssd_cli.prior.registry import sha256_of
from zssd_cli.static import load_static
from zssd_cli.training.distributed import World
from zssd_cli.training.loop import Trainer

BOX = Region(-6, 0, 44, 50)
TINY_YAML = """
network: {channels: [8, 16], blocks: 1, embedding: 16, token: 8, attention_from: 1}
patch: 16
batch: 2
steps: 4
warmup: 2
validate_every: 2
"""


@pytest.fixture
def files(tmp_path):
    """Two training files, a held-out one, and a configuration, in the test's folder."""
    write_world(tmp_path / "era5_a.nc", BOX, times=2, seed=0)
    write_world(tmp_path / "held.nc", BOX, times=1, seed=1)
    (tmp_path / "tiny.yaml").write_text(TINY_YAML)
    return tmp_path


def zssd(capfd, *arguments):
    """Run the command line; exit code, stdout and stderr together as one line of text without line breaks of rich."""
    with pytest.raises(SystemExit) as stop:
        app.main([str(a) for a in arguments])
    shown = capfd.readouterr()
    return stop.value.code or 0, shown.out + shown.err


def train(capfd, folder, *extra, output="prior.safetensors", data="era5_a.nc", config="tiny.yaml"):
    configured = ["--config", folder / config] if config else []
    return zssd(capfd, "train", folder / data, "-o", folder / output, *configured, *extra)


def fails(capfd, match, *arguments, **options):
    code, text = train(capfd, *arguments, **options)
    assert code == 1
    lines = [line for line in text.splitlines() if line.strip()]
    # before the one line there may be the table of the data, and notes on them
    above = [line for line in lines[:-1] if not re.match(r"^[ \u2500-\u257f]|^note ", line)]
    assert not above, text
    assert lines[-1].startswith("zssd: error: ")
    assert re.search(match, lines[-1]), lines[-1]
    return "\n".join(lines[:-1])


def test_a_prior_comes_out(capfd, files):
    code, text = train(capfd, files, "--held-out", files / "held.nc", "--seed", 3)
    assert code == 0, text
    assert "2 fields, 1 held out" in text
    assert (
        "note       held out: 1 times, the first 2020-01-01T00:00:00, are also in training files and trained on" in text
    )
    assert "step 4  held-out error by noise level" in text
    prior = load_prior(files / "prior.safetensors")
    assert prior.variables == ("msl", "u10", "v10")
    assert prior.header.static_sha256 == load_static().sha256
    assert prior.header.time_known
    record = prior.header.training
    assert record["steps"] == 4
    assert record["settings"]["seed"] == 3
    assert [part["lowpass_km"] for part in record["trained_on"]] == [0]
    assert record["trained_on"][0]["times"] == ["2020-01-01T00:00:00", "2020-01-01T06:00:00"]
    assert record["held_out"]["count"] == 1
    assert float(prior.mean[0]) == pytest.approx(101325, abs=3000)
    assert prior.lags.shape == (9, 3, 3, MAX_LAG + 1, 2 * MAX_LAG + 1)
    assert float(prior.lags[4, 0, 0, 0, MAX_LAG]) > 0
    answer = prior.denoiser(noise(1, 3, 20, 20), torch.tensor(1.0), random_conditions(20, 20))
    assert torch.isfinite(answer).all()
    endings = ["", ".log.jsonl", ".state"]
    assert sorted(p.name for p in files.iterdir() if "prior" in p.name) == [f"prior.safetensors{e}" for e in endings]


@pytest.mark.parametrize("given", ["", " , "])
def test_no_variable_at_all(capfd, files, given):
    fails(capfd, r"--vars: expected names such as msl,u10,v10, got none\. Leave it out", files, "--vars", given)


def test_flags_win_over_the_file_and_a_subset_of_variables_can_be_trained(capfd, files):
    code, text = train(capfd, files, "--vars", "vas,psl", "--steps", 2, "--time-dropout", 1)
    assert code == 0, text
    prior = load_prior(files / "prior.safetensors")
    assert prior.variables == ("v10", "msl")
    assert prior.header.training["settings"]["steps"] == 2
    assert prior.header.time_known is False
    assert prior.signs.tolist() == [-1, 1]


@pytest.fixture
def holed(files):
    """A file of forty times of which seven are bad: a run without values, some with holes, an implausible pressure."""
    with netCDF4.Dataset(write_world(files / "holed.nc", BOX, times=40, seed=3), "a") as data:
        data["u10"][10:14] = np.ma.masked
        data["v10"][[0, 39], 3, 4] = np.ma.masked
        data["msl"][20] = 1e7
    return files


@pytest.mark.parametrize(
    ("sent", "expected", "data"),
    [
        (signal.SIGTERM, 143, "era5_a.nc"),
        (signal.SIGUSR1, 138, "era5_a.nc"),
        (signal.SIGINT, 130, "era5_a.nc"),
        (signal.SIGINT, 130, "holed.nc"),
    ],
)
def test_resume_goes_on_and_ends_where_an_unbroken_run_does(capfd, holed, monkeypatch, sent, expected, data):
    """Also where times are left out: which ones were met before the break must not matter."""
    files = holed
    (files / "tiny.yaml").write_text(TINY_YAML + "max_missing: 0.2\npatches_per_field: 1\n")
    assert train(capfd, files, output="whole.safetensors", data=data)[0] == 0
    from zssd_cli.training import loop as training

    step, count = training.Trainer.train_step, []

    def interrupted(self, fields):
        count.append(1)
        if len(count) == 2:
            os.kill(os.getpid(), sent)
        return step(self, fields)

    monkeypatch.setattr(training.Trainer, "train_step", interrupted)
    code, text = train(capfd, files, data=data)
    assert code == expected, text
    assert "Stopped" in text
    assert not (files / "prior.safetensors").exists()
    assert read_safetensors(files / "prior.safetensors.state")[1]["step"] == "2"
    monkeypatch.setattr(training.Trainer, "train_step", step)
    fails(capfd, "earlier training.*--resume", files, data=data)
    code, text = train(capfd, files, "--resume", data=data)
    assert code == 0, text
    assert "step 2 of 4" in text
    ours, theirs = (read_safetensors(files / f"{name}.safetensors")[0] for name in ("prior", "whole"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    logs = [read_log(files / f"{name}.safetensors.log.jsonl") for name in ("prior", "whole")]
    assert [line["step"] for line in logs[0]] == [2, 4]
    assert [line["step"] for line in logs[1]] == [4]
    assert logs[1][0]["loss"] == pytest.approx((logs[0][0]["loss"] + logs[0][1]["loss"]) / 2)


def read_log(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_two_trainings_do_not_write_one_state(capfd, files):
    with alone(files / "prior.safetensors"):
        fails(capfd, r"Another process is at work on .*prior\.safetensors", files, "--resume")


def test_resume_without_a_state_starts_anew(capfd, files):
    code, text = train(capfd, files, "--resume")
    assert code == 0, text
    assert "step 0 of 4" in text


def test_times_with_missing_values_are_left_out_and_counted(capfd, holed):
    given = ("--held-out", holed / "holed.nc", "--max-missing", 0.2)
    code, text = train(capfd, holed, "--max-missing", 0.2, data="holed.nc")
    assert code == 0, text
    said = (
        "main: left out 7 of 40 times with missing or implausible values: "
        "2020-01-01T00:00, 2020-01-03T12:00..2020-01-04T06:00 (4), 2020-01-06T00:00 and 1 more"
    )
    assert f"note       {said}" in text
    record = load_prior(holed / "prior.safetensors").header.training["trained_on"][0]
    assert (record["count"], record["left_out_count"]) == (40, 7)
    assert record["left_out"][0] == "2020-01-01T00:00:00"
    code, text = train(capfd, holed, *given, "--overwrite")
    assert code == 0, text
    assert said.replace("main", "held out") in text
    (holed / "more.yaml").write_text(f"{TINY_YAML}more: [{{files: [{holed / 'holed.nc'}], share: 0.5}}]")
    for words, config in (((), "more.yaml"), (("--held-out", holed / "holed.nc"), "tiny.yaml")):
        fails(capfd, "bad times .* than --max-missing 0.05 allows", holed, "--overwrite", *words, config=config)


def test_a_larger_share_may_be_allowed_when_a_training_goes_on(capfd, holed, monkeypatch):
    """The state of a training that met too many holes goes on; what is allowed is no setting that must stay the same."""
    assert train(capfd, holed, "--max-missing", 0.2, "--steps", 2, data="holed.nc")[0] == 0
    resumed = ("--resume", "--overwrite")
    fails(capfd, "--max-missing 0.05", holed, *resumed, data="holed.nc")
    code, text = train(capfd, holed, *resumed, "--max-missing", 0.3, data="holed.nc")
    assert code == 0, text
    assert "step 2 of 4" in text


def test_a_finished_training_needs_no_more(capfd, files):
    assert train(capfd, files)[0] == 0
    before = (files / "prior.safetensors").stat().st_mtime_ns
    code, text = train(capfd, files, "--resume")
    assert code == 0, text
    assert re.search(r"Finished .*prior.safetensors is the prior of this training; nothing is left to do", text)
    assert (files / "prior.safetensors").stat().st_mtime_ns == before
    fails(capfd, "exists.*--overwrite", files, "--resume", "--steps", 6)
    fails(capfd, "exists.*--overwrite", files, "--resume", "--batch", 4)
    (files / "prior.safetensors").write_bytes(b"precious")
    fails(capfd, "exists.*--overwrite", files, "--resume")


def test_every_field_is_read_when_asked(capfd, holed):
    before = sorted(p.name for p in holed.iterdir())
    asked = ("--dry-run", "--thorough", "--held-out", holed / "held.nc")
    code, text = train(capfd, holed, *asked, "--max-missing", 0.2, data="holed.nc")
    assert code == 0, text
    rows = [re.split(r"  +", line.strip()) for line in text.splitlines()]
    assert [row for row in rows if row[0] in ("main", "held out")][-6:] == [
        ["main", "msl", "40", "1 implausible: 2020-01-06T00:00"],
        ["main", "u10", "40", "4 all missing: 2020-01-03T12:00..2020-01-04T06:00 (4)"],
        ["main", "v10", "40", "2 partly missing: 2020-01-01T00:00, 2020-01-10T18:00"],
        *(["held out", name, "1", "none"] for name in ("msl", "u10", "v10")),
    ]
    assert re.search(r"note .*holed.nc: msl: values 1e\+07.*outside the plausible range", text)
    assert "Nothing was written" in text
    code, text = train(capfd, holed, *asked, data="holed.nc")
    assert code == 1
    match = r"\(main\) have missing or implausible values at 7 of 40 times, the first 2020-01-01T00:00: .*--max-missing 0.05"
    assert re.search(match, text.splitlines()[-1])
    assert "4 all missing" in text
    assert sorted(p.name for p in holed.iterdir()) == before
    assert train(capfd, holed, "--thorough")[0] == 2


def test_fields_that_cannot_be_read_are_no_holes(capfd, holed, monkeypatch):
    from zssd_cli.series import pieces

    read = pieces._values

    def torn(piece, array, positions):
        if piece.variable.name == "v10" and 15 in positions:
            msg = "NetCDF: HDF error"
            raise OSError(msg)
        return read(piece, array, positions)

    monkeypatch.setattr(pieces, "_values", torn)
    given = ("--dry-run", "--thorough", "--max-missing", 0.9)
    code, text = train(capfd, holed, *given, data="holed.nc")
    assert code == 1
    assert "1 unreadable: 2020-01-04T18:00" in text
    assert re.search(r"error: .*HDF error.*\(1 fields of v10 cannot be read\)\.$", text.splitlines()[-1])
    fails(capfd, "HDF error", holed, "--max-missing", 0.9, data="holed.nc")


@pytest.mark.parametrize("where", ["main", "held out", "more 1"])
def test_means_are_no_moments(capfd, files, where):
    with netCDF4.Dataset(write_world(files / "daily.nc", BOX, times=3, seed=3), "a") as data:
        data["time"][:] = 24.0 * np.arange(3) + 12
    text = TINY_YAML + (f"more: [{{files: [{files / 'daily.nc'}], share: 0.5}}]" if where == "more 1" else "")
    (files / "tiny.yaml").write_text(text)
    data = "daily.nc" if where == "main" else "era5_a.nc"
    given = ("--held-out", files / "daily.nc") if where == "held out" else ()
    match = rf"\({where}.*\) hold daily means of msl .*or pass --any-frequency"
    fails(capfd, match, files, *given, data=data)
    code, shown = train(capfd, files, *given, "--any-frequency", data=data)
    assert code == 0, shown
    training = load_prior(files / "prior.safetensors").header.training
    assert training["settings"]["any_frequency"] is True
    record = training["held_out"] if where == "held out" else training["trained_on"][-1]
    assert record["averaging"] == "daily means of msl (times 24 h apart)"


def test_resume_with_other_settings(capfd, files):
    assert train(capfd, files)[0] == 0
    fails(capfd, "other settings.*batch", files, "--resume", "--overwrite", "--batch", 3)


def test_an_existing_output_is_kept(capfd, files):
    (files / "prior.safetensors").write_bytes(b"precious")
    fails(capfd, "exists.*--overwrite", files)
    assert (files / "prior.safetensors").read_bytes() == b"precious"
    assert train(capfd, files, "--overwrite")[0] == 0
    load_prior(files / "prior.safetensors")


def test_absent_variable(capfd, files):
    write_world(files / "winds.nc", BOX, times=1, variables=("u10", "v10"))
    fails(capfd, "lack msl; expected msl, u10, v10", files, data="winds.nc")


def test_a_hole_is_named_with_variable_and_time(capfd, files):
    write_world(files / "hole.nc", BOX, times=2, holes={"u10": 1})
    fails(capfd, "hole.nc: u10 at 2020-01-01T06:00:00 has 1 missing", files, data="hole.nc")
    assert not list(files.glob("prior*"))


def test_another_grid(capfd, files):
    write_world(files / "half.nc", Region(-20, 20, 30, 70), times=1, stride=2)
    fails(capfd, r"steps of 0\.5; expected multiples of 0\.25", files, data="half.nc")


def test_too_small_for_a_patch(capfd, files):
    fails(capfd, "25 cells of latitude, fewer than a patch of 32", files, "--patch", 32)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("stepps: 4", "stepps: unknown key, got 4. Known: variables"),
        ("network: {chanels: [8]}", "network.chanels.*Known: channels"),
        ("network: {channels: [8, 16]}", "network: attention_from is 2, expected a level of channels, 0 to 1"),
        ("learning_rate: .inf", "learning_rate.*finite"),
        ("more: [{files: [a.nc], share: 0.1, smoth: [msl]}]", "more.0.smoth.*Known: files, share, smooth, lowpass_km"),
        ("steps: many", r"steps.*integer.*'many'\.$"),
        ("patch: 20", "patch.*multiple of 8"),
        ("seed: -1", "seed.*greater than or equal to 0"),
        ("- a list", "expected keys and values such as steps: 5000, got list"),
        ("a: [", "cannot be read"),
        ("variables: [msl, warmth]", "'warmth' is not known"),
        ("variables: msl", "variables: expected a list, got 'msl'"),
        ("network: 3", "network: expected keys and values, got 3"),
        ("variables: []", "variables.*at least 1"),
        ("network: {channels: []}", "channels.*at least 1"),
    ],
)
def test_configurations_that_make_no_sense(capfd, files, text, match):
    (files / "bad.yaml").write_text(text)
    fails(capfd, match, files, config="bad.yaml")


def test_missing_files_and_folders(capfd, files):
    fails(capfd, "no.yaml", files, config="no.yaml")
    fails(capfd, "nothing.nc", files, data="nothing.nc")
    fails(capfd, "folder .*does not exist", files, output="no/where.safetensors")
    fails(capfd, "no.nc", files, "--static", files / "no.nc")


def test_held_out_files_must_fit_too(capfd, files):
    write_world(files / "winds.nc", BOX, times=1, variables=("u10", "v10"))
    fails(capfd, "lack msl", files, "--held-out", files / "winds.nc")


def test_held_out_files_are_not_trained_on(capfd, files):
    later(files)
    code, text = train(capfd, files, "--held-out", files / "era5_b.nc", data="era5_?.nc")
    assert code == 0, text
    assert "Training   2 fields, 2 held out" in text
    assert "trained on" not in text
    assert load_prior(files / "prior.safetensors").header.training["trained_on"][0]["files"] == "era5_a.nc"
    fails(capfd, "All files of .* are held out, none is left", files, "--overwrite", "--held-out", files / "era5_?.nc")


@pytest.mark.parametrize("name", ["prior", "prior.nc"])
def test_a_prior_needs_its_ending(capfd, files, name):
    fails(capfd, "expected a file with the ending .safetensors", files, "--dry-run", output=name)


def test_the_output_is_no_folder(capfd, files):
    (files / "folder.safetensors").mkdir()
    fails(capfd, "got a folder", files, output="folder.safetensors")


def test_the_log_writes_over_nothing(capfd, files):
    (files / "notes.txt").write_text("precious")
    fails(capfd, "notes.txt exists.*--resume or --overwrite", files, "--log", files / "notes.txt")
    for name in ("prior.safetensors", "prior.safetensors.state", "era5_a.nc"):
        fails(capfd, "is one of the inputs|name the same file", files, "--overwrite", "--log", files / name)
    assert (files / "notes.txt").read_text() == "precious"


@pytest.mark.parametrize(("theirs", "match"), [(None, "not there for every process"), (3, "of step 2 .* of step 3")])
def test_processes_that_find_other_states(tmp_path, monkeypatch, theirs, match):
    """Of two processes, what the other one has: no state, or one of another step."""
    ours = Trainer(read_settings(None, {"network": {"channels": (8, 16), "attention_from": 1}}))
    monkeypatch.setattr(World, "shared", lambda _, make: True)
    monkeypatch.setattr(ours, "load", lambda _: setattr(ours, "step", 2))
    (tmp_path / "state").touch()
    other = iter([1] if theirs is None else [0, -theirs, theirs])
    monkeypatch.setattr(World, "largest", lambda _, value: max(value, next(other)))
    with pytest.raises(ConfigError, match=match):
        _go_on(ours, tmp_path / "state")


def test_smooth_variables_have_canonical_names():
    more = {"files": ["a.nc"], "share": 0.5, "smooth": ["psl", "msl"]}
    assert read_settings(None, {"more": [more]}).more[0].smooth == ("msl",)
    with pytest.raises(ConfigError, match="more.smooth: expected some of msl, u10, v10, got z500"):
        read_settings(None, {"more": [{**more, "smooth": ["z500"]}]})


def shift(path, hours):
    """Move all times of a file."""
    with netCDF4.Dataset(path, "a") as file:
        file["time"][:] = file["time"][:] + hours
    return path


def later(files, name="era5_b.nc", hours=12.0, **options):
    """A second file, after the first one."""
    options = {"region": BOX, "times": 2} | options
    return shift(write_world(files / name, options.pop("region"), seed=2, **options), hours)


def test_the_table_says_what_there_is(capfd, files):
    later(files, hours=24.0, times=4)
    code, text = train(capfd, files, "--held-out", files / "held.nc", "--dry-run", data="era5_?.nc")
    assert code == 0, text
    rows = [re.split(r"  +", line.strip()) for line in text.splitlines() if "u10" in line]
    assert rows[0][:5] == ["main", "u10", "2", "6", "2020-01-01T00:00 2020-01-02T18:00"]
    assert rows[0][5:] == ["6 h", "2 in between: 2020-01-01T12:00..2020-01-01T18:00 (2)"]
    assert rows[1] == ["held out", "u10", "1", "1", "2020-01-01T00:00", "nothing"]


def test_dry_run_measures_and_writes_nothing(capfd, files):
    before = sorted(p.name for p in files.iterdir())
    code, text = train(capfd, files, "--dry-run")
    assert code == 0, text
    for words in (
        r"Parameters \d[\d,]+; the state takes 0\.\d MB",
        "Patches    4 steps of 2 = 8 of 16 x 16 cells",
        "Memory .* GiB",
        r"Time .* s a step, .* patches/s \(the fastest of 5 measured, as if idle; the median is .* s\)",
        "Nothing was written",
    ):
        assert re.search(words, text), words
    assert sorted(p.name for p in files.iterdir()) == before


def test_a_variable_that_lacks_times_is_shown_with_them(capfd, files):
    later(files, variables=("msl", "v10"))
    match = r"u10 is absent at 2 of 4 times: 2020-01-01T12:00..2020-01-01T18:00 \(2\), for which .*era5_b.nc"
    table = fails(capfd, match, files, data="era5_?.nc")
    assert "2 that others have: 2020-01-01T12:00..2020-01-01T18:00 (2)" in table
    code, text = train(capfd, files, "--allow-missing", data="era5_?.nc")
    assert code == 0, text
    assert "Training   2 fields" in text


def test_variables_in_separate_files(capfd, files):
    for name in ("msl", "u10", "v10"):
        write_world(files / f"sep_{name}.nc", BOX, times=2, variables=(name,))
    code, text = train(capfd, files, data="sep_*.nc")
    assert code == 0, text
    assert "Training   2 fields" in text


def test_wrong_units_in_a_later_file_are_known_before_the_training(capfd, files):
    with netCDF4.Dataset(later(files), "a") as file:
        file["msl"][:] = file["msl"][:] / 100
    match = r"era5_b.nc: msl: values .* look like hPa but .*'Pa'.*first seen at 2020-01-01T12:00:00"
    fails(capfd, match, files, data="era5_?.nc")


def test_a_hole_in_a_later_file_is_known_before_the_training(capfd, files):
    later(files, holes={"v10": 0})
    fails(capfd, "era5_b.nc: v10 at 2020-01-01T12:00:00 has 1 missing", files, data="era5_?.nc")


def test_mixed_grids(capfd, files):
    later(files, region=Region(-5, 1, 44, 50))
    fails(capfd, "era5_b.nc: msl is on another grid .* than msl of era5_a.nc", files, data="era5_?.nc")


def test_the_log_has_losses_rates_and_validation(capfd, files):
    code, text = train(capfd, files, "--held-out", files / "held.nc", "--log", files / "run.jsonl")
    assert code == 0, text
    lines = read_log(files / "run.jsonl")
    assert [line["step"] for line in lines] == [2, 4]
    for line in lines:
        assert set(line["losses"]) == {"msl", "u10", "v10"}
        assert line["loss"] == pytest.approx(sum(line["losses"].values()) / 3)
        assert set(line["held_out"]) == {"0.02", "0.1", "0.5", "2", "10"}
        assert line["patches_per_second"] > 0
        assert 0 < line["learning_rate"] <= 1e-3
    # a run that starts anew starts a new log; a torn last line does no harm to a resumed one
    (files / "run.jsonl").write_text((files / "run.jsonl").read_text() + '{"step": 5, "lo')
    train(capfd, files, "--log", files / "run.jsonl", "--resume", "--overwrite", "--steps", 6)
    assert [line["step"] for line in read_log(files / "run.jsonl")] == [2, 4, 6]
    train(capfd, files, "--log", files / "run.jsonl", "--overwrite")
    assert [line["step"] for line in read_log(files / "run.jsonl")] == [4]


def test_presets_give_way_to_files_and_flags(capfd, files):
    settings = read_settings(files / "tiny.yaml", {"batch": 3}, "base")
    assert settings.network.channels == (8, 16)
    assert (settings.batch, settings.patch, settings.learning_rate) == (3, 16, 5e-4)
    for name in PRESETS:
        assert (
            read_settings(None, {}, name).patch % 2 ** (len(PRESETS[name]["network"].get("channels", (1,) * 4)) - 1)
            == 0
        )
    fails(capfd, "--preset huge: expected one of tiny, small, base, large", files, "--preset", "huge")


def test_more_data_of_another_origin(capfd, files):
    write_world(files / "winds.nc", Region(10, 20, 44, 54), times=2, seed=4, variables=("u10", "v10"))
    text = f"{TINY_YAML}more: [{{files: [{files / 'winds.nc'}], share: 0.5, lowpass_km: 31}}]"
    (files / "more.yaml").write_text(text)
    code, shown = train(capfd, files, config="more.yaml")
    assert code == 0, shown
    assert "more 1 (50%)" in shown
    assert "everything" in shown
    record = load_prior(files / "prior.safetensors").header.training["trained_on"]
    assert [part["variables"] for part in record] == [["msl", "u10", "v10"], ["u10", "v10"]]
    (files / "much.yaml").write_text(text.replace("0.5", "0.6") + "\n")
    assert train(capfd, files, "--overwrite", config="much.yaml")[0] == 0


def test_fine_tuning_keeps_network_and_scales_and_measures_covariances_anew(capfd, files, monkeypatch):
    assert train(capfd, files, output="old.safetensors")[0] == 0
    write_world(files / "other.nc", Region(40, 50, -30, -20), times=2, seed=5)
    (files / "short.yaml").write_text("{patch: 16, batch: 2, steps: 2}")
    start, loaded = ("--from", files / "old.safetensors"), []
    monkeypatch.setattr(run_train, "load_prior", lambda path: loaded.append(path) or load_prior(path))
    code, text = train(capfd, files, *start, data="other.nc", config="short.yaml")
    assert code == 0, text
    assert len(loaded) == 1
    old, new = (load_prior(files / f"{name}.safetensors") for name in ("old", "prior"))
    assert new.header.network == old.header.network
    for name in ("mean", "std"):
        assert torch.equal(getattr(new, name), getattr(old, name))
    assert torch.equal(new.denoiser.detail_std, old.denoiser.detail_std)
    assert not torch.equal(new.lags, old.lags)
    assert new.header.training["started_from"]["training"] == old.header.training
    assert new.header.training["started_from"]["sha256"] == sha256_of(files / "old.safetensors")
    assert new.header.training["settings"]["learning_rate"] == 3e-4
    weights = [prior.denoiser.network.state_dict() for prior in (old, new)]
    change = max(float((weights[0][key] - weights[1][key]).abs().max()) for key in weights[0])
    assert 0 < change < 0.01
    # the state knows from which prior it started
    resumed = ("--resume", "--overwrite")
    same = files / "tiny_short.yaml"
    same.write_text(TINY_YAML.replace("steps: 4", "steps: 2") + "learning_rate: 3.0e-4\n")
    same.write_text(same.read_text().replace("warmup: 2", "warmup: 100").replace("validate_every: 2\n", ""))
    fails(capfd, "other training files, static fields or --from", files, *resumed, data="other.nc", config=same.name)
    fails(capfd, "--from: the prior makes msl, u10, v10, asked for u10", files, *start, "--overwrite", "--vars", "u10")
    (files / "net.yaml").write_text(TINY_YAML.replace("16]", "24]"))
    fails(capfd, "--from: the network of --config", files, *start, "--overwrite", config="net.yaml")
    fails(capfd, "no.safetensors", files, "--from", files / "no.safetensors", "--overwrite")
    fails(capfd, "expected a zssd prior", files, "--from", copied(files), "--overwrite")


def copied(files):
    """A training state with the name of a prior."""
    (files / "state.safetensors").write_bytes((files / "old.safetensors.state").read_bytes())
    return files / "state.safetensors"


def test_what_a_killed_training_left_half_written_is_removed(capfd, files):
    (files / ".prior.safetensors.state.abcdefgh.part").write_bytes(b"half")
    assert train(capfd, files)[0] == 0
    assert not list(files.glob(".*.part"))


def test_a_full_disk_is_one_line(capfd, files, monkeypatch):
    def full(*_):
        msg = "I/O error: No space left on device (os error 28)"
        raise SafetensorError(msg)

    monkeypatch.setattr("zssd_cli.prior.checkpoint.save_file", full)
    code, text = train(capfd, files)
    assert code == 1
    assert re.match("zssd: error: The training state .* at step 4: No space left", text.splitlines()[-1])
    assert "Traceback" not in text


@pytest.mark.slow
def test_two_processes_write_one_prior(files):
    """The command under torchrun: one table, one log, and the losses of one process."""
    arguments = ["train", files / "era5_a.nc", "--config", files / "tiny.yaml"]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for start, name in (([], "one"), (launch, "two")):
        command = [sys.executable, *start, "-m", "zssd_cli", *arguments, "-o", files / f"{name}.safetensors"]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stderr.count("Training data") == 1
    one, two = (read_log(files / f"{name}.safetensors.log.jsonl") for name in ("one", "two"))
    assert [line["step"] for line in two] == [line["step"] for line in one]
    assert [line["loss"] for line in two] == pytest.approx([line["loss"] for line in one], rel=1e-4)


def test_a_batch_that_the_processes_cannot_share(capfd, files, monkeypatch):
    monkeypatch.setattr("zssd_cli.commands.run_train.joined", lambda: contextlib.nullcontext(World(0, 3)))
    fails(capfd, "--batch 2 is shared by 3 processes; expected a multiple of 3", files)


def test_usage(capfd):
    assert zssd(capfd, "train")[0] == 2
    code, text = zssd(capfd, "train", "--help")
    assert code == 0
    assert "--resume" in text
