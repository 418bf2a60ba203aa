"""Pictures of scores: power spectra. Maps are in :mod:`zssd_cli.evaluation.gallery`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zssd_cli.errors import OutputError
from zssd_cli.evaluation.report import OURS, TRUTH, Evaluation
from zssd_cli.files import atomic_path
from zssd_cli.text import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 130
INK = "0.15"
_LINES = {
    TRUTH: ("0.1", 2.4, "-"),
    OURS: ("#d1495b", 2.0, "-"),
    "bicubic": ("#2a6f97", 1.3, "-"),
    "bilinear": ("#61a5c2", 1.3, "-"),
    "conservative": ("0.6", 1.1, "--"),
}


def _pretty(units: str) -> str:
    """``m s-1`` with raised exponents."""
    return re.sub(r"(?<=[a-z])(-?\d+)", r"$^{\1}$", units)


def _save(figure: Figure, out: Path) -> None:
    FigureCanvasAgg(figure)
    try:
        with atomic_path(Path(out)) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI)
    except OSError as error:
        msg = f"Cannot write {out} ({error.strerror or error}). Check that the folder exists."
        raise OutputError(msg) from error


def spectra_plot(evaluation: Evaluation, out: Path) -> None:
    """Power by wavelength of every variable: the truth, the members' mean spectrum and the baselines.

    Raises
    ------
    OutputError
        The picture cannot be written.
    """
    count = len(evaluation.spectra)
    columns = min(count, 2)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.9 * columns, 3.5 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, spectra in zip(axes, evaluation.spectra, strict=False):
        for method, (color, width, line) in _LINES.items():
            if method in spectra.power:
                zorder = 3 if method in {OURS, TRUTH} else 2
                axis.loglog(
                    spectra.wavelength, spectra.power[method], line, color=color, lw=width, label=method, zorder=zorder
                )
        if evaluation.scale:
            axis.axvline(evaluation.scale, color="0.75", lw=0.9, ls=":", zorder=1)
        _finish_spectrum(axis, f"{spectra.variable}", spectra.units)
    axes[0].legend(fontsize=8, frameon=False)
    for axis in axes[count:]:
        axis.set_axis_off()
    figure.suptitle(
        f"Power spectra along parallels, {evaluation.extent}, {plural(evaluation.times, 'time')}",
        fontsize=11,
        color=INK,
    )
    _save(figure, out)


def _finish_spectrum(axis: "Axes", title: str, units: str) -> None:
    axis.invert_xaxis()
    ticks = [16, 8, 4, 2, 1, 0.5]
    low, high = sorted(axis.get_xlim())
    axis.set_xticks([t for t in ticks if low <= t <= high], [f"{t:g}°" for t in ticks if low <= t <= high])
    axis.minorticks_off()
    axis.grid(color="0.92", lw=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.set_title(title, fontsize=10, loc="left", color=INK)
    axis.set_xlabel("wavelength (great circle)", fontsize=8, color=INK)
    squared = f"({_pretty(units)})²" if " " in units else f"{units}²"
    axis.set_ylabel(f"power density [{squared} degree]", fontsize=8, color=INK)
    axis.tick_params(labelsize=8, colors=INK)
