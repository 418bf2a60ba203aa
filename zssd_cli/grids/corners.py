r"""Corners of cells that form no rectilinear grid: the file's where they are sound, else guessed from the centres.

* A corner of a curvilinear grid is the mean, on the sphere, of the four centres around it. Beyond the rim centres continue
  in a straight line, or are those of the other side where the data show that the grid closes on itself, with or without columns
  that are stored twice.
* Cells of an unstructured grid are Voronoi's: what is nearest to their centre. At the rim of a limited area, and
  along coasts, such cells grow out into what the grid does not cover; there they are cut back to the size of the others.
* So are those of arrays of two dimensions whose rows or columns jump, as where the faces of a cubed sphere meet.

Cells that are stored twice (overlap columns and the fold of tripolar grids) are kept once.
"""

import numpy as np
from scipy.spatial import SphericalVoronoi, cKDTree

from zssd_cli.errors import InputError

SAME = 2e-6
"""Radians, 13 m: centres nearer to each other are one cell stored twice."""
BEYOND = 1.7
"""A Voronoi cell that reaches so many times further than is usual, measured in spacings, lies at a rim."""
TORN = 3.0
"""A step so many times longer than those before and after it leads to another part of the grid."""
ASIDE = 0.35
"""Part of the way from a cell's middle to its corner at which no grid has its centres; half a cell aside is .7."""
MOSTLY = 0.99
"""With a smaller share of sound cells none of a file's corners is believed."""
_ROUND = 1.5
"""Cells are never usually longer, in spacings: hexagons reach .6, squares .7, triangles 1. Points on a line would have such."""
Corners = tuple[np.ndarray, np.ndarray]
"""Latitudes and longitudes in degrees, (cells, corners) each."""
_POLE = 90.0 - 1e-4
_OVERLAP = 4
"""Columns that a grid may store twice at its seam, at most."""


def cell_corners(
    lat: np.ndarray, lon: np.ndarray, lat_vertices: np.ndarray | None = None, lon_vertices: np.ndarray | None = None
) -> Corners:
    """Corners of every cell in degrees, (cells, corners) each, in order round the cell; NaN where it does not count.

    Parameters
    ----------
    lat, lon
        Centres in degrees, (n_y, n_x) or (n,).
    lat_vertices, lon_vertices
        The file's corners, the shape of ``lat`` with the corners as last dimension, or two, the sides of a box.

    Raises
    ------
    InputError
        Too few centres to tell the cells' size.
    """
    given = _given(lat.size, lat_vertices, lon_vertices)
    sound = np.zeros(lat.size, dtype=bool) if given is None else _sound(lat.ravel(), lon.ravel(), *given)
    if sound.mean() < MOSTLY:
        given = None
    if lat.ndim == 2 and not sound.all() and torn(lat, lon):
        lat, lon = lat.ravel(), lon.ravel()
    left_out = _repeated(lat, lon, polar_differ=lat.ndim == 2 or given is not None)
    if given is None:
        corners = _quadrilaterals(lat, lon) if lat.ndim == 2 else _voronoi(lat, lon, ~left_out)
    elif sound.all() or lat.ndim == 1:
        corners, left_out = given, left_out | ~sound
    else:
        corners = _mended(given, _quadrilaterals(lat, lon), sound)
    return np.where(left_out[:, None], np.nan, corners[0]), np.where(left_out[:, None], np.nan, corners[1])


def to_vectors(lat: np.ndarray | float, lon: np.ndarray | float) -> np.ndarray:
    """Points of the unit sphere, (..., 3), from degrees."""
    lat, lon = np.deg2rad(lat), np.deg2rad(lon)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def to_degrees(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes of vectors of any length, (..., 3)."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.rad2deg(np.arctan2(z, np.hypot(x, y))), np.rad2deg(np.arctan2(y, x))


def _given(count: int, lat_vertices: np.ndarray | None, lon_vertices: np.ndarray | None) -> Corners | None:
    """The file's corners, (cells, corners) each, at least three."""
    if lat_vertices is None or lon_vertices is None or lat_vertices.shape != lon_vertices.shape:
        return None
    lat, lon = (np.asarray(part, dtype=np.float64).reshape(count, -1) for part in (lat_vertices, lon_vertices))
    if lat.shape[1] == 2:
        return lat[:, [0, 0, 1, 1]], lon[:, [0, 1, 1, 0]]
    return (lat, lon) if lat.shape[1] > 2 else None


def _sound(lat: np.ndarray, lon: np.ndarray, corner_lat: np.ndarray, corner_lon: np.ndarray) -> np.ndarray:
    """Cells with corners that are numbers, lie in order round the cell, and have the centre among them.

    None where most centres lie far from the middle: the corners are those of other cells.
    """
    numbers = (
        np.isfinite(corner_lat) & np.isfinite(corner_lon) & (np.abs(corner_lat) <= 90.01) & (np.abs(corner_lon) < 1e4)
    )
    numbers = numbers.all(1)
    corners = to_vectors(np.where(numbers[:, None], corner_lat, 0), np.where(numbers[:, None], corner_lon, 0))
    middle = corners.mean(1)
    arms = corners - middle[:, None]
    turns = np.einsum("nkx,nx->nk", np.cross(arms, np.roll(arms, -1, axis=1)), middle)
    in_order = np.abs(turns.sum(1)) > 0.99 * np.abs(turns).sum(1)
    reach = np.linalg.norm(arms, axis=2).max(1)
    centre = to_vectors(lat, lon)
    off = np.linalg.norm(centre - middle / np.linalg.norm(middle, axis=1)[:, None], axis=1)
    near = off <= reach
    seen = numbers & np.isfinite(off) & (reach > 0)
    if seen.any() and np.median(off[seen] / reach[seen]) > ASIDE:
        return np.zeros(lat.size, dtype=bool)
    return numbers & in_order & (reach > 0) & (near | ~np.isfinite(centre).all(1))


def torn(lat: np.ndarray, lon: np.ndarray) -> bool:
    """True where neighbours in the array are not neighbours on the sphere, as between the faces of a cubed sphere."""
    vectors = to_vectors(lat, lon)
    for lines in (vectors, vectors.swapaxes(0, 1)):
        steps = np.pad(np.linalg.norm(np.diff(lines, axis=0), axis=2), ((1, 1), (0, 0)))
        if (
            len(lines) > 3
            and (np.nanmedian(steps[1:-1] / np.maximum(np.maximum(steps[:-2], steps[2:]), SAME), axis=1) > TORN).any()
        ):
            return True
    return False


def _mended(own: Corners, guess: Corners, sound: np.ndarray) -> Corners:
    """The guessed four corners where a file's own are not sound; the last one fills up the fewer of both."""
    count = max(own[0].shape[1], guess[0].shape[1])

    def mend(own: np.ndarray, guess: np.ndarray) -> np.ndarray:
        own, guess = (part[:, np.minimum(np.arange(count), part.shape[1] - 1)] for part in (own, guess))
        return np.where(sound[:, None], own, guess)

    return mend(own[0], guess[0]), mend(own[1], guess[1])


def _repeated(lat: np.ndarray, lon: np.ndarray, *, polar_differ: bool) -> np.ndarray:
    """Cells that lie where another one lies that is further from the rim or comes first, (cells,).

    Where ``polar_differ``, cells whose centres are the pole are wedges with that corner, not one cell.
    """
    vectors = to_vectors(lat, lon).reshape(-1, 3)
    known = np.flatnonzero(np.isfinite(vectors).all(1) & ((np.abs(lat.ravel()) < _POLE) | (not polar_differ)))
    pairs = known[cKDTree(vectors[known]).query_pairs(SAME, output_type="ndarray")]
    depth = np.zeros(lat.shape, dtype=int)
    if lat.ndim == 2:
        rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in lat.shape)
        depth = np.minimum(rows[:, None], columns)
    first, second = depth.ravel()[pairs.T]
    # equal depth: the later one, so that of any number of copies just one stays
    lost = np.where((first > second) | ((first == second) & (pairs[:, 0] < pairs[:, 1])), pairs[:, 1], pairs[:, 0])
    repeated = np.zeros(lat.size, dtype=bool)
    repeated[lost] = True
    return repeated


def _quadrilaterals(lat: np.ndarray, lon: np.ndarray) -> Corners:
    """Corners of the cells of a curvilinear grid, (n_y n_x, 4) each."""

    def around(lattice: np.ndarray) -> np.ndarray:
        sides = lattice[:-1, :-1], lattice[:-1, 1:], lattice[1:, 1:], lattice[1:, :-1]
        return np.stack(sides, axis=-1).reshape(-1, 4)

    corner_lat, corner_lon = curvilinear_corners(lat, lon)
    return around(corner_lat), around(corner_lon)


def curvilinear_corners(lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lattice of corners of a curvilinear grid, (n_y + 1, n_x + 1) each, from its centres, (n_y, n_x), in degrees."""
    if min(lat.shape) < 2:
        msg = (
            f"a grid of {lat.shape[0]} x {lat.shape[1]} cells without corners does not tell the cells' size; "
            "give more of the grid."
        )
        raise InputError(msg)
    vectors = with_neighbours(with_neighbours(to_vectors(lat, lon)).swapaxes(0, 1)).swapaxes(0, 1)
    return to_degrees(vectors[:-1, :-1] + vectors[:-1, 1:] + vectors[1:, 1:] + vectors[1:, :-1])


def with_neighbours(vectors: np.ndarray) -> np.ndarray:
    """One more line of centres at either end of the first axis: (n, m, 3) -> (n + 2, m, 3)."""
    overlap = _closing_overlap(vectors)
    if overlap is not None:
        return np.concatenate([vectors[[-1 - overlap]], vectors, vectors[[overlap]]])
    ends = []
    for rim, inner in ((vectors[0], vectors[1]), (vectors[-1], vectors[-2])):
        polar = np.abs(rim[:, 2:]) > np.sin(np.deg2rad(_POLE))
        ends.append(np.where(polar, rim, 2 * rim - inner))
    return np.concatenate([ends[0][None], vectors, ends[1][None]])


def _closing_overlap(vectors: np.ndarray) -> int | None:
    """How many lines of a grid that closes on itself along its first axis are stored twice; None where it does not close."""
    if len(vectors) < 4:
        return None

    def distance(first: int, second: int) -> np.ndarray:
        return np.linalg.norm(vectors[first] - vectors[second], axis=-1)

    spacing = np.maximum((distance(0, 1) + distance(-1, -2)) / 2, SAME)
    for lines in range(1, min(_OVERLAP, len(vectors) // 2) + 1):
        if np.nanmedian(distance(-1, lines - 1) / spacing) < 0.1:
            return lines
    return 0 if 0.5 < np.nanmedian(distance(-1, 0) / spacing) < 1.5 else None


def _voronoi(lat: np.ndarray, lon: np.ndarray, kept: np.ndarray) -> Corners:
    """Corners of Voronoi cells, (cells, corners) each, cut back at a rim."""
    vectors = to_vectors(lat, lon)
    used = np.flatnonzero(kept & np.isfinite(vectors).all(1))
    if used.size < 6:
        msg = f"{used.size} cells without corners do not tell the cells' size; give more of the grid."
        raise InputError(msg)
    centres = vectors[used]
    cells = SphericalVoronoi(centres, threshold=SAME / 10)
    cells.sort_vertices_of_regions()
    sizes = np.array([len(region) for region in cells.regions])
    index = np.repeat(np.array([region[-1] for region in cells.regions])[:, None], sizes.max(), axis=1)
    index[np.arange(sizes.max()) < sizes[:, None]] = np.concatenate(cells.regions)
    spacing = cKDTree(centres).query(centres, k=4)[0][:, 1:].mean(1)
    corners = _cut_back(centres, cells.vertices[index], spacing)
    result = np.full((2, lat.size, sizes.max()), np.nan)
    result[:, used] = to_degrees(corners)
    return result[0], result[1]


def _cut_back(centres: np.ndarray, corners: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Corners further from their centre than is usual moved towards it, (n, corners, 3)."""
    angle = 2 * np.arcsin(np.clip(np.linalg.norm(corners - centres[:, None], axis=2) / 2, 0, 1))
    usual = min(float(np.median(angle.max(1) / spacing)), _ROUND)
    # the usual spacing counts where cells are narrow, as those of meridians that meet at a pole
    far = angle > BEYOND * usual * np.maximum(spacing, np.median(spacing))[:, None]
    new = np.where(far, usual * spacing[:, None], angle)[..., None]
    along = corners - (corners * centres[:, None]).sum(2, keepdims=True) * centres[:, None]
    along /= np.maximum(np.linalg.norm(along, axis=2, keepdims=True), 1e-300)
    return centres[:, None] * np.cos(new) + along * np.sin(new)
