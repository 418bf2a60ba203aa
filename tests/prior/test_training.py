"""Training: patches, the mirror, hidden times, a loss that falls, and states that resume bit for bit."""

import math

import pytest
import torch

from tests.worlds import TINY
from zssd_cli.config import TrainConfig
from zssd_cli.errors import WeightsError
from zssd_cli.prior.training import Trainer, TrainingField, run_training, sample_batch, weighted_error

torch.set_num_threads(1)
SETTINGS = {"network": TINY, "patch": 16, "batch": 2, "steps": 6, "warmup": 2, "learning_rate": 3e-3}


def config(**changes):
    return TrainConfig(**(SETTINGS | changes))


def toy(circular=True, rows=40, columns=48, south=20.0):
    """A field that says where it is: row and column in the first variables, smooth and cheap."""
    lat = south + 0.25 * torch.arange(rows)
    y, x = torch.meshgrid(lat.deg2rad(), 2 * math.pi * torch.arange(columns) / columns, indexing="ij")
    values = torch.stack([x.sin() * (8 * y).cos(), x.cos(), (x + 9 * y).sin()])
    static = torch.stack([y, x, y.sin(), y.cos()])
    return TrainingField(values, static, torch.tensor([0.3, 0.25]), circular)


def states(trainer):
    parts = trainer.denoiser, trainer.ema, trainer.log_variance
    flat = {f"{k}.{name}": v for k, part in enumerate(parts) for name, v in part.state_dict().items()}
    for index, state in trainer.optimiser.state_dict()["state"].items():
        flat |= {f"optimiser.{index}.{name}": v for name, v in state.items()}
    return flat


def assert_same(first, second):
    assert first.step == second.step
    ours, theirs = states(first), states(second)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]), key


def test_a_batch_is_a_function_of_its_seed():
    first, second, other = (sample_batch([toy()], config(), seed) for seed in ((0, 5), (0, 5), (0, 6)))
    for name in ("clean", "sigma", "noise"):
        assert torch.equal(getattr(first, name), getattr(second, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))
    assert first.clean.shape == (2, 3, 16, 16)
    assert first.conditions.static.shape == (2, 4, 16, 16)


@pytest.mark.parametrize("circular", [True, False])
def test_patches_are_pieces_of_the_field_with_their_own_conditions(circular):
    field = toy(circular)
    batch = sample_batch([field], config(batch=64, mirror=False), (0, 0))
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
    field = toy(rows=240, south=29.0)
    batch = sample_batch([field], config(batch=2000, mirror=False), (0, 0))
    middle = batch.conditions.static[:, 0].mean((1, 2))
    low, high = math.radians(31), math.radians(87)
    # uniform in area: sin(latitude) is uniform
    share = float((middle.sin() < (math.sin(low) + math.sin(high)) / 2).float().mean())
    assert share == pytest.approx(0.5, abs=0.05)


def test_the_mirror_turns_the_northward_wind_and_the_coriolis_parameter():
    batch = sample_batch([toy()], config(batch=64), (0, 0))
    plain = sample_batch([toy()], config(batch=64), (0, 0))
    mirrored = batch.conditions.static[:, 2].mean((1, 2)) < 0
    assert 10 < int(mirrored.sum()) < 54
    field = toy()
    for clean, static in zip(plain.clean[mirrored], plain.conditions.static[mirrored], strict=True):
        row = int((field.static[0, :, 0] - static[0, -1, 0]).abs().argmin())
        column = int((field.static[1, 0] - static[1, 0, 0]).abs().argmin())
        columns = torch.arange(column, column + 16) % 48
        source = field.values[:, row : row + 16][:, :, columns].flip(1)
        assert torch.equal(clean, source * torch.tensor([1.0, 1.0, -1.0])[:, None, None])
        conditions = field.static[:, row : row + 16][:, :, columns].flip(1)
        assert torch.equal(static, conditions * torch.tensor([1.0, 1.0, -1.0, 1.0])[:, None, None])
    assert not (sample_batch([toy()], config(batch=64, mirror=False), (0, 0)).conditions.static[:, 2] < 0).any()


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_time_dropout(share):
    batch = sample_batch([toy()], config(batch=400, time_dropout=share), (0, 0))
    hidden = batch.conditions.time.isnan()
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    assert float(hidden[:, 0].float().mean()) == pytest.approx(share, abs=0.07 if 0 < share < 1 else 0)
    assert Trainer(config(time_dropout=share)).denoiser.time_known == (share < 1)


def test_the_data_is_not_changed():
    field = toy()
    values, static = field.values.clone(), field.static.clone()
    sample_batch([field], config(batch=32), (0, 0))
    assert torch.equal(field.values, values)
    assert torch.equal(field.static, static)


def test_the_weighted_error_of_knowing_nothing_is_one():
    """lambda |D - x0|^2 = (sigma^2 + 1) / sigma^2 |0 - x0|^2 -> 1 for white data of unit variance at high noise."""
    field = toy()
    white = TrainingField(torch.randn(3, 40, 48), field.static, field.time, True)
    batch = sample_batch([white], config(batch=64), (0, 0))
    fresh = Trainer(config()).denoiser
    error = weighted_error(fresh, batch)
    assert error.shape == (64, 3)
    # a fresh network is the best linear guess x / (1 + sigma^2): error sigma^2 / (1 + sigma^2) of unit data
    assert float(error.mean().detach()) == pytest.approx(1.0, abs=0.1)


def test_the_loss_falls_and_the_average_follows():
    trainer = Trainer(config(steps=120, batch=4, warmup=10, time_dropout=0.0))
    fields = [toy()]
    before = trainer.validate(fields, 2)
    losses = [trainer.train_step(fields) for _ in range(120)]
    after = trainer.validate(fields, 2)
    assert sum(losses[-40:]) < sum(losses[:40])
    for level, share in (("0.5", 0.95), ("2", 0.65), ("10", 0.55)):
        assert after[level] < share * before[level]
    assert trainer.validate(fields, 2) == after


def test_learning_rate_warms_up_and_ends_low():
    trainer = Trainer(config(steps=100, warmup=10, learning_rate=1.0))
    rates = []
    for trainer.step in range(100):
        rates.append(trainer.learning_rate())
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) == rates[9]
    assert all(a > b for a, b in zip(rates[9:], rates[10:], strict=False))
    assert rates[-1] == pytest.approx(0.01, abs=0.002)


@pytest.mark.parametrize("split", [1, 3])
def test_a_resumed_training_repeats_an_unbroken_one_bit_for_bit(tmp_path, split):
    fields, state = [toy(), toy(False)], tmp_path / "state"
    whole = Trainer(config())
    list(run_training(whole, fields, [], tmp_path / "whole"))
    first = Trainer(config())
    for now in run_training(first, fields, [], state):
        if now.step == split:
            break
    assert first.step == split
    torch.manual_seed(99)
    second = Trainer(config())
    second.load(state)
    assert_same(first, second)
    steps = [now.step for now in run_training(second, fields, [], state)]
    assert steps == list(range(split + 1, 7))
    assert_same(whole, second)


def test_validation_does_not_disturb_the_training(tmp_path):
    quiet, watched = Trainer(config()), Trainer(config(validate_every=1))
    list(run_training(quiet, [toy()], [], tmp_path / "a"))
    seen = [now.validation for now in run_training(watched, [toy()], [toy()], tmp_path / "b")]
    assert all(v is not None and all(math.isfinite(x) for x in v.values()) for v in seen)
    assert_same(quiet, watched)


def test_seed_decides_the_start():
    first, second, other = (states(Trainer(config(seed=seed))) for seed in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"patch": 24}, "patch"),
        ({"seed": 1}, "seed"),
        ({"variables": ("msl", "u10")}, "variables"),
    ],
)
def test_the_state_of_other_settings_is_refused(tmp_path, change, name):
    Trainer(config()).save(tmp_path / "state")
    with pytest.raises(WeightsError, match=f"other settings.*{name}") as caught:
        Trainer(config(**change)).load(tmp_path / "state")
    assert "\n" not in str(caught.value)


def test_how_often_to_save_may_change(tmp_path):
    Trainer(config()).save(tmp_path / "state")
    Trainer(config(checkpoint_minutes=1.0, validate_every=3)).load(tmp_path / "state")


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", None])
def test_a_broken_state_is_one_line(tmp_path, content):
    state = tmp_path / "state"
    if content is not None:
        state.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        Trainer(config()).load(state)
    assert "\n" not in str(caught.value)


def test_dying_while_saving_leaves_the_last_good_state(tmp_path, monkeypatch):
    state, trainer = tmp_path / "state", Trainer(config())
    run = run_training(trainer, [toy()], [], state)
    next(run)
    run.close()
    good = state.read_bytes()

    def die(path, *_):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("zssd_cli.prior.training.write_safetensors", die)
    run = run_training(trainer, [toy()], [], state)
    next(run)
    with pytest.raises(KeyboardInterrupt):
        run.close()
    assert state.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_failing_step_keeps_what_was_learned(tmp_path):
    state = tmp_path / "state"

    class Failing(list):
        def __getitem__(self, index):
            if trainer.step == 2:
                msg = "disk gone"
                raise RuntimeError(msg)
            return super().__getitem__(index)

    trainer = Trainer(config())
    with pytest.raises(RuntimeError, match="disk gone"):
        list(run_training(trainer, Failing([toy()]), [], state))
    resumed = Trainer(config())
    resumed.load(state)
    assert resumed.step == 2
    assert_same(trainer, resumed)


def test_stop_is_asked_before_every_step(tmp_path):
    trainer = Trainer(config())
    assert [now.step for now in run_training(trainer, [toy()], [], tmp_path / "s", lambda: trainer.step >= 2)] == [1, 2]
