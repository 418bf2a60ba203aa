"""A child process that reads every message of a GRIB file once, so that a file on which ecCodes aborts ends only the child.

Run by :mod:`zssd_cli.series.grib` as a file, with the GRIB file and, as JSON, the short names whose values will be read and
the keys that cfgrib asks for; it imports nothing of zssd. One line of JSON on standard output says how many fields there
are, or what is wrong. What ecCodes itself says of the wanted fields stands on standard error between two marks.
"""

import json
import os
import sys
from typing import Any

MOST_POINTS = 100_000_000
"""Grid points of a field; a damaged header may ask for any number, and memory is taken before the first value is read."""
GEOGRAPHY = ("latitudes", "longitudes", "distinctLatitudes", "distinctLongitudes")
BEGIN, END = b"\n<zssd>\n", b"\n</zssd>\n"
MISSING = 3.4028234663852886e38


def check(path: str, names: list[str], keys: list[str]) -> int:
    """The number of fields in the file; what ecCodes says of a broken message is raised."""
    import eccodes

    count, grids = 0, set[str]()
    eccodes.codes_grib_multi_support_on()
    with open(path, "rb") as file:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            try:
                _look(eccodes, handle, keys, set(names), grids)
            finally:
                eccodes.codes_release(handle)
            count += 1
    return count


def _look(codes: Any, handle: int, keys: list[str], names: set[str], grids: set[str]) -> None:
    """Read one message as cfgrib will."""
    points = int(codes.codes_get_long(handle, "numberOfPoints"))
    if points > MOST_POINTS:
        msg = f"a field says that it has {points} points, expected {MOST_POINTS} at most"
        raise ValueError(msg)
    wanted = codes.codes_get_string(handle, "shortName") in names
    if wanted:
        os.write(2, BEGIN)
    for key in keys:
        # the points of every row of a reduced grid
        _try(codes.codes_get_array if key == "pl" else codes.codes_get, handle, key)
    if not wanted:
        return
    if codes.codes_is_defined(handle, "alternativeRowScanning") and codes.codes_get(handle, "alternativeRowScanning"):
        msg = "rows that are written to and fro (alternativeRowScanning), expected all in one direction"
        raise ValueError(msg)
    grid = codes.codes_get_string(handle, "md5GridSection")
    for key in GEOGRAPHY if grid not in grids else ():
        _try(codes.codes_get_array, handle, key)
    grids.add(grid)
    codes.codes_set_double(handle, "missingValue", MISSING)
    codes.codes_get_values(handle)
    os.write(2, END)


def _try(get: Any, handle: int, key: str) -> None:
    """Ask for a key that a message need not have."""
    try:
        get(handle, key)
    except Exception:  # noqa: BLE001  as cfgrib does
        return


if __name__ == "__main__":
    try:
        answer: dict[str, object] = {"fields": check(sys.argv[1], *map(json.loads, sys.argv[2:]))}
    except Exception as error:  # noqa: BLE001  whatever it is, the parent says it
        answer = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(answer) + "\n")
