"""What an inversion needs of a prior and of an operator."""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

Forward = Callable[[Tensor], Tensor]
"""Fields (B, ...) -> predictions (B, m), differentiable."""


class LatentMap(Protocol):
    """A prior as a map from unknowns of mean 0 and covariance 1."""

    @property
    def size(self) -> int:
        """How many numbers."""
        ...

    def fields(self, unknown: Tensor) -> Tensor:
        """(B, size) -> (B, ...), differentiable."""
        ...

    def sharpened(self) -> Sequence["LatentMap"]:
        """The map in stages, from the one that is easy to descend on to the one whose fields are wanted."""
        ...

    def softened(self) -> Sequence["LatentMap"]:
        """Easier stages before those, for searches that begin anywhere; may be none."""
        ...

    def unknowns(self, noise: Tensor) -> Tensor:
        """Standard normal numbers to unknowns as the prior has them, (B, size) both."""
        ...
