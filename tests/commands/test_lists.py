"""Lists of files on standard input, for every command that takes many: ``find ... | zssd COMMAND -``."""

import io
import json

import pytest

from tests.debias.made import GCM, MODEL, dates, write
from tests.worlds import write_world
from zssd_cli.grids.latlon import Region
from zssd_cli.prior.checkpoint import load_prior
from zssd_cli.prior.registry import sha256_of

TINY = """
network: {channels: [8, 16], blocks: 1, embedding: 16, token: 8, attention_from: 1}
patch: 16
batch: 2
steps: 2
warmup: 1
"""


@pytest.fixture
def pipe(monkeypatch):
    """Puts paths on standard input, once."""

    def put(*paths):
        text = "# a comment\n\n" + "".join(f"{path}\n" for path in paths)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return put


def test_train_gives_the_prior_of_the_same_files(zssd, pipe, tmp_path):
    """Also of a held-out list, and a name in the list that the held-out option takes away."""
    box = Region(-6, 0, 44, 50)
    parts = {"era5 msl.nc": ("msl",), "era5 wind.nc": ("u10", "v10"), "held.nc": ("msl", "u10", "v10")}
    files = [write_world(tmp_path / name, box, times=1, variables=names) for name, names in parts.items()]
    (tmp_path / "tiny.yaml").write_text(TINY)

    def train(name, *words):
        done = zssd("train", *words, "--config", tmp_path / "tiny.yaml", "-o", tmp_path / name)
        assert done.code == 0, done.err
        return load_prior(tmp_path / name).header.training

    named = train("named.safetensors", *files[:2], "--held-out", files[2])
    pipe(*files)
    piped = train("piped.safetensors", "-", "--held-out", files[2])
    assert sha256_of(tmp_path / "named.safetensors") == sha256_of(tmp_path / "piped.safetensors")
    assert named == piped
    pipe(files[2])
    train("held.safetensors", *files[:2], "--held-out", "-")
    assert sha256_of(tmp_path / "named.safetensors") == sha256_of(tmp_path / "held.safetensors")


def test_train_refuses_what_cannot_be_read_twice(zssd, pipe, tmp_path, monkeypatch):
    call = ("train", "-", "-o", tmp_path / "p.safetensors")
    pipe("a.nc")
    done = zssd(*call, "--held-out", "-")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "FILES and --held-out cannot both read the list on standard input" in done.err
    pipe()
    done = zssd(*call)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "the list on standard input is empty" in done.err
    monkeypatch.setenv("WORLD_SIZE", "2")
    pipe("a.nc")
    done = zssd(*call)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "processes of torchrun cannot share a list" in done.err


def test_evaluate_scores_against_a_list(zssd, pipe, model, tmp_path):
    """One reference in two files, and what the outputs of two periods were made of."""
    out, source = tmp_path / "out.nc", model(attributes={"source_id": ""})
    done = zssd("downscale", source, "-o", out, "--region", "0,10,40,50", "--steps", 2, "--guidance", "projection")
    assert done.code == 0, done.err
    region = Region(0, 10, 40, 50)
    truth = [write_world(tmp_path / f"{name}.nc", region, variables=(name,)) for name in ("msl", "u10", "v10")]
    call = ("evaluate", out, "--distributional", "--bootstrap", 0, "--overwrite", "--json", tmp_path / "s.json")

    def scores(*words):
        done = zssd(*call, *words)
        assert done.code == 0, done.err
        return json.loads((tmp_path / "s.json").read_text())["records"]

    named = scores(*(word for file in truth for word in ("-r", file)))
    assert {row["variable"] for row in named} >= {"msl", "u10", "v10"}
    pipe(*truth)
    assert scores("--reference", "-") == named
    change = ("evaluate", out, "--historical", out, "--coarse-historical", source, "--bootstrap", 0)
    pipe(source)
    done = zssd(*change, "--coarse", "-")
    assert done.code == 0, done.err
    done = zssd("evaluate", out, "--historical", out, "--coarse-historical", "-", "--coarse", "-")
    assert (done.code, "--coarse and --coarse-historical cannot both read" in done.err) == (1, True)


def test_debias_fit_takes_a_list_for_one_of_its_options(zssd, pipe, tmp_path):
    era = write(tmp_path / "era.nc", ["psl"], dates(2000, 2, step=8), seed=1)
    parts = [
        write(
            tmp_path / f"hist {year}.nc", ["psl"], dates(year, 1, "noleap", 8), MODEL, seed=year, attributes=GCM
        )
        for year in (2000, 2001)
    ]  # fmt: skip
    call = ("debias", "fit", "--vars", "msl", "--region", "10,20,35,45", "--window", "month", "--overwrite")
    out = tmp_path / "bias.nc"

    def fit(*words):
        done = zssd(*call, *words, "-o", out)
        assert done.code == 0, done.err
        return zssd("debias", "show", out).out

    named = fit("--historical", *parts, "--reference", era)
    assert "2000-01-01T12:00:00 to 2001-12-2" in named or "2000" in named
    for words in (("--historical", "-", "--reference", era), ("--reference", era, "--historical", "-")):
        pipe(*parts)
        assert fit(*words) == named
    done = zssd(*call, "--historical", "-", "--reference", "-", "-o", out)
    assert (done.code, "--reference and --historical cannot both read" in done.err) == (1, True)
