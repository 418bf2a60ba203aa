"""``zssd evaluate`` and ``zssd fetch-static`` from the command line."""

import json
import types

import numpy as np
import pytest
import xarray as xr

from zssd_cli import api
from zssd_cli.app import main
from zssd_cli.evaluation import entry


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    shown = capsys.readouterr()
    return stop.value.code or 0, shown.out, shown.err


@pytest.fixture
def reference(monkeypatch, world):
    """Replaces the reader of real files by the small world."""
    box = types.SimpleNamespace(source=world("globe"))
    monkeypatch.setattr(entry, "open_source", lambda paths, variables, **_: box.source)
    return box


def test_evaluate(tmp_path, make_output, reference, capsys) -> None:
    out = make_output(tmp_path / "out.nc", "-30,0,30,50")
    extra = ["--json", tmp_path / "s.json", "--plot", tmp_path / "s.png", "--scale", "2.5", "--vars", "psl, u10"]
    code, text, error = run(capsys, "evaluate", out, "-r", "era5.nc", *extra)
    assert (code, error) == (0, "")
    assert "Paired scores" in text
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["files"] == {"output": str(out), "reference": ["era5.nc"]}
    assert report["command"][0] == "zssd"
    assert {row["variable"] for row in report["scores"]} == {"msl", "u10"}
    assert report["scale"] == 2.5
    assert (tmp_path / "s.png").stat().st_size > 10_000
    assert reference.source.closed


def test_evaluate_replaces_nothing_unasked(tmp_path, make_output, reference, capsys) -> None:
    out = make_output(tmp_path / "out.nc", "-30,0,30,50")
    (tmp_path / "e.nc").write_text("a reference")
    (tmp_path / "s.json").write_text("precious")
    call = ("evaluate", out, "-r", tmp_path / "e.nc", "--json", tmp_path / "s.json", "--scale", "2.5", "--vars", "psl")
    code, _, error = run(capsys, *call)
    assert code == 1
    assert "s.json exists. Choose another name with --json, or pass --overwrite." in error
    assert (tmp_path / "s.json").read_text() == "precious"
    assert run(capsys, *call, "--overwrite")[0] == 0
    assert json.loads((tmp_path / "s.json").read_text())["scale"] == 2.5
    code, _, error = run(capsys, "evaluate", out, "-r", tmp_path / "e.nc", "--json", tmp_path / "e.nc", "--overwrite")
    assert code == 1
    assert "is one of the inputs" in error


def test_evaluate_errors_are_one_line(tmp_path, make_output, reference, world, capsys) -> None:
    out = make_output(tmp_path / "out.nc", "-30,0,30,50", zssd_source_id="MIROC6")
    for arguments, expected in (
        ((out, "-r", "e.nc"), "--paired"),
        ((out, "-r", "e.nc", "--paired", "--vars", "z500"), "no z500"),
        ((out, "-r", "e.nc", "--paired", "--json", tmp_path / "no" / "s.json"), "does not exist"),
        ((tmp_path / "absent.nc", "-r", "e.nc"), "got no such file"),
    ):
        code, _, error = run(capsys, "evaluate", *arguments)
        assert code == 1
        assert expected in error
        assert error.count("\n") == 1
    reference.source = world("globe", start=20)
    code, _, error = run(capsys, "evaluate", out, "-r", "e.nc", "--paired")
    assert code == 1
    assert "free-running" in error


def test_fetch_static(tmp_path, capsys) -> None:
    path = tmp_path / "static.nc"
    code, text, _ = run(capsys, "fetch-static", "-o", path)
    assert code == 0
    assert "sha256" in text
    code, _, error = run(capsys, "fetch-static", "-o", path)
    assert code == 1
    assert "--overwrite" in error
    assert run(capsys, "fetch-static", "-o", path, "--overwrite")[0] == 0
    for output, expected in ((tmp_path, "is a folder"), (tmp_path / "no" / "s.nc", "does not exist. Make it first")):
        code, _, error = run(capsys, "fetch-static", "-o", output, "--overwrite")
        assert code == 1
        assert expected in error
    code, _, error = run(capsys, "fetch-static", "-o", path, "--source", "era5", path, "--overwrite")
    assert code == 1
    assert "is one of the inputs" in error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--source", "etopo", "--offline"), "--file"),
        (("--source", "etopo", "--file", "a.nc", "b.nc"), "one file"),
        (("--source", "etopo", "--file", "absent.nc"), "got no such file"),
        (("--source", "builtin", "x.nc"), "unexpected file"),
        (("--source", "era5",), "no geopotential"),
        (("--source", "era5", "absent.nc"), "got no such file"),
    ],
)  # fmt: skip
def test_fetch_static_errors(tmp_path, capsys, arguments, expected) -> None:
    code, _, error = run(capsys, "fetch-static", "-o", tmp_path / "s.nc", *arguments)
    assert code == 1
    assert expected in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def pooch_answers(monkeypatch, tmp_path):
    """Replaces the download by a function; the cache is in the temporary folder."""
    pooch = pytest.importorskip("pooch")
    monkeypatch.setenv("ZSSD_CACHE", str(tmp_path / "cache"))

    def install(answer) -> None:
        monkeypatch.setattr(pooch, "retrieve", answer)

    return install


def test_download_that_fails(tmp_path, capsys, pooch_answers) -> None:
    def refuse(*_, **__):
        raise ConnectionError

    pooch_answers(refuse)
    code, _, error = run(capsys, "fetch-static", "-o", tmp_path / "s.nc", "--source", "etopo")
    assert code == 1
    assert "ngdc.noaa.gov" in error
    assert "--file" in error


def test_download_that_is_a_web_page(tmp_path, capsys, pooch_answers) -> None:
    def page(url, known_hash, fname, path, downloader):
        assert downloader.kwargs["headers"]["User-Agent"].startswith("zssd/")
        path.mkdir()
        (path / fname).write_text("<html>")
        return str(path / fname)

    pooch_answers(page)
    code, text, error = run(capsys, "fetch-static", "-o", tmp_path / "s.nc", "--source", "etopo")
    assert code == 1
    assert "unverified" in text
    assert "not a readable NetCDF" in error
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_was_observed_in_part_is_noted(tmp_path):
    lat, lon, time = np.arange(40.0, 50.1, 0.25), np.arange(0.0, 10.1, 0.25), np.array(["2010-01-01"], "M8[ns]")
    values = 2 + 5 * np.sin(lat[:, None] / 2) * np.cos(lon[None, :]) + np.zeros((1, 1, 1))
    data = xr.Dataset(
        {
            "u10": (
                ("time", "lat", "lon"),
                values.astype("f4"),
                {"units": "m s-1", "zssd_observed": "partly", "zssd_observed_share": 0.25},
            )
        },
        {"time": time, "lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})},
        {"zssd_filter_scale": 5.0},
    )
    reference = data.copy()
    reference["u10"].attrs = {"units": "m s-1"}
    assert (
        api.evaluate(data, reference).notes[-1].startswith("u10 was observed in 25% of area and times: elsewhere drawn")
    )
