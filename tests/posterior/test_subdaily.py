"""Moments given their days' means, against the textbook's conditional Gaussian."""

from types import SimpleNamespace

import cftime
import numpy as np
import pytest
import torch

from zssd_cli.posterior.random import noise_weights
from zssd_cli.posterior.subdaily import LASTS, REACH, Moments, Paths

A_DAY = 4


def series(days) -> Moments:
    times = tuple(
        cftime.datetime(2001, 2, 27 + day, 12, calendar="noleap")
        if day < 2
        else cftime.datetime(2001, 3, day - 1, 12, calendar="noleap")
        for day in days
    )
    return Moments(SimpleNamespace(times=times, time_bounds=None, variables=("x",)), 24 // A_DAY, ("x",))


class Draws(Paths):
    """With free draws of one block from the exact covariance in time, many at once in place of blocks."""

    def __init__(self, moments: Moments, means: np.ndarray, draws: int) -> None:
        super().__init__(
            moments,
            (0,),
            SimpleNamespace(fields=SimpleNamespace(device="cpu")),
            None,
            0,
            lambda first, _: means[first // A_DAY][None],
        )
        weights = [noise_weights(time, LASTS) for time in moments.times]
        points = sorted({point for one in weights for point in one})
        matrix = np.array([[one.get(point, 0.0) for point in points] for one in weights])
        self.rho = matrix @ matrix.T
        units = np.random.default_rng(0).standard_normal((len(points), draws))
        self._all = torch.as_tensor((matrix @ units)[:, None, None])

    def _draw(self, day: int, member: int) -> torch.Tensor:
        return self._all[day * A_DAY : (day + 1) * A_DAY]


def test_draws_are_those_of_the_conditional_gaussian() -> None:
    moments, draws = series(range(2 * REACH + 1)), 40_000
    means = np.array([0.3, -1.0, 2.0, 0.5, -0.2])[:, None, None, None] * np.ones((1, 1, 1, draws))
    paths = Draws(moments, means, draws)
    middle = range(REACH * A_DAY, (REACH + 1) * A_DAY)
    ours = paths(middle, range(1))[:, 0, 0].numpy()
    average = np.kron(np.eye(5), np.full((1, A_DAY), 1 / A_DAY))
    gain = paths.rho @ average.T @ np.linalg.inv(average @ paths.rho @ average.T)
    expected, spread = gain @ means[:, 0, 0, 0], paths.rho - gain @ average @ paths.rho
    np.testing.assert_allclose(ours.mean(1), expected[middle], atol=0.01)
    np.testing.assert_allclose(np.cov(ours), spread[middle][:, middle], atol=0.01)
    np.testing.assert_allclose(ours.mean(0), 2.0, atol=1e-10)


@pytest.mark.parametrize("days", [(0,), (0, 1), (0, 1, 2, 3, 4, 5), (0, 1, 4, 5, 20)])
def test_every_day_keeps_its_mean_with_any_neighbours(days) -> None:
    moments = series(days)
    means = np.random.default_rng(1).standard_normal((len(days), 1, 1, 7))
    means[-1, ..., 3:5] = np.nan
    paths = Draws(moments, means, 7)
    got = paths(range(A_DAY * len(days)), range(1)).numpy().reshape(len(days), A_DAY, 7).mean(1)
    np.testing.assert_allclose(got, means[:, 0, 0], atol=1e-9)


def test_paths_glide_over_midnight() -> None:
    moments, draws = series(range(6)), 2000
    paths = Draws(moments, np.zeros((6, 1, 1, draws)), draws)
    path = paths(range(24), range(1))[:, 0, 0].numpy()
    steps = np.sqrt(((path[1:] - path[:-1]) ** 2).mean(1))
    across, within = steps[3::4], np.delete(steps, np.s_[3::4])
    assert across.max() < 1.2 * within.max()
