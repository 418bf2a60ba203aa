"""The long run: ``python -m tests.fuzz [FORMAT ...]``, or ``make fuzz``.

``ZSSD_FUZZ`` is the number of files of each format (2000), ``ZSSD_FUZZ_FROM`` the number of the first one (0): a fault is
shown with its number, and ``ZSSD_FUZZ=1 ZSSD_FUZZ_FROM=number`` makes it again. Exit code 1 where there are faults.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from tests.fuzz.harness import run_cases
from tests.fuzz.makers import MAKERS


def say(line: str) -> None:
    """A line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(names: list[str]) -> None:
    """Run the formats one after the other; a line for every fault and for every format."""
    count, first = int(os.environ.get("ZSSD_FUZZ", "2000")), int(os.environ.get("ZSSD_FUZZ_FROM", "0"))
    torch.set_num_threads(1)
    faults = 0
    for name in names or MAKERS:
        began = time.monotonic()

        def report(case: int, fault: str, name: str = name, began: float = began) -> None:
            if fault:
                say(f"{name} {case}: {fault}")
            elif case % 100 == 99:
                say(f"{name} {case}: no fault; {time.monotonic() - began:.0f} s")

        with tempfile.TemporaryDirectory(prefix="zssd-fuzz-") as folder:
            make = MAKERS[name](Path(folder))
            (Path(folder) / "cases").mkdir()
            tally = run_cases(make, range(first, first + count), Path(folder) / "cases", report=report)
        codes = ", ".join(f"{times} with exit code {code}" for code, times in sorted(tally.codes.items()))
        say(f"{name}: {count} files from {first} on: {codes}; {len(tally.faults)} faults")
        faults += len(tally.faults)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
