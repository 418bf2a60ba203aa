r"""Scores of small tiles of cells as one vector: whether neighbours go together as they do in the truth.

On tiles of n = 4 x 4 cells (a degree), for members :math:`x_i` and truth y in :math:`R^n`:

* fair energy score: :math:`\frac1m\sum_i\|x_i-y\| - \frac1{2m(m-1)}\sum_{ij}\|x_i-x_j\|`, divided by :math:`\sqrt n` so that it is in the
  variable's unit per cell (Gneiting and Raftery 2007, J. Am. Stat. Assoc. 102);
* variogram score of order 1/2: mean over pairs of cells a, b of :math:`(|y_a-y_b|^{1/2} - \frac1m\sum_i|x_{ia}-x_{ib}|^{1/2})^2`
  (Scheuerer and Hamill 2015, Mon. Weather Rev. 143), in the variable's unit.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zssd_cli.grids.latlon import LatLonGrid

SIDE = 4
MOST = 2048
"""Tiles of a field that are scored, evenly spread: the globe has 64,800."""
PAIRS = np.triu_indices(SIDE * SIDE, 1)


@dataclass(frozen=True, eq=False)
class Tiles:
    """Tiles of a grid.

    Attributes
    ----------
    grid
        At least 4 x 4 cells, else there is no tile.
    """

    grid: LatLonGrid

    @cached_property
    def _corners(self) -> np.ndarray:
        """(2, tiles): row and column of the first cell."""
        rows, columns = (np.arange(size // SIDE) * SIDE for size in self.grid.shape)
        every = np.stack(np.meshgrid(rows, columns, indexing="ij")).reshape(2, -1)
        count = every.shape[1]
        return every[:, np.unique(np.linspace(0, count - 1, min(count, MOST)).astype(int))] if count else every

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns, (tiles, 16)."""
        steps = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")).reshape(2, 1, -1)
        rows, columns = self._corners[:, :, None] + steps
        return rows, columns

    @cached_property
    def _area(self) -> np.ndarray:
        return self.grid.area[self._cells].sum(1)

    def sums(self, members: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Weight, energy score and variogram score of one time.

        Parameters
        ----------
        members
            (m, lat, lon); tiles with NaN are left out.
        truth
            (lat, lon).

        Returns
        -------
        Sums over the tiles with their areas as weights, (3,).
        """
        x = members[(slice(None), *self._cells)].astype(np.float64)
        y = truth[self._cells].astype(np.float64)
        keep = np.isfinite(y).all(1) & np.isfinite(x).all((0, 2))
        x, y, weight = x[:, keep], y[keep], self._area[keep]
        if not keep.any():
            return np.zeros(3)
        return np.array([weight.sum(), weight @ energy_score(x, y), weight @ variogram_score(x, y)])


def energy_score(members: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Fair energy score over the square root of n: members (m, tiles, n), truth (tiles, n) to (tiles,)."""
    m, n = members.shape[0], truth.shape[-1]
    skill = np.linalg.norm(members - truth, axis=-1).mean(0)
    if m > 1:
        spread = sum(np.linalg.norm(members[i + 1 :] - members[i], axis=-1).sum(0) for i in range(m - 1))
        skill = skill - spread / (m * (m - 1))
    return skill / np.sqrt(n)


def variogram_score(members: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Variogram score of order 1/2, mean over pairs: members (m, tiles, 16), truth (tiles, 16) to (tiles,)."""
    first, second = PAIRS

    def steps(values: np.ndarray) -> np.ndarray:
        return np.sqrt(np.abs(values[..., first] - values[..., second]))

    expected = np.zeros((truth.shape[0], first.size))
    for member in members:
        expected += steps(member)
    return ((steps(truth) - expected / len(members)) ** 2).mean(-1)
