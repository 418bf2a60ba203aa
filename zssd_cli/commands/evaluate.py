"""``zssd evaluate``: score an output against a reanalysis of the same times, or run a suite of downscalings and score them."""

from pathlib import Path
from typing import Annotated

import typer

from zssd_cli.commands.shared import check_targets, listed_by

SUITES = "With --suite"


def evaluate(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OUT.nc",
            help="The file that zssd downscale wrote. With --suite: files, folders or quoted globs of 0.25 degree fields.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            "--reference",
            "-r",
            metavar="FILE",
            help="ERA5 at 0.25 degree: files, folders or quoted globs, - reads a list; repeat for more.",
            show_default=False,
        ),
    ] = None,
    historical: Annotated[
        Path | None,
        typer.Option(
            metavar="HIST.nc",
            help="Instead of a reference: an output of an earlier period; shows how the climate changes.",
            show_default=False,
        ),
    ] = None,
    coarse: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="With --historical: what OUT.nc was made of.", show_default=False),
    ] = None,
    coarse_historical: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="With --historical: what HIST.nc was made of.", show_default=False),
    ] = None,
    variables: Annotated[
        str | None,
        typer.Option(
            "--vars", metavar="NAMES", help="Comma-separated; default: all that both hold.", show_default=False
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers here.", show_default=False)
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write all numbers here, one a line.", show_default=False),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", metavar="FILE", help="Write verdict and table here.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a page with verdict, tables, charts and maps here.", show_default=False
        ),
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
    distributional: Annotated[
        bool, typer.Option("--distributional", help="Compare climates; the times of the two need not agree.")
    ] = False,
    any_frequency: Annotated[
        bool,
        typer.Option("--any-frequency", help="Accept a reference of means for an output of moments, and the like."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of --json, --csv, --markdown, --html and --plot.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(metavar="B.nc", help="Another output: differences with intervals.", show_default=False),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="KINDS", help="Also by season,hour,surface,height (some of them).", show_default=False),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="W,E,S,N",
            help="Also within a box or named region; repeat for more. With --suite: only there.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIMIT",
            help="Where the threshold-weighted CRPS looks: wind_speed>17.2, msl<98000, u10>p95; repeat for more.",
            show_default=False,
        ),
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Replicates for the intervals; 0: no intervals.")] = 200,
    block_days: Annotated[
        float | None,
        typer.Option(
            min=0.04,
            help="Days that are resampled together; default: 1, of a record longer than a month 5.",
            show_default=False,
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="paired, psl-only, unpaired or ablation: downscale FILES in several ways and score each; docs/evaluate.md.",
            rich_help_panel=SUITES,
            show_default=False,
        ),
    ] = None,
    gcm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="With --suite unpaired: the climate model's files; the truth is --reference. Repeat for more.",
            rich_help_panel=SUITES,
            show_default=False,
        ),
    ] = None,
    members: Annotated[
        int | None, typer.Option(min=1, help="Draws; 4 unless given.", rich_help_panel=SUITES, show_default=False)
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="START/END", help="Times to downscale.", rich_help_panel=SUITES, show_default=False),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FILE", help="Prior; that of zssd downscale.", rich_help_panel=SUITES, show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="0 unless given.", rich_help_panel=SUITES, show_default=False)
    ] = None,
    guidance: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="analysis unless given; ablation has its own.",
            rich_help_panel=SUITES,
            show_default=False,
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The guidance's own unless given; ablation has its own.",
            rich_help_panel=SUITES,
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=2, help="Denoising steps; the guidance's own unless given.", rich_help_panel=SUITES, show_default=False
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be drawn and how long it takes.", rich_help_panel=SUITES)
    ] = False,
) -> None:
    """Score an output against the truth: error, bias, extremes, ensemble and spectra, beside simple interpolations.

    Paired: times that both files share. A free-running climate model has no day-by-day truth: compare its climate with
    --distributional. What every score means: docs/evaluate.md.

    [bold]Examples[/bold]

    zssd evaluate out.nc --reference era5.nc

    zssd evaluate out.nc -r msl.grib -r wind.grib --json scores.json --html report.html

    zssd evaluate out.nc -r era5.nc --by season,surface,height --region europe --csv scores.csv

    zssd evaluate gcm.nc -r 'era5_*.nc' --distributional --json climate.json

    zssd evaluate new.nc --against old.nc -r era5.nc

    zssd evaluate ssp585.nc --historical hist.nc --coarse 'psl_ssp585_*.nc' --coarse-historical 'psl_hist_*.nc'

    zssd evaluate --suite paired 'era5_*.nc' --region europe --members 8 --markdown table.md

    zssd evaluate --suite unpaired --gcm 'psl_*.nc' -r 'era5_*.nc' --csv scores.csv
    """
    from zssd_cli.commands import run_evaluate, run_suite
    from zssd_cli.series.listing import expand

    drawn = {"members": members, "time": time, "weights": weights, "seed": seed, "guidance": guidance, "sampler": sampler,
             "steps": steps}  # fmt: skip
    ours = {"gcm": gcm, **drawn, "dry-run": dry_run}
    theirs = {
        "against": against, "historical": historical, "coarse": coarse, "coarse-historical": coarse_historical, "scale": scale,
        "paired": paired, "distributional": distributional, "by": by, "threshold": threshold, "plot": plot,
    }  # fmt: skip
    targets = {"--json": json_file, "--csv": csv_file, "--markdown": markdown, "--html": html, "--plot": plot}
    where = run_evaluate.Targets(json_file, csv_file, markdown, html, plot)
    given, model, truth, now, then = listed_by(
        {"FILES": files, "--gcm": gcm, "--reference": reference, "--coarse": coarse, "--coarse-historical": coarse_historical}
    )  # fmt: skip
    others = (*truth, *now, *then, *filter(None, (against, historical)))
    if suite is not None:
        run_suite.check(suite, given, model, truth, region, theirs)
        check_targets(targets, lambda: expand((*given, *model, *truth)), overwrite=overwrite or dry_run)
        settings = drawn | {"vars": variables, "region": region, "bootstrap": bootstrap, "block_days": block_days}
        run_suite.execute(
            suite, given or model, truth or None, where, settings | {"any_frequency": any_frequency}, dry_run=dry_run
        )
        return
    output = run_evaluate.check_kind(given, reference, historical, ours)
    check_targets(targets, lambda: (output, *expand(others)), overwrite=overwrite)
    common = {"vars": variables, "scale": scale, "bootstrap": bootstrap, "block_days": block_days}
    if historical is not None:
        run_evaluate.change(
            output, historical, where, coarse_future=now or None, coarse_historical=then or None, **common
        )  # fmt: skip
        return
    run_evaluate.execute(
        output,
        truth,
        where,
        paired=paired,
        distributional=distributional,
        any_frequency=any_frequency,
        against=against,
        by=by,
        region=region,
        threshold=threshold,
        **common,
    )
