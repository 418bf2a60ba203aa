r"""The wind that goes with a pressure field: a regression with the shape of the drag balance, fitted on reanalysis [ours].

Friction r V, the pressure gradient and Coriolis' force in balance (Rayleigh friction in a mixed layer; Stevens et al. 2002) make

.. math:: V = \frac{f\,k \times \nabla p - r \nabla p}{\rho\,(f^2 + r^2)},

a sum of a flow along the isobars and one across them, both smooth through the equator. Each is multiplied by a smooth
function of latitude and by one of the strength of the gradient (drag grows with the square of the wind) and an offset is added.
All of this for sea, low land and high land apart, which a cell mixes by its share of each:

.. math:: V = H(G\,p) + \varepsilon,

G a Gaussian filter, as wide in kilometres to the east as to the north. What H leaves, :math:`\varepsilon`, is the deviation
that the climatological Gaussian describes
(:mod:`zssd_cli.climate.covariance`). H's straight part L, by bands of latitude, says how a change of pressure moves the wind in it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zssd_cli.climate.bands import BAND_WIDTH, band_centres, band_weights
from zssd_cli.grids.latlon import FINE_STEP, LatLonGrid

PRESSURE, WINDS = "msl", ("u10", "v10")
FILTER_CELLS = 4
"""Standard deviation of G, 1 degree: finer pressure is not balanced; .5 to 1.5 degrees are equally good, none is worse."""
METRES = 6.371e6 * math.radians(FINE_STEP)
CORIOLIS = 1.4584e-4
FRICTION = CORIOLIS * math.sin(math.radians(8))
"""r [s-1]: f at 8 degrees. Half as much again changes no error by a hundredth."""
DENSITY = 1.2
CALM = 10.0
"""Geostrophic wind [m s-1] at which the multipliers of strong and weak gradients are halfway."""
HIGH_KM = 1.5
"""Surface height from which land is high land altogether."""
POLAR = 80.0
"""Poleward of it a cell counts as wide as there: the gradient along a short circle is noise."""
FITTED = 86.0
"""Rows beyond do not enter the fit."""
RIM = 2 * FILTER_CELLS
RIDGE = 1e-5
LEAST = 1e-3
"""Share of a band's area below which a season or surface has no scatter of its own."""
BESIDE = RIM * 2 + 1
"""Rows beside a row that its gradient follows from."""
STRIDE = 4
"""Every fourth row and column enters the fit: neighbours say the same."""
SURFACES = 3
SEASONS = 2
"""Local winter and local summer."""
COLDEST = 0.08
"""Fraction of the year at the height of the northern winter, the end of January."""
HATS = np.arange(0, 91, 10.0)
TERMS = 2 * HATS.size + 4 + 3


def has_balance(variables: Sequence[str]) -> bool:
    """Whether pressure and both winds are there."""
    return {PRESSURE, *WINDS} <= set(variables)


def surfaces(static: Tensor) -> Tensor:
    """Shares of sea, low and high land from the static channels (height in km, land fraction, ...), (3, H, W)."""
    land, high = static[1].clamp(0, 1), (static[0] / HIGH_KM).clamp(0, 1)
    return torch.stack([1 - land, land * (1 - high), land * high])


def northern_winter(year_fraction: Tensor) -> Tensor:
    """Share of winter in the northern hemisphere's weather, 1 in January and 0 in July; half where the time is not known."""
    return ((1 + torch.cos(2 * math.pi * (year_fraction - COLDEST))) / 2).nan_to_num(0.5)


def _narrow(lat: Tensor) -> Tensor:
    """Width of a cell of a row as a share of its width at the equator."""
    return torch.deg2rad(lat.abs().clamp(max=POLAR)).cos()


def _filtered(field: Tensor, narrow: Tensor, circular: bool) -> Tensor:
    """G, (N, H, W) -> (N, H, W); ``narrow`` (H,) as from :func:`_narrow`."""
    reach = 4 * FILTER_CELLS
    lags = torch.arange(-reach, reach + 1, device=field.device)
    kernel = torch.exp(-0.5 * (lags / FILTER_CELLS) ** 2).to(field)
    padded = F.pad(field[:, None], (0, 0, reach, reach), mode="replicate")
    north = F.conv2d(padded, (kernel / kernel.sum())[None, None, :, None])[:, 0]
    side = 0 if circular else math.ceil(reach / float(narrow.min()))
    wide = F.pad(north, (side, side), mode="replicate") if side else north
    waves = 2 * math.pi * torch.fft.rfftfreq(wide.shape[-1], device=field.device).to(field)
    damping = torch.exp(-0.5 * (FILTER_CELLS / narrow[:, None] * waves) ** 2)
    east = torch.fft.irfft(torch.fft.rfft(wide) * damping, n=wide.shape[-1])
    return east[..., side : side + field.shape[-1]]


def gradient(pressure: Tensor, narrow: Tensor, circular: bool) -> Tensor:
    """Differences of the filtered pressure per cell, eastward and northward: (N, H, W) -> (N, 2, H, W)."""
    p = _filtered(pressure - pressure.mean(), narrow, circular)
    wide = F.pad(p[:, None], (1, 1, 0, 0), mode="circular" if circular else "replicate")[:, 0]
    east = (wide[..., 2:] - wide[..., :-2]) / 2
    if not circular:
        east[..., 0], east[..., -1] = 2 * east[..., 0], 2 * east[..., -1]
    return torch.stack([east, torch.gradient(p, dim=1)[0]], 1)


def _band_gradient(pressure: Tensor, grid: LatLonGrid, centre: float, rows: slice) -> Tensor:
    """:func:`gradient` on some rows with the cells of a band's centre, (N, 2, rows, W)."""
    near = slice(max(rows.start - BESIDE, 0), rows.stop + BESIDE)
    part = pressure[:, near]
    narrow = _narrow(torch.full(part.shape[1:2], centre).to(part))
    return gradient(part, narrow, grid.circular)[:, :, rows.start - near.start :][:, :, : rows.stop - rows.start]


def _flows(slope: Tensor, lat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Flow along the isobars and across them (N, 2, H, W) [m s-1], and the multiplier's argument (N, 1, H, W) in 0..1."""
    narrow = _narrow(lat)[:, None]
    px, py = slope[:, 0] / (METRES * narrow), slope[:, 1] / METRES
    f = CORIOLIS * torch.deg2rad(lat).sin()[:, None]
    scale = DENSITY * (f**2 + FRICTION**2)
    along, across = torch.stack([-f * py, f * px], 1) / scale, -FRICTION * torch.stack([px, py], 1) / scale
    strength = torch.hypot(px, py)[:, None] / (DENSITY * (f**2 + FRICTION**2).sqrt())
    return along, across, 1 / (1 + strength / CALM)


def _northern(centres: np.ndarray) -> list[int]:
    """The measured band that describes each of the given centres."""
    return [int(np.argmin(np.abs(band_centres() - abs(centre)))) for centre in centres]


def _hats(lat: Tensor) -> Tensor:
    """Weights of the knots of the functions of latitude, (H, knots)."""
    knots = torch.as_tensor(HATS).to(lat)
    return (1 - (lat.abs()[:, None] - knots).abs() / (HATS[1] - HATS[0])).clamp(min=0)


def _offsets(lat: Tensor) -> Tensor:
    """Polynomials of latitude, even for the eastward and odd for the northward wind, (2, H, 3)."""
    y = lat / 90
    return torch.stack([torch.stack([y**0, y**2, y**4], 1), torch.stack([y, y**3, y**5], 1)])


@dataclass(frozen=True)
class Balance:
    """H and what goes with it, in physical units.

    Attributes
    ----------
    coefficients
        Of H, (2 components, SURFACES, TERMS).
    slopes
        L by band: change of the component [m s-1] per difference of filtered pressure per cell [Pa], northern hemisphere,
        (bands, 2 components, 2 directions).
    spread
        Standard deviation of what H leaves in a season over a surface, as a share of the whole band's,
        (bands, SEASONS, SURFACES, 2).
    pressure_spread
        Standard deviation of the pressure from the mean along the row in a season [Pa], at HATS of latitude, (hats, SEASONS).
    """

    coefficients: Tensor
    slopes: Tensor
    spread: Tensor
    pressure_spread: Tensor

    def wind(self, pressure: Tensor, grid: LatLonGrid, shares: Tensor) -> Tensor:
        """H: pressure (N, H, W) [Pa] and shares of the surfaces (3, H, W) -> (N, 2, H, W) [m s-1]."""
        lat = torch.as_tensor(grid.lat).to(pressure)
        along, across, weak = _flows(gradient(pressure, _narrow(lat), grid.circular), lat)
        hats, offsets, result = _hats(lat), _offsets(lat), torch.zeros_like(along)
        count = HATS.size
        for share, own in zip(shares, self.coefficients.to(pressure).unbind(1), strict=True):
            by_row = [hats @ own[:, part].T for part in (slice(count), slice(count, 2 * count))]
            factors = [rows.T[:, :, None] for rows in by_row]
            a, b, c, d = (own[:, 2 * count + k, None, None] for k in range(4))
            offset = torch.einsum("chk,ck->ch", offsets, own[:, 2 * count + 4 :])[:, :, None]
            result = result + share * (
                along * (factors[0] + a * weak + b * weak**2) + across * (factors[1] + c * weak + d * weak**2) + offset
            )
        return result

    def straight(self, pressure: Tensor, grid: LatLonGrid) -> Tensor:
        """L: a change of pressure (N, H, W) [Pa] -> the change of the wind (N, 2, H, W) [m s-1]."""
        weights, centres = band_weights(grid.lat)
        # the mirror at the equator reverses the northward wind and the northward difference
        mirror = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).to(pressure)
        result = pressure.new_zeros(pressure.shape[0], len(WINDS), *pressure.shape[1:])
        for weight, centre, band in zip(weights, centres, _northern(centres), strict=True):
            touched = np.flatnonzero(weight)
            if touched.size:
                rows = slice(int(touched[0]), int(touched[-1]) + 1)
                slopes = self.slopes[band].to(pressure) * (mirror if centre < 0 else 1)
                wind = torch.einsum("cd,ndhw->nchw", slopes, _band_gradient(pressure, grid, centre, rows))
                result[:, :, rows] += wind * torch.as_tensor(weight[rows, None]).to(pressure)
        return result

    def spreads(self, grid: LatLonGrid, shares: Tensor, winter: Tensor) -> tuple[Tensor, Tensor]:
        """Standard deviation of the pressure [Pa], (N, H, 1), and factors by which the bands' winds are scaled in a cell (N, 2, H, W).

        Parameters
        ----------
        grid, shares
            Of the domain, (3, H, W).
        winter
            See :func:`northern_winter`, (N,).
        """
        weights, centres = band_weights(grid.lat)
        by_row, index = torch.as_tensor(weights).to(shares).T, _northern(centres)
        winds = self.spread.to(shares).square()[index]
        north = torch.as_tensor(grid.lat > 0).to(winter.device)
        local = torch.where(north, winter[:, None], 1 - winter[:, None])
        seasons = torch.stack([local, 1 - local], 2).to(shares)
        mixed = torch.einsum("nht,hb,btsc->nhsc", seasons, by_row, winds)
        pressure = _hats(torch.as_tensor(grid.lat)).to(shares) @ self.pressure_spread.to(shares).square()
        return (
            (seasons * pressure).sum(2, keepdim=True).sqrt(),
            torch.einsum("nhsc,shw->nchw", mixed, shares).sqrt(),
        )

    def transfer(self, band: int, period: int) -> Tensor:
        """L of a band for plane waves of ``period`` cells around: (2, period, period // 2 + 1), complex."""
        rows = 2 * math.pi * torch.fft.fftfreq(period, dtype=torch.float64)[:, None]
        columns = 2 * math.pi * torch.fft.rfftfreq(period, dtype=torch.float64)
        narrow = _narrow(torch.tensor(band_centres()[band]))
        smooth = torch.exp(-0.5 * FILTER_CELLS**2 * (rows**2 + (columns / narrow) ** 2))
        east, north = columns.sin() * smooth, rows.sin() * smooth
        return 1j * torch.stack([a * east + b * north for a, b in self.slopes[band].double().cpu()])


@dataclass(frozen=True)
class Scene:
    """One field to fit to: pressure (H, W) [Pa], wind (2, H, W) [m s-1], grid, shares of the surfaces (3, H, W), winter; float64."""

    pressure: Tensor
    wind: Tensor
    grid: LatLonGrid
    shares: Tensor
    winter: float

    def inner(self, field: Tensor) -> Tensor:
        """The cells that enter a fit (not the poles, not the rim of a region where the filter lacks neighbours), thinned."""
        return field[..., self.rows, :][..., self.columns]

    @property
    def rows(self) -> np.ndarray:
        """Rows that enter."""
        rows = np.arange(RIM, self.grid.lat.size - RIM, STRIDE)
        return rows[np.abs(self.grid.lat[rows]) < FITTED]

    @property
    def columns(self) -> np.ndarray:
        """Columns that enter."""
        rim = 0 if self.grid.circular else RIM
        return np.arange(rim, self.grid.lon.size - rim, STRIDE)

    @property
    def lat(self) -> Tensor:
        """Of the rows that enter."""
        return torch.as_tensor(self.grid.lat[self.rows])


def fit_balance(scenes: Iterable[Scene]) -> Balance:
    """H by least squares, then the straight lines through it and the scatter about it; goes through the scenes twice."""
    coefficients = _fit_coefficients(scenes)
    bands = band_centres().size
    square, product = torch.zeros(bands, 3, 3, dtype=torch.float64), torch.zeros(bands, 3, 2, dtype=torch.float64)
    rests, pressures = _Scatter(bands, (SEASONS, SURFACES, 2)), _Scatter(HATS.size, (SEASONS,))
    plain = Balance(coefficients, *(torch.zeros(0) for _ in range(3)))
    for scene in scenes:
        fitted = plain.wind(scene.pressure[None], scene.grid, scene.shares)[0]
        mirror = torch.ones(2, scene.rows.size, 1, dtype=torch.float64)
        mirror[1, scene.lat < 0] = -1
        wind, rest = scene.inner(fitted) * mirror, scene.inner(scene.wind - fitted).square()
        _add_anomalies(pressures, scene)
        shares = scene.inner(scene.shares)
        for band, centre in enumerate(band_centres()):
            near = (scene.lat.abs() - centre).abs() <= BAND_WIDTH
            weight = torch.deg2rad(scene.lat[near]).cos()[:, None]
            whole = slice(0, scene.grid.lat.size)
            slope = scene.inner(_band_gradient(scene.pressure[None], scene.grid, centre, whole)[0])[:, near]
            line = torch.cat([slope * mirror[:, near], torch.ones_like(slope[:1])])
            square[band] += torch.einsum("ihw,jhw->ij", line * weight, line)
            product[band] += torch.einsum("ihw,jhw->ij", line * weight, wind[:, near])
            winter = torch.where(scene.lat[near] > 0, scene.winter, 1 - scene.winter)[:, None] * weight
            seasons = torch.stack([winter, weight - winter])
            rests.add(band, "thx,shw,chw->tsc", seasons, shares[:, near], rest[:, near])
    slopes = torch.linalg.lstsq(square, product, driver="gelsd").solution[:, :2].transpose(1, 2)
    return Balance(coefficients.float(), slopes.float(), rests.relative(), pressures.deviation())


def _add_anomalies(pressures: "_Scatter", scene: Scene) -> None:
    """A scene's squares of the pressure's deviation from the mean along the row."""
    lat = torch.as_tensor(scene.grid.lat)
    anomaly = (scene.pressure - scene.pressure.mean(1, keepdim=True)).square().mean(1)
    winter = torch.where(lat > 0, scene.winter, 1 - scene.winter)
    seasons = torch.stack([winter, 1 - winter])
    for hat, weight in enumerate((_hats(lat) * torch.deg2rad(lat).cos()[:, None]).T):
        pressures.add(hat, "th,h->t", seasons * weight, anomaly)


class _Scatter:
    """Sums of squares and of their weights by band and class."""

    def __init__(self, bands: int, classes: tuple[int, ...]) -> None:
        self._total, self._weight = (torch.zeros(bands, *classes, dtype=torch.float64) for _ in range(2))

    def add(self, band: int, sums: str, *factors: Tensor) -> None:
        """Add a product of weights and, last, squares."""
        self._total[band] += torch.einsum(sums, *factors)
        self._weight[band] += torch.einsum(sums, *factors[:-1], torch.ones_like(factors[-1]))

    def deviation(self) -> Tensor:
        """Standard deviation of a class; that of all classes where it holds (next to) nothing, of the nearest band where that does."""
        weight = self._weight.sum(1)
        known = torch.nonzero(weight > LEAST * weight.max()).flatten()
        nearest = known[(torch.arange(weight.numel())[:, None] - known).abs().argmin(1)]
        whole = (self._total.sum(1) / weight)[nearest, None]
        own = self._total / self._weight
        return torch.where(self._weight > LEAST * weight[:, None], own, whole).sqrt().float()

    def relative(self) -> Tensor:
        """Standard deviation of a class as a share of the band's; 1 where a class holds (next to) nothing."""
        inner = tuple(range(1, min(self._total.ndim, 3)))
        whole = self._total.sum(inner, keepdim=True) / self._weight.sum(inner, keepdim=True)
        share = self._weight / self._weight.sum(inner, keepdim=True)
        ratio = torch.where(share > LEAST, self._total / self._weight / whole, 1.0).nan_to_num(1.0)
        return torch.where(ratio > 0, ratio, 1.0).sqrt().float()


def _fit_coefficients(scenes: Iterable[Scene]) -> Tensor:
    """(2 components, SURFACES, TERMS), float64."""
    count = SURFACES * TERMS
    square, product = torch.zeros(2, count, count).double(), torch.zeros(2, count).double()
    for scene in scenes:
        lat = torch.as_tensor(scene.grid.lat)
        flows = _flows(gradient(scene.pressure[None], _narrow(lat), scene.grid.circular), lat)
        along, across, weak = (scene.inner(part[0]) for part in flows)
        hats, offsets, shares = _hats(scene.lat), _offsets(scene.lat), scene.inner(scene.shares)
        weight = torch.deg2rad(scene.lat).cos()[:, None].expand(along.shape[1:]).flatten()
        target = scene.inner(scene.wind).flatten(1)
        for component in (0, 1):
            both = along[component], across[component]
            terms = [flow * hat[:, None] for flow in both for hat in hats.T]
            terms += [flow * factor[0] for flow in both for factor in (weak, weak**2)]
            terms += [one[:, None].expand_as(both[0]) for one in offsets[component].T]
            design = (torch.stack(terms) * shares[:, None]).flatten(0, 1).flatten(1)
            square[component] += (design * weight) @ design.T
            product[component] += (design * weight) @ target[component]
    # a trace of ridge keeps terms without data at nought
    ridge = RIDGE * square.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(count).double()
    return torch.linalg.solve(square + ridge, product).unflatten(1, (SURFACES, TERMS))
