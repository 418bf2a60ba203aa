"""Files of many models, experiments and members as data sets: what belongs to one output.

A data set is what one source (model) gives for one experiment, member and grid label, by the names of the files or their global
attributes. Its variables may lie in separate files, and in separate tables as long as these are finer than a day and no variable is in
two of them; daily, monthly and yearly tables stand alone. A file that tells no model is a data set of its own, but for files of one
folder whose names differ only by the variable or by a period at the end.
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from zssd_cli.errors import InputError
from zssd_cli.series.drs import Range, names_of, parsed
from zssd_cli.series.finding import find
from zssd_cli.series.leaving import LeftOut, by_name, refuse_nothing
from zssd_cli.series.listing import Listed
from zssd_cli.series.opening import open_datasets, url_of
from zssd_cli.series.provenance import origin_of
from zssd_cli.variables import Variable

_PERIOD = re.compile(r"[._-]?\d{4,14}(?:-\d{4,14})?$")
_FINE = "subdaily"
_CLASSES = (("fx", "fx"), ("yr", "yr"), ("ann", "yr"), ("mon", "mon"), ("day", "day"), ("hr", _FINE))
_LONGEST = 40
"""Letters of a part of a name; some models tell their experiment in a sentence."""


@dataclass(frozen=True)
class Dataset:
    """What belongs together.

    Attributes
    ----------
    name
        Source, experiment, member and grid label joined by ``_``, or the name of the file.
    files
        Its files as they were given.
    """

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class _File:
    path: Path
    facets: tuple[str, ...]
    table: str
    variables: frozenset[str]


def datasets(
    paths: Sequence[Path], wanted: tuple[Variable, ...], asked: Range | None
) -> tuple[tuple[Dataset, ...], LeftOut]:
    """The data sets of files, and which listed files were left out.

    Raises
    ------
    InputError
        None is left.
    """
    left = LeftOut()
    files = []
    for path in by_name(paths, wanted, asked, left):
        file = _looked_at(path, wanted)
        if file.variables or not isinstance(path, Listed):
            files.append(file)
        else:
            left.other.append(path)
    if not files:
        refuse_nothing(left, wanted)
    groups: dict[tuple[object, ...], list[_File]] = {}
    for file in files:
        groups.setdefault(_key(file, wanted), []).append(file)
    named = [part for group in groups.values() for part in _parts(group)]
    return tuple(Dataset(name, files) for name, files in _told_apart(named)), left


def _looked_at(path: Path, wanted: tuple[Variable, ...]) -> _File:
    """By its name; where that does not follow the syntax of CMIP, by its header."""
    name = parsed(path.name)
    if name is not None:
        held = frozenset(v.name for v in wanted if name.variable.lower() in names_of(v))
        return _File(path, (name.source, name.experiment, name.member, name.grid), name.table, held)
    with ExitStack() as opened:
        try:
            several = open_datasets(path, wanted)
        except InputError:
            # what is wrong is told when its turn comes
            return _File(path, (), "", frozenset({"unknown"}))
        for dataset in several:
            opened.callback(dataset.close)
        attributes = several[0].attrs if several else {}
        held = frozenset(v.name for v in wanted if any(_may_hold(dataset, v) for dataset in several))
        said = dict(origin_of(attributes, path.name).facts)
        member = "-".join(filter(None, (said.get("start"), said.get("member"))))
        model = " ".join(filter(None, (said.get("driving model"), said.get("model"))))
        facets = (model, said.get("experiment", ""), member, str(attributes.get("grid_label", "")))
        table = str(attributes.get("table_id") or attributes.get("frequency") or "")
        return _File(path, facets if model else (), table, held)


def _may_hold(dataset: xr.Dataset, variable: Variable) -> bool:
    try:
        found = find(dataset, variable)
    except InputError:
        return True
    return found.array is not None or found.speed


def _key(file: _File, wanted: tuple[Variable, ...]) -> tuple[object, ...]:
    if file.facets:
        return file.facets
    if file.variables == {"unknown"}:
        return (file.path,)
    names = sorted((name for variable in wanted for name in names_of(variable)), key=len, reverse=True)
    stem = _PERIOD.sub("", file.path.stem)
    own = re.compile(rf"(?:^|(?<=[._-]))(?:{'|'.join(map(re.escape, names))})(?=[._-]|$)", re.IGNORECASE)
    return (file.path.parent, file.path.suffix, own.sub("", stem))


def _parts(group: list[_File]) -> list[tuple[str, list[_File]]]:
    """A group by the fineness of its tables, and by table where a variable is in two of them; and their names."""
    first = group[0]
    if not first.facets:
        words = _PERIOD.sub("", first.path.stem) if len(group) > 1 else first.path.stem
        return [(words, group)]
    name = "_".join(_word(facet) for facet in first.facets if facet)
    classes: dict[str, list[_File]] = {}
    for file in group:
        classes.setdefault(_class(file.table), []).append(file)
    parts = []
    for label, files in classes.items():
        if _in_two_tables(files):
            tables = dict.fromkeys(file.table for file in files)
            parts += [(f"{name}_{_word(table)}", [f for f in files if f.table == table]) for table in tables]
        else:
            parts.append((name if label == _FINE else f"{name}_{label}", files))
    return parts


def _class(table: str) -> str:
    return next((label for words, label in _CLASSES if words in table.lower()), _FINE)


def _in_two_tables(files: list[_File]) -> bool:
    tables: dict[str, set[str]] = {}
    for file in files:
        for variable in file.variables:
            tables.setdefault(variable, set()).add(file.table)
    return any(len(several) > 1 for several in tables.values())


def _told_apart(named: list[tuple[str, list[_File]]]) -> list[tuple[str, tuple[Path, ...]]]:
    """Names, each once: with the folder's where two are alike, then numbered."""
    counts: dict[str, int] = {}
    for name, _ in named:
        counts[name] = counts.get(name, 0) + 1
    taken: dict[str, int] = {}
    result = []
    for name, files in named:
        folder = files[0].path.parent.name
        full = _word(f"{folder}_{name}" if counts[name] > 1 and folder else name, 200)
        taken[full] = taken.get(full, 0) + 1
        result.append((full if taken[full] == 1 else f"{full}-{taken[full]}", tuple(file.path for file in files)))
    return result


def _word(text: str, longest: int = _LONGEST) -> str:
    """Text as a part of a file's name."""
    return re.sub(r"[^\w.+-]+", "-", text.strip()).strip("-.")[:longest] or "unnamed"


def shown(path: Path) -> str:
    """A file as a person looks for it: the URL or the path."""
    return url_of(path) or str(path)
