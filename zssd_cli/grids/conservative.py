r"""First-order conservative regridding weights between rectilinear grids.

For cells bounded by parallels and meridians the overlap area is an outer product, so the weights are two small dense
matrices (Jones 1999, Mon. Wea. Rev. 127, eq. 4 specialised to rectilinear cells):

.. math:: W^{lat}_{ij} = \frac{|\sin| [\text{target}_i \cap \text{source}_j]}{|\sin|[\text{target}_i]}, \qquad
          W^{lon}_{kl} = \frac{|[\text{target}_k \cap \text{source}_l]|}{|[\text{target}_k]|}.

Rows sum to the fraction of the target cell that the source covers: 1 inside, less at the rim of a region.
"""

import numpy as np


def _overlap(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Length of the intersection of every target interval with every source interval; edges ascending."""
    low = np.maximum(target[:-1, None], source[None, :-1])
    high = np.minimum(target[1:, None], source[None, 1:])
    return np.maximum(high - low, 0.0)


def latitude_weights(source_edges: np.ndarray, target_edges: np.ndarray) -> np.ndarray:
    """Weights along latitude.

    Parameters
    ----------
    source_edges, target_edges
        Cell edges in degrees, ascending, shapes (n_source + 1,) and (n_target + 1,), within [-90, 90].

    Returns
    -------
    Array (n_target, n_source) of sin-latitude overlaps divided by the target cell's extent.
    """
    source = np.sin(np.deg2rad(np.asarray(source_edges, dtype=np.float64)))
    target = np.sin(np.deg2rad(np.asarray(target_edges, dtype=np.float64)))
    return _overlap(target, source) / np.diff(target)[:, None]


def longitude_weights(source_edges: np.ndarray, target_edges: np.ndarray) -> np.ndarray:
    """Weights along longitude, periodic: the source repeats every 360 degrees.

    Parameters
    ----------
    source_edges, target_edges
        Cell edges in degrees, ascending, shapes (n_source + 1,) and (n_target + 1,); any offset of 360 degrees.

    Returns
    -------
    Array (n_target, n_source) of overlaps divided by the target cell's width.
    """
    source = np.asarray(source_edges, dtype=np.float64)
    target = np.asarray(target_edges, dtype=np.float64)
    first = int(np.floor((target[0] - source[-1]) / 360.0))
    last = int(np.ceil((target[-1] - source[0]) / 360.0))
    overlap = sum(_overlap(target, source + 360.0 * turn) for turn in range(first, last + 1))
    return overlap / np.diff(target)[:, None]
