"""What runs on a GPU, on a pretended one: no tensor is on the wrong device, and the numbers are those of the processor."""

import netCDF4
import numpy as np
import pytest
import torch

from tests.commands.conftest import BOX, VARIABLES
from tests.commands.test_invert import domain, measured, priors  # noqa: F401 (fixtures)
from tests.commands.test_train import files, read_log, train  # noqa: F401 (fixture)
from tests.pretended import pretended_gpu
from zssd_cli.inversion.checkpoint import load_latent_prior
from zssd_cli.inversion.domain import read_domain
from zssd_cli.inversion.flow import FlowSolver, Observe, Sensors
from zssd_cli.inversion.posterior import invert
from zssd_cli.inversion.settings import InversionSettings
from zssd_cli.prior.checkpoint import read_safetensors
from zssd_cli.training.batches import Batch

SCALE = {"msl": 1188.0, "u10": 5.7, "v10": 4.7}


@pytest.fixture
def gpu(monkeypatch):
    """A function whose context has one; torch then says so, too."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "a pretended GPU")
    # a torch that was built for GPUs asks a driver for its stream at every step of an optimiser
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)
    # the thread that makes batches does not see the pretended GPU, for which it pins them
    monkeypatch.setattr(Batch, "pinned", lambda batch: batch)
    return pretended_gpu


def test_the_pretended_gpu_is_as_strict_as_a_real_one(gpu):
    with gpu():
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        assert (there + 1).device == (there * torch.tensor(2.0)).device == torch.device("cuda", 0)
        assert there.cpu().device == here.device == torch.device("cpu")
        assert there.to("cuda", torch.float64).device == (there > 0).to(there).device == there.device
        assert there.to("cuda", torch.float64).device == (there > 0).to(there).device == there.device
        assert here.to(there).device == there.new_zeros(2).device == torch.zeros_like(there).device == there.device
        for mixture in (
            lambda: there + here,
            lambda: torch.cat([there, here]),
            lambda: torch.where(there > 0, here, 0.0),
        ):
            with pytest.raises(RuntimeError, match="expected all tensors on one device"):
                mixture()
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert there[torch.tensor([0, 2])].device == there.device
        layer = torch.nn.Linear(3, 2).to("cuda")
        layer(there).sum().backward()
        assert layer.weight.grad.device == there.device
        with pytest.raises(RuntimeError, match="expected all tensors on one device"):
            layer(here)


def fields(path):
    with netCDF4.Dataset(path) as data:
        return {name: data[name][:].filled(np.nan) for name in VARIABLES}


@pytest.mark.parametrize(
    ("prior", "guidance"),
    [("shipped", "analysis"), *(("toy", name) for name in ("analysis", "projection", "mmps", "ucg", "dps"))],
)
def test_downscale(zssd, model, tmp_path, gpu, prior, guidance):
    """Both kinds of observation, two times, two members, with and without the balance of the winds; together and alone."""
    source = model(names=("psl", "sfcWind"))
    # the processor that pretends rounds to bfloat16 in another way than a GPU, which torch here knows nothing of
    options = ["--region", BOX, "--steps", 3, "--members", 2, "--guidance", guidance, "--precision", "float32"]
    options += ["--weights", "analyses-msl-u10-v10", "--filter-scale", 10] if prior == "shipped" else []
    plain = zssd("downscale", source, "-o", tmp_path / "cpu.nc", "--device", "cpu", *options)
    assert plain.code == 0, plain.err
    with gpu():
        done = zssd("downscale", source, "-o", tmp_path / "gpu.nc", *options)
    assert done.code == 0, done.err
    ours, theirs = fields(tmp_path / "gpu.nc"), fields(tmp_path / "cpu.nc")
    for name in VARIABLES:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-3 * SCALE[name])


def test_train(capfd, files, monkeypatch, gpu):  # noqa: F811
    """Steps, validation, state, resumption and the prior that is written."""
    options = ("--held-out", files / "held.nc")
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        code, text = train(capfd, files, *options, output="cpu.safetensors")
        assert code == 0, text
    with gpu():
        code, text = train(capfd, files, *options, "--steps", 2, output="gpu.safetensors")
        assert code == 0, text
        (files / "gpu.safetensors").unlink()
        code, text = train(capfd, files, *options, "--resume", output="gpu.safetensors")
    assert code == 0, text
    assert "on cuda" in text
    ours, theirs = (read_safetensors(files / f"{name}.safetensors")[0] for name in ("gpu", "cpu"))
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key].float(), value.float(), rtol=0.02, atol=1e-3, msg=key)


@pytest.mark.parametrize("kind", ["grf", "bimaterial"])
def test_invert(priors, domain, gpu, kind):  # noqa: F811
    """Prior and operator on the GPU (the command has no option for it: the flow is solved on the processor)."""
    path = domain()
    config, table = read_domain(path), measured(path)
    problem = config.problem()
    sensors = Sensors(table["x"], table["y"], table["head"], table["error"])
    log_k = config.log_k(kind)
    data, error = (torch.as_tensor(part, dtype=torch.float32) for part in (sensors.head, sensors.error))
    settings = InversionSettings(
        starts=2, members=4, lbfgs_steps=3, adam_steps=2, member_steps=2, smoothed=8,
        ensemble="smoother" if kind == "bimaterial" else "rml",
    )  # fmt: skip

    def found(device):
        prior, _ = load_latent_prior(priors / f"{kind}.safetensors", device)
        solver, observe = FlowSolver(problem), Observe(problem, sensors)

        def forward(field):
            return observe(solver.heads(log_k(field)))

        return invert(prior, forward, data.to(device), error.to(device), settings)

    plain = found("cpu")
    with gpu():
        ours = found("cuda")
        assert ours.members.device.type == "cuda"
        torch.testing.assert_close(ours.members.cpu(), plain.members, rtol=0, atol=1e-3)
