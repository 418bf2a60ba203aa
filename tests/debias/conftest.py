"""A bias file that is fitted once on a made world."""

from dataclasses import replace

import pytest

from tests.debias.made import FUTURE, GCM, MODEL, dates, write
from zssd_cli.debias import checks, fitting
from zssd_cli.debias.calibration import load
from zssd_cli.debias.seasons import Seasons
from zssd_cli.series.reading import open_source

TREND = 0.03
WARMING = replace(MODEL, trend=TREND, since=2005)


def fit(files, output, names=("msl",), *, window="31d", years=10.0, scale=5.0, region=None, time=None):
    """Fit files by role, as the command does."""
    series = {
        role: open_source(file, names, time_range=time if role != "target" else None) for role, file in files.items()
    }
    checks.check(series)
    hours, _ = checks.same_hours(series["reference"], series["historical"])
    grid = checks.blocks(series, scale, region)
    request = fitting.Request(series, hours, names, grid, scale, Seasons.parse(window), years, "test")
    fitting.fit(request, output)
    for one in series.values():
        one.close()
    return load(output)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Reference (standard), historical run and scenario (noleap), 1995-2004 and 2015-2034."""
    folder = tmp_path_factory.mktemp("made")
    return {
        "reference": write(folder / "era.nc", ["psl"], dates(1995, 10), seed=1),
        "historical": write(
            folder / "hist.nc", ["psl"], dates(1995, 10, "noleap"), MODEL, seed=11, attributes=GCM, holes=True
        ),
        "target": write(
            folder / "ssp.nc", ["psl"], dates(2015, 20, "noleap"), WARMING, seed=21, attributes=FUTURE, holes=True
        ),
    }


@pytest.fixture(scope="session")
def fitted(files, tmp_path_factory):
    """The file."""
    return fit(files, tmp_path_factory.mktemp("bias") / "bias.nc")
