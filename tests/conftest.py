"""What every test shares: no network, and the real data where this machine has them."""

import sys
from pathlib import Path

import pytest
from pytest_socket import disable_socket


def pytest_runtest_setup(item):
    if not item.get_closest_marker("allow_hosts"):
        disable_socket(allow_unix_socket=True)
    if "torch" in sys.modules:
        # zssd_cli.prior flushes denormal numbers to zero, with which hypothesis refuses to draw floats
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real reanalysis and CMIP6 files, which only the developers' machines have."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real files of {folder}, which this machine does not have")
    return folder
