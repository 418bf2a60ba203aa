"""Text of others is only text; files of settings and headers of weights have bounds; equal trainings are equal files."""

import json
import os

import pytest
import torch
from pydantic import ValidationError
from rich.table import Table

from tests.commands.conftest import FAST, toy_prior
from zssd_cli.commands.shared import Page, command_line
from zssd_cli.config import TrainConfig
from zssd_cli.errors import ConfigError, InputError, WeightsError
from zssd_cli.inversion.config import LatentTrainConfig
from zssd_cli.inversion.domain import DomainConfig
from zssd_cli.prior.checkpoint import load_prior, read_safetensors, save_prior, write_safetensors
from zssd_cli.series.provenance import provenance
from zssd_cli.settings_file import read_settings_file
from zssd_cli.static import BUILTIN, load_static
from zssd_cli.text import masked, plain

ESCAPE = "a\x1b[31mred\x1b]0;title\x07\nb\u202ec\udcff"


def test_plain_text_has_no_control_characters():
    assert plain(ESCAPE) == "a?[31mred?]0;title? b?c?"
    assert plain("one\ntwo\x1b", lines=True) == "one\ntwo?"
    assert plain("Zürich, 大気") == "Zürich, 大気"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:s3cret@host/x", "http://user:***@host/x"),
        ("get https://u:p@a:b@host:1/ now", "get https://u:***@host:1/ now"),
        ("http://host:80/x@y", "http://host:80/x@y"),
    ],
)
def test_passwords_are_masked(text, shown):
    assert masked(text) == shown


def test_a_page_passes_no_escape_sequence_on(capsys):
    table = Table("name")
    table.add_row(ESCAPE)
    Page().print(table)
    assert "\x1b" not in capsys.readouterr().out


def test_what_was_called_shows_no_password(monkeypatch):
    monkeypatch.setattr("sys.argv", ["zssd", "downscale", "https://me:s3cret@host/a.zarr", "b\x1b.nc"])
    assert command_line() == "zssd downscale https://me:***@host/a.zarr 'b?.nc'"


def test_attributes_of_the_input_are_plain_and_not_without_end(tmp_path):
    given = {"source_id": "M\x1b[2J", "title": "a\nb", "history": "one\ntwo\x07" + "x" * 100_000}
    found = provenance([given], [tmp_path / "in\x1b.nc"])
    assert found["source_id"] == "M?[2J"
    assert found["title"] == "a b"
    assert found["source_files"] == "in?.nc"
    assert found["history"].startswith("one\ntwo?x")
    assert found["history"].endswith("more characters)")
    assert len(found["history"]) < 21_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("z: " + "[" * 2000, "nested too deeply"),
        ("a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{c}: &{c} [{','.join([f'*{b}'] * 10)}]\n" for b, c in zip("abcdef", "bcdefg", strict=True)), "more than"),
        ("a: &a [*a]\n", "more than"),
        ("day: 2020-13-45\n", "cannot be read"),
        ("a: 1\na: 2\n", "given twice"),
        ("x: " + "y" * 1_000_001, "more than"),
        ("x: !!python/object/apply:os.system [true]\n", "cannot be read"),
        ("- 1\n", "expected keys and values"),
        ("\x00", "cannot be read"),
    ],
)  # fmt: skip
def test_yaml_that_must_not_be_used(tmp_path, text, reason):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason) as caught:
        read_settings_file(path, "--config", "steps: 5000")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "content"),
    [
        (TrainConfig, {"steps": 10**40}),
        (TrainConfig, {"batch": 10**12}),
        (LatentTrainConfig, {"kind": "latent", "prior_steps": 10**40}),
        (DomainConfig, {"size": [1, 1], "cells": [10**6, 10**6]}),
    ],
)
def test_counts_have_bounds(make, content):
    with pytest.raises(ValidationError, match="less than or equal"):
        make.model_validate(content)


@pytest.mark.parametrize(
    "content",
    [
        {"size": [320, "9" * 40]},
        {"origin": [1e30, 0]},
        {"thickness": 1e10},
        {"anisotropy": 1e20},
        {"recharge": "1e30 m/s"},
        {"wells": [{"x": 1, "y": 1, "rate": "1e40 gpm"}]},
        {"boundaries": {"west": {"head": -1e12}}},
    ],
)
def test_extents_and_amounts_have_bounds(content):
    with pytest.raises(ValidationError, match="less than or equal|expected at (least|most)"):
        DomainConfig.model_validate({"size": [640, 640]} | content)


def test_a_pipe_of_settings_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match="no regular file"):
        read_settings_file(tmp_path / "x.yaml", "--config", "steps: 5000")


@pytest.fixture
def prior(tmp_path):
    path = tmp_path / "toy.safetensors"
    save_prior(path, toy_prior(load_static().sha256))
    return path


def test_equal_priors_are_equal_files(tmp_path, prior):
    for number in range(5):
        other = tmp_path / f"{number}.safetensors"
        save_prior(other, toy_prior(load_static().sha256))
        assert other.read_bytes() == prior.read_bytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"blocks": 10**12}, "blocks"),
        ({"channels": [8192] * 12, "blocks": 100}, "not the one that its header describes"),
        ({"embedding": 8 * 10**9}, "embedding"),
    ],
)
def test_a_header_that_asks_for_memory_without_end(prior, change, reason):
    tensors, meta = read_safetensors(prior)
    header = json.loads(meta["header"])
    header["network"] |= change
    write_safetensors(prior, tensors, meta | {"header": json.dumps(header)})
    with pytest.raises(WeightsError, match=reason):
        load_prior(prior)


def test_a_header_that_is_nested_without_end(prior):
    tensors, meta = read_safetensors(prior)
    write_safetensors(prior, tensors, meta | {"header": "[" * 100_000})
    with pytest.raises(WeightsError, match="nested too deeply|damaged"):
        load_prior(prior)


def test_weights_that_are_not_finite(prior):
    tensors, meta = read_safetensors(prior)
    tensors["network.out.weight"].view(-1)[0] = torch.inf
    write_safetensors(prior, tensors, meta)
    with pytest.raises(WeightsError, match="not finite"):
        load_prior(prior)


@pytest.mark.parametrize("name", ["mean", "std", "zonal", "lags", "detail_std"])
def test_weights_that_are_beyond_all_bounds(prior, name):
    """Finite, and the output would be too: 1e35 Pa."""
    tensors, meta = read_safetensors(prior)
    tensors[name].view(-1)[0] = 2e35
    write_safetensors(prior, tensors, meta)
    with pytest.raises(WeightsError, match=f"{name} holds values beyond"):
        load_prior(prior)


def test_a_sample_that_no_weather_has_is_refused(zssd, model, prior, tmp_path):
    """Weights within their bounds and the fields absurd: the mean is not that of pressure in Pa."""
    tensors, meta = read_safetensors(prior)
    tensors["mean"][0] = 1e8
    write_safetensors(prior, tensors, meta)
    out = tmp_path / "out.nc"
    done = zssd("downscale", model(names=("psl", "uas")), *FAST, "--weights", prior, "-o", out, "-q")
    assert done.code == 1
    assert "beyond 1000 standard deviations, at 2010-01-01T00:00:00" in done.err
    assert not out.exists()


def test_a_damaged_static_file_is_one_line(tmp_path):
    data = bytearray(BUILTIN.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = os.urandom(4000)
    path = tmp_path / "static.nc"
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged|own hash|readable"):
        load_static(path)
