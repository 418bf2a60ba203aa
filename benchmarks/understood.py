"""What zssd makes of every file below a folder, as a Markdown table: python benchmarks/understood.py ../shared/data/cmip6."""

import sys
from contextlib import closing
from pathlib import Path

from zssd_cli.errors import ZssdError
from zssd_cli.series.inspection import inspect_source
from zssd_cli.series.reading import open_source
from zssd_cli.variables import VARIABLES

FILES = (".nc", ".cdf", ".grb", ".grib", ".grib2")


def answer(path: Path) -> str:
    """One line."""
    try:
        with closing(open_source(path, list(VARIABLES))) as source:
            found = inspect_source(source, (path.name,))
    except ZssdError as error:
        return f"refused: {str(error).replace(f'{path}: ', '').replace(str(path), path.name)}"
    fields = ", ".join(f"{one.name} ({one.interval}, {one.units})" for one in found.variables)
    times = found.first if found.times == 1 else f"{found.times} times from {found.first}"
    refused = [*(problem.split(": zssd downscale")[0] for problem in found.problems), *found.doubts]
    rest = "".join(f"; **{text}**" for text in refused) + "".join(f"; note: {note}" for note in found.notes)
    return f"{fields}; {times}; {found.variables[0].cells.split(', longitude')[0]}{rest}"


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1])
    print("| file | what happens |\n|---|---|")
    for path in sorted(path for path in folder.rglob("*") if path.suffix in FILES):
        print(f"| {path.relative_to(folder)} | {answer(path).replace('|', '/')} |", flush=True)


if __name__ == "__main__":
    main()
