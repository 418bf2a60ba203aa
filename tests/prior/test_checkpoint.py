"""Priors on disk: what was written comes back, and whatever is damaged is one line."""

import errno
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from tests.worlds import TINY, noise, random_conditions, random_denoiser
from zssd_cli.climate.covariance import MAX_LAG
from zssd_cli.errors import WeightsError
from zssd_cli.prior.checkpoint import (
    FORMAT,
    Prior,
    PriorHeader,
    load_prior,
    mirror_signs,
    read_safetensors,
    save_prior,
    write_safetensors,
)

VARIABLES = ("msl", "u10", "v10")


def make_prior(**header):
    settings = {"variables": VARIABLES, "network": TINY, "time_known": True, "static_sha256": "ab" * 32, "training": {}}
    lags = torch.from_numpy(
        np.random.default_rng(0).normal(size=(9, 3, 3, MAX_LAG + 1, 2 * MAX_LAG + 1)).astype(np.float32)
    )
    mean, std = torch.tensor([101000.0, 1, 0]), torch.tensor([1200.0, 5, 4])
    denoiser = random_denoiser()
    denoiser.detail_std.copy_(torch.arange(1.0, 10).reshape(3, 3) / 10)
    return Prior(denoiser, mean, std, torch.zeros(len(mean), 721), lags, PriorHeader(**(settings | header)))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "prior.safetensors"
    save_prior(path, make_prior(training={"steps": 3}))
    return path


def rewrite(path, change):
    """Read, let ``change(tensors, metadata)`` spoil it, write."""
    tensors, meta = read_safetensors(path)
    change(tensors, meta)
    write_safetensors(path, tensors, meta)


def one_line(path, match):
    with pytest.raises(WeightsError, match=match) as caught:
        load_prior(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    return str(caught.value)


def test_roundtrip(saved):
    before, after = make_prior(training={"steps": 3}), load_prior(saved)
    assert after.header == before.header
    assert after.variables == VARIABLES
    for name in ("mean", "std", "zonal", "lags"):
        assert torch.equal(getattr(after, name), getattr(before, name))
    assert torch.equal(after.denoiser.detail_std, torch.arange(1.0, 10).reshape(3, 3) / 10)
    for (key, ours), theirs in zip(
        before.denoiser.network.state_dict().items(), after.denoiser.network.state_dict().values(), strict=True
    ):
        assert torch.equal(ours.half().float(), theirs), key
    x, conditions = noise(1, 3, 16, 16), random_conditions(16, 16)
    answers = [p.denoiser(x, torch.tensor(0.5), conditions) for p in (before, after)]
    torch.testing.assert_close(*answers, rtol=0, atol=0.02)
    assert not after.denoiser.training
    assert not any(p.requires_grad for p in after.denoiser.parameters())


def test_writing_again_changes_nothing_and_leaves_nothing_beside(saved):
    tensors, meta = read_safetensors(saved)
    save_prior(saved, load_prior(saved))
    tensors_again, meta_again = read_safetensors(saved)
    assert meta_again == meta
    assert all(torch.equal(tensors[key], tensors_again[key]) for key in tensors | tensors_again)
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_prior_without_times_stays_without(tmp_path):
    save_prior(tmp_path / "p", make_prior(time_known=False))
    assert load_prior(tmp_path / "p").denoiser.time_known is False


def test_missing_file(tmp_path):
    assert "no.safetensors" in one_line(tmp_path / "no.safetensors", "not found")


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_file(saved, kept):
    content = saved.read_bytes()
    saved.write_bytes(content[:kept])
    assert saved.name in one_line(saved, "not a readable safetensors file")


def test_a_pickle_is_not_even_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was executed",))

    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps(Bomb()))
    one_line(path, "not a readable safetensors file")
    torch.save({"network": torch.zeros(3)}, path)
    one_line(path, "not a readable safetensors file")


def test_a_folder(tmp_path):
    one_line(tmp_path, "not a readable safetensors file")


@pytest.mark.parametrize("name", ["zssd-prior-1", "zssd-training-1", None])
def test_another_format(saved, name):
    def change(_, meta):
        meta.pop("format")
        if name:
            meta["format"] = name

    rewrite(saved, change)
    assert FORMAT in one_line(saved, name or "none")


@pytest.mark.parametrize("name", ["mean", "lags", "detail_std", "network.out.weight"])
def test_missing_tensor(saved, name):
    rewrite(saved, lambda tensors, _: tensors.pop(name))
    assert name.removeprefix("network.") in one_line(saved, "damaged or of another version")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", torch.zeros(2)),
        ("std", torch.tensor([1.0, 0.0, 1.0])),
        ("std", torch.tensor([1.0, torch.nan, 1.0])),
        ("mean", torch.tensor([1.0, torch.inf, 1.0])),
        ("detail_std", torch.ones(3, 2)),
        ("detail_std", torch.full((3, 3), torch.nan)),
        ("lags", torch.zeros(9, 2, 2, 5, 9)),
        ("lags", torch.full((9, 3, 3, 5, 9), torch.nan)),
        ("network.out.weight", torch.zeros(3, 9, 3, 3)),
        ("network.out.weight", torch.full((3, 8, 3, 3), torch.nan)),
    ],
)
def test_tensors_that_do_not_fit(saved, name, value):
    rewrite(saved, lambda tensors, _: tensors.update({name: value}))
    one_line(saved, "damaged or of another version")


@pytest.mark.parametrize(
    "header",
    ["", "{", "null", "[]", '{"variables": ["msl"]}', json.dumps({"surprise": 1}), None],
)
def test_a_header_that_says_nothing(saved, header):
    def change(_, meta):
        meta.pop("header")
        if header is not None:
            meta["header"] = header

    rewrite(saved, change)
    one_line(saved, "damaged or of another version")


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zssd_cli.prior.checkpoint.save_file", fail)
    with pytest.raises(OSError, match="No space"):
        save_prior(saved, make_prior())
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_mirror_signs():
    assert mirror_signs(("msl", "u10", "v10", "z500")).tolist() == [1, 1, -1, 1]


@pytest.mark.parametrize(
    ("text", "number"),
    [("I/O error: No space left on device (os error 28)", errno.ENOSPC), ("something else", errno.EIO)],
)
def test_the_number_of_a_write_error_is_found(tmp_path, monkeypatch, text, number):
    def fail(*_):
        raise SafetensorError(text)

    monkeypatch.setattr("zssd_cli.prior.checkpoint.save_file", fail)
    with pytest.raises(OSError, match=r"p\.safetensors") as caught:
        write_safetensors(tmp_path / "p.safetensors", {}, {})
    assert caught.value.errno == number


def test_the_shipped_priors_are_read_without_torchs_compiler():
    """It is imported by operations on tensors without storage, and takes a second."""
    code = """
import sys
from pathlib import Path
from zssd_cli.inversion.checkpoint import load_latent_prior
from zssd_cli.prior.checkpoint import load_prior
load_prior(Path("weights/analyses-msl-u10-v10.safetensors"))
load_latent_prior(Path("weights/darcy-grf.safetensors"))
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stderr
