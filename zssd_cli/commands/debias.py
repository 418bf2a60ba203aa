"""``zssd debias``: fit the bias adjustment of a climate model's block means, look at it, write adjusted block means."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from zssd_cli import defaults

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")
MANY = ("--historical", "--reference", "--target")
"""Options that take all words up to the next option, so that the shell may expand their patterns."""


class ManyFiles(TyperCommand):
    """A command whose options of :data:`MANY` may be followed by several files."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before every further file."""
        words: list[str] = []
        option = ""
        for word in args:
            if option and (word == "-" or not word.startswith("-")) and words[-1] != option:
                words.append(option)
            words.append(word)
            if word.startswith("-") and word != "-":
                option = word if word in MANY else ""
        return super().parse_args(ctx, words)


@app.callback()
def debias() -> None:
    """Adjust the bias of a climate model before downscaling: fit once per model and scenario, then zssd downscale --debias FILE."""


@app.command(cls=ManyFiles)
def fit(
    historical: Annotated[
        list[str],
        typer.Option(
            metavar="FILES",
            help="The model's historical run: files, folders or globs; - reads a list.",
            show_default=False,
        ),
    ],
    reference: Annotated[
        list[str], typer.Option(metavar="FILES", help="Reanalysis of the same years.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BIAS.nc", help="File to write.", show_default=False)
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="FILES", help="The model's run that you will downscale (a scenario).", show_default=False),
    ] = None,
    variables: Annotated[
        str, typer.Option("--vars", metavar="NAMES", help="Variables that all files hold.")
    ] = ",".join(defaults.VARIABLES),
    region: Annotated[
        str | None,
        typer.Option(
            metavar="W,E,S,N", help="As you will downscale; default: all that the files share.", show_default=False
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="START/END", help="Years of the historical run and the reference.", show_default=False),
    ] = None,
    window: Annotated[
        str, typer.Option(metavar="month|31d", help="Parts of the year: months, or a moving window of days.")
    ] = "31d",
    years: Annotated[
        float, typer.Option(min=5, max=200, metavar="N", help="Years of the target in which a value is ranked.")
    ] = 30,
    filter_scale: Annotated[
        float, typer.Option(metavar="DEGREES", help="Side of the blocks, as you will downscale.")
    ] = defaults.FILTER_SCALE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Fit quantile delta mapping of block means: quantiles of reanalysis and model go into one file.

    Give the scenario as --target: its change of every quantile is kept. Without it only the historical run can be adjusted.

    [bold]Examples[/bold]

    zssd debias fit --historical psl_hist_*.nc --reference era5_*.nc --target psl_ssp585_*.nc --vars msl -o miroc6.nc

    zssd downscale psl_ssp585_*.nc --debias miroc6.nc -o out.nc
    """
    from zssd_cli.commands import run_debias
    from zssd_cli.commands.shared import listed_by

    series = {"reference": reference, "historical": historical, "target": target}
    files = listed_by({f"--{name}": given for name, given in series.items()})
    request = run_debias.FitRequest(
        series={name: found for name, found in zip(series, files, strict=True) if found}, output=output, variables=variables,
        region=region, time=time, window=window, years=years, filter_scale=filter_scale, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    run_debias.fit(request)


@app.command()
def show(
    file: Annotated[
        Path, typer.Argument(metavar="BIAS.nc", help="What zssd debias fit has written.", show_default=False)
    ],
) -> None:
    """Say what a bias file was fitted on, and how large the biases are."""
    from zssd_cli.commands import run_debias

    run_debias.show(file)
