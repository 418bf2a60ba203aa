"""``zssd plot`` from the command line."""

import pytest
from matplotlib import image
from PIL import Image

from tests.commands.conftest import FAST


@pytest.fixture
def output(zssd, model, tmp_path):
    done = zssd("downscale", model(), "-o", tmp_path / "out.nc", "--vars", "msl,u10,v10", "--members", 2, *FAST)
    assert done.code == 0, done.err
    return tmp_path / "out.nc"


def test_every_kind(zssd, output, tmp_path):
    coarse = tmp_path / "in.nc"
    for options, made in (
        (("--input", coarse), "out_map.png"),
        (("--input", coarse), "out_map.png"),
        (("--kind", "spread", "--var", "wind", "--region", "2,8,42,48"), "out_spread.png"),
        (("--kind", "spectrum", "--input", coarse), "out_spectrum.png"),
    ):
        done = zssd("plot", output, *options)
        assert done.code == 0, done.err
        assert str(made) in done.err.replace("\n", "")
        assert image.imread(tmp_path / made).std() > 0
    done = zssd("plot", output, "--kind", "animation", "-o", tmp_path / "film.gif", "--fps", 2)
    assert done.code == 0, done.err
    with Image.open(tmp_path / "film.gif") as film:
        assert (film.n_frames, film.info["duration"]) == (2, 500)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--kind", "globe"), "--kind: expected map, spread, spectrum, animation, got 'globe'"),
        (("-o", "x.pdf"), "expected a name that ends in .png"),
        (("--kind", "animation", "-o", "x.png"), "ends in .gif or .mp4"),
        (("--kind", "animation", "--input", "in.nc"), "an animation shows the output alone"),
        (("--members", "7"), "the file has members 0 to 1, got 7"),
        (("--var", "z500"), "--var: the file has msl, u10, v10, wind"),
        (("--region", "100,110,40,50"), "nothing of it within the region"),
        (("--time", "1999"), "1999"),
        (("-o", "no/such/x.png"), "does not exist"),
        (("-o", "out.nc"), "expected a name that ends in .png"),
    ],
)
def test_what_is_refused_is_one_line(zssd, output, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    done = zssd("plot", output, *options)
    assert done.code == 1
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert set(tmp_path.iterdir()) == before
