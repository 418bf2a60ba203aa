"""How pictures look and speak: ink, colour maps that colour-blind readers can read, titles without control characters."""

import io
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from zssd_cli.errors import OutputError
from zssd_cli.files import atomic_path

INK = "0.15"
DPI = 130
DIVERGING = "RdBu_r"
WIND, PRESSURE, SPREAD, OTHER = "wind", "pressure", "spread", "viridis"
"""Wind is light where calm, so that arrows and isobars show on it; parts of perceptually uniform maps."""
_PARTS = {WIND: ("magma_r", 0.0, 0.68), PRESSURE: ("viridis", 0.18, 1.0), SPREAD: ("cividis", 0.0, 1.0)}
LONGEST_TITLE = 110


def colour_map(name: str) -> Colormap:
    """One of ours, or of Matplotlib's."""
    if name not in _PARTS:
        return mpl.colormaps[name]
    base, low, high = _PARTS[name]
    return LinearSegmentedColormap.from_list(name, mpl.colormaps[base](np.linspace(low, high, 256)))


def printable(text: str, longest: int = LONGEST_TITLE) -> str:
    """Text of a file for one line of a title: no control characters, no line breaks, not too long."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def pretty(units: str) -> str:
    """``m s-1`` with raised exponents."""
    return re.sub(r"(?<=[a-z])(-?\d+)", r"$^{\1}$", units)


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure and what it shows, in words with numbers.

    Attributes
    ----------
    figure
        With a canvas, ready to be written.
    alt
        For those who cannot see it; PNG files carry it as their description.
    """

    figure: Figure
    alt: str

    @cached_property
    def png(self) -> bytes:
        """The bytes of a PNG file, drawn once."""
        FigureCanvasAgg(self.figure)
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI, metadata={"Description": self.alt, "Software": "zssd"})
        return buffer.getvalue()

    def save(self, out: Path) -> None:
        """Write the PNG, whole or not at all; raises :class:`OutputError`."""
        data = self.png
        try:
            with atomic_path(Path(out)) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            msg = f"Cannot write {out} ({error.strerror or error}). Check that the folder exists."
            raise OutputError(msg) from error
