"""The random stream is a function of seed, member and time, and of nothing else."""

import pytest
import torch

from zssd_cli.posterior.random import NoiseStream

SHAPE = (3, 20, 30)


def draws(seed, keys, count=3):
    stream = NoiseStream(seed, keys, SHAPE)
    return torch.stack([stream.draw() for _ in range(count)])


def test_growing_members_keeps_the_earlier_ones_bit_for_bit():
    few, many = draws(7, [(m, 100) for m in range(2)]), draws(7, [(m, 100) for m in range(9)])
    assert torch.equal(few, many[:, :2])


@pytest.mark.parametrize("split", [1, 2, 5])
def test_the_batch_does_not_matter(split):
    keys = [(m, t) for t in (5, 6) for m in range(3)]
    together = draws(1, keys)
    apart = torch.cat([draws(1, keys[i : i + split]) for i in range(0, len(keys), split)], 1)
    assert torch.equal(together, apart)
    shuffled = draws(1, keys[::-1])
    assert torch.equal(together, shuffled.flip(1))


@pytest.mark.parametrize(("seed", "key"), [(2, (0, 5)), (1, (1, 5)), (1, (0, 6)), (1, (5, 0)), (1 + 2**40, (0, 5))])
def test_seed_member_and_time_each_matter(seed, key):
    base, other = draws(1, [(0, 5)]), draws(seed, [key])
    assert abs(float((base * other).mean())) < 0.05
    assert not torch.equal(base, other)


def test_noise_is_white_and_unit():
    noise = draws(0, [(m, 1) for m in range(40)], 2)
    assert noise.dtype == torch.float32
    assert noise.shape == (2, 40, *SHAPE)
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    assert abs(float((noise[0] * noise[1]).mean())) < 0.02
    assert abs(float((noise[..., 1:] * noise[..., :-1]).mean())) < 0.02
    assert torch.equal(noise, draws(0, [(m, 1) for m in range(40)], 2))
