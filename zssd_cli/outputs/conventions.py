"""What an output says so that other tools take it: coordinates and attributes after CF-1.8 and ACDD-1.3, the same in every sink.

The reference system is the sphere on which zssd averages its blocks and ERA5's grid lies (radius 6371229 m). Latitudes on it
are taken over unchanged by PROJ, so that coasts and borders in WGS84 fit.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import cftime
import numpy as np

from zssd_cli.grids.latlon import FINE_STEP
from zssd_cli.outputs.packing import Packing, packing_of
from zssd_cli.outputs.sink import Attribute, Contents
from zssd_cli.times import format_time
from zssd_cli.variables import VARIABLES, Variable

CONVENTIONS = "CF-1.8, ACDD-1.3"
DIMS = ("time", "member", "lat", "lon")
REFERENCE_SYSTEM = "crs"

_COORDINATE = {"coverage_content_type": "coordinate"}
_TIME = {"standard_name": "time", "long_name": "time", "axis": "T", **_COORDINATE}
_MEMBER = {"standard_name": "realization", "long_name": "draw from the posterior", "units": "1", **_COORDINATE}
_LAT = {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y", **_COORDINATE}
_LON = {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X", **_COORDINATE}
_SPHERE: dict[str, Attribute] = {
    "grid_mapping_name": "latitude_longitude",
    "long_name": "sphere of the reanalysis grid",
    "earth_radius": 6371229.0,
    "longitude_of_prime_meridian": 0.0,
}


@dataclass(frozen=True)
class Part:
    """A variable that is no field: a coordinate, its bounds, the reference system. ``values`` may be dates."""

    name: str
    dims: tuple[str, ...]
    values: np.ndarray
    attributes: dict[str, Attribute]

    @property
    def coordinate(self) -> bool:
        """Whether readers find it as a coordinate of fields: along a dimension, or where one stands still."""
        return self.dims in ((self.name,), ()) and self.name != REFERENCE_SYSTEM


def parts(contents: Contents) -> list[Part]:
    """All variables of an output but its fields."""
    grid = contents.grid
    bounded = {"bounds": "time_bnds"} if contents.time_bounds is not None else {}
    return [
        Part("time", ("time",), np.array(contents.times, object), {**_TIME, **bounded}),
        *([Part("time_bnds", ("time", "bnds"), np.array(contents.time_bounds, object), {})] if bounded else []),
        *([] if contents.spread else [_members(contents)]),
        *_axis("lat", grid.lat, grid.lat_edges, _LAT),
        *_axis("lon", grid.lon, grid.lon_edges, _LON),
        *_verticals(contents).values(),
        Part(REFERENCE_SYSTEM, (), np.array(0, np.int32), _SPHERE),
    ]


def _members(contents: Contents) -> Part:
    return Part("member", ("member",), np.arange(contents.members, dtype=np.int32), {**_MEMBER})


def _axis(name: str, centres: np.ndarray, edges: np.ndarray, attributes: dict[str, str]) -> list[Part]:
    bounds = np.stack([edges[:-1], edges[1:]], 1)
    return [
        Part(name, (name,), centres, {**attributes, "bounds": f"{name}_bnds"}),
        Part(f"{name}_bnds", (name, "bnds"), bounds, {}),
    ]


def _verticals(contents: Contents) -> dict[tuple[str, float], Part]:
    """Scalar coordinates by kind and value: heights and pressure levels of the variables, each once."""
    places = list(dict.fromkeys(place for name in contents.variables if (place := _place(VARIABLES[name]))))
    found = {}
    for kind, value in places:
        several = sum(kind == other for other, _ in places) > 1
        name = f"{kind}_{value:g}" if several else kind
        found[kind, value] = Part(name, (), np.array(value), {**_VERTICAL[kind], "axis": "Z", **_COORDINATE})
    return found


_VERTICAL = {
    "height": {"standard_name": "height", "long_name": "height above the ground", "units": "m", "positive": "up"},
    "plev": {"standard_name": "air_pressure", "long_name": "pressure", "units": "Pa", "positive": "down"},
}


def _place(variable: Variable) -> tuple[str, float] | None:
    if variable.level is not None:
        return "plev", variable.level
    return None if variable.height is None else ("height", variable.height)


def encoded(contents: Contents, part: Part) -> tuple[np.ndarray, dict[str, Attribute]]:
    """Values, of 4-byte integers or 8-byte numbers, and attributes as files hold them: dates as numbers, whose units bounds
    have from their coordinate.
    """  # fmt: skip
    values, attributes = part.values, part.attributes
    if values.dtype == object:
        first = contents.times[0]
        dates = {"units": f"hours since {format_time(first).partition('T')[0]} 00:00:00", "calendar": first.calendar}
        values = cftime.date2num(values, **dates)
        attributes = attributes | (dates if part.coordinate else {})
    kind = np.int32 if part.values.dtype.kind == "i" else np.float64
    return np.asarray(values, kind), attributes


@dataclass(frozen=True)
class Field:
    """A field as files hold it; ``packing`` where as integers."""

    name: str
    dims: tuple[str, ...]
    attributes: dict[str, Attribute]
    packing: Packing | None

    def where(self, time: slice, member: slice) -> tuple[slice, ...]:
        """The place of times and members in it."""
        return (time, member) if "member" in self.dims else (time,)

    def cut(self, values: np.ndarray, number: int) -> np.ndarray:
        """Its values, the variable of a number of (time, member, variable, lat, lon)."""
        return values[:, :, number] if "member" in self.dims else values[:, 0, number]


def fields(contents: Contents) -> list[Field]:
    """The fields of an output in the order in which a writer gets them."""
    found = []
    for name in contents.variables:
        attributes = field_attributes(contents, name)
        packing = packing_of(name) if contents.packed else None
        if not contents.spread:
            found.append(Field(name, DIMS, attributes, packing))
            continue
        dims, methods = (DIMS[0], *DIMS[2:]), attributes.pop("cell_methods", "")
        over = {kind: f"{methods} realization: {kind}".strip() for kind in ("mean", "standard_deviation")}
        mean = attributes | {"cell_methods": over["mean"], "ancillary_variables": spread_name(name)}
        spread = attributes | {
            "long_name": f"spread of {VARIABLES[name].long_name}",
            "cell_methods": over["standard_deviation"],
            "comment": f"standard deviation of {contents.members} draws from the posterior, squares divided by {contents.members - 1}",
        }
        found.append(Field(name, dims, mean, packing))
        found.append(Field(spread_name(name), dims, spread, packing_of(name, spread=True) if contents.packed else None))
    return found


def field_attributes(contents: Contents, name: str) -> dict[str, Attribute]:
    """Attributes of a field of members; ``coordinates`` among them where it lies at a height or a level."""
    place = _place(VARIABLES[name])
    return {
        **VARIABLES[name].attributes,
        "grid_mapping": REFERENCE_SYSTEM,
        "coverage_content_type": "modelResult",
        **({"coordinates": _verticals(contents)[place].name} if place else {}),
        **contents.variables[name],
    }


def spread_name(variable: str) -> str:
    """Name of the standard deviation of a variable over the members."""
    return f"{variable}_spread"


def ancillary(contents: Contents, variable: str) -> str:
    """What belongs to a variable that has a mask."""
    return " ".join([*([spread_name(variable)] if contents.spread else []), mask_name(variable)])


def mask_name(variable: str) -> str:
    """Name of the mask that tells the observed cells of a variable from those drawn."""
    return f"{variable}_observed"


def mask_attributes(variable: str) -> dict[str, Attribute]:
    """Attributes of that mask: bytes (time, lat, lon)."""
    return {
        "standard_name": "status_flag",
        "long_name": f"whether {variable} was observed there",
        "flag_values": np.array([0, 1], np.int8),
        "flag_meanings": "inferred observed",
        "grid_mapping": REFERENCE_SYSTEM,
        "coverage_content_type": "qualityInformation",
        "comment": "0: drawn from the prior given other variables and blocks. Says nothing where the field is missing.",
    }


def global_attributes(contents: Contents) -> dict[str, Attribute]:
    """What was given, and what follows from cells and times; integers of the 32 bits that every NetCDF format has."""
    now = contents.created
    return {
        "Conventions": CONVENTIONS,
        "standard_name_vocabulary": "CF Standard Name Table v93",
        "cdm_data_type": "Grid",
        "date_created": now,
        "date_modified": now,
        "date_metadata_modified": now,
        **_extent(contents),
        **_coverage(contents),
        **{key: np.int32(v) if type(v) is int else v for key, v in contents.attributes.items()},
    }


def _extent(contents: Contents) -> dict[str, Attribute]:
    lat, lon = contents.grid.lat, contents.grid.lon
    west, east, south, north = (float(value) for value in (lon[0], lon[-1], lat[0], lat[-1]))
    corners = ((south, west), (north, west), (north, east), (south, east), (south, west))
    heights = [value for kind, value in _verticals(contents) if kind == "height"]
    vertical: dict[str, Any] = {}
    if heights:
        vertical = {"min": min(heights), "max": max(heights), "units": "m", "positive": "up"}
    return {
        "geospatial_bounds": f"POLYGON (({', '.join(f'{y:g} {x:g}' for y, x in corners)}))",
        "geospatial_bounds_crs": "EPSG:4326",
        "geospatial_lat_min": south,
        "geospatial_lat_max": north,
        "geospatial_lat_units": "degrees_north",
        "geospatial_lat_resolution": f"{FINE_STEP:g} degree",
        "geospatial_lon_min": west,
        "geospatial_lon_max": east,
        "geospatial_lon_units": "degrees_east",
        "geospatial_lon_resolution": f"{FINE_STEP:g} degree",
        **{f"geospatial_vertical_{key}": value for key, value in vertical.items()},
    }


def _coverage(contents: Contents) -> dict[str, Attribute]:
    """First and last time, where the real calendar has these days: ACDD means ISO 8601."""
    first, last = contents.times[0], contents.times[-1]
    if not (_is_real(first) and _is_real(last)):
        return {}
    steps = {later - earlier for earlier, later in zip(contents.times[:-1], contents.times[1:], strict=True)}
    return {
        "time_coverage_start": f"{format_time(first)}Z",
        "time_coverage_end": f"{format_time(last)}Z",
        "time_coverage_duration": _iso_duration(last - first),
        **({"time_coverage_resolution": _iso_duration(steps.pop())} if len(steps) == 1 else {}),
    }


def _is_real(time: cftime.datetime) -> bool:
    try:
        date(time.year, time.month, time.day)
    except ValueError:
        return False
    return True


def _iso_duration(span: timedelta) -> str:
    """``P30DT6H``, as ISO 8601 has it."""
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    return f"P{f'{span.days}D' if span.days or not clock else ''}{f'T{clock}' if clock else ''}"
