"""From sums to records: every number with its group and interval."""

from collections.abc import Iterator, Mapping

import numpy as np

from zssd_cli.evaluation.cellsums import CellSums, Distribution
from zssd_cli.evaluation.groups import ALL
from zssd_cli.evaluation.histograms import COARSE, LEVELS, wasserstein
from zssd_cli.evaluation.pairedsums import DERIVED, PairedSums, VariableSums
from zssd_cli.evaluation.pointwise import COVERAGES, expected_coverage
from zssd_cli.evaluation.relations import wind_pressure
from zssd_cli.evaluation.resampling import Replicates, estimate
from zssd_cli.evaluation.results import AGAINST, OURS, TRUTH, WIND, Record
from zssd_cli.evaluation.spectra import (
    COHERENT,
    WAVEBANDS,
    SpectralSums,
    WavelengthBins,
    decibels,
    effective_resolution,
    log_spectral_distance,
    resolved,
)

IN_UNITS = ("mae", "rmse", "bias", "crps", "tw_crps", "std_truth", "std_mean", "std_member")
PURE = ("correlation", "slope", "spread_skill", "event_share", "cover_50", "cover_90")
COMPARED = ("crps", "mae", "rmse")
"""Scores that get a skill against every baseline, and with --against a difference."""
GROUP_LEVELS = (0.01, 0.99, 0.999)


def percent(level: float) -> str:
    """0.999 as 99.9."""
    return f"{100 * level:.4g}"


class Writer:
    """Writes records of one variable and system."""

    def __init__(self, variable: str, units: str, system: str) -> None:
        self.variable, self.units, self.system = variable, units, system

    def one(
        self, score: str, values: np.ndarray, *, units: str | None = None, group: str = ALL, versus: str = ""
    ) -> Iterator[Record]:
        """A record of (1 + replicates,) unless its value is NaN."""
        its = estimate(values)
        if np.isfinite(its.value):
            units = self.units if units is None else units
            yield Record(self.variable, units, group, self.system, score, its.value, its.low, its.high, versus)

    def groups(
        self, score: str, values: np.ndarray, names: tuple[str, ...], units: str, versus: str = ""
    ) -> Iterator[Record]:
        """Records of (1 + replicates, groups)."""
        for k, group in enumerate(names):
            yield from self.one(score, values[:, k], units=units, group=group, versus=versus)


def cell_records(write: Writer, sums: CellSums, names: tuple[str, ...]) -> Iterator[Record]:
    """Scores cell by cell, of every group."""
    scores = sums.derived()
    for name in (*IN_UNITS, *PURE):
        yield from write.groups(name, scores[name], names, write.units if name in IN_UNITS else "")
    shares, m = sums.rank_shares(), sums.members
    if shares is not None:
        yield from write.groups("reliability_index", np.abs(shares - 1 / (m + 1)).sum(-1), names, "")
        yield from write.groups("outside", (shares[..., 0] + shares[..., -1]) * (m + 1) / 2, names, "")
        for share in COVERAGES:
            expected = np.array([expected_coverage(m, share)])
            yield from write.one(f"cover_{100 * share:.0f}_expected", expected, units="")


def distribution_records(
    write: Writer, ours: Distribution, truth: Distribution | None, names: tuple[str, ...], *, together: bool = True
) -> Iterator[Record]:
    """Quantiles and their errors, and the Wasserstein distance.

    That has an interval where both have the same resampled times (``together``) only: of other times replicates are always farther
    apart than the samples are.
    """
    values = ours.quantiles()
    for k, level in enumerate(LEVELS):
        yield from write.one(f"quantile_{percent(level)}", values[:, k])
    if truth is None:
        return
    errors = values - truth.quantiles()
    for k, level in enumerate(LEVELS):
        yield from write.one(f"quantile_{percent(level)}_error", errors[:, k])
    distance = wasserstein(ours.replicates, truth.replicates, COARSE * ours.binning.width)
    distance[0] = wasserstein(ours.counts, truth.counts, ours.binning.width)
    yield from write.one("wasserstein", distance if together else distance[:1])
    apart = ours.group_quantiles(GROUP_LEVELS) - truth.group_quantiles(GROUP_LEVELS)
    far = wasserstein(ours.group_counts(), truth.group_counts(), COARSE * ours.binning.width)
    for g, group in enumerate(names[1:], 1):
        for k, level in enumerate(GROUP_LEVELS):
            yield from write.one(f"quantile_{percent(level)}_error", apart[g, k : k + 1], group=group)
        yield from write.one("wasserstein", far[g : g + 1], group=group)


def noise_records(write: Writer, truth: Distribution) -> Iterator[Record]:
    """How far the reference's own resampled times are from its distribution, as a rule: below that, distances are noise."""
    if len(truth.replicates) > 1:
        apart = wasserstein(truth.replicates[1:], truth.replicates[:1], COARSE * truth.binning.width)
        yield from write.one("wasserstein_noise", np.nanmedian(apart)[None])


def spectral_records(write: Writer, ours: SpectralSums, truth: SpectralSums, bins: WavelengthBins) -> Iterator[Record]:
    """Log spectral distance, effective resolution, bands, and down to where waves are in their place."""
    pairs = list(zip(ours.power, truth.power, strict=True))
    yield from write.one("lsd_db", np.array([log_spectral_distance(a, b) for a, b in pairs]), units="dB")
    resolution = np.array([effective_resolution(a, b, bins.centres) for a, b in pairs])
    yield from write.one("effective_resolution", resolution, units="degree")
    yield from worst_records(write, decibels(ours.power, truth.power), bins.centres)
    apart = decibels(ours.bands, truth.bands)
    for k, (low, high) in enumerate(WAVEBANDS):
        yield from write.one(f"power_{low:g}_{high:g}_degree_db", apart[:, k], units="dB")
    coherence = ours.coherence(truth)
    known = np.isfinite(coherence[0])
    if known.any():
        down = np.array([resolved(row[known] >= COHERENT, bins.centres[known]) for row in coherence])
        yield from write.one("coherent_down_to", down, units="degree")


def worst_records(write: Writer, decibel: np.ndarray, centres: np.ndarray) -> Iterator[Record]:
    """The largest deviation of the spectrum, (1 + replicates, bins), and its wavelength."""
    known = np.flatnonzero(np.isfinite(decibel[0]))
    if known.size:
        worst = known[np.argmax(np.abs(decibel[0, known]))]
        yield from write.one("worst_db", decibel[:, worst], units="dB")
        yield from write.one("worst_db_at", centres[worst : worst + 1], units="degree")


def tile_records(write: Writer, sums: Replicates) -> Iterator[Record]:
    """Energy and variogram score."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums.totals[:, 1:] / sums.totals[:, :1]
    for k, name in enumerate(("energy_score", "variogram_score")):
        yield from write.one(name, means[:, k])


def compared_records(write: Writer, cells: Mapping[str, CellSums], names: tuple[str, ...]) -> Iterator[Record]:
    """Skill against every baseline and, of the output, the difference to the one it is compared with."""
    ours = cells[write.system].derived()
    for other, sums in cells.items():
        theirs = sums.derived()
        if other not in (OURS, AGAINST):
            for score in COMPARED:
                with np.errstate(invalid="ignore", divide="ignore"):
                    skill = 1 - ours[score] / theirs[score]
                yield from write.groups(f"skill_{score}", skill, names, "", versus=other)
        elif other == AGAINST and write.system == OURS:
            for score in (*COMPARED, "tw_crps"):
                apart = ours[score] - theirs[score]
                yield from write.groups(f"difference_{score}", apart, names, write.units, versus=other)


def variable_records(sums: VariableSums, units: str) -> Iterator[Record]:
    """All records of one variable."""
    names, truth = sums.stage.groups.names, sums.truth
    for system, cells in sums.cells.items():
        write = Writer(sums.name, units, system)
        yield from cell_records(write, cells, names)
        yield from distribution_records(write, cells.distribution, truth, names)
        yield from spectral_records(write, sums.spectra[system], sums.spectra[TRUTH], sums.stage.bins)
        yield from tile_records(write, sums.tiles[system])
        if system in (OURS, AGAINST):
            yield from compared_records(write, sums.cells, names)
    if truth is not None:
        yield from distribution_records(Writer(sums.name, units, TRUTH), truth, None, names)


def wind_records(sums: PairedSums) -> Iterator[Record]:
    """Of the wind's divergence and vorticity, and of wind with pressure."""
    for name in DERIVED:
        for system, spectra in sums.derived.get(name, {}).items():
            if system != TRUTH:
                truth = sums.derived[name][TRUTH]
                yield from spectral_records(Writer(name, "s-1", system), spectra, truth, sums.stage.bins)
    yield from balance_records(sums.balance)


def balance_records(balance: Mapping[str, Replicates]) -> Iterator[Record]:
    """Of wind with pressure, by system."""
    for system, total in balance.items():
        for score, values in wind_pressure(total.totals).items():
            units = "degree" if score.endswith("angle") else ""
            yield from Writer(WIND, "", system).one(score, values, units=units)
