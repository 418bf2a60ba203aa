"""What every test shares: no network, the same machine everywhere, and the real data where this machine has them.

A test must not follow the machine that it runs on: ``--precision auto`` resolves to ``ZSSD_TEST_PRECISION`` (float32 unless
it says bfloat16), torch computes with ``ZSSD_TEST_THREADS`` threads (1), and ``FREE`` bytes are free.
"""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from pytest_socket import disable_socket

from zssd_cli.posterior import downscaling, estimate, machine

PRECISION = os.environ.get("ZSSD_TEST_PRECISION", "float32")
THREADS = int(os.environ.get("ZSSD_TEST_THREADS", "1"))
FREE = 16 * 1024**3
LOCK = pytest.StashKey()

if PRECISION not in ("float32", "bfloat16"):
    pytest.exit(f"ZSSD_TEST_PRECISION: expected float32 or bfloat16, got {PRECISION!r}.", returncode=2)
os.environ["OMP_NUM_THREADS"] = str(THREADS)  # of the processes that tests start
torch.set_num_threads(THREADS)  # modules compute what their tests share while they are imported

# a slow machine is no failure, and the same examples are drawn everywhere
settings.register_profile("any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def signals():
    """Ctrl-C is heard, though a shell's background job ignores it, and the command line's handlers do not outlive a test."""
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = {name: signal.getsignal(name) for name in names}
    if before[signal.SIGINT] == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for name, handler in before.items():
        signal.signal(name, handler)


def pytest_configure(config):
    """Refuse a ``--basetemp`` that another session works in: pytest empties it at the start, and tests of that one fail."""
    given = config.option.basetemp
    if not given or hasattr(config, "workerinput") or sys.platform == "win32":
        return
    import fcntl

    config.stash[LOCK] = Path(f"{given}.lock").open("w")  # noqa: SIM115  held until the session ends
    try:
        fcntl.flock(config.stash[LOCK], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pytest.exit(
            f"--basetemp: {given} is another session's, whose files would be deleted. Name a folder of its own.", 2
        )


def pytest_runtest_setup(item):
    if not item.get_closest_marker("allow_hosts"):
        disable_socket(allow_unix_socket=True)
    torch.set_num_threads(THREADS)
    # zssd_cli.prior flushes denormal numbers to zero, with which hypothesis refuses to draw floats
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session", autouse=True)
def _one_machine_for_all():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "has_bfloat16", lambda device: PRECISION == "bfloat16")
        for room in (downscaling, estimate):
            patch.setattr(room, "free_memory", lambda device: FREE)
        yield


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real reanalysis and CMIP6 files, which only the developers' machines have."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real files of {folder}, which this machine does not have")
    return folder


@pytest.fixture
def new_file(tmp_path):
    """Put one more module into a package, as a file in its folder would be: ``new_file(package, name, text)``."""
    added = []

    def put(package, name, text):
        folder = tmp_path / package.__name__
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text)
        package.__path__.append(str(folder))
        added.append((package, name, str(folder)))

    yield put
    for package, name, folder in added:
        package.__path__.remove(folder)
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)
