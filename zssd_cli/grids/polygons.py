r"""Exact overlaps of polygonal cells with latitude-longitude blocks, by a boundary integral.

In longitude :math:`\lambda` and sine of latitude :math:`s` areas of the sphere are areas of the plane, and by Green's theorem
the part of a cell :math:`P` in the block :math:`[\lambda_k, \lambda_{k+1}] \times [s_j, s_{j+1}]` is

.. math:: \Big| \oint_{\partial P} \min(\max(s - s_j, 0), s_{j+1} - s_j) \; 1[\lambda_k < \lambda < \lambda_{k+1}] \;
          d\lambda \Big|.

Each side is cut at the blocks' meridians and parallels; what is left of it lies in one block and is a trapezoid. Sides are
great circles, as chords of at most :data:`CHORD` degrees, but where all cells are boxes of parallels and meridians. Cells share
their sides, so that whatever the sides are, nothing is counted twice or lost. A corner at a pole has no longitude of its own: the
boundary goes along the pole from the one side's meridian to the other's. A boundary that winds round a pole holds it.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from zssd_cli.grids.latlon import LatLonGrid

CHORD = 0.25
"""Degrees of longitude or latitude."""
CHUNK = 50_000
"""Cells whose overlaps are computed together: some 100 MB."""
_POLE = 90.0 - 1e-7
"""A corner beyond, in degrees, is the pole."""
_ALONG = 1e-6
"""Latitudes, or longitudes, of a side's ends that differ by less, in degrees, are equal."""
_NOTHING = 1e-12
"""A smaller share of a block is rounding."""
_NOWHERE = 1e-11
"""Degrees of longitude: a shorter piece is rounding."""


class Pieces(NamedTuple):
    """Parts of cells' boundaries, straight in longitude and sine of latitude, (pieces,) each.

    Attributes
    ----------
    cell
        Index of the cell.
    lon0, s0, lon1, s1
        Longitudes, in degrees, and sines of latitude of both ends.
    """

    cell: np.ndarray
    lon0: np.ndarray
    s0: np.ndarray
    lon1: np.ndarray
    s1: np.ndarray

    def where(self, mask: np.ndarray) -> "Pieces":
        """Some of them."""
        return Pieces(*(part[mask] for part in self))


def overlap_weights(lat: np.ndarray, lon: np.ndarray, target: LatLonGrid) -> csr_matrix:
    """The share of every block that every cell covers.

    Parameters
    ----------
    lat, lon
        Corners of the cells in degrees, (n, corners), in order round the cell, either way; the last may repeat to fill up.
        A cell with a corner that is NaN covers nothing.
    target
        Blocks, (h, w).

    Returns
    -------
    (h w, n); rows sum to the covered share of the block.
    """
    given = np.flatnonzero(np.isfinite(lat).all(1) & np.isfinite(lon).all(1))
    chunks = [given[first : first + CHUNK] for first in range(0, given.size, CHUNK)]
    curved = not all(_boxes(lat[some], lon[some]) for some in chunks)
    weights = csr_matrix((target.lat.size * target.lon.size, len(lat)))
    for some in chunks:
        block, cell, share = _overlaps(lat[some], lon[some], target, curved=curved)
        weights += csr_matrix((share, (block, some[cell])), shape=weights.shape)
    return weights


def _boxes(lat: np.ndarray, lon: np.ndarray) -> bool:
    """True where all sides of all cells lie along parallels and meridians, and no cell's along parallels only."""
    before, after = _meridians(lat, lon)
    parallel = np.abs(np.roll(lat, -1, axis=1) - lat) < _ALONG
    meridian = np.abs(_turned(np.roll(before, -1, axis=1) - after)) < _ALONG
    return bool((parallel | meridian).all() and (meridian & ~parallel).any(1).all())


def _overlaps(
    lat: np.ndarray, lon: np.ndarray, target: LatLonGrid, *, curved: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blocks, cells and shares of the blocks, (overlaps,) each."""
    (height, width), west = target.shape, target.lon_edges[0]
    # the rest of the sphere is further blocks, which are left out at the end
    rows = np.unique(np.concatenate([[-1.0], np.sin(np.deg2rad(target.lat_edges)), [1.0]]))
    circle = np.append(target.lon_edges[: width + (not target.circular)], west + 360.0)
    columns = np.concatenate([circle[:-1] - 360.0, circle[:-1], circle + 360.0])
    pieces = _boundary(lat, lon, west, curved=curved)
    pieces = _cut(pieces, columns, pieces.lon0, pieces.lon1)
    pieces = _cut(pieces, rows, pieces.s0, pieces.s1)
    column = _interval(columns, (pieces.lon0 + pieces.lon1) / 2) % (circle.size - 1)
    row, column, cell, area = _under(pieces, _interval(rows, (pieces.s0 + pieces.s1) / 2), column, rows)
    area *= np.sign(np.bincount(cell, area, minlength=len(lat)))[cell]
    row -= int(target.lat_edges[0] > -90.0)
    inside = (row >= 0) & (row < height) & (column < width)
    block = (row * width + column)[inside]
    summed = coo_matrix((area[inside] / target.area.ravel()[block], (block, cell[inside])), (height * width, len(lat)))
    summed.sum_duplicates()
    real = summed.data > _NOTHING
    return summed.row[real], summed.col[real], summed.data[real]


def _boundary(lat: np.ndarray, lon: np.ndarray, west: float, *, curved: bool) -> Pieces:
    """The sides of cells, and along the pole on their side of the equator what closes them."""
    before, after = _meridians(lat, lon)
    side = _turned(np.roll(before, -1, axis=1) - after)
    begin = west + (after[:, :1] - west) % 360.0
    way = np.cumsum(side[:, :-1] + _turned(after - before)[:, 1:], axis=1)
    start = np.concatenate([begin, begin + way], axis=1)
    end = start + side
    cell = np.repeat(np.arange(len(lat)), lat.shape[1])
    sides = _sides(cell, start.ravel(), lat.ravel(), end.ravel(), np.roll(lat, -1, axis=1).ravel(), curved=curved)
    pole = np.where(np.sin(np.deg2rad(lat)).mean(1) > 0, 1.0, -1.0)[cell]
    closing = Pieces(cell, np.roll(end, 1, axis=1).ravel(), pole, start.ravel(), pole)
    both = Pieces(*(np.concatenate(pair) for pair in zip(sides, closing, strict=True)))
    return both.where(np.abs(both.lon1 - both.lon0) > _NOWHERE)


def _turned(degrees: np.ndarray) -> np.ndarray:
    """The same angles within [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0


def _meridians(lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes at which the boundary comes to and leaves each corner: those of its neighbours where that is a pole."""
    before, after = lon.copy(), lon.copy()
    polar = np.abs(lat) > _POLE
    if polar.any():
        corners = lat.shape[1]
        for corner in [*reversed(range(corners))] * 2:
            following = after[:, (corner + 1) % corners]
            after[:, corner] = np.where(polar[:, corner], following, after[:, corner])
        before = np.where(polar, np.roll(after, 1, axis=1), lon)
    return before, after


def _sides(
    cell: np.ndarray, lon0: np.ndarray, lat0: np.ndarray, lon1: np.ndarray, lat1: np.ndarray, *, curved: bool
) -> Pieces:
    """Sides in degrees as chords: one of a short side or a side of a box, several of other great circles."""
    s0, s1 = np.sin(np.deg2rad(lat0)), np.sin(np.deg2rad(lat1))
    span = np.abs(lon1 - lon0)
    chords = np.ceil(np.maximum(span, np.abs(lat1 - lat0)) / CHORD).astype(int)
    long = (chords > 1) & (span > _NOWHERE)
    whole = Pieces(cell, lon0, s0, lon1, s1)
    if not (curved and long.any()):
        return whole
    count = chords[long]
    side = np.repeat(np.flatnonzero(long), count)
    step = np.arange(side.size) - np.repeat(np.cumsum(count) - count, count)
    angle, steps = np.deg2rad(span[side]), np.repeat(count, count)

    def at(step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        part = step / steps
        rise = np.tan(np.deg2rad(lat0[side])) * np.sin((1 - part) * angle)
        rise += np.tan(np.deg2rad(lat1[side])) * np.sin(part * angle)
        # half a circle of longitude is a side across the pole: a meridian, the pole, a meridian
        across = angle > np.pi - 1e-9
        sine = np.where(across, np.sign(rise), rise / np.hypot(rise, np.sin(angle)))
        return lon0[side] + part * (lon1 - lon0)[side], sine

    bent = Pieces(cell[side], *at(step), *at(step + 1))
    return Pieces(*(np.concatenate(pair) for pair in zip(whole.where(~long), bent, strict=True)))


def _interval(edges: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, edges.size - 2)


def _cut(pieces: Pieces, edges: np.ndarray, begin: np.ndarray, end: np.ndarray) -> Pieces:
    """Every piece, that runs from ``begin`` to ``end``, cut at the edges strictly between."""
    first = np.searchsorted(edges, np.minimum(begin, end), side="right")
    last = np.searchsorted(edges, np.maximum(begin, end), side="left")
    crossed = first < last
    if not crossed.any():
        return pieces
    count = (last - first)[crossed] + 1
    piece = np.repeat(np.flatnonzero(crossed), count)
    step = np.arange(piece.size) - np.repeat(np.cumsum(count) - count, count)
    whole = Pieces(*(part[piece] for part in pieces))

    def part(step: np.ndarray) -> np.ndarray:
        upward = end[piece] > begin[piece]
        edge = edges[np.clip(np.where(upward, first[piece] + step - 1, last[piece] - step), 0, edges.size - 1)]
        inner = (edge - begin[piece]) / (end - begin)[piece]
        return np.where(step == 0, 0.0, np.where(step == np.repeat(count, count), 1.0, inner))

    t0, t1 = part(step), part(step + 1)
    lon, s = whole.lon1 - whole.lon0, whole.s1 - whole.s0
    cuts = Pieces(whole.cell, whole.lon0 + t0 * lon, whole.s0 + t0 * s, whole.lon0 + t1 * lon, whole.s0 + t1 * s)
    return Pieces(*(np.concatenate(pair) for pair in zip(pieces.where(~crossed), cuts, strict=True)))


def _under(pieces: Pieces, row: np.ndarray, column: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows, columns, cells and signed areas between the pieces and the lower edge of the lowest row of their cells."""
    cell = pieces.cell
    lowest = np.full(cell.max(initial=-1) + 1, rows.size)
    np.minimum.at(lowest, cell, row)
    width = np.deg2rad(pieces.lon0 - pieces.lon1)
    parts = [(row, column, cell, width * ((pieces.s0 + pieces.s1) / 2 - rows[row]))]
    deeper, level = np.flatnonzero(row > lowest[cell]), row
    while deeper.size:
        level = level - 1
        low = level[deeper]
        parts.append((low, column[deeper], cell[deeper], width[deeper] * (rows[low + 1] - rows[low])))
        deeper = deeper[low > lowest[cell[deeper]]]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))
