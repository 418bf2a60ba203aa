"""A guidance is one file: what it says of itself is what runs, and a new one changes no other file."""

from pathlib import Path

import pytest
import torch

from tests.worlds import noise
from zssd_cli.config import DownscaleConfig
from zssd_cli.discovery import names
from zssd_cli.errors import ConfigError
from zssd_cli.grids.latlon import Region, block_grid, fine_grid
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior import guidance
from zssd_cli.posterior.guidance import Observation, by_name

EVERY = names("zssd_cli.posterior.guidance")

NONE_AT_ALL = """
from zssd_cli.posterior.guidance import Method


def make(setup):
    return lambda denoise, observation: lambda x, sigma, following: denoise(x, sigma)


METHOD = Method(make, steps=7, sampler="ddim")
"""


def test_the_guidances_that_there_are():
    assert EVERY == ("analysis", "dps", "mmps", "projection", "ucg")


@pytest.mark.parametrize(
    ("name", "steps", "sampler", "spacing", "stepwise", "exact", "backward"),
    [
        ("analysis", 8, "dpmpp_2m_long", "long", False, True, 0),
        ("mmps", 20, "dpmpp_2m", "karras", False, True, 4),
        ("projection", 20, "dpmpp_2m", "karras", False, False, 0),
        ("ucg", 1000, "ddpm", "ddpm", True, False, 1),
        ("dps", 1000, "ddpm", "ddpm", True, False, 1),
    ],
)
def test_what_a_guidance_needs(name, steps, sampler, spacing, stepwise, exact, backward):
    config, method = DownscaleConfig(guidance=name, products=4), by_name(name)
    found = method.steps_of(config), method.sampler_of(config), method.spacing_of(config)
    assert found == (steps, sampler, spacing)
    assert (method.stepwise, method.exact, method.backward(config)) == (stepwise, exact, backward)
    assert method.zeta_of(config) == {"ucg": 0.15, "dps": 2.5}.get(name)
    for blocks, zeta in method.zeta.items():
        assert method.zeta_of(DownscaleConfig(guidance=name, filter_scale=blocks)) == zeta
    if name == "ucg":
        assert 0.15 < method.zeta_of(DownscaleConfig(guidance=name, filter_scale=3)) < 0.5
        assert method.zeta_of(DownscaleConfig(guidance=name, filter_scale=10)) == 0.15
    asked = DownscaleConfig(guidance=name, steps=5, sampler="ddim", spacing="log-snr")
    assert (method.steps_of(asked), method.sampler_of(asked), method.spacing_of(asked)) == (5, "ddim", "log-snr")


def test_gains_are_kept_by_the_analysis_alone_at_every_high_level():
    levels = torch.tensor([80.0, 10.0, 0.6, 0.5, 0.0])
    assert {name: by_name(name).gains(levels) for name in EVERY} == {
        "analysis": 4, "mmps": 1, "projection": 0, "ucg": 0, "dps": 0,
    }  # fmt: skip


def test_an_unknown_guidance_is_a_one_line_error():
    with pytest.raises(ConfigError, match="--guidance: expected one of analysis, dps, mmps, projection, ucg, got 'x'"):
        by_name("x")


def test_the_example_of_the_docs_is_a_guidance(new_file):
    docs = (Path(__file__).parents[2] / "docs" / "guidance.md").read_text(encoding="utf-8")
    new_file(guidance, "nudge", docs.partition("```python\n")[2].partition("```")[0])
    method = by_name("nudge")
    assert (method.steps, method.exact) == (40, True)
    box = Region(0, 15, 40, 55)
    seen = Observation(noise(2, 1, 3, 3), (0,), Coarsen(fine_grid(box), block_grid(5.0, box)), torch.tensor([0.01]))
    x = noise(2, 2, 61, 61)
    x0 = method.make(None)(lambda x, sigma: x.clone(), seen)(x, 1.0, 0.5)
    torch.testing.assert_close(seen.residual(x0), seen.residual(x) / 2, rtol=0, atol=2e-5)
    assert torch.equal(x0[:, 1], x[:, 1])


def test_a_new_guidance_is_a_file(new_file):
    new_file(guidance, "unguided", NONE_AT_ALL)
    method = by_name("unguided")
    assert (method.steps, method.sampler) == (7, "ddim")
    with pytest.raises(ConfigError, match="projection, ucg, unguided"):
        by_name("x")
