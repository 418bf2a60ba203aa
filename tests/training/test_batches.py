"""Batches: functions of seed and step, patches uniform in area, the mirror, few reads, one batch for all processes."""

import math
from collections.abc import Sequence

import pytest
import torch

from tests.prior.toys import batch_of, config, data, toy
from zssd_cli.errors import InputError
from zssd_cli.training.batches import Ahead, PatchSampler, TrainingData, TrainingField

NAMES = ("clean", "sigma", "noise", "present")


class Archive(Sequence):
    """Many fields, each with its number as the value of all its cells; counts what is read."""

    def __init__(self, size):
        self.size, self.reads = size, []

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        self.reads.append(index)
        field = toy()
        return TrainingField(torch.full_like(field.values, float(index)), field.static, field.time, True)


def same(first, second):
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in NAMES)


def test_a_batch_is_a_function_of_seed_and_step():
    first, second, step, seed = (
        batch_of([toy()], config(), k, seed=seed) for k, seed in ((5, 0), (5, 0), (6, 0), (5, 1))
    )
    assert same(first, second)
    for other in (step, seed):
        for name in ("clean", "sigma", "noise"):
            assert not torch.equal(getattr(first, name), getattr(other, name))
    assert first.clean.shape == (2, 3, 16, 16)
    assert first.conditions.static.shape == (2, 4, 16, 16)
    assert first.present.all()


def test_a_sampler_that_starts_late_agrees_with_one_that_ran():
    settings = config(batch=4, patches_per_field=6)
    ran = PatchSampler(TrainingData((Archive(100),)), settings)
    batches = [ran.batch(k) for k in range(20)]
    for k in (1, 7, 13, 19):
        assert same(PatchSampler(TrainingData((Archive(100),)), settings).batch(k), batches[k])


def test_an_archive_is_read_a_few_fields_a_step_and_every_patch_of_a_batch_is_of_another_time():
    archive = Archive(10_000)
    settings = config(batch=8, patches_per_field=16)
    sampler = PatchSampler(TrainingData((archive,)), settings)
    sampler.batch(0)
    assert len(archive.reads) == 8
    for k in range(1, 65):
        before = len(archive.reads)
        batch = sampler.batch(k)
        assert len(archive.reads) - before <= 1
        assert len(set(batch.clean[:, 0, 0, 0].tolist())) >= 7
    assert len(archive.reads) == 8 + 64 * 8 // 16


def test_the_patches_of_a_field_differ():
    sampler = PatchSampler(data(toy()), config(batch=1, patches_per_field=8, mirror=False))
    corners = {tuple(sampler.batch(k).conditions.static[0, :2, 0, 0].tolist()) for k in range(8)}
    assert len(corners) > 5


@pytest.mark.parametrize("ranks", [2, 4])
def test_processes_share_one_batch(ranks):
    settings = config(batch=8, time_dropout=0.5)
    whole = batch_of([toy(), toy(False)], settings, 3)
    slices = [batch_of([toy(), toy(False)], settings, 3, rank=r, ranks=ranks) for r in range(ranks)]
    for name in NAMES:
        assert torch.equal(torch.cat([getattr(part, name) for part in slices]), getattr(whole, name))
    times = torch.cat([part.conditions.time for part in slices])
    torch.testing.assert_close(times, whole.conditions.time, rtol=0, atol=0, equal_nan=True)


def test_shares():
    first, second = (TrainingField(torch.full((3, 40, 48), v), toy().static, toy().time, True) for v in (1.0, 2.0))
    parts = TrainingData(([first], [second] * 30), (0.75, 0.25))
    assert len(parts) == 31
    batch = PatchSampler(parts, config(batch=1000)).batch(0)
    assert float((batch.clean[:, 0, 0, 0] == 1).float().mean()) == pytest.approx(0.75, abs=0.05)


def test_a_variable_that_is_absent_is_zero_and_said_to_be_absent():
    field = toy()
    values = field.values.clone()
    values[1] = torch.nan
    batch = batch_of([TrainingField(values, field.static, field.time, True)], config())
    assert batch.present.tolist() == [[True, False, True]] * 2
    assert not batch.clean[:, 1].any()
    assert torch.isfinite(batch.clean).all()


@pytest.mark.parametrize("circular", [True, False])
def test_patches_are_pieces_of_the_field_with_their_own_conditions(circular):
    field = toy(circular)
    batch = batch_of([field], config(batch=64, mirror=False))
    crossing = 0
    for clean, static in zip(batch.clean, batch.conditions.static, strict=True):
        row = int((field.static[0, :, 0] - static[0, 0, 0]).abs().argmin())
        column = int((field.static[1, 0] - static[1, 0, 0]).abs().argmin())
        columns = torch.arange(column, column + 16) % 48
        crossing += column + 16 > 48
        assert torch.equal(clean, field.values[:, row : row + 16][:, :, columns])
        assert torch.equal(static, field.static[:, row : row + 16][:, :, columns])
    assert (crossing > 0) == circular


def test_patches_are_uniform_in_area():
    batch = batch_of([toy(rows=240, south=29.0)], config(batch=2000, mirror=False))
    middle = batch.conditions.static[:, 0].mean((1, 2))
    low, high = math.radians(31), math.radians(87)
    # uniform in area: sin(latitude) is uniform
    share = float((middle.sin() < (math.sin(low) + math.sin(high)) / 2).float().mean())
    assert share == pytest.approx(0.5, abs=0.05)


def test_the_mirror_turns_the_northward_wind_and_the_coriolis_parameter():
    batch, field = batch_of([toy()], config(batch=64, time_dropout=0.0)), toy()
    mirrored = batch.conditions.static[:, 2].mean((1, 2)) < 0
    assert 10 < int(mirrored.sum()) < 54
    year = toy().time[0]
    torch.testing.assert_close(batch.conditions.time[mirrored, 0], ((year + 0.5) % 1).expand(int(mirrored.sum())))
    torch.testing.assert_close(batch.conditions.time[~mirrored, 0], year.expand(int((~mirrored).sum())))
    for clean, static in zip(batch.clean[mirrored], batch.conditions.static[mirrored], strict=True):
        row = int((field.static[0, :, 0] - static[0, -1, 0]).abs().argmin())
        column = int((field.static[1, 0] - static[1, 0, 0]).abs().argmin())
        columns = torch.arange(column, column + 16) % 48
        source = field.values[:, row : row + 16][:, :, columns].flip(1)
        assert torch.equal(clean, source * torch.tensor([1.0, 1.0, -1.0])[:, None, None])
        conditions = field.static[:, row : row + 16][:, :, columns].flip(1)
        assert torch.equal(static, conditions * torch.tensor([1.0, 1.0, -1.0, 1.0])[:, None, None])
    assert not (batch_of([toy()], config(batch=64, mirror=False)).conditions.static[:, 2] < 0).any()


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_time_dropout(share):
    hidden = batch_of([toy()], config(batch=400, time_dropout=share)).conditions.time.isnan()
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    assert float(hidden[:, 0].float().mean()) == pytest.approx(share, abs=0.07 if 0 < share < 1 else 0)


def test_the_data_is_not_changed():
    field = toy()
    values, static = field.values.clone(), field.static.clone()
    batch_of([field], config(batch=32))
    assert torch.equal(field.values, values)
    assert torch.equal(field.static, static)


def test_batches_made_ahead_are_the_same_and_the_thread_ends():
    settings = config()
    with Ahead(PatchSampler(data(toy()), settings), 2, 9) as ahead:
        for k in range(2, 6):
            assert same(ahead.batch(k), batch_of([toy()], settings, k))
        with pytest.raises(ValueError, match="step 6 is next, asked for 8"):
            ahead.batch(8)
        thread = ahead._thread
    assert not thread.is_alive()


def test_what_fails_in_the_thread_is_raised_where_the_batch_is_asked_for():
    class Broken(Archive):
        def __getitem__(self, index):
            msg = "a.nc: u10 at 2020-01-01T06:00:00 has 1 missing values"
            raise InputError(msg)

    with (
        Ahead(PatchSampler(TrainingData((Broken(3),)), config()), 0, 5) as ahead,
        pytest.raises(InputError, match="u10 at 2020"),
    ):
        ahead.batch(0)
