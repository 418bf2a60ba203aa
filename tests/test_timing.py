"""Timings by a clock of the test's own, and how they read."""

import math

import pytest

from zssd_cli import timing
from zssd_cli.timing import amount, duration, span, timed


@pytest.fixture
def clock(monkeypatch):
    """Work that takes so many seconds at each call; the first call warms up."""

    def start(*seconds):
        now, taken = [0.0], iter(seconds)
        monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])

        def work():
            now[0] += next(taken)

        return work

    return start


def test_the_fastest_and_the_median_after_a_call_that_warms_up(clock):
    found = timed(clock(100, 3, 1, 50, 2, 4), repeats=5, enough=math.inf)
    assert (found.fastest, found.usual, found.count) == (1, 3, 5)


def test_slow_work_is_measured_less_often(clock):
    assert timed(clock(*[4.0] * 10)).count == timing.LEAST
    assert timed(clock(*[0.8] * 20)).count == 7
    assert timed(clock(*[0.01] * 20)).count == timing.REPEATS


def test_words():
    assert [duration(s) for s in (4.71, 59.4, 180, 9000)] == ["4.7 s", "59 s", "3 min", "2.5 h"]
    assert span(170, 190) == "3 min"
    assert span(3, 200) == "3.0 s to 3 min"
    assert [amount(n) for n in (8, 160_000, 1_280_000)] == ["8", "160,000", "1.28 million"]
