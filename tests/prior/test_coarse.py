"""The network for high noise: what it is shown, what comes back, and on disk."""

import json
from dataclasses import replace

import pytest
import torch

from tests.prior.test_checkpoint import make_prior, one_line, rewrite
from tests.worlds import TINY, noise, random_conditions, random_denoiser
from zssd_cli.posterior.windows import above
from zssd_cli.prior.checkpoint import FORMAT, WITH_COARSE, load_prior, read_safetensors, save_prior
from zssd_cli.prior.coarse import Coarse, CoarseHeader, averaged
from zssd_cli.prior.denoiser import Conditions


class Shown(torch.nn.Module):
    """A denoiser that gives back what it is shown, and remembers the rest."""

    def forward(self, x, sigma, conditions, circular=False):
        self.sigma, self.static, self.circular = sigma, conditions.static, circular
        return x


def header_of(factor, above, patch):
    return CoarseHeader(network=TINY, factor=factor, above=above, patch=patch, training={"steps": 7})


def test_means_are_of_the_cells_that_are_there():
    x = torch.arange(15.0).reshape(1, 1, 3, 5)
    expected = torch.tensor([[(0 + 1 + 5 + 6) / 4, (2 + 3 + 7 + 8) / 4, (4 + 9) / 2], [10.5, 12.5, 14]])
    assert torch.equal(averaged(x, 2)[0, 0], expected)


@pytest.mark.parametrize(("height", "width"), [(16, 24), (17, 30), (3, 2)])
def test_the_network_sees_means_and_their_noise_level(height, width):
    seen, conditions = Shown(), random_conditions(height, width)
    x = torch.full((2, 3, height, width), 1.5)
    answer = Coarse(seen, header_of(4, 1.0, 8))(x, torch.tensor([8.0]), conditions)
    torch.testing.assert_close(answer, x)
    assert seen.sigma == 2.0
    torch.testing.assert_close(seen.static[0, :, 0, 0], conditions.static[0, :, :4, :4].mean((1, 2)))


def test_between_the_means_the_answer_is_linear():
    column = torch.arange(32.0).expand(1, 3, 16, 32)
    answer = Coarse(Shown(), header_of(4, 1.0, 8))(column, torch.tensor([8.0]), random_conditions(16, 32))
    torch.testing.assert_close(answer[..., 2:-2], column[..., 2:-2])


def test_the_seam_of_the_globe_is_no_rim():
    coarse, conditions, x = (
        Coarse(random_denoiser(), header_of(2, 1.0, 8)),
        random_conditions(16, 32),
        noise(1, 3, 16, 32),
    )
    turned = Conditions(conditions.static.roll(6, -1), conditions.time)
    level = torch.tensor([4.0])
    answers = coarse(x, level, conditions, True).roll(8, -1), coarse(x.roll(8, -1), level, turned, True)
    assert not torch.allclose(*answers)
    turned = Conditions(conditions.static.roll(8, -1), conditions.time)
    torch.testing.assert_close(answers[0], coarse(x.roll(8, -1), level, turned, True), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="multiple of 2, got 31"):
        coarse(x[..., :31], level, random_conditions(16, 31), True)


def test_it_is_asked_from_its_noise_level_on():
    conditions, x = random_conditions(8, 8), noise(1, 3, 8, 8)
    denoise = above(
        Coarse(Shown(), header_of(2, 1.5, 8)),
        conditions,
        False,
        torch.float32,
        lambda field, _: torch.zeros_like(field),
    )
    assert not denoise(x, 1.4).any()
    assert denoise(x, 1.5).any()


def test_a_domain_smaller_than_its_patches_does_without():
    coarse = Coarse(Shown(), header_of(4, 1.0, 8))
    assert coarse.serves(32, 100)
    assert not coarse.serves(100, 31)


def with_coarse():
    prior = make_prior()
    second = random_denoiser()
    second.detail_std.fill_(0.25)
    header = prior.header.model_copy(update={"coarse": header_of(4, 1.5, 16)})
    return replace(prior, header=header, second=second)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "prior.safetensors"
    save_prior(path, with_coarse())
    return path


def test_it_comes_back_from_disk(saved):
    before, after = with_coarse(), load_prior(saved)
    assert read_safetensors(saved)[1]["format"] == WITH_COARSE != FORMAT
    assert after.header == before.header
    assert after.coarse.header == header_of(4, 1.5, 16)
    assert (after.coarse.denoiser.detail_std == 0.25).all()
    for key, ours in before.coarse.denoiser.network.state_dict().items():
        assert torch.equal(ours.half().float(), after.coarse.denoiser.network.state_dict()[key]), key
    assert not any(p.requires_grad for p in after.coarse.denoiser.parameters())


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t, _: t.pop("coarse.network.out.weight"), "damaged or of another version"),
        (lambda t, _: t.pop("coarse.detail_std"), "coarse.detail_std"),
        (lambda t, _: t["coarse.network.out.weight"].fill_(torch.nan), "not finite"),
        (lambda t, _: t["coarse.detail_std"].fill_(1e30), "beyond 1000"),
        (lambda t, _: t["coarse.detail_std"].fill_(0), "not positive"),
        (lambda _, m: m.update(format=FORMAT), "disagree on whether it has a second network"),
        (lambda _, m: m.update(header=json.dumps(json.loads(m["header"]) | {"coarse": None})), "disagree on whether"),
        (lambda _, m: m.update(header=m["header"].replace('"factor":4', '"factor":400')), "coarse.factor"),
        (lambda _, m: m.update(header=m["header"].replace('"factor":4', '"factor":7')), "the globe has 1440"),
        (lambda _, m: m.update(header=m["header"].replace('"above":1.5', '"above":1e-9')), "coarse.above"),
    ],
)
def test_damage_is_one_line(saved, change, match):
    rewrite(saved, change)
    one_line(saved, match)
