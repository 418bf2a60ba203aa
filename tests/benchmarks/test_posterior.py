"""benchmarks/posterior.py on a toy world with an untrained network: every row runs, costs and keys are right."""

import json
from importlib.util import find_spec

import numpy as np
import posterior
import pytest
import torch
from harness import rows
from harness.engine import make_job
from harness.fields import training_lowpass
from harness.libraries import Missing, Problem, azula_mmps, bounded, deepinv_diffpir, pose

from zssd_cli.posterior.guidance import by_name
from zssd_cli.prior.noise import SIGMA_MAX

KEYS = {"name", "nfe", "seconds", "cpu_seconds", "crps", "spread_skill", "p99_error", "lsd_db", "residual"}
OURS = ("bilinear", "bicubic", "analysis-2m-4", "analysis-sde-4", "projection-2m-4", "ucg-3", "dps-3")
THEIRS = ("azula-dps-3", "azula-mmps-3", "deepinv-dps-3", "deepinv-diffpir-3")


def needs(library):
    """Skip where a library is missing; importing deepinv would import torchvision, which the harness has to prepare."""
    if find_spec(library) is None:
        pytest.skip(f'needs {library}: pip install -c constraints.txt -e ".[bench]"')


@pytest.fixture
def bench(world, setting, monkeypatch, tmp_path):
    monkeypatch.setattr(posterior, "SMALL", (world,))
    monkeypatch.setattr(posterior, "open_prior", lambda _: setting)
    path = tmp_path / "rows.json"

    def call(names, *more):
        posterior.main(["--rows", ",".join(names), "--members", "2", "--threads", "1", "--json", str(path), *more])
        return {row["name"]: row for row in json.loads(path.read_text())}

    return call


def test_all_rows_of_the_engine_run_and_tell_their_cost(bench, capsys):
    done = bench(OURS)
    assert set(done) == set(OURS)
    for row in done.values():
        assert set(row) >= KEYS
        assert row["records"]["toy world"]["crps"] == pytest.approx(row["crps"])
    assert done["bilinear"]["crps"] == pytest.approx(1)
    assert (done["ucg-3"]["nfe"], done["ucg-3"]["vjp"]) == (3, 3)
    assert (done["dps-3"]["nfe"], done["dps-3"]["vjp"]) == (3, 3)
    assert done["analysis-2m-4"]["vjp"] == 0
    assert 0 < done["analysis-2m-4"]["nfe"] < 4  # the Gaussian prior stands in for the network at high noise
    assert done["analysis-2m-4"]["residual"] < 1e-3
    assert "spread/" in capsys.readouterr().out


def test_a_second_run_measures_only_what_is_missing(bench, monkeypatch):
    before = bench(["bilinear", "ucg-3"])
    monkeypatch.setattr(posterior, "measure", lambda *_: pytest.fail("measured again"))
    assert bench(["bilinear", "ucg-3"])["ucg-3"]["records"] == before["ucg-3"]["records"]
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        bench(["ucg-3"], "--redo")


def test_the_ratio_is_to_the_papers_sampler_of_the_same_run(bench, monkeypatch):
    monkeypatch.setattr(posterior, "SLOW", "ucg-3")
    done = bench(["ucg-3", "dps-3"])
    assert done["ucg-3"]["ratio_to_ucg"] == 1
    assert done["dps-3"]["ratio_to_ucg"] == pytest.approx(done["ucg-3"]["seconds"] / done["dps-3"]["seconds"])


def test_a_missing_library_leaves_its_row_out_and_says_what_to_install(bench, monkeypatch, capsys):
    def absent(*_):
        msg = 'azula is not installed: pip install -c constraints.txt -e ".[bench]"'
        raise Missing(msg)

    monkeypatch.setattr(posterior, "measure", absent)
    with pytest.raises(SystemExit, match="No row"):
        bench(["azula-dps-3"])
    assert '".[bench]"' in capsys.readouterr().err


def test_names_that_are_no_row_end_in_one_line(bench):
    with pytest.raises(SystemExit, match="nonsense-7"):
        bench(["nonsense-7"])


@pytest.mark.parametrize("name", ["ucg", "dps", "analysis-2m"])
def test_the_step_size_is_the_guidances_own_unless_told(name):
    own = by_name(name.partition("-")[0]).zeta.get(5.0)
    assert rows.parse_row(f"{name}-120", 5, 2).config.zeta == own
    assert rows.parse_row(f"{name}-120", 5, 2).settings.get("zeta") == own
    assert rows.parse_row(f"{name}-120", 5, 2, 4.0).settings["zeta"] == 4.0


@pytest.mark.parametrize("name", THEIRS)
def test_other_libraries_drive_the_same_network(bench, name):
    needs(name.split("-")[0])
    row = bench([name])[name]
    assert set(row) >= KEYS
    assert row["nfe"] >= 2  # deepinv counts times, azula steps between them
    assert np.isfinite(row["crps"])


def test_block_means_and_their_adjoint_agree(world, setting):
    job = make_job(setting, world, rows.parse_row("analysis-2m-12", 5, 2).config, world.series.variables)
    problem = pose(setting, job, 0)
    x = torch.randn(problem.shape, generator=torch.Generator().manual_seed(0))
    w = torch.randn(problem.values.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close((problem.observe(x) * w).sum(), (x * problem.adjoint(w)).sum(), rtol=1e-4, atol=1e-4)
    assert problem.present.sum() == 3 * 3 * 3  # the world has nine whole blocks, the domain's halo no more


def test_noise_levels_beyond_training_are_brought_back():
    seen = []
    bounded(lambda x, sigma: seen.append((float(x), sigma)))(torch.tensor(10 * SIGMA_MAX), 10 * SIGMA_MAX)
    assert seen == [(pytest.approx(SIGMA_MAX), SIGMA_MAX)]


def white_problem(members=64):
    """White noise on 8 x 8 cells, four quarters observed: the posterior is known."""
    pool = torch.nn.functional.avg_pool2d
    up = torch.nn.functional.interpolate
    return Problem(
        lambda x, sigma: x / (1 + sigma**2),
        lambda x: pool(x, 4).flatten(1),
        lambda w: up(w.unflatten(1, (1, 2, 2)), scale_factor=4) / 16,
        torch.tensor([[1.0, -1.0, 0.5, 0.0]]).expand(members, -1),
        torch.ones(4),
        0.01,
        (members, 1, 8, 8),
    )


def test_azula_finds_the_posterior_of_white_noise():
    needs("azula")
    torch.manual_seed(0)
    problem = white_problem()
    fields = azula_mmps(problem, 64)
    torch.testing.assert_close(problem.observe(fields), problem.values, atol=0.05, rtol=0)
    rest = fields - torch.nn.functional.interpolate(problem.observe(fields).unflatten(1, (1, 2, 2)), scale_factor=4)
    assert float(rest.std()) == pytest.approx((15 / 16) ** 0.5, abs=0.06)


def test_deepinv_meets_the_observations_of_white_noise():
    needs("deepinv")
    torch.manual_seed(0)
    problem = white_problem()
    torch.testing.assert_close(problem.observe(deepinv_diffpir(problem, 100)), problem.values, atol=0.1, rtol=0)


def test_a_prior_without_low_pass_asks_for_none(setting):
    assert training_lowpass(setting.prior) == 0
