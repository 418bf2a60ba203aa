"""The rooms: imports go down by floors and in no circle, and no module outgrows a reader. Read from the source, by ast."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from zssd_cli.app import COMMANDS

ROOT = Path(__file__).parents[1] / "zssd_cli"
FLOORS = (
    {"errors", "timing", "defaults", "text", "buffers"},
    {"discovery", "files", "times", "variables", "config"},
    {"grids", "locks", "settings_file", "watchdog"},
    {"static", "operators", "climate", "outputs"},
    {"series", "prior", "pictures", "tracking"},
    {"evaluation"},
    {"posterior", "inversion", "page"},
    {"debias"},
    {"training", "api"},
    {"workers", "suites"},
    {"commands"},
    {"app"},
    {"__main__"},
)
"""From the ground. A module imports its own room and lower floors only."""
FILES = {
    ".".join(("zssd_cli", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}
LONGEST, LONGEST_COMMAND = 400, 80


def imports(path: Path) -> set[str]:
    """Modules of zssd that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in FILES else node.module for name in inner}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name and name.startswith("zssd_cli.")}


def floor(module: str) -> int:
    room = module.split(".")[1]
    (number,) = (number for number, rooms in enumerate(FLOORS) if room in rooms)
    return number


@pytest.mark.parametrize("module", sorted(FILES.keys() - {"zssd_cli"}))
def test_imports_go_down(module):
    room = module.split(".")[1]
    up = {name for name in imports(FILES[module]) if name.split(".")[1] != room and floor(name) >= floor(module)}
    assert not up


def test_no_module_imports_itself_through_others():
    # asking for the order raises where there is a circle, and names it
    list(TopologicalSorter({module: imports(path) for module, path in FILES.items()}).static_order())


def own_lines(path: Path) -> int:
    """Lines of a command but for what the help shows: options and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    count = len(path.read_text(encoding="utf-8").splitlines())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.Module) and ast.get_docstring(node):
            count -= node.body[0].end_lineno - node.body[0].lineno + 1
        if isinstance(node, ast.FunctionDef):
            count -= node.body[0].lineno - node.lineno
    return count


@pytest.mark.parametrize("command", sorted({target.partition(":")[0] for target in COMMANDS.values()}))
def test_a_command_parses_asks_and_shows(command):
    assert own_lines(FILES[command]) <= LONGEST_COMMAND


def test_no_module_is_too_long():
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in FILES.items()}
    assert {module: count for module, count in lines.items() if count > LONGEST} == {}
