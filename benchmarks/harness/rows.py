"""The rows of ``benchmarks/posterior.py``: who draws, with which settings, and what is written down about it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from harness.engine import Counter, Drawn, Setting, draw, make_job
from harness.fields import HeldOut, Series
from harness.libraries import Draw, azula_dps, azula_mmps, deepinv_diffpir, deepinv_dps, draw_with
from harness.scoring import WIND, baseline, score
from zssd_cli.config import DownscaleConfig
from zssd_cli.errors import ConfigError
from zssd_cli.posterior.downscaling import Job
from zssd_cli.posterior.guidance import by_name

LIBRARIES: dict[str, tuple[str, str, Draw]] = {
    "azula-dps": ("DPS", "azula, DDPM", azula_dps),
    "azula-mmps": ("MMPS", "azula, DDIM", azula_mmps),
    "deepinv-dps": ("DPS", "deepinv, DDPM", deepinv_dps),
    "deepinv-diffpir": ("DiffPIR", "deepinv", deepinv_diffpir),
}
SAMPLERS = {"2m": "dpmpp_2m", "sde": "dpmpp_2m_sde"}

FULL = (
    "bilinear", "bicubic",
    "analysis-2m-12", "analysis-2m-20", "analysis-2m-40", "analysis-sde-12", "analysis-sde-20", "analysis-sde-40",
    "projection-2m-20", "projection-sde-20", "mmps-2m-20", "mmps-sde-20",
    "ucg-1000", "ucg-100", "dps-100",
    "azula-dps-64", "azula-mmps-64", "deepinv-diffpir-100", "deepinv-dps-100",
)  # fmt: skip
"""The default rows; ``--rows`` takes any other number of steps as well, ``dps-1000`` and ``deepinv-dps-1000`` for instance."""

QUICK = (
    "bilinear", "bicubic", "analysis-2m-20", "analysis-sde-20", "projection-2m-20", "mmps-2m-20", "ucg-50", "dps-50",
    "azula-dps-16", "azula-mmps-16", "deepinv-diffpir-16", "deepinv-dps-16",
)  # fmt: skip


class Unknown(Exception):  # noqa: N818
    """A name that is no row, or a mode that this engine does not have."""


@dataclass(frozen=True)
class Row:
    """A method.

    Attributes
    ----------
    name
        As on the command line.
    mode, sampler
        For the table.
    steps
        0 for interpolations.
    config
        Of the run: block size, members; for the engine's own rows everything.
    library
        The other library's sampler, None for the engine's.
    """

    name: str
    mode: str
    sampler: str
    steps: int
    config: DownscaleConfig
    library: Draw | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What a measurement depends on besides field, network and machine."""
        return {"scale": self.config.filter_scale, "members": self.config.members, "seed": self.config.seed} | (
            {"zeta": self.config.zeta} if self.config.zeta is not None else {}
        )


def parse_row(name: str, scale: float, members: int, zeta: float | None = None) -> Row:
    """``bilinear``, ``MODE-2m-STEPS``, ``MODE-sde-STEPS``, ``ucg-STEPS``, ``dps-STEPS`` or ``LIBRARY-METHOD-STEPS``."""
    shared = {"filter_scale": scale, "members": members}
    if name in ("bilinear", "bicubic"):
        return Row(name, name, "-", 0, DownscaleConfig(**shared))
    mode, _, count = name.rpartition("-")
    if not count.isdigit() or not mode:
        msg = f"{name}: expected {', '.join(FULL)} or one of these with another number of steps."
        raise Unknown(msg)
    steps = int(count)
    if mode in LIBRARIES:
        shown, sampler, library = LIBRARIES[mode]
        return Row(name, shown, sampler, steps, DownscaleConfig(**shared), library)
    guidance, _, short = mode.partition("-")
    sampler = SAMPLERS.get(short) if short else "ddpm"
    try:
        used = by_name(guidance).zeta_of(DownscaleConfig(**shared, guidance=guidance)) if zeta is None else zeta
        config = DownscaleConfig(**shared, guidance=guidance, sampler=sampler, steps=steps, zeta=used)
    except (ConfigError, ValidationError) as error:
        why = error if isinstance(error, ConfigError) else error.errors()[0]["msg"]
        msg = f"{name}: this engine does not have it ({why})."
        raise Unknown(msg) from error
    return Row(name, guidance, sampler or "", steps, config)


def draw_row(row: Row, setting: Setting, job: Job, blocks: Series) -> Drawn:
    """The ensemble of one row on one field."""
    if row.steps == 0:
        grid = job.domain.output
        return Drawn(baseline(row.mode, blocks, grid), grid, float("nan"), Counter())
    return draw(setting, job) if row.library is None else draw_with(row.library, row.steps, setting, job)


def measure(row: Row, setting: Setting, field: HeldOut) -> dict[str, float]:
    """Draw and score one field; costs per member and time.

    Returns
    -------
    ``crps`` (and ``spread_skill``, ``lsd_db``): mean over the variables, the CRPS as a share of the MAE of bilinear
    interpolation; the same by variable with the name added, ``crps_VARIABLE`` in the variable's unit; ``p99_error`` of
    the wind speed in m/s; ``residual`` in standard deviations; ``nfe`` and ``vjp`` network evaluations and
    back-propagations per member, ``seconds`` on the clock and ``cpu_seconds`` per member.
    """
    job = make_job(setting, field, row.config, field.series.variables)
    blocks = field.series.blocks(row.config.filter_scale)
    truths, variables = field.series.on(job.domain.output), blocks.variables
    bilinear = score(baseline("bilinear", blocks, job.domain.output), truths, variables, job.domain.output)
    drawn = draw_row(row, setting, job, blocks)
    scores = score(drawn.ensembles, truths, variables, drawn.grid)
    ratios = {name: scores[name]["crps"] / bilinear[name]["mae"] for name in variables}
    samples = max(drawn.ensembles.shape[0] * drawn.ensembles.shape[1], 1)
    cost = asdict(drawn.counter)
    result = {
        "nfe": cost["forward"] / samples,
        "vjp": cost["backward"] / samples,
        "seconds": cost["seconds"] / samples,
        "cpu_seconds": cost["cpu_seconds"] / samples,
        "crps": float(np.mean(list(ratios.values()))),
        "p99_error": scores[WIND]["p99_error"],
        "residual": drawn.residual,
    }
    for key in ("spread_skill", "lsd_db"):
        result[key] = float(np.mean([scores[name][key] for name in variables]))
        result |= {f"{key}_{name}": scores[name][key] for name in variables}
    for name in variables:
        result |= {f"crps_{name}": scores[name]["crps"], f"ratio_{name}": ratios[name]}
        result[f"p99_error_{name}"] = scores[name]["p99_error"]
    return result


def summary(records: list[dict[str, Any]]) -> dict[str, float]:
    """Mean and, with ``_sd`` added, standard deviation over fields of every number; errors of p99 by their size."""
    result = {}
    for key in records[0]:
        values = np.array([np.nan if r[key] is None else r[key] for r in records], dtype=float)
        values = np.abs(values) if key.startswith("p99") else values
        result[key] = float(values.mean())
        result[f"{key}_sd"] = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return result
