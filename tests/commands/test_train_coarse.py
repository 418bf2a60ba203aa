"""``zssd train`` with ``coarse``: a second network for a prior, for high noise."""

import netCDF4
import numpy as np
import pytest
import torch

from tests.commands.test_train import TINY_YAML, fails, train, zssd
from tests.worlds import write_world
from zssd_cli.grids.latlon import Region
from zssd_cli.prior.checkpoint import load_prior

BOX = Region(-6, 6, 44, 56)
COARSE_YAML = "{coarse: 2, coarse_above: 3.0, patch: 16, batch: 2, steps: 4, warmup: 2, validate_every: 2}"


@pytest.fixture
def files(tmp_path, capfd):
    """A prior ``fine.safetensors``, its data, and settings for its second network."""
    write_world(tmp_path / "era5_a.nc", BOX, times=2, seed=0)
    write_world(tmp_path / "held.nc", BOX, times=1, seed=1)
    (tmp_path / "tiny.yaml").write_text(TINY_YAML)
    (tmp_path / "coarse.yaml").write_text(COARSE_YAML)
    code, text = train(capfd, tmp_path, output="fine.safetensors")
    assert code == 0, text
    return tmp_path


def second(capfd, files, *extra, **options):
    return train(capfd, files, "--from", files / "fine.safetensors", *extra, config="coarse.yaml", **options)


def test_a_prior_gets_a_second_network(capfd, files):
    code, text = second(capfd, files, "--held-out", files / "held.nc")
    assert code == 0, text
    assert "held-out error by noise level  8: " in text
    old, new = (load_prior(files / f"{name}.safetensors") for name in ("fine", "prior"))
    header = new.coarse.header
    assert (header.factor, header.above, header.patch) == (2, 3.0, 16)
    assert new.header.coarse.training["steps"] == 4
    assert set(new.header.coarse.training["started_from"]) == {"sha256"}
    assert new.header.model_copy(update={"coarse": None}) == old.header
    for name in ("mean", "std", "zonal", "lags"):
        assert torch.equal(getattr(new, name), getattr(old, name))
    fine, again, learned = (d.network.state_dict() for d in (old.denoiser, new.denoiser, new.coarse.denoiser))
    assert all(torch.equal(fine[key], again[key]) for key in fine)
    assert any(not torch.equal(fine[key], learned[key]) for key in fine)
    # means of two cells in a row vary more from one to the next
    assert (new.coarse.denoiser.detail_std > old.denoiser.detail_std).all()
    code, text = second(capfd, files, "--held-out", files / "held.nc", "--resume")
    assert code == 0, text
    assert "nothing is left to do" in text
    assert train(capfd, files, "--seed", 1, "--overwrite", output="fine.safetensors")[0] == 0
    code, text = second(capfd, files, "--held-out", files / "held.nc", "--resume")
    assert "nothing is left to do" not in text


def test_what_cannot_go_round_the_globe(capfd, files):
    (files / "coarse.yaml").write_text(COARSE_YAML.replace("coarse: 2", "coarse: 7"))
    code, text = second(capfd, files)
    assert code == 1
    assert (
        "Training setting coarse: means of 7 cells and 2 resolutions need a multiple of 14 cells, the globe has 1440"
        in text
    )


def test_it_may_learn_more_than_it_is_asked(capfd, files):
    (files / "coarse.yaml").write_text(COARSE_YAML.replace("}", ", coarse_learned_above: 1.5}"))
    code, text = second(capfd, files, "--held-out", files / "held.nc")
    assert code == 0, text
    assert "noise level  2: " in text
    assert load_prior(files / "prior.safetensors").coarse.header.above == 3.0


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("coarse_learned_above: 4", "coarse_learned_above: expected coarse_above (3) at most, got 4"),
        (
            "time_dropout: 1",
            "the prior of --from knows season and hour, and its second network must do the same, got 1",
        ),
    ],
)
def test_what_it_learns_is_what_it_is_asked(capfd, files, setting, told):
    (files / "coarse.yaml").write_text(COARSE_YAML.replace("}", f", {setting}}}"))
    code, text = second(capfd, files)
    assert code == 1
    assert told in text


def test_it_is_used_and_shown(capfd, files):
    assert second(capfd, files)[0] == 0
    write_world(files / "coarse.nc", BOX, times=1, seed=3)
    answers = []
    for name in ("fine", "prior"):
        out = files / f"{name}.nc"
        weights = "--weights", files / f"{name}.safetensors"
        code, text = zssd(
            capfd, "downscale", files / "coarse.nc", "-o", out, *weights, "--region=-5,5,45,55", "--steps", 4
        )
        assert code == 0, text
        with netCDF4.Dataset(out) as data:
            answers.append(data["msl"][:])
    assert not np.array_equal(*answers)
    code, text = zssd(capfd, "weights", "show", files / "prior.safetensors")
    assert code == 0
    assert "network for high noise" in text


def test_what_it_cannot_do(capfd, files):
    fails(
        capfd, "coarse: 2 trains a second network for a prior; name that prior with --from", files, config="coarse.yaml"
    )
    (files / "coarse.yaml").write_text(COARSE_YAML.replace("coarse: 2", "coarse: 4"))
    code, text = second(capfd, files)
    assert code == 1
    assert "fewer than a patch of 64" in text


def test_a_fine_tuned_prior_says_that_it_has_none(capfd, files):
    assert second(capfd, files)[0] == 0
    (files / "tuned.yaml").write_text("{patch: 16, batch: 2, steps: 2}")
    code, text = train(
        capfd, files, "--from", files / "prior.safetensors", config="tuned.yaml", output="tuned.safetensors"
    )
    assert code == 0, text
    assert "the network for high noise of --from is left out" in text
    assert load_prior(files / "tuned.safetensors").coarse is None


def test_regions_that_hold_no_patch_are_left_out(capfd, files):
    write_world(files / "small.nc", Region(40, 46, -30, -24), times=1, seed=5)
    more = f"more: [{{files: ['{files / 'small.nc'}'], share: 0.3}}]"
    (files / "coarse.yaml").write_text(COARSE_YAML.replace("}", f", {more}}}"))
    code, text = second(capfd, files)
    assert code == 0, text
    assert "more 1 (30%): smaller than a patch of 16 x 2 cells, left out" in text
    assert [part["count"] for part in load_prior(files / "prior.safetensors").header.coarse.training["trained_on"]] == [
        2
    ]
