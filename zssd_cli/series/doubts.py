"""Fields whose values are all plausible and that are impossible all the same: fill values taken for data, folded packing, stuck steps.

Nothing here is certain, so what is found is told with its count and its first place; ``--strict`` makes it an error.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from zssd_cli.errors import InputError
from zssd_cli.variables import Variable

_MANY = 4
"""Equal extreme values in a field; by chance there are one or two."""
_FAR = 3.0
"""Standard deviations of the rest of the field between a repeated extreme value and the next one."""
_EQUAL_SHARE = 0.05
"""Share of cells that hold exactly zero."""
_RANGE = 0.75
"""Part of a packing's range that neighbours differ by only where values were wrapped."""
_NEAR = 1.5
"""Degrees between neighbours of which the variable's ``jump`` speaks."""


@dataclass(frozen=True)
class Doubt:
    """One kind of fault in one field.

    Attributes
    ----------
    kind
        What it is, the same words for every field.
    detail
        Count, values and place.
    """

    kind: str
    detail: str


@dataclass(eq=False)
class Watch:
    """Gathers the doubts about a series while it is read; in strict mode the first one is an error."""

    strict: bool = False
    seen: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _last: dict[str, tuple[str, int]] = field(default_factory=dict)

    def look(self, checks: "Checks", where: str, when: str, values: np.ndarray) -> None:
        """Note the doubts about a field.

        Parameters
        ----------
        checks
            Of its variable.
        where
            Names variable and file.
        when
            Its date in words.
        values
            In canonical units, (lat, lon) or (cells,), NaN where missing.
        """
        doubts = list(checks.of(values))
        date, known = self._last.get(checks.variable.name, (when, 0))
        digest = hash(values.tobytes())
        if known == digest and date != when:
            doubts.append(Doubt("a field that repeats the one before it", f"{np.isfinite(values).sum()} equal cells"))
        self._last[checks.variable.name] = when, digest
        for doubt in doubts:
            self.note(doubt, checks.variable.name, where, when)

    def note(self, doubt: Doubt, name: str, where: str, when: str) -> None:
        """Keep a doubt about a variable of this name; an error in strict mode."""
        if self.strict:
            msg = f"{name}: {doubt.kind}: {doubt.detail} at {when}; mend the file, or leave --strict out to go on with it."
            raise InputError(msg)
        times = self.seen.setdefault((where, doubt.kind), [])
        if not times:
            times.append(doubt.detail)
        if when not in times:
            times.append(when)

    def forget(self) -> None:
        """The next field follows none that was looked at, so that it is not said to repeat one."""
        self._last.clear()

    def lines(self) -> tuple[str, ...]:
        """A line for every kind of doubt about every file."""
        return tuple(
            f"{where}: {kind}: {times[0]} at {times[1]}"
            + (f" and {len(times) - 2} more times" if len(times) > 2 else "")
            for (where, kind), times in self.seen.items()
        )


@dataclass(frozen=True, eq=False)
class Checks:
    """What is known of a variable in a file before its fields are read.

    Attributes
    ----------
    variable
        Gives the largest jump.
    lat, lon
        Centres in degrees, shapes that broadcast to a field's.
    packing
        Whole range of the packing in canonical units; None where values are not packed.
    """

    variable: Variable
    lat: np.ndarray
    lon: np.ndarray
    packing: float | None = None

    def of(self, values: np.ndarray) -> Iterator[Doubt]:
        """Doubts about one field in canonical units, (lat, lon) or (cells,), NaN where missing."""
        seen = values[np.isfinite(values)]
        if seen.size < 2:
            return
        low, high = float(seen.min()), float(seen.max())
        if low == high:
            yield Doubt("a constant field", f"{seen.size} cells hold {low:g} {self.variable.units}")
            return
        yield from self._repeated(values, seen, low, high)
        yield from self._zeros(seen)
        yield from self._jumps(values)

    def _repeated(self, values: np.ndarray, seen: np.ndarray, low: float, high: float) -> Iterator[Doubt]:
        for extreme in (low, high):
            equal = seen == extreme
            count = int(equal.sum())
            if count < _MANY or count > 0.9 * seen.size:
                continue
            rest = seen[~equal]
            gap = float(np.abs(rest - extreme).min())
            if gap > _FAR * max(float(rest.std()), 1e-12):
                place = self._place(int(np.flatnonzero(np.ravel(values) == extreme)[0]), values)
                text = f"{count} cells hold exactly {extreme:g} {self.variable.units}, first {place}"
                yield Doubt("values as of an undeclared fill value", text)

    def _zeros(self, seen: np.ndarray) -> Iterator[Doubt]:
        zeros = int((seen == 0).sum())
        if zeros < max(_MANY, _EQUAL_SHARE * seen.size):
            return
        counts = np.unique(seen[seen != 0], return_counts=True)[1]
        if counts.size and zeros >= 5 * counts.max():
            yield Doubt("zeros in the place of missing values", f"{zeros} of {seen.size} cells hold exactly 0")

    def _jumps(self, values: np.ndarray) -> Iterator[Doubt]:
        if values.ndim != 2:
            return
        limit = np.inf if self.packing is None else _RANGE * self.packing
        for axis, centres in ((0, self.lat), (1, self.lon)):
            steps = np.abs(np.diff(np.broadcast_to(centres, values.shape), axis=axis))
            near = self.variable.jump if steps.size and float(np.median(steps)) <= _NEAR else np.inf
            jump = np.abs(np.diff(values, axis=axis))
            with np.errstate(invalid="ignore"):
                over = jump > min(limit, near)
            if over.any():
                largest = float(jump[over].max())
                first = tuple(int(i) for i in np.argwhere(over)[0])
                place = self._place(int(np.ravel_multi_index(first, values.shape)), values)
                folded = largest > limit
                kind = "packed values that were wrapped round" if folded else "a jump between neighbours"
                why = f"nearly the whole range of the packing, {self.packing:.4g}" if folded else f"more than {near:g}"
                size = (
                    f"{int(over.sum())} pairs of neighbouring cells differ by up to {largest:.4g} {self.variable.units}"
                )
                yield Doubt(kind, f"{size} ({why}), first {place}")
                return

    def _place(self, flat: int, values: np.ndarray) -> str:
        lat, lon = (float(np.broadcast_to(c, values.shape).reshape(-1)[flat]) for c in (self.lat, self.lon))
        return f"lat {lat:g}, lon {lon:g}"
