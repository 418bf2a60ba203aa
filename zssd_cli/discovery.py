"""What a folder of modules offers: one file is one thing, and nothing else has to name it."""

import importlib
import pkgutil
from importlib.util import find_spec
from types import ModuleType


def names(package: str) -> tuple[str, ...]:
    """The public modules of a package in alphabetical order; nothing is imported but the packages around it."""
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return tuple(sorted(found.name for found in pkgutil.iter_modules(folders) if not found.name.startswith("_")))


def modules(package: str) -> dict[str, ModuleType]:
    """The same modules by name, imported."""
    return {name: importlib.import_module(f"{package}.{name}") for name in names(package)}
