"""``zssd inspect``: what was understood of files, from which evidence, and the command that would downscale them."""

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Files, folders or quoted globs that belong together; - reads a list.",
            show_default=False,
        ),
    ],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all of it here; - is standard output.", show_default=False),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Picture of the first time.", show_default=False)
    ] = None,
    thorough: Annotated[bool, typer.Option("--thorough", help="Read every field, not a few of each variable.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where there are problems or doubts.")] = False,
) -> None:
    """Say what files hold: variables, units, grid, times, averaging, missing values, doubts. Nothing is downscaled.

    Files are taken together, as zssd downscale would. The exit code is 1 where it would refuse them.

    [bold]Examples[/bold]

    zssd inspect psl_6hrPlev_*.nc

    zssd inspect psl.nc uas.nc vas.nc --thorough --plot look.png

    zssd inspect 'archive/*.nc' --json - | jq .problems
    """
    from zssd_cli.commands import run_inspect

    raise typer.Exit(run_inspect.execute(tuple(inputs), json_file, plot, thorough=thorough, strict=strict))
