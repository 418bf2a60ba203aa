import sys
from pathlib import Path

import pytest

from tests.commands.conftest import toy_prior
from tests.worlds import write_world
from zssd_cli.grids.latlon import Region
from zssd_cli.static import load_static

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A synthetic truth of two times, 15 x 15 degrees, whose middle block is downscaled."""
    from harness.fields import HeldOut

    path = write_world(tmp_path_factory.mktemp("world") / "truth.nc", Region(-30, -15, 40, 55), times=2)
    return HeldOut("toy world", str(path), Region(-25, -20, 45, 50), first=1)


@pytest.fixture(scope="session")
def setting():
    from harness.engine import Setting

    static = load_static()
    return Setting(toy_prior(static.sha256), static, "toy", "0" * 64)
