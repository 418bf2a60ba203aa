"""Held-out real fields: what the benchmarks downscale and score, read from ``../shared/data``.

A field is a truth on the 0.25 degree grid and a region of it. Its block means are what a method gets; they come from
all whole blocks that the file covers, so that methods and interpolations see the same surroundings of a region.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cftime
import numpy as np

from zssd_cli.evaluation.alignment import covered_blocks
from zssd_cli.grids.extent import covered_region
from zssd_cli.grids.latlon import FINE_STEP, LatLonGrid, Region
from zssd_cli.grids.regrid import WHOLE, separable
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.series.reading import open_source

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "reanalysis"
IFS = "ifs/ifs_global_msl_u10_v10_20250129T06.nc"
ICELAND = "era5/pyposeidon_era5_msl_u10_v10_2011010100-10323_hourly.grib"
NORWAY = "era5/era5_norway_msl_u10_v10_t2m_20250601-07_6h_64x112.nc"
ERA5_POINTS = "coarser/era5_global_1deg_every4th_msl_u10_v10_t2m_tp_20260325-29_7h.nc"
TUNING = "ifs/ifs_global_msl_u10_v10_20250212T00.nc"
VARIABLES = ("msl", "u10", "v10")


@dataclass(frozen=True)
class Series:
    """Fields in memory, with what the sampling asks of :class:`zssd_cli.series.protocol.CoarseSeries`.

    Attributes
    ----------
    variables
        Canonical names.
    grid, times
        Of the fields.
    values
        (time, variable, lat, lon) float32, canonical units.
    """

    variables: tuple[str, ...]
    grid: LatLonGrid
    times: tuple[cftime.datetime, ...]
    values: np.ndarray
    averaging: str | None = None
    kind: str = "moments"
    doubts: tuple[str, ...] = ()
    points: None = None
    time_bounds: None = None

    def only(self, names: tuple[str, ...]) -> "Series":
        """Some of the variables."""
        return replace(self, variables=names, values=self.values[:, [self.variables.index(name) for name in names]])

    @property
    def cells(self) -> "dict[str, Series]":
        """The series itself is where its cells lie."""
        return dict.fromkeys(self.variables, self)

    def fields(self, variable: str, start: int, stop: int) -> np.ndarray:
        """One variable at times ``start`` to ``stop``."""
        return self.values[start:stop, self.variables.index(variable)]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Times ``start`` to ``stop``."""
        return self.values[start:stop]

    def blocks(self, scale: float) -> "Series":
        """Area means over the blocks of ``scale`` degrees that lie wholly inside."""
        grid = covered_blocks(self.grid, scale)
        if grid is None:
            sys.exit(f"The field covers no whole block of {scale:g} degrees; leave it out with --fields.")
        return replace(self, grid=grid, values=separable(self.grid, grid, WHOLE)(self.values).astype(np.float32))

    def on(self, grid: LatLonGrid) -> np.ndarray:
        """The values on some of the 0.25 degree cells, those that are among the series' points: (time, variable, lat, lon)."""
        turn = round(360 / FINE_STEP)
        axes = []
        for wanted, own in ((grid.lat, self.grid.lat), (grid.lon, self.grid.lon)):
            known = {int(round(value / FINE_STEP)) % turn: k for k, value in enumerate(own)}
            cells = (int(round(value / FINE_STEP)) % turn for value in wanted)
            axes.append(np.array([known[cell] for cell in cells if cell in known]))
        return self.values[:, :, axes[0][:, None], axes[1]]


@dataclass(frozen=True)
class HeldOut:
    """A truth that no training saw.

    Attributes
    ----------
    name
        For tables.
    file
        Below :data:`DATA`.
    box
        Region, None for all whole blocks of the file.
    every, first
        Step and first of the times that are taken.
    lowpass_km
        Standard deviation of the low-pass that the truth was given, 0 for none.
    """

    name: str
    file: str
    box: Region | None
    every: int = 1
    first: int = 0
    lowpass_km: float = 0.0

    @cached_property
    def series(self) -> Series:
        """The fields; the low-pass acts on the whole file."""
        source = open_source(DATA / self.file, VARIABLES)
        try:
            times = range(self.first, len(source.times), self.every)
            values = np.concatenate([source.read(k, k + 1) for k in times])
            series = Series(source.variables, source.grid, tuple(source.times[k] for k in times), values)
        finally:
            source.close()
        if not self.lowpass_km:
            return series
        from zssd_cli.training.lowpass import lowpass

        smooth = lowpass(values, series.grid.lat, self.lowpass_km, circular=series.grid.circular)
        return replace(series, values=smooth)

    def region(self, scale: float) -> Region:
        """The box, or all whole blocks of ``scale`` degrees."""
        return self.box or covered_region(self.series, scale)

    def filtered(self, km: float) -> "HeldOut":
        """The same with a low-pass of ``km``; only for IFS, which is finer than ERA5."""
        if not km or not self.file.startswith("ifs/"):
            return self
        return replace(self, name=f"{self.name}, low-pass {km:g} km", lowpass_km=km)


SMALL = (
    HeldOut("IFS North Atlantic", IFS, Region(-50, -30, 40, 60)),
    HeldOut("IFS South Pacific", IFS, Region(-140, -120, -55, -35)),
    HeldOut("ERA5 Iceland", ICELAND, None, every=72, first=36),
    HeldOut("ERA5 Norway", NORWAY, None, every=28, first=14),
)
"""One time each, about 20 x 20 degrees."""

LARGE = (
    HeldOut("IFS North Atlantic", IFS, Region(-60, -20, 30, 70)),
    HeldOut("IFS South Pacific", IFS, Region(-150, -110, -65, -25)),
    HeldOut("IFS tropical Pacific", IFS, Region(-180, -140, -20, 20)),
    HeldOut("ERA5 Iceland", ICELAND, None, every=24),
    HeldOut("ERA5 Norway", NORWAY, None, every=5),
)
"""40 x 40 degrees, or a series: Iceland every 24 hours, Norway every 30, so that all hours occur."""

TUNING_FIELD = HeldOut("tuning: IFS training field, North Pacific", TUNING, Region(-175, -155, 35, 55))
"""A box of a field that the prior was trained on and that no table scores, of the size of those that are scored: the norm
runs over the whole domain, so the best step size grows with the square root of the number of cells."""


def training_lowpass(prior: Prior) -> float:
    """Kilometres of the low-pass that the prior's header asks for, 0 for none."""
    return float(prior.header.training.get("settings", {}).get("lowpass_km", 0.0))


def choose(fields: Iterable[HeldOut], wanted: str | None) -> list[HeldOut]:
    """Fields whose names contain one of the comma-separated words; all for None. Ends the program where none does."""
    fields = list(fields)
    words = [word.strip().lower() for word in wanted.split(",")] if wanted else [""]
    chosen = [field for field in fields if any(word in field.name.lower() for word in words)]
    if not chosen:
        sys.exit(f"--fields: expected parts of {', '.join(f.name for f in fields)}, got {wanted!r}.")
    absent = [str(DATA / field.file) for field in chosen if not (DATA / field.file).is_file()]
    if absent:
        sys.exit(f"The real fields are not here: {absent[0]} is absent.")
    return chosen
