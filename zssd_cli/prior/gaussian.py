r"""The prior at high noise: the denoiser of the climatological Gaussian, in closed form [ours].

Under heavy noise only the mean and the covariance of the data matter, and the best denoiser is linear:

.. math:: D(x) = m + B (B + \sigma^2)^{-1} (x - m),

m the zonal mean of climatology, B the covariance by bands of latitude (:mod:`zssd_cli.prior.covariance`). This is
where a network is weakest: it saw patches of 16 degrees, and few of them at these levels; and it is where the large
scales of variables that are not observed are decided. The increments of the bands are interpolated in latitude.
"""

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.prior.covariance import Band, latitude_bands

REACH = 90
"""Largest lag in cells that the convolution keeps: the weights of B (B + sigma^2)^-1 are short but for the highest noise."""
FILLS = 8
"""How often what lies beyond a region's rim is filled with its own estimate; the globe has no rim but the poles."""


class GaussianDenoiser:
    """The linear denoiser on one domain.

    Parameters
    ----------
    lags, signs
        Covariances and mirror signs of the prior.
    zonal
        Climatological mean per variable and row of the global grid, standardised, (C, 721).
    grid
        The domain.
    device
        Where the fields are.
    """

    def __init__(
        self, lags: Tensor, signs: Tensor, zonal: Tensor, grid: LatLonGrid, device: str | torch.device = "cpu"
    ) -> None:
        self._bands = latitude_bands(lags, signs, grid.lat)
        rows = np.rint((grid.lat + 90) * 4).astype(int)
        self._mean = zonal[:, rows, None].to(device)
        self._circular = grid.circular
        self._device = device

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W).

        What lies beyond the rim is not known, which is not the same as no anomaly: it is filled with its own estimate,
        a few times over (expectation-maximisation, whose fixed point is the denoiser given the domain alone).
        """
        height, width = x.shape[2:]
        anomaly = x - self._mean
        result = self._mean.expand_as(x).clone()
        for band in self._bands:
            touched = torch.nonzero(band.weight > 0).flatten()
            first, last = int(touched[0]), int(touched[-1]) + 1
            low, high = max(first - REACH, 0), min(last + REACH, height)
            size = (
                next_fast_len(high - low + REACH, real=True),
                width if self._circular else next_fast_len(width + REACH, real=True),
            )
            inside = (..., slice(0, high - low), slice(0, width))
            symbol = self._symbol(band, sigma, size)
            padded = x.new_zeros(*x.shape[:2], *size)
            for _ in range(1 if self._circular else FILLS):
                padded[inside] = anomaly[:, :, low:high]
                product = torch.einsum("ijyx,bjyx->biyx", symbol, torch.fft.rfft2(padded))
                padded = torch.fft.irfft2(product, s=size)
            smooth = padded[:, :, first - low : last - low, :width]
            result[:, :, first:last] += band.weight[first:last, None].to(x) * smooth
        return result

    def _symbol(self, band: Band, sigma: float, size: tuple[int, int]) -> Tensor:
        """B (B + sigma^2)^-1 as a convolution on a torus of ``size`` cells, (C, C, ky, kx)."""
        weights = band.spectrum.conditional(sigma) / sigma**2
        period = weights.shape[-2]
        kernel = torch.fft.irfft2(weights, s=(period, period))
        lags = torch.arange(-REACH, REACH + 1)
        torus = torch.zeros(*kernel.shape[:2], *size)
        torus[:, :, (lags % size[0])[:, None], lags % size[1]] = kernel[:, :, (lags % period)[:, None], lags % period]
        return torch.fft.rfft2(torus).conj().to(self._device)
