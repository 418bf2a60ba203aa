"""What an array is, from all that it says of itself: standard name, long name, methods, GRIB keys, and never one name only.

CAM calls wind speed ``U10``, ensembles store spreads under the name of the mean, archives store daily maxima beside moments.
"""

import re

import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.variables import Variable

_DIRECTION = re.compile(
    r"\b(east|west|north|south|zonal|meridional|comp)|\b[uvxy]\b|\b[uv][-_ ]?(comp|wind|vel)", re.IGNORECASE
)
_SPEED = re.compile(r"\b(wind ?speed|speed|(wind )?magnitude|(total|scalar) wind)\b", re.IGNORECASE)
_SPEED_KEYS = {"10si", "ws", "si10", "207"}
_SIDES = {
    "eastward_wind": re.compile(r"\b(north|south|west)(ward|erly)?\b|\bmeridional\b|\bv[- ](comp|wind)", re.IGNORECASE),
    "northward_wind": re.compile(r"\b(east|west|south)(ward|erly)?\b|\bzonal\b|\bu[- ](comp|wind)", re.IGNORECASE),
}
_STATISTICS = {
    "an ensemble spread": r"\bspread\b",
    "a standard deviation": r"\bstandard[ _-]deviation\b|\bstd\.?( ?dev)?\b|\bstdev\b|\bsigma\b",
    "a variance": r"\bvariance\b",
    "a root mean square": r"\brms\b|\broot[ -]mean[ -]square",
    "a gust": r"\bgusts?\b",
    "a maximum": r"\bmaximum\b|\bmax\b",
    "a minimum": r"\bminimum\b|\bmin\b(?! mean)",
    "an anomaly": r"\banomal(y|ies)\b|\bdeparture\b",
    "a difference": r"\bdifference\b|\bbias\b(?![- ](corrected|adjusted|correction|adjustment))|\btendency\b|\bincrement\b",
    "a quantile": r"\bpercentile\b|\bquantile\b|\bmedian\b",
    "an uncertainty": r"\buncertainty\b|\bstandard[ _]error\b",
    "a stress": r"\bstress\b",
    "a direction": r"\b(wind )?direction\b(?! of)",
}
_METHODS = {
    "maximum": "a maximum", "minimum": "a minimum", "standard_deviation": "a standard deviation", "variance": "a variance",
    "std": "a standard deviation", "stdev": "a standard deviation",
    "range": "a range", "median": "a median", "mid_range": "a middle of a range", "mode": "a mode",
}  # fmt: skip
_SURFACE = re.compile(
    r"\b(surface|station|ground)( level)? (air )?pressure\b|\bpressure (at|on) (the )?(surface|ground|station)",
    re.IGNORECASE,
)
_STEP_TYPES = {
    "max": "a maximum",
    "min": "a minimum",
    "sd": "a standard deviation",
    "rms": "a root mean square",
    "diff": "a difference",
}
ALONG_GRID = {
    "eastward_wind": ("x_wind", "grid_eastward_wind"),
    "northward_wind": ("y_wind", "grid_northward_wind"),
}
"""Standard name of a component -> those of the component along the grid's axis that becomes it by turning."""
_OTHERS = {
    "stress", "gust", "direction", "error", "water", "geostrophic", "tendency", "grid", "multiplier", "variance", "cloud",
    "anomaly", "number", "status",
}  # fmt: skip
"""Words that make another quantity of a standard name's."""
_GRIB_TYPES = {"es": "an ensemble spread", "ssd": "a standard deviation", "ep": "a probability"}
_WIDE_CELLS = 50
_WIDE = ((60.0, 90.0), (30.0, 180.0))
"""Over so many cells and degrees of latitude and longitude the wind blows both ways: the trades of one ocean are narrower."""


def is_speed(array: xr.DataArray) -> bool:
    """True for a speed, whatever its short name: it says so, and of no direction."""
    if str(array.attrs.get("standard_name", "")) == "wind_speed":
        return True
    if {str(array.attrs.get(key, "")) for key in ("GRIB_shortName", "GRIB_paramId")} & _SPEED_KEYS:
        return True
    said = _long_name(array)
    return _SPEED.search(said) is not None and not _DIRECTION.search(said)


def _long_name(array: xr.DataArray) -> str:
    return str(array.attrs.get("long_name") or array.attrs.get("GRIB_name") or array.attrs.get("description") or "")


def refuse_other(array: xr.DataArray, variable: Variable) -> None:
    """Raise :class:`InputError` where an array with the variable's name, or its standard name, is something else.

    Of a row without standard names nothing is known that could be contradicted.
    """
    if not variable.standard_names:
        return
    standard_name = str(array.attrs.get("standard_name", "")).strip()
    if _another(standard_name, variable):
        msg = (
            f"{array.name} has the standard_name {standard_name}, expected {' or '.join(variable.standard_names)}; "
            "correct the attribute if the data are what the name says."
        )
        raise InputError(msg)
    other = _other(array, variable)
    if other is not None:
        msg = (
            f"{array.name} is {other}, expected {_article(variable.long_name)} as its name says; choose another file, "
            "or correct the attribute if the data are what the name says."
        )
        raise InputError(msg)


def _another(standard_name: str, variable: Variable) -> bool:
    """Whether a standard name is that of another quantity; a misspelt one of this quantity is not."""
    if standard_name in ("", "unknown", *variable.standard_names, *ALONG_GRID.get(variable.standard_name, ())):
        return False
    words = set(re.split(r"[^a-z0-9]+", standard_name.lower()))
    misspelt = set(variable.standard_name.split("_")) - {"air", "at", "mean"} <= words
    return not misspelt or bool(words & _OTHERS)


def _article(words: str) -> str:
    return f"the {words[0].lower()}{words[1:]}"


def _other(array: xr.DataArray, variable: Variable) -> str | None:
    """What it is instead, with the words that say so."""
    long_name = _long_name(array)
    for method in re.findall(r"\b(?:time|realization|ensemble|member|number)\s*:\s*(\w+)", _methods(array)):
        if method.lower() in _METHODS:
            return f"{_METHODS[method.lower()]} (cell_methods {_methods(array)})"
    if (grib := str(array.attrs.get("GRIB_dataType", ""))) in _GRIB_TYPES:
        return f"{_GRIB_TYPES[grib]} (GRIB dataType {grib})"
    for what, words in _STATISTICS.items():
        if re.search(words, long_name, re.IGNORECASE):
            return f"{what} (long_name {long_name!r})"
    if (step := str(array.attrs.get("GRIB_stepType", ""))) in _STEP_TYPES:
        return f"{_STEP_TYPES[step]} (GRIB stepType {step})"
    side = _SIDES.get(variable.standard_name)
    if side is not None and side.search(long_name):
        return f"a wind of another direction (long_name {long_name!r})"
    metres = re.search(r"\b(\d+) ?(m|metres?|meters?)\b(?!/| ?s)", long_name, re.IGNORECASE)
    if variable.height is not None and metres and float(metres[1]) >= 2 * variable.height:
        return f"a wind at {metres[1]} m (long_name {long_name!r})"
    surface = _SURFACE.search(long_name) or {"sp", "134"} & {
        str(array.attrs.get(k, "")) for k in ("GRIB_shortName", "GRIB_paramId")
    }
    if variable.name == "msl" and surface and not re.search(r"\bsea\b|\bmsl\b|\breduced\b", long_name, re.IGNORECASE):
        return f"surface pressure (long_name {long_name!r})"
    short = str(array.attrs.get("GRIB_shortName", "unknown")).lower()
    if short not in ("unknown", *variable.grib, *variable.own_names, *variable.profiles):
        return f"{short} (GRIB shortName)"
    return None


def _methods(array: xr.DataArray) -> str:
    return str(array.attrs.get("cell_methods", ""))


def is_ensemble_mean(array: xr.DataArray) -> bool:
    """True for a mean over an ensemble, smoother than any weather."""
    found = re.search(r"\b(realization|ensemble|member|number)\s*:\s*mean\b", _methods(array)) is not None
    return (
        found
        or array.attrs.get("GRIB_dataType") == "em"
        or "ensemble mean" in str(array.attrs.get("long_name", "")).lower()
    )


def named_at_length(long_name: str) -> str:
    """A long name for comparison: ``10 metre wind speed`` and ``10m Wind-Speed`` alike."""
    text = re.sub(r"[^a-z0-9 ]+", " ", long_name.lower())
    text = re.sub(r"\b(metres?|meters?)\b", "m", text)
    return " ".join(re.sub(r"(\d)\s+m\b", r"\1m", text).split())


def _extent(lon: np.ndarray) -> float:
    """Degrees of longitude that centres span, the widest gap left out, whatever their origin."""
    round_trip = np.sort(np.ravel(lon)[np.isfinite(np.ravel(lon))] % 360.0)
    return 360.0 - float(np.diff(np.append(round_trip, round_trip[0] + 360.0)).max())


def refuse_one_sign(values: np.ndarray, lat: np.ndarray, lon: np.ndarray, variable: Variable) -> None:
    """Raise :class:`InputError` where a wind component is nowhere negative over a wide area: a speed or a spread.

    Parameters
    ----------
    values
        A field in canonical units, any shape.
    lat, lon
        Centres in degrees.
    """
    seen = values[np.isfinite(values)]
    wide = seen.size >= _WIDE_CELLS and any(np.ptp(lat) >= rows and _extent(lon) >= columns for rows, columns in _WIDE)
    if variable.component and wide and seen.min() >= 0 and seen.max() > 0:
        msg = (
            f"{variable.name} is nowhere negative in {seen.size} cells ({seen.min():.3g} to {seen.max():.3g} {variable.units}), "
            "as a speed or a spread is and no wind component over so wide an area; rename it to what it is (speed: sfcWind)."
        )
        raise InputError(msg)
