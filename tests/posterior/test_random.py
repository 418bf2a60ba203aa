"""The random stream is a function of seed, member and time, and of nothing else."""

import math
from datetime import timedelta

import cftime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zssd_cli.posterior.random import (
    TILE,
    NoiseStream,
    Window,
    ar1_weights,
    noise_weights,
    smooth_correlation,
    smooth_weights,
)

WINDOW = Window(south=110, west=1420, rows=20, columns=30)
SHAPE = (3, WINDOW.rows, WINDOW.columns)
DATE = cftime.datetime(2010, 1, 30, 6, calendar="noleap")


def draws(seed, keys, count=3, window=WINDOW):
    stream = NoiseStream(seed, keys, 3, window)
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


@pytest.mark.parametrize(
    "other",
    [Window(100, 1400, 60, 100), Window(115, 1425, 200, 7), Window(119, -12, 1, 22), Window(-300, 0, 1000, 1440)],
    ids=["around", "inside", "a turn further", "globe"],
)
def test_windows_agree_where_they_overlap(other):
    """The noise belongs to the cell of the globe, at every draw."""
    one, two = (draws(3, [(1, 2)], window=window) for window in (WINDOW, other))
    globe = []
    for window, values in ((WINDOW, one), (other, two)):
        whole = torch.full((3, 3, 1441, 1440), float("nan"))
        rows = torch.arange(window.south, window.south + window.rows) + 300
        columns = torch.arange(window.west, window.west + window.columns) % 1440
        whole[:, :, rows[:, None], columns] = values[:, 0]
        globe.append(whole)
    both = ~(globe[0].isnan() | globe[1].isnan())
    assert both.any()
    assert torch.equal(globe[0][both], globe[1][both])


def test_a_window_wider_than_the_globe_repeats_it():
    noise = draws(3, [(0, 0)], 1, Window(10, -160, 2, 1440 + 320))
    assert torch.equal(noise[..., :320], noise[..., 1440:])


def test_tiles_are_independent():
    noise = draws(3, [(0, 0)], 1, Window(0, 0, 2 * TILE, 4 * TILE))[0, 0, 0]
    tiles = noise.unfold(0, TILE, TILE).unfold(1, TILE, TILE).reshape(8, -1)
    assert float((torch.corrcoef(tiles) - torch.eye(8)).abs().max()) < 0.07


def correlation(one: dict[int, float], other: dict[int, float]) -> float:
    """Of two mixtures of independent unit fields, exactly."""
    return sum(weight * other.get(point, 0.0) for point, weight in one.items())


@given(
    st.integers(-(10**11), 10**12),
    st.integers(0, 10**7),
    st.sampled_from([0.1, 1.0, 6.0, 24.0, 240.0]),
)
def test_ar1_has_the_exact_correlation_at_any_lag(second, lag, hours):
    """Closed form, no draws: variance 1 and exp(-lag / tau), but for e^-16 where a lattice point lies between."""
    tau = 3600 * hours
    one, other = ar1_weights(second, tau), ar1_weights(second + lag, tau)
    assert correlation(one, one) == pytest.approx(1, abs=1e-6)
    assert correlation(one, other) == pytest.approx(math.exp(-lag / tau), abs=1e-6)


@given(
    st.integers(-(10**11), 10**12),
    st.floats(0, 4),
    st.sampled_from([0.1, 1.0, 6.0, 24.0, 240.0]),
)
def test_smooth_noise_has_variance_one_and_one_correlation_at_all_times(second, lag, hours):
    """Closed form, no draws, in the lag over HOURS; a lattice of five points leaves .008."""
    tau = 3600 * hours
    steps = round(lag * tau)
    one, other = smooth_weights(second, tau), smooth_weights(second + steps, tau)
    assert correlation(one, one) == pytest.approx(1, abs=1e-12)
    assert correlation(one, other) == pytest.approx(smooth_correlation(steps, tau), abs=0.01)
    assert len(one) == 5
    if lag > 3.2:
        assert not one.keys() & {k for k, weight in other.items() if weight > 1e-12}


def test_the_correlation_of_smooth_noise():
    """1/e after HOURS, flat at lag 0 (twice the lag, four times the loss), nothing after 2.62 HOURS."""
    got = [smooth_correlation(lag, 6.0) for lag in (0, 0.1, 0.2, 6, 15.8, 100)]
    assert got[0] == pytest.approx(1, abs=1e-12)
    assert (1 - got[2]) / (1 - got[1]) == pytest.approx(4, rel=0.01)
    assert got[3] == pytest.approx(math.exp(-1), abs=1e-4)
    assert got[4:] == pytest.approx([0, 0], abs=1e-12)


def test_smooth_noise_glides():
    """The change from one time to the next hardly differs from the one before it, where ar1 turns anew at every step."""
    turns = {}
    for kind in ("smooth:6", "ar1:6"):
        first, second = (series(kind, hours)[0] for hours in ([0, 0.5], [0.5, 1]))
        change, next_change = first[1] - first[0], second[1] - second[0]
        turns[kind] = float(
            (change * next_change).mean() / (change.square().mean() * next_change.square().mean()).sqrt()
        )
    assert turns["smooth:6"] > 0.95
    assert abs(turns["ar1:6"]) < 0.1


def test_six_hourly_noise_needs_few_fields():
    assert max(len(ar1_weights(3600 * hour, 24 * 3600.0)) for hour in range(0, 2000, 6)) <= 11


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "standard", "proleptic_gregorian"])
def test_true_time_differences_in_every_calendar(calendar):
    """From 12 h before to 12 h after the end of February: another lag in each calendar."""
    last = 30 if calendar == "360_day" else 28
    one, other = (cftime.datetime(2012, m, d, 12, calendar=calendar) for m, d in ((2, last), (3, 1)))
    days = {"360_day": 1, "noleap": 1}.get(calendar, 2)
    got = correlation(noise_weights(one, "ar1:24"), noise_weights(other, "ar1:24"))
    assert got == pytest.approx(math.exp(-days), abs=1e-6)
    got = correlation(noise_weights(one, "smooth:24"), noise_weights(other, "smooth:24"))
    assert got == pytest.approx(smooth_correlation(days, 1), abs=0.01)


@pytest.mark.parametrize("calendar", ["360_day", "standard"])
def test_smooth_noise_of_hours_leaves_days_independent(calendar):
    dates = [cftime.datetime(1850 + k, 1 + k, 3, 12, calendar=calendar) for k in range(3)]
    dates += [date + timedelta(days=1) for date in dates]
    names = [set(noise_weights(date, "smooth:8")) for date in dates]
    assert len(set.union(*names)) == sum(map(len, names))


@pytest.mark.parametrize(
    "kind", ["ar1", "ar1:", "ar1:x", "ar1:-3", "ar1:0", "ar1:nan", "ar2:3", "smooth", "smooth:0", "", "Fixed"]
)
def test_other_kinds_are_refused(kind):
    with pytest.raises(ValueError, match="expected smooth:HOURS"):
        noise_weights(DATE, kind)


def series(kind, hours, members=(0,), seed=3):
    dates = [DATE + timedelta(hours=h) for h in hours]
    keys = [(m, noise_weights(date, kind)) for date in dates for m in members]
    return draws(seed, keys, 2)


@pytest.mark.parametrize("kind", ["independent", "fixed", "ar1:24", "smooth:9"])
def test_a_series_in_two_jobs_is_the_same_series(kind):
    hours = [0, 6, 12, 15, 18, 42]
    whole = series(kind, hours, (0, 1))
    assert torch.equal(whole[:, 6:], series(kind, hours[3:], (0, 1)))
    assert torch.equal(whole[:, ::2], series(kind, hours))
    assert torch.equal(whole[:, :4], series(kind, hours[:2], (0, 1)))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("independent", [0, 0, 0]),
        ("fixed", [1, 1, 1]),
        ("ar1:24", [math.exp(-h / 24) for h in (6, 18, 48)]),
        ("smooth:12", [smooth_correlation(h, 12) for h in (6, 18, 48)]),
    ],
)
def test_drawn_noise_is_unit_white_in_space_and_correlated_in_time(kind, expected):
    """At every draw of the sampler, not only at the first."""
    noise = series(kind, [0, 6, 18, 48])
    assert noise.square().mean((2, 3, 4)).numpy() == pytest.approx(1, abs=0.1)
    for draw in noise:
        measured = (draw[:1] * draw[1:]).mean((1, 2, 3)) / draw.square().mean()
        assert measured.numpy() == pytest.approx(expected, abs=0.08)
        assert abs(float((draw[..., 1:] * draw[..., :-1]).mean())) < 0.06
    assert abs(float((noise[0] * noise[1]).mean())) < 0.05


def test_a_mixture_is_summed_in_one_order_whatever_the_batch():
    """Sums of three floats hang on their order in the last bit."""
    ours, theirs = {3: 0.3, 1: 0.6, 2: 0.74}, {2: 0.5, 3: 0.5, 1: 0.7}
    alone = draws(1, [(0, ours)])
    assert torch.equal(draws(1, [(0, theirs), (0, ours)])[:, 1:], alone)
    assert torch.equal(draws(1, [(0, dict(sorted(ours.items())))]), alone)
