"""``zssd train`` with ``kind: latent``: a prior without any file of data, and one-line errors."""

import os
import signal

import pytest
import torch
from typer.testing import CliRunner

from zssd_cli.app import app
from zssd_cli.errors import ConfigError, OutputError
from zssd_cli.inversion.checkpoint import load_latent_prior
from zssd_cli.locks import alone
from zssd_cli.prior.checkpoint import read_safetensors
from zssd_cli.training.latent import LatentTrainer

SETTINGS = """
kind: latent
fields: {kind: bimaterial, cells: 16}
autoencoder: {latent: 1, channels: [8, 8, 8]}
network: {width: 16, blocks: 1, embedding: 8}
autoencoder_steps: 2
prior_steps: 2
batch: 2
prior_batch: 4
bank: 32
"""


@pytest.fixture
def run(tmp_path):
    """Run ``zssd train`` on a configuration; an error is raised, not printed."""

    def call(*options, settings=SETTINGS):
        config = tmp_path / "latent.yaml"
        config.write_text(settings)
        arguments = ["train", "--config", str(config), "-o", str(tmp_path / "prior.safetensors"), *options]
        result = CliRunner().invoke(app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def test_trains_a_prior_and_resumes(run, tmp_path):
    result = run()
    assert result.exit_code == 0, result.output
    assert "bimaterial fields of 16 x 16" in result.output
    prior, header = load_latent_prior(tmp_path / "prior.safetensors")
    assert prior.binary
    assert header.training["settings"]["autoencoder_steps"] == 2
    assert "misclassified" in header.training["held_out"]
    with pytest.raises(OutputError, match="exists"):
        run()
    longer = run("--resume", "--overwrite", settings=SETTINGS.replace("prior_steps: 2", "prior_steps: 3"))
    assert "step 4 of 5" in longer.output


def test_two_trainings_do_not_write_one_state(run, tmp_path):
    output = tmp_path / "prior.safetensors"
    with alone(output), pytest.raises(OutputError, match=r"Another process is at work on .*prior\.safetensors"):
        run("--resume")
    assert run().exit_code == 0
    assert sorted(path.name for path in tmp_path.glob(".*")) == []
    assert output.exists()


@pytest.mark.parametrize(("sent", "expected"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGINT, 130)])
def test_a_signal_stops_after_the_step_and_resume_ends_where_an_unbroken_run_does(
    run, tmp_path, monkeypatch, sent, expected
):
    assert run().exit_code == 0
    output, step = tmp_path / "prior.safetensors", LatentTrainer.train_step
    whole = read_safetensors(output)[0]
    output.unlink()
    output.with_name(output.name + ".state").unlink()

    def interrupted(trainer, fields):
        if trainer.step == 2:
            os.kill(os.getpid(), sent)
        return step(trainer, fields)

    monkeypatch.setattr(LatentTrainer, "train_step", interrupted)
    result = run()
    assert result.exit_code == expected, result.output
    assert "Stopped    at step 3" in result.output
    assert not output.exists()
    monkeypatch.setattr(LatentTrainer, "train_step", step)
    with pytest.raises(OutputError, match=r"earlier training.*--resume"):
        run()
    result = run("--resume")
    assert result.exit_code == 0, result.output
    assert "step 3 of 4" in result.output
    resumed = read_safetensors(output)[0]
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        ((), SETTINGS + "colour: red\n", "Training setting colour"),
        ((), SETTINGS.replace("cells: 16", "cells: 20"), "Training setting fields.cells"),
        (
            (),
            SETTINGS.replace("width: 16", "with: 16"),
            r"network\.with: unknown key, got 16\. Known: width, blocks, embedding\.",
        ),
        ((), SETTINGS.replace("batch: 2", "batch: lots", 1), r"Training setting batch: .*, got 'lots'\.$"),
        (("--patch", "32"), SETTINGS, "draws its own fields; got patch"),
        (("era5.nc",), SETTINGS, "draws its own fields; got FILES"),
    ],
)
def test_one_line_errors(run, options, settings, message):
    with pytest.raises(ConfigError, match=message) as error:
        run(*options, settings=settings)
    assert "\n" not in str(error.value)


def test_without_files_and_without_kind_latent_the_usage_is_wrong(run):
    assert run(settings="steps: 3\n").exit_code == 2
