"""``zssd downscale``: parse, call the engine, show."""

from pathlib import Path
from typing import Annotated

import typer

from zssd_cli import defaults
from zssd_cli.discovery import names


def downscale(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT", help="Files, folders, quoted globs or URLs; - reads a list.", show_default=False
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.nc|OUT.zarr|FOLDER/",
            help="File or Zarr store to write; FOLDER/: one for every model, experiment, member and grid.",
            show_default=False,
        ),
    ],
    variables: Annotated[
        str,
        typer.Option(
            "--vars",
            metavar="NAMES",
            help="Variables to write, comma-separated (ERA5 or CMIP6 names); si10: speed of u10 and v10.",
        ),
    ] = ",".join(defaults.VARIABLES),
    region: Annotated[
        str | None,
        typer.Option(
            metavar="W,E,S,N",
            help="Degrees, or a name such as europe; default: all of the input.",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="START/END",
            help="Dates in the input's calendar, ends included: 2010-01/2010-03.",
            show_default=False,
        ),
    ] = None,
    years: Annotated[
        str | None, typer.Option(metavar="FIRST/LAST", help="Whole years: 2015/2100.", show_default=False)
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="year|month|input", help="An output for each: out_2015.nc, out_2016.nc ...", show_default=False
        ),
    ] = None,
    members: Annotated[int, typer.Option(min=1, metavar="N", help="Draws from the posterior.")] = defaults.MEMBERS,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Same seed, same output.")] = defaults.SEED,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Picture of the first time.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output, start anew.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what an earlier call, stopped or killed, has finished.")
    ] = False,
    time_limit: Annotated[
        str | None,
        typer.Option(metavar="3h50m", help="Stop in time, exit code 75, to go on with --resume.", show_default=False),
    ] = None,
    keep_spread: Annotated[
        bool,
        typer.Option(
            "--keep-spread", help="Write the members' mean and standard deviation (msl_spread ...), not the members."
        ),
    ] = False,
    pack: Annotated[
        bool, typer.Option("--pack", help="Write integers of 2 bytes; the rounding error is said and recorded.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Draw with N processes of this machine, one GPU each where there are some; same bytes as one with their OMP_NUM_THREADS.",
            show_default=False,
            rich_help_panel="Prior and machine",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|FILE.json",
            help="Draw on the workers of a Dask cluster (docs/distributed.md).",
            show_default=False,
            rich_help_panel="Prior and machine",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, with time and memory, and stop.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl", help="With many outputs: a JSON line on what became of each.", show_default=False
        ),
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="nc|zarr", help="Of the outputs in FOLDER/.")] = "nc",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and doubts about the input only.")] = False,
    filter_scale: Annotated[
        str,
        typer.Option(
            metavar="DEGREES|auto",
            help="Side of the blocks whose means the output keeps; auto: from where the input's spectrum leaves the reanalysis'.",
            rich_help_panel="Method",
        ),
    ] = f"{defaults.FILTER_SCALE:g}",
    guidance: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"{', '.join(names('zssd_cli.posterior.guidance'))}; mmps (the network's covariances) and ucg (the paper's) are slower.",
            rich_help_panel="Method",
        ),
    ] = defaults.GUIDANCE,
    sampler: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="dpmpp_2m, dpmpp_2m_long (for few steps), dpmpp_2m_sde, ddim or ddpm; "
            "default of analysis dpmpp_2m_long, of mmps and projection dpmpp_2m, of ucg and dps ddpm.",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="Denoising steps per field; default 8 of dpmpp_2m_long, 12 of other samplers (mmps, projection: 20; ucg, dps: 1000).",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None,
    spacing: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Noise levels: karras, log-snr or long; default karras (dpmpp_2m_long: long; ddpm: its own).",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None,
    obs_error: Annotated[
        str,
        typer.Option(
            metavar="SD|NAME=SD,...",
            help="Error of the block means, in standard deviations of the variable; by variable: msl=0.02,u10=0.1 "
            f"(others {defaults.OBS_ERROR:g}).",
            rich_help_panel="Method",
        ),
    ] = f"{defaults.OBS_ERROR:g}",
    time_noise: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="How long fine scales last: smooth:HOURS (they glide; HOURS until correlation is 1/e), ar1:HOURS (they jitter), "
            "independent (new at every time: flicker) or fixed (the same noise at all times).",
            rich_help_panel="Method",
        ),
    ] = defaults.TIME_NOISE,
    products: Annotated[
        int, typer.Option(metavar="N", help="Back-propagations per step of mmps.", rich_help_panel="Method")
    ] = defaults.PRODUCTS,
    zeta: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Step size of ucg and dps; default: the best that was measured at the blocks' size.",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None,
    any_frequency: Annotated[
        bool, typer.Option("--any-frequency", help="Accept daily or monthly means.", rich_help_panel="Method")
    ] = False,
    subdaily: Annotated[
        str | None,
        typer.Option(
            metavar="HOURS",
            help="Of daily means: draw moments every HOURS (such as 6h) that keep the daily means.",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Doubts about fields (undeclared fill values, wrapped packing, repeated fields) are errors.",
            rich_help_panel="Method",
        ),
    ] = False,
    debias: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Adjust the bias of the block means by a file of zssd debias fit.",
            show_default=False,
            rich_help_panel="Method",
        ),
    ] = None,
    debias_anyway: Annotated[
        bool,
        typer.Option(
            "--debias-anyway", help="Although it was fitted on another model or experiment.", rich_help_panel="Method"
        ),
    ] = False,
    regridder: Annotated[
        str,
        typer.Option(
            metavar="NAME", help=f"auto, {' or '.join(names('zssd_cli.grids.regridders'))}.", rich_help_panel="Method"
        ),
    ] = defaults.AUTO,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Prior; default: the one that ships with zssd.",
            show_default=False,
            rich_help_panel="Prior and machine",
        ),
    ] = None,
    static: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Static fields of fetch-static; default: built-in.",
            show_default=False,
            rich_help_panel="Prior and machine",
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never download weights.", rich_help_panel="Prior and machine")
    ] = False,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="auto, cpu or cuda.", rich_help_panel="Prior and machine")
    ] = defaults.AUTO,
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of the network: auto, float32 or bfloat16; auto is bfloat16 where the machine computes in it.",
            rich_help_panel="Prior and machine",
        ),
    ] = defaults.AUTO,
) -> None:
    """Turn coarse climate-model output into 0.25 degree fields.

    Variables that you ask for and the input lacks are inferred from those it has:
    a file with sea-level pressure gives wind too. The output says which were observed.

    Exit codes: 0 written, 1 an error, 3 some of many outputs failed, 75 stopped by --time-limit.

    [bold]Examples[/bold]

    zssd downscale miroc6_psl.nc --vars msl,u10,v10 -o out.nc

    zssd downscale 'psl_6hr_*.nc' 'uas_6hr_*.nc' --region europe --time 2050-01/2050-02 -o europe.nc

    zssd downscale psl.nc sfcWind.nc -o out.nc    (observed wind speed guides u10 and v10)

    zssd downscale cmip6/ --years 2015/2100 --split year -o fine/ --report fine.jsonl

    find cmip6 -name 'psl_6hr*' | zssd downscale - -o fine/ --resume

    zssd downscale psl_day_*.nc --subdaily 6h --members 8 -o out.nc    (daily means in, moments out)

    zssd downscale psl.nc --region -80,0,20,70 --members 8 -o out.nc --plot out.png

    zssd downscale 'psl_*.nc' --members 8 --keep-spread --pack -o out.zarr --time-limit 3h50m    (again with --resume)

    zssd downscale psl_*.nc --members 8 --workers 4 -o out.zarr
    """
    from zssd_cli.commands import run_archive, run_downscale

    settings = {
        "vars": variables, "region": region, "time": time, "weights": weights, "static": static, "device": device,
        "offline": offline, "strict": strict, "debias": debias, "debias_anyway": debias_anyway,
        "filter_scale": filter_scale, "members": members, "seed": seed, "guidance": guidance, "sampler": sampler,
        "steps": steps, "spacing": spacing, "obs_error": obs_error, "time_noise": time_noise,
        "products": products, "zeta": zeta, "regridder": regridder, "any_frequency": any_frequency, "precision": precision,
        "subdaily": subdaily,
    }  # fmt: skip
    request = run_downscale.DownscaleRequest(
        inputs=tuple(inputs), output=Path(output), overwrite=overwrite, resume=resume, time_limit=time_limit,
        keep_spread=keep_spread, pack=pack, dry_run=dry_run, plot=plot, quiet=quiet, workers=workers, scheduler=scheduler,
    )  # fmt: skip
    run_archive.execute(request, settings, output, years, run_archive.Many(split, report, form))
