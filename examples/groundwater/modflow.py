"""From a MODFLOW 6 model to `zssd invert`, and the conductivity that was found back into the model (needs flopy: pip install flopy).

    python examples/groundwater/modflow.py read MODEL_FOLDER -o aquifer          # writes aquifer/domain.yaml
    zssd invert heads.csv --domain aquifer/domain.yaml -o aquifer/k.nc
    python examples/groundwater/modflow.py write aquifer/k.nc MODEL_FOLDER -o NEW_FOLDER

`read` takes grid (DIS, one layer), inactive cells, CHD along whole sides, WEL, RCH, and the level and anisotropy of K (NPF)
of one stress period, taken as steady, and turns units into SI. Prescribed heads stand in the centres of MODFLOW's cells, so
the domain ends there. The prior's 64 x 64 cells cover the model's extent, whatever its own cells are. What zssd does not know
(GHB, RIV, DRN, heads inside ...) is refused by name, or left out by name with --ignore. heads.csv is yours: columns x, y,
head, error in the model's coordinates, in metres or with their units in the header.

`write` averages ln K over the model's cells and writes the whole simulation anew with that K in NPF; K of inactive cells stays.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import flopy
import numpy as np
import xarray as xr
import yaml

METRES = {"METERS": 1.0, "FEET": 0.3048, "CENTIMETERS": 0.01}
SECONDS = {"SECONDS": 1.0, "MINUTES": 60.0, "HOURS": 3600.0, "DAYS": 86400.0, "YEARS": 365.25 * 86400}
KNOWN = {"dis", "npf", "ic", "oc", "chd", "wel", "rch", "rcha", "sto", "obs"}
SIDES = {"west": (slice(None), 0), "east": (slice(None), -1), "south": (0, slice(None)), "north": (-1, slice(None))}
"""Where the cells along a side are, rows from south to north."""


class Model:
    """One layer of a MODFLOW 6 model in SI units, rows from south to north."""

    def __init__(self, folder: Path, name: str | None, layer: int, period: int) -> None:
        self.simulation = flopy.mf6.MFSimulation.load(sim_ws=str(folder), verbosity_level=0)
        self.gwf = self.simulation.get_model(name)
        if self.gwf is None or not hasattr(self.gwf, "npf"):
            sys.exit(
                f"{folder}: expected a groundwater flow model, got {', '.join(self.simulation.model_names)}; use --model."
            )
        dis = self.gwf.get_package("dis")
        if dis is None or dis.package_type != "dis":
            sys.exit(f"{self.gwf.name}: expected a grid of rows and columns (DIS), got another discretisation.")
        if dis.nlay.get_data() > 1 and layer == 0:
            sys.exit(f"{self.gwf.name}: has {dis.nlay.get_data()} layers; choose one with --layer.")
        if (dis.angrot.get_data() or 0) != 0:
            sys.exit(
                f"{self.gwf.name}: is turned by {dis.angrot.get_data():g} degrees; give one along the axes (ANGROT 0)."
            )
        self.layer, self.period = max(layer, 1) - 1, period - 1
        self.metre = self._unit(dis.length_units.get_data(), METRES, "LENGTH_UNITS in DIS")
        self.second = self._unit(self.simulation.tdis.time_units.get_data(), SECONDS, "TIME_UNITS in TDIS")
        x0, y0 = ((one.get_data() or 0.0) * self.metre for one in (dis.xorigin, dis.yorigin))
        self.x = x0 + self.metre * np.concatenate([[0.0], np.cumsum(dis.delr.array)])
        self.y = y0 + self.metre * np.concatenate([[0.0], np.cumsum(dis.delc.array[::-1])])
        """Edges of columns and rows [m]."""
        self.active = (
            (dis.idomain.array[self.layer] > 0)[::-1] if dis.idomain.array is not None else np.ones(self.shape, bool)
        )
        tops = np.concatenate([dis.top.array[None], dis.botm.array])
        self.thickness = self.metre * (tops[self.layer] - tops[self.layer + 1])[::-1]

    @staticmethod
    def _unit(given: Any, known: dict[str, float], where: str) -> float:
        if str(given).upper() not in known:
            sys.exit(f"{where}: expected one of {', '.join(known)}, got {given}. Set it in the model.")
        return known[str(given).upper()]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y.size - 1, self.x.size - 1

    @property
    def velocity(self) -> float:
        """The model's length over time in m/s."""
        return self.metre / self.second

    def packages(self, *kinds: str) -> list[Any]:
        """Those of some kinds."""
        return [one for one in self.gwf.packagelist if one.package_type.lower() in kinds]

    def cells(self, kind: str, column: str) -> list[tuple[int, int, float]]:
        """Row from the south, column, value in the model's units of a package's entries in the layer and period."""
        found = []
        for package in self.packages(kind):
            # a period without entries keeps those of the one before
            given = {key: value for key, value in package.stress_period_data.get_data().items() if key <= self.period}
            for entry in given[max(given)] if given else ():
                layer, row, place = entry["cellid"]
                if layer == self.layer:
                    found.append((self.shape[0] - 1 - row, place, float(entry[column])))
        return found


def read(model: Model, cells: int, ignore: set[str]) -> dict[str, Any]:
    """The domain file's content; ends the program where the model has what zssd does not know."""
    strange = {one.package_type.lower() for one in model.gwf.packagelist} - KNOWN - ignore
    if strange:
        sys.exit(
            f"{model.gwf.name}: zssd knows nothing of {', '.join(sorted(strange))}; leave out with --ignore {','.join(sorted(strange))}."
        )
    x, y, heads = _ends(model)
    ny, nx = model.shape
    centres = {"y": (model.y[1:] + model.y[:-1]) / 2, "x": (model.x[1:] + model.x[:-1]) / 2}
    middle = [low + (np.arange(cells) + 0.5) * (high - low) / cells for low, high in (x, y)]
    sides = {
        side: {
            "head": [round(float(h), 6) for h in np.interp(middle[0 if side in ("north", "south") else 1], at, values)]
        }
        for side, (at, values) in heads.items()
    }
    npf = model.gwf.npf
    k = npf.k.array[model.layer][::-1][model.active] * model.velocity
    domain: dict[str, Any] = {
        "units": "m", "cells": [cells, cells], "size": [float(x[1] - x[0]), float(y[1] - y[0])], "origin": [float(x[0]), float(y[0])],
        "thickness": float(model.thickness[model.active].mean()), "boundaries": sides,
        "recharge": _recharge(model),
        "wells": [
            {"x": float(centres["x"][column]), "y": float(centres["y"][row]), "rate": rate * model.metre**3 / model.second}
            for row, column, rate in model.cells("wel", "q")
        ],
        "conductivity": {"geometric_mean": float(np.exp(np.log(k).mean()))},
    }  # fmt: skip
    if npf.k22.array is not None:
        ratio = npf.k22.array[model.layer][::-1][model.active]
        ratio = ratio if npf.k22overk.get_data() else ratio * model.velocity / k
        if np.ptp(ratio) > 1e-6 * ratio.max():
            sys.exit(
                f"{model.gwf.name}: K22 over K is {ratio.min():g} to {ratio.max():g}; zssd takes one ratio for all cells."
            )
        domain["anisotropy"] = float(ratio[0])
    domain["holes"] = [
        [[float(model.x[a]), float(model.y[row])], [float(model.x[b]), float(model.y[row])],
         [float(model.x[b]), float(model.y[row + 1])], [float(model.x[a]), float(model.y[row + 1])]]
        for row in range(ny) for a, b in _runs(~model.active[row])
    ]  # fmt: skip
    thickness = model.thickness[model.active]
    if np.ptp(thickness) > 0.1 * thickness.mean():
        print(f"Note: the layer is {thickness.min():g} to {thickness.max():g} m thick; its mean is taken.")
    if npf.icelltype.array[model.layer].any():
        print("Note: the layer is convertible (ICELLTYPE); it is taken as confined, of its full thickness.")
    return {key: value for key, value in domain.items() if value not in ([], {})}


def _ends(model: Model) -> tuple[list[float], list[float], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Extent along x and y, and of every side with prescribed heads where they are and what they are [m]."""
    table = np.full(model.shape, np.nan)
    for row, column, head in model.cells("chd", "head"):
        table[row, column] = head * model.metre
    x, y = [model.x[0], model.x[-1]], [model.y[0], model.y[-1]]
    centres = (model.x[1:] + model.x[:-1]) / 2, (model.y[1:] + model.y[:-1]) / 2
    found, used = {}, np.zeros(model.shape, bool)
    for side, where in SIDES.items():
        there = np.isfinite(table[where])
        if not model.active[where].any() or not there[model.active[where]].all():
            continue
        along = side in ("south", "north")
        found[side] = (centres[0 if along else 1][there], table[where][there])
        used[where] = True
        ends, number = (y, 0 if side == "south" else 1) if along else (x, 0 if side == "west" else 1)
        ends[number] = (centres[1] if along else centres[0])[0 if number == 0 else -1]
    inside = int((np.isfinite(table) & ~used).sum())
    if inside:
        sys.exit(
            f"{model.gwf.name}: {inside} cells with prescribed heads (CHD) do not fill a side; zssd knows heads along whole sides only. "
            "Cut the model there."
        )
    if not found:
        sys.exit(f"{model.gwf.name}: no side has prescribed heads (CHD); zssd needs one with steady flow.")
    return x, y, found


def _recharge(model: Model) -> float:
    """Mean over the active cells [m s-1]."""
    table = np.zeros(model.shape)
    for row, column, rate in model.cells("rch", "recharge"):
        table[row, column] += rate
    for package in model.packages("rcha"):
        table += np.broadcast_to(
            package.recharge.array[min(model.period, len(package.recharge.array) - 1), 0], model.shape
        )[::-1]
    values = table[model.active] * model.velocity
    if np.ptp(values) > 0.01 * abs(values).max():
        print(f"Note: recharge is {values.min():.3g} to {values.max():.3g} m/s; its mean is taken.")
    return float(values.mean())


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last of every run of true values."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return list(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))


def write(model: Model, found: xr.DataArray, bounds: xr.Dataset, folder: Path) -> None:
    """Write the simulation with K of ln K (y, x), averaged over the model's cells."""
    weights = [_overlap(edges, bounds[f"{axis}_bnds"].values) for axis, edges in (("y", model.y), ("x", model.x))]
    known = np.isfinite(found.values)
    total, share = (
        weights[0] @ part @ weights[1].T for part in (np.where(known, found.values, 0.0), known.astype(float))
    )
    k = model.gwf.npf.k.array.copy()
    inside = model.active & (share > 0)
    layer = k[model.layer][::-1]
    layer[inside] = np.exp(total[inside] / share[inside]) / model.velocity
    model.gwf.npf.k.set_data(k)
    model.simulation.set_sim_path(str(folder))
    model.simulation.write_simulation(silent=True)
    print(
        f"K of {int(inside.sum())} cells: {layer[inside].min():.3g} to {layer[inside].max():.3g} in the model's units; wrote {folder}"
    )


def _overlap(edges: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Length that cells of the model and cells of the output share; beyond the output's rim the nearest cell's."""
    low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
    low[0], high[-1] = -np.inf, np.inf
    return np.clip(np.minimum(edges[1:, None], high) - np.maximum(edges[:-1, None], low), 0, None)


def main(arguments: list[str] | None = None) -> None:
    """Read or write, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    common.add_argument("--model", help="name of the model, where the simulation has several")
    common.add_argument("--layer", type=int, default=0, help="from 1, where there are several")
    commands = parser.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("read", parents=[common], help="write domain.yaml")
    reading.add_argument("folder", type=Path, metavar="MODEL_FOLDER")
    reading.add_argument("--period", type=int, default=1, help="stress period, from 1")
    reading.add_argument("--cells", type=int, default=64, help="along either side; the prior's")
    reading.add_argument("--ignore", default="", metavar="PACKAGES", help="to leave out, such as riv,drn")
    writing = commands.add_parser("write", parents=[common], help="write the model with the K that was found")
    writing.add_argument("result", type=Path, metavar="K.nc")
    writing.add_argument("folder", type=Path, metavar="MODEL_FOLDER")
    writing.add_argument("--variable", default="log_k_map", choices=("log_k_map", "log_k_mean"))
    writing.add_argument("--member", type=int, help="of log_k, from 0, instead")
    given = parser.parse_args(arguments)
    if given.output.resolve() == given.folder.resolve():
        sys.exit("-o: expected another folder than the model's own, which stays as it is.")
    model = Model(given.folder, given.model, given.layer, getattr(given, "period", 1))
    if given.command == "read":
        content = read(model, given.cells, {name.strip().lower() for name in given.ignore.split(",") if name.strip()})
        given.output.mkdir(parents=True, exist_ok=True)
        text = f"# {model.gwf.name} of {given.folder}, by examples/groundwater/modflow.py\n" + yaml.safe_dump(
            content, sort_keys=False
        )
        (given.output / "domain.yaml").write_text(text, encoding="utf-8")
        print(f"Wrote {given.output / 'domain.yaml'}")
        return
    with xr.open_dataset(given.result) as data:
        write(model, data[given.variable] if given.member is None else data["log_k"][given.member], data, given.output)


if __name__ == "__main__":
    main()
