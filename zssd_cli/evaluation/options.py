"""What a user may ask of an evaluation, checked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zssd_cli.errors import ConfigError
from zssd_cli.evaluation.pointwise import Threshold
from zssd_cli.evaluation.resampling import REPLICATES
from zssd_cli.evaluation.results import WIND_SPEED
from zssd_cli.variables import lookup

STRONG_BREEZE = 10.8
"""Beaufort 6 begins here [m s-1]."""
DEFAULT_THRESHOLDS = {WIND_SPEED: f">{STRONG_BREEZE}", "si10": f">{STRONG_BREEZE}"}
_LIMIT = re.compile(r"(?P<name>[\w ]+?)\s*(?P<side>[<>])\s*(?P<percentile>[pP])?(?P<number>-?\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Options:
    """Settings of an evaluation.

    Attributes
    ----------
    scale
        Side of the baselines' blocks in degrees; None: the output's filter scale.
    by
        Kinds of groups.
    regions
        Names or ``W,E,S,N``.
    thresholds
        Variable -> ``>10.8``, ``<98000``, ``>p95`` (a percentile of the truth).
    replicates
        Of the bootstrap; 0 for no intervals.
    block_days
        Length of what is resampled together; None: see :func:`zssd_cli.evaluation.resampling.time_blocks`.
    seed
        Of the bootstrap, and of ties of ranks.
    """

    scale: float | None = None
    by: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    thresholds: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_THRESHOLDS))
    replicates: int = REPLICATES
    block_days: float | None = None
    seed: int = 0


def parse_thresholds(given: str | Sequence[str] | None) -> dict[str, str]:
    """``NAME>NUMBER``, ``NAME<NUMBER`` or ``NAME>p95``, beside the defaults; raises :class:`ConfigError`."""
    chosen = dict(DEFAULT_THRESHOLDS)
    for text in given.split(",") if isinstance(given, str) else given or ():
        match = _LIMIT.fullmatch(text.strip())
        percentile = bool(match and match["percentile"])
        if match is None or (percentile and not 0 < float(match["number"]) < 100):
            msg = f"--threshold: expected NAME>NUMBER, NAME<NUMBER or NAME>p95 (such as wind_speed>17.2), got {text!r}."
            raise ConfigError(msg)
        name = WIND_SPEED if match["name"] == WIND_SPEED else lookup(match["name"]).name
        chosen[name] = f"{match['side']}{'p' if percentile else ''}{match['number']}"
    return chosen


def is_percentile(text: str) -> bool:
    """Whether a threshold is one of the truth's percentiles."""
    return text[1] == "p"


def threshold(text: str, values: Mapping[float, float] | None = None) -> Threshold:
    """From ``>10.8``; of ``>p95`` with the percentiles that are given by number."""
    number = float(text[1:].removeprefix("p"))
    return Threshold((values or {})[number] if is_percentile(text) else number, above=text[0] == ">")
