"""The engine against the paper's sampler and against other libraries: one network, one set of held-out fields, one table.

    python benchmarks/posterior.py --quick                                   # a minute, numbers for orientation only
    python benchmarks/posterior.py --json benchmarks/results/posterior.json  # the whole table, about 40 minutes
    python benchmarks/posterior.py --json FILE --rows ucg-1000               # some rows; the file's others are shown too
    python benchmarks/posterior.py --tune-zeta ucg --steps 1000              # best step size on a field that is not scored

Every row draws the same number of members of the same block means with the same threads, in float32, in one batch.
Seconds are per member, everything after reading included. Measurements are kept in the JSON file, field by field: an
interrupted run goes on where it stopped, `--redo` measures again. The rows of azula and deepinv need
`pip install -c constraints.txt -e ".[bench]"` and are left out, saying so, without it.
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from harness.engine import Setting, open_prior
from harness.fields import SMALL, TUNING_FIELD, HeldOut, choose, training_lowpass
from harness.libraries import Missing
from harness.rows import FULL, QUICK, Row, Unknown, measure, parse_row, summary
from harness.store import Store
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from zssd_cli.errors import ZssdError
from zssd_cli.grids.latlon import Region, parse_region

SLOW = "ucg-1000"
RATIOS = {"ratio_to_ucg": "seconds", "cpu_ratio_to_ucg": "cpu_seconds"}
TINY = HeldOut("IFS North Atlantic, 5 x 5 degrees", SMALL[0].file, Region(-45, -40, 45, 50))
COLUMNS = {
    "crps": "CRPS /\nbilinear",
    "crps_msl": "CRPS\nmsl Pa",
    "crps_u10": "CRPS\nu10 m/s",
    "crps_v10": "CRPS\nv10 m/s",
    "spread_skill": "spread/\nskill",
    "p99_error": "P99 wind\nerror m/s",
    "lsd_db": "LSD\ndB",
    "residual": "coarse\nresidual",
}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one tiny field, 2 members, few steps: about a minute")
    parser.add_argument("--json", type=Path, help="where measurements are kept")
    parser.add_argument("--redo", action="store_true", help="measure again what the file holds")
    parser.add_argument("--weights", help="name or file of the prior; the default prior else")
    parser.add_argument("--rows", help=f"comma-separated, of {', '.join(FULL)}, or other numbers of steps")
    parser.add_argument("--fields", help=f"parts of the fields' names: {', '.join(f.name for f in SMALL)}")
    parser.add_argument("--members", type=int, help="4, or 2 with --quick")
    parser.add_argument("--scale", type=float, default=5.0, help="block size in degrees")
    parser.add_argument("--raw-truth", action="store_true", help="IFS without the low-pass of the prior's training")
    parser.add_argument("--threads", type=int, help="torch's threads; all cores else")
    parser.add_argument("--tune-zeta", choices=["ucg", "dps"], help="find the best step size and stop")
    parser.add_argument("--steps", type=int, default=1000, help="with --tune-zeta")
    parser.add_argument(
        "--region", type=parse_region, default=TUNING_FIELD.box, help="with --tune-zeta: --region=W,E,S,N"
    )
    parser.add_argument("--zetas", default="0.1,0.3,1,3,10", help="with --tune-zeta")
    return parser.parse_args(arguments)


def truths(options: argparse.Namespace, setting: Setting) -> list[HeldOut]:
    """The fields, with the low-pass that the prior's training data had unless --raw-truth."""
    km = 0.0 if options.raw_truth else training_lowpass(setting.prior)
    fields = (TINY,) if options.quick and not options.fields else SMALL
    return [field.filtered(km) for field in choose(fields, options.fields)]


def settings_of(row: Row, setting: Setting) -> dict[str, Any]:
    """What makes two measurements of a row on a field the same."""
    return row.settings | {"sha256": setting.sha256, "threads": torch.get_num_threads(), "dtype": "float32"}


def run_rows(rows: list[Row], fields: list[HeldOut], setting: Setting, store: Store, console: Console) -> None:
    """Measure what is not there yet; a row whose library is missing is left out with a line."""
    for row in rows:
        entry = store.row(row.name, settings_of(row, setting))
        entry |= {"mode": row.mode, "sampler": row.sampler, "steps": row.steps}
        for field in fields:
            if store.record(entry, field.name) is not None:
                continue
            console.print(f"{row.name}: {field.name}")
            try:
                store.add(entry, field.name, measure(row, setting, field))
            except Missing as error:
                console.print(f"{row.name} left out: {error}", style="yellow")
                break


def finish(store: Store, rows: list[Row], setting: Setting, fields: list[HeldOut]) -> list[dict[str, Any]]:
    """Add means and spreads over fields, and the ratios to the paper's sampler, to the complete rows; write."""
    names = [field.name for field in fields]
    done = []
    for row in rows:
        entry = store.row(row.name, settings_of(row, setting))
        if all(name in entry["records"] for name in names):
            entry |= summary([entry["records"][name] for name in names])
            done.append(entry)
    slow = next((entry for entry in done if entry["name"] == SLOW), None)
    for entry in done:
        for key, seconds in RATIOS.items():
            entry[key] = slow[seconds] / entry[seconds] if slow and entry[seconds] > 0 else None
    store.save()
    return done


def cell(row: dict[str, Any], key: str) -> str:
    """Mean and spread over fields."""
    mean, spread = row.get(key), row.get(f"{key}_sd")
    if mean is None or mean != mean:
        return "-"
    digits = 4 if key == "residual" else 0 if mean >= 100 else 1 if mean >= 10 else 2
    return f"{mean:.{digits}f}" + (f" ±{spread:.{digits}f}" if spread is not None and spread == spread else "")


def as_table(rows: list[dict[str, Any]], fields: list[HeldOut], setting: Setting, quick: bool) -> Table:
    """The table with its conditions as caption."""
    members, threads = rows[0]["settings"]["members"], rows[0]["settings"]["threads"]
    caption = (
        f"Prior {setting.name}. Truths: {'; '.join(f.name for f in fields)}. {members} members in one batch "
        f"(azula's DPS one by one: its norm runs over the batch), "
        f"{threads} threads of {platform.processor() or platform.machine()}, float32, every row alike. Mean ± standard "
        "deviation over fields. CRPS / bilinear: mean over msl, u10, v10 of CRPS as a share of bilinear's MAE; spread/skill "
        "and LSD: mean over these; P99: size of the error in wind speed. Calls: network evaluations + back-propagations per "
        f"member. Seconds per member, set-up included. Faster: CPU time of {SLOW} over the row's (clock time in brackets)."
    )
    if quick:
        caption += " QUICK RUN: for orientation; ucg here has fewer steps than the paper's 1000."
    table = Table(caption=caption, caption_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in ("row", "mode", "sampler"):
        table.add_column(header, no_wrap=True)
    for header in ("calls", "seconds", "CPU s", "faster", *COLUMNS.values()):
        table.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        calls = f"{row['nfe']:.0f}" + (f"+{row['vjp']:.0f}" if row["vjp"] else "")
        ratios = row["cpu_ratio_to_ucg"], row["ratio_to_ucg"]
        faster = f"{ratios[0]:.1f} ({ratios[1]:.1f})" if None not in ratios else "-"
        costs = [f"{row[key]:.2f}" for key in ("seconds", "cpu_seconds")]
        labels = (row["name"], row["mode"], row["sampler"])
        table.add_row(*labels, calls, *costs, faster, *(cell(row, key) for key in COLUMNS))
    return table


def tune(options: argparse.Namespace, setting: Setting, console: Console) -> None:
    """Score a mode with several step sizes on a box that no table scores."""
    members = options.members or 2
    field = replace(TUNING_FIELD, box=options.region).filtered(
        0.0 if options.raw_truth else training_lowpass(setting.prior)
    )
    table = Table("zeta", "CRPS / bilinear", "P99 wind error", "LSD dB", "spread/skill", "residual", box=SIMPLE_HEAD)
    found = {}
    for text in options.zetas.split(","):
        row = parse_row(f"{options.tune_zeta}-{options.steps}", options.scale, members, float(text))
        try:
            record = measure(row, setting, field)
        except ZssdError as error:  # a step that is too long ends in values that are not finite
            console.print(f"zeta {text}: {error}", style="yellow")
            continue
        found[text] = record["crps"]
        console.print(f"{row.name}, zeta {text}: CRPS / bilinear {record['crps']:.3f}")
        shown = ("crps", "p99_error", "lsd_db", "spread_skill", "residual")
        table.add_row(text, *(f"{record[key]:.3g}" for key in shown))
    Console(width=120).print(table)
    if found:
        best = min(found, key=lambda text: found[text])
        print(
            f"Best CRPS: zeta {best} for {options.tune_zeta} with {options.steps} steps on {field.name}, {members} members"
        )


def parse_rows(names: Sequence[str], options: argparse.Namespace, console: Console) -> list[Row]:
    """Rows by name; one that this engine does not have is left out with a line, or ends the program if asked for."""
    members = options.members or (2 if options.quick else 4)
    rows = []
    for name in names:
        try:
            rows.append(parse_row(name.strip(), options.scale, members))
        except Unknown as error:
            if options.rows and name in options.rows:
                sys.exit(str(error))
            console.print(f"{name} left out: {error}", style="yellow")
    return rows


def chosen_rows(options: argparse.Namespace, console: Console) -> list[Row]:
    """The rows to measure."""
    return parse_rows(options.rows.split(",") if options.rows else QUICK if options.quick else FULL, options, console)


def shown_rows(measured: list[Row], store: Store, options: argparse.Namespace, console: Console) -> list[Row]:
    """The rows just measured and those that earlier runs left in the file, in the order of the default table."""
    known = {row.name for row in measured}
    earlier = dict.fromkeys(entry["name"] for entry in store.rows if entry["records"] and entry["name"] not in known)
    order = {name: place for place, name in enumerate(FULL)}
    return sorted([*measured, *parse_rows(list(earlier), options, console)], key=lambda r: order.get(r.name, len(FULL)))


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    setting = open_prior(options.weights)
    if options.tune_zeta:
        tune(options, setting, console)
        return
    fields, store = truths(options, setting), Store(options.json, options.redo)
    rows = chosen_rows(options, console)
    run_rows(rows, fields, setting, store, console)
    done = finish(store, shown_rows(rows, store, options, console), setting, fields)
    if not done:
        sys.exit("No row is complete.")
    Console(width=200).print(as_table(done, fields, setting, options.quick))


if __name__ == "__main__":
    main()
