"""``zssd invert``: parse, call the engine, show."""

from pathlib import Path
from typing import Annotated

import typer

from zssd_cli.inversion.settings import InversionSettings

DEFAULTS = InversionSettings()


def invert(
    observations: Annotated[
        Path,
        typer.Argument(metavar="OBS.csv|nc", help="Wells: columns x, y, head, error in metres.", show_default=False),
    ],
    domain: Annotated[
        Path,
        typer.Option(
            "--domain",
            metavar="DOMAIN.yaml",
            help="Extent, sides, wells, recharge, expected conductivity.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.nc", help="File to write.", show_default=False)
    ],
    prior: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Prior of conductivity fields; see zssd weights list.")
    ] = "darcy-grf",
    members: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Draws from the posterior.")
    ] = DEFAULTS.members,
    restarts: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Starts of the search for the maximum a posteriori.")
    ] = DEFAULTS.starts,
    steps: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="L-BFGS steps of the search, at most.")
    ] = DEFAULTS.lbfgs_steps,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, metavar="N", help="Same seed, same output.")
    ] = DEFAULTS.seed,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Picture of conductivity, heads and fit.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.nc.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, say what would be done and how long, and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never download weights.")] = False,
) -> None:
    """Turn heads measured in wells into a map of hydraulic conductivity with its uncertainty.

    The output holds the natural logarithm of K (mean, spread, maximum a posteriori, members), heads and residuals.

    [bold]Examples[/bold]

    zssd invert wells.csv --domain domain.yaml -o conductivity.nc --plot conductivity.png

    zssd invert wells.csv --domain domain.yaml --prior darcy-grf --members 100 -o k.nc
    """  # fmt: skip
    from zssd_cli.commands import run_invert

    request = run_invert.InvertRequest(
        observations=observations, domain=domain, output=output, prior=prior, members=members, restarts=restarts,
        steps=steps, seed=seed, plot=plot, overwrite=overwrite, dry_run=dry_run, quiet=quiet, offline=offline,
    )  # fmt: skip
    run_invert.execute(request)
