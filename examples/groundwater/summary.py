"""Table and figures of a comparison, from the lines of results.jsonl alone."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from bed import Bed
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MEASURES = ("log_k_error", "head_error", "ssim", "misclassified", "coverage", "solves", "seconds", "cpu_seconds")
ORDER = (
    "ld-dim map",
    "ld-dim mean",
    "ld-dim-chain map",
    "ld-dim-chain mean",
    "ld-dim-gaussian map",
    "ld-dim-gaussian mean",
    "ld-dim-decoder map",
    "esmda",
    "esmda-local",
    "pcga",
    "tikhonov",
    "tv",
    "pe-vae",
    "pinn",
)
REFERENCE = "ld-dim mean"
HEADER = (
    "method", "fields", "log K error", f"less {REFERENCE}'s", "head error", "SSIM", "misclassified", "90 % coverage",
    "error's spread over inits", "solves", "s (wall)", "s (processor)",
)  # fmt: skip


def read_lines(path: Path) -> list[dict]:
    """All whole lines."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def mean_of(values: list[float | None]) -> float | None:
    """Mean of what is there."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def spread_over_inits(rows: list[dict]) -> tuple[float | None, int]:
    """Standard deviation over initialisations of the log K error, mean over fields with several; and how many inits."""
    by_field = defaultdict(list)
    for row in rows:
        by_field[row["field"]].append(row["log_k_error"])
    several = [values for values in by_field.values() if len(values) > 1]
    if not several:
        return None, 1
    return float(np.mean([np.std(values, ddof=1) for values in several])), max(map(len, several))


def beside(rows: list[dict], reference: list[dict]) -> tuple[float | None, float | None]:
    """Mean difference of the log K error from the reference's over the fields that both have, and its standard error."""
    of_field = {row["field"]: row["log_k_error"] for row in reference}
    apart = [row["log_k_error"] - of_field[row["field"]] for row in rows if row["field"] in of_field]
    if len(apart) < 2:
        return None, None
    return float(np.mean(apart)), float(np.std(apart, ddof=1) / np.sqrt(len(apart)))


def summarise(rows: list[dict]) -> list[dict]:
    """One entry per kind, sensors, noise and method: means over fields of the first initialisation."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["kind"], row["sensors"], row["noise"], row["quick"], row["method"]].append(row)
    out = []
    for (kind, sensors, noise, quick, method), group in groups.items():
        first = [row for row in group if row["init"] == 0]
        spread, inits = spread_over_inits(group)
        reference = [row for row in groups.get((kind, sensors, noise, quick, REFERENCE), []) if row["init"] == 0]
        apart, apart_error = beside(first, reference) if method != REFERENCE else (None, None)
        out.append(
            {
                "kind": kind, "sensors": sensors, "noise": noise, "quick": quick, "method": method, "fields": len(first),
                **{name: mean_of([row[name] for row in first]) for name in MEASURES},
                "log_k_error_std_over_fields": float(np.std([row["log_k_error"] for row in first])) if first else None,
                "spread_over_inits": spread, "inits": inits, "beside_reference": apart, "beside_reference_error": apart_error,
            }
        )  # fmt: skip
    rank = {name: i for i, name in enumerate(ORDER)}
    return sorted(
        out, key=lambda e: (e["kind"] != "grf", e["quick"], e["sensors"], e["noise"], rank.get(e["method"], 99))
    )


def _shown(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def markdown(entries: list[dict]) -> str:
    """Tables, one per kind, number of sensors and noise."""
    lines, before = [], None
    for e in entries:
        place = (e["kind"], e["sensors"], e["noise"], e["quick"])
        if place != before:
            quick = ", quick: reduced effort" if e["quick"] else ""
            lines += ["", f"### {e['kind']}, {e['sensors']} sensors, {e['noise']:g} % noise{quick}", ""]
            lines += ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
            before = place
        spread = "-" if e["spread_over_inits"] is None else f"{e['spread_over_inits']:.3f} ({e['inits']})"
        apart = (
            "-"
            if e["beside_reference"] is None
            else f"{e['beside_reference']:+.3f} +- {e['beside_reference_error']:.3f}"
        )
        cells = (
            e["method"], str(e["fields"]), _shown(e["log_k_error"]), apart, _shown(e["head_error"], 4), _shown(e["ssim"]),
            _shown(e["misclassified"]), _shown(e["coverage"]), spread, _shown(e["solves"], 0), _shown(e["seconds"], 1),
            _shown(e["cpu_seconds"], 1),
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines).lstrip() + "\n"


def draw_errors(entries: list[dict], out: Path) -> None:
    """Error of log K by method, one panel per kind, one mark per number of sensors and noise."""
    kinds = sorted({e["kind"] for e in entries}, reverse=True)
    figure = Figure(figsize=(5.4 * len(kinds), 3.8), layout="constrained")
    for axis, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        here = [e for e in entries if e["kind"] == kind]
        methods = [name for name in ORDER if any(e["method"] == name for e in here)]
        beds = sorted({(e["sensors"], e["noise"]) for e in here})
        for i, (sensors, noise) in enumerate(beds):
            marks = [e for e in here if (e["sensors"], e["noise"]) == (sensors, noise)]
            x = [methods.index(e["method"]) + 0.6 * ((i + 0.5) / len(beds) - 0.5) for e in marks]
            axis.plot(x, [e["log_k_error"] for e in marks], "os^Dv*"[i % 6], ms=6, label=f"{sensors}, {noise:g} %")
        axis.axhline(1, color="0.8", lw=1, zorder=0)
        axis.set_xticks(range(len(methods)), methods, fontsize=8, rotation=20)
        axis.set_title(f"{kind}: relative error of log K", fontsize=10, loc="left")
        axis.set_ylim(bottom=0)
        axis.legend(title="sensors, noise", fontsize=7, title_fontsize=7, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    figure.savefig(out, dpi=130)


def draw_fields(folder: Path, bed: Bed, out: Path) -> None:
    """The truth of field 0 and what every method made of it."""
    stem = f"{bed.kind}-{bed.sensors}-{bed.noise:g}-"
    names = [name for name in ORDER if (folder / f"{stem}{name.replace(' ', '_')}.npy").is_file()]
    truth = bed.truth([0])[0][0].numpy()
    panels = {"truth": truth} | {name: np.load(folder / f"{stem}{name.replace(' ', '_')}.npy") for name in names}
    figure = Figure(figsize=(2.3 * len(panels), 2.7), layout="constrained")
    low, high = float(truth.min()), float(truth.max())
    x, y = bed.places
    for axis, (name, field) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        image = axis.imshow(field, origin="lower", extent=(0, 640, 0, 640), vmin=low, vmax=high, cmap="viridis")
        axis.plot(x, y, "o", ms=2, mfc="none", mec="white", mew=0.6)
        axis.set_title(name, fontsize=9)
        axis.set_axis_off()
    figure.colorbar(image, ax=figure.axes, shrink=0.7, label="(ln K - mean) / std")
    figure.suptitle(f"{bed.kind}, field 0, {bed.sensors} sensors, {bed.noise:g} % noise", fontsize=10)
    FigureCanvasAgg(figure)
    figure.savefig(out, dpi=130)


def write_summary(folder: Path) -> None:
    """Write table.md, table.json, errors.png and one picture of field 0 per bed."""
    entries = summarise(read_lines(folder / "results.jsonl"))
    (folder / "table.md").write_text(markdown(entries), encoding="utf-8")
    (folder / "table.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    draw_errors(entries, folder / "errors.png")
    for kind, sensors, noise in sorted({(e["kind"], e["sensors"], e["noise"]) for e in entries}):
        bed = Bed(kind, sensors, noise)
        if list((folder / "fields").glob(f"{kind}-{sensors}-{noise:g}-*.npy")):
            draw_fields(folder / "fields", bed, folder / f"fields-{kind}-{sensors}-{noise:g}.png")
