"""Kill every command at random moments by SIGKILL, SIGTERM and SIGINT: what was there stays as it was, or the new is whole.

python benchmarks/kills.py [--kills 10] [--seed 0] [--only COMMAND ...]

Tiny priors and files of the tests. A command is forked with its imports done, so that the moments, drawn from the length of
a whole run, lie within its work. Before each kill the target holds an old text. After it the target must hold that text or
a whole file; after SIGTERM and SIGINT no half-written file may lie beside it, and the exit code must be 143 or 130. At the
end a run that nobody kills must succeed, and nothing half-written may be left.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import netCDF4
import torch
import xarray as xr

from tests.commands.conftest import FAST, Model, toy_prior
from tests.commands.test_archive import NAME
from tests.commands.test_train import TINY_YAML
from tests.commands.test_train_latent import SETTINGS
from tests.debias.made import FUTURE, GCM, MODEL, dates, write
from tests.fuzz.makers import groundwater, latent
from tests.worlds import write_world
from zssd_cli.app import main
from zssd_cli.grids.latlon import Region
from zssd_cli.prior import registry
from zssd_cli.prior.checkpoint import read_safetensors, save_prior
from zssd_cli.static import load_static

OLD = "precious"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


FETCHED = "darcy-grf"


def commands(folder: Path) -> dict[str, tuple[list[str], list[Path]]]:
    """What to type and the targets, by name."""
    save_prior(folder / "toy.safetensors", toy_prior(load_static().sha256))
    coarse = Model(folder)("in.nc", ("psl", "uas", "vas"), hours=[6.0 * k for k in range(3)])
    weights = ["--weights", str(folder / "toy.safetensors")]
    draw = ["downscale", str(coarse), *FAST, *weights, "--members", "2", "-q"]
    spawn(draw + ["-o", str(folder / "fine.nc")], wait=True)
    world = write_world(folder / "era5.nc", Region(-6, 0, 44, 50), times=3)
    truth = write_world(folder / "truth.nc", Region(0, 10, 40, 50), times=3)
    with netCDF4.Dataset(truth, "a") as data:
        data["time"].units = "hours since 2010-01-01"
    (folder / "tiny.yaml").write_text(TINY_YAML.replace("steps: 4", "steps: 40") + "checkpoint_minutes: 0.0005\n")
    wells, domain = groundwater(folder)
    span = (3, "noleap", 4)
    roles = {
        "reference": write(folder / "era.nc", ["psl"], dates(2000, 3, step=4), seed=1),
        "historical": write(folder / "hist.nc", ["psl"], dates(2000, *span), MODEL, seed=11, attributes=GCM),
        "target": write(
            folder / "ssp.nc", ["psl"], dates(2050, *span), replace(MODEL, shift=2.0), seed=21, attributes=FUTURE
        ),
    }
    (folder / "latent.yaml").write_text(SETTINGS.replace("_steps: 2", "_steps: 30") + "checkpoint_minutes: 0.0005\n")
    archive, runs = Model(folder / "archive"), ("r1i1p1f1", "r2i1p1f1")
    archive.folder.mkdir()
    for run in runs:
        name = NAME.format("psl", run, "201001010000-201001010600")
        archive(name, hours=(0.0, 6.0), attributes={"variant_label": run})
    serve(folder)
    fit = [word for role, path in roles.items() for word in (f"--{role}", str(path))]
    found = {
        "downscale to NetCDF": ([*draw, "-o"], "out.nc"),
        "downscale to Zarr": ([*draw, "-o"], "out.zarr"),
        "train": (["train", str(world), "--config", str(folder / "tiny.yaml"), "-o"], "out.safetensors"),
        "evaluate --json": (["evaluate", str(folder / "fine.nc"), "-r", str(truth), "--paired", "--json"], "out.json"),
        "fetch-static": (["fetch-static", "-o"], "static.nc"),
        "invert": (
            ["invert", str(wells), "--domain", str(domain), "--prior", str(latent(folder)), "--members", "4",
             "--restarts", "1", "--steps", "20", "-q", "-o"], "k.nc",
        ),
        "plot": (["plot", str(folder / "fine.nc"), "-o"], "out.png"),
        "track": (["track", str(folder / "fine.nc"), "-o"], "tracks.csv"),
        "inspect --json": (["inspect", str(coarse), "--thorough", "--json"], "inspect.json"),
        "debias fit": (
            ["debias", "fit", *fit, "--vars", "psl", "--region", "10,20,35,45", "--window", "month", "-o"], "bias.nc",
        ),
        "train, latent": (["train", "--config", str(folder / "latent.yaml"), "-o"], "latent.safetensors"),
    }  # fmt: skip
    # what is drawn or listed from an output is written anew without being told
    anew = {"plot", "track", "inspect"}
    made = folder / "made"
    one = {
        name: (
            [*words, str(made / target), *([] if words[0] in anew else ["--overwrite"])],
            [made / target],
        )
        for name, (words, target) in found.items()
    }
    outputs = [made / f"TOY-ESM_ssp245_{run}_gn_201001010000-201001010600.nc" for run in runs]
    many = ["downscale", str(archive.folder), *FAST, *weights, "-q", "-o", f"{made}/", "--overwrite"]
    fetched = (["weights", "fetch", FETCHED], [made / f"{FETCHED}.safetensors"])
    return one | {"downscale to a folder": (many, outputs), "weights fetch": fetched}


def serve(folder: Path) -> None:
    """A server of this machine that takes a second for the prior, which is not shipped; the cache is the folder of outputs."""
    data = (registry.shipped_folder() / f"{FETCHED}.safetensors").read_bytes()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):
                for at in range(0, len(data), len(data) // 50):
                    self.wfile.write(data[at : at + len(data) // 50])
                    time.sleep(0.02)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True).start()
    (folder / "unshipped").mkdir()
    shutil.copy(registry.shipped_folder() / "registry.toml", folder / "unshipped")
    registry.shipped_folder = lambda: folder / "unshipped"
    os.environ |= {"ZSSD_WEIGHTS_URL": f"http://127.0.0.1:{server.server_port}/", "ZSSD_CACHE": str(folder / "made")}
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        os.environ.pop(proxy, None)


def spawn(words: list[str], *, wait: bool = False) -> int:
    """The command in a forked child; its number, or its exit code."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            quiet = os.open(os.environ.get("KILLS_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(quiet, stream)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if wait else child


def whole(path: Path) -> bool:
    """Whether a target can be read from its beginning to its end."""
    if path.suffix == ".nc":
        with netCDF4.Dataset(path) as data:
            return all(variable[...].size for variable in data.variables.values())
    if path.suffix == ".zarr":
        with xr.open_zarr(path, consolidated=None) as data:
            return bool(data.load().sizes)
    if path.suffix == ".safetensors":
        return bool(read_safetensors(path)[0])
    if path.suffix == ".png":
        return path.read_bytes().rstrip().endswith(b"IEND\xaeB`\x82")
    text = path.read_text()
    return bool(text) and text.endswith(("}\n", "}", "\n"))


def attack(words: list[str], targets: list[Path], kills: int, rng: random.Random) -> tuple[dict[str, int], float]:
    """Counts of what was seen over all signals, and the seconds of a whole run."""
    names = "killed", "finished first", "old kept", "new whole", "faults", "half-written after SIGKILL"
    counts = dict.fromkeys(names, 0)
    folder, is_store, before = targets[0].parent, targets[0].suffix == ".zarr", set[Path]()

    def bring_back() -> None:
        for target in targets:
            if not is_store:
                target.write_text(OLD)

    spawn(words, wait=True)
    bring_back()
    began = time.monotonic()
    if code := spawn(words, wait=True):
        sys.exit(f"{' '.join(words)}: exit code {code}")
    length = time.monotonic() - began
    for number in SIGNALS:
        for _ in range(kills):
            bring_back()
            child = spawn(words)
            time.sleep(rng.uniform(0.0, length))
            os.kill(child, number)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            counts["killed" if code else "finished first"] += 1
            new = [target for target in targets if is_store or target.read_bytes() != OLD.encode()]
            counts["new whole" if len(new) == len(targets) else "old kept"] += 1
            half = half_written(folder)
            fault = "" if all(whole(target) for target in new) else "a target is half-written"
            if number == signal.SIGKILL:
                counts["half-written after SIGKILL"] += bool(half)
            elif half - before:
                fault = f"leaves {half - before}"
            elif code not in (0, 128 + number, -number):
                fault = f"exit code {code}"
            if fault:
                counts["faults"] += 1
                print(f"  {number.name}: {fault}", flush=True)
            before |= half
    for resumed in folder.glob("*.parts"):
        print(f"  stays to go on from: {resumed.name}", flush=True)
    if code := spawn(words, wait=True):
        counts["faults"] += 1
        print(f"  the run after the kills: exit code {code}", flush=True)
    left = [path.name for path in folder.iterdir() if path not in targets]
    if left:
        print(f"  left after that: {', '.join(left)}", flush=True)
        counts["faults"] += any(name.endswith((".part", ".old")) for name in left)
    return counts, length


def half_written(folder: Path) -> set[Path]:
    """What is not whole: our temporary names, and pooch's in a cache (which are swept after a day)."""
    return {path for path in folder.iterdir() if path.name.endswith((".part", ".old")) or path.name.startswith("tmp")}


def run() -> None:
    """Every command in turn; a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="of each signal")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(1)
    faults = 0
    with tempfile.TemporaryDirectory(prefix="zssd-kills-") as name:
        (Path(name) / "made").mkdir()
        for command, (words, targets) in commands(Path(name)).items():
            if options.only and not any(command.startswith(wanted) for wanted in options.only):
                continue
            counts, length = attack(words, targets, options.kills, random.Random(f"{options.seed} {command}"))
            faults += counts["faults"]
            told = ", ".join(f"{what} {count}" for what, count in counts.items())
            print(f"{command} ({length:.1f} s, {3 * options.kills} signals): {told}", flush=True)
            for left in (Path(name) / "made").iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    run()
