"""From files to the scores of a suite: opened and checked once, then trial by trial drawn into a file for a while, scored, removed.

Blocks are means that the engine takes itself: what guides a trial of ``paired`` is ``zssd downscale`` of the 0.25 degree files.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from zssd_cli import api, defaults
from zssd_cli.errors import ConfigError, InputError
from zssd_cli.evaluation.alignment import common_points
from zssd_cli.evaluation.entry import shown
from zssd_cli.evaluation.results import Evaluation
from zssd_cli.grids.extent import cell_width, scale_for
from zssd_cli.grids.latlon import Region, parse_region
from zssd_cli.outputs.netcdf import create_output
from zssd_cli.posterior import estimate
from zssd_cli.posterior.downscaling import prepare
from zssd_cli.posterior.guidance import by_name
from zssd_cli.prior import checkpoint, registry
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.series.reading import Input, Source, open_source
from zssd_cli.static import StaticFields, load_static
from zssd_cli.suites.catalogue import OWN, Suite, Trial

MEMBERS = 4
Tick = Callable[[int], None]


@dataclass(frozen=True)
class Outcome:
    """One trial, done.

    Attributes
    ----------
    trial, evaluation
        What was drawn, and its scores.
    observed
        Variables that guided it.
    attributes
        The output's settings.
    seconds
        Of drawing.
    """

    trial: Trial
    evaluation: Evaluation
    observed: tuple[str, ...]
    attributes: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class Laid:
    """A suite that is checked and laid out: nothing is drawn yet.

    Attributes
    ----------
    suite
        What was asked for.
    plans
        By trial, those that the input allows.
    left_out
        Name of a trial that it does not allow -> why.
    reference
        The truth.
    scoring
        Keywords of :func:`zssd_cli.api.evaluate`.
    """

    suite: Suite
    plans: tuple[tuple[Trial, api.Plan], ...]
    left_out: dict[str, str]
    reference: Input
    scoring: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Denoising steps of all trials."""
        return sum(plan.job.steps for _, plan in self.plans)

    def run(self, tick: Tick = lambda _: None, folder: Path | None = None) -> Iterator[Outcome]:
        """Draw and score one trial after the other; the output of one lies in ``folder`` (None: the system's) for a while."""
        how: dict[str, Any] = {"paired": True} if self.suite.paired else {"distributional": True}
        for trial, plan in self.plans:
            with tempfile.TemporaryDirectory(prefix="zssd-suite-", dir=folder) as holder:
                drawn, started = Path(holder) / "out.nc", time.monotonic()
                plan.write(partial(create_output, drawn), f"zssd evaluate --suite {self.suite.name}", tick)
                seconds = time.monotonic() - started
                evaluation = api.evaluate(drawn, self.reference, **how, **self.scoring)
            yield Outcome(trial, evaluation, plan.job.source.variables, plan.settings(), seconds)


@contextmanager
def lay(
    chosen: Suite,
    source: Input,
    reference: Input | None = None,
    *,
    vars: str | Sequence[str] | None = None,  # noqa: A002 (the option's name)
    region: str | None = None,
    time: str | None = None,
    members: int = MEMBERS,
    seed: int = defaults.SEED,
    weights: str | Path | None = None,
    guidance: str = defaults.GUIDANCE,
    sampler: str | None = None,
    steps: int | None = None,
    any_frequency: bool = False,
    **scoring: Any,
) -> Iterator[Laid]:
    """Open everything and check that it fits.

    Parameters
    ----------
    chosen
        Of :func:`zssd_cli.suites.catalogue.suite`.
    source
        What is downscaled: 0.25 degree fields, or a climate model's.
    reference
        The truth; None: the source.
    vars
        What is drawn and scored; None: what prior and truth share.
    region, time, members, seed, weights, guidance, sampler, steps, any_frequency
        As of :func:`zssd_cli.api.downscale`.
    scoring
        ``bootstrap``, ``block_days`` of :func:`zssd_cli.api.evaluate`.

    Raises
    ------
    ZssdError
        Nothing that a trial could be made of, in one line.
    """
    common = {
        "members": members,
        "seed": seed,
        "guidance": guidance,
        "sampler": sampler,
        "steps": steps,
        "any_frequency": any_frequency,
    }
    by_name(api.checked_config(common).guidance)
    path, sha256 = registry.locate(None if weights is None else str(weights), offline=False)
    prior = checkpoint.load_prior(path, api.pick_device(defaults.AUTO))
    truth = source if reference is None else reference
    wanted = _wanted(truth, prior, vars)
    box = None if region is None else parse_region(region)
    with closing(_given(chosen, source, prior, time)) as guiding:
        plans: list[tuple[Trial, api.Plan]] = []
        left_out: dict[str, str] = {}
        static, failed = load_static(), []
        for trial in chosen.trials:
            try:
                plan = _plan(trial, guiding, prior, static, box, common, wanted, path.stem, sha256)
            except (ConfigError, InputError) as error:
                left_out[trial.name] = str(error)
                failed.append(error)
                continue
            if same := [other.name for other, its in plans if its.job.config == plan.job.config]:
                left_out[trial.name] = f"the same as {same[0]}."
                continue
            plans.append((trial, plan))
        if not plans:
            raise failed[0]
        scoring = {"vars": wanted, "any_frequency": any_frequency, **scoring}
        yield Laid(chosen, tuple(plans), left_out, truth, scoring)


def _wanted(truth: Input, prior: Prior, names: str | Sequence[str] | None) -> tuple[str, ...]:
    """What is drawn and scored: variables of the prior that the truth holds, on the 0.25 degree grid."""
    with closing(open_source(truth, prior.variables)) as found:
        if found.grid is None:
            msg = f"{shown(truth)}: expected the 0.25 degree latitude-longitude grid, got another kind of grid. Regrid it first."
            raise InputError(msg)
        common_points(found.grid, found.grid, shown(truth))
        if names is None:
            return found.variables
        wanted = api.wanted_variables(names, prior)
        if absent := [name for name in wanted if name not in found.variables]:
            msg = f"--vars: {shown(truth)} has no {', '.join(absent)}, it holds {', '.join(found.variables)}."
            raise ConfigError(msg)
        return wanted


def _given(chosen: Suite, source: Input, prior: Prior, time: str | None) -> Source:
    """What guides: of ``psl-only`` the pressure alone."""
    times = api.time_range(time)
    if chosen.given is None:
        return api.open_observed(source, prior, times)
    unknown = [name for name in chosen.given if name not in prior.variables]
    if unknown:
        msg = f"--suite {chosen.name}: the prior has no {', '.join(unknown)}, it knows {', '.join(prior.variables)}."
        raise ConfigError(msg)
    return open_source(source, chosen.given, time_range=times)


def _plan(
    trial: Trial, source: Source, prior: Prior, static: StaticFields, box: Region | None, common: dict[str, Any],
    wanted: tuple[str, ...], name: str, sha256: str,
) -> api.Plan:  # fmt: skip
    settings = {**common, **trial.settings}
    if settings["filter_scale"] == OWN:
        widest = max(cell_width(cells) for cells in source.cells.values())
        settings["filter_scale"] = scale_for(widest)
        if settings["filter_scale"] is None:
            msg = f"The input's cells of {widest:.3g} degrees are coarser than 10 degrees; such input cannot be downscaled."
            raise ConfigError(msg)
    job = prepare(source, prior, static, api.checked_config(settings), box)
    estimate.check_memory(job)
    return api.Plan(job, source, wanted, name, sha256)
