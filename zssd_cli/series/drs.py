"""What a file's name tells before it is opened: the data reference syntax of CMIP6, and of CMIP5, which has no grid label.

``variable_table_source_experiment_member_grid_period.nc``, the period as ``201001010600-201012311800``, finer or coarser.
"""

import re
from dataclasses import dataclass

from zssd_cli.variables import Variable

_NAME = re.compile(
    r"(?P<variable>[A-Za-z0-9-]+)_(?P<table>[A-Za-z0-9]+)_(?P<source>[\w.-]+?)_(?P<experiment>[A-Za-z0-9-]+)"
    r"_(?P<member>(?:s\d+-)?r\d+i\d+p\d+(?:f\d+)?)(?:_(?P<grid>g[a-z0-9]+))?(?:_(?P<period>\d{4,14}(?:-\d{4,14})?))?(?:-clim)?\.\w+"
)
_CLOSE = 4
"""Days by which a name's period may miss a time that the file holds: stamps at the end of an interval, months of 28 days."""

Range = tuple[str | None, str | None]
"""First and last date as partial ISO text, None for an open end."""


@dataclass(frozen=True)
class Name:
    """The parts of a file's name.

    Attributes
    ----------
    variable, table
        Short name and table (``6hrPlevPt``).
    source, experiment, member, grid
        Whose output it is; the grid label is empty in CMIP5.
    period
        Digits of the first and the last time; None where the name has none.
    """

    variable: str
    table: str
    source: str
    experiment: str
    member: str
    grid: str
    period: tuple[str, str] | None

    def is_of(self, wanted: tuple[Variable, ...]) -> bool:
        """Whether the file may hold one of the variables."""
        return any(self.variable.lower() in names_of(variable) for variable in wanted)

    def is_outside(self, asked: Range) -> bool:
        """Whether the whole period surely lies outside of a range."""
        if self.period is None:
            return False
        first, last = _days(asked[0], end=False), _days(asked[1], end=True)
        begin, stop = _days(self.period[0], end=False), _days(self.period[1], end=True)
        if begin is None or stop is None:
            return False
        return (first is not None and stop < first - _CLOSE) or (last is not None and begin > last + _CLOSE)


def names_of(variable: Variable) -> set[str]:
    """Short names under which files hold a variable, in lower case, also with other levels."""
    return {variable.cmip6.lower(), *variable.own_names, *(name.lower() for name in variable.profiles)}


def parsed(file: str) -> Name | None:
    """The parts of a name, None where it does not follow the syntax."""
    match = _NAME.fullmatch(file)
    if match is None:
        return None
    first, _, last = (match["period"] or "").partition("-")
    variable, table, source, experiment, member, grid = match.groups(default="")[:6]
    return Name(variable, table, source, experiment, member, grid, (first, last or first) if first else None)


def _days(text: str | None, *, end: bool) -> int | None:
    """A date as days of months of 31 days, the same for all calendars; None where there is no date to read."""
    match = re.match(r"(\d{4,6})(?:-(\d+)(?:-(\d+))?)?(?!\d)|(\d{4})(\d\d)?(\d\d)?", text or "")
    if text is None or match is None:
        return None
    if text.isdigit():
        year, month, day = text[:4], text[4:6], text[6:8]
    else:
        year, month, day = match[1] or match[4], match[2] or "", match[3] or ""
    return (int(year) * 12 + int(month or (12 if end else 1))) * 31 + int(day or (31 if end else 1))
