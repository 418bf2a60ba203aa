"""Cell edges of rectilinear grids: the file's bounds where they hold together, else midpoints between the centres.

Edges :math:`e_i` of centres :math:`c_i` without usable bounds are :math:`e_i = (c_{i-1} + c_i) / 2`, continued by half
a spacing at both ends, cut at the poles and closed to exactly 360 degrees where the longitudes go all the way round.
"""

from dataclasses import dataclass

import numpy as np

from zssd_cli.errors import InputError
from zssd_cli.grids.latlon import LatLonGrid

_FAR = 1e6
"""No coordinate in degrees is larger: what is, is a fill value."""

_OFF_MIDDLE = 0.1
"""Part of a cell by which a centre may lie off its middle; a gaussian grid's rows next to the cap are .02 off."""

_POLAR_CAP = 0.9
"""A centre nearer to the pole than this part of a spacing owns the cap. A gaussian grid's first row lies .77 spacings
from the pole and a cell-centred one's half a spacing; a whole spacing means that a polar row is missing."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One coordinate, brought into ascending order.

    Attributes
    ----------
    centres, edges
        Degrees, ascending, (n,) and (n + 1,).
    order
        Positions in the file's coordinate that give ``centres``, (n,): reversed, rotated, without a repeated column.
    notes
        What was not as it should be, a line each.
    """

    centres: np.ndarray
    edges: np.ndarray
    order: np.ndarray
    notes: tuple[str, ...] = ()


def rectilinear_grid(
    lat: np.ndarray, lon: np.ndarray, lat_bounds: np.ndarray | None = None, lon_bounds: np.ndarray | None = None
) -> tuple[LatLonGrid, Axis, Axis]:
    """The grid of a file's latitudes and longitudes and how to reorder its data.

    Parameters
    ----------
    lat, lon
        Centres in degrees, (n_lat,) and (n_lon,), in the file's order.
    lat_bounds, lon_bounds
        The file's bounds, (n, 2), if any.

    Raises
    ------
    InputError
        Centres that are missing, repeated, out of range or in no order.
    """
    rows, columns = latitude_axis(lat, lat_bounds), longitude_axis(lon, lon_bounds)
    return LatLonGrid(rows.centres, columns.centres, rows.edges, columns.edges), rows, columns


def latitude_axis(centres: np.ndarray, bounds: np.ndarray | None = None) -> Axis:
    """Ascending latitudes and their edges within [-90, 90]; see :func:`rectilinear_grid`."""
    centres = _finite(centres, "latitude")
    if np.abs(centres).max() > 90.0 + 1e-3:
        span = f"{centres.min():g} to {centres.max():g}"
        msg = f"latitude runs from {span}, expected -90..90; correct the coordinate or its units."
        raise InputError(msg)
    order = _monotonic_order(centres, "latitude")
    centres = np.clip(centres[order], -90.0, 90.0)
    edges, notes = _edges_from_bounds(centres, _ordered(bounds, order), "latitude")
    if edges is None:
        edges = _midpoints(centres, "latitude")
    edges = np.clip(edges, -90.0, 90.0)
    if centres.size > 1:
        if centres[0] + 90.0 < _POLAR_CAP * (centres[1] - centres[0]):
            edges[0] = -90.0
        if 90.0 - centres[-1] < _POLAR_CAP * (centres[-1] - centres[-2]):
            edges[-1] = 90.0
    return Axis(centres, edges, order, notes)


def longitude_axis(centres: np.ndarray, bounds: np.ndarray | None = None) -> Axis:
    """Ascending longitudes (any start) and their edges, exactly 360 degrees apart where they close the circle."""
    centres = _finite(centres, "longitude")
    if centres.min() < -361.0 or centres.max() > 721.0:
        span = f"{centres.min():g} to {centres.max():g}"
        msg = f"longitude runs from {span}, expected degrees; correct the coordinate or its units."
        raise InputError(msg)
    order, centres = _unrolled(centres)
    edges, notes = _edges_from_bounds(centres, _ordered(bounds, order), "longitude")
    if edges is not None and edges[-1] - edges[0] > 360.0 * (1 + 1e-6) + 1e-3:
        edges, notes = (
            None,
            ("longitude bounds span more than 360 degrees; midpoints between the centres are used instead",),
        )
    if edges is None:
        edges = _circle_midpoints(centres)
    gap = 360.0 - (edges[-1] - edges[0])
    if abs(gap) < 0.01 * np.diff(edges).min():
        edges[-1] = edges[0] + 360.0
        return _from_greenwich(Axis(centres, edges, order, notes))
    return Axis(centres, edges, order, notes)


def _from_greenwich(axis: Axis) -> Axis:
    """A whole circle, begun at its first centre east of Greenwich: the same cells are the same axis, whatever their file's origin."""
    slack = 1e-3 * float(np.diff(axis.edges).min())
    begin = int(np.argmin((axis.centres + slack) % 360.0))
    shift = (axis.centres[begin] + slack) % 360.0 - slack - axis.centres[begin]
    turned = np.roll(axis.centres, -begin) + shift
    turned[axis.centres.size - begin :] += 360.0
    widths = np.roll(np.diff(axis.edges), -begin)
    first = axis.edges[begin] + shift
    edges = np.append(first + np.append(0.0, np.cumsum(widths[:-1])), first + 360.0)
    return Axis(turned, edges, np.roll(axis.order, -begin), axis.notes)


def _finite(centres: np.ndarray, what: str) -> np.ndarray:
    centres = np.asarray(centres, dtype=np.float64)
    if centres.size == 0:
        msg = f"the {what} coordinate is empty; give a file with data."
        raise InputError(msg)
    if not np.isfinite(centres).all() or np.abs(centres).max() > _FAR:
        msg = f"the {what} coordinate holds missing or fill values; repair the coordinate."
        raise InputError(msg)
    return centres


def _monotonic_order(centres: np.ndarray, what: str) -> np.ndarray:
    """Positions that make the centres ascend; raises where they repeat or turn."""
    steps = np.diff(centres)
    if np.all(steps > 0):
        return np.arange(centres.size)
    if np.all(steps < 0):
        return np.arange(centres.size)[::-1]
    position = int(np.argmax(steps * np.sign(steps.sum() or 1.0) <= 0))
    how = "repeats a value" if steps[position] == 0 else "changes direction"
    where = f"{centres[position + 1]:g} (position {position + 2} of {centres.size})"
    msg = f"the {what} coordinate {how} at {where}; sort or repair the coordinate."
    raise InputError(msg)


def _unrolled(centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order and ascending values of longitudes that may cross the seam, descend, or repeat a column at the end."""
    steps = np.diff(centres)
    ascends, descends = np.all(steps > 0), np.all((steps < 0) & (steps >= -180.0))
    wrapped = (steps + 180.0) % 360.0 - 180.0
    if ascends or descends or not (np.all(wrapped > 0) or np.all(wrapped < 0)):
        order = _monotonic_order(centres, "longitude")
        values = centres[order]
    else:
        values = centres[0] + np.append(0.0, np.cumsum(wrapped))
        order = _monotonic_order(values, "longitude")
        values = values[order]
    if values.size > 2:
        keep = values < values[0] + 360.0 - 0.01 * np.diff(values).min()
        order, values = order[keep], values[keep]
    return _rotated_to_gap(order, values)


def _rotated_to_gap(order: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Begin after the one wide gap of a region that was cut across the seam and stored as 0, 5, ..., 350, 355."""
    if values.size < 3:
        return order, values
    steps = np.diff(values)
    seam = values[0] + 360.0 - values[-1]
    widest = int(np.argmax(steps))
    others = np.delete(steps, widest)
    usual = float(np.median(others))
    if not (steps[widest] > 1.5 * max(others.max(), seam) and seam <= 1.5 * usual):
        return order, values
    begin = widest + 1
    return np.roll(order, -begin), np.append(values[begin:] - 360.0, values[:begin])


def _ordered(bounds: np.ndarray | None, order: np.ndarray) -> np.ndarray | None:
    """Bounds in the order of the centres, None where their shape is not (n, 2)."""
    if bounds is None or bounds.ndim != 2 or bounds.shape[1] != 2 or order.size > bounds.shape[0]:
        return None
    return np.asarray(bounds, dtype=np.float64)[order]


def _edges_from_bounds(
    centres: np.ndarray, bounds: np.ndarray | None, what: str
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Edges from bounds that enclose their centres and neither overlap nor leave gaps, else None and a note."""
    if bounds is None:
        return None, ()
    if not np.isfinite(bounds).all() or np.abs(bounds).max() > _FAR:
        return None, (f"{what} bounds hold missing values; midpoints between the centres are used instead",)
    if what == "longitude":
        bounds = centres[:, None] + (bounds - centres[:, None] + 180.0) % 360.0 - 180.0
    low, high = bounds.min(axis=1), bounds.max(axis=1)
    width = high - low
    slack = 0.01 * width + 1e-6
    encloses = _encloses(low, high, centres, slack)
    if not encloses and _encloses(low[::-1], high[::-1], centres, slack[::-1]):
        return _edges_from_bounds(centres, bounds[::-1], what)
    joins = np.all(np.abs(high[:-1] - low[1:]) <= np.minimum(slack[:-1], slack[1:]))
    fault = (
        "do not enclose the centres"
        if not encloses
        else "overlap or leave gaps"
        if not joins
        else _misfit(centres, low, high, what)
    )
    if fault:
        return None, (f"{what} bounds {fault}; midpoints between the centres are used instead",)
    return np.concatenate([low[:1], (high[:-1] + low[1:]) / 2, high[-1:]]), ()


def _misfit(centres: np.ndarray, low: np.ndarray, high: np.ndarray, what: str) -> str:
    """What is wrong with cells that enclose their centres and join: a centre far off the middle, equal centres with unequal cells.

    A first or last row may be half a cell at a pole, or a gaussian grid's cap.
    """
    inner = slice(1, -1) if what == "latitude" else slice(None)
    width, middle = (high - low)[inner], ((high + low) / 2)[inner]
    if np.any(np.abs(middle - centres[inner]) > _OFF_MIDDLE * width):
        return "do not have their centres in the middle"
    steps = np.diff(centres)
    if (
        centres.size > 2
        and np.ptp(steps) < 1e-3 * steps.mean()
        and width.size
        and np.ptp(width) > _OFF_MIDDLE * width.mean()
    ):
        return "give unequal cells to evenly spaced centres"
    return ""


def _encloses(low: np.ndarray, high: np.ndarray, centres: np.ndarray, slack: np.ndarray) -> bool:
    return bool(np.all((low <= centres + slack) & (centres <= high + slack) & (high > low)))


def _midpoints(centres: np.ndarray, what: str) -> np.ndarray:
    if centres.size < 2:
        msg = f"a single {what} ({centres[0]:g}) without bounds does not tell the cell's size; give more of the grid."
        raise InputError(msg)
    inner = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[centres[0] * 1.5 - centres[1] / 2], inner, [centres[-1] * 1.5 - centres[-2] / 2]])


def _circle_midpoints(centres: np.ndarray) -> np.ndarray:
    """Midpoints, closed round the circle where the gap at the seam is no wider than the widest cell spacing."""
    edges = _midpoints(centres, "longitude")
    seam = centres[0] + 360.0 - centres[-1]
    if seam <= 1.01 * np.diff(centres).max():
        edges[0] = centres[0] - seam / 2
        edges[-1] = edges[0] + 360.0
    return edges
