"""What the input files say about where they come from, gathered for the output."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cftime

from zssd_cli.errors import InputError
from zssd_cli.text import plain, shortened
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
_ADJUSTED = {
    "bias_adjustment",
    "bias_adjustment_method",
    "bias_correction",
    "bias_correction_method",
    "bc_method",
    "bc_observation",
}
_SPEAKING = {"title", "product", "long_name", "history", "comment", "source"}
_ADJUSTING = re.compile(r"\bbias[- _]?(adjust|correct)(ed|ment|ion)|quantile (delta )?mapping", re.IGNORECASE)
"""Attributes of CORDEX-Adjust, ISIMIP and xsdba, and words in others."""


_FILE_NAME = re.compile(
    r"^[A-Za-z0-9]+_[A-Za-z0-9]+_(?P<model>[\w-]+?)_(?P<experiment>[\w-]+?)_(?P<member>(?:s\d+-)?r\d+i\d+p\d+(?:f\d+)?)(?=[_.])"
)
"""Names of CMIP5 and CMIP6: variable_table_model_experiment_member."""
_OF = {
    "model": ("source_id", "model_id"),
    "experiment": ("experiment_id", "experiment", "case"),
    "member": ("variant_label", "member_id", "driving_model_ensemble_member"),
    "start": ("sub_experiment_id",),
    "driving model": ("driving_model_id", "driving_source_id"),
    "version of the regional model": ("rcm_version_id",),
}


@dataclass(frozen=True)
class Origin:
    """Whose output a file is: model, experiment, member and the like, as far as it says."""

    facts: tuple[tuple[str, str], ...]

    def conflict(self, other: "Origin") -> str | None:
        """What differs, in words; None where nothing does."""
        its = dict(other.facts)
        return next(
            (f"{what} {mine} and {its[what]}" for what, mine in self.facts if its.get(what, mine) != mine), None
        )


def origin_of(attributes: Mapping[str, object], file: str) -> Origin:
    """From a file's global attributes and, where they lack, its name, of CMIP6, CMIP5, CORDEX or CESM."""
    facts = {what: _text(attributes, names) for what, names in _OF.items()}
    if not facts["member"] and "realization" in attributes and "initialization_method" in attributes:
        parts = (attributes["realization"], attributes["initialization_method"], attributes.get("physics_version", 1))
        facts["member"] = "r{}i{}p{}".format(*parts)
    if named := _FILE_NAME.match(file):
        facts = {what: value or named.groupdict().get(what, "") for what, value in facts.items()}
    return Origin(tuple((what, value) for what, value in facts.items() if value and value != "none"))


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


def mixed_grids(attributes: Sequence[Mapping[str, object]]) -> list[str]:
    """A note where files are on grids of several labels: native beside remapped fields, each averaged from its own cells."""
    labels = dict.fromkeys(_text(one, ("grid_label",)) for one in attributes)
    labels.pop("", None)
    return [f"the files mix the grid labels {', '.join(labels)}"] if len(labels) > 1 else []


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
    gathered["source_files"] = ";".join(plain(path.name) for path in files)
    return gathered


def adjusted_already(attributes: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """``bias_adjustment`` with the words by which attributes of files or variables say that a bias was adjusted, where they do."""
    for one in attributes:
        for name, value in one.items():
            said = name in _ADJUSTED or name.startswith("zssd_debias")
            if str(value).strip() and (said or (name in _SPEAKING and _ADJUSTING.search(str(value)))):
                return {"bias_adjustment": f"{name} {' '.join(str(value).split())[:80]}"}
    return {}


def _text(attributes: Mapping[str, object], names: Sequence[str]) -> str:
    """The first of some attributes that says something, without control characters and not without end."""
    for name in names:
        said = plain(shortened(str(attributes.get(name, "")).strip()), lines=name == "history")
        if said:
            return said
    return ""
