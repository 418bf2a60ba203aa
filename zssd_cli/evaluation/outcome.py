"""From the sums of a paired evaluation to what is shown of it."""

import numpy as np

from zssd_cli.evaluation.alignment import OutputFile
from zssd_cli.evaluation.baselines import TEXTBOOK
from zssd_cli.evaluation.cellsums import CellSums
from zssd_cli.evaluation.histograms import COARSE, COARSE_HALF, merge
from zssd_cli.evaluation.options import Options
from zssd_cli.evaluation.pairedsums import DERIVED, PairedSums, VariableSums, seen, units_of
from zssd_cli.evaluation.records import variable_records, wind_records
from zssd_cli.evaluation.results import (
    AGAINST,
    OURS,
    TRUTH,
    Bootstrap,
    Distributions,
    Evaluation,
    Maps,
    Row,
    Spectra,
)
from zssd_cli.evaluation.scores import scores
from zssd_cli.evaluation.spectra import decibels, log_spectral_distance
from zssd_cli.evaluation.verdict import with_verdict

MAP_LEVELS = (0.01, 0.5, 0.99)
SYSTEMS = {
    "conservative": "value of the block that holds the cell (conservative nearest)",
    "bilinear": "bilinear interpolation of the reference's block means",
    "bicubic": "bicubic interpolation of the reference's block means",
    TEXTBOOK: "geostrophic wind of the bicubic block means of pressure, times 0.7, turned by 20 degrees",
    TRUTH: "the reference",
}


def outcome(
    sums: PairedSums,
    output: OutputFile,
    against: OutputFile | None,
    bootstrap: Bootstrap,
    options: Options,
    times: int,
    where: str,
    scale: float | None,
    notes: tuple[str, ...],
) -> Evaluation:
    """Rows by variable, then system; variables without a single cell are left out."""
    known = {name: one for name, one in sums.variables.items() if one.cells}
    rows = tuple(_row(one, system, cells, output) for one in known.values() for system, cells in one.cells.items())
    records = tuple(
        [record for name, one in known.items() for record in variable_records(one, units_of(name, output))]
        + list(wind_records(sums))
    )
    present = dict.fromkeys(row.method for row in rows)
    named = {OURS: str(output.path), **({AGAINST: str(against.path)} if against is not None else {}), **SYSTEMS}
    shape = sums.stage.grid.shape
    return with_verdict(
        Evaluation(
            rows=rows,
            spectra=_spectra(sums, output, tuple(known)),
            times=times,
            members=output.members,
            points=shape[0] * shape[1],
            extent=where,
            scale=scale,
            notes=notes,
            records=records,
            ranks={name: ranks for name, one in known.items() if (ranks := _ranks(one))},
            distributions=tuple(_distributions(one, units_of(name, output)) for name, one in known.items()),
            maps=tuple(_maps(one, units_of(name, output)) for name, one in known.items()),
            systems={name: named[name] for name in (*present, TRUTH)},
            groups=sums.stage.groups.names,
            inferred=tuple(name for name in known if not seen(name, output)),
            thresholds={name: options.thresholds[name] for name in options.thresholds if name in known},
            bootstrap=bootstrap,
        )
    )


def _row(one: VariableSums, system: str, cells: CellSums, output: OutputFile) -> Row:
    mean = {name: values[0, 0] for name, values in cells.derived().items()}
    truth = one.truth
    levels = (0.99, 0.01)
    errors = cells.distribution.quantiles(levels)[0] - (truth.quantiles(levels)[0] if truth is not None else np.nan)
    shares = cells.rank_shares()
    listed = () if shares is None else tuple(shares[0, 0].tolist())
    ours, theirs = one.spectra[system], one.spectra[TRUTH]
    return Row(
        one.name,
        units_of(one.name, output),
        system,
        seen(one.name, output),
        scores(mean, cells.members, float(errors[0]), float(errors[1]), listed),
        log_spectral_distance(ours.power[0], theirs.power[0]),
        tuple(decibels(ours.bands[0], theirs.bands[0]).tolist()),
    )


def _spectra(sums: PairedSums, output: OutputFile, names: tuple[str, ...]) -> tuple[Spectra, ...]:
    every = {name: sums.variables[name].spectra for name in names} | {
        name: sums.derived[name] for name in DERIVED if name in sums.derived
    }
    shown = []
    for name, systems in every.items():
        truth = systems[TRUTH]
        coherence = {s: one.coherence(truth)[0] for s, one in systems.items() if s != TRUTH and name not in DERIVED}
        power = {system: one.power[0] for system, one in systems.items()}
        shown.append(Spectra(name, units_of(name, output), sums.stage.bins.centres, power, coherence))
    return tuple(shown)


def _ranks(one: VariableSums) -> dict[str, dict[str, list[float]]]:
    names = one.stage.groups.names
    found = {system: cells.rank_shares() for system, cells in one.cells.items()}
    return {
        system: {group: shares[0, k].tolist() for k, group in enumerate(names) if np.isfinite(shares[0, k]).all()}
        for system, shares in found.items()
        if shares is not None
    }


def _distributions(one: VariableSums, units: str) -> Distributions:
    sources = {system: cells.distribution for system, cells in one.cells.items()}
    if one.truth is not None:
        sources[TRUTH] = one.truth
    counts = {system: merge(source.counts, COARSE, COARSE_HALF) for system, source in sources.items()}
    used = np.flatnonzero(np.sum([count > 0 for count in counts.values()], 0))
    part = slice(int(used[0]), int(used[-1]) + 1)
    edges = sources[OURS].coarse_edges[part]
    return Distributions(one.name, units, edges, {s: count[part] / count.sum() for s, count in counts.items()})


def _maps(one: VariableSums, units: str) -> Maps:
    fields: dict[str, dict[str, np.ndarray]] = {}
    for system, cells in one.cells.items():
        if means := cells.maps():
            truth = means.pop("truth")
            fields.setdefault(TRUTH, {})["mean"] = truth
            fields[system] = means | map_quantiles(cells.distribution.map_quantiles(MAP_LEVELS))
    if one.truth is not None:
        fields.setdefault(TRUTH, {}).update(map_quantiles(one.truth.map_quantiles(MAP_LEVELS)))
    cells_of_maps = one.stage.maps
    lat, lon = cells_of_maps.centres()
    step = cells_of_maps.step * float(np.diff(one.stage.grid.lat_edges).max())
    return Maps(one.name, units, lat, lon, step, fields)


def map_quantiles(values: np.ndarray) -> dict[str, np.ndarray]:
    """Fields by name from (levels, rows, columns)."""
    return {f"quantile_{100 * level:g}": field for level, field in zip(MAP_LEVELS, values, strict=True)}
