"""What is summed over the times of one period: moments at every place, distributions over all, on three levels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from zssd_cli.evaluation.alignment import OutputFile
from zssd_cli.evaluation.histograms import BINS_PER_STD, COARSE, COARSE_HALF, Binning, coarser, quantiles
from zssd_cli.evaluation.resampling import Blocks, Draws, Replicates
from zssd_cli.evaluation.results import OURS, WIND_SPEED
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.grids.regrid import WHOLE, Regrid, separable
from zssd_cli.grids.regridders import make_regrid
from zssd_cli.series.protocol import CoarseSeries

INPUT, BLOCKS = "input", "blocks"
LEVELS = (INPUT, BLOCKS, OURS)
MOST_CELLS = 2000
PERCENTILES = (0.01, 0.5, 0.99)


@dataclass(eq=False)
class PlaceSums:
    """Moments at every place and the distribution over all, with replicates, of one variable, level and period."""

    weights: np.ndarray
    binning: Binning
    draws: np.ndarray
    moments: Replicates = field(init=False)
    counts: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.moments = Replicates(self.draws, (3, self.weights.size))
        self.counts = np.zeros((self.draws.size, 2 * COARSE_HALF + 1))

    def add(self, values: np.ndarray, draws: np.ndarray) -> None:
        """One time, (m, places); places with NaN are left out."""
        known = np.isfinite(values).all(0)
        apart = np.where(known, values.astype(np.float64) - self.binning.origin, 0.0)
        self.moments.add(np.stack([known.astype(float), apart.mean(0), (apart**2).mean(0)]), draws)
        slots = coarser(self.binning.index(values[:, known]), COARSE, COARSE_HALF)
        weights = np.broadcast_to(self.weights[known] / len(values), slots.shape)
        self.counts += draws[:, None] * np.bincount(slots.ravel(), weights.ravel(), self.counts.shape[1])

    def statistics(self) -> dict[str, np.ndarray]:
        """Mean, variance and percentiles, (1 + replicates,) each."""
        mean, variance, weights = *self._places(), self.weights * (self.moments.totals[:, 0] > 0)
        total = weights.sum(-1)
        edges = self.binning.edges(COARSE, COARSE_HALF)
        found = quantiles(self.counts, edges, np.array(PERCENTILES))
        with np.errstate(invalid="ignore", divide="ignore"):
            values = {
                "mean": (weights * mean).sum(-1) / total + self.binning.origin,
                "variance": (weights * variance).sum(-1) / total,
            }
        return values | {f"quantile_{100 * level:g}": found[:, k] for k, level in enumerate(PERCENTILES)}

    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        count, total, squares = np.moveaxis(self.moments.totals, 1, 0)
        count = np.maximum(count, 1e-12)
        mean = total / count
        return mean, np.maximum(squares / count - mean**2, 0.0)

    def map_of_means(self) -> np.ndarray:
        """Of the sample, NaN where nothing was added."""
        return np.where(self.moments.totals[0, 0] > 0, self._places()[0][0] + self.binning.origin, np.nan)


@dataclass(eq=False)
class Period:
    """One of the two periods.

    Attributes
    ----------
    output, coarse
        What ``zssd downscale`` wrote and, where given, the climate model's fields that it was made of.
    blocks
        On which they are compared.
    moments
        Indices of the times in both.
    resampled, draws
        Of the bootstrap.
    sums
        By variable and level.
    """

    output: OutputFile
    coarse: CoarseSeries | None
    blocks: LatLonGrid
    moments: Sequence[tuple[int, int]]
    resampled: Blocks
    draws: Draws
    sums: dict[tuple[str, str], PlaceSums] = field(default_factory=dict)

    def regrids(self) -> dict[str, Regrid]:
        """Of the climate model's variables to the blocks."""
        if self.coarse is None:
            return {}
        shared = [name for name in self.output.variables if name in self.coarse.variables]
        return {name: make_regrid(self.coarse.cells[name], self.blocks)[0] for name in shared}

    def fields(
        self, regrids: dict[str, Regrid], downscaled: Regrid, index: tuple[int, int]
    ) -> dict[str, dict[str, np.ndarray]]:
        """Level, variable -> values (m, lat, lon) at one time. The speed of blocks is that of their mean wind, on both levels."""
        members = {name: self.output.read(name, index[0]) for name in self.output.variables}
        means = {name: downscaled(values) for name, values in members.items()}
        if self.coarse is None:
            held = {name: values[:1] for name, values in means.items() if self.output.observed[name]}
        else:
            own = {name: self.coarse.fields(name, index[1], index[1] + 1) for name in regrids}
            held = {name: regrids[name](values) for name, values in own.items()}
        return {INPUT: _with_speed(held), BLOCKS: _with_speed(means), OURS: _with_speed(members)}

    def places(self, level: str) -> tuple[slice | np.ndarray, np.ndarray]:
        """Flat numbers of the places of a level, and their areas."""
        if level != OURS:
            return slice(None), self.blocks.area.ravel()
        grid = self.output.grid
        step = -(-grid.area.size // MOST_CELLS)
        step += step > 1 and grid.shape[1] % step == 0  # else always the same meridians
        cells = np.arange(0, grid.area.size, step)
        return cells, grid.area.ravel()[cells]


def _with_speed(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    wind = {"u10", "v10"} <= set(fields)
    return fields | ({WIND_SPEED: np.hypot(fields["u10"], fields["v10"])} if wind else {})


def summed(period: Period, binnings: dict[str, Binning]) -> Iterator[None]:
    """Add every time of a period, one a step; ``binnings`` are shared by the periods."""
    downscaled = separable(period.output.grid, period.blocks, WHOLE)
    regrids, places = period.regrids(), {level: period.places(level) for level in LEVELS}
    for index, number in zip(period.moments, period.resampled.number, strict=True):
        draws = period.draws.of(number)
        for level, fields in period.fields(regrids, downscaled, index).items():
            for name, values in fields.items():
                cells, areas = places[level]
                flat = values.reshape(len(values), -1)[:, cells]
                if not np.isfinite(flat).any():
                    continue
                if name not in binnings:
                    std = max(float(np.nanstd(flat, dtype=np.float64)), BINS_PER_STD * 1e-6)
                    binnings[name] = Binning.around(float(np.nanmean(flat, dtype=np.float64)), std)
                if (name, level) not in period.sums:
                    period.sums[name, level] = PlaceSums(areas, binnings[name], draws)
                period.sums[name, level].add(flat, draws)
        yield
