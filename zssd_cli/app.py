"""The command line: registers the commands and turns what goes wrong into one line and an exit code.

Exit codes: 0 done, 1 something the line on stderr names, 2 wrong usage (something missing, an unknown option), 75 stopped by --time-limit,
130 interrupted, 143 terminated, 129 hung up (128 + signal).
Commands are imported when they are asked for, and import the heavy libraries inside their functions.
"""

import errno
import importlib
import logging
import os
import re
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from zssd_cli import __version__, watchdog
from zssd_cli.errors import STOPPED, OutOfMemory, UsageError, ZssdError, is_out_of_memory
from zssd_cli.text import masked, plain

COMMANDS = {
    "downscale": "zssd_cli.commands.downscale:downscale",
    "train": "zssd_cli.commands.train:train",
    "inspect": "zssd_cli.commands.inspect:inspect",
    "debias": "zssd_cli.commands.debias:app",
    "evaluate": "zssd_cli.commands.evaluate:evaluate",
    "plot": "zssd_cli.commands.plot:plot",
    "track": "zssd_cli.commands.track:track",
    "invert": "zssd_cli.commands.invert:invert",
    "fetch-static": "zssd_cli.commands.fetch_static:fetch_static",
    "weights": "zssd_cli.commands.weights:app",
}

REMEDIES = {
    "downscale": "Ask for a smaller --region or fewer --workers; --dry-run estimates what a run needs.",
    "train": "Set a smaller batch, patch or network in --config.",
    "invert": "Ask for fewer --members, or fewer cells in --domain.",
    "debias": "Ask for a smaller --region or a shorter --time.",
    "evaluate": "Ask for a smaller --region.",
    "plot": "Ask for a smaller --region, fewer --members or a shorter --time.",
}
"""Where memory runs out, by command."""
LEAST = {"inspect": 0.45e9, "plot": 0.45e9, "track": 0.45e9}
"""Bytes of address space without which a command cannot even load its libraries; the others, which load torch, take LEAST_TORCH."""
LEAST_TORCH = 1e9

EXAMPLES = """\
[bold]Examples[/bold]

zssd downscale psl_*.nc --vars msl,u10,v10 --region=-80,0,20,70 -o fine.nc

zssd downscale coarse.nc --vars msl,u10,v10 -o fine.nc --members 8 --dry-run

zssd inspect psl_*.nc uas_*.nc

zssd evaluate fine.nc --reference era5.nc

zssd invert wells.csv --domain domain.yaml --prior darcy-grf -o conductivity.nc

zssd weights list

Every command explains its options: zssd downscale --help
"""


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Command by name, None where there is none."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            module, _, attribute = COMMANDS[cmd_name].partition(":")
            found = getattr(importlib.import_module(module), attribute)
            if not isinstance(found, typer.Typer):
                function, found = found, _typer()
                found.command(cmd_name)(function)
            command = typer.main.get_command(found)
            command.name = cmd_name
            _unfold(command)
            self.commands[cmd_name] = command
        return self.commands.get(cmd_name)


def _unfold(command: Any) -> None:
    """Paragraphs of help break where the terminal ends, not where the source's lines do; of a group's commands, too."""
    if command.help:
        command.help = re.sub(r"(?<!\n)\n(?!\n)", " ", command.help)
    for inner in getattr(command, "commands", {}).values():
        _unfold(inner)


def _typer(**options: Any) -> typer.Typer:
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich", **options)


app = _typer(
    cls=LazyGroup, no_args_is_help=True, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"zssd {__version__}")
        raise typer.Exit


def _show_details() -> None:
    from zssd_cli.commands.run_version import lines

    for line in lines():
        typer.echo(plain(masked(line)))
    raise SystemExit(0)


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit; with --verbose all that a bug report needs.",
            is_eager=True,
            callback=_show_version,
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (also after the command, or ZSSD_DEBUG=1).")
    ] = False,
) -> None:
    """Downscale coarse climate-model NetCDF to 0.25 degree with a diffusion prior that was trained on reanalysis."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``zssd``: run the command line and leave by :class:`SystemExit`."""
    arguments, debug = _take_debug(sys.argv[1:] if arguments is None else arguments)
    asked, command = _catch_signals(), arguments[0] if arguments else ""
    watchdog.armed = True
    if not debug:
        # zarr opens the arrays of a store together: of several broken ones one is raised, and the others' tracebacks would be logged
        logging.getLogger("asyncio").addFilter(
            lambda record: "exception was never retrieved" not in record.getMessage()
        )
    try:
        _check_address_space(command, arguments)
        if sorted(arguments) == ["--verbose", "--version"]:
            _show_details()
        app(arguments, prog_name="zssd")
    except SystemExit as stop:
        _say_stop(stop.code)
        _leave(stop.code)
    except KeyboardInterrupt:
        _say_stop(130)
        _leave(130)
    except BrokenPipeError:
        _leave(1)
    except Exception as error:
        if asked:
            # a library that is being imported may turn what a signal raises into an error of its own
            _say_stop(128 + asked[0])
            _leave(128 + asked[0])
        if debug:
            traceback.print_exc()
        _say(explain(error, command))
        _leave(2 if isinstance(error, UsageError) else 1)


def explain(error: BaseException, command: str = "") -> str:
    """Say in one line what went wrong and, where that is known, what to do."""
    if isinstance(error, ZssdError):
        return f"error: {error}"
    if is_out_of_memory(error):
        remedy = REMEDIES.get(command, "Close other programs, or go to a machine with more.")
        return f"error: not enough memory ({str(error) or type(error).__name__}). {remedy}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"error: no space left on the device of {error.filename or 'the output'}. Free some or write elsewhere."
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"error: {error.filename}: {error.strerror}. Check the path and its permissions."
    return f"internal error: {type(error).__name__}: {error} (run again with --debug for the traceback, and report it)"


def _check_address_space(command: str, arguments: list[str]) -> None:
    """Refuse a limit below which libraries end the process while they are loaded, without an error that could be explained."""
    if command not in COMMANDS or {"-h", "--help"} & {*arguments}:
        return
    try:
        import resource
    except ImportError:
        # no such limit on Windows
        return
    limit, least = resource.getrlimit(resource.RLIMIT_AS)[0], LEAST.get(command, LEAST_TORCH)
    if limit != resource.RLIM_INFINITY and limit < least:
        msg = (
            f"not enough memory: zssd {command} takes {least / 1e9:g} GB of address space at least, got a limit of "
            f"{limit / 1e9:.2g} GB (ulimit -v {limit // 1024}). Raise it with ulimit -v unlimited, or ask the batch system for more."
        )
        raise OutOfMemory(msg)


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Accept ``--debug`` on either side of the command; what follows ``--`` is not ours."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    ours = [argument for argument in arguments[:end] if argument != "--debug"]
    in_environment = os.environ.get("ZSSD_DEBUG", "").lower() not in ("", "0", "false", "no", "off")
    return ours + arguments[end:], len(ours) < end or in_environment


def _catch_signals() -> list[int]:
    """SIGTERM and SIGHUP leave as Ctrl-C does, so that unfinished files are removed; those that came are listed.

    What is ignored, as SIGHUP is under nohup, stays ignored.
    """
    asked: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        asked.append(signum)
        if signum == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signum)

    for number in (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)
    return asked


def _let_signals_go() -> None:
    """What comes while the interpreter ends must not raise in a library's last words."""
    for number in (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)


def _say_stop(code: Any) -> None:
    """Say which signal ended a command; others have said why they leave."""
    if code in STOPPED:
        _say(STOPPED[code])


def _say(message: str) -> None:
    shown = plain(masked(" ".join(message.split())))
    try:
        sys.stderr.write(f"zssd: {shown}\n")
    except BrokenPipeError:
        return


def _leave(code: Any) -> None:
    """Exit; a reader of stdout that has gone is no reason for a traceback, nor is a signal from now on."""
    _let_signals_go()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(code)
