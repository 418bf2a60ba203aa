"""Random fields: the covariance that was asked for, no periodic neighbour, seeds and streams, two materials."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.fft import dct

from zssd_cli.inversion.config import FieldsConfig
from zssd_cli.inversion.random_fields import (
    draw_fields,
    gaussian_fields,
    generator,
    numbered_fields,
    torus_spectrum,
    zero_flux_fields,
)

CELLS = 32


def exact(lengths, angle, smooth, y, x):
    """Covariance at a lag of (y, x) cells."""
    along = (x * math.cos(angle) + y * math.sin(angle)) / CELLS / lengths[0]
    across = (y * math.cos(angle) - x * math.sin(angle)) / CELLS / lengths[1]
    return math.exp(-(along**2 + across**2)) if smooth else math.exp(-math.hypot(along, across))


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(("lengths", "angle"), [((0.1, 0.1), 0.0), ((0.35, 0.12), 0.6), ((0.35, 0.35), 0.0)])
def test_the_covariance_inside_the_square_is_the_one_asked_for(lengths, angle, smooth):
    """What comes out of the torus is its clipped spectrum: compare that with the closed form at all lags of the square."""
    spectrum = torus_spectrum(CELLS, torch.tensor([lengths]), torch.tensor([angle]), torch.tensor([smooth]))
    covariance = torch.fft.irfft2(spectrum.clamp(min=0), s=(3 * CELLS, 3 * CELLS))[0]
    for y, x in ((0, 0), (0, 3), (4, 0), (5, -7), (-9, 12), (31, 31), (31, -31), (0, 31)):
        assert float(covariance[y, x]) == pytest.approx(exact(lengths, angle, smooth, y, x), abs=5e-3)


def test_fields_have_that_covariance():
    count = 1500
    lengths, angles = torch.tensor([[0.3, 0.12]]).expand(count, 2), torch.full((count,), 0.5)
    fields = gaussian_fields(CELLS, lengths, angles, torch.zeros(count, dtype=torch.bool), generator(5))
    assert float(fields.mean()) == pytest.approx(0, abs=0.03)
    for y, x in ((0, 0), (3, 2), (2, -3), (0, 16)):
        a = fields[:, : CELLS - y, max(0, -x) : CELLS - max(0, x)]
        b = fields[:, y:, max(0, x) : CELLS - max(0, -x)]
        assert float((a * b).mean()) == pytest.approx(exact((0.3, 0.12), 0.5, False, y, x), abs=0.05)


def test_opposite_sides_are_no_neighbours():
    config = FieldsConfig(cells=CELLS, lengths=(0.1, 0.1))
    fields = draw_fields(config, 1000, generator(1))
    assert abs(float((fields[:, :, 0] * fields[:, :, -1]).mean())) < 0.05
    assert float((fields[:, :, 0] * fields[:, :, 1]).mean()) > 0.7


def test_a_numbered_field_hangs_on_its_stream_and_number_alone():
    config = FieldsConfig(cells=CELLS)
    many = numbered_fields(config, "held-out", [3, 4, 5])
    assert torch.equal(many[1:2], numbered_fields(config, "held-out", [4]))
    assert not torch.equal(many[:1], numbered_fields(config, "tuning", [3]))
    assert many.shape == (3, CELLS, CELLS)
    assert many.dtype == torch.float32


def test_two_materials():
    config = FieldsConfig(kind="bimaterial", cells=CELLS, fraction=(0.3, 0.3))
    fields = draw_fields(config, 1000, generator(2))
    assert set(fields.unique().tolist()) == {-1.0, 1.0}
    assert float((fields > 0).float().mean()) == pytest.approx(0.3, abs=0.02)


def test_the_fields_of_the_benchmark_have_its_covariance():
    """The inverse of (9 - Laplacian)^2 without the constant, in the discrete cosines that make its sides free of flux."""
    count, cells = 4000, 16
    fields = zero_flux_fields(cells, count, generator(4)).double().flatten(1)
    basis = torch.as_tensor(dct(np.eye(cells), axis=0, norm="ortho"))
    waves = math.pi**2 * torch.arange(cells, dtype=torch.float64).square()
    power = (waves[:, None] + waves + 9) ** -2
    power[0, 0] = 0
    both = torch.kron(basis, basis)
    exact_covariance = cells**2 * both.T @ torch.diag(power.flatten()) @ both
    found = fields.T @ fields / count
    assert float((found - exact_covariance).norm() / exact_covariance.norm()) < 0.1
    assert float(fields.mean(1).abs().max()) < 1e-6


def test_the_two_materials_of_the_benchmark():
    config = FieldsConfig(kind="darcy-flow", cells=CELLS)
    assert config.binary
    fields = draw_fields(config, 300, generator(2))
    assert set(fields.unique().tolist()) == {-1.0, 1.0}
    assert float((fields > 0).float().mean()) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    "wrong", [{"lengths": (0.3, 0.2)}, {"lengths": (0.1, 0.9)}, {"cells": 20}, {"fraction": (0.2, 1.0)}, {"colour": 1}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        FieldsConfig(**wrong)
