r"""Random fields round a pole: along every row as smooth as the distance asks for [ours].

A band's covariance is one of lags in degrees, and those that are kept (40 degrees) end within a few hundred kilometres near a pole: its
fields are as rough along longitude at 89 degrees as at 85, a star of rays. What the band says along a *meridian* is right there, too:
there its covariance falls to half at some distance, which sets the length of a covariance c (Matérn's, which unlike the band's own at the
smallest lags is smooth). The zonal waves of every row are scaled by

.. math:: f_m(\phi) = \sqrt{S_m(\phi) / P_m(\phi)}, \qquad S_m(\phi) = \mathcal{F}_\lambda\, c(2 \arcsin(\cos\phi \sin(\lambda/2))),

with P the power that the bands' noise has on that row; the row's variance is kept. Winds are taken together, as one complex number in
directions that do not turn with the meridian (a flow over a pole is one wave of u and v).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zssd_cli.climate.covariance import MAX_LAG, TORUS, Band
from zssd_cli.grids.latlon import FINE_STEP

BEGINS, WHOLE = 60.0, 75.0
"""Degrees from the equator at which the scaling sets in and from which it is whole."""
HALF_3, HALF_5 = 1.67835, 2.33026
"""Where Matérn's correlations of order 3/2 and 5/2 are a half, in their own lengths."""


class PolarWaves:
    """Scales the zonal waves of fields on a grid that goes all the way round.

    Parameters
    ----------
    lat
        Rows of the grid in degrees, H of them.
    columns
        W of them.
    bands
        Those that the fields were drawn from, their weights on these rows.
    winds
        Channels of u and v, or none.
    """

    def __init__(self, lat: np.ndarray, columns: int, bands: Sequence[Band], winds: Sequence[int]) -> None:
        self.rows = np.flatnonzero(np.abs(lat) > BEGINS)
        self._winds, self._columns = list(winds), columns
        self._lat, self._bands = np.asarray(lat)[self.rows], [band for band in bands if self._touched(band)]
        east = 2 * np.pi * np.arange(columns) / columns
        self._turn = torch.as_tensor(np.exp(1j * np.sign(self._lat)[:, None] * east), dtype=torch.complex64)
        if self.rows.size:
            count = self._bands[0].own.count
            self._scalars = {channel: self._factor([channel]) for channel in range(count) if channel not in self._winds}
            self._flow = self._factor(self._winds) if self._winds else None

    def __call__(self, fields: Tensor) -> Tensor:
        """Scaled, (B, C, H, W), in place."""
        if not self.rows.size:
            return fields
        part = fields[:, :, self.rows]
        for channel, factor in self._scalars.items():
            part[:, channel] = self._scaled(part[:, channel].to(torch.complex64), factor).real
        if self._flow is not None:
            turn, (u, v) = self._turn.to(fields.device), self._winds
            wind = self._scaled(torch.complex(part[:, u], part[:, v]) * turn, self._flow) * turn.conj()
            part[:, u], part[:, v] = wind.real, wind.imag
        fields[:, :, self.rows] = part
        return fields

    def _touched(self, band: Band) -> bool:
        return bool((band.weight[self.rows] > 0).any())

    @staticmethod
    def _scaled(rows: Tensor, factor: Tensor) -> Tensor:
        return torch.fft.ifft(torch.fft.fft(rows) * factor.to(rows.device))

    def _factor(self, channels: Sequence[int]) -> Tensor:
        """F of the sum of one or two channels (the second times i), (rows, W)."""
        weights = torch.stack([band.weight[self.rows].double() for band in self._bands], 1)
        waves = torch.stack([self._waves(band, channels) for band in self._bands])
        shared = torch.einsum("asrw,bsrw->abw", waves, waves.conj()).real  # bands share their noise
        power = torch.einsum("ya,yb,abw->yw", weights, weights, shared)
        if len(channels) > 1:  # e^{i lon} moves waves by one: eastward of the northern pole, westward of the southern
            power = torch.stack([row.roll(int(np.sign(lat))) for row, lat in zip(power, self._lat, strict=True)])
        along = torch.stack([self._along(band, channels) for band in self._bands])
        wanted = torch.einsum("ya,ayw->yw", weights, along)
        wanted = wanted * power.sum(1, keepdim=True) / wanted.sum(1, keepdim=True)
        share = np.clip((np.abs(self._lat) - BEGINS) / (WHOLE - BEGINS), 0, 1)
        squared = (wanted / power.clamp(min=power.amax() * 1e-12)) ** torch.as_tensor(share)[:, None]
        squared = squared * power.sum(1, keepdim=True) / (squared * power).sum(1, keepdim=True)
        return squared.sqrt().float()

    def _waves(self, band: Band, channels: Sequence[int]) -> Tensor:
        """The root's zonal waves, per source and row of the kernel, (C, 2 MAX_LAG + 1, W)."""
        root = band.own.root().double()
        kernel = root[channels[0]] if len(channels) == 1 else torch.complex(root[channels[0]], root[channels[1]])
        return torch.fft.fft(kernel, n=self._columns)

    def _along(self, band: Band, channels: Sequence[int]) -> Tensor:
        """Power of zonal waves that the covariance along the meridian asks for, (rows, W)."""
        lags = torch.fft.irfft2(band.own.covariance(), s=(TORUS, TORUS))
        along = sum(lags[channel, channel, : MAX_LAG + 1, 0] for channel in channels).numpy()
        half = (along < along[0] / 2).argmax() * FINE_STEP
        angle = np.pi * np.arange(self._columns) / self._columns
        chord = np.cos(np.radians(self._lat))[:, None] * np.sin(angle)
        lengths = np.degrees(2 * np.arcsin(chord.clip(0, 1))) / half
        covariance = torch.as_tensor(along[0] * _matern(lengths, smooth=len(channels) == 1))
        return torch.fft.fft(covariance).real.clamp(min=0)


def _matern(lengths: np.ndarray, *, smooth: bool) -> np.ndarray:
    """Correlation at distances in units of that at which it is a half: of order 5/2 (pressure) or 3/2 (winds)."""
    if smooth:
        x = HALF_5 * lengths
        return (1 + x + x**2 / 3) * np.exp(-x)
    x = HALF_3 * lengths
    return (1 + x) * np.exp(-x)
