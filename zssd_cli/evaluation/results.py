"""What an evaluation found: plain data, made once and shown by many (screen, JSON, CSV, Markdown, pictures, page)."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from zssd_cli.evaluation.scores import Scores

OURS, AGAINST, TRUTH = "zssd", "against", "reference"
WIND_SPEED = "wind_speed"
WIND = "wind"
"""Name under which scores of the wind as a vector are recorded."""
SCHEMA, SCHEMA_VERSION = "zssd-evaluation", 2


@dataclass(frozen=True)
class Row:
    """Scores of one variable and one method over all cells and times.

    ``lsd`` is the log spectral distance in dB and ``bands`` the mean power against the truth's in dB in the bands
    1-2, 2-4 and 4-10 degrees of great circle.
    """

    variable: str
    units: str
    method: str
    observed: bool
    scores: Scores
    lsd: float
    bands: tuple[float, ...]


@dataclass(frozen=True)
class Record:
    """One number: a row of the CSV.

    Attributes
    ----------
    variable, units
        Of what, and in which units ("" for a pure number).
    group
        ``all``, ``season=DJF``, ``surface=land``, ``region=europe`` ...
    system
        Whose score: the output, a baseline, the reference.
    score
        Name in :data:`zssd_cli.evaluation.catalogue.SCORES`, or of a family explained by ``meaning``.
    value, low, high
        The number, and its 90 percent interval; NaN where there is none.
    versus
        The baseline of a skill score, the other output of a difference; "" else.
    """

    variable: str
    units: str
    group: str
    system: str
    score: str
    value: float
    low: float = math.nan
    high: float = math.nan
    versus: str = ""


@dataclass(frozen=True)
class Spectra:
    """Of one variable by wavelength in degrees.

    Attributes
    ----------
    power
        Mean power density per system and of the truth.
    coherence
        Of a member with the truth, per system; empty where the two are not paired.
    """

    variable: str
    units: str
    wavelength: np.ndarray
    power: dict[str, np.ndarray]
    coherence: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Distributions:
    """Of one variable: shares of weight in bins of equal width.

    Attributes
    ----------
    edges
        Lower edges, (bins,).
    shares
        Per system and of the truth, (bins,), each sums to 1.
    """

    variable: str
    units: str
    edges: np.ndarray
    shares: dict[str, np.ndarray]


@dataclass(frozen=True)
class Maps:
    """Of one variable on squares of cells.

    Attributes
    ----------
    lat, lon
        Centres in degrees.
    step
        Side of the squares in degrees.
    fields
        Per system and quantity (bias, mae, crps, spread, mean, quantile_99 ...), (lat, lon).
    """

    variable: str
    units: str
    lat: np.ndarray
    lon: np.ndarray
    step: float
    fields: dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Cycle:
    """Mean and standard deviation of one variable by month or hour.

    Attributes
    ----------
    kind
        ``month`` or ``hour``.
    of
        The months or hours.
    mean, std
        Per system and of the truth, NaN where there is no time.
    """

    variable: str
    units: str
    kind: str
    of: tuple[int, ...]
    mean: dict[str, np.ndarray]
    std: dict[str, np.ndarray]


@dataclass(frozen=True)
class Bootstrap:
    """How the intervals were made: ``replicates`` of ``blocks`` blocks of ``block``; no intervals from a single block."""

    replicates: int = 0
    blocks: int = 0
    block: str = ""
    level: float = 0.9


@dataclass(frozen=True)
class Evaluation:
    """Everything that a report shows.

    Attributes
    ----------
    rows
        The main scores by variable and method.
    spectra, distributions, maps, cycles
        Curves and fields; empty where the kind of evaluation has none.
    times, members, points, extent, scale
        What was scored, and the blocks of the baselines in degrees.
    notes
        What the reader has to know.
    kind
        ``paired``, ``distributional`` or ``change``.
    records
        All numbers with groups and intervals.
    ranks
        Variable -> system -> group -> rank histogram, m + 1 shares.
    systems
        Name -> what it is.
    groups
        Names of the groups.
    inferred
        Variables that the coarse input lacked, at least in part.
    table
        Rows of the main table where :attr:`rows` and :attr:`distributions` do not tell them.
    thresholds
        Variable -> where its threshold-weighted CRPS looks.
    bootstrap
        Of the intervals.
    verdict
        Sentences.
    """

    rows: tuple[Row, ...]
    spectra: tuple[Spectra, ...]
    times: int
    members: int
    points: int
    extent: str
    scale: float | None
    notes: tuple[str, ...] = field(default=())
    kind: str = "paired"
    records: tuple[Record, ...] = ()
    ranks: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    distributions: tuple[Distributions, ...] = ()
    maps: tuple[Maps, ...] = ()
    cycles: tuple[Cycle, ...] = ()
    systems: dict[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ("all",)
    inferred: tuple[str, ...] = ()
    table: tuple[tuple[str, str, str], ...] = ()
    thresholds: dict[str, str] = field(default_factory=dict)
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    verdict: tuple[str, ...] = ()

    def find(
        self, score: str, variable: str, system: str = OURS, group: str = "all", versus: str = ""
    ) -> Record | None:
        """The record of a score, None where there is none."""
        wanted = (variable, group, system, score, versus)
        return self._index.get(wanted)

    @cached_property
    def _index(self) -> dict[tuple[str, str, str, str, str], Record]:
        return {(r.variable, r.group, r.system, r.score, r.versus): r for r in self.records}

    @property
    def variables(self) -> tuple[str, ...]:
        """Of the main table, in their order."""
        return tuple(dict.fromkeys(variable for variable, _, _ in self.listing))

    @property
    def listing(self) -> tuple[tuple[str, str, str], ...]:
        """Variable, units and system of every row of the main table."""
        if self.rows:
            return tuple((row.variable, row.units, row.method) for row in self.rows)
        if self.table:
            return self.table
        return tuple(
            (d.variable, d.units, system) for d in self.distributions for system in d.shares if system != TRUTH
        )
