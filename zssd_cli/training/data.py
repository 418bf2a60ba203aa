"""Training data: 0.25 degree reanalysis as standardised fields with their static channels, read when needed."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from zssd_cli.climate.balance import (
    PRESSURE,
    WINDS,
    Balance,
    Scene,
    fit_balance,
    has_balance,
    northern_winter,
    surfaces,
)
from zssd_cli.climate.covariance import LagSums, merged
from zssd_cli.errors import BadField, InputError
from zssd_cli.grids.latlon import FINE_STEP, LatLonGrid
from zssd_cli.prior.coarse import averaged
from zssd_cli.prior.denoiser import details
from zssd_cli.series.coverage import whole_field
from zssd_cli.series.protocol import FieldSource
from zssd_cli.series.timeline import is_unknown
from zssd_cli.static import StaticFields
from zssd_cli.times import year_day_fractions
from zssd_cli.training.batches import TrainingField
from zssd_cli.training.holes import Holes, stand_ins
from zssd_cli.training.lowpass import lowpass
from zssd_cli.variables import VARIABLES

SAMPLE = 48
CACHED = 24

Read = TypeVar("Read")


@dataclass(frozen=True)
class Part:
    """Training files of one origin.

    Attributes
    ----------
    source
        The files.
    variables
        The prior's variables; the source may lack some.
    smooth
        Variables that the network must not see, see :class:`zssd_cli.config.MoreData`.
    lowpass_km
        Filter, see :mod:`zssd_cli.training.lowpass`.
    share
        Share of the training patches.
    max_missing
        Largest share of the times that may be bad; others stand in for these, see :mod:`zssd_cli.training.holes`.
    filtered
        True where the source's fields have been through the filter already.
    """

    source: FieldSource
    variables: tuple[str, ...]
    smooth: tuple[str, ...] = ()
    lowpass_km: float = 0.0
    share: float = 1.0
    max_missing: float = 0.0
    filtered: bool = False

    @property
    def complete(self) -> bool:
        """True where the files hold every variable."""
        return not self.source.missing

    @property
    def grid(self) -> LatLonGrid:
        """Where the cells lie; files on no latitude-longitude grid are an :class:`InputError`."""
        if self.source.grid is None:
            msg = "The training files are not on a latitude-longitude grid; expected 0.25 degree cells on multiples of 0.25."
            raise InputError(msg)
        return self.source.grid

    def read(self, index: int) -> np.ndarray:
        """One time, (C, lat, lon), filtered and rounded to quanta, NaN where a variable is absent; errors name file, variable and time.

        Raises
        ------
        BadField
            Values that are missing or not plausible.
        """
        whole = np.full((len(self.variables), *self.grid.shape), np.nan, np.float32)
        for name in self.source.variables:
            whole[self.variables.index(name)] = self.field(name, index)
        return whole

    def field(self, name: str, index: int) -> np.ndarray:
        """One variable at one time as in :meth:`read`, (lat, lon)."""
        values = whole_field(self.source, name, self.source.times[index])
        km = 0.0 if self.filtered else self.lowpass_km
        return rounded(lowpass(values, self.grid.lat, km, circular=self.grid.circular), name)

    @cached_property
    def holes(self) -> Holes:
        """The times that were found to be bad."""
        return Holes(self.source.times, self.max_missing)

    def good(self, index: int, read: Callable[[int], Read]) -> tuple[int, Read]:
        """A time, or the one that stands in for it where it is bad, and what ``read`` gives for it.

        Raises
        ------
        InputError
            Too many times are bad.
        """
        for other in stand_ins(index, len(self.source.times)):
            if other in self.holes:
                continue
            try:
                result = read(other)
            except BadField as error:
                self.holes.bad(other, error)
            else:
                self.holes.good(other)
                return other, result
        msg = (
            f"None of the {len(self.source.times)} times of the training files is without missing values; give others."
        )
        raise InputError(msg)

    def sample(self) -> Iterator[tuple[int, np.ndarray]]:
        """At most SAMPLE different good times, evenly spread, and their fields as of :meth:`read`."""
        seen: set[int] = set()
        for index in sampled_times(self.source):
            found, values = self.good(index, self.read)
            if found not in seen:
                seen.add(found)
                yield found, values


def rounded(values: np.ndarray, name: str) -> np.ndarray:
    """Values of a variable as multiples of its quantum."""
    quantum = np.float32(VARIABLES[name].quantum)
    return np.rint(values / quantum) * quantum


def check_variables(parts: Sequence[Part], held_out: Part | None = None) -> None:
    """Raise :class:`InputError` where no files hold a variable in full detail, or the held-out ones less than the main ones."""
    names, add = parts[0].variables, "Add files or shorten --vars."
    if missing := [name for name in names if all(name in part.source.missing for part in parts)]:
        msg = f"The training files lack {', '.join(missing)}; expected {', '.join(names)}. {add}"
        raise InputError(msg)
    if smooth := [name for name, part in zip(names, holders(parts), strict=True) if name in part.smooth]:
        msg = f"{', '.join(smooth)}: all files are `smooth`, too smooth to learn from; expected some in full detail. {add}"
        raise InputError(msg)
    wanted = parts[0].source.variables
    if held_out and (missing := [name for name in wanted if name in held_out.source.missing]):
        msg = f"The held-out files lack {', '.join(missing)}; expected {', '.join(wanted)}. {add}"
        raise InputError(msg)


def check_training_source(source: FieldSource, patch: int) -> None:
    """Raise :class:`InputError` where the files cannot train a prior: grid or size."""
    if source.grid is None:
        msg = (
            "The training files are not on a latitude-longitude grid; expected 0.25 degree cells on multiples of 0.25."
        )
        raise InputError(msg)
    for name, axis in (("latitude", source.grid.lat), ("longitude", source.grid.lon)):
        cells = axis / FINE_STEP
        if np.abs(cells - np.rint(cells)).max() > 0.02 or not np.allclose(np.diff(axis), FINE_STEP, atol=0.005):
            msg = (
                f"The training files' {name} runs from {axis[0]:g} in steps of {np.diff(axis).mean():g}; "
                "expected multiples of 0.25 in steps of 0.25."
            )
            raise InputError(msg)
        if axis.size < patch:
            msg = (
                f"The training files have {axis.size} cells of {name}, fewer than a patch of {patch}. "
                "Give larger fields or a smaller patch."
            )
            raise InputError(msg)


def sampled_times(source: FieldSource) -> list[int]:
    """At most SAMPLE times, evenly spread."""
    return np.unique(np.linspace(0, len(source.times) - 1, SAMPLE).astype(int)).tolist()


@dataclass(frozen=True)
class Scales:
    """Area-weighted mean and standard deviation (C,) in physical units and those of the details (bands, C) in standard units."""

    mean: np.ndarray
    std: np.ndarray
    detail_std: np.ndarray


def scales(parts: Sequence[Part], cells: int = 1) -> Scales:
    """Over a sample of times; the details are those of means of ``cells`` x ``cells``.

    Mean and spread are those of the main files, of a variable that they lack those of the files that cover most of the
    sphere, however smooth; its details are those of the first files that have them.

    Raises
    ------
    InputError
        A variable is constant.
    """
    names, moments = parts[0].variables, {}
    wide, detailed = [_widest(parts, name) for name in names], holders(parts)
    for part in parts:
        channels = [k for k, both in enumerate(zip(wide, detailed, strict=True)) if any(one is part for one in both)]
        if channels:
            moments[id(part)] = dict(zip(channels, zip(*_moments(part, channels, cells), strict=True), strict=True))
    mean, variance, _ = (np.array(row) for row in zip(*(moments[id(p)][k] for k, p in enumerate(wide)), strict=True))
    fine = np.stack([moments[id(part)][channel][2] for channel, part in enumerate(detailed)], 1)
    for name, value, average in zip(names, variance, mean, strict=True):
        if not value > 1e-12 * average**2:
            msg = (
                f"{name} is constant ({average:g}) over the training files; expected fields that vary. Check the files."
            )
            raise InputError(msg)
    return Scales(mean, np.sqrt(variance), np.sqrt(fine / variance))


def holders(parts: Sequence[Part]) -> list[Part]:
    """For every variable the first part that holds it in full detail, else the first that holds it."""
    return [
        min((part for part in parts if name in part.source.variables), key=lambda part: name in part.smooth)
        for name in parts[0].variables
    ]


def _widest(parts: Sequence[Part], name: str) -> Part:
    """The main part where it holds a variable, else the one that covers the largest area with it."""
    holding = [part for part in parts if name in part.source.variables]
    return parts[0] if name in parts[0].source.variables else max(holding, key=lambda part: part.grid.area.sum())


def _moments(part: Part, channels: list[int], cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (C,), variance (C,) and mean square of the details (C, bands) of some variables."""
    weights = part.grid.area / part.grid.area.sum()
    coarse_weights = whole_means(torch.as_tensor(weights)[None], cells)[0].numpy()
    coarse_weights /= coarse_weights.sum()
    moments: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for _, field in part.sample():
        values = field[channels].astype(np.float64)
        means = whole_means(torch.as_tensor(values), cells)
        bands = np.stack([band.numpy() for band in details(means, part.grid.circular)])
        squares = ((values**2 * weights).sum((1, 2)), (bands**2 * coarse_weights).sum((2, 3)))
        moments.append(((values * weights).sum((1, 2)), *squares))
    first, second, fine = (np.mean(several, axis=0) for several in zip(*moments, strict=True))
    return first, second - first**2, fine.T


def whole_means(x: Tensor, cells: int) -> Tensor:
    """Means of cells x cells where all of them are there, (C, H, W) -> (C, H // cells, W // cells)."""
    height, width = (size // cells * cells for size in x.shape[-2:])
    return averaged(x[..., :height, :width], cells)


@dataclass(frozen=True)
class Climatology:
    """Standardised zonal means on the rows of the globe (C, 721), lag covariances of the deviations, and the balance of winds."""

    zonal: np.ndarray
    lags: np.ndarray
    balance: Balance | None


def climatology(parts: Sequence[Part], known: Scales, signs: np.ndarray, static: StaticFields) -> Climatology:
    """Over a sample of times of the complete parts, of all where the main one is not; rows without data repeat the nearest."""
    names = parts[0].variables
    used = [part for part in parts if part.complete or not parts[0].complete]
    balanced = {PRESSURE, *WINDS}
    winds = [names.index(name) for name in WINDS] if has_balance(names) else []
    times: list[tuple[Part, int]] = []
    total, count = np.zeros((len(signs), 721)), np.zeros((len(signs), 721))
    for part in used:
        rows = global_rows(part.grid.lat)
        for index, values in part.sample():
            times.append((part, index))
            anomaly = (values.mean(2) - known.mean[:, None]) / known.std[:, None]
            total[:, rows] += np.nan_to_num(anomaly)
            count[:, rows] += np.isfinite(anomaly)
    there = [np.flatnonzero(one) for one in count]
    nearest = np.stack([rows[np.abs(np.arange(721)[:, None] - rows).argmin(1)] for rows in there])
    zonal = np.take_along_axis(total, nearest, 1) / np.take_along_axis(count, nearest, 1)
    scenes = [(part, index) for part, index in times if balanced <= set(part.source.variables)]
    balance = fit_balance(_Scenes(scenes, static)) if winds and scenes else None
    if balance is not None:
        zonal[winds] = 0
    sums: dict[tuple[float, float, bool, tuple[int, ...]], LagSums] = {}
    for part, index in times:
        grid, values, held = part.grid, part.read(index), set(part.source.variables)
        if balance is not None:
            if balanced <= held:
                pressure = torch.as_tensor(values[names.index(PRESSURE)], dtype=torch.float64)[None]
                values[winds] -= balance.wind(pressure, grid, _shares(static, grid).double())[0].numpy()
                values[winds] += known.mean[winds, None, None]  # standardised, a deviation of 0 is 0
            else:
                held -= {*WINDS}  # what deviates from the pressure's wind is not known
        anomaly = (values - known.mean[:, None, None]) / known.std[:, None, None] - zonal[
            :, global_rows(grid.lat), None
        ]
        channels = tuple(channel for channel, name in enumerate(names) if name in held)
        if channels:
            key = (grid.lat[0], grid.lat[-1], grid.circular, channels)
            one = sums.setdefault(key, LagSums(grid.lat, grid.circular, signs[[*channels]], channels))
            one.add(anomaly[[*channels]].astype(np.float32))
    return Climatology(zonal, merged(list(sums.values())), balance)


def _shares(static: StaticFields, grid: LatLonGrid) -> Tensor:
    return surfaces(torch.as_tensor(static.channels(grid)))


class _Scenes:
    """Pressure, wind, grid and surfaces of every time, to be gone through as often as needed."""

    def __init__(self, whole: Sequence[tuple[Part, int]], static: StaticFields) -> None:
        self._whole, self._static = whole, static

    def __iter__(self) -> Iterator[Scene]:
        for part, index in self._whole:
            values = dict(zip(part.variables, torch.as_tensor(part.read(index), dtype=torch.float64), strict=True))
            wind = torch.stack([values[name] for name in WINDS])
            date = part.source.times[index]
            season = torch.tensor(np.nan if is_unknown(date) else year_day_fractions(date)[0])
            shares = _shares(self._static, part.grid).double()
            yield Scene(values[PRESSURE], wind, part.grid, shares, float(northern_winter(season)))


def global_rows(lat: np.ndarray) -> np.ndarray:
    """Rows of the 721 of the globe on which the given latitudes lie."""
    return np.rint((lat + 90) / FINE_STEP).astype(int)


class SourceFields(Sequence[TrainingField]):
    """The times of a part as training fields, bad ones replaced by others; the last few read stay in memory.

    With ``cells`` the fields are means of so many cells on a side.
    """

    def __init__(self, part: Part, static: StaticFields, known: Scales, cells: int = 1) -> None:
        self._part, self._scales, self._cells = part, known, cells
        self._static = whole_means(torch.as_tensor(static.channels(part.grid)), cells)
        self._cache: OrderedDict[int, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._part.source.times)

    def __getitem__(self, index: int) -> TrainingField:  # type: ignore[override]
        """One time, standardised; NaN where a variable is absent or too smooth, and for the season and hour of an unknown time.

        The season and hour are those of the time that stands in where this one is bad.
        """
        found, values = self._part.good(index, self._standardised)
        date = self._part.source.times[found]
        fractions = (np.nan, np.nan) if is_unknown(date) else year_day_fractions(date)
        time = torch.tensor(fractions, dtype=torch.float32)
        return TrainingField(values, self._static, time, self._part.grid.circular)

    def _standardised(self, index: int) -> Tensor:
        if index not in self._cache:
            values = (self._part.read(index) - self._scales.mean[:, None, None]) / self._scales.std[:, None, None]
            for name in self._part.smooth:
                values[self._part.variables.index(name)] = np.nan
            self._cache[index] = whole_means(torch.as_tensor(values, dtype=torch.float32), self._cells)
            if len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        self._cache.move_to_end(index)
        return self._cache[index]

    def __iter__(self) -> Iterator[TrainingField]:
        return (self[i] for i in range(len(self)))
