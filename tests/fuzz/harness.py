"""Runs the command line on damaged files, in forked children that are watched: a crash or a hang is a fault of one case.

A case is made by a function of a folder and a seeded generator, so that its number makes it again.
"""

import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import netCDF4
import numpy as np
import torch

from zssd_cli import watchdog
from zssd_cli.app import main
from zssd_cli.climate import covariance

PATIENCE = 30.0
"""Seconds of the processor that a case may take."""
WAIT = 300.0
"""Seconds that it may take on a machine that does other things too."""
MOST_MEMORY = 2 * 1024**3
"""Bytes that a case may take beyond what was taken before."""
Make = Callable[[Path, random.Random], list[str]]
"""Writes damaged files into a folder and says what to type; ``out`` is the output."""
Report = Callable[[int, str], None]


@dataclass
class Tally:
    """What came of the cases: exit codes and their counts, faults by the number of the case."""

    codes: dict[int, int] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)


def run_cases(
    make: Make, cases: range, folder: Path, seed: int = 0, report: Report = lambda case, fault: None
) -> Tally:
    """Run all cases, a new child after each that ended its child; ``report`` is called with every case and its fault."""
    tally, waiting = Tally(), cases
    while waiting:
        here, there = multiprocessing.Pipe(duplex=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = multiprocessing.get_context("fork").Process(
                target=_child, args=(here, there, make, waiting, folder, seed)
            )
            child.start()
        there.close()
        waiting = _listen(here, child, waiting, tally, report, folder)
    return tally


def _listen(
    here: Connection, child: multiprocessing.Process, waiting: range, tally: Tally, report: Report, folder: Path
) -> range:  # fmt: skip
    """Take down what a child says; the cases after the one that ended it."""
    for case in waiting:
        code, fault, ended = None, "", False
        try:
            if not (hanging := _hangs(here, child)):
                code, fault = here.recv()
            else:
                child.kill()
                fault, ended = hanging, True
        except EOFError:
            child.join()
            code, ended = child.exitcode, True
            fault = _ended(code, folder / str(case))
        if code is not None and not (ended and fault):
            tally.codes[code] = tally.codes.get(code, 0) + 1
        if fault:
            tally.faults[case] = fault
        report(case, fault)
        if ended:
            child.join()
            return waiting[waiting.index(case) + 1 :]
    child.join()
    return range(0)


def _ended(code: int | None, place: Path) -> str:
    """What is wrong with a child that ended: nothing where it stopped itself with a reason, as openings that never end are."""
    shown, scratch = place.with_name("shown.txt"), place.with_name(place.name + ".tmp")
    last = shown.read_text(errors="replace").strip().splitlines()[-1:] if shown.is_file() else []
    left = [path.name for path in (*place.glob("*out*"), *scratch.glob("*")) if "torchinductor_" not in path.name]
    for folder in (place, scratch):
        shutil.rmtree(folder, ignore_errors=True)
    if code != 1 or not last or not last[0].startswith("zssd: error: "):
        return f"the process ends with {code}"
    return f"leaves {', '.join(left)}" if left else ""


def _hangs(here: Connection, child: multiprocessing.Process) -> str:
    """Nothing where a case ends within its time."""
    began, used = time.monotonic(), _processor(child)
    while not here.poll(1.0):
        took, waited = _processor(child) - used, time.monotonic() - began
        if took > PATIENCE or waited > WAIT:
            return f"hangs: {took:.0f} s of the processor in {waited:.0f} s"
    return ""


def _processor(child: multiprocessing.Process) -> float:
    """Seconds that a child has computed, where Linux says so."""
    try:
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child(here: Connection, there: Connection, make: Make, cases: range, folder: Path, seed: int) -> None:
    # so that it ends with its parent
    here.close()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    watchdog.LIMIT, covariance.band_spectrum = PATIENCE / 6, _remembered
    for case in cases:
        place = folder / str(case)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        there.send(run_case(make, place, random.Random(f"{seed}-{case}")))
        shutil.rmtree(place)
    there.close()


_SPECTRA: dict[bytes, covariance.BandSpectrum] = {}
_diagonalise = covariance.band_spectrum


def _remembered(lags: torch.Tensor, red: Sequence[int] = ()) -> covariance.BandSpectrum:
    """The same for the same prior, whatever file is damaged: a third of the time of a case whose input can be read."""
    key = lags.numpy().tobytes() + bytes(red)
    if key not in _SPECTRA:
        _SPECTRA[key] = _diagonalise(lags, red=red)
    return _SPECTRA[key]


def run_case(make: Make, place: Path, rng: random.Random) -> tuple[int, str]:
    """Exit code of one case, and what is wrong with how it ended, or nothing."""
    words = make(place, rng)
    before, scratch = set(place.iterdir()), place.with_name(place.name + ".tmp")
    scratch.mkdir(exist_ok=True)
    tempfile.tempdir, os.environ["TMPDIR"] = str(scratch), str(scratch)
    memory = _peak(reset=True)
    with _captured(place.with_name("shown.txt")) as shown:
        code = _call(words)
    text = shown.read_text(errors="replace")
    fault = _judged(code, text, place, set(place.iterdir()) - before)
    # torch makes a folder for what it compiles when a part of it is imported
    if left := [path.name for path in scratch.iterdir() if not path.name.startswith("torchinductor_")]:
        fault = fault or f"leaves {', '.join(left)} in the temporary folder"
    if _peak() - memory > MOST_MEMORY:
        fault = fault or f"takes {(_peak() - memory) / 1e9:.1f} GB"
    shutil.rmtree(scratch)
    return code, fault


def _call(words: list[str]) -> int:
    try:
        main(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException as error:
        os.write(2, f"Traceback: {type(error).__name__} {error}".encode())
        return 99
    return 0


def _judged(code: int, text: str, place: Path, new: set[Path]) -> str:
    last = text.strip().splitlines()[-1] if text.strip() else ""
    for word in ("Traceback", "internal error", "Exception ignored", "Aborted"):
        if word in text:
            at = text.index(word)
            return " ".join(text[at : at + 600].split())
    if code not in (0, 1):
        return f"exit code {code}: {last[:300]}"
    if code == 1 and not last.startswith("zssd: error: "):
        return f"exit code 1 without a reason: {last[:300]}"
    made = {path for path in new if path.stem == "out" and code == 0}
    if "Kept       " in text:
        # finished batches stay for --resume, and that is said
        made |= {path for path in new if path.name == "out.nc.parts"}
    if new - made:
        return f"leaves {', '.join(path.name for path in new - made)}"
    return next((said for path in made if (said := _not_finite(path))), "")


def _not_finite(path: Path) -> str:
    """What of an output is neither finite nor declared missing."""
    if path.suffix != ".nc":
        return ""
    with netCDF4.Dataset(path) as data:
        for name, variable in data.variables.items():
            values = variable[...]
            if values.dtype.kind != "f":
                continue
            there = np.ma.compressed(np.ma.asarray(values))
            if not np.isfinite(there).all() or (there.size and abs(there).max() > 1e20):
                return f"{name} of the output is not finite ({int((~np.isfinite(there)).sum())} of {there.size})"
    return ""


@contextlib.contextmanager
def _captured(path: Path) -> Iterator[Path]:
    """Both streams of this process and of its children in a file."""
    kept = os.dup(1), os.dup(2)
    target = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115  pytest has put others there
    try:
        yield path
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        sys.stdout, sys.stderr = streams
        for stream, number in zip((1, 2), kept, strict=True):
            os.dup2(number, stream)
            os.close(number)


def _peak(*, reset: bool = False) -> int:
    """Bytes of memory that this process has had at most since the last reset, where Linux counts that."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        line = next(li for li in Path("/proc/self/status").read_text().splitlines() if li.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0
    return int(line.split()[1]) * 1024
