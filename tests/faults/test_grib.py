"""GRIB that is cut off or damaged: one line, nothing dropped in silence, no process ended by ecCodes."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from zssd_cli import files
from zssd_cli.errors import InputError
from zssd_cli.series import grib
from zssd_cli.series.reading import open_source

pytestmark = pytest.mark.grib
DATES = (20100101, 20100102, 20100103)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Three variables at three times, GRIB2."""
    eccodes = pytest.importorskip("eccodes")
    np = pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("grib") / "whole.grib"
    grid = {
        "Ni": 13, "Nj": 7, "latitudeOfFirstGridPointInDegrees": 60.0, "latitudeOfLastGridPointInDegrees": 30.0,
        "longitudeOfFirstGridPointInDegrees": 0.0, "longitudeOfLastGridPointInDegrees": 60.0,
        "iDirectionIncrementInDegrees": 5.0, "jDirectionIncrementInDegrees": 5.0, "dataTime": 0, "bitsPerValue": 16,
    }  # fmt: skip
    with path.open("wb") as file:
        for date in DATES:
            for name in ("msl", "10u", "10v"):
                handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
                for key, value in {**grid, "dataDate": date, "shortName": name}.items():
                    eccodes.codes_set(handle, key, value)
                eccodes.codes_set_values(handle, (101300.0 if name == "msl" else 3.0) + np.arange(91.0))
                eccodes.codes_write(handle, file)
                eccodes.codes_release(handle)
    return path


def refused(path, data):
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        open_source([path], ["msl", "u10", "v10"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_file_has_all_its_times(whole):
    assert sum(grib.walk(whole)) == 9
    assert len(open_source([whole], ["msl", "u10", "v10"]).times) == len(DATES)


@pytest.mark.parametrize("share", [0.1, 0.34, 0.7, 0.999])
def test_a_truncated_file(tmp_path, whole, capfd, share):
    data = whole.read_bytes()
    assert "is truncated" in refused(tmp_path / "cut.grib", data[: int(share * len(data))])
    assert capfd.readouterr() == ("", "")


def test_a_message_that_lost_its_beginning_or_its_end(tmp_path, whole):
    data = whole.read_bytes()
    length = len(data) // 9
    assert "whose beginning is missing" in refused(
        tmp_path / "b.grib", data[: 3 * length] + b"GRIX" + data[3 * length + 4 :]
    )
    assert "message 1 does not end with 7777" in refused(
        tmp_path / "c.grib", data[: length - 4] + b"7778" + data[length:]
    )


def test_padding_and_headings_between_messages_are_no_damage(tmp_path, whole):
    data = whole.read_bytes()
    length = len(data) // 9
    path = tmp_path / "padded.grib"
    heading = b"\x01\r\r\n123\r\r\nHTXA80 EGRR 010000\r\r\n"
    path.write_bytes(heading + data[:length] + b"\x00" * 5000 + data[length:] + b"\x00" * 100)
    assert "belong to no message" in refused(tmp_path / "far.grib", data[:length] + b"\x00" * 5000 + data[length:])
    path.write_bytes(heading + data[:length] + b"\x00" * 3000 + data[length:] + b"\x00" * 10_000)
    assert sum(grib.walk(path)) == 9


def test_a_message_without_its_beginning_is_no_padding(tmp_path, whole):
    data = whole.read_bytes()
    length = len(data) // 9
    said = refused(tmp_path / "tail.grib", data[:length] + data[length + 30 :])
    assert f"{length - 30} bytes from byte {length} on are the end of a message whose beginning is missing" in said


def left_by(process, folder):
    """A folder as a reading of GRIB has while it lasts, of a process of this number."""
    with files.temporary_folder("zssd-grib") as made:
        name = made.name.replace(f"-{os.getpid():x}-", f"-{process:x}-")
    (folder / name).mkdir()
    (folder / name / "index").write_text("index")
    return folder / name


def test_what_a_killed_reading_left_is_swept_by_the_next(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead, alive = left_by(gone.pid, tmp_path), left_by(os.getppid(), tmp_path)
    other = tmp_path / "zssd-grib-notes"
    other.mkdir()
    open_source([whole], ["msl"]).close()
    assert {path for path in tmp_path.iterdir()} == {alive, other}
    assert not dead.exists()


def test_a_killed_reading_leaves_what_the_next_finds(tmp_path, monkeypatch):
    """A real one, by its name: private, and with the number of its process."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    child = os.fork()
    if child == 0:
        with files.temporary_folder("zssd-grib") as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [f"-{child:x}-" in path.name for path in tmp_path.iterdir()] == [True]
    with files.temporary_folder("zssd-grib"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_child_that_ends_is_one_line(tmp_path, whole, monkeypatch):
    script = tmp_path / "gribcheck.py"
    script.write_text("import os\nos.abort()\n")
    monkeypatch.setattr(grib, "__file__", str(tmp_path / "grib.py"))
    assert "ecCodes ends on it with SIGABRT" in refused(tmp_path / "bad.grib", whole.read_bytes())


def test_a_child_that_never_ends_is_one_line(tmp_path, whole, monkeypatch):
    (tmp_path / "gribcheck.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(grib, "__file__", str(tmp_path / "grib.py"))
    monkeypatch.setattr(grib, "_PATIENCE", 0.5)
    assert "has not read it within" in refused(tmp_path / "slow.grib", whole.read_bytes())


def test_large_grib1_counts_in_blocks(tmp_path):
    """The 24-bit length of a message beyond 8 MB: blocks of 120 bytes, less what section 4 says."""
    length, pad = 120 * 100_000, 60
    head = b"GRIB" + (0x800000 | 100_000).to_bytes(3, "big") + b"\x01"
    product = (28).to_bytes(3, "big") + bytes(4) + b"\x00" + bytes(20)
    total = length - pad + 4
    body = head + product + pad.to_bytes(3, "big")
    path = tmp_path / "large.grib"
    path.write_bytes(body + bytes(total - len(body) - 4) + b"7777")
    assert list(grib.walk(path)) == [1]
    path.write_bytes(body + bytes(total - len(body) - 5) + b"7777")
    with pytest.raises(InputError, match="is truncated, 1 bytes"):
        list(grib.walk(path))
