r"""Power by wavelength along parallels, in degrees of great circle, and how far two spectra are apart.

Every row of longitude gives a periodogram: on the whole circle as it is, in a box detrended and under a Hann window.
Row frequencies f per degree of longitude become :math:`f/\cos\varphi` per degree of great circle, and densities are
averaged in bins of wavelength with the rows' areas as weights. The log spectral distance of P from the truth's P_ref is

.. math:: \mathrm{LSD} = \sqrt{\overline{(10\log_{10} P/P_{ref})^2}}\ \text{dB}

over the bins between 0.5 and 20 degrees that are no longer than half the domain. It says nothing of where the power is:
the edges of blocks have plenty at short wavelengths, so nearest-block fields look better by it than they are.

Effective resolution is the shortest wavelength down to which P stays within 3 dB, a factor of two, of P_ref (after Skamarock 2004,
Mon. Weather Rev. 132). Coherence with cross-spectrum C of a member and the truth at the same time,
:math:`|\overline{C}|^2 / (\overline{P}\,\overline{P_{ref}})`, says whether waves are in their place: 1 where they are, 0 where they have
nothing to do with each other.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix, vstack

from zssd_cli.evaluation.resampling import Replicates
from zssd_cli.grids.latlon import LatLonGrid

SHORTEST, LONGEST, BINS_PER_OCTAVE = 0.5, 20.0, 3
WITHIN_DB, COHERENT = 3.0, 0.5
KM_PER_DEGREE = 111.2
WAVEBANDS = ((1.0, 2.0), (2.0, 4.0), (4.0, 10.0))
"""Wavelength bands of the report, degrees of great circle."""


@dataclass(frozen=True, eq=False)
class WavelengthBins:
    """Bins of wavelength for one grid.

    Attributes
    ----------
    grid
        Equally spaced longitudes; the whole circle or a box.
    """

    grid: LatLonGrid

    @cached_property
    def edges(self) -> np.ndarray:
        """Bin edges in degrees of great circle, three to an octave from 0.5 up to 20 or half the mean width."""
        cosine = np.cos(np.deg2rad(self.grid.lat))
        width = (self.grid.lon_edges[-1] - self.grid.lon_edges[0]) * float(np.average(cosine, weights=cosine))
        longest = min(LONGEST, width / 2)
        steps = int(np.floor(np.log2(max(longest / SHORTEST, 1.0)) * BINS_PER_OCTAVE + 1e-9))
        return SHORTEST * 2.0 ** (np.arange(steps + 1) / BINS_PER_OCTAVE)

    @cached_property
    def centres(self) -> np.ndarray:
        """Geometric centres of the bins, degrees of great circle."""
        return np.sqrt(self.edges[1:] * self.edges[:-1])

    @property
    def _step(self) -> float:
        """Width of a column in degrees of longitude."""
        return float(self.grid.lon_edges[-1] - self.grid.lon_edges[0]) / self.grid.lon.size

    @cached_property
    def _wavelengths(self) -> np.ndarray:
        """Great-circle wavelength of every row and frequency above 0, (lat, k)."""
        frequency = np.fft.rfftfreq(self.grid.lon.size, self._step)[1:]
        return np.cos(np.deg2rad(self.grid.lat))[:, None] / frequency[None, :]

    @cached_property
    def _slots(self) -> tuple[np.ndarray, np.ndarray]:
        """Number of the bin, and of the band, of every row and frequency, (lat, k): 0 below, last + 1 above."""
        wavelengths = self._wavelengths * (1 + 1e-9)
        band_edges = np.array([WAVEBANDS[0][0], *(high for _, high in WAVEBANDS)])
        return np.digitize(wavelengths, self.edges), np.digitize(wavelengths, band_edges)

    def _mean_in(self, density: np.ndarray, slots: np.ndarray, count: int) -> np.ndarray:
        """Area-weighted mean of (lat, k) in slots 1 to count; rows that are NaN are left out."""
        finite = np.isfinite(density)
        weight = np.cos(np.deg2rad(self.grid.lat))[:, None] * finite
        total = np.bincount(slots.ravel(), (weight * np.where(finite, density, 0.0)).ravel(), count + 2)
        weights = np.bincount(slots.ravel(), weight.ravel(), count + 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (total / weights)[1 : count + 1]

    def transform(self, field: np.ndarray) -> np.ndarray:
        """Fourier amplitudes of every row whose squares are :meth:`densities`, (..., lat, lon) to (..., lat, k), complex."""
        n = self.grid.lon.size
        x = field.astype(np.float64)
        x = x - x.mean(-1, keepdims=True)
        window = np.ones(n)
        if not self.grid.circular:
            ramp = np.linspace(-1, 1, n)
            x = x - (x @ ramp)[..., None] / (ramp @ ramp) * ramp
            window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n)
        amplitude = np.fft.rfft(x * window)[..., 1:] * np.sqrt(2 * self._step / (window**2).sum())
        if n % 2 == 0:
            amplitude[..., -1] /= np.sqrt(2)
        return amplitude * np.sqrt(np.maximum(np.cos(np.deg2rad(self.grid.lat)), 0.0))[:, None]

    def densities(self, field: np.ndarray) -> np.ndarray:
        """Power density of every row, (..., lat, lon) to (..., lat, k), per cycle per degree of great circle; k > 0."""
        return squares(self.transform(field))

    @cached_property
    def _sums(self) -> csr_matrix:
        """Area-weighted sums over the slots of bins, then of bands, and last the weights' own: (slots, lat k)."""
        weight = np.broadcast_to(np.cos(np.deg2rad(self.grid.lat))[:, None], self._wavelengths.shape).ravel()
        parts = []
        for slots, count in zip(self._slots, (self.centres.size, len(WAVEBANDS)), strict=True):
            flat = slots.ravel()
            inside = np.flatnonzero((flat >= 1) & (flat <= count))
            parts.append(csr_matrix((weight[inside], (flat[inside] - 1, inside)), shape=(count, flat.size)))
        return vstack(parts, format="csr")

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.asarray(self._sums.sum(1)).ravel()

    def means(self, density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Area-weighted means per bin and per band of (lat, k); rows that are NaN are left out."""
        if np.isfinite(density).all():
            with np.errstate(invalid="ignore", divide="ignore"):
                both = (self._sums @ density.ravel()) / self._weights
            return both[: self.centres.size], both[self.centres.size :]
        bins, bands = self._slots
        return self._mean_in(density, bins, self.centres.size), self._mean_in(density, bands, len(WAVEBANDS))

    def power(self, field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean power density per bin and per band.

        Parameters
        ----------
        field
            (lat, lon); rows with NaN are left out.

        Returns
        -------
        Arrays (bins,) and (bands,), unit squared per (cycle per degree); NaN for bins that no row reaches.
        """
        return self.means(self.densities(field))


def squares(amplitude: np.ndarray) -> np.ndarray:
    """Squared size of complex numbers."""
    return amplitude.real**2 + amplitude.imag**2


def decibels(power: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """10 log10(P / P_ref), NaN where either is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where((power > 0) & (reference > 0), power / reference, np.nan)
    return 10 * np.log10(ratio)


def log_spectral_distance(power: np.ndarray, reference: np.ndarray) -> float:
    """Root mean square of the decibels over the bins, (bins,) each; NaN where no bin has power."""
    difference = decibels(power, reference)
    difference = difference[np.isfinite(difference)]
    return float(np.sqrt(np.mean(difference**2))) if difference.size else float("nan")


class SpectrumSums:
    """Mean spectra over times and members: the spectra of the members, not the spectrum of their mean."""

    def __init__(self, bins: WavelengthBins) -> None:
        self.bins = bins
        self._power: list[np.ndarray] = [np.zeros(bins.centres.size), np.zeros(len(WAVEBANDS))]
        self._count = 0

    def add(self, fields: np.ndarray) -> None:
        """Add (m, lat, lon) of one time."""
        for member in fields:
            for total, part in zip(self._power, self.bins.power(member), strict=True):
                total += part
        self._count += fields.shape[0]

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean power per bin and per band."""
        return self._power[0] / max(self._count, 1), self._power[1] / max(self._count, 1)


def resolved(good: np.ndarray, centres: np.ndarray) -> float:
    """The shortest wavelength of the unbroken run of good bins that begins at the longest one; NaN where that is not good.

    Bins that are neither good nor bad are marked by the caller: only those with power are to be given.
    """
    shortest = float("nan")
    for fine, wavelength in zip(good[::-1], centres[::-1], strict=True):
        if not fine:
            break
        shortest = float(wavelength)
    return shortest


def effective_resolution(power: np.ndarray, reference: np.ndarray, centres: np.ndarray) -> float:
    """Shortest wavelength in degrees down to which power is right within 3 dB; (bins,) each."""
    difference = decibels(power, reference)
    known = np.isfinite(difference)
    return resolved(np.abs(difference[known]) <= WITHIN_DB, centres[known])


class SpectralSums:
    """Spectra, and cross-spectra with the truth, over times and bootstrap replicates."""

    def __init__(self, bins: WavelengthBins, draws: np.ndarray) -> None:
        self._bins = bins
        self._count = np.zeros(draws.size)
        self._sums = Replicates(draws, (3 * bins.centres.size + len(WAVEBANDS),))

    def add(self, members: np.ndarray, truth: np.ndarray | None, draws: np.ndarray) -> None:
        """Add (m, lat, lon) of one time; ``truth`` is the conjugate transform of the truth's field, None where there is none."""
        density, cross = np.zeros(1), np.zeros(1, dtype=complex)
        for member in members:
            amplitude = self._bins.transform(member)
            density = density + squares(amplitude)
            if truth is not None:
                cross = cross + amplitude * truth
        power, bands = self._bins.means(density / len(members))
        parts = [np.full(power.size, np.nan)] * 2
        if truth is not None:
            parts = [self._bins.means(part / len(members))[0] for part in (cross.real, cross.imag)]
        self._count += draws
        self._sums.add(np.concatenate([power, bands, *parts]), draws)

    def add_transform(self, amplitude: np.ndarray, draws: np.ndarray) -> None:
        """Add the transform of one field, for its power alone."""
        power, bands = self._bins.means(squares(amplitude))
        self._count += draws
        self._sums.add(np.concatenate([power, bands, np.full(2 * power.size, np.nan)]), draws)

    def _mean(self, start: int, stop: int) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._sums.totals[:, start:stop] / self._count[:, None]

    @property
    def power(self) -> np.ndarray:
        """Mean power density, (1 + replicates, bins)."""
        return self._mean(0, self._bins.centres.size)

    @property
    def bands(self) -> np.ndarray:
        """Mean power density per band, (1 + replicates, bands)."""
        n = self._bins.centres.size
        return self._mean(n, n + len(WAVEBANDS))

    def coherence(self, truth: "SpectralSums") -> np.ndarray:
        """With the truth whose own sums are given, (1 + replicates, bins)."""
        first = self._bins.centres.size + len(WAVEBANDS)
        middle = first + self._bins.centres.size
        cross = self._mean(first, middle) ** 2 + self._mean(middle, middle + self._bins.centres.size) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return cross / (self.power * truth.power)
