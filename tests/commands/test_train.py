"""``zssd train`` from files to a prior that loads, its resumption, and one line for whatever is wrong."""

import os
import re
import signal

import pytest
import torch

from tests.worlds import noise, random_conditions, write_world
from zssd_cli import app
from zssd_cli.fields.static import load_static
from zssd_cli.grids.latlon import Region
from zssd_cli.prior.checkpoint import load_prior, read_safetensors
from zssd_cli.prior.covariance import MAX_LAG

BOX = Region(-6, 0, 44, 50)
TINY_YAML = """
network: {channels: [8, 16], blocks: 1, embedding: 16, token: 8, attention_from: 1}
patch: 16
batch: 2
steps: 4
warmup: 2
validate_every: 2
"""

torch.set_num_threads(1)


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
    assert len(lines) == 1, text
    assert lines[0].startswith("zssd: error: ")
    assert re.search(match, lines[0]), lines[0]


def test_a_prior_comes_out(capfd, files):
    code, text = train(capfd, files, "--held-out", files / "held.nc", "--seed", 3)
    assert code == 0, text
    assert "2 fields, 1 held out" in text
    assert "step 4  held-out error by noise level" in text
    prior = load_prior(files / "prior.safetensors")
    assert prior.variables == ("msl", "u10", "v10")
    assert prior.header.static_sha256 == load_static().sha256
    assert prior.header.time_known
    record = prior.header.training
    assert record["steps"] == 4
    assert record["settings"]["seed"] == 3
    assert record["trained_on"]["times"] == ["2020-01-01T00:00:00", "2020-01-01T06:00:00"]
    assert record["held_out"]["count"] == 1
    assert float(prior.mean[0]) == pytest.approx(101325, abs=3000)
    assert prior.lags.shape == (9, 3, 3, MAX_LAG + 1, 2 * MAX_LAG + 1)
    assert float(prior.lags[4, 0, 0, 0, MAX_LAG]) > 0
    answer = prior.denoiser(noise(1, 3, 20, 20), torch.tensor(1.0), random_conditions(20, 20))
    assert torch.isfinite(answer).all()
    assert sorted(p.name for p in files.iterdir() if "prior" in p.name) == [
        "prior.safetensors",
        "prior.safetensors.state",
    ]


def test_flags_win_over_the_file_and_a_subset_of_variables_can_be_trained(capfd, files):
    code, text = train(capfd, files, "--vars", "vas,psl", "--steps", 2, "--time-dropout", 1)
    assert code == 0, text
    prior = load_prior(files / "prior.safetensors")
    assert prior.variables == ("v10", "msl")
    assert prior.header.training["settings"]["steps"] == 2
    assert prior.header.time_known is False
    assert prior.signs.tolist() == [-1, 1]


def test_resume_goes_on_and_ends_where_an_unbroken_run_does(capfd, files, monkeypatch):
    assert train(capfd, files, output="whole.safetensors")[0] == 0
    from zssd_cli.prior import training

    step, count = training.Trainer.train_step, []

    def interrupted(self, fields):
        count.append(1)
        if len(count) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, fields)

    monkeypatch.setattr(training.Trainer, "train_step", interrupted)
    code, text = train(capfd, files)
    assert code == 130, text
    assert "Stopped" in text
    assert not (files / "prior.safetensors").exists()
    assert read_safetensors(files / "prior.safetensors.state")[1]["step"] == "2"
    monkeypatch.setattr(training.Trainer, "train_step", step)
    fails(capfd, "earlier training.*--resume", files)
    code, text = train(capfd, files, "--resume")
    assert code == 0, text
    assert "step 2 of 4" in text
    ours, theirs = (read_safetensors(files / f"{name}.safetensors")[0] for name in ("prior", "whole"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_resume_without_a_state_starts_anew(capfd, files):
    code, text = train(capfd, files, "--resume")
    assert code == 0, text
    assert "step 0 of 4" in text


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
    fails(capfd, "u10 at 2020-01-01T06:00:00 has 1 missing", files, data="hole.nc")
    assert not list(files.glob("prior*"))


def test_another_grid(capfd, files):
    write_world(files / "half.nc", Region(-20, 20, 30, 70), times=1, stride=2)
    fails(capfd, r"steps of 0\.5; expected multiples of 0\.25", files, data="half.nc")


def test_too_small_for_a_patch(capfd, files):
    fails(capfd, "25 cells of latitude, fewer than a patch of 32", files, "--patch", 32)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("stepps: 4", "stepps.*Extra inputs"),
        ("network: {chanels: [8]}", "network.chanels"),
        ("steps: many", "steps.*integer.*'many'"),
        ("patch: 20", "patch.*multiple of 8"),
        ("seed: -1", "seed.*greater than or equal to 0"),
        ("- a list", "expected keys and values, got list"),
        ("a: [", "cannot be read"),
        ("variables: [msl, warmth]", "'warmth' is not known"),
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


def test_usage(capfd):
    assert zssd(capfd, "train")[0] == 2
    code, text = zssd(capfd, "train", "--help")
    assert code == 0
    assert "--resume" in text
