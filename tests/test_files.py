"""Files that appear whole or not at all, whatever comes in between."""

import os
from contextlib import suppress

import pytest

from zssd_cli import files
from zssd_cli.files import atomic_path, discard_unfinished, scratch_folder


def test_a_file_appears_when_all_is_written(tmp_path):
    path = tmp_path / "out.nc"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("when", ["made", "closed", "written", "renamed"])
def test_a_signal_leaves_nothing_behind_whenever_it_comes(tmp_path, monkeypatch, when):
    """Also right after the temporary file is made, where a slow machine met it."""
    path = tmp_path / "out.nc"

    def interrupted_after(function):
        def call(*arguments, **options):
            function(*arguments, **options)
            raise KeyboardInterrupt

        return call

    if when in ("made", "closed"):
        name = {"made": "open", "closed": "close"}[when]
        monkeypatch.setattr(files.os, name, interrupted_after(getattr(os, name)))
    elif when == "renamed":
        monkeypatch.setattr(files.Path, "chmod", interrupted_after(files.Path.chmod))

    def write():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            if when == "written":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_two_that_write_one_file_do_not_meet(tmp_path):
    path = tmp_path / "out.nc"
    with atomic_path(path) as one, atomic_path(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_in_a_host_program_leaves_the_parents_files(tmp_path):
    """Whether the child ends by itself, leaves the block or removes what it has half written."""
    for leave in (discard_unfinished, lambda: None):
        with atomic_path(tmp_path / "a.nc") as half, scratch_folder(tmp_path / "b.nc") as scratch:
            half.write_text("half")
            child = os.fork()
            if child == 0:
                try:
                    leave()
                    with suppress(KeyError), atomic_path(tmp_path / "own.nc") as own:
                        own.write_text("own")
                        raise KeyError
                    discard_unfinished()
                finally:
                    os._exit(0 if not list(tmp_path.glob(".own*")) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert (half.read_text(), scratch.is_dir()) == ("half", True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_that_leaves_its_parents_block_removes_nothing(tmp_path):
    parent = os.getpid()
    try:
        with atomic_path(tmp_path / "a.nc") as half:
            half.write_text("half")
            child = os.fork()
            if child == 0:
                raise KeyError
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert half.read_text() == "half"
    except KeyError:
        assert os.getpid() != parent
    finally:
        if os.getpid() != parent:
            os._exit(0)
    assert (tmp_path / "a.nc").read_text() == "half"
