"""``zssd evaluate``: score an output against a reanalysis of the same times."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from zssd_cli.commands.shared import Page, check_targets, say


def evaluate(
    output: Annotated[
        Path, typer.Argument(metavar="OUT.nc", help="The file that zssd downscale wrote.", show_default=False)
    ],
    reference: Annotated[
        list[Path],
        typer.Option(
            "--reference", "-r", metavar="FILE", help="ERA5 at 0.25 degree, NetCDF or GRIB; repeat for more files."
        ),
    ],
    variables: Annotated[
        str | None,
        typer.Option(
            "--vars", metavar="NAMES", help="Comma-separated; default: all that both hold.", show_default=False
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers here.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the power spectra here (PNG).", show_default=False)
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            min=0.25,
            help="Blocks of the baselines in degrees; default: the output's filter scale.",
            show_default=False,
        ),
    ] = None,
    paired: Annotated[
        bool, typer.Option("--paired", help="Vouch that the model's weather follows the reference.")
    ] = False,
    any_frequency: Annotated[
        bool,
        typer.Option("--any-frequency", help="Accept a reference of means for an output of moments, and the like."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of --json and --plot if they exist.")
    ] = False,
) -> None:
    """Score an output against the truth: error, bias, extremes, ensemble and spectra, beside simple interpolations.

    Only for times that both files share: a free-running climate model has no day-by-day truth.

    [bold]Examples[/bold]

    zssd evaluate out.nc --reference era5.nc

    zssd evaluate out.nc -r msl.grib -r wind.grib --json scores.json --plot spectra.png
    """
    from zssd_cli import api
    from zssd_cli.evaluation.report import as_dict, as_table
    from zssd_cli.files import atomic_pair
    from zssd_cli.series.listing import expand

    console = Page()
    check_targets({"--json": json_file, "--plot": plot}, lambda: (output, *expand(reference)), overwrite=overwrite)
    with console.status("Scoring") as status:

        def show(done: int, total: int) -> None:
            status.update(f"Scoring time {done} of {total}")

        evaluation = api.evaluate(
            output, reference, vars=variables, scale=scale, paired=paired, any_frequency=any_frequency, progress=show
        )
    console.print(as_table(evaluation))
    for note in evaluation.notes:
        say(console, f"Note: {note}", style="yellow")
    with atomic_pair(json_file, plot) as (numbers, picture):
        if numbers is not None:
            files = {"output": str(output), "reference": [str(path) for path in reference]}
            report = as_dict(evaluation, command=["zssd", *sys.argv[1:]], files=files)
            numbers.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        if picture is not None:
            from zssd_cli.evaluation.plots import spectra_plot

            spectra_plot(evaluation, picture)
