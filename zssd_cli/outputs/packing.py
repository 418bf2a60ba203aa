"""Fields in two bytes: integers with a scale and an offset that hang on the variable alone, so that all files of a run agree.

The scale spans the plausible range of the variable (its spread: an eighth of that). A value beyond is refused, never wrapped or cut.
"""

import math
from dataclasses import dataclass

import numpy as np

from zssd_cli.errors import OutputError
from zssd_cli.variables import VARIABLES

MOST = 32767
MISSING = np.int16(-32768)
SPREAD_SHARE = 8
"""Plausible range of a variable over the largest spread that is taken."""


@dataclass(frozen=True)
class Packing:
    """Integers from -MOST to MOST for values from ``low`` to ``high`` in ``units``."""

    name: str
    units: str
    low: float
    high: float

    @property
    def scale(self) -> float:
        """Of one integer."""
        return (self.high - self.low) / (2 * MOST)

    @property
    def offset(self) -> float:
        """Value of 0."""
        return (self.high + self.low) / 2

    @property
    def error(self) -> float:
        """Largest rounding error, of three digits, rounded up."""
        half = self.scale / 2
        digit = 10.0 ** (math.floor(math.log10(half)) - 2)
        return float(f"{math.ceil(half / digit) * digit:.3g}")

    def __str__(self) -> str:
        """``msl within 0.214 Pa``."""
        return f"{self.name} within {self.error:g} {self.units}"

    @property
    def attributes(self) -> dict[str, float | str]:
        """Of the packed variable."""
        said = f"{self.error:g} {self.units}, the largest rounding error of packing"
        return {"scale_factor": self.scale, "add_offset": self.offset, "zssd_packing_error": said}

    def pack(self, values: np.ndarray) -> np.ndarray:
        """Integers, MISSING for NaN.

        Raises
        ------
        OutputError
            Values beyond the range.
        """
        there = np.isfinite(values)
        inside = np.where(there, values, self.offset).astype(np.float64)
        if inside.size and (inside.min() < self.low or inside.max() > self.high):
            worst = inside.min() if inside.min() < self.low else inside.max()
            msg = (
                f"--pack: {self.name} reaches {worst:.6g} {self.units}, packed values go from {self.low:g} to {self.high:g}. Leave "
                "--pack out; what --resume finds drawn is not drawn again."
            )
            raise OutputError(msg)
        return np.where(there, np.rint((inside - self.offset) / self.scale), MISSING).astype(np.int16)


def packing_of(name: str, spread: bool = False) -> Packing:
    """That of a variable, or of its spread."""
    variable = VARIABLES[name]
    low, high = variable.minimum, variable.maximum
    if spread:
        return Packing(f"{name}_spread", variable.units, 0.0, (high - low) / SPREAD_SHARE)
    return Packing(name, variable.units, low, high)
