"""What ``zssd plot`` does after its options are parsed: open, choose, draw, say where it is."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from zssd_cli.commands.shared import Page, bar, check_targets, say
from zssd_cli.errors import ConfigError
from zssd_cli.evaluation import gallery
from zssd_cli.evaluation.alignment import open_output
from zssd_cli.evaluation.views import (
    COMPONENTS,
    PRESSURE,
    SPEED,
    WIND,
    Read,
    View,
    chosen_members,
    chosen_times,
    chosen_variables,
    open_view,
)
from zssd_cli.grids.latlon import parse_region
from zssd_cli.pictures.animation import GIF, check_film, write_film
from zssd_cli.series.listing import expand
from zssd_cli.series.reading import open_source
from zssd_cli.times import format_time

MAP, SPREAD, SPECTRUM, ANIMATION = KINDS = ("map", "spread", "spectrum", "animation")


@dataclass(frozen=True)
class PlotRequest:
    """One call."""

    file: Path
    output: Path | None
    kind: str
    variables: str | None
    time: str | None
    members: str | None
    region: str | None
    inputs: tuple[str, ...]
    reference: tuple[str, ...]
    fps: float

    @property
    def target(self) -> Path:
        """Where the picture goes."""
        ending = GIF if self.kind == ANIMATION else ".png"
        return self.output or self.file.with_name(f"{self.file.stem}_{self.kind}{ending}")


def execute(request: PlotRequest) -> None:
    """Draw one picture or animation."""
    console = Page(stderr=True)
    _check(request)
    with closing(open_output(request.file)) as output:
        view = open_view(
            output,
            region=None if request.region is None else parse_region(request.region),
            times=chosen_times(request.time),
            members=_members(request),
        )
        names = None if request.variables is None else chosen_variables(view, request.variables)
        wanted = (PRESSURE, *COMPONENTS, SPEED, *(name for name in names or view.output.variables if name != WIND))
        with (
            _beside(request.inputs, wanted, "The input") as source,
            _beside(request.reference, wanted, "The reference") as reference,
        ):
            _draw(console, request, view, names, source, reference)
    if request.kind in (MAP, SPREAD) and len(view.indices) > 1:
        say(console, f"Shown      {format_time(view.time(view.indices[0]))}, 1 of {len(view.indices)} times (--time)")
    say(console, f"Wrote      {request.target}")


def _check(request: PlotRequest) -> None:
    """Refuse before any work what cannot be drawn or written."""
    if request.kind not in KINDS:
        msg = f"--kind: expected {', '.join(KINDS)}, got {request.kind!r}."
        raise ConfigError(msg)
    if request.kind == ANIMATION:
        check_film(request.target)
        if request.inputs or request.reference:
            msg = "--input and --reference: an animation shows the output alone. Leave them out, or use --kind map."
            raise ConfigError(msg)
    elif request.target.suffix.lower() != ".png":
        msg = f"-o: expected a name that ends in .png, got {request.target}."
        raise ConfigError(msg)
    given = (*request.inputs, *request.reference)
    check_targets({"-o": request.target}, lambda: [request.file, *(expand(given) if given else ())])


def _members(request: PlotRequest) -> tuple[int, ...] | None:
    if request.members is None and request.kind == ANIMATION:
        return (0,)
    return chosen_members(request.members)


@contextmanager
def _beside(files: tuple[str, ...], wanted: tuple[str, ...], what: str) -> Iterator[Read | None]:
    if not files:
        yield None
        return
    with closing(open_source(list(files), list(dict.fromkeys(wanted)))) as source:
        yield Read(source, what)


def _draw(
    console: Console,
    request: PlotRequest,
    view: View,
    names: tuple[str, ...] | None,
    source: Read | None,
    reference: Read | None,
) -> None:
    out = request.target
    if request.kind == MAP:
        every = request.members is not None
        gallery.member_map(view, names, source=source, reference=reference, every=every).save(out)
    elif request.kind == SPREAD:
        gallery.spread_map(view, names, reference=reference).save(out)
    elif request.kind == SPECTRUM:
        names = names or gallery.spectrum_variables(view)
        with bar(console, *_columns("fields")) as progress:
            task = progress.add_task("", total=len(names) * len(view.indices) * len(view.members))
            tick = lambda: progress.advance(task)  # noqa: E731
            gallery.spectrum(view, names, source=source, reference=reference, tick=tick).save(out)
    else:
        with bar(console, *_columns("times")) as progress:
            task = progress.add_task("", total=len(view.indices))
            frames = gallery.frames_of(gallery.animation(view, names), lambda: progress.advance(task))
            write_film(frames, out, 1 / request.fps)


def _columns(what: str) -> tuple[TextColumn, BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn]:
    return TextColumn("Drawing"), BarColumn(), MofNCompleteColumn(), TextColumn(f"{what}, left"), TimeRemainingColumn()
