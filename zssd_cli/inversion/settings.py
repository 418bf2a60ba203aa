"""How an inversion is made. The help of ``zssd invert`` reads its defaults, so nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class InversionSettings:
    """How an inversion is made: MAP and ensemble as in :mod:`zssd_cli.inversion.posterior`.

    Attributes
    ----------
    starts
        Starts of the MAP. ``rml``: the centre of the prior and ``starts`` - 1 normal draws, shrunk to the length that so many
        data can give the unknown (a MAP moves in as many directions as there are data). ``smoother``: the mean of the
        smoothed members and the ``starts`` - 1 best of them.
    adam_steps, learning_rate
        First stage of the MAP, ``rml`` only.
    lbfgs_steps
        Second stage, at most.
    members
        Size of the ensemble; 0: MAP only.
    ensemble
        ``rml`` (randomised maximum likelihood) or ``smoother``.
    member_steps
        ``rml``: steps of every member after its linear start, at most.
    smoothed
        ``smoother``: members that are smoothed, at least; the first ``members`` of them go on.
    polish_steps
        ``smoother``: steps of every member after it, at most, for each stage of the prior.
    discrepancy
        The MAP stops where the mean square of the residuals in units of their errors is at or below this; None: only
        at the minimum.
    seed
        Same seed, same result; the same random numbers for every data set, so that none depends on its neighbours.
    batch
        Fields that are computed at once; bounds the memory.
    """

    starts: int = 3
    adam_steps: int = 20
    learning_rate: float = 0.5
    lbfgs_steps: int = 60
    members: int = 64
    ensemble: Literal["rml", "smoother"] = "rml"
    member_steps: int = 16
    smoothed: int = 256
    polish_steps: int = 30
    discrepancy: float | None = None
    seed: int = 0
    batch: int = 64

    @property
    def used_smoothed(self) -> int:
        """Members that the smoother moves."""
        return max(self.smoothed, self.members)
