r"""From the globe to paper: longitude and latitude as they are, or a pole in the middle.

Regions that go all the way round and reach a pole, but not the tropics, are drawn in the stereographic projection, in which
a low near the pole is round: :math:`r = 2\tan((90° - |\varphi|)/2)`, longitude 0 below for the north and above for the south.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from matplotlib.ticker import FuncFormatter, MultipleLocator

from zssd_cli.pictures.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAR, REACHES = 20.0, 85.0
"""Polar maps begin poleward of the first latitude and reach the second."""
_PALE = {"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.6}


class Plane(Protocol):
    """A map projection."""

    @property
    def ratio(self) -> float:
        """Height over width of the map."""

    def forward(self, lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places on paper of latitudes and longitudes that broadcast."""

    def raster(self, across: int) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes of points that are equally far apart on paper, (n,) each."""

    def turned(self, lon: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Eastward and northward components as components right and up on paper."""

    def frame(self, axis: "Axes") -> None:
        """Limits, ticks and outline."""


def plane_for(lat_edges: np.ndarray, lon_edges: np.ndarray) -> Plane:
    """The projection that suits cells with these edges."""
    south, north = float(lat_edges[0]), float(lat_edges[-1])
    if lon_edges[-1] - lon_edges[0] > 359.5:
        if south >= FAR and north >= REACHES:
            return Polar(1.0, south)
        if north <= -FAR and south <= -REACHES:
            return Polar(-1.0, north)
    return Plate(float(lon_edges[0]), float(lon_edges[-1]), south, north)


@dataclass(frozen=True)
class Plate:
    """Longitude across, latitude up, true to shape in the middle latitude."""

    west: float
    east: float
    south: float
    north: float

    @property
    def stretch(self) -> float:
        """Height of a degree of latitude over the width of one of longitude."""
        return float(1 / max(np.cos(np.deg2rad((self.south + self.north) / 2)), 0.2))

    @property
    def ratio(self) -> float:
        """Height over width of the map."""
        return self.stretch * (self.north - self.south) / (self.east - self.west)

    def forward(self, lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As they are."""
        x, y = np.broadcast_arrays(lon, lat)
        return x, y

    def raster(self, across: int) -> tuple[np.ndarray, np.ndarray]:
        """Points in rows."""
        step = max(self.east - self.west, (self.north - self.south) * self.stretch) / across
        lon = np.arange(self.west + step / 2, self.east, step)
        lat = np.arange(self.south + step / self.stretch / 2, self.north, step / self.stretch)
        x, y = np.meshgrid(lon, lat)
        return y.ravel(), x.ravel()

    def turned(self, lon: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As they are."""
        del lon
        return u, v

    def frame(self, axis: "Axes") -> None:
        """Degrees along the sides."""
        axis.set_xlim(self.west, self.east)
        axis.set_ylim(self.south, self.north)
        axis.set_aspect(self.stretch)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _degrees((x + 180) % 360 - 180, "E", "W")))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _degrees(y, "N", "S")))
        axis.xaxis.set_major_locator(MultipleLocator(_tick_step(self.east - self.west)))
        axis.yaxis.set_major_locator(MultipleLocator(_tick_step(self.north - self.south)))
        axis.tick_params(labelsize=8, length=3, colors=INK)
        for spine in axis.spines.values():
            spine.set_color("0.4")


@dataclass(frozen=True)
class Polar:
    """A pole in the middle.

    Attributes
    ----------
    side
        1 for the north, -1 for the south.
    rim
        Latitude of the outermost circle.
    """

    side: float
    rim: float

    @property
    def ratio(self) -> float:
        """Height over width of the map."""
        return 1.0

    def _radius(self, lat: np.ndarray | float) -> np.ndarray:
        return 2 * np.tan(np.deg2rad(90 - self.side * np.asarray(lat, float)) / 2)

    def forward(self, lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stereographic."""
        r, angle = self._radius(lat), np.deg2rad(lon)
        return r * np.sin(angle), -self.side * r * np.cos(angle)

    def raster(self, across: int) -> tuple[np.ndarray, np.ndarray]:
        """Points of a square net within the circle."""
        rim = float(self._radius(self.rim))
        line = (np.arange(across) + 0.5) / across * 2 * rim - rim
        x, y = (part.ravel() for part in np.meshgrid(line, line))
        r = np.hypot(x, y)
        inside = (r < rim) & (r > 0)
        lat = self.side * (90 - 2 * np.rad2deg(np.arctan(r / 2)))
        return lat[inside], np.rad2deg(np.arctan2(x, -self.side * y))[inside]

    def turned(self, lon: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Along the circles and towards or from the pole."""
        sine, cosine = np.sin(np.deg2rad(lon)), np.cos(np.deg2rad(lon))
        return u * cosine - self.side * v * sine, self.side * u * sine + v * cosine

    def frame(self, axis: "Axes") -> None:
        """Circles of latitude and the main meridians."""
        rim = float(self._radius(self.rim))
        axis.set_xlim(-1.18 * rim, 1.18 * rim)
        axis.set_ylim(-1.12 * rim, 1.12 * rim)
        axis.set_aspect(1)
        axis.set_axis_off()
        circle = np.linspace(0, 360, 361)
        span = 90 - abs(self.rim)
        step = 5 if span <= 15 else 10 if span <= 35 else 20
        for lat in (*np.arange(90 - step, abs(self.rim), -step), abs(self.rim)):
            at_rim = lat == abs(self.rim)
            x, y = self.forward(np.full(361, self.side * lat), circle)
            axis.plot(x, y, color="0.4" if at_rim else "0.5", lw=0.9 if at_rim else 0.4, zorder=4)
            if not at_rim:
                x, y = self.forward(np.array([self.side * lat]), np.array([22.5]))
                axis.text(
                    float(x[0]),
                    float(y[0]),
                    _degrees(self.side * lat, "N", "S"),
                    fontsize=6,
                    color="0.1",
                    zorder=7,
                    bbox=_PALE,
                )
        for lon in range(0, 360, 45):
            x, y = self.forward(np.array([self.rim, self.side * (90 - 1e-3)]), np.full(2, float(lon)))
            axis.plot(x, y, color="0.5", lw=0.4, zorder=4)
            label = _degrees((lon + 180) % 360 - 180, "E", "W")
            axis.text(1.1 * x[0], 1.06 * y[0], label, fontsize=8, color=INK, ha="center", va="center")


def _tick_step(span: float) -> float:
    """A round step that gives three to seven ticks."""
    return next((step for step in (0.25, 0.5, 1, 2, 5, 10, 15, 20, 30, 45, 60) if span / step < 7), 60)


def _degrees(value: float, positive: str, negative: str) -> str:
    no_side = abs(value) < 1e-9 or (abs(abs(value) - 180) < 1e-9 and positive == "E")
    return f"{abs(value):g}°{'' if no_side else positive if value > 0 else negative}"
