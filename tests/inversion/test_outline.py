"""Polygons whose edges cross, and those whose edges only touch."""

import time

import numpy as np
import pytest

from zssd_cli.inversion.outline import crossing

SQUARE = ((0, 0), (4, 0), (4, 4), (0, 4))
STAR = tuple((float(np.cos(angle)), float(np.sin(angle))) for angle in np.arange(5) * 4 * np.pi / 5)


@pytest.mark.parametrize(
    "corners",
    [
        SQUARE,
        SQUARE[::-1],
        (*SQUARE, SQUARE[0]),
        ((0, 0), (4, 0), (4, 4), (2, 1), (0, 4)),
        ((0, 0), (2, 2), (4, 0), (4, 4), (2, 2), (0, 4)),
        (*SQUARE, SQUARE[0], (1, 1), (1, 2), (2, 2), (2, 1), (1, 1), SQUARE[0]),
        ((0, 0), (2, 0), (4, 0)),
    ],
    ids=["square", "backwards", "closed", "concave", "meets in a corner", "joined to its hole", "on a line"],
)
def test_edges_that_do_not_cross(corners):
    assert crossing(corners) is None


def test_a_bow_tie_names_edges_and_place():
    assert crossing(((0, 0), (4, 4), (4, 0), (0, 4))) == (0, 2, (2.0, 2.0))
    assert crossing(((1e6, 0), (1e6 + 4, 4), (1e6, 4), (1e6 + 4, 0))) == (0, 2, (1e6 + 2.0, 2.0))


def test_the_last_edge_closes_the_polygon():
    first, second, where = crossing(((0, 0), (4, 0), (4, 4), (1, -1)))
    assert (first, second) == (0, 2)
    assert where == pytest.approx((1.6, 0))
    assert crossing(((2, 0), (2, 4), (4, 2), (0, 2)))[:2] == (0, 2)


def test_a_star_crosses_first_at_its_first_edge():
    assert crossing(STAR)[:2] == (0, 2)


def test_many_corners_take_no_time():
    angles = np.linspace(0, 2 * np.pi, 20000, endpoint=False)
    began = time.process_time()
    assert crossing(tuple(zip(np.cos(angles), np.sin(angles), strict=True))) is None
    assert time.process_time() - began < 20
