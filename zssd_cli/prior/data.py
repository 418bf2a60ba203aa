"""Training data: 0.25 degree reanalysis as standardised fields with their static channels, read when needed."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from zssd_cli.errors import InputError
from zssd_cli.fields.calendar import format_time, year_day_fractions
from zssd_cli.fields.reading import Source
from zssd_cli.fields.static import StaticFields
from zssd_cli.grids.latlon import FINE_STEP
from zssd_cli.prior.covariance import LagSums
from zssd_cli.prior.training import TrainingField

SAMPLE = 48
CACHED = 24


def check_training_source(source: Source, variables: tuple[str, ...], patch: int) -> None:
    """Raise :class:`InputError` where the files cannot train a prior: variables, grid or size."""
    if source.missing:
        msg = f"The training files lack {', '.join(source.missing)}; expected {', '.join(variables)}. Add files or shorten --vars."
        raise InputError(msg)
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


def sampled_times(source: Source) -> list[int]:
    """At most SAMPLE times, evenly spread."""
    return np.unique(np.linspace(0, len(source.times) - 1, SAMPLE).astype(int)).tolist()


def read_whole(source: Source, index: int) -> np.ndarray:
    """One time, (C, lat, lon); missing values are an error that names variable and time."""
    values = source.read(index, index + 1)[0]
    for name, field in zip(source.variables, values, strict=True):
        if np.isnan(field).any():
            msg = (
                f"{name} at {format_time(source.times[index])} has {int(np.isnan(field).sum())} missing values; "
                "training needs whole fields. Leave that time out."
            )
            raise InputError(msg)
    return values


def statistics(source: Source) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area-weighted mean (C,), standard deviation (C,) and zonal mean (C, lat, 1) over a sample of times."""
    weights = source.grid.area / source.grid.area.sum()
    first = second = zonal = 0.0
    times = sampled_times(source)
    for index in times:
        values = read_whole(source, index).astype(np.float64)
        first = first + (values * weights).sum((1, 2)) / len(times)
        second = second + (values**2 * weights).sum((1, 2)) / len(times)
        zonal = zonal + values.mean(2, keepdims=True) / len(times)
    variance = second - first**2
    for name, value, mean in zip(source.variables, variance, first, strict=True):
        if not value > 1e-12 * mean**2:
            msg = f"{name} is constant ({mean:g}) over the training files; expected fields that vary. Check the files."
            raise InputError(msg)
    return first, np.sqrt(variance), zonal


def global_rows(zonal: np.ndarray, lat: np.ndarray) -> Tensor:
    """Zonal means (C, lat) on all 721 rows of the globe; rows beyond the data repeat the nearest, (C, 721)."""
    rows = np.clip(np.arange(721) - round((lat[0] + 90) / FINE_STEP), 0, lat.size - 1)
    return torch.as_tensor(zonal[:, rows], dtype=torch.float32)


def lag_covariances(source: Source, signs: np.ndarray) -> np.ndarray:
    """Lag covariances of the standardised anomalies from the zonal mean, see :mod:`zssd_cli.prior.covariance`."""
    _, std, zonal = statistics(source)
    sums = LagSums(source.grid.lat, source.grid.circular, signs)
    for index in sampled_times(source):
        sums.add(((read_whole(source, index) - zonal) / std[:, None, None]).astype(np.float32))
    return sums.result()


class SourceFields(Sequence[TrainingField]):
    """The times of a source as training fields; the last few read stay in memory."""

    def __init__(self, source: Source, static: StaticFields, mean: np.ndarray, std: np.ndarray) -> None:
        self._source = source
        self._static = torch.as_tensor(static.channels(source.grid))
        self._mean, self._std = mean[:, None, None], std[:, None, None]
        self._cache: OrderedDict[int, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._source.times)

    def __getitem__(self, index: int) -> TrainingField:  # type: ignore[override]
        """One time, standardised."""
        if index not in self._cache:
            values = (read_whole(self._source, index) - self._mean) / self._std
            self._cache[index] = torch.as_tensor(values, dtype=torch.float32)
            if len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        self._cache.move_to_end(index)
        time = torch.tensor(year_day_fractions(self._source.times[index]), dtype=torch.float32)
        return TrainingField(self._cache[index], self._static, time, self._source.grid.circular)

    def __iter__(self) -> Iterator[TrainingField]:
        return (self[i] for i in range(len(self)))
