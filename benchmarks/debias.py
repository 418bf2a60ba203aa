"""Bias adjustment on made series of block means, for which the right answer is known: two tables.

    python benchmarks/debias.py

Change and tails: a model that is shifted, 1.4 times as wide and warms, adjusted by the numerics of `zssd debias`. Wind: the components
each on their own, against speed (ratios) with the model's direction kept; the model's wind is shifted, too wide and turned by 15 degrees.
"""

import numpy as np
from rich.console import Console
from rich.table import Table

from zssd_cli.debias.mapping import Kind, correction, interpolated, quantiles, train

COUNT, POINTS = 20_000, 8


def adjusted(reference: np.ndarray, historical: np.ndarray, target: np.ndarray, kind: Kind) -> np.ndarray:
    """Quantile delta mapping of (times, points), one season and one span."""
    factors = correction(*train(reference, historical, kind), kind)
    change = interpolated(target, quantiles(target)[:, None], factors[:, None])
    return target + change if kind is Kind.DIFFERENCE else target * change


def change_and_tails() -> Table:
    """Change of the mean and of two quantiles, and values beyond all that was seen."""
    rng = np.random.default_rng(1)
    reference, past, future = rng.gamma(6, 1, (3, COUNT, POINTS)) - 6
    historical, target = 1.4 * past + 2, 1.4 * 1.1 * future + 2 + 3
    after = adjusted(reference, historical, target, Kind.DIFFERENCE)
    again = adjusted(reference, historical, historical, Kind.DIFFERENCE)
    table = Table("statistic", "reference", "model", "adjusted", "model's change", "adjusted change")
    for name, take in (
        ("mean", np.mean), ("1 %", lambda x: np.quantile(x, 0.01)), ("99 %", lambda x: np.quantile(x, 0.99)),
        ("99.9 %", lambda x: np.quantile(x, 0.999)), ("maximum", np.max),
    ):  # fmt: skip
        values = [float(take(x)) for x in (reference, historical, again)]
        changes = [float(take(target) - take(historical)), float(take(after) - take(again))]
        table.add_row(name, *(f"{x:.2f}" for x in (*values, *changes)))
    return table


def winds() -> Table:
    """What each way keeps of the wind."""
    rng = np.random.default_rng(2)

    def wind(*, stretch: float, shift: complex, turn: float) -> np.ndarray:
        along, across = rng.standard_normal((2, COUNT, POINTS))
        return np.asarray(
            (stretch * (5 * along + 3j * across) * np.exp(0.5j) + 3 + 1j + shift) * np.exp(1j * np.deg2rad(turn))
        )

    reference = wind(stretch=1, shift=0, turn=0)
    historical = wind(stretch=1.3, shift=1 - 1j, turn=15)
    parts = (np.real, np.imag)
    components = [adjusted(part(reference), part(historical), part(historical), Kind.DIFFERENCE) for part in parts]
    by_components = components[0] + 1j * components[1]
    speed = np.abs(historical)
    by_speed = historical * adjusted(np.abs(reference), speed, speed, Kind.RATIO) / speed
    table = Table(
        "", "mean u", "mean v", "mean speed", "99 % of speed", "direction: share of wrong octants", "correlation u, v"
    )
    octants = [np.histogram(np.angle(reference), 8, (-np.pi, np.pi))[0] / reference.size]
    for name, one in (("truth", reference), ("model", historical), ("components", by_components), ("speed", by_speed)):
        share = np.histogram(np.angle(one), 8, (-np.pi, np.pi))[0] / one.size
        together = np.corrcoef(one.real.ravel(), one.imag.ravel())[0, 1]
        values = one.real.mean(), one.imag.mean(), np.abs(one).mean(), np.quantile(np.abs(one), 0.99)
        table.add_row(
            name, *(f"{x:.2f}" for x in values), f"{np.abs(share - octants[0]).sum() / 2:.3f}", f"{together:.2f}"
        )
    return table


if __name__ == "__main__":
    console = Console(width=140)
    console.print(change_and_tails())
    console.print(winds())
