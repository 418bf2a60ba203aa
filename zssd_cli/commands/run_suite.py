"""What ``zssd evaluate --suite`` does after its options are parsed: lay out, draw and score trial by trial, show, write."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zssd_cli.commands.run_evaluate import Targets, refuse
from zssd_cli.commands.shared import Page, bar, command_line, say
from zssd_cli.errors import UsageError
from zssd_cli.files import atomic_pair
from zssd_cli.grids.latlon import describe_centres
from zssd_cli.posterior import estimate
from zssd_cli.suites import table
from zssd_cli.suites.catalogue import suite
from zssd_cli.suites.running import Laid, Outcome, lay
from zssd_cli.text import plural
from zssd_cli.timing import duration, span

BAR = (
    TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeElapsedColumn(), TextColumn("left"),
    TimeRemainingColumn(),
)  # fmt: skip


def check(
    name: str,
    files: Sequence[str | Path],
    model: Sequence[str | Path],
    reference: Sequence[str | Path],
    region: Sequence[str] | None,
    of_evaluate: dict[str, Any],
) -> None:
    """Refuse what does not go with the suite: :class:`ConfigError` of an unknown one, else :class:`UsageError`."""
    chosen = suite(name)
    refuse(of_evaluate, "not with --suite")
    if chosen.paired and (model or reference or not files):
        msg = f"--suite {name}: expected FILES of 0.25 degree fields and neither --gcm nor --reference; the files are the truth."
        raise UsageError(msg)
    if not chosen.paired and (files or not model or not reference):
        msg = f"--suite {name}: expected --gcm (what is downscaled) and --reference (0.25 degree fields), and no other files."
        raise UsageError(msg)
    if region is not None and len(region) > 1:
        msg = f"--region: with --suite expected one box or name, got {len(region)}."
        raise UsageError(msg)


def execute(
    name: str,
    source: Sequence[str | Path],
    reference: Sequence[str | Path] | None,
    targets: Targets,
    settings: dict[str, Any],
    *,
    dry_run: bool,
) -> None:
    """Run a suite from open files to the last line on screen."""
    console, chosen = Page(stderr=True), suite(name)
    asked = {key: value for key, value in settings.items() if value is not None}
    if not chosen.guidance:
        refuse({"guidance": settings["guidance"], "sampler": settings["sampler"]}, f"--suite {name} has its own")
    region = asked.pop("region", [None])[0]
    with lay(chosen, source, reference, region=region, **asked) as laid:
        for note in dict.fromkeys(note for _, plan in laid.plans for note in plan.job.source.notes):
            say(console, f"Note       {note}", style="yellow")
        for trial, why in laid.left_out.items():
            say(console, f"Left out   {trial}: {why}", style="yellow")
        if dry_run:
            _estimate(console, laid)
            return
        outcomes = _run(console, laid)
    _present(laid, outcomes)
    given = {"files": [str(path) for path in source], "reference": [str(path) for path in reference or source]}
    write(laid, outcomes, targets, given)


def _estimate(console: Console, laid: Laid) -> None:
    """Time and memory of every trial, from a timed call of the network."""
    call, cells = estimate.network_call(laid.plans[0][1].job)
    low, high, memory = 0.0, 0.0, 0.0
    for trial, plan in laid.plans:
        least, most = estimate.seconds_range(plan.job, call, cells)
        low, high, memory = low + least, high + most, max(memory, estimate.memory(plan.job))
        count = plural(len(plan.job.source.times), "time")
        where = describe_centres(plan.job.domain.output)
        say(console, f"Trial      {trial.name}: {count}, {where}; {plan.job.steps} network calls, {span(least, most)}")
    say(
        console,
        f"Dry run    {laid.steps} network calls, {span(low, high)}, {memory / 1e9:.1f} GB of memory; nothing written",
    )


def _run(console: Console, laid: Laid) -> list[Outcome]:
    outcomes = []
    with bar(console, *BAR) as progress:
        task = progress.add_task("Sampling", total=laid.steps)

        def tick(count: int) -> None:
            progress.advance(task, count)

        for outcome in laid.run(tick):
            outcomes.append(outcome)
            say(progress.console, f"Done       {outcome.trial.name}, drawn in {duration(outcome.seconds)}")
    for doubt in dict.fromkeys(doubt for _, plan in laid.plans for doubt in plan.job.source.doubts):
        say(console, f"Doubt      {doubt}", style="bold yellow")
    return outcomes


def _present(laid: Laid, outcomes: Sequence[Outcome]) -> None:
    """The table, a line on every column and trial, notes."""
    console = Page()
    console.print(table.as_table(laid.suite, outcomes))
    for line in (*table.legend(laid.suite), *table.sizes(outcomes)):
        say(console, line, style="dim")
    for note in table.notes(outcomes, laid.left_out):
        say(console, f"Note: {note}", style="yellow")


def write(laid: Laid, outcomes: Sequence[Outcome], targets: Targets, files: dict[str, Any]) -> None:
    """What was asked for, all of it or none."""
    with atomic_pair(targets.json, targets.csv, targets.markdown, targets.html) as (numbers, records, document, page):
        if numbers is not None:
            report = table.as_json(laid.suite, outcomes, laid.left_out, command=["zssd", *sys.argv[1:]], files=files)
            numbers.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        if records is not None:
            records.write_text(table.as_csv(outcomes), encoding="utf-8")
        if document is not None:
            document.write_text(table.as_markdown(laid.suite, outcomes, laid.left_out), encoding="utf-8")
        if page is not None:
            from zssd_cli.suites.page import page as drawn

            page.write_text(drawn(laid.suite, outcomes, laid.left_out, files, command_line()), encoding="utf-8")
