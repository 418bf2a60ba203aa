"""One variable of one file as a lazy block of the series: cleaned, converted, checked, in the grid's order."""

from dataclasses import dataclass, replace
from pathlib import Path

import cftime
import numpy as np
import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.series.finding import Found, find
from zssd_cli.series.layout import Layout, find_layout
from zssd_cli.series.opening import reading
from zssd_cli.series.timeline import UNKNOWN_TIME, calendar_name, decode, find_time
from zssd_cli.series.units import check_plausible, convert, infer_units
from zssd_cli.times import format_time
from zssd_cli.variables import Variable

_FILL_ABOVE = 1e19
"""No quantity here is as large: beyond are fill values that the file forgot to declare (1e20, 9.97e36, -9e33)."""

_DEFAULT_FILLS = {"i2": -32767, "i4": -2147483647, "u2": 65535, "i1": -127}
"""The NetCDF library's own fill values, which hold where a file declares none."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A variable in one file.

    Attributes
    ----------
    path, variable, units
        Where it is, what it is and what its values are in.
    array
        Lazy, dimensions (time_dim, *layout.dims) in any order, perhaps an ``expver`` dimension too.
    time_dim
        None where the field has no time dimension.
    layout
        The horizontal grid.
    times, calendar
        Dates in the file's order, () where the file has none.
    notes
        One-line warnings.
    """

    path: Path
    variable: Variable
    units: str
    array: xr.DataArray
    time_dim: str | None
    layout: Layout
    times: tuple[cftime.datetime, ...]
    calendar: str
    notes: tuple[str, ...] = ()

    def read(self, positions: list[int]) -> np.ndarray:
        """Fields at these positions of the file's time axis.

        Returns
        -------
        float32 (time, lat, lon) or (time, *points) in canonical units, NaN where missing.

        Raises
        ------
        InputError
            Values that cannot be read, a field without a single value, values that are not plausible.
        """
        with reading(self.path, "its data cannot be read"):
            raw = self.layout.arrange(_blanked(_values(self, positions), self.array.encoding))
            empty = np.flatnonzero(~np.isfinite(raw).any(axis=tuple(range(1, raw.ndim))))
            if empty.size:
                when = f" at {format_time(self.times[positions[empty[0]]])}" if self.times else ""
                msg = f"{self.variable.name}: every value is missing{when}; leave this time or file out."
                raise InputError(msg)
            values = convert(raw, self.units, self.variable)
            check_plausible(values, self.units, self.variable)
            return values.astype(np.float32, copy=False)

    def check(self, position: int) -> None:
        """Raise :class:`InputError` where the field at a position is not plausible; an empty field passes."""
        with reading(self.path, "its data cannot be read"):
            raw = _blanked(_values(self, [position]), self.array.encoding)
            check_plausible(convert(raw, self.units, self.variable), self.units, self.variable)


def _values(piece: Piece, positions: list[int]) -> np.ndarray:
    """Raw values (time, *dims) of the file, versions of ERA5 (final and preliminary) merged."""
    array = piece.array
    if piece.time_dim is not None:
        run = len(positions) == positions[-1] - positions[0] + 1 and positions == list(
            range(positions[0], positions[-1] + 1)
        )
        array = array.isel({piece.time_dim: slice(positions[0], positions[-1] + 1) if run else positions})
    if "expver" in array.dims:
        versions = [array.isel(expver=i).values for i in range(array.sizes["expver"])]
        merged = versions[0]
        for other in versions[1:]:
            merged = np.where(np.isnan(merged), other, merged)
        array = array.isel(expver=0).copy(data=merged)
    order = [d for d in (piece.time_dim, *piece.layout.dims) if d is not None]
    values = np.asarray(array.transpose(*order).values)
    return values if piece.time_dim is not None else values[None]


def _blanked(values: np.ndarray, encoding: dict) -> np.ndarray:
    """Values as floats, NaN for missing ones, also where the file does not declare its fill value."""
    values = values.astype(
        np.float64 if values.dtype.itemsize > 4 or values.dtype.kind != "f" else np.float32, copy=True
    )
    with np.errstate(invalid="ignore"):
        values[~(np.abs(values) <= _FILL_ABOVE)] = np.nan
        packed = np.dtype(encoding.get("dtype", "f4"))
        default = _DEFAULT_FILLS.get(packed.str[1:])
        if default is not None and "_FillValue" not in encoding and "missing_value" not in encoding:
            scale, offset = float(encoding.get("scale_factor", 1.0)), float(encoding.get("add_offset", 0.0))
            values[np.abs(values - (default * scale + offset)) < abs(scale) / 4] = np.nan
    return values


def find_piece(dataset: xr.Dataset, path: Path, variable: Variable, *, allow_no_time: bool) -> Piece | str | None:
    """The variable in a dataset, or a remark why it is not there, or None.

    Raises
    ------
    InputError
        It is there but its grid, times, dimensions or units cannot be used.
    """
    with reading(path):
        found: Found = find(dataset, variable)
        if found.array is None:
            return f"{variable.name} not found in {path.name}: {found.remark}" if found.remark else None
        array = found.array
        if array.dtype.kind not in "fiu":
            msg = f"{array.name} holds {array.dtype} values, expected numbers; correct the file."
            raise InputError(msg)
        layout = find_layout(dataset, array)
        time = find_time(array)
        array, time_dim = _reduced(array, layout, time)
        times, calendar, notes = _times(array, time, time_dim, allow_no_time=allow_no_time)
        piece = Piece(path, variable, "", array, time_dim, layout, times, calendar, (*notes, *layout.notes))
        return _with_units(piece)


def _reduced(array: xr.DataArray, layout: Layout, time: xr.DataArray | None) -> tuple[xr.DataArray, str | None]:
    """Squeeze what has size one; refuse what is left beside time and place."""
    time_dim = str(time.dims[0]) if time is not None and time.ndim == 1 else None
    keep = {time_dim, *layout.dims}
    array = array.isel({d: 0 for d in array.dims if d not in keep and array.sizes[d] == 1})
    extra = [d for d in array.dims if d not in keep and d != "expver"]
    if any(str(d).lower().startswith("time") for d in extra):
        msg = f"{array.name}: dimension {extra[0]!r} has no time coordinate; add one, for instance with cdo settaxis."
        raise InputError(msg)
    if extra:
        sizes = ", ".join(f"{d} ({array.sizes[d]})" for d in extra)
        remedy = f"select one member or level, for instance with ncks -d {extra[0]},0"
        msg = f"{array.name} has the further dimension {sizes}; {remedy}."
        raise InputError(msg)
    return array, time_dim


def _times(
    array: xr.DataArray, time: xr.DataArray | None, time_dim: str | None, *, allow_no_time: bool
) -> tuple[tuple[cftime.datetime, ...], str, tuple[str, ...]]:
    if time is None and allow_no_time:
        return (UNKNOWN_TIME,), "standard", (f"{array.name} has no time; season and hour are not known",)
    if time is None:
        msg = (
            f"{array.name} has no time coordinate; add one, for instance with cdo setdate,2010-01-01 -settime,06:00:00."
        )
        raise InputError(msg)
    times = decode(time)
    if time_dim is None and len(times) != 1:
        msg = f"{array.name}: {len(times)} times for one field; repair the time axis."
        raise InputError(msg)
    return times, calendar_name(time.attrs), ()


def _with_units(piece: Piece) -> Piece:
    """The piece with the file's units, inferred from its first field where the attribute is missing."""
    units = str(piece.array.attrs.get("units", piece.array.attrs.get("GRIB_units", ""))).strip()
    if units:
        return replace(piece, units=units)
    sample = _blanked(_values(piece, [0]), piece.array.encoding)
    inferred = infer_units(sample, piece.variable)
    name = piece.variable.name
    note = f"{name}: units attribute missing, taken as {inferred}, the only known unit that makes the values plausible"
    return replace(piece, units=inferred, notes=(*piece.notes, note))
