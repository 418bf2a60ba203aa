"""LD-DIM beside grid inversion, ESMDA, PCGA, a PINN and a physics-embedded VAE over held-out fields: one command.

    python examples/groundwater/compare.py -o comparison                                    # all of it: hours
    python examples/groundwater/compare.py -o comparison --fields 2 --sensors 36 --noise 1 --quick

Every finished case is one line in OUT/results.jsonl; a run leaves out what is there already, so it can be stopped, taken
up again and enlarged (--fields 20 --inits 1 first, --fields 3 --inits 10 later). At its end OUT holds table.md, table.json and
figures. The priors are the registered darcy-grf and darcy-bimaterial, or files: --grf FILE --bimaterial FILE.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from bed import Bed, Estimate, measure
from esmda import invert_by_esmda
from grid_inversion import invert_on_grid
from pcga import invert_by_pcga
from pe_vae import invert_by_pe_vae
from pinn import invert_by_pinn
from summary import write_summary
from torch import Tensor

from zssd_cli.inversion.checkpoint import load_latent_prior
from zssd_cli.inversion.posterior import invert
from zssd_cli.inversion.settings import InversionSettings
from zssd_cli.prior.registry import locate

PAPER = "ld-dim-chain"
"""LD-DIM with the start of the chain as its unknown; on demand only."""
GAUSSIAN, DECODER = "ld-dim-gaussian", "ld-dim-decoder"
"""LD-DIM whose members begin as Gaussian latents instead of the diffusion model's, and the decoder's range alone; on demand only."""
LD_DIM = ("ld-dim", PAPER, GAUSSIAN, DECODER)
METHODS = ("ld-dim", "tikhonov", "tv", "esmda", "esmda-local", "pcga", "pinn", "pe-vae")
KINDS = ("grf", "bimaterial")


@dataclass(frozen=True)
class Effort:
    """How much every method may do."""

    members: int = 64
    smoothed: int = 256
    starts: int = 3
    grid_steps: int = 100
    esmda: tuple[tuple[str, int, int], ...] = (("grf", 292, 8), ("bimaterial", 512, 15))
    """Members and assimilations by kind: about as many flow solutions as LD-DIM uses with the settings above."""
    pcga_steps: int = 10
    pinn_steps: int = 2000
    vae_steps: int = 600


QUICK = Effort(
    members=8,
    smoothed=32,
    starts=2,
    grid_steps=12,
    esmda=(("grf", 24, 4), ("bimaterial", 24, 4)),
    pcga_steps=2,
    pinn_steps=200,
    vae_steps=60,
)


class NoFlow(torch.nn.Module):
    """The diffusion model of a Gaussian."""

    def forward(self, w: Tensor, _: Tensor) -> Tensor:
        """F = 0."""
        return torch.zeros_like(w)


def ld_dim(
    bed: Bed, data: Tensor, error: Tensor, init: int, effort: Effort, prior_file: str, name: str
) -> dict[str, Estimate]:
    """Maximum a posteriori and mean of the members (of the decoder alone a fit from the centre, which stops at the noise)."""
    prior, _ = load_latent_prior(Path(prior_file))
    prior = replace(prior, through_chain=name == PAPER)
    if name in (GAUSSIAN, DECODER):
        prior = replace(prior, flow=NoFlow())
    if name == DECODER:
        prior = replace(prior, whitening=replace(prior.whitening, root=10 * prior.whitening.root))
    settings = InversionSettings(
        starts=1 if name == DECODER else effort.starts, members=0 if name == DECODER else effort.members, seed=init,
        discrepancy=1.0, smoothed=effort.smoothed,
        ensemble="smoother" if prior.binary and name not in (PAPER, DECODER) else "rml",
    )  # fmt: skip
    found = invert(prior, bed.forward, data, error, settings)
    if name == DECODER:
        return {f"{name} map": Estimate(prior.finish(found.map_field), found.solves)}
    members = torch.stack([prior.finish(one) for one in found.members])
    return {
        f"{name} map": Estimate(prior.finish(found.map_field), found.solves, members),
        f"{name} mean": Estimate(members.mean(1), found.solves, members),
    }


def run(
    method: str, bed: Bed, data: Tensor, error: Tensor, init: int, effort: Effort, priors: dict[str, str]
) -> dict[str, Estimate]:
    """One method on P data sets from one initialisation; estimates by their name in the table."""
    if method in LD_DIM:
        return ld_dim(bed, data, error, init, effort, priors[bed.kind], method)
    members, assimilations = next((m, a) for kind, m, a in effort.esmda if kind == bed.kind)
    calls: dict[str, Callable[[], Estimate]] = {
        "tikhonov": lambda: invert_on_grid(bed, data, error, init, "tikhonov", effort.grid_steps),
        "tv": lambda: invert_on_grid(bed, data, error, init, "tv", effort.grid_steps),
        "esmda": lambda: invert_by_esmda(bed, data, error, init, members, assimilations),
        "esmda-local": lambda: invert_by_esmda(bed, data, error, init, members, assimilations, local=True),
        "pcga": lambda: invert_by_pcga(bed, data, error, effort.pcga_steps),
        "pinn": lambda: invert_by_pinn(bed, data, error, init, effort.pinn_steps),
        "pe-vae": lambda: invert_by_pe_vae(bed, data, error, init, effort.vae_steps),
    }
    return {method: calls[method]()}


def numbers(text: str) -> list[float]:
    """Numbers separated by commas."""
    return [float(part) for part in text.split(",")]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("comparison"), metavar="FOLDER")
    parser.add_argument("--fields", type=int, default=20, help="held-out fields, numbered from 0")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--sensors", type=numbers, default=[16, 36, 64], help="square numbers")
    parser.add_argument("--noise", type=numbers, default=[1, 5], help="percent")
    parser.add_argument("--inits", type=int, default=1, help="initialisations of every method")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"and {PAPER}, {GAUSSIAN}, {DECODER}")
    parser.add_argument("--grf", default="darcy-grf", metavar="PRIOR")
    parser.add_argument("--bimaterial", default="darcy-bimaterial", metavar="PRIOR")
    parser.add_argument("--quick", action="store_true", help="a fraction of the effort, to see that it works")
    return parser.parse_args(arguments)


def done_before(path: Path) -> set[tuple]:
    """Keys of the cases in the file; a last line that was cut off is dropped."""
    keys = set()
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            keys.add(
                (
                    row["kind"],
                    row["sensors"],
                    row["noise"],
                    row["run"],
                    row["init"],
                    row["prior"],
                    row["field"],
                    row["quick"],
                )
            )
    return keys


def append(path: Path, bed: Bed, where: dict, todo: list[int], found: dict[str, Estimate], seconds: dict) -> None:
    """Measure and write the lines of one run; the first field's estimate goes to a file for the figure."""
    whole = not path.is_file() or path.read_text(encoding="utf-8")[-1:] in ("", "\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("" if whole else "\n")
        for label, estimate in found.items():
            for field, row in zip(todo, measure(bed, todo, estimate), strict=True):
                line = {**where, "method": label, "field": field, **row, "solves": estimate.solves, **seconds}
                file.write(json.dumps(line) + "\n")
            if where["init"] == 0 and todo[0] == 0:
                name = f"{bed.kind}-{bed.sensors}-{bed.noise:g}-{label.replace(' ', '_')}.npy"
                np.save(path.parent / "fields" / name, estimate.fields[0].numpy().astype("f4"))


def compare(given: argparse.Namespace) -> None:
    """Run what is missing, then summarise."""
    effort = QUICK if given.quick else Effort()
    results = given.output / "results.jsonl"
    (given.output / "fields").mkdir(parents=True, exist_ok=True)
    found = {k: locate(getattr(given, k), offline=True, kind="conductivity") for k in given.kinds.split(",")}
    priors, hashes = ({kind: str(pair[i]) for kind, pair in found.items()} for i in (0, 1))
    known = done_before(results)
    beds = [Bed(k, int(s), n) for k in given.kinds.split(",") for s in given.sensors for n in given.noise]
    for bed in beds:
        for method in given.methods.split(","):
            for init in range(given.inits):
                where = {
                    "kind": bed.kind, "sensors": bed.sensors, "noise": bed.noise, "run": method, "init": init,
                    "quick": given.quick, "prior": hashes[bed.kind][:12] if method in LD_DIM else "",
                }  # fmt: skip
                key = (bed.kind, bed.sensors, bed.noise, method, init, where["prior"])
                todo = [field for field in range(given.fields) if (*key, field, given.quick) not in known]
                if not todo:
                    continue
                data, error = bed.data(todo)
                wall, cpu = time.monotonic(), time.process_time()
                found = run(method, bed, data, error, init, effort, priors)
                seconds = {
                    "seconds": (time.monotonic() - wall) / len(todo), "cpu_seconds": (time.process_time() - cpu) / len(todo),
                }  # fmt: skip
                append(results, bed, where, todo, found, seconds)
                print(f"{bed.kind} {bed.sensors} sensors {bed.noise:g} %: {method}, init {init}, {len(todo)} fields,",
                      f"{seconds['seconds']:.1f} s each ({seconds['cpu_seconds']:.1f} s of processor)", flush=True)  # fmt: skip
    write_summary(given.output)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    compare(parse(None))
