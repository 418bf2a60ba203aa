"""Sums over cells, groups, times and bootstrap replicates of one variable and system."""

from dataclasses import dataclass, replace
from functools import cached_property
from zlib import crc32

import numpy as np

from zssd_cli.evaluation.groups import Groups
from zssd_cli.evaluation.histograms import (
    COARSE,
    COARSE_HALF,
    HALF_RANGE,
    LEVELS,
    MAP,
    MAP_HALF,
    Binning,
    coarser,
    merge,
    quantiles,
)
from zssd_cli.evaluation.pointwise import TERMS, Threshold, ranks, terms
from zssd_cli.evaluation.resampling import Replicates
from zssd_cli.evaluation.scores import derived
from zssd_cli.grids.latlon import LatLonGrid

CHUNK = 1 << 15
"""Cells at a time: what is computed of them stays in the processor's cache."""
MOST_MAP_CELLS = 2000
MAP_STEPS = (1, 2, 4, 8, 12, 20, 40)
"""Sides of the cells of maps in cells of the grid."""
MAP_MEMBERS = 2
MAPPED = ("bias", "mae", "crps", "variance", "x", "y")


@dataclass(frozen=True)
class Moment:
    """One time in the bootstrap.

    Attributes
    ----------
    draws
        How often the sample and every replicate count it.
    groups
        Positions of the groups of times that it belongs to.
    seed
        For what is drawn at this time: ties of ranks.
    """

    draws: np.ndarray
    groups: list[int]
    seed: tuple[int, ...] = (0,)

    def of(self, name: str) -> "Moment":
        """The same with a seed of its own for a variable, so that no order of work matters."""
        return replace(self, seed=(*self.seed, crc32(name.encode())))


@dataclass(frozen=True, eq=False)
class MapCells:
    """Cells of the maps: squares of cells of the grid, at most 2,000.

    Attributes
    ----------
    grid
        The scored cells.
    """

    grid: LatLonGrid

    @cached_property
    def step(self) -> int:
        """Side in cells of the grid."""
        shapes = ((s, -(-self.grid.shape[0] // s) * -(-self.grid.shape[1] // s)) for s in MAP_STEPS)
        return next((s for s, count in shapes if count <= MOST_MAP_CELLS), MAP_STEPS[-1])

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a map."""
        return -(-self.grid.shape[0] // self.step), -(-self.grid.shape[1] // self.step)

    @cached_property
    def slots(self) -> np.ndarray:
        """Number of the map's cell of every cell of the grid, flat."""
        rows, columns = (np.arange(size) // self.step for size in self.grid.shape)
        return (rows[:, None] * self.shape[1] + columns[None, :]).ravel()

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes of the map's cells."""
        lat, lon = (
            np.array([axis[k : k + self.step].mean() for k in range(0, axis.size, self.step)])
            for axis in (self.grid.lat, self.grid.lon)
        )
        return lat, lon


class Distribution:
    """Histograms of values: fine ones of all cells and times, coarser ones of groups, replicates and cells of maps."""

    def __init__(self, binning: Binning, groups: Groups, draws: np.ndarray, maps: MapCells | None) -> None:
        self.binning, self._groups, self._maps = binning, groups, maps
        self.counts = np.zeros(2 * HALF_RANGE + 1)
        self._replicates = np.zeros((draws.size, 2 * COARSE_HALF + 1), dtype=np.float32)
        self._by_group = np.zeros((len(groups.names), 2 * COARSE_HALF + 1))
        self._by_map = None if maps is None else np.zeros((int(np.prod(maps.shape)), 2 * MAP_HALF + 1), np.float32)

    def add(self, values: np.ndarray, weights: np.ndarray, cells: np.ndarray, when: Moment) -> None:
        """Add values (m, n) of the cells whose flat numbers are given, all finite, with weights (n,)."""
        now = np.zeros_like(self.counts)
        grouped = np.zeros_like(self._by_group)
        masks = self._groups.masks.reshape(len(self._groups.cells), -1)
        for number, member in enumerate(values):
            index = self.binning.index(member)
            now += np.bincount(index + HALF_RANGE, weights, now.size)
            if len(masks) > 1:
                slots = coarser(index, COARSE, COARSE_HALF)
                for k in range(1, len(masks)):
                    grouped[k] += np.bincount(slots, weights * masks[k, cells], grouped.shape[1])
            if self._by_map is not None and self._maps is not None and number < MAP_MEMBERS:
                width = self._by_map.shape[1]
                slots = self._maps.slots[cells] * width + coarser(index, MAP, MAP_HALF)
                self._by_map += np.bincount(slots, weights, self._by_map.size).reshape(self._by_map.shape)
        self.counts += now
        coarse = merge(now, COARSE, COARSE_HALF)
        self._replicates += when.draws[:, None].astype(np.float32) * coarse.astype(np.float32)
        self._by_group += grouped
        self._by_group[[0, *when.groups]] += coarse

    @property
    def replicates(self) -> np.ndarray:
        """Coarse counts of the sample and the replicates."""
        return self._replicates

    @property
    def coarse_edges(self) -> np.ndarray:
        """Lower edges of the coarse bins."""
        return self.binning.edges(COARSE, COARSE_HALF)

    def quantiles(self, levels: tuple[float, ...] = LEVELS) -> np.ndarray:
        """(1 + replicates, levels): the sample's from the fine bins."""
        out = quantiles(self._replicates, self.coarse_edges, np.array(levels))
        out[0] = quantiles(self.counts, self.binning.edges(), np.array(levels))
        return out

    def group_quantiles(self, levels: tuple[float, ...] = LEVELS) -> np.ndarray:
        """(groups, levels)."""
        return quantiles(self._by_group, self.coarse_edges, np.array(levels))

    def group_counts(self) -> np.ndarray:
        """Coarse counts of the groups."""
        return self._by_group

    def map_quantiles(self, levels: tuple[float, ...]) -> np.ndarray:
        """(levels, rows, columns) of the maps."""
        if self._by_map is None or self._maps is None:
            msg = "no maps were asked for"
            raise ValueError(msg)
        flat = quantiles(self._by_map, self.binning.edges(MAP, MAP_HALF), np.array(levels))
        return np.moveaxis(flat.reshape(*self._maps.shape, len(levels)), -1, 0)

    def map_counts(self) -> np.ndarray:
        """Counts of the maps' cells, (cells, bins)."""
        if self._by_map is None:
            msg = "no maps were asked for"
            raise ValueError(msg)
        return self._by_map


class CellSums:
    """Scores of one variable and system against the truth."""

    def __init__(
        self,
        groups: Groups,
        binning: Binning,
        draws: np.ndarray,
        members: int,
        threshold: Threshold | None,
        maps: MapCells | None,
    ) -> None:
        self._groups, self._threshold, self._maps, self.members = groups, threshold, maps, members
        self._sums = Replicates(draws, (len(groups.names), len(TERMS)))
        self._ranks = Replicates(draws, (len(groups.names), members + 1)) if members > 1 else None
        self._origin = binning.origin
        self._map_sums = None if maps is None else np.zeros((len(MAPPED) + 1, int(np.prod(maps.shape))))
        self.distribution = Distribution(binning, groups, draws, maps)

    def add(self, members: np.ndarray, truth: np.ndarray, weights: np.ndarray, cells: np.ndarray, when: Moment) -> None:
        """Add one time: members (m, n), truth and weights (n,) of the cells whose flat numbers are given, all finite."""
        names, masks = self._groups.names, self._groups.masks.reshape(len(self._groups.cells), -1)
        sums, ranked = np.zeros((len(names), len(TERMS))), np.zeros((len(names), self.members + 1))
        generator = np.random.default_rng(when.seed)
        for start in range(0, truth.size, CHUNK):
            part = slice(start, start + CHUNK)
            x, y, w = members[:, part], truth[part], weights[part]
            its = terms(x, y, self._origin, self._threshold)
            by_group = masks[:, cells[part]] * w
            sums[: len(masks)] += by_group @ its.T
            if self._ranks is not None:
                rank = ranks(x, y, generator)
                for k, group in enumerate(by_group):
                    ranked[k] += np.bincount(rank, group, self.members + 1)
            self._add_to_map(its, w, cells[part])
        sums[when.groups], ranked[when.groups] = sums[0], ranked[0]
        self._sums.add(sums, when.draws)
        if self._ranks is not None:
            self._ranks.add(ranked, when.draws)
        self.distribution.add(members, weights, cells, when)

    def _add_to_map(self, its: np.ndarray, weights: np.ndarray, cells: np.ndarray) -> None:
        if self._map_sums is None or self._maps is None:
            return
        slots, size = self._maps.slots[cells], self._map_sums.shape[1]
        for k, name in enumerate(("weight", *MAPPED)):
            self._map_sums[k] += np.bincount(slots, weights * its[TERMS.index(name)], size)

    def derived(self) -> dict[str, np.ndarray]:
        """Scores that follow from the sums, (1 + replicates, groups) each."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self._sums.totals / self._sums.totals[..., :1]
        return derived(dict(zip(TERMS, np.moveaxis(mean, -1, 0), strict=True)), self.members)

    def rank_shares(self) -> np.ndarray | None:
        """Rank histograms, (1 + replicates, groups, members + 1); None for one member."""
        if self._ranks is None:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._ranks.totals / self._ranks.totals.sum(-1, keepdims=True)

    def maps(self) -> dict[str, np.ndarray]:
        """Mean bias, MAE, CRPS, spread, and the means of system and truth, (rows, columns) each."""
        if self._map_sums is None or self._maps is None:
            return {}
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = dict(zip(MAPPED, self._map_sums[1:] / self._map_sums[0], strict=True))
        shown = {name: mean[name] for name in ("bias", "mae", "crps")}
        shown |= {
            "spread": np.sqrt(mean["variance"]),
            "mean": mean["x"] + self._origin,
            "truth": mean["y"] + self._origin,
        }
        return {name: values.reshape(self._maps.shape) for name, values in shown.items()}
