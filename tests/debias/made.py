"""A made climate and a model of it whose biases and whose warming are known, on 2.5 degree cells, one field a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import cftime
import netCDF4
import numpy as np

from zssd_cli.times import year_day_fractions

LAT, LON = np.arange(21.25, 60, 2.5), np.arange(1.25, 40, 2.5)
MEAN, SEASON, SPREAD = (
    {"psl": 101_000.0, "uas": 2.0, "vas": -1.0},
    {"psl": 600.0, "uas": 2.0, "vas": 1.0},
    {"psl": 700.0, "uas": 4.0, "vas": 3.0},
)
NAMES = {
    "psl": ("air_pressure_at_mean_sea_level", "Pa"),
    "uas": ("eastward_wind", "m s-1"),
    "vas": ("northward_wind", "m s-1"),
}


@dataclass(frozen=True)
class Faults:
    """What a model does wrong, in standard deviations of the variable, and its climate's change.

    Attributes
    ----------
    shift, seasonal
        Of the mean: the whole year, and the amplitude of an annual cycle with its top in April.
    stretch
        Factor of the deviations from the mean.
    trend, widening
        Change per year of the mean from ``since`` on, and of the deviations, relative.
    """

    shift: float = 0.0
    seasonal: float = 0.0
    stretch: float = 1.0
    trend: float = 0.0
    widening: float = 0.0
    since: float = 2000.0


TRUTH = Faults()
MODEL = Faults(shift=0.8, seasonal=0.5, stretch=1.4)


def dates(first: int, years: int, calendar: str = "standard", step: int = 1) -> list[cftime.datetime]:
    """Noon of every ``step``-th day of whole years."""
    start, end = (cftime.datetime(year, 1, 1, 12, calendar=calendar) for year in (first, first + years))
    return [start + n * (timedelta(days=step)) for n in range(-(-(end - start).days // step))]


def climate(name: str, times: Sequence[cftime.datetime], faults: Faults, seed: int) -> np.ndarray:
    """Values, (time, lat, lon): an annual cycle and skewed deviations that hold for a few days and 10 degrees."""
    rng = np.random.default_rng(seed)
    fraction = np.array([year_day_fractions(t)[0] for t in times])[:, None, None]
    year = np.array([t.year for t in times])[:, None, None] + fraction
    coarse = rng.standard_normal((len(times), LAT.size // 4, LON.size // 4))
    for k in range(1, len(times)):
        coarse[k] = 0.6 * coarse[k - 1] + 0.8 * coarse[k]
    deviation = np.kron(coarse, np.ones((1, 4, 4))) + 0.2 * rng.standard_normal((len(times), LAT.size, LON.size))
    deviation = deviation + 0.1 * (deviation**2 - 1.04)
    since = np.maximum(year - faults.since, 0)
    place = 1 + 0.3 * np.cos(np.deg2rad(4 * LON))[None, None]
    anomaly = faults.stretch * (1 + faults.widening * since) * deviation
    bias = faults.shift * place + faults.seasonal * np.sin(2 * np.pi * fraction) + faults.trend * since
    season = SEASON[name] * np.cos(2 * np.pi * (fraction - 0.05))
    return MEAN[name] + season + SPREAD[name] * (anomaly + bias)


def write(
    path: Path,
    names: Sequence[str],
    times: Sequence[cftime.datetime],
    faults: Faults = TRUTH,
    *,
    seed: int = 0,
    attributes: dict[str, str] | None = None,
    holes: bool = False,
    values: dict[str, np.ndarray] | None = None,
) -> Path:
    """Write a file as a model does; ``holes``: the first two rows and columns are missing."""
    with netCDF4.Dataset(path, "w") as data:
        data.setncatts({"Conventions": "CF-1.7", "frequency": "6hrPt", **(attributes or {})})
        for key, axis, units in (("lat", LAT, "degrees_north"), ("lon", LON, "degrees_east")):
            data.createDimension(key, axis.size)
            data.createVariable(key, "f8", (key,))[:] = axis
            data[key].units = units
        data.createDimension("time", None)
        time = data.createVariable("time", "f8", ("time",))
        time.setncatts({"units": "hours since 1950-01-01", "calendar": times[0].calendar})
        time[:] = cftime.date2num(times, time.units, time.calendar)
        for k, name in enumerate(names):
            variable = data.createVariable(name, "f4", ("time", "lat", "lon"), fill_value=np.float32(1e20))
            variable.setncatts({"standard_name": NAMES[name][0], "units": NAMES[name][1]})
            field = climate(name, times, faults, seed + k) if values is None else values[name]
            if holes:
                field[:, :2, :2] = np.nan
            variable[:] = np.ma.masked_invalid(field)
    return path


GCM = {"source_id": "TOY-ESM", "experiment_id": "historical", "tracking_id": "hdl:1/hist"}
FUTURE = GCM | {"experiment_id": "ssp585", "tracking_id": "hdl:1/ssp"}
