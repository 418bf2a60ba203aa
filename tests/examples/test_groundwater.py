"""The example aquifer and the comparison of methods: parts against closed forms, the whole with next to no effort."""

import csv
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from zssd_cli.inversion.checkpoint import LatentHeader, save_latent_prior
from zssd_cli.inversion.config import AutoencoderConfig, FieldsConfig, FlowConfig
from zssd_cli.inversion.domain import read_domain
from zssd_cli.inversion.latent_prior import LatentPrior, Whitening, new_networks
from zssd_cli.inversion.sensors import read_measured

FOLDER = Path(__file__).parents[2] / "examples" / "groundwater"


@pytest.fixture
def example(monkeypatch):
    """Import a module of the example's folder by name."""
    pytest.importorskip("pyesmda")
    pytest.importorskip("pypcga")
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_the_example_is_a_world_that_zssd_invert_accepts(tmp_path, example):
    example("make_example").main([str(tmp_path / "new")])
    domain = read_domain(tmp_path / "new" / "domain.yaml")
    measured = read_measured(tmp_path / "new" / "wells.csv", domain.problem(), domain.log_k("grf"))
    sensors = measured.sensors
    assert (len(sensors), len(measured.conductivities), measured.notes) == (36, 0, ())
    assert np.ptp(sensors.x) > 400
    with xr.open_dataset(tmp_path / "new" / "truth.nc") as truth:
        assert truth["head"].shape == (64, 64)
        nearest = truth["head"].sel(x=xr.DataArray(sensors.x), y=xr.DataArray(sensors.y), method="nearest")
        assert np.abs(nearest.values - sensors.head).max() < 0.4
        assert float(truth.log_k.std()) == pytest.approx(1, abs=0.35)
    rows = list(csv.DictReader((tmp_path / "new" / "wells.csv").open()))
    assert set(rows[0]) == {"x", "y", "head", "error"}


def test_noise_is_a_share_of_the_spread_of_the_heads_and_belongs_to_the_field(example):
    bed = example("bed").Bed("grf", 16, 5.0)
    data, error = bed.data([0, 3])
    _, heads = bed.truth([0, 3])
    np.testing.assert_allclose(error[:, 0], 0.05 * heads.flatten(1).std(1), rtol=1e-6)
    assert 0.3 < float(((data - bed._operator[1](heads)) / error).std()) < 2
    torch.testing.assert_close(bed.data([3])[0][0], data[1])


def test_measures_of_the_truth_and_of_nothing(example):
    module = example("bed")
    bed = module.Bed("bimaterial", 16, 1.0)
    true, _ = bed.truth([0])
    perfect, nothing = (module.measure(bed, [0], module.Estimate(x, 0.0))[0] for x in (true, 0 * true - 1e-9))
    assert (perfect["log_k_error"], perfect["head_error"], perfect["misclassified"]) == (0, 0, 0)
    assert perfect["ssim"] == pytest.approx(1)
    assert nothing["log_k_error"] == pytest.approx(1)
    assert nothing["misclassified"] == pytest.approx(float((true > 0).float().mean()))
    assert nothing["ssim"] < 0.2


def test_coverage_counts_cells_within_the_members(example):
    module = example("bed")
    bed = module.Bed("grf", 16, 1.0)
    true, _ = bed.truth([0])
    offsets = torch.linspace(-1, 1, 21)[None, :, None, None]
    around = module.Estimate(true, 0.0, true[:, None] + offsets)
    beside = module.Estimate(true, 0.0, true[:, None] + offsets + 3)
    assert module.measure(bed, [0], around)[0]["coverage"] == 1
    assert module.measure(bed, [0], beside)[0]["coverage"] == 0


def test_taper_falls_from_the_sensor_and_ends_at_twice_its_range(example):
    bed = example("bed").Bed("grf", 16, 1.0)
    weights = example("esmda").taper(bed, 100.0).reshape(64, 64, 16)
    assert weights[7:9, 7:9, 0].min() > 0.98
    assert weights[7, 28, 0] == 0
    assert np.all(np.diff(weights[8, 8:, 0]) <= 0)
    np.testing.assert_allclose(weights[8, 17:19, 0].mean(), 5 / 24, atol=0.01)


def test_untapered_step_of_an_ensemble_is_the_kalman_update_of_a_linear_model(example):
    step = example("esmda").local_step
    rng = np.random.default_rng(0)
    prior, slope, d = rng.standard_normal((2, 40_000)), np.array([[1.0, 2.0]]), np.array([3.0])
    new = prior + step(prior, slope @ prior, d, np.array([0.5]), 1.0, np.ones((2, 1)), rng)
    gain = slope.T / (slope @ slope.T + 0.25)
    np.testing.assert_allclose(new.mean(1), (gain * d).ravel(), atol=0.03)
    np.testing.assert_allclose(np.cov(new), np.eye(2) - gain @ slope, atol=0.03)
    np.testing.assert_array_equal(step(prior, slope @ prior, d, np.array([0.5]), 1.0, np.zeros((2, 1)), rng), 0)


def test_average_covariance_of_a_family_of_one_length(example):
    config = FieldsConfig(kind="grf", cells=16, covariances=("gaussian",), lengths=(0.25, 0.25))
    pcga = example("pcga")
    covariance = pcga.average_covariance(config, batches=8)
    x, y = np.meshgrid(np.arange(16), np.arange(16))
    square = (np.subtract.outer(x.ravel(), x.ravel()) ** 2 + np.subtract.outer(y.ravel(), y.ravel()) ** 2) / 16
    np.testing.assert_allclose(covariance, np.exp(-square), atol=0.06)
    np.testing.assert_array_equal(covariance, covariance.T)
    values, vectors = pcga.largest(np.exp(-square), 5)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(np.exp(-square))[:-6:-1], rtol=1e-4)
    np.testing.assert_allclose(np.exp(-square) @ vectors, vectors * values, atol=0.02 * values[0])


def test_pcga_explains_the_heads_and_says_where_it_knows_little(example, monkeypatch):
    bed, pcga = example("bed").Bed("grf", 16, 5.0), example("pcga")
    monkeypatch.setattr(pcga, "RANK", 24)
    monkeypatch.setattr(pcga, "BATCHES", 1)
    pcga.components.cache_clear()
    data, error = bed.data([0])
    found = pcga.invert_by_pcga(bed, data, error, 4)
    pcga.components.cache_clear()
    assert float(((bed.forward(found.fields) - data) / error).square().mean()) < 1.5
    assert found.solves <= 1 + 4 * (24 + 2 + 8) + 8
    spread = found.members[0].std(0)
    assert found.members.shape == (1, 64, 64, 64)
    assert 0.3 < float(spread.mean()) < 1.0


def test_spectrum_of_a_field_gives_the_field_back(example):
    spectrum = example("grid_inversion").Spectrum()
    u = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(spectrum.field(spectrum.unknown(u)), u, rtol=1e-4, atol=1e-4)


def test_roughness_in_closed_form(example):
    roughness = example("grid_inversion").roughness
    ramp = torch.arange(64.0).expand(1, 64, 64) * 0.1
    assert float(roughness(ramp, "tikhonov")) == pytest.approx(0.5 * 63**2 * 0.01, rel=1e-4)
    assert float(roughness(ramp, "tv")) == pytest.approx(63**2 * (np.hypot(0.1, 0.05) - 0.05), rel=1e-4)


@pytest.mark.parametrize("kind", ["grf", "bimaterial"])
def test_derivatives_of_the_networks_against_autograd(example, kind):
    pinn = example("pinn")
    rng = torch.Generator().manual_seed(0)
    network, points = pinn.Networks(2, rng), torch.rand(2, 5, 2, generator=rng).requires_grad_()
    h, hx, hy, laplacian = pinn.head_jet(network, points)
    (slope,) = torch.autograd.grad(h.sum(), points, create_graph=True)
    second = sum(torch.autograd.grad(slope[..., i].sum(), points, retain_graph=True)[0][..., i] for i in (0, 1))
    torch.testing.assert_close(torch.stack([hx, hy], -1), slope, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(laplacian, second, rtol=1e-4, atol=1e-4)
    u, ux, uy = pinn.field_jet(network, points, kind)
    (slope,) = torch.autograd.grad(u.sum(), points)
    torch.testing.assert_close(torch.stack([ux, uy], -1), slope, rtol=1e-4, atol=1e-5)
    ends = torch.tensor([[[0.0, 0.3], [1.0, 0.7]]]).expand(2, -1, -1)
    torch.testing.assert_close(pinn.head_jet(network, ends)[0], torch.tensor([[1.0, 0.0]] * 2))


def test_difference_from_the_reference_is_taken_field_by_field(example):
    summary = example("summary")
    errors = {"ld-dim mean": (0.5, 0.9, 0.1), "tv": (0.6, 1.2)}
    common = {"kind": "grf", "sensors": 16, "noise": 1.0, "quick": False, "init": 0}
    rows = [
        {**common, **dict.fromkeys(summary.MEASURES), "method": method, "field": field, "log_k_error": error}
        for method, all_errors in errors.items()
        for field, error in enumerate(all_errors)
    ]
    reference, other = summary.summarise(rows)
    assert reference["beside_reference"] is None
    assert (other["beside_reference"], other["beside_reference_error"]) == (pytest.approx(0.2), pytest.approx(0.1))
    assert "| tv | 2 | 0.900 | +0.200 +- 0.100 |" in summary.markdown([reference, other])


@pytest.fixture
def prior(tmp_path):
    """An untrained prior of 64 x 64 cells on disk."""
    torch.manual_seed(0)
    shape, flow = AutoencoderConfig(latent=1, channels=(8, 8, 8)), FlowConfig(width=16, blocks=1, embedding=16)
    networks = new_networks(shape, flow, 64, binary=True)
    whitening = Whitening(torch.zeros(1, 8, 8), torch.eye(64))
    header = LatentHeader(
        variables=("log_k",), fields=FieldsConfig(kind="bimaterial"), autoencoder=shape, network=flow, chain_steps=1,
        training={},
    )  # fmt: skip
    path = tmp_path / "prior.safetensors"
    save_latent_prior(path, LatentPrior(*(n.eval() for n in networks), whitening, None, 64, 1), header)
    return path


def test_the_comparison_runs_goes_on_and_grows(example, prior, tmp_path, monkeypatch, capsys):
    module = example("compare")
    tiny = module.Effort(
        members=2,
        starts=1,
        grid_steps=2,
        smoothed=8,
        esmda=(("bimaterial", 6, 4),),
        pcga_steps=1,
        pinn_steps=3,
        vae_steps=2,
    )
    monkeypatch.setattr(module, "QUICK", tiny)
    monkeypatch.setattr(example("pcga"), "BATCHES", 1)
    example("pcga").components.cache_clear()
    words = ["-o", str(tmp_path / "out"), "--sensors", "16", "--noise", "5", "--quick", "--kinds", "bimaterial"]
    words += ["--bimaterial", str(prior)]
    module.compare(module.parse([*words, "--fields", "1"]))
    results = tmp_path / "out" / "results.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row["method"] for row in rows] == ["ld-dim map", "ld-dim mean", *module.METHODS[1:]]
    assert {"esmda-local", "pcga"} < set(module.METHODS)
    assert all(np.isfinite(row["log_k_error"]) and 0 <= row["misclassified"] <= 1 for row in rows)
    before = results.read_text()
    results.write_text(before + '{"kind": "bimat')
    capsys.readouterr()
    module.compare(module.parse([*words, "--fields", "1"]))
    assert capsys.readouterr().out == ""
    module.compare(module.parse([*words, "--fields", "2", "--inits", "2", "--methods", "tikhonov"]))
    lines = results.read_text().splitlines()
    assert len(lines) == 9 + 1 + 3
    assert json.loads(lines[-1])["init"] == 1
    table = json.loads((tmp_path / "out" / "table.json").read_text())
    entry = next(entry for entry in table if entry["method"] == "tikhonov")
    assert (entry["fields"], entry["inits"]) == (2, 2)
    assert entry["spread_over_inits"] > 0
    text = (tmp_path / "out" / "table.md").read_text()
    assert "### bimaterial, 16 sensors, 5 % noise, quick" in text
    assert (
        text.index("ld-dim map")
        < text.index("| esmda-local")
        < text.index("| pcga")
        < text.index("| tikhonov")
        < text.index("| pinn")
    )
    for picture in ("errors.png", "fields-bimaterial-16-5.png"):
        assert (tmp_path / "out" / picture).read_bytes()[:4] == b"\x89PNG"
