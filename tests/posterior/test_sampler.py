"""Samplers on Gaussians: mean, covariance, the exact flow, and the order of the error."""

import math

import pytest
import torch

from zssd_cli.posterior.sampler import SAMPLERS, sample
from zssd_cli.prior.noise import ddpm_sigmas, karras_sigmas, log_snr_sigmas, long_sigmas

MEAN = torch.tensor([1.5, -0.5], dtype=torch.float64)
COVARIANCE = torch.tensor([[2.0, 0.7], [0.7, 0.5]], dtype=torch.float64)


def gaussian(x, sigma, _next=0.0):
    """E[x0 | x] of N(MEAN, COVARIANCE), (B, 2, 1, 1)."""
    gain = COVARIANCE @ torch.linalg.inv(COVARIANCE + sigma**2 * torch.eye(2, dtype=torch.float64))
    return (MEAN + (x[..., 0, 0] - MEAN) @ gain.T)[..., None, None]


def source(count=40_000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(count, 2, 1, 1, dtype=torch.float64, generator=generator)


def last(steps):
    *_, result = steps
    return result


@pytest.mark.parametrize(
    ("sampler", "sigmas", "tolerance"),
    [
        ("ddpm", ddpm_sigmas(300), 0.03),
        ("ddim", karras_sigmas(300), 0.03),
        ("dpmpp_2m", karras_sigmas(40), 0.03),
        ("dpmpp_2m", log_snr_sigmas(40), 0.03),
        ("dpmpp_2m_long", long_sigmas(60), 0.03),
        ("dpmpp_2m_sde", karras_sigmas(100), 0.03),
        ("dpmpp_2m_sde", log_snr_sigmas(100), 0.03),
        ("ddim", log_snr_sigmas(300), 0.03),
        ("ddpm", karras_sigmas(300), 0.03),
        ("ddpm", log_snr_sigmas(400), 0.03),
    ],
)
def test_mean_and_covariance_of_a_gaussian(sampler, sigmas, tolerance):
    samples = last(sample(gaussian, source(), sigmas, sampler))[..., 0, 0]
    torch.testing.assert_close(samples.mean(0), MEAN, rtol=0, atol=0.03)
    torch.testing.assert_close(samples.T.cov(), COVARIANCE, rtol=0, atol=tolerance * 2)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_known_answer_is_reached_from_anywhere(sampler):
    """A denoiser that always says the same (a delta distribution) gives exactly that."""
    target = torch.full((5, 2, 1, 1), 3.0, dtype=torch.float64)
    result = last(sample(lambda *_: target, source(5), karras_sigmas(5), sampler))
    torch.testing.assert_close(result, target)


def flow_error(sampler, steps):
    """Distance to the exact probability flow x sqrt(s^2 / (s^2 + sigma^2)) of N(0, s^2 = 2)."""
    sigmas = log_snr_sigmas(steps, 0.01, 20.0)
    start = source(200)()
    samples = last(sample(lambda x, s, _: x * 2 / (2 + s**2), lambda: start, sigmas, sampler))
    x = start * 20.0 * (2 / (2 + 20.0**2)) ** 0.5
    return float((samples - x).norm() / x.norm())


def test_order_of_the_error():
    """First order: half the step, half the error; second order: a quarter."""
    first = [flow_error("ddim", steps) for steps in (40, 80)]
    assert 1.7 < first[0] / first[1] < 2.3
    for sampler in ("dpmpp_2m", "dpmpp_2m_long"):
        second = [flow_error(sampler, steps) for steps in (40, 80)]
        assert 3.3 < second[0] / second[1] < 4.8
        assert second[0] < 0.2 * first[0]


def lost(sampler, variance):
    """Decibels of power that six long steps take from a Gaussian of a variance, from a field with the first level's noise."""
    levels = long_sigmas(7)[1:]
    start = torch.tensor(variance, dtype=torch.float64).sqrt() * source(2000)()
    steps = sample(lambda x, s, _: x * variance / (variance + s**2), source(2000, 1), levels, sampler, start)
    return -10 * math.log10(float(last(steps).square().mean()) / variance)


def test_long_steps_keep_the_power_of_fine_scales():
    assert max(abs(lost("dpmpp_2m_long", variance)) for variance in (1e-3, 1e-2, 0.1, 1.0, 3.0)) < 1.5
    assert lost("dpmpp_2m_long", 1e-4) < 3 < lost("dpmpp_2m", 1e-4)
    assert lost("ddim", 1e-2) > 3


@pytest.mark.parametrize(
    ("sampler", "calls"), [("ddim", 1), ("dpmpp_2m", 1), ("dpmpp_2m_long", 1), ("ddpm", 10), ("dpmpp_2m_sde", 10)]
)
def test_how_often_noise_is_drawn(sampler, calls):
    made, draw = [], source(3)

    def counted():
        made.append(draw())
        return made[-1]

    steps = list(sample(gaussian, counted, karras_sigmas(10), sampler))
    assert len(steps) == 10
    assert len(made) == calls


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_noise_gives_the_same_sample(sampler):
    first, second, other = (last(sample(gaussian, source(4, s), karras_sigmas(8), sampler)) for s in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_guided_denoiser_is_told_the_levels():
    seen = []

    def spy(x, sigma, following):
        seen.append((sigma, following))
        return x * 0

    sigmas = karras_sigmas(4)
    list(sample(spy, source(1), sigmas, "dpmpp_2m"))
    levels = sigmas.tolist()
    assert seen == list(zip(levels[:-1], levels[1:], strict=True))


def test_the_first_field_is_pure_noise_at_the_first_level():
    seen, draw = [], source(20_000)
    list(sample(lambda x, *_: seen.append(x) or x * 0, draw, karras_sigmas(2), "ddim"))
    assert float(seen[0].std()) == pytest.approx(120, rel=0.02)


def test_the_multistep_solver_is_that_of_the_paper():
    """Lu et al. 2022, algorithm 2, on uneven levels: D + (D - D_previous) / (2 r), r the last step over this one in log sigma."""
    levels = torch.tensor([8.0, 5.0, 1.0, 0.3, 0.0])

    def denoised(x: torch.Tensor, sigma: float, _following: float) -> torch.Tensor:
        return torch.tanh(x) / (1 + sigma)

    start = torch.linspace(-3, 3, 7)[None, None, None]
    *_, last = sample(denoised, lambda: start, levels, "dpmpp_2m")
    x, previous, before = start * 8.0, None, 0.0
    for sigma, following in ((8.0, 5.0), (5.0, 1.0), (1.0, 0.3)):
        step, now = math.log(sigma / following), denoised(x, sigma, following)
        mixed = now if previous is None else now + (now - previous) * step / (2 * before)
        x = following / sigma * x + (1 - following / sigma) * mixed
        previous, before = now, step
    torch.testing.assert_close(last, denoised(x, 0.3, 0.0), rtol=1e-5, atol=1e-6)
