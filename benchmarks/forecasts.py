"""Do forecasts from inverted conductivities hold the truth as often as their intervals say? Held-out fields that no training saw.

    python benchmarks/forecasts.py --fields 20 --sensors 36 --noise 1 --members 64
    python benchmarks/forecasts.py --truth prior      # truths drawn from the prior: what is left is the method's, not the prior's

The test bed is that of examples/groundwater/bed.py, the inversion that of ``zssd invert``. Asked for are, with a well that was
not there when the heads were measured: heads without a sensor, flow across the middle and through a third of it, and the share
of the well's water from the west; beside them the mean of ln K, on which flows and shares hang.

Prints per quantity how many truths lie within the 5 to 95 percent interval of the members, with the standard deviation that so
many fields leave, the root mean square of the truth's distance from the members' mean in their standard deviations (1 is right),
and the mean width of the interval beside that of the prior's members, which know no head. The percentiles are those of
``Forecast.interval`` (Weibull's): of 19 or more members that are right they hold 0.9.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "groundwater"))
import bed as beds  # noqa: E402

from zssd_cli.inversion.aquifer import Uncertain  # noqa: E402
from zssd_cli.inversion.checkpoint import load_latent_prior  # noqa: E402
from zssd_cli.inversion.domain import DomainConfig  # noqa: E402
from zssd_cli.inversion.forecast import forecast  # noqa: E402
from zssd_cli.inversion.latent_prior import LatentPrior  # noqa: E402
from zssd_cli.inversion.posterior import invert  # noqa: E402
from zssd_cli.inversion.random_fields import generator  # noqa: E402
from zssd_cli.inversion.settings import InversionSettings  # noqa: E402
from zssd_cli.prior.registry import locate  # noqa: E402

PLACES = ((107.0, 107.0), (320.0, 320.0), (533.0, 213.0), (213.0, 533.0))
DOMAIN = {
    "size": [beds.LENGTH, beds.LENGTH],
    "thickness": beds.THICKNESS,
    "boundaries": {"west": {"head": beds.DROP}, "east": {"head": 0.0}},
    "recharge": beds.RECHARGE,
    "forecast": {
        "wells": [{"x": 255.0, "y": 405.0, "rate": -1e-4}],
        "quantities": [
            *({"name": f"head at {x:g}, {y:g}", "head": [x, y]} for x, y in PLACES),
            {"name": "head beside the well", "head": [275.0, 405.0]},
            {"name": "flow across the middle", "flux": [[320.0, 0.0], [320.0, 640.0]]},
            {"name": "flow across a third", "flux": [[320.0, 213.0], [320.0, 427.0]]},
            {"name": "captured from the west", "capture": "west"},
        ],
    },
}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("fields", 20), ("first", 0), ("sensors", 36), ("members", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--kind", choices=("grf", "bimaterial"), default="grf")
    parser.add_argument("--stream", choices=("held-out", "tuning"), default="held-out")
    parser.add_argument("--truth", choices=("family", "prior"), default="family")
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE.npz",
        help="answers of the members and of the truth, written after every field",
    )
    return parser.parse_args()


class Questions:
    """The forecast of the test bed, and what it says of fields of a prior."""

    def __init__(self, bed: beds.Bed, prior: LatentPrior) -> None:
        self._bed, self._prior = bed, prior
        self._domain = DomainConfig.model_validate(DOMAIN)
        self._uncertain = Uncertain({}, self._domain.problem())
        self.names = [*(one.name for one in self._domain.forecast.quantities), "mean of ln K"]

    def __call__(self, fields: torch.Tensor) -> np.ndarray:
        """Answers (quantities, members)."""
        log_k = self._bed.log_k(self._prior.finish(fields).double())
        answers = forecast(self._domain, self._uncertain, log_k, torch.zeros(len(fields), 0))
        return np.stack([*(one.values for one in answers), log_k.mean((1, 2)).numpy()])


def problem(given: argparse.Namespace, bed: beds.Bed, prior: LatentPrior, number: int) -> tuple[torch.Tensor, ...]:
    """True field (1, n, n), data and errors (1, S)."""
    if given.truth == "family":
        return bed.truth([number])[0], *bed.data([number])
    rng = generator(78, number)
    truth = prior.sample(1, rng)
    error = given.noise / 100 * bed.heads(truth).std() * torch.ones(1, given.sensors)
    return truth, bed.forward(truth) + error * torch.randn(1, given.sensors, generator=rng), error


def show(names: list[str], answers: np.ndarray, right: np.ndarray, blind: np.ndarray) -> None:
    """Answers (fields, quantities, members), truths (fields, quantities) and the prior's answers (quantities, members)."""
    low, high = np.percentile(answers, (5, 95), axis=2, method="weibull")
    inside = (low <= right) & (right <= high)
    square = ((right - answers.mean(2)) / answers.std(2, ddof=1)) ** 2
    width = (high - low).mean(0) / np.diff(np.percentile(blind, (5, 95), axis=1, method="weibull"), axis=0)[0]
    print(f"{'':24}  inside    +-  distance  width over the prior's")
    for q, name in enumerate(names):
        row(name, inside[:, q], f"{np.sqrt(square[:, q].mean()):9.2f} {width[q]:9.2f}")
    row("all", inside.mean(1), f"{np.sqrt(square.mean()):9.2f}")


def row(name: str, inside: np.ndarray, rest: str = "") -> None:
    """Print a share and the standard deviation of the mean over fields, which is the binomial one where a field is in or out."""
    print(f"{name:24} {inside.mean():7.3f} {inside.std() / np.sqrt(len(inside)):6.3f} {rest}")


def main() -> None:
    """Invert, ask, count."""
    given = parse()
    bed = beds.Bed(given.kind, given.sensors, given.noise, given.stream)
    path, _ = locate(f"darcy-{given.kind}", offline=True, kind="conductivity")
    prior, _ = load_latent_prior(path)
    ask = Questions(bed, prior)
    blind, answers, right, cells = ask(prior.sample(256, generator(5, 5))), [], [], []
    for number in range(given.first, given.first + given.fields):
        truth, data, error = problem(given, bed, prior, number)
        settings = InversionSettings(
            members=given.members, discrepancy=1.0, ensemble="smoother" if prior.binary else "rml"
        )
        members = prior.finish(invert(prior, bed.forward, data, error, settings).members[0])
        low, high = members.quantile(0.05, 0), members.quantile(0.95, 0)
        cells.append(float(((low <= truth[0]) & (truth[0] <= high)).float().mean()))
        answers.append(ask(members))
        right.append(ask(truth)[:, 0])
        if given.save:
            np.savez(given.save, answers=answers, right=right, blind=blind, cells=cells, names=ask.names)
        print(f"{len(right)} of {given.fields} fields", end="\r", flush=True)
    show(ask.names, np.stack(answers), np.stack(right), blind)
    row("ln K of all cells", np.array(cells))


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
