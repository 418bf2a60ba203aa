r"""Daily means in, moments out: fields of several moments a day whose mean over the day is the input's daily mean [ours].

A prior of moments cannot be guided by a daily mean. But block means of moments can be drawn given their daily means, and those
guide. Under the climatological Gaussian, with the same correlation in time :math:`\rho` for all blocks and variables, the covariance
of block means at moments t, s is :math:`\rho_{ts} A B A^T`, a product. Where all blocks of all variables have a daily mean d = M y, the
gain is a matter of time alone, and a draw y' that knows nothing of d becomes a draw that keeps it (Matheron's rule, as in
:mod:`zssd_cli.posterior.start`):

.. math:: y = y' + \rho M^T (M \rho M^T)^{-1} (d - M y'), \qquad M y = d \text{ exactly}.

Days up to :data:`REACH` before and after count, so that the path glides over midnight. What the prior does not know of time is not
drawn: there is no diurnal cycle in it, and weather does not travel.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import cftime
import numpy as np
import torch
from torch import Tensor

from zssd_cli.climate.balance import northern_winter
from zssd_cli.errors import InputError
from zssd_cli.grids.cells import Cells
from zssd_cli.operators.coarsen import Coarsen
from zssd_cli.posterior.observing import SPEED
from zssd_cli.posterior.random import NoiseStream, noise_weights, window_around
from zssd_cli.posterior.start import Start
from zssd_cli.series.interval import DAILY
from zssd_cli.series.protocol import CoarseSeries
from zssd_cli.times import year_day_fractions

LASTS = "smooth:24"
"""Correlation in time of block means. Of 5 degree blocks of ERA5 (``benchmarks/daily.py --lasts``, poleward of 30 degrees) it is .95 .84
.72 of msl and .87 .65 .48 of winds after 7, 14 and 21 h; of this noise .92 .72 .47."""
REACH = 2
"""Days before and after a day whose means count."""
AT_ONCE = 4
"""Moments whose fields are in memory together."""
OTHER_NOISE = 1 << 64
"""Added to the seed: the paths' noise is not that of the fine scales."""


@dataclass(frozen=True, eq=False)
class Moments:
    """A series of daily means as one of moments, each of which has its day's mean for a field.

    Attributes
    ----------
    daily
        The series of means.
    hours
        From one moment to the next; the first is half of it after the day's begin, so that the mean over moments stands for the day's.
    variables
        Those of the series but wind speed: its mean says nothing about a moment's components.
    """

    daily: CoarseSeries
    hours: int
    variables: tuple[str, ...]

    @property
    def a_day(self) -> int:
        """Moments in a day."""
        return 24 // self.hours

    @cached_property
    def begins(self) -> tuple[cftime.datetime, ...]:
        """When each day begins: by the bounds, else at midnight."""
        if self.daily.time_bounds is not None:
            return tuple(first for first, _ in self.daily.time_bounds)
        return tuple(time.replace(hour=0, minute=0, second=0, microsecond=0) for time in self.daily.times)

    @cached_property
    def times(self) -> tuple[cftime.datetime, ...]:
        """All moments."""
        steps = [timedelta(hours=self.hours * (k + 0.5)) for k in range(self.a_day)]
        return tuple(begin + step for begin in self.begins for step in steps)

    def fields(self, variable: str, start: int, stop: int) -> np.ndarray:
        """Of every moment its day's mean."""
        first, last = start // self.a_day, (stop - 1) // self.a_day + 1
        repeated = self.daily.fields(variable, first, last).repeat(self.a_day, 0)
        return repeated[start - first * self.a_day : stop - first * self.a_day]

    @property
    def cells(self) -> Mapping[str, Cells]:
        """Those of the series."""
        return self.daily.cells

    @property
    def calendar(self) -> str:
        """That of the series."""
        return self.daily.calendar

    @property
    def averaging(self) -> str | None:
        """None: what comes out are moments."""
        return None

    @property
    def kind(self) -> str:
        """What comes out."""
        return "moments"

    @property
    def time_bounds(self) -> Sequence[tuple[cftime.datetime, cftime.datetime]] | None:
        """None: moments have none."""
        return None

    @property
    def cell_methods(self) -> Mapping[str, str]:
        """Of what comes out."""
        return dict.fromkeys(self.variables, "area: mean time: point")

    @property
    def attributes(self) -> Mapping[str, str]:
        """Those of the series."""
        return self.daily.attributes

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the series, and what is drawn."""
        drawn = f"{self.a_day} moments a day are drawn; only their mean over the day is the input's, and they have no diurnal cycle"
        speed = f"{SPEED} (sfcWind) is not used: its daily mean says nothing about the wind of a moment"
        left_out = [speed] if SPEED in self.daily.variables else []
        midnight = (
            [] if self.daily.time_bounds is not None else ["the input has no time bounds: a day is taken from 00 to 24"]
        )
        return (*self.daily.notes, drawn, *midnight, *left_out)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Those of the series."""
        return self.daily.doubts


def moments(daily: CoarseSeries, hours: int) -> Moments:
    """The series as one of moments; anything but daily means of a variable that guides is an :class:`InputError`."""
    if daily.kind != DAILY:
        msg = f"--subdaily draws moments from daily means, the input holds {daily.averaging or daily.kind}. Leave --subdaily out."
        raise InputError(msg)
    variables = tuple(name for name in daily.variables if name != SPEED)
    if not variables:
        msg = f"--subdaily: the input holds {SPEED} (sfcWind) alone; expected daily means of pressure or of wind components."
        raise InputError(msg)
    return Moments(daily, hours, variables)


class Paths:
    """Draws block means at moments given their daily means.

    Parameters
    ----------
    series
        The moments.
    channels
        Channel of every variable of the series.
    start
        The climate on the fine grid.
    operator
        Block means of it.
    seed
        The user's.
    read
        Standardised block means of the moments from one up to another, (times, observed, h, w): daily means, repeated.
    """

    def __init__(
        self, series: Moments, channels: Sequence[int], start: Start, operator: Coarsen, seed: int,
        read: Callable[[int, int], np.ndarray],
    ) -> None:  # fmt: skip
        self._series, self._channels, self._start, self._operator = series, list(channels), start, operator
        self._seed, self._read = seed, read
        self._means: dict[int, Tensor] = {}
        self._free: dict[tuple[int, int], Tensor] = {}

    def __call__(self, times: range, members: range) -> Tensor:
        """Standardised block means of these times x members, (times * members, observed, h, w), NaN where missing."""
        drawn = [self._kept(time, member) for time in times for member in members]
        first = times.start // self._series.a_day - REACH
        self._free = {key: value for key, value in self._free.items() if key[0] >= first}
        self._means = {day: value for day, value in self._means.items() if day >= first}
        return torch.stack(drawn)

    def _kept(self, time: int, member: int) -> Tensor:
        """A free draw, moved so that the means of the days around are right."""
        begins = self._series.begins
        own, moment = divmod(time, self._series.a_day)
        around = range(max(own - REACH, 0), min(own + REACH + 1, len(begins)))
        days = [day for day in around if abs(begins[day] - begins[own]) <= timedelta(days=REACH)]
        missed = torch.stack([self._mean(day) - self._draw(day, member).mean(0) for day in days])
        # a block that another day lacks takes part with what its own day says
        missed = torch.where(missed.isnan(), missed[days.index(own)], missed)
        return self._draw(own, member)[moment] + torch.tensordot(self._gain(time, days).to(missed), missed, 1)

    def _gain(self, time: int, days: Sequence[int]) -> Tensor:
        """What a moment takes of the days' misses, (days,)."""
        weights = [
            noise_weights(self._series.times[k], LASTS) for k in (time, *(k for day in days for k in self._of(day)))
        ]
        points = sorted({point for one in weights for point in one})
        matrix = np.array([[one.get(point, 0.0) for point in points] for one in weights])
        rho = matrix @ matrix.T
        mean = np.kron(np.eye(len(days)), np.full((1, self._series.a_day), 1 / self._series.a_day))
        between, among = rho[:1, 1:] @ mean.T, mean @ rho[1:, 1:] @ mean.T
        return torch.as_tensor(np.linalg.solve(among, between.T)[:, 0])

    def _of(self, day: int) -> range:
        """A day's moments."""
        return range(day * self._series.a_day, (day + 1) * self._series.a_day)

    def _mean(self, day: int) -> Tensor:
        """Of the input."""
        if day not in self._means:
            moment = self._of(day).start
            self._means[day] = torch.as_tensor(self._read(moment, moment + 1)[0], device=self._start.fields.device)
        return self._means[day]

    def _draw(self, day: int, member: int) -> Tensor:
        """Block means of a day's moments that know nothing of the input, (moments, observed, h, w)."""
        if (day, member) not in self._free:
            moments = self._of(day)
            pieces = [moments[k : k + AT_ONCE] for k in range(0, len(moments), AT_ONCE)]
            self._free[day, member] = torch.cat([self._drawn(piece, member) for piece in pieces])
        return self._free[day, member]

    def _drawn(self, moments: range, member: int) -> Tensor:
        fields, times = self._start.fields, [self._series.times[k] for k in moments]
        keys = [(member, noise_weights(time, LASTS)) for time in times]
        window = window_around(fields.grid, *fields.margin)
        noise = NoiseStream(self._seed + OTHER_NOISE, keys, len(fields.climate.variables), window, fields.device)
        years = torch.tensor([year_day_fractions(time)[0] for time in times], device=fields.device)
        drawn = self._start.free(noise.draw(), northern_winter(years.float()))
        return self._operator(drawn[:, self._channels])
