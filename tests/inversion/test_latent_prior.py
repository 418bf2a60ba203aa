"""The latent prior: exact chains of Gaussians, whitening, texture, memory, training that resumes, files."""

import errno
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.worlds import noise
from zssd_cli.errors import Diverged, OutputError, WeightsError
from zssd_cli.inversion.checkpoint import LatentHeader, load_latent_prior, save_latent_prior
from zssd_cli.inversion.config import LatentTrainConfig
from zssd_cli.inversion.latent_prior import Whitening, measure_texture, run_chain
from zssd_cli.inversion.random_fields import generator
from zssd_cli.prior.checkpoint import load_prior, read_safetensors, write_safetensors
from zssd_cli.training.latent import LatentTrainer, flow_loss
from zssd_cli.training.loop import run_training

SETTINGS = {
    "kind": "latent",
    "fields": {"kind": "grf", "cells": 32},
    "autoencoder": {"latent": 2, "channels": (8, 8, 16)},
    "network": {"width": 16, "blocks": 1, "embedding": 16},
    "autoencoder_steps": 3,
    "prior_steps": 4,
    "batch": 4,
    "prior_batch": 8,
    "bank": 64,
    "bank_steps": 2,
    "warmup": 2,
    "validate_every": 100,
}


def config(**changes):
    return LatentTrainConfig.model_validate(SETTINGS | changes)


class GaussianFlow(nn.Module):
    """F of a Gaussian with mean zero and one variance: E[w | w_phi] is known."""

    def __init__(self, variance):
        super().__init__()
        self.variance = variance

    def forward(self, w, angle):
        cos, sin = angle.cos()[:, None, None, None], angle.sin()[:, None, None, None]
        mean = self.variance * cos / (self.variance * cos**2 + sin**2) * w
        return torch.where(sin.abs() < 1e-6, 0 * w, (mean - w * cos) / sin.clamp(min=1e-6))


def test_the_chain_of_a_white_prior_is_exact_in_one_step():
    start = noise(3, 2, 4, 4)
    assert torch.allclose(run_chain(GaussianFlow(1.0), start, 1), start, atol=1e-6)


def test_interfaces_grow_sharp_and_stay_where_they_are():
    trainer = LatentTrainer(config(fields={"kind": "bimaterial", "cells": 32}))
    prior = trainer.prior()
    stages = prior.sharpened()
    unknown = noise(4, prior.size)
    first, *_, last = (stage.fields(unknown) for stage in stages)
    assert torch.equal(first, prior.fields(unknown))
    assert torch.equal(prior.finish(first), prior.finish(last))
    assert float(last.abs().mean()) > float(first.abs().mean())
    gaussian = LatentTrainer(config()).prior()
    assert gaussian.sharpened() == (gaussian,)


@pytest.mark.parametrize("variance", [0.25, 4.0])
def test_the_chain_of_a_gaussian_is_of_second_order(variance):
    """The flow of a Gaussian scales by its standard deviation; doubling the steps quarters the error."""
    start = noise(1, 1, 4, 4).double()
    exact = math.sqrt(variance) * start
    errors = [float((run_chain(GaussianFlow(variance), start, steps) - exact).norm()) for steps in (16, 32, 64)]
    assert errors[0] / errors[1] > 3
    assert errors[1] / errors[2] > 3.5
    assert errors[2] < 0.01 * float(exact.norm())


def test_the_best_gaussian_flow_of_white_latents_is_zero():
    white, rng = noise(4000, 1, 2, 2), generator(1)
    angle, unit = 0.5 * math.pi * torch.rand(4000, generator=rng), noise(4000, 1, 2, 2, seed=3)
    zero = float(flow_loss(GaussianFlow(1.0), white, angle, unit).mean())
    assert zero == pytest.approx(1, abs=0.03)
    assert float(flow_loss(GaussianFlow(1.5), white, angle, unit).mean()) > zero


def test_the_graph_of_the_chain_does_not_grow_with_its_steps():
    """Only the states between steps are kept, not what the network needs inside."""

    class Heavy(nn.Module):
        def forward(self, w, angle):
            for _ in range(50):
                w = torch.sin(w)
            return 0.1 * w

    kept = []
    for steps in (2, 8):
        sizes = []
        start = noise(1, 1, 8, 8).requires_grad_(True)
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            run_chain(Heavy(), start, steps)
        kept.append(sum(sizes))
    assert kept[1] < 8 * 5 * 64
    plain = noise(1, 1, 8, 8).requires_grad_(True)
    (gradient,) = torch.autograd.grad(run_chain(Heavy(), plain, 4).sum(), plain)
    assert gradient.isfinite().all()


def test_whitening_and_back():
    mixing = noise(8, 8)
    latents = (noise(5000, 8, seed=4) @ mixing).view(-1, 2, 2, 2) + 3
    whitening = Whitening.of(latents)
    white = whitening.whiten(latents)
    assert torch.allclose(whitening.colour(white), latents, atol=1e-3)
    assert torch.allclose(white.flatten(1).T.cov(), torch.eye(8), atol=0.03)
    assert torch.allclose(whitening.root, whitening.root.T, atol=1e-5)


def test_texture_reproduces_spectrum_and_variance():
    shape = torch.fft.rfft2(torch.zeros(16, 16).index_put((torch.tensor([0, 0]), torch.tensor([0, 1])), torch.ones(2)))
    white = noise(3000, 16, 16, seed=5)
    stated = torch.linspace(-2, 0, 3000)
    errors = torch.fft.irfft2(torch.fft.rfft2(white) * shape, s=(16, 16)) * (stated / 2).exp()[:, None, None]
    texture = measure_texture(errors, stated)
    assert torch.allclose(texture, shape.abs(), rtol=0.1, atol=0.02)


@pytest.fixture(scope="module")
def trained():
    trainer = LatentTrainer(config())
    while trainer.step < trainer.config.steps:
        trainer.train_step()
    return trainer


def header(settings):
    return LatentHeader(
        variables=("log_conductivity",),
        fields=settings.fields,
        autoencoder=settings.autoencoder,
        network=settings.network,
        chain_steps=settings.chain_steps,
        training={},
    )


@pytest.mark.parametrize("kind", ["grf", "bimaterial"])
def test_a_prior_survives_its_file(trained, tmp_path, kind):
    trainer = trained
    if kind == "bimaterial":
        trainer = LatentTrainer(config(fields={"kind": "bimaterial", "cells": 32}))
    prior = trainer.prior()
    path = tmp_path / "prior.safetensors"
    save_latent_prior(path, prior, header(trainer.config))
    loaded, head = load_latent_prior(path)
    assert head.fields.kind == kind
    assert loaded.size == prior.size == 2 * 4 * 4 + (32 * 32 if kind == "grf" else 0)
    unknown = noise(2, prior.size)
    assert torch.allclose(loaded.fields(unknown), prior.fields(unknown), atol=0.02)
    sample = loaded.sample(3, generator(0))
    assert sample.shape == (3, 32, 32)
    assert (set(sample.unique().tolist()) <= {-1.0, 1.0}) == (kind == "bimaterial")


def test_the_unknown_is_the_end_of_the_chain_or_its_start(trained):
    """Both see the same field in the same noise; only one differentiates through the chain."""
    prior, start = trained.prior(), noise(2, trained.prior().size)
    paper = replace(prior, through_chain=True)
    assert torch.equal(paper.unknowns(start), start)
    assert not torch.equal(prior.unknowns(start), start)
    assert torch.allclose(paper.fields(start), prior.fields(prior.unknowns(start)), atol=1e-5)
    assert torch.equal(prior.unknowns(start)[:, prior.latent_size :], start[:, prior.latent_size :])


@pytest.mark.parametrize("through_chain", [False, True])
def test_every_number_of_the_unknown_matters_and_has_a_gradient(trained, through_chain):
    prior = replace(trained.prior(), through_chain=through_chain)
    unknown = noise(1, prior.size).requires_grad_(True)
    (gradient,) = torch.autograd.grad(prior.fields(unknown).square().sum(), unknown)
    assert (gradient != 0).float().mean() > 0.99


def test_an_interrupted_training_repeats_an_unbroken_one(trained, tmp_path):
    state = tmp_path / "state"
    for end in (2, 5, 7):  # within each stage, and at the end
        trainer = LatentTrainer(config())
        if state.exists():
            trainer.load(state)
        list(run_training(trainer, None, (), state, lambda t=trainer, e=end: t.step >= e))
    for ours, theirs in zip(trained.flow.ema.parameters(), trainer.flow.ema.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(trained.autoencoder.ema.parameters(), trainer.autoencoder.ema.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_state_of_other_settings_or_of_another_training_is_refused(tmp_path):
    state = tmp_path / "state"
    LatentTrainer(config()).save(state)
    with pytest.raises(WeightsError, match="made with other settings: learning_rate"):
        LatentTrainer(config(learning_rate=0.1)).load(state)
    write_safetensors(state, {}, {"format": "zssd-training-1"})
    with pytest.raises(WeightsError, match="expected a training state"):
        LatentTrainer(config()).load(state)


@pytest.mark.parametrize("damage", ["cut", "hole", "nan", "step", "settings"])
def test_a_damaged_state_is_one_line(tmp_path, damage):
    state, trainer = tmp_path / "state", LatentTrainer(config())
    trainer.train_step()
    trainer.save(state)
    tensors, meta = read_safetensors(state)
    if damage == "cut":
        state.write_bytes(state.read_bytes()[:-100])
    elif damage == "hole":
        tensors.pop("flow.model.out.weight")
    elif damage == "nan":
        tensors["flow.model.out.weight"] += torch.nan
    elif damage == "step":
        meta["step"] = "many"
    else:
        meta["config"] = '{"surprise": 1}'
    if damage != "cut":
        write_safetensors(state, tensors, meta)
    with pytest.raises(WeightsError, match=r"damaged|readable|another version of zssd") as caught:
        LatentTrainer(config()).load(state)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stage", ["autoencoder", "flow"])
@pytest.mark.parametrize("broken", ["loss", "gradient", "state"])
def test_a_training_that_diverges_keeps_the_last_good_state(tmp_path, monkeypatch, broken, stage):
    state, trainer = tmp_path / "state", LatentTrainer(config())
    while stage == "flow" and trainer.step < trainer.config.autoencoder_steps:
        trainer.train_step()
    trainer.save(state)
    good, at, network = state.read_bytes(), trainer.step, getattr(trainer, stage)
    bias = next(part for name, part in network.model.named_parameters() if name.endswith("bias"))
    if broken == "gradient":
        bias.register_hook(lambda gradient: gradient * torch.inf)
    elif broken == "loss":
        bias.data.fill_(torch.nan)
    else:
        step = network.optimiser.step
        monkeypatch.setattr(network.optimiser, "step", lambda: (step(), bias.data.fill_(torch.nan)))
    with pytest.raises(Diverged, match=f"{broken} is not finite at step .*learning_rate in --config"):
        list(run_training(trainer, None, (), state, lambda: trainer.step > at))
    assert state.read_bytes() == good
    assert bool(bias.isfinite().all()) == (broken == "gradient")


def test_a_full_disk_is_one_line_and_keeps_the_last_good_state(tmp_path, monkeypatch):
    state, trainer = tmp_path / "state", LatentTrainer(config())
    trainer.save(state)
    good = state.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("zssd_cli.training.state.write_safetensors", full)
    with pytest.raises(OutputError, match="state.*at step 0: No space left.*last good one is kept.*--resume"):
        trainer.save(state)
    assert state.read_bytes() == good


def test_validation_names_its_errors(trained):
    errors = trained.validate(range(4))
    assert set(errors) == {"bound", "relative L2", "F 0.25", "F 0.5", "F 0.75"}
    assert all(math.isfinite(value) for value in errors.values())


def test_files_of_the_other_kind_and_damaged_ones_are_one_line_errors(trained, tmp_path):
    path = tmp_path / "prior.safetensors"
    write_safetensors(path, {}, {"format": "zssd-prior-1"})
    with pytest.raises(WeightsError, match="expected a prior of conductivity fields"):
        load_latent_prior(path)
    save_latent_prior(path, trained.prior(), header(config()))
    with pytest.raises(WeightsError, match="zssd-latent-prior-1"):
        load_prior(path)
    save_latent_prior(path, trained.prior(), header(config(network={"width": 24, "blocks": 1, "embedding": 16})))
    with pytest.raises(WeightsError, match="damaged or of another version") as error:
        load_latent_prior(path)
    assert "\n" not in str(error.value)
    flat = trained.prior()
    flat.whitening.root.zero_()
    save_latent_prior(path, flat, header(config()))
    with pytest.raises(WeightsError, match="no root of a covariance"):
        load_latent_prior(path)
