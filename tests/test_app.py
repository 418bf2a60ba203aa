"""The command line: what it imports, what it says when something goes wrong, and its exit codes."""

import errno
import os
import re
import signal
import subprocess
import sys

import pytest
import typer

import zssd_cli
from zssd_cli import __main__
from zssd_cli import app as cli
from zssd_cli.errors import InputError

HEAVY = ("torch", "xarray", "matplotlib", "pydantic", "scipy", "netCDF4", "pooch")


def python(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=1800, check=False, **options
    )


@pytest.fixture
def run(monkeypatch, capsys):
    """Run ``zssd fail`` with a function of the test's as the command; returns exit code, stdout and stderr."""
    monkeypatch.delenv("ZSSD_DEBUG", raising=False)
    previous = signal.getsignal(signal.SIGTERM)

    def call(command, *arguments):
        application = typer.Typer(pretty_exceptions_enable=False)
        application.callback()(cli.root)
        application.command("fail")(command)
        monkeypatch.setattr(cli, "app", application)
        with pytest.raises(SystemExit) as stop:
            cli.main(list(arguments) or ["fail"])
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    yield call
    signal.signal(signal.SIGTERM, previous)


def raising(error):
    def fail():
        raise error

    return fail


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from zssd_cli.app import main
try:
    main(["--help"])
except SystemExit as stop:
    sys.stderr.write(repr((stop.code, [name for name in {HEAVY!r} if name in sys.modules])))
"""
    done = python(code)
    assert done.stderr == "(0, [])"
    for command in cli.COMMANDS:
        assert command in done.stdout
    assert "zssd downscale --help" in done.stdout


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"zssd {command}" in shown
    assert "completion" not in shown


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_prose_of_help_breaks_at_the_terminals_edge_only(command):
    group = typer.main.get_command(cli.app)
    found = group.get_command(None, command)
    for one in (found, *getattr(found, "commands", {}).values()):
        assert not re.search(r"[^\n]\n[^\n]", one.help.strip())


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"zssd {zssd_cli.__version__}\n"


@pytest.mark.parametrize("arguments", [["downscal"], ["--nonsense"], ["weights", "fetch"]])
def test_wrong_usage_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "Usage" in capsys.readouterr().err


def test_module_and_command_are_the_same():
    done = subprocess.run([sys.executable, "-m", "zssd_cli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"zssd {zssd_cli.__version__}\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("in.nc: expected pressure in Pa,\n  got m."), "error: in.nc: expected pressure in Pa, got m."),
        (MemoryError("Unable to allocate"), "error: not enough memory (Unable to allocate). Close other programs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "error: not enough memory"),
        (OSError(errno.ENOSPC, "No space", "out.nc"), "error: no space left on the device of out.nc."),
        (OSError(errno.ENOSPC, "No space"), "error: no space left on the device of the output."),
        (PermissionError(errno.EACCES, "Permission denied", "out.nc"), "error: out.nc: Permission denied."),
        (ZeroDivisionError("by\nzero"), "internal error: ZeroDivisionError: by zero (run again with --debug"),
    ],
)
def test_an_error_is_one_line_and_1(run, error, said):
    code, out, err = run(raising(error))
    assert (code, out) == (1, "")
    assert err.startswith(f"zssd: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_the_traceback(run, arguments):
    code, _, err = run(raising(InputError("no.")), *arguments)
    assert code == 1
    assert "Traceback" in err
    assert err.endswith("zssd: error: no.\n")


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_debug_by_environment(run, monkeypatch, value, shown):
    monkeypatch.setenv("ZSSD_DEBUG", value)
    assert ("Traceback" in run(raising(InputError("no.")))[2]) is shown


def test_debug_after_two_dashes_is_an_argument(run):
    def fail(word: str) -> None:
        typer.echo(word)

    assert run(fail, "fail", "--", "--debug")[:2] == (0, "--debug\n")


def test_interrupt_is_130(run):
    assert run(raising(KeyboardInterrupt())) == (130, "", "zssd: interrupted\n")


def test_exit_code_of_a_command_is_kept(run):
    assert run(raising(typer.Exit(3)))[0] == 3


def test_terminate_unwinds_and_is_143(run):
    unwound = []

    def wait() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            unwound.append(True)

    assert run(wait) == (143, "", "zssd: terminated by SIGTERM\n")
    assert unwound


def test_hang_up_unwinds_as_terminate_does(run):
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    unwound = []

    def wait() -> None:
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            signal.pause()
        finally:
            unwound.append(True)

    try:
        assert run(wait) == (129, "", "zssd: terminated by SIGHUP\n")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert unwound


def test_nohup_is_respected(run):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run(lambda: os.kill(os.getpid(), signal.SIGHUP))[0] in (0, None)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_that_a_library_swallows_is_130(run):
    def fail() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError from None

    assert run(fail) == (130, "", "zssd: interrupted\n")


def test_an_error_of_memory_without_words_is_named(run):
    assert "not enough memory (MemoryError)" in run(raising(MemoryError()))[2]


def test_reader_that_has_gone_is_quiet():
    code = """
import sys
from zssd_cli.app import main
sys.stdin.readline()
main(["--version"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        process.stdin.write("\n")
        process.stdin.close()
        assert process.stderr.read() == ""
        process.wait(timeout=1800)
    assert process.returncode in (0, 1)


def test_version_and_verbose_say_what_a_bug_report_needs(capsys, monkeypatch):
    monkeypatch.setenv("ZSSD_WEIGHTS_URL", "https://me:s3cret@host/")
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version", "--verbose"])
    assert not stop.value.code
    told = capsys.readouterr().out
    for word in ("python ", "processor ", "torch ", "netcdf-c ", "sha256 ", "cache ", "ZSSD_WEIGHTS_URL is set"):
        assert word in told
    assert "s3cret" not in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_while_the_interpreter_ends_shows_no_traceback(number):
    code = (
        f"import atexit, os; atexit.register(lambda: os.kill(os.getpid(), {int(number)}))\n"
        "from zssd_cli.app import main\nmain(['--version'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("zssd ")
    assert done.stderr == ""


@pytest.mark.parametrize("given", [None, "ACTIVE"])
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(monkeypatch, given):
    """OpenMP reads its policy when torch is imported, so it must stand before the command line is."""
    seen = {}
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    monkeypatch.setattr("zssd_cli.app.main", lambda: seen.update(os.environ))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    __main__.main()
    assert seen["OMP_WAIT_POLICY"] == (given or "PASSIVE")
    assert seen.get("GOMP_SPINCOUNT") == (None if given else "3000")
