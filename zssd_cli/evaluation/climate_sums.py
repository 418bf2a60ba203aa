"""What is summed over the times of one climate: distributions, spectra, cycles, wind with pressure. Two of these are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cftime
import numpy as np

from zssd_cli.evaluation.cellsums import Distribution, Moment
from zssd_cli.evaluation.histograms import Binning
from zssd_cli.evaluation.pairedsums import DERIVED, Stage
from zssd_cli.evaluation.relations import MEMBERS, divergence_and_vorticity, wind_pressure_sums
from zssd_cli.evaluation.resampling import Replicates
from zssd_cli.evaluation.spectra import SpectralSums

MONTHS, HOURS = tuple(range(1, 13)), tuple(range(24))


@dataclass(frozen=True, eq=False)
class CycleSums:
    """Sums of weight, value and square by month and by hour, about an origin."""

    origin: float
    months: np.ndarray
    hours: np.ndarray

    @classmethod
    def around(cls, origin: float) -> "CycleSums":
        """Nothing summed yet."""
        return cls(origin, np.zeros((12, 3)), np.zeros((24, 3)))

    def add(self, values: np.ndarray, weights: np.ndarray, time: cftime.datetime) -> None:
        """Values (m, n), weights (n,)."""
        apart = values.astype(np.float64) - self.origin
        sums = np.array([weights.sum(), apart.mean(0) @ weights, (apart**2).mean(0) @ weights])
        self.months[time.month - 1] += sums
        self.hours[time.hour] += sums

    def mean_and_std(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """By month or hour, NaN where there is none."""
        sums = self.months if kind == "month" else self.hours
        with np.errstate(invalid="ignore", divide="ignore"):
            mean, square = sums[:, 1] / sums[:, 0], sums[:, 2] / sums[:, 0]
        return mean + self.origin, np.sqrt(np.maximum(square - mean**2, 0))


class ClimateSums:
    """One system. ``binnings`` is shared with what it is compared with."""

    def __init__(self, stage: Stage, binnings: dict[str, Binning]) -> None:
        self.stage, self.binnings = stage, binnings
        self.distributions: dict[str, Distribution] = {}
        self.spectra: dict[str, SpectralSums] = {}
        self.moments: dict[str, Replicates] = {}
        self.cycles: dict[str, CycleSums] = {}
        self.derived: dict[str, SpectralSums] = {}
        self.balance: Replicates | None = None

    def add(self, fields: Mapping[str, np.ndarray], time: cftime.datetime, when: Moment) -> None:
        """One time: per variable (m, lat, lon)."""
        for name, members in fields.items():
            finite = np.isfinite(members).all(0)
            cells = np.flatnonzero(finite.ravel() & (self.stage.area > 0))
            if cells.size:
                self._add_values(name, members.reshape(len(members), -1)[:, cells], cells, time, when)
            gaps = 0.0 if finite.all() else np.where(finite, 0.0, np.nan).astype(np.float32)
            self._spectrum(self.spectra, name).add(members + gaps, None, when.draws)
        if {"u10", "v10"} <= set(fields) and min(self.stage.grid.shape) > 2:
            self._add_wind(fields, when)

    def _add_values(
        self, name: str, values: np.ndarray, cells: np.ndarray, time: cftime.datetime, when: Moment
    ) -> None:
        if name not in self.binnings:
            self.binnings[name] = Binning.around(
                float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
            )
        binning, stage = self.binnings[name], self.stage
        if name not in self.distributions:
            self.distributions[name] = Distribution(binning, stage.groups, stage.draws, stage.maps)
            self.cycles[name] = CycleSums.around(binning.origin)
            self.moments[name] = Replicates(stage.draws, (3,))
        weights = stage.area[cells]
        self.distributions[name].add(values, weights, cells, when)
        self.cycles[name].add(values, weights, time)
        apart = values.astype(np.float64) - binning.origin
        sums = np.array([weights.sum(), apart.mean(0) @ weights, (apart**2).mean(0) @ weights])
        self.moments[name].add(sums, when.draws)

    def _spectrum(self, sums: dict[str, SpectralSums], name: str) -> SpectralSums:
        return sums.setdefault(name, SpectralSums(self.stage.bins, self.stage.draws))

    def _add_wind(self, fields: Mapping[str, np.ndarray], when: Moment) -> None:
        u, v = (fields[name][:MEMBERS].astype(np.float64) for name in ("u10", "v10"))
        for name, values in zip(DERIVED, divergence_and_vorticity(u, v, self.stage.grid), strict=True):
            self._spectrum(self.derived, name).add(values, None, when.draws)
        if "msl" in fields:
            self.balance = self.balance or Replicates(self.stage.draws, (4,))
            self.balance.add(wind_pressure_sums(fields["msl"], u, v, self.stage.grid), when.draws)

    def mean_and_std(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Over cells, members and times, (1 + replicates,) each."""
        sums = self.moments[name].totals
        with np.errstate(invalid="ignore", divide="ignore"):
            mean, square = sums[:, 1] / sums[:, 0], sums[:, 2] / sums[:, 0]
        return mean + self.binnings[name].origin, np.sqrt(np.maximum(square - mean**2, 0))


def coverage_notes(ours: Sequence[cftime.datetime], theirs: Sequence[cftime.datetime]) -> list[str]:
    """Months and hours that one climate has and the other lacks."""
    notes = []
    for what, of in (("months", lambda t: t.month), ("hours", lambda t: t.hour)):
        first, second = ({of(time) for time in times} for times in (ours, theirs))
        for side, other, missing in (("output", "reference", first - second), ("reference", "output", second - first)):
            if missing:
                listed = ", ".join(map(str, sorted(missing)))
                notes.append(
                    f"The {side} has {what} that the {other} lacks ({listed}): part of the difference may be that."
                )
    return notes
