"""How ``zssd downscale`` keeps what is finished: the folder beside the output, the limit of time, and what is said at a stop."""

import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice, takewhile
from pathlib import Path
from types import FrameType

from rich.console import Console

from zssd_cli.api import Plan
from zssd_cli.commands.shared import Page, command_line, say
from zssd_cli.errors import ConfigError, OutputError
from zssd_cli.evaluation.alignment import open_output
from zssd_cli.files import clear_leftovers
from zssd_cli.outputs import conventions
from zssd_cli.outputs.layout import Layout
from zssd_cli.outputs.parts import MANIFEST, Parts, begun, clear_removed, folder_of
from zssd_cli.outputs.sink import Contents, Writer
from zssd_cli.posterior import differences
from zssd_cli.posterior.downscaling import Job, batches
from zssd_cli.posterior.resuming import MACHINE, going_on, header, kept, of_inputs, told_only
from zssd_cli.timing import duration

Create = Callable[[Path, Contents], AbstractContextManager[Writer]]
REHEARSED = 16
"""Fields of each variable that are written for a trial."""
OUT_OF_TIME = 75
"""Exit code where the limit of time ended a run that can go on (EX_TEMPFAIL)."""
_MOMENTS = {"history", "date_created", "date_modified", "date_metadata_modified"}
_MACHINE = {f"zssd_{name}" for name in MACHINE}
_LIMIT = re.compile(r"(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_limit(text: str | None) -> float | None:
    """Seconds of ``3h50m``, ``45m`` or ``90s``; None for None."""
    if text is None:
        return None
    match = _LIMIT.fullmatch(text.strip())
    seconds = sum(int(n or 0) * unit for n, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else 0
    if not seconds:
        msg = f"--time-limit: expected hours, minutes and seconds such as 3h50m, 45m or 90s, got {text!r}."
        raise ConfigError(msg)
    return float(seconds)


def check_begun(output: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse before any work to draw again what an earlier run has finished, unless that is asked for."""
    if resume and overwrite:
        msg = "--resume goes on and --overwrite starts anew; give one of them."
        raise ConfigError(msg)
    if begun(output) and not resume and not overwrite:
        msg = f"{folder_of(output)} holds an earlier run's work. Pass --resume to go on, or --overwrite to start anew."
        raise OutputError(msg)


def is_whole(planned: Plan, output: Path, layout: Layout) -> bool:
    """Whether an output without a folder is there already, as this very call has written it, on whatever machine.

    Raises
    ------
    OutputError
        It is of another call.
    """
    if not output.exists() or folder_of(output).exists():
        return False
    with closing(open_output(output)) as there:
        then = there.attributes
    now = conventions.global_attributes(layout.contents(planned.contents("")))
    free = _MOMENTS | _MACHINE | ({"zssd_precision"} if planned.job.config.precision == "auto" else set())
    other = [name for name, value in now.items() if name not in free and then.get(name) != value]
    other += [name for name in layout.marks if name not in now and name in then]
    if other:
        options = differences.asked_for_attributes(then, other)
        keep = f"These options ask for it as it is: {options}. Else choose" if options else "Choose"
        told = differences.named_attributes(then, now, other)
        msg = f"{output} exists and is of another call: {told}. {keep} another name with -o, or pass --overwrite."
        raise OutputError(msg)
    clear_removed(output)
    return True


@contextmanager
def keeping(
    planned: Plan, output: Path, inputs: Iterable[Path], *, resume: bool, console: Console | None = None
) -> Iterator[tuple[Plan, Parts | None]]:
    """The plan to follow and the folder that keeps its batches, None where there is one batch only.

    The folder goes when the block ends well, and where nothing was finished; else it stays, and how to go on is said.

    Raises
    ------
    ConfigError
        The folder was begun with other settings.
    """
    folder, manifest = folder_of(output), folder_of(output) / MANIFEST
    if not folder.exists() and len(list(islice(batches(planned.job), 2))) == 1:
        yield planned, None
        return
    settings = planned.settings() | of_inputs(inputs)
    going = resume and manifest.is_file()
    parts = Parts(folder) if going else Parts.begin(folder, header(planned.job, settings, command_line()))
    try:
        job = going_on(planned.job, settings, parts)
        for line in told_only(planned.job, settings, parts):
            say(console or Page(stderr=True), f"Note       {line}", style="yellow")
        planned = replace(planned, job=job)
        clear_leftovers(output)
        yield planned, parts
    except BaseException:
        _leave(parts, total_of(planned.job))
        raise
    parts.remove()


def total_of(job: Job) -> int:
    """Number of batches."""
    return sum(1 for _ in batches(job))


def _leave(parts: Parts, total: int) -> None:
    """Keep what is finished and say how to go on; a folder without anything goes."""
    with suppress(OSError):
        parts.reread()  # a signal may have come between a batch's line and its count
    if len(parts):
        line = f"Kept       {len(parts)} of {total} batches in {parts.folder}; the same command with --resume goes on"
        say(Page(stderr=True), line)
        parts.close()
    else:
        parts.remove()


@contextmanager
def stopped_by(number: signal.Signals) -> Iterator[None]:
    """Leave with 128 plus the signal's number when it comes, as for SIGTERM."""

    def leave(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    before = signal.signal(number, leave)
    try:
        yield
    finally:
        signal.signal(number, before)


class NoTime(ConfigError):
    """The limit of time leaves none for a single batch."""


class Limit:
    """Stops a run in time: before a batch that would end too late if it took as long as the slowest so far, and before the
    output is written where a rehearsal says that it would.
    """  # fmt: skip

    def __init__(self, seconds: float | None, started: float, parts: Parts) -> None:
        self._end = None if seconds is None else started + seconds
        self._parts, self._at_first = parts, len(parts)

    def __call__(self) -> None:
        """Raise :class:`SystemExit` with OUT_OF_TIME where there is no time for a batch.

        Raises
        ------
        NoTime
            There was none for a single one, so that starting again would not help.
        """
        if self.leaves(1):
            return
        slowest = self._parts.slowest
        if len(self._parts) == self._at_first:
            takes = f", which takes up to {duration(slowest)}" if slowest else ""
            msg = f"--time-limit leaves no time for a batch{takes}; give more."
            raise NoTime(msg)
        say(Page(stderr=True), f"Stopped    by --time-limit: a batch takes up to {duration(slowest)}")
        raise SystemExit(OUT_OF_TIME)

    def leaves(self, rounds: int) -> bool:
        """Whether there is time for that many batches one after the other."""
        return self._end is None or time.monotonic() + rounds * self._parts.slowest <= self._end

    def before_writing(self, seconds: Callable[[], float]) -> None:
        """Raise :class:`SystemExit` with OUT_OF_TIME where there is no time to write the output and the next call has more.

        ``seconds``, which are measured only where there is a limit, may be wrong: a call that begins with all batches goes ahead.
        """
        if self._end is None or time.monotonic() + (taken := seconds()) <= self._end:
            return
        if len(self._parts) == self._at_first:
            line = f"writing takes about {duration(taken)}, more than --time-limit leaves; nothing is lost if it is cut"
            say(Page(stderr=True), f"Note       {line}", style="yellow")
            return
        say(
            Page(stderr=True),
            f"Stopped    by --time-limit: all is drawn, the output takes about {duration(taken)} to write",
        )
        raise SystemExit(OUT_OF_TIME)


def rehearsed(planned: Plan, parts: Parts, layout: Layout, create: Create, ending: str) -> float:
    """Seconds that writing the output takes, about: a few times are written for a trial."""
    contents, path = planned.contents(""), parts.folder / f"rehearsal{ending}"
    few = max(1, REHEARSED // contents.members)
    bounds = contents.time_bounds
    short = replace(contents, times=contents.times[:few], time_bounds=None if bounds is None else bounds[:few])
    began = time.monotonic()
    with layout.sink(partial(create, path))(short) as out:
        for result in takewhile(lambda result: result.time < few, kept(planned.job, parts)):
            member = slice(result.first_member, result.first_member + len(result.values))
            out.write(slice(result.time, result.time + 1), member, result.values[None])
    taken = time.monotonic() - began
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return taken * len(contents.times) / len(short.times)
