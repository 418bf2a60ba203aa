"""Do forecasts from inverted conductivities hold the truth as often as their intervals say? Held-out fields that no training saw.

    python benchmarks/forecasts.py --fields 20 --sensors 36 --noise 1 --members 64

The test bed is that of examples/groundwater/bed.py; asked for are, with a well that was not there when the heads were measured:
heads at two places without a sensor, the flow across the middle, and the share of the well's water from the west.
Prints per quantity how many truths lie within the 5 to 95 percent interval of the members, and the mean width of the interval
beside that of the prior's members, which know no head.
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
from zssd_cli.inversion.posterior import invert  # noqa: E402
from zssd_cli.inversion.random_fields import generator  # noqa: E402
from zssd_cli.inversion.settings import InversionSettings  # noqa: E402
from zssd_cli.prior.registry import locate  # noqa: E402

DOMAIN = {
    "size": [beds.LENGTH, beds.LENGTH],
    "thickness": beds.THICKNESS,
    "boundaries": {"west": {"head": beds.DROP}, "east": {"head": 0.0}},
    "recharge": beds.RECHARGE,
    "forecast": {
        "wells": [{"x": 255.0, "y": 405.0, "rate": -1e-4}],
        "quantities": [
            {"name": "head between sensors", "head": [320.0, 320.0]},
            {"name": "head beside the well", "head": [275.0, 405.0]},
            {"name": "flow across the middle", "flux": [[320.0, 0.0], [320.0, 640.0]]},
            {"name": "from the west", "capture": "west"},
        ],
    },
}


def main() -> None:
    """Invert, ask, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("fields", 20), ("sensors", 36), ("members", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--kind", choices=("grf", "bimaterial"), default="grf")
    given = parser.parse_args()
    bed = beds.Bed(given.kind, given.sensors, given.noise)
    domain = DomainConfig.model_validate(DOMAIN)
    uncertain = Uncertain({}, domain.problem())
    path, _ = locate(f"darcy-{given.kind}", offline=True, kind="conductivity")
    prior, _ = load_latent_prior(path)

    def ask(fields: torch.Tensor) -> np.ndarray:
        log_k = bed.log_k(prior.finish(fields).double())
        return np.stack([one.values for one in forecast(domain, uncertain, log_k, torch.zeros(len(fields), 0))])

    names = [one.name for one in domain.forecast.quantities]
    blind = np.percentile(ask(prior.sample(256, generator(5, 5))), (5, 95), axis=1)
    inside, width = [], []
    for number in range(given.fields):
        truth, _ = bed.truth([number])
        data, error = bed.data([number])
        settings = InversionSettings(
            members=given.members, discrepancy=1.0, ensemble="smoother" if prior.binary else "rml"
        )
        found = invert(prior, bed.forward, data, error, settings)
        low, high = np.percentile(ask(found.members[0]), (5, 95), axis=1)
        right = ask(truth)[:, 0]
        inside.append((low <= right) & (right <= high))
        width.append((high - low) / (blind[1] - blind[0]))
        counts = ", ".join(f"{name} {int(hit)}" for name, hit in zip(names, np.sum(inside, 0), strict=True))
        print(f"{number + 1} fields, truth inside: {counts}", flush=True)
    for name, share, narrow in zip(names, np.mean(inside, 0), np.mean(width, 0), strict=True):
        print(f"{name:24} inside {share:.2f} (of {given.fields}; .90 is right)   width over the prior's {narrow:.2f}")
    print(f"all                      inside {np.mean(inside):.3f}")


if __name__ == "__main__":
    main()
