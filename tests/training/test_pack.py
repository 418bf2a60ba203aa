"""Prepared training data: nothing is lost, and a training on them is the training on the files."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands.test_train import TINY_YAML, fails, files, holed, train, zssd
from zssd_cli.errors import InputError
from zssd_cli.prior.checkpoint import load_prior
from zssd_cli.training.pack import packed, read_pack, unpacked
from zssd_cli.variables import VARIABLES

__all__ = ["files", "holed"]  # fixtures


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40), st.sampled_from(("msl", "u10", "z500")))
def test_every_multiple_of_a_quantum_comes_back(seed, rows, columns, name):
    variable, rng = VARIABLES[name], np.random.default_rng(seed)
    values = rng.uniform(variable.minimum, variable.maximum, (rows, columns)).astype(np.float32)
    rounded = (np.rint(values / variable.quantum) * variable.quantum).astype(np.float32)
    again = unpacked(packed(rounded, variable.quantum), (rows, columns), variable.quantum)
    np.testing.assert_array_equal(again, rounded)
    assert np.abs(again - values).max() <= variable.quantum / 2 + 1e-6


def test_quanta_are_small_powers_of_two():
    assert (VARIABLES["msl"].quantum, VARIABLES["u10"].quantum) == (1.0, 2.0**-7)


@pytest.mark.parametrize(
    "bad", [b"", b"no zlib", bytes(packed(np.zeros((3, 4)), 1.0)), bytes(packed(np.zeros((30, 40)), 1.0))]
)
def test_bytes_of_another_field(bad):
    with pytest.raises(ValueError, match="bytes"):
        unpacked(np.frombuffer(bad, np.uint8), (5, 6), 1.0)


def prepare(capfd, folder, *extra, data="era5_a.nc"):
    arguments = ("train", folder / data, "--prepare", folder / "pack.safetensors", "--config", folder / "tiny.yaml")
    return zssd(capfd, *arguments, *extra)


@pytest.mark.parametrize("more", [False, True])
def test_the_same_prior_as_from_the_files(capfd, files, more):
    text = TINY_YAML + "lowpass_km: 30\n"
    if more:
        text += f"more: [{{files: ['{files / 'held.nc'}'], share: 0.3, smooth: [u10], lowpass_km: 10}}]\n"
    (files / "tiny.yaml").write_text(text)
    held_out = () if more else ("--held-out", files / "held.nc")
    code, shown = train(capfd, files, *held_out, "--seed", 3)
    assert code == 0, shown
    code, shown = prepare(capfd, files, *held_out, "--seed", 3)
    assert code == 0, shown
    assert "trains from it" in shown
    (files / "elsewhere").mkdir()
    (files / "pack.safetensors").rename(files / "elsewhere" / "pack.safetensors")
    for name in ("era5_a.nc", "held.nc"):
        (files / name).unlink()
    code, shown = train(capfd, files / "elsewhere", data="pack.safetensors", config=None)
    assert code == 0, shown
    one, other = (load_prior(path / "prior.safetensors") for path in (files, files / "elsewhere"))
    assert one.header == other.header
    for name in ("mean", "std", "zonal", "lags"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0)
    for key, tensor in one.denoiser.network.state_dict().items():
        assert torch.equal(tensor, other.denoiser.network.state_dict()[key]), key


def test_bad_times_stay_bad(capfd, holed):
    code, shown = train(capfd, holed, "--max-missing", 0.2, data="holed.nc")
    assert code == 0, shown
    code, shown = prepare(capfd, holed, "--max-missing", 0.2, data="holed.nc")
    assert code == 0, shown
    assert "main: left out 7 of 40 times" in shown
    code, shown = train(capfd, holed, output="other.safetensors", data="pack.safetensors", config=None)
    assert code == 0, shown
    one, other = (load_prior(holed / name) for name in ("prior.safetensors", "other.safetensors"))
    assert one.header == other.header
    assert one.header.training["trained_on"][0]["left_out_count"] > 0
    assert torch.equal(one.lags, other.lags)


def test_steps_may_change_and_data_may_not(capfd, files):
    assert prepare(capfd, files)[0] == 0
    code, shown = train(capfd, files, "--steps", 2, data="pack.safetensors", config=None)
    assert code == 0, shown
    assert load_prior(files / "prior.safetensors").header.training["steps"] == 2
    fails(
        capfd,
        "variables: the data were prepared with",
        files,
        "--vars",
        "msl",
        "--overwrite",
        data="pack.safetensors",
        config=None,
    )
    fails(
        capfd,
        "leave out --held-out",
        files,
        "--held-out",
        files / "held.nc",
        "--overwrite",
        data="pack.safetensors",
        config=None,
    )


def test_what_is_no_pack(capfd, files):
    (files / "broken.safetensors").write_bytes(b"no")
    fails(capfd, "prepared data are damaged", files, data="broken.safetensors")
    assert train(capfd, files)[0] == 0
    fails(
        capfd, "expected prepared training data", files, "--overwrite", data="prior.safetensors", output="b.safetensors"
    )
    with pytest.raises(InputError, match="no such file"):
        read_pack(files / "none.safetensors")
    fails(capfd, "expected it alone", files, files / "era5_a.nc", data="broken.safetensors", output="b.safetensors")


def test_either_train_or_prepare(capfd, files):
    code, text = zssd(capfd, "train", files / "era5_a.nc")
    assert code == 2
    assert "--prepare" in text
    assert prepare(capfd, files)[0] == 0
    code, text = prepare(capfd, files)
    assert code == 1
    assert "exists" in text
    code, text = zssd(capfd, "train", files / "pack.safetensors", "--prepare", files / "b.safetensors")
    assert code == 1
    assert "prepared already" in text


def test_a_dry_run_prepares_nothing(capfd, files):
    code, text = prepare(capfd, files, "--dry-run")
    assert code == 0, text
    assert "2 times would be prepared" in text
    assert not (files / "pack.safetensors").exists()
