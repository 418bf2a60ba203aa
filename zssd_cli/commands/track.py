"""``zssd track``: cyclones and their tracks."""

from pathlib import Path
from typing import Annotated

import typer


def track(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE", help="An output of zssd downscale, ERA5, or coarse psl alone.", show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="TRACKS.csv", help="One row a point.", show_default=False)
    ],
    best_track: Annotated[
        Path | None,
        typer.Option(
            metavar="IBTRACS.csv", help="Storms to compare with: SID, ISO_TIME, LAT, LON.", show_default=False
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Map of all tracks.", show_default=False)
    ] = None,
    min_wind: Annotated[float, typer.Option(min=0, metavar="M/S", help="Wind that a track must reach.")] = 10.0,
    min_hours: Annotated[float, typer.Option(min=0, metavar="H", help="Shortest life; 0 for single times.")] = 54.0,
    max_step: Annotated[float, typer.Option(min=0, metavar="DEG", help="Largest way in six hours.")] = 8.0,
    max_gap: Annotated[float, typer.Option(min=0, metavar="H", help="Longest gap within a track.")] = 24.0,
    rise: Annotated[float, typer.Option(min=1, metavar="PA", help="Rise of pressure to the closed contour,")] = 200.0,
    within: Annotated[float, typer.Option(min=0.5, max=30, metavar="DEG", help="within so many degrees.")] = 5.5,
    merge: Annotated[float, typer.Option(min=0, metavar="DEG", help="Lows closer than this are one.")] = 6.0,
    max_latitude: Annotated[
        float, typer.Option(min=0, max=90, metavar="DEG", help="Lows poleward are left out.")
    ] = 90.0,
    wind_radius: Annotated[
        float, typer.Option(min=0.1, max=20, metavar="DEG", help="The strongest wind is looked for so near.")
    ] = 3.0,
) -> None:
    """Find lows with closed contours of pressure, their wind, and link them to tracks, member by member.

    In the style of TempestExtremes' DetectNodes and StitchNodes; no warm core is asked for, so that extratropical lows count
    too. Without winds their columns stay empty and no wind is asked for.

    [bold]Examples[/bold]

    zssd track out.nc -o tracks.csv

    zssd track psl_*.nc -o coarse.csv --max-latitude 40

    zssd track out.nc -o tracks.csv --best-track ibtracs.csv
    """
    from zssd_cli.commands.run_track import execute
    from zssd_cli.tracking.detection import Criteria
    from zssd_cli.tracking.stitching import Linking

    criteria = Criteria(rise, within, merge, wind_radius, max_latitude)
    execute(tuple(files), output, plot, best_track, criteria, Linking(max_step, max_gap, min_hours, min_wind))
