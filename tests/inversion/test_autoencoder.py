"""The autoencoder: shapes, bounds, what its loss rewards."""

import pytest
import torch

from tests.worlds import noise
from zssd_cli.inversion.autoencoder import LOG_VARIANCE, Autoencoder
from zssd_cli.inversion.config import AutoencoderConfig, FieldsConfig
from zssd_cli.inversion.random_fields import draw_fields, generator

CONFIG = AutoencoderConfig(latent=3, channels=(8, 8, 16))


@pytest.fixture(params=[False, True], ids=["gaussian", "bernoulli"])
def autoencoder(request):
    torch.manual_seed(0)
    return Autoencoder(CONFIG, binary=request.param)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 40)])
def test_shapes(autoencoder, height, width):
    mean, log_variance = autoencoder.encoder(noise(2, 1, height, width))
    assert mean.shape == log_variance.shape == (2, 3, height // 8, width // 8)
    field, missing = autoencoder.decode(mean)
    assert field.shape == (2, height, width)
    assert missing.shape == (2,)
    low, high = LOG_VARIANCE
    assert ((missing > low) & (missing < high)).all()


def test_two_material_fields_are_bounded():
    field, _ = Autoencoder(CONFIG, binary=True).decode(100 * noise(4, 3, 4, 4))
    assert field.abs().max() <= 1
    assert field.abs().max() > 0.9


def test_the_bound_is_what_its_formula_says(autoencoder):
    fields = draw_fields(FieldsConfig(kind="bimaterial", cells=32), 2, generator(1))
    found = autoencoder.loss(fields, generator(3))
    mean, log_variance = autoencoder.encoder(fields[:, None])
    z = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=generator(3))
    field, missing = autoencoder.decode(z)
    if autoencoder.binary:
        likelihood = torch.distributions.Bernoulli(probs=(1 + field) / 2).log_prob((fields + 1) / 2).sum((1, 2))
    else:
        scale = (missing / 2).exp()[:, None, None]
        half_log_2pi = 0.9189385332046727
        likelihood = (torch.distributions.Normal(field, scale).log_prob(fields) + half_log_2pi).sum((1, 2))
    standard = torch.distributions.Normal(0.0, 1.0)
    encoded = torch.distributions.Normal(mean, (log_variance / 2).exp())
    divergence = torch.distributions.kl_divergence(encoded, standard).sum((1, 2, 3))
    assert torch.allclose(found, (divergence - likelihood) / 32**2, rtol=1e-4, atol=1e-5)


def test_training_lowers_the_bound(autoencoder):
    config = FieldsConfig(kind="bimaterial" if autoencoder.binary else "grf", cells=32)
    optimiser = torch.optim.Adam(autoencoder.parameters(), lr=3e-3)
    fixed = draw_fields(config, 32, generator(9))
    before = float(autoencoder.loss(fixed, generator(0)).mean().detach())
    for step in range(25):
        optimiser.zero_grad()
        autoencoder.loss(draw_fields(config, 16, generator(7, step)), generator(8, step)).mean().backward()
        optimiser.step()
    assert float(autoencoder.loss(fixed, generator(0)).mean().detach()) < before - 0.05
