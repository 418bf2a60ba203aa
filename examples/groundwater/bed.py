"""The test bed that all methods share: an aquifer, synthetic heads, and the measures of an estimate.

640 m x 640 m, 10 m thick, fixed heads of 10 m in the west and 0 m in the east, walls south and north, recharge of
3e-9 m/s (it makes the level of K identifiable). Fields come from the family that the prior was trained on, by number from
a stream that no training saw. Log-normal: geometric mean 1e-5 m/s, standard deviation of ln K 1; two materials: 1e-6 and
1e-4 m/s. Sensors lie on a regular k x k raster. Noise is a share of the standard deviation of the true heads.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torch import Tensor

from zssd_cli.inversion.config import FieldsConfig
from zssd_cli.inversion.flow import FlowSolver, Observe, Sensors
from zssd_cli.inversion.problem import FlowProblem, LogK, Side
from zssd_cli.inversion.random_fields import generator, numbered_fields

CELLS, LENGTH, THICKNESS, DROP, RECHARGE, MEAN_K = 64, 640.0, 10.0, 10.0, 3e-9, 1e-5
TUNED_ON = 2
"""So many held-out fields were used to tune Tikhonov and total variation; experiments number those after them."""
STD = {"grf": 1.0, "bimaterial": math.log(10.0)}
PROBLEM = FlowProblem(
    CELLS, CELLS, LENGTH / CELLS, LENGTH / CELLS, west=Side("head", DROP), east=Side("head", 0.0), thickness=THICKNESS,
    recharge=RECHARGE,
)  # fmt: skip


@dataclass(frozen=True)
class Bed:
    """One experiment: kind of field, number of sensors (a square number), noise in percent."""

    kind: str
    sensors: int
    noise: float
    stream: str = "held-out"
    """``tuning``: fields on which the settings of a method may be chosen."""

    @cached_property
    def config(self) -> FieldsConfig:
        """Family of the fields."""
        return FieldsConfig(kind=self.kind, cells=CELLS)

    @cached_property
    def log_k(self) -> LogK:
        """From fields without unit to ln K."""
        return LogK(math.log(MEAN_K), STD[self.kind])

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Easting and northing of the sensors [m], row by row."""
        side = math.isqrt(self.sensors)
        centres = (np.arange(side) + 0.5) / side * LENGTH
        x, y = np.meshgrid(centres, centres)
        return x.ravel(), y.ravel()

    @cached_property
    def _operator(self) -> tuple[FlowSolver, Observe]:
        blank = np.ones(self.sensors)
        return FlowSolver(PROBLEM), Observe(PROBLEM, Sensors(*self.places, blank, blank))

    def heads(self, fields: Tensor) -> Tensor:
        """Fields without unit -> heads [m], (B, n, n) both."""
        return self._operator[0].heads(self.log_k(fields))

    def forward(self, fields: Tensor) -> Tensor:
        """Fields without unit -> heads at the sensors [m], (B, S)."""
        return self._operator[1](self.heads(fields))

    def truth(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """Fields of the stream and their heads, (P, n, n) each."""
        first = TUNED_ON if self.stream == "held-out" else 0
        fields = numbered_fields(self.config, self.stream, [first + number for number in numbers])
        return fields, self.heads(fields)

    def data(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        """Noisy heads at the sensors and the standard deviation of their errors [m], (P, S) each."""
        _, heads = self.truth(numbers)
        error = self.noise / 100 * heads.flatten(1).std(1)
        draws = [
            torch.randn(self.sensors, generator=generator(77, n, self.sensors, round(10 * self.noise))) for n in numbers
        ]
        error = error[:, None].expand(-1, self.sensors)
        return self._operator[1](heads) + error * torch.stack(draws), error


@dataclass(frozen=True)
class Estimate:
    """What a method found for P data sets: fields without unit (P, n, n), members (P, M, n, n) if any, flow solutions."""

    fields: Tensor
    solves: float
    members: Tensor | None = None


def relative_error(found: Tensor, true: Tensor) -> np.ndarray:
    """||found - true|| / ||true||, (P,)."""
    return ((found - true).flatten(1).norm(dim=1) / true.flatten(1).norm(dim=1)).numpy()


def ssim(found: np.ndarray, true: np.ndarray, window: int = 7) -> float:
    """Structural similarity with a uniform window (Wang et al. 2004, equation 13), range that of the truth."""
    span = float(np.ptp(true)) or 1.0
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    a, b = found.astype(np.float64), true.astype(np.float64)
    mean_a, mean_b = uniform_filter(a, window), uniform_filter(b, window)
    unbiased = window**2 / (window**2 - 1)
    var_a, var_b, both = (
        unbiased * (uniform_filter(p * q, window) - m * n)
        for p, q, m, n in ((a, a, mean_a, mean_a), (b, b, mean_b, mean_b), (a, b, mean_a, mean_b))
    )
    similar = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    edge = window // 2
    return float(similar[edge:-edge, edge:-edge].mean())


def measure(bed: Bed, numbers: list[int], found: Estimate) -> list[dict[str, float | None]]:
    """All measures of an estimate, one dictionary per data set.

    The error of ln K is taken without the prior's mean, relative to the truth without it: 1 is no better than the mean.
    Coverage is the share of cells whose truth lies within the members' 5 to 95 percent range (for two materials: both of them
    where members disagree).
    """
    true, heads = bed.truth(numbers)
    fields = found.fields.float()
    errors, head_errors = relative_error(fields, true), relative_error(bed.heads(fields), heads)
    rows = []
    for i in range(len(numbers)):
        wrong = float(((fields[i] > 0) != (true[i] > 0)).float().mean()) if bed.kind == "bimaterial" else None
        covered = None
        if found.members is not None:
            low, high = found.members[i].quantile(0.05, 0), found.members[i].quantile(0.95, 0)
            covered = float(((true[i] >= low) & (true[i] <= high)).float().mean())
        rows.append(
            {
                "log_k_error": float(errors[i]), "head_error": float(head_errors[i]),
                "ssim": ssim(fields[i].numpy(), true[i].numpy()), "misclassified": wrong, "coverage": covered,
            }
        )  # fmt: skip
    return rows
