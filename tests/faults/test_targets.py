"""Nothing that is read is written over, by whatever name; links are followed; what killed runs left is swept."""

import os
import subprocess
import sys

import pytest

from tests.debias.made import GCM, MODEL, dates, write
from zssd_cli import files
from zssd_cli.commands.shared import check_targets
from zssd_cli.errors import ConfigError, InputError, OutputError
from zssd_cli.files import atomic_folder, atomic_path, check_regular, clear_leftovers


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_an_input_under_another_name_is_refused(tmp_path, link):
    (tmp_path / "static.nc").write_text("precious")
    link(tmp_path / "static.nc", tmp_path / "out.nc")
    with pytest.raises(OutputError, match="is one of the inputs"):
        check_targets({"-o": tmp_path / "out.nc"}, lambda: [tmp_path / "static.nc"])
    assert (tmp_path / "static.nc").read_text() == "precious"


def test_two_targets_that_are_hard_links_of_one_file(tmp_path):
    (tmp_path / "a.nc").write_text("")
    os.link(tmp_path / "a.nc", tmp_path / "b.png")
    with pytest.raises(ConfigError, match="-o and --plot name the same file"):
        check_targets({"-o": tmp_path / "a.nc", "--plot": tmp_path / "b.png"}, list)


def test_names_that_are_not_utf8_are_one_line(tmp_path):
    with pytest.raises(OutputError, match="the name is not UTF-8"):
        check_targets({"-o": tmp_path / "a\udcff.nc"}, list)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_names_is_written(tmp_path, there):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    if there:
        (scratch / "out.nc").write_text("old")
    (tmp_path / "out.nc").symlink_to(scratch / "out.nc")
    with atomic_path(tmp_path / "out.nc") as temporary:
        assert temporary.parent == scratch
        temporary.write_text("new")
    assert (tmp_path / "out.nc").is_symlink()
    assert (scratch / "out.nc").read_text() == "new"
    assert [path.name for path in scratch.iterdir()] == ["out.nc"]


def test_a_link_to_a_store_stays(tmp_path):
    (tmp_path / "real.zarr").mkdir()
    (tmp_path / "real.zarr" / "old").write_text("")
    (tmp_path / "out.zarr").symlink_to(tmp_path / "real.zarr")
    with atomic_folder(tmp_path / "out.zarr") as temporary:
        (temporary / "new").write_text("")
    assert (tmp_path / "out.zarr").is_symlink()
    assert [path.name for path in (tmp_path / "real.zarr").iterdir()] == ["new"]


def test_a_link_into_no_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "out.nc").symlink_to(tmp_path / "absent" / "out.nc")
    with pytest.raises(OutputError, match="absent does not exist"):
        check_targets({"-o": tmp_path / "out.nc"}, list)


def test_what_a_killed_run_left_is_swept_and_what_is_being_written_is_not(tmp_path):
    code = (
        "import os, sys, signal; from pathlib import Path; from zssd_cli.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as t: os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out.nc")], check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / ".other.nc.12345678-1-12345678.part").write_text("of another output")
    with atomic_path(tmp_path / "out.nc") as mine:
        check_targets({"-o": tmp_path / "out.nc"}, list)
        assert sorted(tmp_path.iterdir()) == sorted([mine, tmp_path / ".other.nc.12345678-1-12345678.part"])


def test_the_scratch_of_a_killed_debias_fit_is_swept(tmp_path):
    """Block means lie beside the output while they are gathered."""
    roles = {
        "reference": write(tmp_path / "era.nc", ["psl"], dates(2000, 1, step=4), seed=1),
        "historical": write(tmp_path / "hist.nc", ["psl"], dates(2000, 3, "noleap", 4), MODEL, seed=11, attributes=GCM),
    }
    (tmp_path / "out").mkdir()
    output = tmp_path / "out" / "bias.nc"
    words = ["debias", "fit", *(w for role, path in roles.items() for w in (f"--{role}", str(path)))]
    words += ["--vars", "psl", "--region", "10,20,35,45", "--window", "month", "-o", str(output)]
    code = (
        "import os, signal, sys\nfrom zssd_cli.app import main\nfrom zssd_cli.debias import fitting\n"
        "fitting._quantiles = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nmain(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    (left,) = output.parent.iterdir()
    assert sorted(path.name for path in left.iterdir())
    check_targets({"-o": output}, list)
    assert list(output.parent.iterdir()) == []


def test_what_another_machine_writes_stays_for_a_day(tmp_path):
    left = tmp_path / ".out.nc.00000000-1-12345678.part"
    left.write_text("")
    clear_leftovers(tmp_path / "out.nc")
    assert left.exists()
    os.utime(left, (0, 0))
    clear_leftovers(tmp_path / "out.nc")
    assert not left.exists()


def test_pairs_appear_together_or_not_at_all(tmp_path):
    one, other = tmp_path / "a.json", tmp_path / "b.png"

    def fail():
        with files.atomic_pair(one, None, other) as (first, nothing, second):
            assert nothing is None
            first.write_text("new")
            second.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_pipes_and_devices_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "in.nc")
    for path in (tmp_path / "in.nc", files.Path("/dev/null")):
        with pytest.raises(InputError, match="is no regular file"):
            check_regular(path)


def test_two_runs_that_write_one_output_leave_a_whole_file(tmp_path):
    """The one that ends last wins; where batches are kept in a folder the second run is refused (test_resume.py)."""
    code = (
        "import sys, time; from pathlib import Path; from zssd_cli.files import atomic_path\n"
        "for k in range(40):\n"
        "    with atomic_path(Path(sys.argv[1])) as t:\n"
        "        for _ in range(20): t.open('a').write(sys.argv[2] * 500)"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out.nc"), letter]) for letter in "ab"]
    seen = set()
    while any(run.poll() is None for run in runs):
        if (tmp_path / "out.nc").exists():
            seen.add((tmp_path / "out.nc").read_text())
    assert [run.returncode for run in runs] == [0, 0]
    assert seen <= {"a" * 10_000, "b" * 10_000}
    assert [path.name for path in tmp_path.iterdir()] == ["out.nc"]
