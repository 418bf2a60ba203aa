"""A NetCDF file on which HDF5 loops for ever ends the command with one line, and so does a signal that comes meanwhile."""

import ast
import hashlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.commands.conftest import Model, toy_prior
from tests.fuzz.makers import groundwater, latent
from zssd_cli import watchdog
from zssd_cli.app import main
from zssd_cli.files import atomic_folder, atomic_path, scratch_folder
from zssd_cli.prior.checkpoint import save_prior
from zssd_cli.static import load_static

pytestmark = pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="the system tells no thread's time")
PACKAGE = Path(watchdog.__file__).parent


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """HDF5 looks for the next object of a heap 2^64 bytes after this one: here again."""
    data = bytearray(Model(tmp_path_factory.mktemp("endless"))("sound.nc", ("psl", "uas", "vas")).read_bytes())
    first = data.index(b"GCOL") + 16
    data[first + 8 : first + 16] = (2**64 - 16).to_bytes(8, "little")
    path = tmp_path_factory.mktemp("given") / "endless.nc"
    path.write_bytes(data)
    return path


def forked(work, said, limit=0.3, after=None):
    """Exit code and words of a child that opens; ``after`` is done with its number meanwhile."""
    child = os.fork()
    if child == 0:
        target = os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(target, stream)
        watchdog.LIMIT, watchdog.PATIENCE, watchdog.armed = limit, 0.5, True
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            sys.stderr = sys.__stderr__ = open(2, "w", closefd=False)  # noqa: SIM115  pytest has put another there
            work()
        except SystemExit as stop:
            os._exit(int(stop.code or 0))
        finally:
            os._exit(99)
    if after is not None:
        after(child)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.read_text()


def burn():
    """Seconds of the processor in C, where Python's handlers do not run but other threads do."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)


@pytest.mark.parametrize(
    "words",
    [
        "inspect FILE",
        "downscale FILE -o OUT.nc",
        "plot FILE -o OUT.png",
        "track FILE -o OUT.csv",
        "evaluate FILE --reference FILE --json OUT.json",
        "debias fit --reference FILE --historical FILE --vars psl -o OUT.nc",
        "downscale SOUND --debias FILE -o OUT.nc",
        "train FILE -o OUT.safetensors",
        "invert FILE --domain DOMAIN --prior LATENT -o OUT.nc",
        "downscale SOUND --static FILE -o OUT.nc",
    ],
)
def test_every_command_ends(words, endless, tmp_path):
    wells, domain = groundwater(tmp_path)
    sound = Model(tmp_path)("sound.nc", ("psl", "uas", "vas"))
    names = {"FILE": endless, "DOMAIN": domain, "LATENT": latent(tmp_path), "SOUND": sound}
    (made := tmp_path / "made").mkdir()
    typed = [str(names.get(word, word)).replace("OUT", str(made / "out")) for word in words.split()]
    save_prior(tmp_path / "toy.safetensors", toy_prior(load_static().sha256))
    typed += ["--weights", str(tmp_path / "toy.safetensors")] if typed[0] == "downscale" else []
    # a sound file may take some tenths of a second where libraries are imported meanwhile
    code, said = forked(lambda: main(typed), tmp_path / "said.txt", 1.5)
    assert code == 1, said
    last = said.strip().splitlines()[-1]
    assert f"zssd: error: {endless}: its opening never ends in the NetCDF library" in last
    assert "damaged" in last
    assert not list(made.iterdir())
    assert wells.exists()


def test_what_is_half_written_is_removed(tmp_path):
    (tmp_path / "store.zarr").mkdir()
    (tmp_path / "store.zarr" / "old").write_text("old")

    def work():
        with (
            atomic_path(tmp_path / "a.nc") as file,
            atomic_folder(tmp_path / "store.zarr") as store,
            scratch_folder(tmp_path / "b.nc") as scratch,
        ):
            for path in (file, store / "half", scratch / "half"):
                path.write_text("half")
            with watchdog.watched(Path("given.nc")):
                burn()

    code, said = forked(work, tmp_path / "said.txt")
    assert (code, said.count("given.nc: its opening never ends")) == (1, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["said.txt", "store.zarr"]
    assert [path.name for path in (tmp_path / "store.zarr").iterdir()] == ["old"]


@pytest.mark.parametrize(("number", "code", "word"), [
    (signal.SIGTERM, 143, "terminated by SIGTERM"), (signal.SIGHUP, 129, "terminated by SIGHUP"), (signal.SIGINT, 130, "interrupted"),
])  # fmt: skip
def test_a_signal_is_heard_meanwhile(number, code, word, endless, tmp_path):
    def send(child):
        time.sleep(1.0)
        os.kill(child, number)

    ended, said = forked(lambda: main(["inspect", str(endless)]), tmp_path / "said.txt", 600.0, send)
    assert (ended, said.strip().splitlines()[-1]) == (code, f"zssd: {word}")


def test_waiting_is_no_loop_and_other_threads_do_not_count(tmp_path):
    def work():
        threading.Thread(target=burn, daemon=True).start()
        with watchdog.watched(Path("on a tape.nc")):
            time.sleep(2.0)
        os._exit(7)

    assert forked(work, tmp_path / "said.txt") == (7, "")


def test_an_opening_that_ends_leaves_no_thread_and_no_file(tmp_path):
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with watchdog.watched(tmp_path):
            pass
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_sigusr1_is_heard_meanwhile_by_a_command_that_minds_it(endless, tmp_path):
    """Slurm's warning, which ``downscale`` stops at; a command that does not is ended by the system."""

    def send(child):
        time.sleep(4.0)
        os.kill(child, signal.SIGUSR1)

    words = ["downscale", str(endless), "-o", str(tmp_path / "out.nc")]
    ended, said = forked(lambda: main(words), tmp_path / "said.txt", 600.0, send)
    assert (ended, said.strip().splitlines()[-1]) == (138, "zssd: stopped by SIGUSR1")


def unwatched(tree):
    """Calls that open NetCDF to read it outside of the body, or before the item, of a ``with`` that says ``watched``."""
    found = []

    def look(node, watched):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            # its body runs whenever it is called
            watched = getattr(node, "name", "") in OPENING
        if isinstance(node, ast.With):
            for item in node.items:
                look(item.context_expr, watched)
                watched = watched or ast.unparse(item.context_expr).startswith("watched(")
            for inner in node.body:
                look(inner, watched)
            return
        if isinstance(node, ast.Call) and not watched:
            name, text = ast.unparse(node.func), ast.unparse(node)
            other = "'w'" in text or "cfgrib" in text or "engine='zarr'" in text
            if name in {"netCDF4.Dataset", "xr.open_dataset", *OPENING} and not other:
                found.append(text)
        for inner in ast.iter_child_nodes(node):
            look(inner, watched)

    look(tree, False)
    return found


OPENING = {"_open_netcdf", "refuse_foreign", "_groups_with_fields"}
"""Functions that open, and are called where ``watched`` was said."""


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_file_is_opened_unwatched(path):
    assert unwatched(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("with watched(p), netCDF4.Dataset(p) as data: pass", 0),
        ("with reading(p), watched(p):\n  data = xr.open_dataset(p)", 0),
        ("with watched(p):\n  with netCDF4.Dataset(p): pass", 0),
        ("with netCDF4.Dataset(p) as data, watched(p): pass", 1),
        ("with watched(p): pass\ndata = xr.open_dataset(p)", 1),
        ("def f():\n  with watched(p): pass\n  return netCDF4.Dataset(p)", 1),
        ("with watched(p):\n  def f(): return netCDF4.Dataset(p)", 1),
        ("_open_netcdf(p)", 1),
        ("def _open_netcdf(p): return xr.open_dataset(p)", 0),
        ("netCDF4.Dataset(p, 'w')", 0),
    ],
)
def test_the_search_for_unwatched_openings_finds_them(source, count):
    assert len(unwatched(ast.parse(source))) == count
