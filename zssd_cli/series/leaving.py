"""Files of a folder or a list that cannot serve are left out, as their names tell or as was seen; one note counts them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zssd_cli.errors import InputError
from zssd_cli.series.drs import Range, parsed
from zssd_cli.series.listing import Listed
from zssd_cli.variables import Variable


@dataclass(eq=False)
class LeftOut:
    """What was left out.

    Attributes
    ----------
    other
        Files without any of the wanted variables.
    outside
        Files whose times all lie outside of those asked for.
    """

    other: list[Path] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)

    def __len__(self) -> int:
        """How many files."""
        return len(self.other) + len(self.outside)

    @property
    def notes(self) -> tuple[str, ...]:
        """One line, none where nothing was left out."""
        return (self.note,) if len(self) else ()

    @property
    def note(self) -> str:
        """Counts, and a file of each kind."""
        kinds = (
            (self.other, "hold none of the variables", "holds none of the variables"),
            (self.outside, "lie outside of the times asked for", "lies outside of the times asked for"),
        )
        said = [
            f"{files[0].name} {one}" if len(files) == 1 else f"{len(files)} files {many} (first {files[0].name})"
            for files, many, one in kinds
            if files
        ]
        return f"left out: {'; '.join(said)}"


def by_name(
    paths: Sequence[Path], wanted: tuple[Variable, ...], asked: Range | None, left: LeftOut
) -> tuple[Path, ...]:
    """The paths but for the listed ones whose names tell that they cannot serve; they are added to ``left`` unopened.

    Raises
    ------
    InputError
        None is left.
    """
    kept = []
    for path in paths:
        name = parsed(path.name) if isinstance(path, Listed) else None
        if name is not None and not name.is_of(wanted):
            left.other.append(path)
        elif name is not None and asked is not None and name.is_outside(asked):
            left.outside.append(path)
        else:
            kept.append(path)
    if not kept:
        refuse_nothing(left, wanted)
    return tuple(kept)


def refuse_nothing(left: LeftOut, wanted: tuple[Variable, ...]) -> None:
    """Raise :class:`InputError`: every file was left out."""
    names = ", ".join(f"{v.name} ({v.cmip6})" if v.name != v.cmip6 else v.name for v in wanted)
    msg = f"No file is left that may hold {names} at the times asked for; {left.note}. Choose other files, variables or times."
    raise InputError(msg)
