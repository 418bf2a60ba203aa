"""From the sums of two climates to what is shown of them."""

from collections.abc import Iterator, Mapping

import numpy as np

from zssd_cli.evaluation.alignment import OutputFile
from zssd_cli.evaluation.baselines import TEXTBOOK
from zssd_cli.evaluation.climate_sums import HOURS, MONTHS, ClimateSums
from zssd_cli.evaluation.histograms import COARSE, COARSE_HALF, merge
from zssd_cli.evaluation.mapping import NAME as MAPPED
from zssd_cli.evaluation.options import Options
from zssd_cli.evaluation.outcome import MAP_LEVELS, map_quantiles
from zssd_cli.evaluation.pairedsums import DERIVED, seen, units_of
from zssd_cli.evaluation.records import Writer, balance_records, distribution_records, noise_records, spectral_records
from zssd_cli.evaluation.results import OURS, TRUTH, Bootstrap, Cycle, Distributions, Evaluation, Maps, Record, Spectra
from zssd_cli.evaluation.spectra import SpectralSums
from zssd_cli.evaluation.verdict import with_verdict

Sums = Mapping[str, ClimateSums]
INPUT = "the output's own block means, which are the input's"
SYSTEMS = {
    "conservative": f"value of the block that holds the cell (conservative nearest), of {INPUT}",
    "bilinear": f"bilinear interpolation of {INPUT}",
    "bicubic": f"bicubic interpolation of {INPUT}",
    MAPPED: "the bilinear interpolation mapped to the reference's quantiles, fitted on the times that are scored",
    TEXTBOOK: "geostrophic wind of the bicubic block means of pressure, times 0.7, turned by 20 degrees",
    TRUTH: "the reference",
}


def summary(
    sums: Sums,
    output: OutputFile,
    bootstrap: Bootstrap,
    options: Options,
    reference_times: int,
    where: str,
    notes: tuple[str, ...],
    *,
    together: bool,
) -> Evaluation:
    """Everything by variable, then system."""
    names = [n for n in sums[TRUTH].distributions if n in sums[OURS].distributions]
    stage = sums[OURS].stage
    scale = (options.scale or output.filter_scale) if len(sums) > 2 else None
    counted = (
        f"The output has {len(output.times)} times, the reference {reference_times}: climates are compared, not times."
    )
    return with_verdict(
        Evaluation(
            rows=(),
            spectra=tuple(_spectra(sums, output, names)),
            times=len(output.times),
            members=output.members,
            points=int(np.prod(stage.grid.shape)),
            extent=where,
            scale=scale,
            notes=(counted, *notes),
            kind="distributional",
            records=tuple(_records(sums, output, names, together=together)),
            distributions=tuple(_distributions(sums, output, name) for name in names),
            maps=tuple(_maps(sums, output, name) for name in names),
            cycles=tuple(c for name in names for c in _cycles(sums, output, name)),
            systems={OURS: str(output.path)} | {s: SYSTEMS[s] for s in sums if s in SYSTEMS},
            groups=stage.groups.names,
            inferred=tuple(name for name in names if not seen(name, output)),
            bootstrap=bootstrap,
        )
    )


def _records(sums: Sums, output: OutputFile, names: list[str], *, together: bool) -> Iterator[Record]:
    truth = sums[TRUTH]
    for name in names:
        for system, ours in sums.items():
            if name in ours.distributions:
                write = Writer(name, units_of(name, output), system)
                yield from _moment_records(write, ours, truth, name, same=system == TRUTH)
                against = None if system == TRUTH else truth.distributions[name]
                groups = ours.stage.groups.names
                yield from distribution_records(write, ours.distributions[name], against, groups, together=together)
                if system == TRUTH:
                    yield from noise_records(write, ours.distributions[name])
                else:
                    yield from spectral_records(write, ours.spectra[name], truth.spectra[name], ours.stage.bins)
    for name in DERIVED:
        for system, ours in sums.items():
            if name in ours.derived and name in truth.derived and system != TRUTH:
                write = Writer(name, units_of(name, output), system)
                yield from spectral_records(write, ours.derived[name], truth.derived[name], ours.stage.bins)
    yield from balance_records({s: one.balance for s, one in sums.items() if one.balance is not None})


def _moment_records(write: Writer, ours: ClimateSums, truth: ClimateSums, name: str, *, same: bool) -> Iterator[Record]:
    for score, mine, theirs in zip(("mean", "std"), ours.mean_and_std(name), truth.mean_and_std(name), strict=True):
        yield from write.one(score, mine)
        if not same:
            yield from write.one(f"{score}_error", mine - theirs)


def _spectra(sums: Sums, output: OutputFile, names: list[str]) -> Iterator[Spectra]:
    for name in (*names, *DERIVED):
        curves: dict[str, SpectralSums] = {}
        for system in (TRUTH, *(s for s in sums if s != TRUTH)):
            its = sums[system].derived if name in DERIVED else sums[system].spectra
            if name in its:
                curves[system] = its[name]
        if TRUTH in curves:
            power = {system: one.power[0] for system, one in curves.items()}
            yield Spectra(name, units_of(name, output), sums[OURS].stage.bins.centres, power)


def _distributions(sums: Sums, output: OutputFile, name: str) -> Distributions:
    held = {system: one.distributions[name] for system, one in sums.items() if name in one.distributions}
    counts = {system: merge(one.counts, COARSE, COARSE_HALF) for system, one in held.items()}
    used = np.flatnonzero(np.sum([count > 0 for count in counts.values()], 0))
    part = slice(int(used[0]), int(used[-1]) + 1)
    shares = {system: count[part] / count.sum() for system, count in counts.items()}
    return Distributions(name, units_of(name, output), held[OURS].coarse_edges[part], shares)


def _maps(sums: Sums, output: OutputFile, name: str) -> Maps:
    stage = sums[OURS].stage
    lat, lon = stage.maps.centres()
    step = stage.maps.step * float(np.diff(stage.grid.lat_edges).max())
    fields = {
        system: map_quantiles(one.distributions[name].map_quantiles(MAP_LEVELS))
        for system, one in sums.items()
        if name in one.distributions
    }
    return Maps(name, units_of(name, output), lat, lon, step, fields)


def _cycles(sums: Sums, output: OutputFile, name: str) -> Iterator[Cycle]:
    for kind, of in (("month", MONTHS), ("hour", HOURS)):
        held = {s: one.cycles[name].mean_and_std(kind) for s, one in sums.items() if name in one.cycles}
        present = [k for k in range(len(of)) if any(np.isfinite(mean[k]) for mean, _ in held.values())]
        mean, std = ({s: pair[side][present] for s, pair in held.items()} for side in (0, 1))
        yield Cycle(name, units_of(name, output), kind, tuple(of[k] for k in present), mean, std)
