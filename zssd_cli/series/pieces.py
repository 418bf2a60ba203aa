"""One variable of one file as a lazy block of the series: cleaned, converted, checked, in the grid's order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cftime
import numpy as np
import xarray as xr

from zssd_cli.errors import EmptyField, InputError
from zssd_cli.series.blocks import Blocks, is_worth_it
from zssd_cli.series.direction import Turn, turn_of
from zssd_cli.series.doubts import Checks, Doubt, Watch
from zssd_cli.series.finding import Found, find
from zssd_cli.series.identity import refuse_one_sign
from zssd_cli.series.interval import Evidence, evidence_of
from zssd_cli.series.layout import Layout, find_layout
from zssd_cli.series.opening import reading
from zssd_cli.series.provenance import Origin, origin_of
from zssd_cli.series.stamps import Stamps, centred, find_time, stamps
from zssd_cli.series.timeline import UNKNOWN_TIME
from zssd_cli.series.units import check_plausible, convert, infer_units, line
from zssd_cli.times import format_time
from zssd_cli.variables import Variable

_CHOSEN = {"quantile", "percentile", "threshold", "probability", "quantiles", "percentiles"}
"""Dimensions whose fields are statistics, also where there is one."""
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
        Lazy, dimensions (stamps.dim, *layout.dims) in any order, perhaps an ``expver`` dimension too.
    layout
        The horizontal grid.
    stamps
        When its fields are valid.
    evidence
        What the file says of the averaging interval.
    origin
        Whose output it is.
    watch
        Where doubts about its fields go.
    notes
        One-line warnings.
    turn
        For a wind along the axes of its grid.
    why
        Why the array is the variable.
    blocks
        What was read ahead; the pieces of a series share it.
    """

    path: Path
    variable: Variable
    units: str
    array: xr.DataArray
    layout: Layout
    stamps: Stamps
    evidence: Evidence
    origin: Origin
    watch: Watch
    notes: tuple[str, ...] = ()
    turn: Turn | None = None
    why: str = ""
    blocks: Blocks = field(default_factory=Blocks, repr=False)

    @property
    def times(self) -> tuple[cftime.datetime, ...]:
        """Dates in the file's order."""
        return self.stamps.dates

    def read(self, positions: list[int]) -> np.ndarray:
        """Fields at these positions of the file's time axis; doubts about them go to the watch.

        Returns
        -------
        float32 (time, lat, lon) or (time, *points) in canonical units, NaN where missing.

        Raises
        ------
        InputError
            Values that cannot be read, a field without a single value, values that are not plausible.
        """
        with reading(self.path, "its data cannot be read"):
            raw = self.raw(positions)
            empty = np.flatnonzero(~np.isfinite(raw).any(axis=tuple(range(1, raw.ndim))))
            if empty.size:
                msg = f"{self.variable.name}: every value is missing at {self._when(positions[empty[0]])}; leave this time or file out."
                raise EmptyField(msg)
            values = convert(raw, self.units, self.variable)
            check_plausible(values, self.units, self.variable)
            self._doubt(values, positions)
            return values.astype(np.float32, copy=False)

    def check(self, position: int) -> None:
        """Raise :class:`InputError` where the field at a position is not plausible; an empty field passes."""
        with reading(self.path, "its data cannot be read"):
            raw = self.raw([position])
            values = convert(raw, self.units, self.variable)
            check_plausible(values, self.units, self.variable)
            if np.isfinite(values).any():
                refuse_one_sign(values, *self.layout.centres, self.variable)
                self._doubt(values, [position])

    def raw(self, positions: list[int]) -> np.ndarray:
        """Values in the file's units and the layout's order, (time, lat, lon) or (time, *points), NaN where missing."""
        mine = self._blanked(self.array, positions)
        if self.turn is not None:
            mine = self.turn(mine, self._blanked(self.turn.other, positions))
        return self.layout.arrange(mine)

    def _blanked(self, array: xr.DataArray, positions: list[int]) -> np.ndarray:
        """An array's values, NaN for missing ones; those that only look missing are a doubt, with their count."""
        values = _values(self, array, positions)
        for position, one in zip(positions, values if values.dtype.kind == "f" else (), strict=False):
            odd = ~(np.abs(one) <= _FILL_ABOVE) & ~np.isnan(one)
            if odd.any():
                detail = f"{int(odd.sum())} of {one.size} cells, the first {float(one[odd][0]):g}"
                doubt = Doubt("infinite or enormous values, taken for missing", detail)
                self.watch.note(
                    doubt, self.variable.name, f"{self.path.name}: {self.variable.name}", self._when(position)
                )
        return _blanked(values, array.encoding)

    def _when(self, position: int) -> str:
        return "its time" if self.times[position] is UNKNOWN_TIME else format_time(self.times[position])

    def _doubt(self, values: np.ndarray, positions: list[int]) -> None:
        where, checks = f"{self.path.name}: {self.variable.name}", self._checks()
        for position, one in zip(positions, values, strict=True):
            self.watch.look(checks, where, self._when(position), one)

    def _checks(self) -> Checks:
        lat, lon = self.layout.centres
        packed, scale = np.dtype(self.array.encoding.get("dtype", "f4")), self.array.encoding.get("scale_factor")
        span = None
        if packed.kind in "iu" and scale is not None:
            span = 2.0 ** (8 * packed.itemsize) * abs(float(scale) * line(self.units, self.variable)[0])
        if self.layout.grid is not None:
            lat, lon = lat[:, None], lon[None, :]
        return Checks(self.variable, lat, lon, span)


def _values(piece: Piece, array: xr.DataArray, positions: list[int]) -> np.ndarray:
    """Values (time, *dims) of an array of the piece's file, each chunk of many times read once."""
    dim = piece.stamps.dim
    if dim is None or not is_worth_it(array, dim):
        return _read(piece, array, positions)
    name = "own" if array is piece.array else "other"
    return piece.blocks.take(name, array, dim, positions, lambda run: _read(piece, array, run))


def _read(piece: Piece, array: xr.DataArray, positions: Sequence[int]) -> np.ndarray:
    """Values (time, *dims) out of the file, versions of ERA5 (final and preliminary) merged."""
    if piece.stamps.dim is not None:
        run = len(positions) == positions[-1] - positions[0] + 1 and list(positions) == list(
            range(positions[0], positions[-1] + 1)
        )
        array = array.isel({piece.stamps.dim: slice(positions[0], positions[-1] + 1) if run else list(positions)})
    if "expver" in array.dims:
        versions = [array.isel(expver=i).values for i in range(array.sizes["expver"])]
        merged = versions[0]
        for other in versions[1:]:
            merged = np.where(np.isnan(merged), other, merged)
        array = array.isel(expver=0).copy(data=merged)
    order = [d for d in (piece.stamps.dim, *piece.layout.dims) if d is not None]
    values = np.asarray(array.transpose(*order).values)
    return values if piece.stamps.dim is not None else values[None]


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


def find_piece(
    dataset: xr.Dataset, path: Path, variable: Variable, watch: Watch, *, allow_no_time: bool
) -> "Piece | Found":
    """The variable in a dataset, or what was found instead.

    Raises
    ------
    InputError
        It is there but its grid, times, dimensions or units cannot be used.
    """
    with reading(path):
        found: Found = find(dataset, variable)
        if found.array is None:
            return found
        array = found.array
        if array.dtype.kind not in "fiu":
            msg = f"{array.name} holds {array.dtype} values, expected numbers; correct the file."
            raise InputError(msg)
        layout = find_layout(dataset, array)
        turn = turn_of(dataset, array, layout, variable)
        when = stamps(dataset, array) or _no_time(array, allow_no_time=allow_no_time)
        time = find_time(array)
        array = _reduced(array, layout, when.dim)
        evidence = evidence_of(dataset.attrs, array, path.name, str(time.name) if time is not None else "", when.widths)
        if not evidence.moment:
            when = centred(when)
        notes = (*found.notes, *when.notes, *layout.notes, *_eaten(array, variable))
        origin = origin_of(dataset.attrs, path.name)
        if turn is not None:
            turn = replace(turn, other=_reduced(turn.other, layout, when.dim))
            notes = (*notes, f"{array.name} is turned from the grid's axes to {'east' if turn.east else 'north'}")
        return _with_units(
            Piece(path, variable, "", array, layout, when, evidence, origin, watch, notes, turn, found.why)
        )


def _reduced(array: xr.DataArray, layout: Layout, time_dim: str | None) -> xr.DataArray:
    """Squeeze what has size one; refuse what is left beside time and place."""
    keep = {time_dim, *layout.dims}
    chosen = [str(d) for d in array.dims if str(d).lower() in _CHOSEN and array.sizes[d] == 1]
    if chosen:
        value = f" = {float(array[chosen[0]].values[0]):g}" if chosen[0] in array.coords else ""
        msg = f"{array.name} is a {chosen[0]}{value}, expected fields; give the fields themselves."
        raise InputError(msg)
    array = array.isel({d: 0 for d in array.dims if d not in keep and array.sizes[d] == 1})
    extra = [d for d in array.dims if d not in keep and d != "expver"]
    if any(str(d).lower().startswith("time") for d in extra):
        msg = f"{array.name}: dimension {extra[0]!r} has no time coordinate; add one, for instance with cdo settaxis."
        raise InputError(msg)
    if extra:
        sizes = ", ".join(f"{d} ({array.sizes[d]})" for d in extra)
        remedy = f"select one member, level or lead time, for instance with ncks -d {extra[0]},0"
        msg = f"{array.name} has the further dimension {sizes}; {remedy}."
        raise InputError(msg)
    return array


def _no_time(array: xr.DataArray, *, allow_no_time: bool) -> Stamps:
    if allow_no_time:
        return Stamps(
            None, (UNKNOWN_TIME,), "standard", notes=(f"{array.name} has no time; season and hour are not known",)
        )
    msg = (
        f"{array.name} has no time coordinate; add one, for instance with cdo -r setdate,2010-01-01 -settime,06:00:00."
    )
    raise InputError(msg)


def _eaten(array: xr.DataArray, variable: Variable) -> tuple[str, ...]:
    """A fill value that is a value too: zero wind."""
    encoding = array.encoding
    scale, offset = float(encoding.get("scale_factor", 1.0)), float(encoding.get("add_offset", 0.0))
    fills = [
        scale * float(encoding[key]) + offset
        for key in ("_FillValue", "missing_value")
        if np.isscalar(encoding.get(key))
    ]
    if variable.component and any(abs(fill) < max(1e-6, abs(scale) * ("scale_factor" in encoding)) for fill in fills):
        return (f"{array.name} declares 0 as its fill value: calms count as missing",)
    return ()


def _with_units(piece: Piece) -> Piece:
    """The piece with the file's units, inferred from its first field where the attribute is missing."""
    units = str(piece.array.attrs.get("units", piece.array.attrs.get("GRIB_units", ""))).strip()
    if units:
        return replace(piece, units=units)
    sample = piece.raw([0])
    inferred = infer_units(sample, piece.variable)
    name = piece.variable.name
    note = f"{name}: units attribute missing, taken as {inferred}, the only known unit that makes the values plausible"
    return replace(piece, units=inferred, notes=(*piece.notes, note))
