"""What the input files say about where they come from, gathered for the output."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cftime

from zssd_cli.errors import InputError
from zssd_cli.times import format_time

_JOINED = {
    "source_id": ("source_id", "model_id"),
    "institution_id": ("institution_id", "institute_id"),
    "experiment_id": ("experiment_id",),
    "variant_label": ("variant_label",),
    "tracking_id": ("tracking_id",),
    "license": ("license",),
}
_FIRST = ("title", "history")


@dataclass(frozen=True)
class Origin:
    """Whose output a file is; empty strings where it does not say."""

    model: str
    experiment: str
    member: str

    def conflict(self, other: "Origin") -> str | None:
        """What differs, in words; None where nothing does."""
        for what, mine, its in (
            ("model", self.model, other.model),
            ("experiment", self.experiment, other.experiment),
            ("member", self.member, other.member),
        ):
            if mine and its and mine != its:
                return f"{what} {mine} and {its}"
        return None


def origin_of(attributes: Mapping[str, object]) -> Origin:
    """From a file's global attributes, of CMIP6 or CMIP5."""
    member = _text(attributes, ("variant_label",))
    if "variant_label" not in attributes and "realization" in attributes and "initialization_method" in attributes:
        parts = (attributes["realization"], attributes["initialization_method"], attributes.get("physics_version", 1))
        member = "r{}i{}p{}".format(*parts)
    names = _JOINED["source_id"], _JOINED["experiment_id"]
    return Origin(_text(attributes, names[0]), _text(attributes, names[1]), member)


def refuse_mixed(parts: Sequence[tuple[Path, Origin, Collection[cftime.datetime]]]) -> list[str]:
    """Files of two models, experiments or members for the same times are an error; one after another in time is a note.

    Parameters
    ----------
    parts
        File, origin and dates of every variable in every file.
    """
    notes: dict[str, None] = {}
    groups: dict[Origin, tuple[Path, set[cftime.datetime]]] = {}
    for path, origin, dates in parts:
        groups.setdefault(origin, (path, set()))[1].update(dates)
    for (first, (path, dates)), (second, (other, others)) in combinations(groups.items(), 2):
        conflict = first.conflict(second)
        if conflict is None:
            continue
        both = dates & others
        if both:
            msg = (
                f"{other}: {path.name} and this file are of {conflict} for the same times ({format_time(min(both))}); "
                "give files of one, or correct the attributes if they are."
            )
            raise InputError(msg)
        notes[f"the files go from one to another in time: {conflict}"] = None
    return list(notes)


def provenance(attributes: Sequence[Mapping[str, object]], files: Sequence[Path]) -> dict[str, str]:
    """Provenance attributes over all files, values that differ joined by ``;``."""
    gathered = {}
    for name, sources in _JOINED.items():
        values = dict.fromkeys(_text(one, sources) for one in attributes)
        values.pop("", None)
        if values:
            gathered[name] = ";".join(values)
    for name in _FIRST:
        text = _text(attributes[0], (name,))
        if text:
            gathered[name] = text
    gathered["source_files"] = ";".join(path.name for path in files)
    return gathered


def _text(attributes: Mapping[str, object], names: Sequence[str]) -> str:
    return next((str(attributes[name]).strip() for name in names if str(attributes.get(name, "")).strip()), "")
