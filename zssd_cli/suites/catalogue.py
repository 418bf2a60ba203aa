"""The suites: each is a list of trials. A trial is one downscaling: its name, what guides it, and how; it is scored on its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zssd_cli import defaults
from zssd_cli.config import DownscaleConfig
from zssd_cli.errors import ConfigError
from zssd_cli.evaluation.baselines import TEXTBOOK
from zssd_cli.evaluation.mapping import NAME as MAPPED
from zssd_cli.grids.latlon import FINE_STEP
from zssd_cli.posterior.guidance import by_name

SCALES = (1.5, 2.5, 5.0)
"""Blocks in degrees: x6, x10, x20."""
OWN = "own"
"""As filter scale: the finest blocks that the input's cells allow, no low-pass beyond its own grid."""
PRESSURE = "msl"


@dataclass(frozen=True)
class Trial:
    """One downscaling of a suite.

    Attributes
    ----------
    name
        In the table.
    settings
        Of :class:`zssd_cli.config.DownscaleConfig`, beside the user's; ``filter_scale`` may be :data:`OWN`.
    """

    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Suite:
    """What ``--suite`` names.

    Attributes
    ----------
    name
        As in the command.
    trials
        In the order of the table.
    given
        Variables that guide; None: all that the input holds.
    beside
        Interpolations that the table shows.
    paired
        Scored time by time against the fields that the blocks are means of; else climate by climate.
    guidance
        Whether the user may choose it.
    """

    name: str
    trials: tuple[Trial, ...]
    given: tuple[str, ...] | None = None
    beside: tuple[str, ...] = ("bilinear", "bicubic")
    paired: bool = True
    guidance: bool = True


def factor(scale: float) -> str:
    """``x20`` for blocks of 5 degrees."""
    return f"x{scale / FINE_STEP:g}"


def _by_scale() -> tuple[Trial, ...]:
    return tuple(Trial(factor(scale), {"filter_scale": scale}) for scale in SCALES)


def _paired() -> Suite:
    return Suite("paired", _by_scale())


def _psl_only() -> Suite:
    return Suite("psl-only", _by_scale(), given=(PRESSURE,), beside=("bilinear", "bicubic", TEXTBOOK))


def _unpaired() -> Suite:
    low = tuple(Trial(f"A_low {scale:g}", {"filter_scale": scale}) for scale in (2.5, 5.0, 10.0))
    trials = (Trial("A_low off", {"filter_scale": OWN}), *low)
    return Suite("unpaired", trials, beside=("bilinear", MAPPED, TEXTBOOK), paired=False)


def _ablation() -> Suite:
    """A_high, the size of A_low's blocks and zeta of the paper's guidance, beside the guidances that have neither A_high nor zeta."""
    best = by_name("ucg").zeta_of(DownscaleConfig(filter_scale=defaults.FILTER_SCALE)) or 0.0
    trials: dict[str, dict[str, Any]] = {
        "analysis": {"guidance": "analysis"},
        "projection": {"guidance": "projection"},
        "ucg": {"guidance": "ucg"},
        "ucg, zeta / 3": {"guidance": "ucg", "zeta": best / 3},
        "ucg, zeta x 3": {"guidance": "ucg", "zeta": best * 3},
        "A_high off": {"guidance": "dps", "zeta": best},
        "A_high off, zeta up": {"guidance": "dps"},
        "ucg, A_low 2.5": {"guidance": "ucg", "filter_scale": 2.5},
        "ucg, A_low 1.5": {"guidance": "ucg", "filter_scale": 1.5},
    }
    listed = tuple(Trial(name, {"filter_scale": defaults.FILTER_SCALE, **its}) for name, its in trials.items())
    return Suite("ablation", listed, beside=("bilinear",), guidance=False)


SUITES: dict[str, Callable[[], Suite]] = {
    "paired": _paired,
    "psl-only": _psl_only,
    "unpaired": _unpaired,
    "ablation": _ablation,
}


def suite(name: str) -> Suite:
    """The suite of a name; an unknown one is a :class:`ConfigError`."""
    if name not in SUITES:
        msg = f"--suite: expected one of {', '.join(SUITES)}, got {name!r}."
        raise ConfigError(msg)
    return SUITES[name]()
