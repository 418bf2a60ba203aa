r"""The random stream: a function of (seed, member, time, cell of the globe), whatever the batch, the region or the number of members.

The globe is cut into tiles of TILE x TILE cells with a stream each, so that regions agree where they overlap.

The noise of one time is a sum of independent unit fields, each named by a point in time and scaled by a weight:

* ``independent``: one field, named by the date. Consecutive times are independent draws.
* ``fixed``: one field, the same at all times: what changes comes from the input.
* ``smooth:HOURS``: a weighted mean of independent fields at even points of time, five at any time. Fields glide from one
  to the next: the noise has a derivative in time, as weather has, and times further apart than the kernel is wide
  (2.6 HOURS) are independent. With points :math:`t_k` a fifth of the width 2 L of the kernel apart,

  .. math:: n(t) = \sqrt{8/15} \sum_k \cos^2\!\left(\frac{\pi (t - t_k)}{2 L}\right) \xi_k, \qquad |t - t_k| < L,

  has variance 1 exactly (a Hann window squared has two harmonics, and five even points add both up to nothing) and, to
  .008, the same correlation at every time, :func:`smooth_correlation`. L is such that it is 1/e after HOURS.
* ``ar1:HOURS``: correlation :math:`e^{-|t - s| / \tau}` between the noise of times t and s. The stationary process with
  this correlation (Ornstein and Uhlenbeck's, AR(1) at even steps) is Markov, so given its values at the ends of an
  interval, the value inside is a known mixture of them plus an independent part. Lévy's construction halves intervals
  from a fixed coarse lattice down to the wanted time: about ten fields make any time, in any order, alone. Only the
  lattice's own points are taken as independent although their correlation is :math:`e^{-16}`; everything else is exact.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cftime
import numpy as np
import torch
from torch import Tensor

from zssd_cli.config import efolding_hours
from zssd_cli.grids.latlon import FINE_STEP, LatLonGrid

LATTICE = 16
"""Spacing of the coarse lattice of ``ar1`` in e-folding times, at least."""
POINTS = 5
"""Fields that ``smooth`` adds up."""
EFOLDING = 0.76368
"""Lag, in half widths of the kernel of ``smooth``, at which its correlation is 1/e."""
TILE = 60
"""Cells along a side of a tile; divides the 1440 cells of a circle of latitude."""
AROUND = 1440
_YEARS = 20_000
"""Added to years, so that the numbers that name dates are not negative."""


def time_key(time: cftime.datetime) -> int:
    """An integer that names a date in any calendar."""
    minutes = (((time.year + _YEARS) * 12 + time.month) * 31 + time.day) * 1440 + time.hour * 60 + time.minute
    return minutes * 60 + time.second


def elapsed_seconds(time: cftime.datetime) -> int:
    """Whole seconds since year 1 in the date's own calendar, so that differences are true time differences."""
    start = cftime.datetime(1, 1, 1, calendar=time.calendar, has_year_zero=time.has_year_zero)
    return round((time - start).total_seconds())


def ar1_weights(second: int, tau: float) -> dict[int, float]:
    r"""The noise at a time as a mixture of independent unit fields named by points in time.

    Parameters
    ----------
    second
        The time in seconds.
    tau
        e-folding time in seconds.

    Returns
    -------
    Point -> weight. Squares add up to 1; the sum of products with another time's weights is their correlation.
    """
    spacing = 3600 * 2 ** max(0, math.ceil(math.log2(LATTICE * tau / 3600)))
    low = second // spacing * spacing
    high = low + spacing
    at_low, at_high = {low: 1.0}, {high: 1.0}
    while low < second < high:
        middle = (low + high) // 2
        before, after = math.exp(-(middle - low) / tau), math.exp(-(high - middle) / tau)
        new_before, new_after = -math.expm1(-2 * (middle - low) / tau), -math.expm1(-2 * (high - middle) / tau)
        new = -math.expm1(-2 * (high - low) / tau)
        # the process at the middle given both ends (a Gaussian bridge)
        value = {point: before * new_after / new * weight for point, weight in at_low.items()}
        for point, weight in at_high.items():
            value[point] = value.get(point, 0.0) + after * new_before / new * weight
        value[middle] = math.sqrt(new_before * new_after / new)
        if second < middle:
            high, at_high = middle, value
        else:
            low, at_low = middle, value
    return at_low if second == low else at_high


def smooth_weights(second: int, tau: float) -> dict[int, float]:
    """The noise at a time as a smoothly moving mean of independent unit fields named by numbers of points in time.

    Parameters
    ----------
    second
        The time in seconds.
    tau
        e-folding time in seconds.

    Returns
    -------
    Point -> weight, as of :func:`ar1_weights`.
    """
    spacing = max(1, round(2 * tau / EFOLDING / POINTS))
    nearest, scale = (2 * second + spacing) // (2 * spacing), math.sqrt(8 / (3 * POINTS))
    points = range(nearest - POINTS // 2, nearest + POINTS // 2 + 1)
    return {k: scale * math.cos(math.pi * (second - k * spacing) / (POINTS * spacing)) ** 2 for k in points}


def smooth_correlation(lag: float, tau: float) -> float:
    """Of ``smooth`` at a lag, averaged over time: the autocorrelation of the Hann window; both in the same unit."""
    s = min(2.0, abs(lag) / tau * EFOLDING)
    return ((2 - s) * (1 + math.cos(math.pi * s) / 2) + 3 * math.sin(math.pi * s) / (2 * math.pi)) / 3


def noise_weights(time: cftime.datetime, kind: str) -> dict[int, float]:
    """Which unit fields make up the noise of a date: names and weights, whose squares add up to 1.

    Parameters
    ----------
    time
        The date.
    kind
        ``smooth:HOURS``, ``ar1:HOURS``, ``independent`` or ``fixed``.

    Raises
    ------
    ValueError
        Another kind.
    """
    family, hours = efolding_hours(kind)
    if hours is None:
        return {time_key(time) if family == "independent" else 0: 1.0}
    second, tau, offset = elapsed_seconds(time), 3600 * hours, _YEARS * 366 * 86400
    if family == "smooth":
        return smooth_weights(second + offset, tau)
    return {point + offset: weight for point, weight in ar1_weights(second, tau).items()}


@dataclass(frozen=True)
class Window:
    """Cells of the globe's 0.25 degree lattice.

    Attributes
    ----------
    south, west
        First row, 0 at the south pole, and first column, 0 at Greenwich; rows beyond the poles have noise, too.
    rows, columns
        How many.
    """

    south: int
    west: int
    rows: int
    columns: int


def window_around(grid: LatLonGrid, rows: int = 0, columns: int = 0) -> Window:
    """The cells of a 0.25 degree grid and so many more on either side."""
    south, west = round((grid.lat[0] + 90) / FINE_STEP), round(grid.lon[0] / FINE_STEP)
    return Window(south - rows, west - columns, grid.lat.size + 2 * rows, grid.lon.size + 2 * columns)


@dataclass
class NoiseStream:
    """Unit noise for a batch of (member, time) pairs on a window of the globe.

    Attributes
    ----------
    seed
        The user's seed.
    keys
        For every sample of the batch its member number and its time: an integer that names it, or names and weights
        of the fields whose sum is its noise (:func:`noise_weights`).
    channels
        C of one field.
    window
        H x W cells.
    device
        Where the noise is wanted; it is drawn on the CPU, so that devices agree.
    """

    seed: int
    keys: Sequence[tuple[int, int | Mapping[int, float]]]
    channels: int
    window: Window
    device: str | torch.device = "cpu"
    _parts: list[tuple["_Field", list[tuple[int, float]]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        users: dict[tuple[int, int], list[tuple[int, float]]] = {}
        for sample, (member, time) in enumerate(self.keys):
            for name, weight in (time if isinstance(time, Mapping) else {time: 1.0}).items():
                users.setdefault((member, name), []).append((sample, weight))
        # in the order of the names, so that a sample's sum does not depend on the batch
        self._parts = [(_Field((self.seed, *key), self.window), users[key]) for key in sorted(users)]

    def draw(self) -> Tensor:
        """Fresh unit noise, (B, C, H, W) float32; every sample advances its own streams."""
        noise = np.zeros((len(self.keys), self.channels, self.window.rows, self.window.columns), dtype=np.float32)
        for unit_field, users in self._parts:
            unit = unit_field.draw(self.channels)
            for sample, weight in users:
                noise[sample] += np.float32(weight) * unit
        return torch.from_numpy(noise).to(self.device)


class _Field:
    """The streams of a unit field's tiles that touch a window."""

    def __init__(self, name: tuple[int, ...], window: Window) -> None:
        rows, columns = (
            np.arange(first // TILE, (first + count - 1) // TILE + 1)
            for first, count in ((window.south, window.rows), (window.west, window.columns))
        )
        self._shape, self._around = (rows.size, columns.size), columns % (AROUND // TILE)
        self._south, self._west = window.south - rows[0] * TILE, window.west - columns[0] * TILE
        self._rows, self._columns = window.rows, window.columns
        # a window wider than the globe meets a tile twice: one stream
        self._streams = {
            (y, x): _generator(*name, int(row) + AROUND, int(x))
            for y, row in enumerate(rows)
            for x in set(self._around)
        }

    def draw(self, channels: int) -> np.ndarray:
        """(C, H, W)."""
        tiles = {
            key: stream.standard_normal((channels, TILE, TILE), np.float32) for key, stream in self._streams.items()
        }
        whole = np.empty((channels, self._shape[0] * TILE, self._shape[1] * TILE), np.float32)
        for y in range(self._shape[0]):
            for k, x in enumerate(self._around):
                whole[:, y * TILE : (y + 1) * TILE, k * TILE : (k + 1) * TILE] = tiles[y, x]
        return whole[:, self._south :, self._west :][:, : self._rows, : self._columns]


def _generator(*name: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(name)))
