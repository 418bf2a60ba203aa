"""Polygons of a domain file: an edge must not cross another, or nobody could say what lies inside."""

import numpy as np

Corner = tuple[float, float]


def crossing(corners: tuple[Corner, ...]) -> tuple[int, int, Corner] | None:
    """The first two edges of a closed polygon that cross, numbered from 0 by the corner at which they begin, and where.

    Edges that only touch, as those of a polygon joined to its hole do, cross nothing; nor do those that meet in corners of both.

    Parameters
    ----------
    corners
        (x, y) in any unit; the first may be given again at the end.
    """
    begin = np.asarray(corners, dtype=np.float64)
    along = np.roll(begin, -1, 0) - begin
    left, right = np.sort(np.stack([begin[:, 0], begin[:, 0] + along[:, 0]]), 0)
    by_left = np.argsort(left, kind="stable")
    found: list[tuple[int, int, Corner]] = []
    for place, edge in enumerate(by_left):
        # the others that begin before this one ends, from west to east
        others = by_left[place + 1 : np.searchsorted(left[by_left], right[edge], side="right")]
        to = begin[others] - begin[edge]
        one, two = _cross(along[edge], to), _cross(along[edge], to + along[others])
        three, four = _cross(along[others], -to), _cross(along[others], along[edge] - to)
        for hit in np.flatnonzero((one * two < 0) & (three * four < 0)):
            where = begin[others[hit]] + along[others[hit]] * one[hit] / (one[hit] - two[hit])
            first, second = sorted((int(edge), int(others[hit])))
            found.append((first, second, (float(where[0]), float(where[1]))))
    return min(found, default=None)


def _cross(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Third component of the cross product of vectors (..., 2)."""
    return one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]
