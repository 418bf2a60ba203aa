"""Power by wavelength as lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from zssd_cli.pictures.style import INK, Picture, pretty, printable

KILOMETRES = 111.2
"""Of a degree of great circle."""
TICKS = (5000, 2000, 1000, 500, 200, 100, 50)


@dataclass(frozen=True, eq=False)
class Curve:
    """One spectrum.

    Attributes
    ----------
    label
        For the legend; several curves may share one.
    wavelength
        Degrees of great circle.
    power
        Power density; what is not finite or positive is left out.
    colour, width, dashes
        As Matplotlib has them.
    """

    label: str
    wavelength: np.ndarray
    power: np.ndarray
    colour: str = INK
    width: float = 1.6
    dashes: str = "-"


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Spectra of one variable.

    Attributes
    ----------
    title
        Above the axes.
    units
        Of the variable.
    curves
        The first is drawn first.
    drawn_below
        Wavelength in degrees below which the input has no say: shaded; None for no shade.
    """

    title: str
    units: str
    curves: tuple[Curve, ...]
    drawn_below: float | None = None


def spectrum_picture(spectra: Sequence[Spectrum], title: str = "") -> Picture:
    """Log-log axes side by side, long waves on the left."""
    columns = min(len(spectra), 3)
    rows = -(-len(spectra) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.7 * rows + 0.35), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, spectrum in zip(axes, spectra, strict=False):
        seen: set[str] = set()
        for curve in spectrum.curves:
            good = np.isfinite(curve.power) & (curve.power > 0)
            label = "_" if curve.label in seen else curve.label
            seen.add(curve.label)
            x = curve.wavelength[good] * KILOMETRES
            axis.loglog(x, curve.power[good], curve.dashes, color=curve.colour, lw=curve.width, label=label)
        axis.invert_xaxis()
        high, low = axis.get_xlim()
        if spectrum.drawn_below is not None and low < spectrum.drawn_below * KILOMETRES:
            edge = min(spectrum.drawn_below * KILOMETRES, high)
            axis.axvspan(
                low, edge, facecolor="0.92", edgecolor="0.7", lw=0.6, zorder=0, label="finer than what is kept"
            )
        axis.set_xlim(high, low)
        ticks = [tick for tick in TICKS if low <= tick <= high]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.grid(color="0.88", lw=0.6)
        axis.set_axisbelow(True)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        axis.set_title(printable(spectrum.title), fontsize=10, loc="left", color=INK, parse_math=False)
        axis.set_xlabel("wavelength [km]", fontsize=8, color=INK)
        axis.set_ylabel(f"power density [({pretty(spectrum.units)})$^2$ degree]", fontsize=8, color=INK)
        axis.tick_params(labelsize=8, colors=INK)
    for axis in axes[len(spectra) :]:
        axis.set_axis_off()
    axes[0].legend(fontsize=8, frameon=False)
    title = printable(title)
    if title:
        figure.suptitle(title, fontsize=12, color=INK, parse_math=False)
    return Picture(figure, f"Power spectra. {title}. " + " ".join(_words(spectrum) for spectrum in spectra))


def _words(spectrum: Spectrum) -> str:
    """Powers at 1 and 4 degrees, curve by curve."""
    parts = []
    for curve in {curve.label: curve for curve in spectrum.curves}.values():
        numbers = []
        good = np.isfinite(curve.power) & (curve.power > 0)
        wavelength, power = curve.wavelength[good], curve.power[good]
        for at in (1.0, 4.0):
            if wavelength.size and wavelength.min() <= at * 1.3 and wavelength.max() >= at / 1.3:
                nearest = int(np.abs(np.log(wavelength / at)).argmin())
                numbers.append(f"{power[nearest]:.3g} at {at * KILOMETRES:.0f} km")
        parts.append(f"{curve.label} {' and '.join(numbers) or 'too short for numbers'}")
    return printable(f"{spectrum.title} [({spectrum.units})2 degree]: {'; '.join(parts)}.", 600)
