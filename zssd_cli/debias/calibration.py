"""The file of a bias adjustment: quantiles of reference and model per block, season and decade, where they come from, and their use."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cftime
import netCDF4
import numpy as np

from zssd_cli.debias.mapping import NODES, Kind, correction, interpolated
from zssd_cli.debias.seasons import Decades, Seasons, decimal_year
from zssd_cli.errors import ConfigError, InputError
from zssd_cli.files import changed
from zssd_cli.grids.latlon import LatLonGrid, describe_extent
from zssd_cli.series.opening import reading
from zssd_cli.times import format_time
from zssd_cli.watchdog import watched

FORMAT = "zssd-debias-1"
METHOD = "quantile delta mapping (Cannon, Sobie and Murdock 2015)"
KEPT = 48
"""Slices of one variable, season and decade that are held in memory, those used last: a time needs four of each variable."""
HISTORICAL = 0
"""Place of the historical period among the model's spans; those of the target follow."""


@dataclass(frozen=True)
class Calibration:
    """What a file says, and its quantiles, read as they are needed.

    Attributes
    ----------
    path, sha256
        The file and its hash.
    grid
        Blocks.
    filter_scale
        Their side in degrees.
    variables
        Canonical name -> what is kept of the model's change.
    seasons
        Parts of the year.
    historical
        The historical period.
    target
        Spans of the run to adjust; None where only the historical period was fitted.
    counts
        Times of which quantiles were taken, (spans, seasons): the historical period, then the target's spans.
    sources
        ``reference``, ``historical`` and ``target`` -> source_id, experiment_id, period ...
    changed
        Moment of the file's last change.
    """

    path: Path
    sha256: str
    grid: LatLonGrid
    filter_scale: float
    variables: Mapping[str, Kind]
    seasons: Seasons
    historical: Decades
    target: Decades | None
    counts: np.ndarray
    sources: Mapping[str, Mapping[str, str]]
    changed: str
    _kept: dict[tuple[str, int, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def adjust(
        self, names: Sequence[str], times: Sequence[cftime.datetime], grid: LatLonGrid, blocks: np.ndarray
    ) -> np.ndarray:
        """Block means without the bias.

        Parameters
        ----------
        names
            Canonical names of the variables.
        times
            Dates in the model's calendar.
        grid
            Blocks, all of the file's or some of them.
        blocks
            (times, variables, h, w), canonical units, NaN where missing.

        Raises
        ------
        ConfigError
            A date, a season or blocks with values that the file does not know.
        """
        rows, columns = self._places(grid, np.isfinite(blocks).any((0, 1)))
        adjusted = np.empty_like(blocks)
        for k, time in enumerate(times):
            for n, name in enumerate(names):
                adjusted[k, n] = self._adjusted(name, blocks[k, n], time, rows, columns)
        return adjusted

    def _adjusted(
        self, name: str, values: np.ndarray, time: cftime.datetime, rows: np.ndarray, columns: np.ndarray
    ) -> np.ndarray:
        change = np.zeros(values.shape)
        later = decimal_year(time) - self.middles
        for span, season, weight in self.weights(time):
            model, factors, slope = (part[..., rows, :][..., columns] for part in self._slice(name, span, season))
            model = model + slope * later[span]
            change += weight * interpolated(values, model, factors)
        return values + change if self.variables[name] is Kind.DIFFERENCE else values * change

    def weights(self, time: cftime.datetime) -> list[tuple[int, int, float]]:
        """The spans and seasons that a date lies between, with weights that add up to 1."""
        if self.target is not None and self.target.hold(time):
            spans = [(1 + span, weight) for span, weight in self.target.weights(time)]
        elif self.historical.hold(time):
            spans = [(HISTORICAL, 1.0)]
        else:
            msg = (
                f"The bias file {self.path} knows the model's {self._periods()}, not {format_time(time)}. Fit one with --target "
                "of the files that you downscale, or choose --time within."
            )
            raise ConfigError(msg)
        places = [(s, n, a * b) for s, a in spans for n, b in self.seasons.weights(time) if a * b > 0]
        if any(self.counts[span, season] == 0 for span, season, _ in places):
            msg = (
                f"The bias file {self.path} was fitted on files without this part of the year ({format_time(time)}). "
                "Fit one on files of whole years."
            )
            raise ConfigError(msg)
        return places

    def check_times(self, times: Sequence[cftime.datetime]) -> None:
        """Refuse dates that the file does not know, as :meth:`weights` does."""
        # spans are of whole years; parts of the year are all known as a rule
        looked = times if (self.counts == 0).any() else {time.year: time for time in reversed(times)}.values()
        for time in looked:
            self.weights(time)

    def _periods(self) -> str:
        return " and ".join(self.sources[name]["period"] for name in ("historical", "target") if name in self.sources)

    @property
    def middles(self) -> np.ndarray:
        """Middle years of the spans."""
        spans = [*self.historical.spans, *(self.target.spans if self.target is not None else ())]
        return np.array(spans).mean(1)

    def _slice(self, name: str, span: int, season: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Quantiles of the model in a span's middle and corrections there, (nodes, *grid.shape), and its trend, per year."""
        key = (name, span, season)
        if key not in self._kept:
            if len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            if changed(self.path) != self.changed:
                msg = f"{self.path}: the bias file was changed since this run began with it; start anew, or bring the old one back."
                raise InputError(msg)
            with reading(self.path), watched(self.path), netCDF4.Dataset(self.path) as data:
                model, slope, *both = (
                    np.ma.filled(data[f"{name}_{part}"][place].astype(np.float64), np.nan)
                    for part, place in (
                        ("model", (span, season)),
                        ("trend", (span, season)),
                        ("reference", season),
                        ("model", (HISTORICAL, season)),
                    )
                )
            self._kept[key] = model, correction(both[0], both[1], self.variables[name]), slope
        self._kept[key] = self._kept.pop(key)  # to the end: used last
        return self._kept[key]

    def _places(self, grid: LatLonGrid, valued: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the file for a run's blocks; those without values may lie anywhere."""
        apart = np.abs(self.grid.lat[:, None] - grid.lat[None])
        around = np.abs((self.grid.lon[:, None] - grid.lon[None] + 180) % 360 - 180)
        outside = (apart.min(0) > 1e-6)[:, None] | (around.min(0) > 1e-6)[None]
        if (outside & valued).any():
            msg = (
                f"The bias file {self.path} covers {describe_extent(self.grid)}; this run takes blocks of {describe_extent(grid)}. "
                "Fit one with the --region of this run, or choose a --region well inside the file's."
            )
            raise ConfigError(msg)
        return apart.argmin(0), around.argmin(0)

    @property
    def attributes(self) -> dict[str, str]:
        """What an output says of its adjustment."""
        kinds = ", ".join(f"{name} {_WORDS[kind]}" for name, kind in self.variables.items())
        said = {
            f"zssd_debias_{name}": "; ".join(f"{key} {value}" for key, value in facts.items() if key in _TOLD)
            for name, facts in self.sources.items()
        }
        return {
            "zssd_debias": f"{METHOD} of block means of {self.filter_scale:g} degrees, by {self.seasons}: {kinds}",
            "zssd_debias_sha256": self.sha256,
            **said,
        }


_WORDS = {Kind.DIFFERENCE: "additive", Kind.RATIO: "multiplicative"}
_TOLD = ("source_id", "experiment_id", "variant_label", "period", "tracking_id")


_DIMS = {
    "reference": ("season", "quantile", "lat", "lon"),
    "model": ("span", "season", "quantile", "lat", "lon"),
    "trend": ("span", "season", "lat", "lon"),
}
"""Parts of a variable."""
_LONG_NAMES = {
    "reference": "Quantiles of block means of {} of the reference",
    "model": "Quantiles of block means of {} of the model: historical period, then spans of the target, in their middles",
    "trend": "Trend of block means of {} of the model within a span of the target",
}


def write(path: Path, found: "Fitted") -> None:
    """Write what was fitted."""
    with netCDF4.Dataset(path, "w") as data:
        data.setncatts({"Conventions": "CF-1.8", "format": FORMAT, **found.attributes})
        for name, axis in (("lat", found.grid.lat), ("lon", found.grid.lon), ("quantile", found.nodes)):
            data.createDimension(name, axis.size)
            data.createVariable(name, "f8", (name,))[:] = axis
        for name, edges in (("lat_edges", found.grid.lat_edges), ("lon_edges", found.grid.lon_edges)):
            data.createDimension(name, edges.size)
            data.createVariable(name, "f8", (name,))[:] = edges
        data.createDimension("span", len(found.spans))
        data.createDimension("limit", 2)
        data.createDimension("season", found.counts.shape[1])
        data.createVariable("span_years", "f8", ("span", "limit"))[:] = found.spans
        data.createVariable("counts", "i4", ("span", "season"))[:] = found.counts
        for name, arrays in found.quantiles.items():
            for part, values in zip(_DIMS, arrays, strict=True):
                dims = _DIMS[part]
                chunks = tuple(
                    1 if dim in ("span", "season") else size for dim, size in zip(dims, values.shape, strict=True)
                )
                variable = data.createVariable(f"{name}_{part}", "f4", dims, zlib=True, shuffle=True, chunksizes=chunks)
                variable.setncatts(found.described(name, part))
                variable[:] = values


@dataclass(frozen=True)
class Fitted:
    """What :func:`write` writes: of :class:`Calibration`; ``quantiles``: a variable's reference, model and trends within spans."""

    grid: LatLonGrid
    nodes: np.ndarray
    spans: np.ndarray
    counts: np.ndarray
    quantiles: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
    attributes: Mapping[str, Any]
    units: Mapping[str, str]
    kinds: Mapping[str, Kind]

    def described(self, name: str, part: str) -> dict[str, str]:
        """Attributes of a variable's quantiles."""
        per_year = {"units": f"{self.units[name]} year-1"} if part == "trend" else {"units": self.units[name]}
        return {"long_name": _LONG_NAMES[part].format(name), **per_year, "kind": str(self.kinds[name])}


def load(path: Path) -> Calibration:
    """Read a file; its quantiles are looked at, so that damage shows before any work, and not kept.

    Raises
    ------
    InputError
        No such file, one that ``zssd debias fit`` did not write, or a damaged one.
    """
    if not path.is_file():
        msg = f"{path}: no such file; give what zssd debias fit has written."
        raise InputError(msg)
    moment = changed(path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    with reading(path), watched(path), netCDF4.Dataset(path) as data:
        if getattr(data, "format", "") != FORMAT:
            msg = f"{path}: expected a file of zssd debias fit, got another NetCDF file (no format {FORMAT})."
            raise InputError(msg)
        axes = [np.ma.filled(data[name][:].astype(float), np.nan) for name in ("lat", "lon", "lat_edges", "lon_edges")]
        spans = [(float(start), float(end)) for start, end in np.ma.filled(data["span_years"][:].astype(float), np.nan)]
        names = [name.removesuffix("_reference") for name in data.variables if name.endswith("_reference")]
        found = Calibration(
            path=path.absolute(),
            sha256=sha256,
            grid=LatLonGrid(*axes),
            filter_scale=float(data.filter_scale),
            variables={name: Kind(data[f"{name}_reference"].kind) for name in names},
            seasons=Seasons.parse(data.window),
            historical=Decades(tuple(spans[:1])),
            target=Decades(tuple(spans[1:])) if len(spans) > 1 else None,
            counts=np.ma.filled(data["counts"][:], 0),
            sources=json.loads(data.sources),
            changed=moment,
        )
        wrong = _contradiction(found, data)
        if wrong is None:
            _read_through(found, data)
    if wrong is not None:
        msg = f"{path}: {wrong}, unlike what zssd debias fit writes; fit it again."
        raise InputError(msg)
    return found


def _contradiction(found: Calibration, data: netCDF4.Dataset) -> str | None:
    """What a file says that cannot be, None where it holds together."""
    grid, roles = found.grid, ["reference", "historical", *(["target"] if found.target is not None else [])]
    sizes = {"lat": grid.lat.size, "lon": grid.lon.size, "quantile": NODES.size, "season": found.seasons.count}
    sizes["span"] = len(found.middles)
    for name in ("lat", "lon"):
        centres, edges = getattr(grid, name), getattr(grid, f"{name}_edges")
        if not np.allclose((edges[1:] + edges[:-1]) / 2, centres):
            return f"{name} are not the middles of {name}_edges"
    if not (np.diff(found.middles[1:]) > 0).all() or not np.isfinite(found.middles).all():
        return "span_years are not numbers in ascending order"
    for name in (f"{variable}_{part}" for variable in found.variables for part in _DIMS):
        dims = _DIMS[name.rpartition("_")[2]]
        if data[name].shape != tuple(sizes[dim] for dim in dims):
            return f"{name} has the shape {data[name].shape}, expected {tuple(sizes[dim] for dim in dims)} ({', '.join(dims)})"
    if found.counts.shape != (sizes["span"], sizes["season"]) or not found.variables:
        return "counts or variables are missing"
    if not isinstance(found.sources, dict) or any(_FACTS - {*found.sources.get(role, ())} for role in roles):
        return f"sources lack {', '.join(sorted(_FACTS))} of {', '.join(roles)}"
    return None


def _read_through(found: Calibration, data: netCDF4.Dataset) -> None:
    """Inflate every chunk once; an :class:`InputError` where the library cannot."""
    for name in (f"{variable}_{part}" for variable in found.variables for part in _DIMS):
        try:
            for place in np.ndindex(data[name].shape[: _DIMS[name.rpartition("_")[2]].index("season") + 1]):
                data[name][place]
        except (RuntimeError, OSError) as error:
            msg = f"{found.path}: {name} is damaged ({error}). Copy the file again, or fit it again."
            raise InputError(msg) from error


_FACTS = {"period", "times", "calendar", "fields"}
"""What is said of every source."""
