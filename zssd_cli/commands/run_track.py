"""What ``zssd track`` does after its options are parsed: open, detect time by time, link, write, say."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import cftime
import netCDF4
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from zssd_cli.commands.shared import Page, bar, check_picture, check_targets, say
from zssd_cli.errors import InputError
from zssd_cli.evaluation.alignment import OutputFile, open_output, refuse_means
from zssd_cli.evaluation.views import COMPONENTS, PRESSURE, WIND, View, open_view
from zssd_cli.files import ZARR, atomic_path
from zssd_cli.outputs.layout import KEPT
from zssd_cli.series.listing import expand
from zssd_cli.series.reading import Source, open_source
from zssd_cli.tracking.detection import Criteria, detect
from zssd_cli.tracking.stitching import Linking, Stitcher, Track, compare, read_best_tracks, write_csv
from zssd_cli.watchdog import watched

Fields = tuple[np.ndarray, np.ndarray | None]
COLUMNS = TextColumn("Tracking"), BarColumn(), MofNCompleteColumn(), TextColumn("times, left"), TimeRemainingColumn()


class Archive:
    """Pressure and wind of files, members or not, one field at a time."""

    def __init__(self, opened: OutputFile | Source) -> None:
        self.opened, self.times = opened, opened.times
        if PRESSURE not in opened.variables:
            msg = f"expected sea level pressure, got {', '.join(opened.variables)}. Cyclones are found in pressure."
            raise InputError(msg)
        if isinstance(opened, OutputFile):
            refuse_means(opened)
        self.view: View | None = open_view(opened) if isinstance(opened, OutputFile) else None
        grid = opened.grid if isinstance(opened, OutputFile) else opened.cells[PRESSURE].grid
        if grid is None:
            msg = "expected latitudes and longitudes as axes, got cells of another kind. Downscale or regrid the files first."
            raise InputError(msg)
        self.grid, self.members = grid, self.view.members if self.view is not None else (0,)
        self.windy = set(COMPONENTS) <= set(opened.variables)
        if isinstance(opened, Source) and self.windy:
            self.windy = all(opened.cells[part] is opened.cells[PRESSURE] for part in COMPONENTS)

    def read(self, index: int, member: int) -> Fields:
        """Pressure and, where there is any, wind speed."""
        if self.view is not None:
            wind = self.view.field(WIND, index, member) if self.windy else None
            return self.view.field(PRESSURE, index, member), wind
        source = self.opened
        pressure, *parts = (
            source.fields(name, index, index + 1)[0]  # type: ignore[union-attr]
            for name in (PRESSURE, *(COMPONENTS if self.windy else ()))
        )
        return pressure, np.hypot(*parts) if parts else None


def execute(
    files: tuple[str, ...], output: Path, plot: Path | None, best: Path | None, criteria: Criteria, linking: Linking
) -> None:
    """Track and write."""
    console = Page(stderr=True)
    given = expand(files)
    check_picture(plot)
    check_targets({"-o": output, "--plot": plot}, lambda: (*given, *([best] if best is not None else [])))
    storms = None if best is None else read_best_tracks(best)
    with closing(_open(given)) as opened:
        archive = Archive(opened)
        with bar(console, *COLUMNS) as progress:
            task = progress.add_task("", total=len(archive.times) * len(archive.members))
            found = []
            for member in archive.members:
                stitcher = Stitcher(linking)
                for time, fields in _fields(archive, member):
                    stitcher.add(time, detect(fields[0], archive.grid.lat, archive.grid.lon, fields[1], criteria))
                    progress.advance(task)
                found.append((member, stitcher.tracks()))
        with atomic_path(output) as temporary:
            write_csv(temporary, found)
        for member, tracks in found:
            say(console, f"Member {member}   {_words(tracks)}")
            if storms is not None:
                agreed = compare(tracks, storms, archive.times)
                say(console, f"           {agreed.words}")
    drawn = plot is not None and any(tracks for _, tracks in found)
    if plot is not None and drawn:
        from zssd_cli.pictures.routes import route_picture

        route_picture([_route(track) for _, tracks in found for track in tracks], f"Tracks of {given[0].name}").save(
            plot
        )
    say(console, f"Wrote      {output}" + (f" and {plot}" if drawn else ""))


def _route(track: Track) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lows = [low for _, low in track.points]
    return (
        np.array([low.lat for low in lows]),
        np.array([low.lon for low in lows]),
        np.array([low.pressure / 100 for low in lows]),
    )


def _open(files: Sequence[Path]) -> OutputFile | Source:
    """An output of ours with its members, else any fields that zssd reads."""
    if len(files) == 1 and (files[0].suffix == ZARR or _is_ours(files[0])):
        return open_output(files[0])
    return open_source(list(files), [PRESSURE, *COMPONENTS])


def _is_ours(path: Path) -> bool:
    try:
        with watched(path), netCDF4.Dataset(path) as data:
            return "member" in data.dimensions or KEPT in data.ncattrs()
    except OSError:
        return False


def _fields(archive: Archive, member: int) -> Iterator[tuple[cftime.datetime, Fields]]:
    for index, time in enumerate(archive.times):
        yield time, archive.read(index, member)


def _words(tracks: list[Track]) -> str:
    lows = [low for track in tracks for _, low in track.points]
    if not lows:
        return "no track"
    winds = [low.wind for low in lows if np.isfinite(low.wind)]
    strongest = f", strongest wind {max(winds):.1f} m s-1" if winds else ""
    return f"{len(tracks)} tracks, {len(lows)} points, deepest {min(low.pressure for low in lows) / 100:.1f} hPa{strongest}"
