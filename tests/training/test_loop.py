"""Training: patches, the mirror, hidden times, a loss that falls, and states that resume bit for bit."""

import errno
import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors import SafetensorError

from tests.prior.toys import assert_same, batch_of, config, data, states, toy
from tests.worlds import noise, random_conditions
from zssd_cli.errors import ConfigError, Diverged, OutputError, WeightsError
from zssd_cli.prior.checkpoint import read_safetensors, write_safetensors
from zssd_cli.training.batches import Ahead, PatchSampler, TrainingField
from zssd_cli.training.loop import Trainer, run_training, weighted_error


def batches(*fields, **changes):
    return PatchSampler(data(*fields), config(**changes))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_time_dropout_of_one_trains_a_prior_without_times(share):
    assert Trainer(config(time_dropout=share)).denoiser.time_known == (share < 1)


def test_the_weighted_error_of_knowing_nothing_is_one():
    """lambda |D - x0|^2 = (sigma^2 + 1) / sigma^2 |0 - x0|^2 -> 1 for white data of unit variance at high noise."""
    field = toy()
    white = TrainingField(torch.randn(3, 40, 48), field.static, field.time, True)
    batch = batch_of([white], config(batch=64))
    fresh = Trainer(config()).denoiser
    error = weighted_error(fresh, batch)
    assert error.shape == (64, 3)
    # a fresh network is the best linear guess x / (1 + sigma^2): error sigma^2 / (1 + sigma^2) of unit data
    assert float(error.mean().detach()) == pytest.approx(1.0, abs=0.1)


def test_the_loss_falls_and_the_average_follows():
    changes = {"steps": 120, "batch": 4, "warmup": 10, "time_dropout": 0.0}
    trainer, fields, given = Trainer(config(**changes)), data(toy()), batches(toy(), **changes)
    before = trainer.validate(fields, 2)
    losses = [trainer.train_step(given) for _ in range(120)]
    after = trainer.validate(fields, 2)
    assert sum(losses[-40:]) < sum(losses[:40])
    for level, share in (("0.1", 0.7), ("0.5", 0.7), ("2", 0.8)):
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
    state = tmp_path / "state"
    whole = Trainer(config())
    list(run_training(whole, batches(toy(), toy(False)), None, tmp_path / "whole"))
    first = Trainer(config())
    for now in run_training(first, batches(toy(), toy(False)), None, state):
        if now.step == split:
            break
    assert first.step == split
    torch.manual_seed(99)
    second = Trainer(config())
    second.load(state)
    assert_same(first, second)
    steps = [now.step for now in run_training(second, batches(toy(), toy(False)), None, state)]
    assert steps == list(range(split + 1, 7))
    assert_same(whole, second)


def test_validation_does_not_disturb_the_training(tmp_path):
    quiet, watched = Trainer(config()), Trainer(config(validate_every=1))
    list(run_training(quiet, batches(toy()), None, tmp_path / "a"))
    seen = [now.validation for now in run_training(watched, batches(toy()), data(toy()), tmp_path / "b")]
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
    run = run_training(trainer, batches(toy()), None, state)
    next(run)
    run.close()
    good = state.read_bytes()

    def die(path, *_):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("zssd_cli.training.state.write_safetensors", die)
    run = run_training(trainer, batches(toy()), None, state)
    next(run)
    with pytest.raises(KeyboardInterrupt):
        run.close()
    assert state.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_failing_step_keeps_what_was_learned(tmp_path):
    state = tmp_path / "state"

    class Failing:
        def batch(self, step):
            if step == 2:
                msg = "disk gone"
                raise RuntimeError(msg)
            return batches(toy()).batch(step)

    trainer = Trainer(config())
    with pytest.raises(RuntimeError, match="disk gone"):
        list(run_training(trainer, Failing(), None, state))
    resumed = Trainer(config())
    resumed.load(state)
    assert resumed.step == 2
    assert_same(trainer, resumed)


def test_stop_is_asked_before_every_step(tmp_path):
    trainer = Trainer(config())
    assert [
        now.step for now in run_training(trainer, batches(toy()), None, tmp_path / "s", lambda: trainer.step >= 2)
    ] == [1, 2]


def absent(field, index):
    values = field.values.clone()
    values[index] = torch.nan
    return TrainingField(values, field.static, field.time, field.circular)


def test_an_absent_variable_has_no_weight():
    """What stands in its place changes neither loss nor gradients, and its own errors are not counted."""
    batch = batch_of([absent(toy(), 1)], config(batch=4))
    spoiled = batch.clean.clone()
    spoiled[:, 1] = 7.0
    results = []
    for one in (batch, replace(batch, clean=spoiled)):
        trainer = Trainer(config(batch=4))
        with torch.no_grad():
            trainer.denoiser.network.out.weight.normal_(generator=torch.Generator().manual_seed(0))

        class Given:
            def batch(self, step, one=one):
                return one

        loss = trainer.train_step(Given())
        results.append((loss, trainer.losses, states(trainer)))
    (loss, losses, ours), (other, others, theirs) = results
    assert loss == other
    assert losses == others
    assert set(losses) == {"msl", "v10"}
    assert loss == pytest.approx((losses["msl"] + losses["v10"]) / 2)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_losses_of_the_variables_make_up_the_loss():
    trainer = Trainer(config(batch=4))
    loss = trainer.train_step(batches(toy(), batch=4))
    assert set(trainer.losses) == {"msl", "u10", "v10"}
    assert loss == pytest.approx(sum(trainer.losses.values()) / 3)


def test_batches_made_ahead_train_the_same(tmp_path):
    plain, ahead = Trainer(config()), Trainer(config())
    list(run_training(plain, batches(toy()), None, tmp_path / "a"))
    with Ahead(batches(toy()), 0, 6) as given:
        list(run_training(ahead, given, None, tmp_path / "b"))
    assert_same(plain, ahead)


def test_a_full_disk_is_one_line_and_keeps_the_last_good_state(tmp_path, monkeypatch):
    state, trainer = tmp_path / "state", Trainer(config())
    trainer.save(state)
    good = state.read_bytes()

    def full(tensors, path, meta):
        path.write_bytes(b"half")
        msg = "Error while serializing: I/O error: No space left on device (os error 28)"
        raise SafetensorError(msg)

    monkeypatch.setattr("zssd_cli.prior.checkpoint.save_file", full)
    trainer.train_step(batches(toy()))
    with pytest.raises(OutputError, match="state.*at step 1: No space left.*last good one is kept.*--resume") as caught:
        trainer.save(state)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert state.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_state_of_before_a_setting_existed_still_loads(tmp_path):
    trainer = Trainer(config())
    trainer.train_step(batches(toy()))
    trainer.save(tmp_path / "state")
    tensors, meta = read_safetensors(tmp_path / "state")
    settings = json.loads(meta["config"])
    for name in ("patches_per_field", "log_every", "lowpass_km", "more"):
        del settings[name]
    write_safetensors(tmp_path / "state", tensors, meta | {"config": json.dumps(settings)})
    old = Trainer(config())
    old.load(tmp_path / "state")
    assert_same(trainer, old)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"config": '{"surprise": 1}'}, "another version of zssd, its settings"),
        ({"format": "zssd-training-2"}, "expected a training state .zssd-training-1., got 'zssd-training-2'"),
        ({"step": "many"}, "damaged or of another version"),
        ({"data": "others"}, "other training files, static fields or --from"),
    ],
)
def test_the_state_of_another_version_is_one_line(tmp_path, change, match):
    Trainer(config()).save(tmp_path / "state")
    tensors, meta = read_safetensors(tmp_path / "state")
    write_safetensors(tmp_path / "state", tensors, meta | change)
    with pytest.raises(WeightsError, match=match) as caught:
        Trainer(config()).load(tmp_path / "state")
    assert "\n" not in str(caught.value)


def test_a_state_without_a_tensor_is_one_line(tmp_path):
    Trainer(config()).save(tmp_path / "state")
    tensors, meta = read_safetensors(tmp_path / "state")
    tensors.pop("model.network.out.weight")
    write_safetensors(tmp_path / "state", tensors, meta)
    with pytest.raises(WeightsError, match="damaged or of another version.*out.weight"):
        Trainer(config()).load(tmp_path / "state")


def test_a_loss_that_is_not_finite_names_the_step():
    trainer = Trainer(config())
    with torch.no_grad():
        trainer.denoiser.network.out.bias.fill_(torch.inf)
    with pytest.raises(ConfigError, match="not finite at step 0.*--learning-rate"):
        trainer.train_step(batches(toy()))


@pytest.mark.parametrize("broken", ["loss", "gradient", "state"])
def test_a_training_that_diverges_keeps_the_last_good_state(tmp_path, monkeypatch, broken):
    state, trainer = tmp_path / "state", Trainer(config())
    trainer.save(state)
    good = state.read_bytes()
    bias = trainer.denoiser.network.out.bias
    if broken == "gradient":
        bias.register_hook(lambda gradient: gradient * torch.inf)
    elif broken == "loss":
        bias.data.fill_(torch.inf)
    else:
        step = trainer.optimiser.step
        monkeypatch.setattr(trainer.optimiser, "step", lambda: (step(), bias.data.fill_(torch.nan)))
    with pytest.raises(Diverged, match=f"{broken} is not finite at step .*--learning-rate") as caught:
        list(run_training(trainer, batches(toy()), None, state, lambda: trainer.step >= 1))
    assert "\n" not in str(caught.value)
    assert state.read_bytes() == good
    assert bool(bias.isfinite().all()) == (broken == "gradient")


def test_validation_takes_no_larger_batch_than_it_needs(monkeypatch):
    sizes = []
    monkeypatch.setattr(
        "zssd_cli.training.loop.weighted_error",
        lambda _, batch: sizes.append(len(batch.clean)) or torch.ones(len(batch.clean), 3),
    )
    assert set(Trainer(config(batch=20)).validate(data(toy()), 1).values()) == {1.0}
    assert set(sizes) == {16}


def test_detail_scales_reach_the_average_and_survive(tmp_path):
    trainer, scales = Trainer(config()), torch.rand(3, 3) + 0.1
    trainer.set_detail_scales(scales)
    trainer.train_step(batches(toy()))
    trainer.save(tmp_path / "state")
    other = Trainer(config())
    other.load(tmp_path / "state")
    for denoiser in (trainer.denoiser, trainer.average, other.denoiser, other.average):
        assert torch.equal(denoiser.detail_std, scales)


def test_starting_from_a_prior():
    from tests.prior.test_checkpoint import make_prior

    prior, trainer = make_prior(), Trainer(config())
    trainer.start_from(prior)
    x, conditions = noise(1, 3, 16, 16), random_conditions(16, 16)
    for denoiser in (trainer.denoiser, trainer.average):
        torch.testing.assert_close(
            denoiser(x, torch.tensor(0.5), conditions), prior.denoiser(x, torch.tensor(0.5), conditions)
        )
    trainer.train_step(batches(toy()))
