"""Measured rows in a JSON file: a long benchmark can be split over several runs, each adds what is not there yet.

The file is a list of rows ``{"name", "settings", "records": {key: {...}}, ...}``. A record is one measurement (a row on
one field); it is valid for exactly one name and one set of settings.
"""

import json
import math
from pathlib import Path
from typing import Any

from zssd_cli.files import atomic_path


class Store:
    """Rows by name and settings.

    Parameters
    ----------
    path
        The JSON file, read where it exists; None keeps the rows in memory.
    redo
        Forget the records that are asked for, once, so that they are measured again.
    """

    def __init__(self, path: Path | None, redo: bool = False) -> None:
        self.path, self._redo, self._done = path, redo, set()
        self.rows: list[dict[str, Any]] = json.loads(path.read_text()) if path and path.exists() else []

    def row(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """The row, made where it is not there."""
        settings = json.loads(json.dumps(settings))
        for row in self.rows:
            if row["name"] == name and row["settings"] == settings:
                return row
        self.rows.append({"name": name, "settings": settings, "records": {}})
        return self.rows[-1]

    def record(self, row: dict[str, Any], key: str) -> dict[str, Any] | None:
        """A measurement, None where it is still to be made."""
        if self._redo and (id(row), key) not in self._done:
            return None
        return row["records"].get(key)

    def add(self, row: dict[str, Any], key: str, record: dict[str, Any]) -> None:
        """Keep a measurement and write the file."""
        self._done.add((id(row), key))
        row["records"][key] = record
        self.save()

    def save(self) -> None:
        """Write the rows that hold measurements; NaN becomes null."""
        if self.path is not None:
            rows = [_without_nan(row) for row in self.rows if row["records"]]
            with atomic_path(self.path) as temporary:
                temporary.write_text(json.dumps(rows, indent=1) + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
