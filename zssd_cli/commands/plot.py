"""``zssd plot``: pictures of an output."""

from pathlib import Path
from typing import Annotated

import typer


def plot(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What zssd downscale wrote, NetCDF or Zarr.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PICTURE",
            help=".png, or .gif or .mp4 of an animation; default: beside FILE.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="map: members; spread: mean and standard deviation; spectrum: power by wavelength; animation.",
        ),
    ] = "map",
    variables: Annotated[
        str | None,
        typer.Option(
            "--var",
            metavar="NAMES",
            help="msl, wind (speed, arrows, isobars), u10, ...; default: msl and wind.",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="DATE|START/END",
            help="Maps show the first time of it, spectra its mean, animations all; default: the first, or all.",
            show_default=False,
        ),
    ] = None,
    members: Annotated[
        str | None,
        typer.Option(
            metavar="0,1|all",
            help="Members by number; default: maps the first few, animations the first, else all.",
            show_default=False,
        ),
    ] = None,
    region: Annotated[
        str | None, typer.Option(metavar="W,E,S,N", help="Degrees, or a name such as europe.", show_default=False)
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="FILE", help="The coarse input, shown beside; repeatable.", show_default=False),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            "--reference", "-r", metavar="FILE", help="The truth, shown beside; repeatable.", show_default=False
        ),
    ] = None,
    fps: Annotated[float, typer.Option(min=0.1, max=60, metavar="N", help="Times per second of an animation.")] = 4.0,
) -> None:
    """Draw an output: maps of members, their mean and spread, power spectra, or an animation.

    Wind is shown as speed in colour with arrows and isobars. What the input did not hold is called inferred; where it held
    a variable only in part, the drawn part is hatched. Coast lines are those of the built-in land-sea mask.

    [bold]Examples[/bold]

    zssd plot out.nc --input psl.nc -o out.png

    zssd plot out.nc --kind spread --var wind --region -30,10,40,65

    zssd plot out.nc --kind spectrum --input psl.nc --reference era5.nc

    zssd plot out.nc --kind animation --time 2050-01-01/2050-01-10 -o storm.gif
    """
    from zssd_cli.commands.run_plot import PlotRequest, execute

    execute(
        PlotRequest(
            file, output, kind, variables, time, members, region, tuple(inputs or ()), tuple(reference or ()), fps
        )
    )
