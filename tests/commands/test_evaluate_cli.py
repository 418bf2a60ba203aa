"""``zssd downscale`` and then ``zssd evaluate`` of its output against a synthetic truth at 0.25 degree."""

import json

import numpy as np
import pytest

from tests.commands.conftest import BOX, FAST

pytestmark = pytest.mark.filterwarnings("error")
EVERY = ("psl", "uas", "vas")


@pytest.fixture
def truth(model):
    """The model's own formula on the 0.25 degree grid, wider than the output by a block."""
    return model("truth.nc", EVERY, lat=np.arange(35.0, 55.1, 0.25), lon=np.arange(-5.0, 15.1, 0.25))


@pytest.fixture
def output(zssd, model, tmp_path):
    """Two members of the psl-only job."""
    path = tmp_path / "out.nc"
    assert zssd("downscale", model(), "-o", path, *FAST, "--members", 2).code == 0
    return path


def test_scores_of_an_output(zssd, output, truth, tmp_path):
    done = zssd(
        "evaluate", output, "-r", truth, "--paired", "--json", tmp_path / "s.json", "--plot", tmp_path / "s.png"
    )
    assert (done.code, done.err) == (0, "")
    assert "Paired scores: 2 times, 2 members" in done.out
    assert "* inferred: not in the coarse input" in done.out
    assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 100
    report = json.loads((tmp_path / "s.json").read_text())
    scores = {(row["variable"], row["method"]): row for row in report["scores"]}
    assert {name for name, _ in scores} == {"msl", "u10", "v10", "wind_speed"}
    assert [scores[name, "zssd"]["observed"] for name in ("msl", "u10", "v10")] == [True, False, False]
    assert abs(scores["msl", "zssd"]["bias"]) < 100
    assert scores["msl", "bilinear"]["mae"] < scores["msl", "zssd"]["mae"]
    assert scores["msl", "zssd"]["crps"] < scores["msl", "zssd"]["mae"]
    assert report["scale"] == 5.0
    assert (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"


def test_derived_speed_is_scored_against_the_speed_of_the_truth(zssd, model, truth, tmp_path):
    """Written alone, beside a reference that holds the components only; as what evaluate derives of both itself."""
    scores, coarse = {}, model()
    for names in ("si10", "u10,v10"):
        out, report = tmp_path / f"{names}.nc", tmp_path / f"{names}.json"
        assert zssd("downscale", coarse, "-o", out, *FAST, "--vars", names).code == 0
        done = zssd("evaluate", out, "-r", truth, "--paired", "--json", report)
        assert done.code == 0, done.err
        rows = json.loads(report.read_text())["scores"]
        scores |= {row["variable"]: row for row in rows if row["method"] == "zssd"}
    assert set(scores) == {"si10", "u10", "v10", "wind_speed"}
    assert scores["si10"]["mae"] == pytest.approx(scores["wind_speed"]["mae"], rel=1e-5)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ((), ("TOY-ESM", "--paired")),
        (("--paired", "--vars", "z500"), ("no z500", "msl, u10, v10")),
        (("--paired", "--vars", "snow"), ("snow",)),
        (("--paired", "--vars", ""), ("--vars: expected some of msl, u10, v10, got none",)),
        (("--paired", "--json", "no/such/s.json"), ("no/such", "does not exist")),
        (("--paired", "--json", "."), ("is a folder", "--json")),
        (("--paired", "--json", "s", "--plot", "s"), ("--json and --plot name the same file",)),
    ],
)
def test_what_cannot_be_scored(zssd, output, truth, extra, words):
    done = zssd("evaluate", output, "-r", truth, *extra)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("zssd: error: ")
    assert done.err.count("\n") == 1
    for word in words:
        assert word in done.err


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_nothing_is_written_over_what_is_read(zssd, output, truth, option):
    for path in (output, truth):
        before = path.read_bytes()
        done = zssd("evaluate", output, "-r", truth, "--paired", option, path)
        assert done.code == 1
        assert f"is one of the inputs. Choose another name with {option}." in done.err
        assert path.read_bytes() == before


def test_files_that_do_not_fit(zssd, model, output, truth, tmp_path):
    coarse = tmp_path / "in.nc"
    later = model("later.nc", EVERY, lat=np.arange(35.0, 55.1, 0.25), lon=np.arange(-5.0, 15.1, 0.25), hours=(600.0,))
    for result, reference, word in (
        (coarse, truth, "Give the file that zssd downscale wrote"),
        (output, coarse, "0.25"),
        (output, later, "time"),
        (output, tmp_path / "absent.nc", "no such file"),
        (tmp_path / "absent.nc", truth, "got no such file"),
    ):
        done = zssd("evaluate", result, "-r", reference, "--paired")
        assert (done.code, done.out) == (1, "")
        assert done.err.count("\n") == 1
        assert word in done.err


def test_region_that_misses_the_reference(zssd, model, output):
    far = model("far.nc", EVERY, lat=np.arange(-20.0, 0.1, 0.25), lon=np.arange(100.0, 120.1, 0.25))
    done = zssd("evaluate", output, "-r", far, "--paired")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert BOX.split(",")[3] in done.err
