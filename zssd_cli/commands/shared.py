"""What commands share: where they may write, how they speak, and what they note as having been called."""

import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment

from zssd_cli.errors import ConfigError, OutputError, Remark
from zssd_cli.files import check_target, clear_leftovers
from zssd_cli.text import masked, plain

if TYPE_CHECKING:
    from rich.markdown import Markdown


def check_targets(
    targets: Mapping[str, Path | None], inputs: Callable[[], Iterable[Path]], *, overwrite: bool = True
) -> None:
    """Refuse before any work what cannot or must not be written at its end, and remove what killed runs left of it.

    Parameters
    ----------
    targets
        Option -> file; None where none was asked for.
    inputs
        All that is read, whatever option names it; only asked where a target is there already.
    overwrite
        False: files that are there already are refused.

    Raises
    ------
    OutputError
        No such folder, a folder or device in the place of the file, one of the inputs, a file that is there already.
    ConfigError
        Two options that name one file.
    """
    named = {option: path for option, path in targets.items() if path is not None}
    seen: dict[Path, str] = {}
    for option, path in named.items():
        check_target(path, option)
        for other, first in seen.items():
            if same_file(path, other):
                msg = f"{first} and {option} name the same file, {path}; expected two."
                raise ConfigError(msg)
        seen[path] = option
    there = {option: path for option, path in named.items() if path.exists()}
    given = tuple(inputs()) if there else ()
    for option, path in there.items():
        check_target(path, option, given)
        if not overwrite:
            msg = f"{path} exists. Choose another name with {option}, or pass --overwrite."
            raise OutputError(msg)
    for path in named.values():
        clear_leftovers(path)


def same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file, there already or not: by links of both kinds too."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def named_files(*options: str | Path | None) -> tuple[Path, ...]:
    """What options name that is a file: a prior may be a name or a file."""
    paths = (Path(option).expanduser() for option in options if option is not None)
    return tuple(path for path in paths if path.exists())


def listed(paths: Sequence[str | Path]) -> tuple[str | Path, ...]:
    """The paths, with the list on standard input in the place of ``-``."""
    from zssd_cli.series.listing import STDIN, with_list

    return with_list(paths, sys.stdin.buffer.read()) if STDIN in paths else tuple(paths)


def listed_by(options: Mapping[str, Sequence[str] | None]) -> tuple[tuple[str | Path, ...], ...]:
    """:func:`listed` of what each option names; None: nothing.

    Raises
    ------
    ConfigError
        Two of them want the one list on standard input.
    """
    from zssd_cli.series.listing import STDIN

    several = [option for option, paths in options.items() if paths and STDIN in paths]
    if len(several) > 1:
        msg = f"-: {' and '.join(several)} cannot both read the list on standard input; give one of them as a folder or a quoted pattern."
        raise ConfigError(msg)
    return tuple(listed(paths or ()) for paths in options.values())


def check_picture(path: Path | None) -> None:
    """Pictures are PNG; another ending is a :class:`ConfigError`."""
    if path is not None and path.suffix.lower() != ".png":
        msg = f"--plot: expected a name that ends in .png, got {path}."
        raise ConfigError(msg)


def command_line() -> str:
    """What was typed, for the history of the output."""
    return plain(masked(shlex.join(["zssd", *sys.argv[1:]])))


class Page(Console):
    """A terminal or a log on which text from files is only text: no control character of theirs is passed on."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As rich does, of plain text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text, lines=True), segment.style)


def say(console: Console, line: str, style: str | None = None) -> None:
    """One line as it is: no colours of numbers, no markup, not wrapped."""
    console.print(plain(masked(line)), style=style, highlight=False, markup=False, soft_wrap=True)


def bar(console: Console, *columns: ProgressColumn) -> Progress:
    """A bar on a terminal, nothing in a log file."""
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def waiting(console: Console, words: str) -> Iterator[None]:
    """Words and a clock on a terminal while something runs whose length is not known."""
    with bar(console, SpinnerColumn(), TextColumn(words), TimeElapsedColumn()) as progress:
        progress.add_task("", total=None)
        yield


@contextmanager
def remarks_said(console: Console) -> Iterator[None]:
    """Every :class:`Remark` is a line; other warnings are what they were."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, Remark):
                say(console, f"Note       {message}", style="yellow")
            else:
                others(message, category, *where, **more)

        warnings.simplefilter("always", Remark)
        warnings.showwarning = show
        yield


def folded(text: str) -> "Markdown":
    """Markdown whose tables fold what is too wide, so that no number is cut."""
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement
    from rich.table import Table

    class Folded(TableElement):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for part in super().__rich_console__(console, options):
                for column in part.columns if isinstance(part, Table) else ():
                    column.overflow = "fold"
                yield part

    class Card(Markdown):
        elements = {**Markdown.elements, "table_open": Folded}

    return Card(text)
