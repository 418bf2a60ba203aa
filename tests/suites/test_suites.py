"""``zssd evaluate --suite`` on a small made world, and a cell of its table beside the same done by hand."""

import csv
import json

import numpy as np
import pytest
import xarray as xr

import zssd_cli
from tests.commands import conftest as commands
from zssd_cli.evaluation.alignment import covered_blocks
from zssd_cli.evaluation.results import OURS
from zssd_cli.grids.regrid import WHOLE, separable
from zssd_cli.series.reading import open_source
from zssd_cli.suites import catalogue

pytestmark = pytest.mark.filterwarnings("error")
prior_file, zssd, model = commands.prior_file, commands.zssd, commands.model
EVERY = ("psl", "uas", "vas")
BOX, STEPS, SEED = "0,10,40,50", 2, 3


@pytest.fixture
def fields(model):
    """0.25 degree fields at two times, a day each, wider than the box by more than a block."""
    lat, lon = np.arange(32.0, 58.1, 0.25), np.arange(-8.0, 18.1, 0.25)
    return model("fields.nc", EVERY, lat=lat, lon=lon, hours=(18.0, 24.0))


@pytest.fixture
def suite(zssd, prior_file, tmp_path):
    """Run a suite with the toy prior in two steps; code, texts and the JSON report."""

    def call(name, *arguments, guidance=("--guidance", "projection")):
        report = tmp_path / f"{name}.json"
        words = ("--bootstrap", 20) if "--bootstrap" not in arguments else ()
        words += ("--region", BOX, "--steps", STEPS, "--seed", SEED, "--members", 2, "--weights", prior_file, *guidance)
        done = zssd("evaluate", "--suite", name, *arguments, *words, "--json", report)
        assert done.code == 0, done.err
        return done, json.loads(report.read_text())

    return call


def by_hand(fields, prior_file, scale, names=None):
    """Coarsen with numpy, downscale and evaluate with the package's functions."""
    source = open_source([fields], EVERY)
    blocks = covered_blocks(source.grid, scale)
    means = separable(source.grid, blocks, WHOLE)(source.read(0, 2))
    coarse = xr.Dataset(
        {
            name: (("time", "lat", "lon"), means[:, source.variables.index(name)], {"units": units})
            for name, units in (("msl", "Pa"), ("u10", "m s-1"), ("v10", "m s-1"))
            if names is None or name in names
        },
        {"time": xr.CFTimeIndex(source.times), "lat": blocks.lat, "lon": blocks.lon},
    )
    source.close()
    fine = zssd_cli.downscale(
        coarse, region=BOX, members=2, seed=SEED, steps=STEPS, guidance="projection", weights=prior_file, filter_scale=scale
    )  # fmt: skip
    return zssd_cli.evaluate(fine, [str(fields)], paired=True, bootstrap=20)


def cell(report, trial, variable, system=OURS):
    (found,) = [r for r in report["table"] if (r["trial"], r["variable"], r["system"]) == (trial, variable, system)]
    return found


@pytest.mark.parametrize(("name", "given"), [("paired", None), ("psl-only", ("msl",))])
def test_a_trial_is_what_one_does_by_hand(suite, fields, prior_file, name, given):
    done, report = suite(name, fields)
    assert [trial["name"] for trial in report["trials"]] == ["x6", "x10", "x20"]
    hand = by_hand(fields, prior_file, 5.0, given)
    for variable in ("msl", "u10", "wind_speed"):
        textbook = given is not None and variable != "msl"
        ours = cell(report, "x20", variable)
        for score in ("crps", "mae", "spread_skill", "lsd_db"):
            record = hand.find(score, variable)
            assert ours[score] == pytest.approx([record.value, record.low, record.high], rel=2e-4), (variable, score)
        skill = hand.find("skill_crps", variable, versus="geostrophic" if textbook else "bilinear")
        assert ours["skill_crps"] == pytest.approx([skill.value, skill.low, skill.high], rel=2e-4, abs=1e-4)
        other = "geostrophic" if textbook else "bicubic"
        assert cell(report, "x20", variable, other)["crps"][0] == pytest.approx(
            hand.find("crps", variable, other).value
        )
    assert "  msl [Pa]" in done.out
    assert "Done       x6, drawn in" in done.err
    if given is None:
        return
    shown = {(row["variable"], row["system"]) for row in report["table"]}
    for wind in ("u10", "v10", "wind_speed"):
        assert {system for variable, system in shown if variable == wind} == {OURS, "geostrophic"}
    assert {system for variable, system in shown if variable == "msl"} == {OURS, "bilinear", "bicubic"}
    assert {trial["observed"][0] for trial in report["trials"]} == {"msl"}
    assert "  u10* [m s-1]" in done.out
    assert "inferred (*): not in the input" in done.out


def test_unpaired_against_a_reference_of_other_times(suite, model, fields, prior_file, tmp_path):
    coarse = model("gcm.nc", ("psl", "uas"), hours=(240.0, 246.0))
    done, report = suite("unpaired", "--gcm", coarse, "-r", fields, "--csv", tmp_path / "s.csv")
    # cells of 5 degrees: the model's own blocks are those of 5 degrees, finer ones do not exist
    found = [(trial["name"], trial["settings"]["filter_scale"]) for trial in report["trials"]]
    assert found == [("A_low off", 5.0), ("A_low 10", 10.0)]
    assert report["left_out"]["A_low 5"] == "the same as A_low off."
    assert "finer than the input's cells" in report["left_out"]["A_low 2.5"]
    assert "Left out   A_low 5" in done.err
    fine = zssd_cli.downscale(
        [coarse], region=BOX, members=2, seed=SEED, steps=STEPS, guidance="projection", weights=prior_file, filter_scale=10
    )  # fmt: skip
    hand = zssd_cli.evaluate(fine, [str(fields)], distributional=True, bootstrap=20)
    for variable in ("msl", "u10", "v10"):
        for score in ("wasserstein", "quantile_99_error", "lsd_db"):
            value = cell(report, "A_low 10", variable)[score][0]
            assert value == pytest.approx(hand.find(score, variable).value, rel=1e-5), (variable, score)
    assert {r["system"] for r in report["table"] if r["variable"] == "msl"} == {OURS, "bilinear", "quantile_mapping"}
    assert {r["system"] for r in report["table"] if r["variable"] == "v10"} == {OURS, "geostrophic"}
    with (tmp_path / "s.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["trial"] for row in rows} == {"A_low off", "A_low 10"}
    assert max(len(line) for line in done.out.split("quantile error:")[0].splitlines()) <= 80
    assert "…" not in done.out
    assert any(row["score"] == "quantile_99_error" and row["system"] == "quantile_mapping" for row in rows)


def test_ablation_of_the_papers_guidance(suite, fields):
    _, report = suite("ablation", fields, "--vars", "psl", "--bootstrap", 0, guidance=())
    settings = {trial["name"]: trial["settings"] for trial in report["trials"]}
    assert list(settings) == [trial.name for trial in catalogue.suite("ablation").trials]
    assert "zeta" not in settings["analysis"]
    assert settings["ucg, zeta x 3"]["zeta"] == pytest.approx(9 * settings["ucg, zeta / 3"]["zeta"])
    assert settings["A_high off"]["zeta"] == settings["ucg"]["zeta"]
    assert (settings["ucg, A_low 1.5"]["filter_scale"], settings["ucg"]["filter_scale"]) == (1.5, 5.0)
    crps = {name: cell(report, name, "msl")["crps"][0] for name in settings}
    assert len({round(value, 6) for value in crps.values()}) == len(crps)


def test_page_and_markdown_and_nothing_left_behind(suite, fields, tmp_path, monkeypatch):
    holder = tmp_path / "tmp"
    holder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(holder))
    page, text = tmp_path / "s.html", tmp_path / "s.md"
    suite("paired", fields, "--html", page, "--markdown", text, "--vars", "psl,uas")
    assert list(holder.iterdir()) == []
    assert "Trial x20" in page.read_text()
    assert "<svg" in page.read_text()
    table = [line for line in text.read_text().splitlines() if line.startswith("|")]
    assert len(table) == 2 + 3 * 2 * 3
    assert table[2].startswith("| x6 | msl [Pa] | zssd |")
    assert (
        "x20: projection, blocks of 5 degrees, 2 steps of dpmpp_2m, given msl, u10, v10; 2 times, 2 members"
        in text.read_text()
    )


def test_a_small_region_leaves_out_blocks_that_do_not_fit(zssd, model, prior_file):
    small = model("small.nc", EVERY, lat=np.arange(41.0, 44.1, 0.25), lon=np.arange(1.0, 4.1, 0.25))
    done = zssd("evaluate", "--suite", "paired", small, "--weights", prior_file, "--dry-run")
    assert (done.code, done.out) == (0, "")
    assert "Left out   x20: The input covers" in done.err
    assert "Trial      x6: 2 times" in done.err
    assert "nothing written" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "expected one output, OUT.nc, got 0"),
        (("f",), "got none"),
        (("f", "-r", "f", "--historical", "f"), "got both"),
        (("--suite", "ablation", "f", "--sampler", "ddim"), "--sampler: --suite ablation has its own"),
        (("--suite", "paired"), "expected FILES of 0.25 degree fields"),
        (("--suite", "paired", "f", "-r", "f"), "neither --gcm nor --reference"),
        (("--suite", "unpaired", "--gcm", "f"), "expected --gcm (what is downscaled) and --reference"),
        (("--suite", "unpaired", "f", "--gcm", "f", "-r", "f"), "and no other files"),
        (("--suite", "paired", "f", "--scale", "5", "--paired"), "--scale, --paired: not with --suite"),
        (("--suite", "paired", "f", "--plot", "p.png"), "--plot: not with --suite"),
        (("--suite", "ablation", "f", "--guidance", "dps"), "--guidance: --suite ablation has its own"),
        (("--suite", "paired", "f", "--region", "europe", "--region", "asia"), "expected one box or name, got 2"),
        (("out.nc", "-r", "f", "--members", "3"), "--members: only with --suite"),
        (("out.nc", "-r", "f", "--sampler", "ddim"), "--sampler: only with --suite"),
        (("out.nc", "more.nc", "-r", "f"), "expected one output, OUT.nc, got 2"),
        (("-r", "f"), "expected one output, OUT.nc, got 0"),
    ],
)
def test_what_is_missing_or_too_much_is_wrong_usage(zssd, fields, words, said):
    done = zssd("evaluate", *(fields if word == "f" else word for word in words))
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("zssd: error: ")
    assert said in done.err


def test_a_sampler_is_asked_for(suite, fields):
    _, report = suite("paired", fields, "--sampler", "ddim", "--vars", "psl", "--bootstrap", 0)
    assert {trial["settings"]["sampler"] for trial in report["trials"]} == {"ddim"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--suite", "all", "f"), "expected one of paired, psl-only, unpaired, ablation, got 'all'"),
        (("--suite", "paired", "f", "--region", "1,2"), "expected W,E,S,N in degrees"),
        (("--suite", "paired", "f", "--vars", "z500"), "the prior knows msl, u10, v10, si10, got z500"),
        (("--suite", "paired", "f", "--guidance", "hope"), "--guidance: expected one of"),
        (("--suite", "paired", "coarse", "--guidance", "hope"), "--guidance: expected one of"),
        (("--suite", "paired", "f", "--sampler", "hope"), "--sampler: "),
        (("--suite", "paired", "f", "--time", "1900"), "time"),
        (("--suite", "paired", "coarse"), "0.25 degree"),
        (("--suite", "paired", "absent.nc"), "no such file"),
        (("--suite", "psl-only", "wind"), "msl"),
    ],
)
def test_wrong_usage_in_one_line(zssd, model, fields, prior_file, words, said):
    files = {"f": fields}
    if "coarse" in words:
        files["coarse"] = model("coarse.nc", EVERY)
    if "wind" in words:
        files["wind"] = model("wind.nc", ("uas",), lat=np.arange(32.0, 58.1, 0.25), lon=np.arange(-8.0, 18.1, 0.25))
    weights = ("--weights", prior_file) if "--suite" in words else ()
    done = zssd("evaluate", *(files.get(word, word) for word in words), *weights)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("zssd: error: ")
    assert done.err.count("\n") == 1
    assert said in done.err


def test_nothing_is_replaced_unasked(zssd, fields, prior_file, tmp_path):
    target = tmp_path / "s.json"
    target.write_text("precious")
    call = ("evaluate", "--suite", "paired", fields, "--weights", prior_file)
    done = zssd(*call, "--json", target)
    assert done.code == 1
    assert "exists. Choose another name with --json, or pass --overwrite." in done.err
    done = zssd(*call, "--json", fields, "--overwrite")
    assert "is one of the inputs" in done.err
    assert target.read_text() == "precious"
