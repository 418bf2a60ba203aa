"""The model card's table: skill of a prior on fields that no training saw, beside interpolation and another prior.

    python benchmarks/skill.py --json benchmarks/results/this-prior.json --other first=benchmarks/results/first-prior.json

Every field is coarsened to block means of 1.5, 2.5 and 5 degrees (x6, x10, x20), downscaled with 8 members by the
default engine, and scored against itself. Measurements are kept in the JSON file: an interrupted run goes on where it
stopped, and --other takes the rows of a file that was measured earlier with another prior. --given msl gives the prior
these variables alone, and scores them alone. A prior that was trained on
low-passed fields is scored against the IFS field as it is and with the same low-pass (--lowpass-km for a prior whose
header asks for none).
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness.engine import Setting, draw, make_job, open_prior
from harness.fields import LARGE, HeldOut, choose, training_lowpass
from harness.scoring import baseline, score
from harness.store import Store
from rich.console import Console

from zssd_cli.config import DownscaleConfig
from zssd_cli.posterior.guidance import by_name

BASELINES = ("bilinear", "bicubic")
SCORES = {
    "crps": "CRPS",
    "ratio": "CRPS / bilinear MAE",
    "mae": "MAE of the mean",
    "p99_error": "P99 error",
    "lsd_db": "LSD dB",
    "worst_db": "worst dB, 1-10 deg",
    "spread_skill": "spread / skill",
}
Record = dict[str, dict[str, float]]


def key_of(field: HeldOut, scale: float) -> str:
    """Name of a measurement; what it depends on besides the settings."""
    return f"{field.name} | {scale:g}"


def settings_of(setting: Setting, config: DownscaleConfig, given: tuple[str, ...]) -> dict[str, Any]:
    """What makes two measurements on a field the same."""
    method = by_name(config.guidance)
    engine = {"guidance": config.guidance, "sampler": method.sampler_of(config), "steps": method.steps_of(config)}
    alone = {} if given == setting.prior.variables else {"given": "+".join(given)}
    return {"members": config.members, "sha256": setting.sha256, **engine, **alone}


def measure(
    store: Store, setting: Setting, field: HeldOut, config: DownscaleConfig, given: tuple[str, ...], name: str
) -> None:
    """Add what is not yet there of one field and block size: this prior and the interpolations."""
    scale = config.filter_scale
    key = key_of(field, scale)
    row = store.row(name, settings_of(setting, config, given))
    if store.record(row, key) is not None:
        return
    job, channels = make_job(setting, field, config, given), [setting.prior.variables.index(name) for name in given]
    truths, blocks = field.series.on(job.domain.output), field.series.blocks(scale)
    for method in BASELINES:
        members = baseline(method, blocks, job.domain.output)
        scores = score(members, truths, blocks.variables, job.domain.output)
        store.row(method, {})["records"][key] = scores
    drawn = draw(setting, job)
    scores = score(drawn.ensembles[:, :, channels], field.series.only(given).on(drawn.grid), given, drawn.grid)
    counter = drawn.counter
    cost = {"seconds": counter.seconds, "cpu_seconds": counter.cpu_seconds, "times": len(truths)}
    store.add(row, key, {**scores, "cost": cost, "residual": {"rms": drawn.residual}})


def select(rows: list[dict[str, Any]], members: int) -> dict[str, Record]:
    """Records of the one prior of a file that holds rows of interpolations too."""
    for row in rows:
        if row["name"] not in BASELINES and row["settings"].get("members") == members:
            return row["records"]
    sys.exit(f"--other: the file holds no prior measured with {members} members.")


def with_ratio(scores: dict[str, Any], bilinear: dict[str, Any]) -> dict[str, Any]:
    """Scores and the CRPS as a share of the MAE of bilinear interpolation."""
    return {**scores, "ratio": scores["crps"] / bilinear["mae"]}


def full_rows(methods: dict[str, Record], keys: list[str]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Field, block, variable, method and scores, in the order of the table."""
    for key in keys:
        field, scale = key.split(" | ")
        bilinear = methods["bilinear"].get(key)
        for variable in bilinear or ():
            for method, records in methods.items():
                if variable in records.get(key, {}):
                    label = [field, f"x{float(scale) * 4:.0f}", variable, method]
                    yield label, with_ratio(records[key][variable], bilinear[variable])


def one_truth(rows: list[tuple[list[str], dict[str, Any]]]) -> list[tuple[list[str], dict[str, Any]]]:
    """Without the raw truths of fields that are scored with the low-pass as well."""
    smooth = {label[0].split(", low-pass")[0] for label, _ in rows if ", low-pass" in label[0]}
    return [row for row in rows if row[0][0] not in smooth]


def means(rows: list[tuple[list[str], dict[str, Any]]]) -> list[tuple[list[str], dict[str, Any]]]:
    """Mean over fields by block, variable and method; errors and deviations by their size."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for label, scores in rows:
        groups.setdefault(tuple(label[1:]), []).append(scores)
    result = []
    for label, members in groups.items():
        table = {k: [np.nan if m[k] is None else m[k] for m in members] for k in SCORES}
        signed = ("p99_error", "worst_db")
        mean = {k: float(np.mean(np.abs(v) if k in signed else v)) for k, v in table.items()}
        result.append(([f"mean of {len(members)}", *label], mean))
    return result


def markdown(rows: list[tuple[list[str], dict[str, Any]]]) -> str:
    """One table."""
    lines = ["| " + " | ".join(["field", "block", "variable", "method", *SCORES.values()]) + " |", "|---" * 11 + "|"]
    for label, scores in rows:
        values = ["-" if scores[k] is None or np.isnan(scores[k]) else f"{scores[k]:.3g}" for k in SCORES]
        lines.append("| " + " | ".join([*label, *values]) + " |")
    return "\n".join(lines)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="name or file of the prior; the default prior else")
    parser.add_argument("--label", default="this prior", help="name of the rows")
    parser.add_argument("--other", action="append", default=[], metavar="NAME=FILE", help="rows measured earlier")
    parser.add_argument("--given", help="variables that the prior is given and scored by, joined by +; all else")
    parser.add_argument("--fields", help="parts of the fields' names, comma-separated")
    parser.add_argument("--scales", default="5,2.5,1.5")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--truth", default="raw,lowpass", help="which IFS truths to score against")
    parser.add_argument("--lowpass-km", type=float, help="instead of what the prior's header says")
    parser.add_argument("--json", type=Path, help="where measurements are kept")
    parser.add_argument("--redo", action="store_true", help="measure again what the file holds")
    parser.add_argument("--markdown", type=Path, help="write the tables here as well")
    return parser.parse_args(arguments)


def truths(options: argparse.Namespace, setting: Setting) -> list[HeldOut]:
    """The chosen fields, raw and with the prior's low-pass where that differs."""
    km = training_lowpass(setting.prior) if options.lowpass_km is None else options.lowpass_km
    kinds, fields = options.truth.split(","), choose(LARGE, options.fields)
    smooth = [f.filtered(km) for f in fields if f.filtered(km) is not f] if "lowpass" in kinds else []
    return [*(f for f in fields if "raw" in kinds or not f.file.startswith("ifs/")), *smooth]


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    options = parse(arguments)
    torch.manual_seed(0)
    console, store = Console(stderr=True), Store(options.json, options.redo)
    setting = open_prior(options.weights)
    given = tuple(options.given.split("+")) if options.given else setting.prior.variables
    scales = [float(scale) for scale in options.scales.split(",")]
    keys = []
    for field in truths(options, setting):
        for scale in scales:
            console.print(f"{field.name}, blocks of {scale:g} degrees", highlight=False)
            config = DownscaleConfig(filter_scale=scale, members=options.members)
            measure(store, setting, field, config, given, options.label)
            keys.append(key_of(field, scale))
    ours = settings_of(setting, DownscaleConfig(members=options.members), given)
    methods: dict[str, Record] = {options.label: store.row(options.label, ours)["records"]}
    for pair in options.other:
        name, _, path = pair.partition("=")
        methods[name] = select(json.loads(Path(path).read_text()), options.members)
    methods |= {method: store.row(method, {})["records"] for method in BASELINES}
    rows = list(full_rows(methods, keys))
    text = (
        "Mean over fields (sizes of errors and of deviations; IFS with the low-pass of the training where it has one):\n\n"
        f"{markdown(means(one_truth(rows)))}\n\nEvery field:\n\n{markdown(rows)}\n"
    )
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
