r"""The climatological Gaussian: random fields with the covariance of climatology, and the winds that go with their pressure [ours].

Under heavy noise only the mean and the covariance of the data matter. There the network is weakest (it saw patches of 16
degrees, few of them at these levels), and there the large scales of variables that are not observed are decided. So above a
noise level this is the prior. It is sampled in closed form (:mod:`zssd_cli.posterior.start`), which takes two things:

* fields from N(0, S): unit noise convolved with the symmetric root of S, band by band, the bands' results interpolated in
  latitude (the same noise feeds all bands, so that neighbours fit together);
* the balanced wind of a pressure field (:mod:`zssd_cli.climate.balance`), from which the winds of those fields deviate.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from zssd_cli.climate.balance import PRESSURE, WINDS, Balance, surfaces
from zssd_cli.climate.covariance import MAX_LAG, TORUS, Band, latitude_bands
from zssd_cli.climate.poles import PolarWaves
from zssd_cli.grids.latlon import LatLonGrid


@dataclass(frozen=True)
class Climate:
    """What a prior knows besides its network.

    Attributes
    ----------
    variables
        Canonical names, C of them.
    mean, std
        Scales in physical units, (C,).
    zonal
        Mean of the standardised variables per row of the global grid, (C, 721); of winds with a balance: not used.
    lags
        Covariances of the deviations from it (:mod:`zssd_cli.climate.covariance`); of winds with a balance: from that.
    signs
        What a mirror at the equator does to each variable, (C,).
    balance
        The wind that goes with pressure; None where the prior lacks either.
    """

    variables: tuple[str, ...]
    mean: Tensor
    std: Tensor
    zonal: Tensor
    lags: Tensor
    signs: Tensor
    balance: Balance | None = None

    @property
    def pressure(self) -> int:
        """Channel of the pressure that the balance starts from."""
        return self.variables.index(PRESSURE)

    @property
    def winds(self) -> list[int]:
        """Channels of the balanced winds."""
        return [self.variables.index(name) for name in WINDS]

    def bands(self, lat: np.ndarray) -> list[Band]:
        """The bands of both hemispheres that matter for the rows ``lat``."""
        if self.balance is None:
            return latitude_bands(self.lags, self.signs, lat)
        return latitude_bands(self.lags, self.signs, lat, self._coupling, red=[self.pressure])

    def _coupling(self, band: int) -> Tensor:
        """From (pressure, deviations of the winds) to (pressure, winds), for plane waves."""
        assert self.balance is not None  # noqa: S101 (only asked where it is there)
        transfer = self.balance.transfer(band, TORUS)
        matrix = torch.eye(len(self.variables), dtype=torch.complex64)[:, :, None, None].repeat(
            1, 1, *transfer.shape[1:]
        )
        scale = self.std[self.pressure] / self.std[self.winds]
        matrix[self.winds, self.pressure] = (transfer * scale.cpu()[:, None, None]).to(matrix)
        return matrix


class ClimateFields:
    """Random fields of a climate on one domain.

    Parameters
    ----------
    climate
        See :class:`Climate`.
    grid
        The domain, H x W cells.
    static
        Static channels of the domain, (4, H, W), on the device of the fields.
    bands
        Those of the domain.
    """

    def __init__(self, climate: Climate, grid: LatLonGrid, static: Tensor, bands: list[Band]) -> None:
        self.climate, self.grid, self.bands, self.device = climate, grid, bands, static.device
        rows = np.rint((grid.lat + 90) * 4).astype(int)
        self.mean = climate.zonal[:, rows, None].to(self.device)
        self.margin = (MAX_LAG, 0 if grid.circular else MAX_LAG)
        """Rows and columns of noise beyond the rim that :meth:`deviations` wants on either side."""
        if climate.balance is not None:
            self._shares = surfaces(static)
        winds = [] if climate.balance is None else climate.winds
        self._polar = PolarWaves(grid.lat, grid.lon.size, bands, winds) if grid.circular else None

    def deviations(self, noise: Tensor, winter: Tensor) -> Tensor:
        """Fields from N(0, S) in a season.

        Parameters
        ----------
        noise
            Unit noise with its margin, (B, C, H + 2 rows, W + 2 columns).
        winter
            Of the northern hemisphere, see :func:`zssd_cli.climate.balance.northern_winter`, (B,).

        Returns
        -------
        Standardised, (B, C, H, W).
        """
        (height, width), (rim, side) = self.grid.shape, self.margin
        result, drawn = noise.new_zeros(*noise.shape[:2], height, width), noise.new_zeros(noise.shape[1], height, 1)
        for band in self.bands:
            touched = torch.nonzero(band.weight > 0).flatten()
            first, last = int(touched[0]), int(touched[-1]) + 1
            part = noise[:, :, first : last + 2 * rim]
            root = band.own.root().to(self.device)
            # what is beyond the rim enters nothing that is kept, so that any length will do that a transform is fast with
            size = [next_fast_len(part.shape[2]), width if self.grid.circular else next_fast_len(part.shape[3])]
            waves, given = torch.fft.rfft2(root, s=size), torch.fft.rfft2(part, s=size)
            field = torch.fft.irfft2(torch.stack([(row * given).sum(1) for row in waves], 1), s=size)
            # the kernel begins with its first lag, -MAX_LAG: all comes to lie so much further north and east
            inner = field.roll(-MAX_LAG, 3) if self.grid.circular else field[..., 2 * side : 2 * side + width]
            inner = inner[:, :, 2 * rim : 2 * rim + last - first]
            weight = band.weight[first:last, None].to(self.device)
            result[:, :, first:last] += inner * weight
            drawn[:, first:last] += root.square().sum((1, 2, 3)).sqrt()[:, None, None] * weight
        if self._polar is not None:
            result = self._polar(result)
        if self.climate.balance is not None:
            pressure, winds = self.climate.balance.spreads(self.grid, self._shares, winter)
            result[:, self.climate.pressure] *= (
                pressure / (drawn * self.climate.std.to(drawn)[:, None, None])[self.climate.pressure]
            )
            result[:, self.climate.winds] *= winds
        return result

    def balanced(self, pressure: Tensor, change: Tensor) -> Tensor:
        """Standardised winds (B, 2, H, W) that go with a pressure, less those that belong to a change of it in L's eyes.

        Parameters
        ----------
        pressure, change
            Standardised, (B, H, W).
        """
        climate, balance = self.climate, self.climate.balance
        assert balance is not None  # noqa: S101 (only asked where it is there)
        centre, spread = climate.mean.to(pressure), climate.std.to(pressure)
        mean, std = centre[climate.winds, None, None], spread[climate.winds, None, None]
        scale = spread[climate.pressure]
        wind = balance.wind(pressure * scale, self.grid, self._shares)  # only differences of pressure count
        return (wind - mean - balance.straight(change * scale, self.grid)) / std
