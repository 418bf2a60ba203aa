"""What the input files say about where they come from, gathered for the output."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

_JOINED = {
    "source_id": ("source_id", "model_id"),
    "institution_id": ("institution_id", "institute_id"),
    "experiment_id": ("experiment_id",),
    "variant_label": ("variant_label",),
    "tracking_id": ("tracking_id",),
    "license": ("license",),
}
_FIRST = ("title", "history")
_FREQUENCY = re.compile(r"(\d+hr|subhr|day|mon|yr)", re.IGNORECASE)
_TABLES = {
    "amon": "mon",
    "omon": "mon",
    "lmon": "mon",
    "day": "day",
    "eday": "day",
    "3hr": "3hr",
    "e3hr": "3hr",
    "e1hr": "1hr",
}


def provenance(attributes: Sequence[Mapping[str, object]], files: Sequence[Path], notes: list[str]) -> dict[str, str]:
    """Provenance attributes over all files, values that differ joined by ``;``; mixed models or members are noted."""
    gathered = {}
    for name, sources in _JOINED.items():
        values = dict.fromkeys(_text(one, sources) for one in attributes)
        values.pop("", None)
        if values:
            gathered[name] = ";".join(values)
        if len(values) > 1 and name in ("source_id", "variant_label"):
            notes.append(f"the files mix several {name}: {', '.join(values)}")
    for name in _FIRST:
        text = _text(attributes[0], (name,))
        if text:
            gathered[name] = text
    gathered["source_files"] = ";".join(path.name for path in files)
    return gathered


def _text(attributes: Mapping[str, object], names: Sequence[str]) -> str:
    return next((str(attributes[name]).strip() for name in names if str(attributes.get(name, "")).strip()), "")


def frequency_of(attributes: Sequence[Mapping[str, object]]) -> str | None:
    """CMIP6 frequency (6hr for 6hrPt) that the files' ``frequency`` or ``table_id`` attributes agree on, else None."""
    found = {_one_frequency(one) for one in attributes} - {None}
    return found.pop() if len(found) == 1 else None


def _one_frequency(attributes: Mapping[str, object]) -> str | None:
    match = _FREQUENCY.match(_text(attributes, ("frequency",)))
    if match:
        return match[1].lower()
    table = _text(attributes, ("table_id",)).removeprefix("Table ").split(" ")[0]
    match = re.match(r"\d+hr", table)
    return match[0] if match else _TABLES.get(table.lower())
