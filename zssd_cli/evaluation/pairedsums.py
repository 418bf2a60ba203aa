"""Everything that is summed over the times of a paired evaluation, and the records that come of it."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from zssd_cli.evaluation.alignment import OutputFile
from zssd_cli.evaluation.cellsums import CellSums, Distribution, MapCells, Moment
from zssd_cli.evaluation.groups import Groups
from zssd_cli.evaluation.histograms import Binning
from zssd_cli.evaluation.multivariate import Tiles
from zssd_cli.evaluation.pointwise import Threshold
from zssd_cli.evaluation.relations import MEMBERS, divergence_and_vorticity, wind_pressure_sums
from zssd_cli.evaluation.resampling import Replicates
from zssd_cli.evaluation.results import AGAINST, OURS, TRUTH, WIND_SPEED
from zssd_cli.evaluation.spectra import SpectralSums, WavelengthBins
from zssd_cli.grids.latlon import LatLonGrid

Fields = dict[str, dict[str, np.ndarray]]
"""System, variable -> (member, lat, lon)."""
DERIVED = ("divergence", "vorticity")
MAPPED_SYSTEMS = (OURS, AGAINST, "bilinear")
WIND_SYSTEMS = MAPPED_SYSTEMS
"""Whose divergence, vorticity and wind with pressure are looked at, beside the truth's."""


def threads() -> int:
    """As many as ``OMP_NUM_THREADS`` says, else as there are processors."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() and int(said) else os.cpu_count() or 1


class Stage:
    """What all sums share: cells, groups, bins, replicates."""

    def __init__(
        self, grid: LatLonGrid, groups: Groups, draws: np.ndarray, thresholds: Mapping[str, Threshold]
    ) -> None:
        self.grid, self.groups, self.draws, self.thresholds = grid, groups, draws, thresholds
        self.bins, self.tiles, self.maps = WavelengthBins(grid), Tiles(grid), MapCells(grid)
        self.area = grid.area.ravel()


class VariableSums:
    """One variable: every system against the truth."""

    def __init__(self, name: str, stage: Stage) -> None:
        self.name, self.stage = name, stage
        self.binning: Binning | None = None
        self.cells: dict[str, CellSums] = {}
        self.spectra: dict[str, SpectralSums] = {}
        self.tiles: dict[str, Replicates] = {}
        self.truth: Distribution | None = None
        self.offered, self.scored = 0.0, 0.0
        """Area of all cells and of those that counted, summed over times."""

    def _start(self, truth: np.ndarray) -> Binning:
        binning = Binning.around(float(np.mean(truth, dtype=np.float64)), float(np.std(truth, dtype=np.float64)))
        self.truth = Distribution(binning, self.stage.groups, self.stage.draws, self.stage.maps)
        return binning

    def _system(self, system: str, binning: Binning, members: int) -> CellSums:
        if system not in self.cells:
            stage, maps = self.stage, self.stage.maps if system in MAPPED_SYSTEMS else None
            threshold = stage.thresholds.get(self.name)
            self.cells[system] = CellSums(stage.groups, binning, stage.draws, members, threshold, maps)
            self.tiles[system] = Replicates(stage.draws, (3,))
        return self.cells[system]

    def add(self, systems: Mapping[str, np.ndarray], truth: np.ndarray, when: Moment) -> None:
        """One time; a cell counts where every system has a value."""
        finite = np.isfinite(truth)
        for members in systems.values():
            finite &= np.isfinite(members).all(0)
        cells = np.flatnonzero(finite.ravel() & (self.stage.area > 0))
        whole = cells.size == finite.size
        self.offered += float(self.stage.area.sum())
        self.scored += float(self.stage.area[cells].sum())
        if cells.size:
            pick = slice(None) if whole else cells
            y, weights = truth.ravel()[pick], self.stage.area[pick]
            binning = self.binning = self.binning or self._start(y)
            for system, members in systems.items():
                sums = self._system(system, binning, len(members))
                sums.add(members.reshape(len(members), -1)[:, pick], y, weights, cells, when)
            if self.truth is not None:
                self.truth.add(y[None], weights, cells, when)
        gaps = 0.0 if finite.all() else np.where(finite, 0.0, np.nan).astype(np.float32)
        self._add_shapes(systems, truth, gaps, when)

    def _add_shapes(
        self, systems: Mapping[str, np.ndarray], truth: np.ndarray, gaps: np.ndarray | float, when: Moment
    ) -> None:
        """Spectra and tiles."""
        waves = self.stage.bins.transform(truth + gaps)
        self._spectrum(TRUTH).add_transform(waves, when.draws)
        np.conjugate(waves, out=waves)
        for system, members in systems.items():
            self._spectrum(system).add(members + gaps, waves, when.draws)
            if system in self.tiles:
                self.tiles[system].add(self.stage.tiles.sums(members + gaps, truth), when.draws)

    def _spectrum(self, system: str) -> SpectralSums:
        return self.spectra.setdefault(system, SpectralSums(self.stage.bins, self.stage.draws))


class PairedSums:
    """All variables, and how they go together; what is added of one time is shared out to threads."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.variables: dict[str, VariableSums] = {}
        self.derived: dict[str, dict[str, SpectralSums]] = {}
        self.balance: dict[str, Replicates] = {}
        self._pool = ThreadPoolExecutor(threads())

    def add(self, fields: Fields, truth: Mapping[str, np.ndarray], when: Moment) -> None:
        """One time."""
        work: list[Callable[[], None]] = []
        for name, y in truth.items():
            systems = {system: part[name] for system, part in fields.items() if name in part}
            sums = self.variables.setdefault(name, VariableSums(name, self.stage))
            work.append(partial(sums.add, systems, y, when.of(name)))
        if {"u10", "v10"} <= set(truth) and min(self.stage.grid.shape) > 2:
            alone: Fields = {TRUTH: {name: y[None] for name, y in truth.items()}}
            shown = {system: part for system, part in fields.items() if system in WIND_SYSTEMS}
            for system, part in (alone | shown).items():
                for name in DERIVED:
                    self._derived(name, system)
                self.balance.setdefault(system, Replicates(self.stage.draws, (4,)))
                work.append(partial(self._add_wind, system, part, when))
        list(self._pool.map(lambda one: one(), work))

    def _add_wind(self, system: str, part: Mapping[str, np.ndarray], when: Moment) -> None:
        u, v = (part[name][:MEMBERS].astype(np.float64) for name in ("u10", "v10"))
        for name, values in zip(DERIVED, divergence_and_vorticity(u, v, self.stage.grid), strict=True):
            self._derived(name, system).add(values, None, when.draws)
        if "msl" in part:
            self.balance[system].add(wind_pressure_sums(part["msl"], u, v, self.stage.grid), when.draws)

    def _derived(self, name: str, system: str) -> SpectralSums:
        sums = self.derived.setdefault(name, {})
        return sums.setdefault(system, SpectralSums(self.stage.bins, self.stage.draws))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def units_of(name: str, output: OutputFile) -> str:
    """Units of a variable of the output, or of one that is derived of it."""
    return "s-1" if name in DERIVED else output.units["u10" if name == WIND_SPEED else name]


def seen(name: str, output: OutputFile) -> bool:
    """Whether the coarse input held a variable, or all that it is derived of."""
    return all(output.observed[part] for part in (("u10", "v10") if name in (WIND_SPEED, *DERIVED) else (name,)))
