"""Damaged and odd files of every format end well or in one line: no traceback, crash, hang, leftover, or number that is none.

The short run; the long one is ``make fuzz`` (:mod:`tests.fuzz.__main__`).
"""

import pytest

from tests.fuzz.harness import run_cases
from tests.fuzz.makers import MAKERS

COUNTS = {"netcdf": 8, "grib": 3, "zarr": 6, "safetensors": 10, "yaml": 12, "csv": 12}


@pytest.mark.parametrize("name", MAKERS)
def test_damaged_and_odd_files(name, tmp_path):
    make = MAKERS[name](tmp_path)
    (tmp_path / "cases").mkdir()
    tally = run_cases(make, range(COUNTS[name]), tmp_path / "cases")
    assert not tally.faults, "\n".join(f"{name} {case}: {fault}" for case, fault in tally.faults.items())
    assert sum(tally.codes.values()) == COUNTS[name]
