"""The page of an evaluation: complete, honest about numbers, safe with text of strangers, and readable without seeing it."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.evaluation.conftest import World, write_output
from zssd_cli.evaluation.alignment import open_output
from zssd_cli.evaluation.report import OURS, as_dict, evaluate_paired, number
from zssd_cli.page.building import LEVELS, _inverse, page
from zssd_cli.page.charts import Chart, figure
from zssd_cli.page.scenes import Scene, scenes

REGION = "-30,0,30,50"
EMPTY = {"meta", "img", "input", "br", "path", "rect"}
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'


class Parsed(HTMLParser):
    """Elements with attributes, texts, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    path = write_output(tmp_path_factory.mktemp("page") / "out.nc", REGION, shifts=(-1.0, 0.5, 3.0))
    return evaluate_paired(open_output(path), World("globe"), "era5")


PNG = b"\x89PNG\r\n\x1a\n"
SCENES = [
    Scene("msl", "2010-01-01 00:00", layer, PNG + layer.encode(), f"msl, {layer}: 990 to 1020 hPa")
    for layer in ("member 0", "reference")
]


def test_everything_is_there_and_closed(evaluation) -> None:
    text = page(evaluation, SCENES, {"output": "out.nc"}, "zssd evaluate out.nc")
    parsed = Parsed(text)
    assert not parsed.open
    shown = " ".join(parsed.texts)
    for sentence in evaluation.verdict:
        assert sentence in shown
    for heading in ("Verdict", "Scores", "Maps", "Spectra", "Ensemble", "What the scores mean", "Provenance"):
        assert f">{heading}</h2>" in text
    crps = evaluation.find("crps", "msl", OURS)
    assert number(crps.value) in shown
    assert "zssd evaluate out.nc" in shown
    ids = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in parsed.all("a")} <= set(ids)
    assert {label["for"] for label in parsed.all("label") if "for" in label} <= set(ids)


def test_it_asks_the_network_for_nothing(evaluation) -> None:
    parsed = Parsed(page(evaluation, SCENES))
    for _, attrs in parsed.elements:
        assert not attrs.keys() & {"onclick", "onload", "onerror", "style"}
        for name in ("src", "href"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png;base64,"))
    policy = next(meta["content"] for meta in parsed.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_every_picture_and_chart_says_its_numbers(evaluation) -> None:
    parsed = Parsed(page(evaluation))
    pictures = [image["alt"] for image in parsed.all("img")] + [svg["aria-label"] for svg in parsed.all("svg")]
    assert len(pictures) > 5
    assert all(any(letter.isdigit() for letter in words) for words in pictures)


def test_text_of_strangers_stays_text(evaluation) -> None:
    nasty = replace(evaluation, notes=(HOSTILE,), extent=HOSTILE)
    seen = [replace(SCENES[0], alt=HOSTILE, time=HOSTILE)]
    plain, hostile = (
        Parsed(page(evaluation, SCENES[:1], {"title": "t"})),
        Parsed(page(nasty, seen, {HOSTILE: HOSTILE}, HOSTILE)),
    )
    assert [name for name, _ in hostile.elements if name == "script"] == [
        name for name, _ in plain.elements if name == "script"
    ]
    assert len(hostile.all("img")) == len(plain.all("img"))
    assert not any("onerror" in attrs for _, attrs in hostile.elements)
    held = next(text for text in hostile.texts if text.startswith('[{"variable"'))
    assert json.loads(held)[0]["alt"] == HOSTILE


def test_numbers_are_those_of_the_json(evaluation) -> None:
    shown = " ".join(Parsed(page(evaluation)).texts)
    for row in as_dict(evaluation)["scores"]:
        for score in ("crps", "mae"):
            assert row[score] is None or number(row[score]) in shown


def test_maps_of_an_output(tmp_path, make_output) -> None:
    made = scenes(make_output(tmp_path / "out.nc", REGION, shifts=(-1.0, 1.0)), None)
    layers = {scene.layer for scene in made if scene.variable == "msl"}
    assert layers == {"block means of member 0", "member 0", "member 1", "mean of 2", "spread"}
    assert len({scene.time for scene in made}) == 3
    assert all(scene.png.startswith(b"\x89PNG") for scene in made)
    assert sum(len(scene.png) for scene in made) < 5e6


def test_quantiles_of_a_histogram() -> None:
    np.testing.assert_allclose(_inverse(np.arange(0.0, 10.0, 0.5), np.full(20, 0.05)), 10 * LEVELS, atol=1e-9)


@pytest.mark.parametrize("log", [True, False])
def test_charts_with_gaps_zeros_and_constants(log) -> None:
    curves = {"a": np.array([1.0, math.nan, 3.0, 0.0]), "<b>": np.full(4, 2.0), "none": np.full(4, math.nan)}
    text = figure(Chart("t", "x", "y", np.array([1.0, 2.0, 3.0, 4.0]), curves, "w 1", log_x=log, log_y=log))
    parsed = Parsed(text)
    assert not parsed.open
    assert "nan" not in text
    assert "inf" not in text
    assert "&lt;b&gt;" in text


def test_a_colour_means_the_same_system_in_all_charts() -> None:
    """The second colour is the reference's alone: without a reference it is left out."""
    x, y = np.array([1.0, 2.0]), np.array([1.0, 3.0])
    for names, colours in (
        (("zssd", "reference", "bilinear"), ("k0", "k1", "k2")),
        (("zssd", "bilinear"), ("k0", "k2")),
        (("zssd",), ("k0",)),
    ):
        text = figure(Chart("t", "x", "y", x, dict.fromkeys(names, y), "words"))
        assert tuple(re.findall(r'<span class="key (k\d)">', text)) == colours
        assert tuple(re.findall(r'<path class="curve (k\d)"', text)) == colours


def test_ticks_of_pressure_are_whole_numbers() -> None:
    text = figure(Chart("t", "x", "y", np.array([101500.0, 103500.0]), {"zssd": np.array([1.0, 2.0])}, "words"))
    assert ">102000<" in text
    assert "e+05<" not in text.partition("<details>")[0]
