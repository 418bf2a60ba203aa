"""``zssd downscale``: parse, call the engine, show."""

from pathlib import Path
from typing import Annotated

import typer


def downscale(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="CMIP6 NetCDF files or quoted globs.", show_default=False),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.nc", help="File to write.", show_default=False)],
    variables: Annotated[
        str, typer.Option("--vars", metavar="NAMES", help="Variables to write, comma-separated (ERA5 or CMIP6 names).")
    ] = "msl,u10,v10",
    region: Annotated[
        str | None,
        typer.Option(metavar="W,E,S,N", help="Degrees, or a name such as europe; default: all that the input covers.", show_default=False),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="START/END", help="Dates in the input's calendar, ends included: 2010-01/2010-03.", show_default=False),
    ] = None,
    members: Annotated[int, typer.Option(min=1, help="Draws from the posterior.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same output.")] = 0,
    filter_scale: Annotated[float, typer.Option(help="Block size in degrees whose means are kept.")] = 5.0,
    guidance: Annotated[str, typer.Option(help="analysis, projection, ucg (the paper's, slow) or dps.")] = "analysis",
    sampler: Annotated[str | None, typer.Option(help="dpmpp_2m, dpmpp_2m_sde, ddim or ddpm.", show_default=False)] = None,
    steps: Annotated[int | None, typer.Option(min=2, help="Network calls per field; default 20 (ucg, dps: 1000).", show_default=False)] = None,
    obs_error: Annotated[float, typer.Option(min=0, help="Error of the block means in standard deviations.")] = 0.01,
    zeta: Annotated[float, typer.Option(help="Step size of ucg and dps.")] = 1.0,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Prior; default: the one that ships with zssd.", show_default=False)
    ] = None,
    static: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Static fields of fetch-static; default: built-in.", show_default=False)
    ] = None,
    regridder: Annotated[str, typer.Option(help="auto, builtin or xesmf.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    any_frequency: Annotated[bool, typer.Option("--any-frequency", help="Accept daily or monthly means.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never download weights.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.nc.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, with time and memory, and stop.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Picture of the first time.", show_default=False)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Turn coarse climate-model output into 0.25 degree fields.

    Variables that you ask for and the input lacks are inferred from those it has: a file with sea-level pressure
    gives wind too. The output says which were observed.

    [bold]Examples[/bold]

    zssd downscale miroc6_psl.nc --vars msl,u10,v10 -o out.nc

    zssd downscale 'psl_6hr_*.nc' 'uas_6hr_*.nc' 'vas_6hr_*.nc' --region europe --time 2050-01/2050-02 --members 8 -o europe.nc

    zssd downscale psl.nc --region -80,0,20,70 -o out.nc --plot out.png --dry-run
    """
    from zssd_cli.commands import run_downscale

    settings = {
        "filter_scale": filter_scale, "members": members, "seed": seed, "guidance": guidance, "sampler": sampler,
        "steps": steps, "obs_error": obs_error, "zeta": zeta, "regridder": regridder, "any_frequency": any_frequency,
    }  # fmt: skip
    request = run_downscale.Request(
        tuple(inputs), output, variables, region, time, weights, static, device, offline, overwrite, dry_run, plot, quiet
    )
    run_downscale.execute(request, settings)
