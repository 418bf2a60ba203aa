"""From lows to tracks, in the style of TempestExtremes' StitchNodes, and how tracks agree with a best-track list."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import cftime
import numpy as np

from zssd_cli.errors import InputError
from zssd_cli.times import format_time
from zssd_cli.tracking.detection import DEGREE_KM, Low, distance

COLUMNS = ("member", "track", "time", "lat", "lon", "msl_hPa", "wind", "rmw_km", "r17_km")


@dataclass(frozen=True)
class Linking:
    """Which lows are one cyclone, and which cyclones count.

    Attributes
    ----------
    reach
        Largest way in six hours [degrees].
    gap
        Longest time without a low within a track [hours].
    hours
        Shortest time from first to last low.
    wind
        Wind that must be reached at as many times as the track is long at least [m s-1]; without winds nothing is asked.
    """

    reach: float = 8.0
    gap: float = 24.0
    hours: float = 54.0
    wind: float = 10.0


@dataclass(eq=False)
class Track:
    """Lows of one cyclone, by time."""

    points: list[tuple[cftime.datetime, Low]] = field(default_factory=list)

    @property
    def hours(self) -> float:
        """From first to last."""
        return (self.points[-1][0] - self.points[0][0]).total_seconds() / 3600


class Stitcher:
    """Takes the lows time by time; holds the tracks, nothing of the fields."""

    def __init__(self, linking: Linking) -> None:
        self.linking = linking
        self._open: list[Track] = []
        self._closed: list[Track] = []

    def add(self, time: cftime.datetime, lows: Sequence[Low]) -> None:
        """Lows of the next time: the nearest pairs are linked first."""
        since = [(time - track.points[-1][0]).total_seconds() / 3600 for track in self._open]
        self._closed += [track for track, hours in zip(self._open, since, strict=True) if hours > self.linking.gap]
        live = [(t, h) for t, h in zip(self._open, since, strict=True) if h <= self.linking.gap]
        pairs = []
        for k, (track, hours) in enumerate(live):
            last = track.points[-1][1]
            away = [float(distance(low.lat, low.lon, last.lat, last.lon)) for low in lows]
            pairs += [(d, k, n) for n, d in enumerate(away) if d <= self.linking.reach * max(hours, 1e-9) / 6]
        tracks, used = set(), set()
        for _, k, n in sorted(pairs):
            if k not in tracks and n not in used:
                live[k][0].points.append((time, lows[n]))
                tracks.add(k)
                used.add(n)
        self._open = [track for track, _ in live] + [
            Track([(time, low)]) for n, low in enumerate(lows) if n not in used
        ]

    def tracks(self) -> list[Track]:
        """Those that count, by their first time."""
        found = [track for track in (*self._closed, *self._open) if self._counts(track)]
        return sorted(found, key=lambda track: (track.points[0][0], track.points[0][1].pressure))

    def _counts(self, track: Track) -> bool:
        if track.hours < self.linking.hours:
            return False
        winds = np.array([low.wind for _, low in track.points])
        if not np.isfinite(winds).any():
            return True
        steps = np.diff([time for time, _ in track.points])
        step = min((s.total_seconds() / 3600 for s in steps), default=0.0)
        least = int(np.floor(self.linking.hours / step)) + 1 if step else 1
        return int((winds >= self.linking.wind).sum()) >= min(least, len(track.points))


def write_csv(path: Path, members: Iterable[tuple[int, Sequence[Track]]]) -> None:
    """One row a point; numbers that are not known are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for member, tracks in members:
            for number, track in enumerate(tracks):
                for time, low in track.points:
                    row = [f"{low.lat:.3f}", f"{low.lon:.3f}", f"{low.pressure / 100:.2f}"]
                    row += [
                        f"{v:.{d}f}" if np.isfinite(v) else "" for v, d in ((low.wind, 2), (low.rmw, 0), (low.gales, 0))
                    ]
                    rows.writerow([member, number, format_time(time), *row])


PLACED = ("ISO_TIME", "LAT", "LON")
BestTrack = dict[str, dict[tuple[int, ...], tuple[float, float]]]
"""Storm -> (year, month, day, hour, minute) -> latitude, longitude."""


def read_best_tracks(path: Path) -> BestTrack:
    """A CSV of IBTrACS' layout: SID, ISO_TIME, LAT, LON; its second line, of units, is passed over.

    Raises
    ------
    InputError
        A column is absent, or a row is no place and date.
    """
    storms: BestTrack = {}
    # spreadsheets put a mark before the text, and names of storms may be in any encoding
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.DictReader(file)
        absent = {"SID", "ISO_TIME", "LAT", "LON"} - set(rows.fieldnames or ())
        if absent:
            msg = f"{path}: expected the columns SID, ISO_TIME, LAT and LON of IBTrACS, got no {', '.join(sorted(absent))}."
            raise InputError(msg)
        for number, row in enumerate(rows, 2):
            if not row["SID"].strip():
                continue
            try:
                date, place = datetime.fromisoformat(row["ISO_TIME"].strip()), (float(row["LAT"]), float(row["LON"]))
            except (ValueError, TypeError, AttributeError) as error:
                msg = f"{path}, line {number}: expected a date and a place, got {[row[name] for name in PLACED]}. Correct the line."
                raise InputError(msg) from error
            storms.setdefault(row["SID"], {})[date.timetuple()[:5]] = place
    return storms


@dataclass(frozen=True)
class Agreement:
    """Tracks against best tracks: storms and how many were found, tracks and how many match none, mean distance [km]."""

    storms: int
    found: int
    tracks: int
    false: int
    kilometres: float

    @property
    def words(self) -> str:
        """In one line."""
        apart = f", {self.kilometres:.0f} km apart on average" if np.isfinite(self.kilometres) else ""
        return f"{self.found} of {self.storms} storms found, {self.false} of {self.tracks} tracks match none{apart}"


def compare(tracks: Sequence[Track], best: BestTrack, times: Sequence[cftime.datetime], near: float = 3.0) -> Agreement:
    """A storm of the given times is found where a track passes within ``near`` degrees of it at one of them."""
    stamps = {time.timetuple()[:5] for time in times}
    present = {name: {t: p for t, p in way.items() if t in stamps} for name, way in best.items()}
    present = {name: way for name, way in present.items() if way}
    found, matched, away = set(), set(), []
    for number, track in enumerate(tracks):
        for time, low in track.points:
            for name, way in present.items():
                place = way.get(time.timetuple()[:5])
                if place is not None and (d := float(distance(low.lat, low.lon, *place))) <= near:
                    found.add(name)
                    matched.add(number)
                    away.append(d * DEGREE_KM)
    mean = float(np.mean(away)) if away else float("nan")
    return Agreement(len(present), len(found), len(tracks), len(tracks) - len(matched), mean)
