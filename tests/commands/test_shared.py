"""What commands share: which targets are refused, and in which words."""

import io

import pytest
from rich.console import Console
from rich.progress import TextColumn

from zssd_cli.commands.shared import bar, check_picture, check_targets, command_line, say
from zssd_cli.errors import ConfigError, OutputError


def asked_for_nothing():
    pytest.fail("nothing is there, so no input has to be looked up")


def test_new_files_pass_without_a_look_at_the_inputs(tmp_path):
    check_targets({"-o": tmp_path / "a.nc", "--plot": None}, asked_for_nothing, overwrite=False)


@pytest.mark.parametrize(
    ("targets", "overwrite", "error", "words"),
    [
        ({"-o": "new.nc", "--plot": "./new.nc"}, True, ConfigError, "-o and --plot name the same file"),
        ({"-o": "old.nc"}, False, OutputError, "old.nc exists. Choose another name with -o, or pass --overwrite."),
        ({"-o": "new.nc", "--plot": "old.nc"}, False, OutputError, "Choose another name with --plot"),
        ({"-o": "in.nc"}, True, OutputError, "in.nc is one of the inputs. Choose another name with -o."),
        ({"-o": "in.nc"}, False, OutputError, "is one of the inputs"),
        ({"--json": "."}, True, OutputError, "is a folder; give the name of a file with --json"),
        ({"-o": "no/such/a.nc"}, True, OutputError, "does not exist"),
    ],
)
def test_what_is_refused(tmp_path, targets, overwrite, error, words):
    for name in ("old.nc", "in.nc"):
        (tmp_path / name).write_text(name)
    paths = {option: tmp_path / name for option, name in targets.items()}
    with pytest.raises(error) as caught:
        check_targets(paths, lambda: [tmp_path / "in.nc"], overwrite=overwrite)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_old_files_may_be_replaced_where_that_is_asked_for(tmp_path):
    (tmp_path / "old.nc").write_text("old")
    check_targets({"-o": tmp_path / "old.nc"}, lambda: [tmp_path / "in.nc"], overwrite=True)


def test_pictures_are_png(tmp_path):
    check_picture(None)
    check_picture(tmp_path / "a.PNG")
    with pytest.raises(ConfigError, match="--plot: expected a name that ends in .png"):
        check_picture(tmp_path / "a.pdf")


def test_the_command_line_can_be_pasted(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/zssd", "downscale", "a b.nc", "-o", "c\udcff.nc"])
    assert command_line() == "zssd downscale 'a b.nc' -o 'c?.nc'"


def test_lines_stay_whole_and_plain_and_bars_are_for_terminals():
    console = Console(file=io.StringIO(), width=20)
    say(console, "Wrote      [bold]/a/long/name/of/a/file.nc[/bold]")
    with bar(console, TextColumn("never shown")) as shown:
        shown.add_task("", total=1)
    assert console.file.getvalue() == "Wrote      [bold]/a/long/name/of/a/file.nc[/bold]\n"
