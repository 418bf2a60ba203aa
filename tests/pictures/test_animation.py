"""Films hold their frames."""

import numpy as np
import pytest
from PIL import Image

from zssd_cli.errors import ConfigError, OutputError
from zssd_cli.pictures.animation import check_film, write_film


def frames(count):
    for k in range(count):
        frame = np.full((20, 30, 3), 255, np.uint8)
        frame[:, k * 5 : k * 5 + 5] = (200, 30, 30)
        yield frame


def test_gif_holds_every_frame(tmp_path):
    path = tmp_path / "a.gif"
    write_film(frames(4), path, 0.25)
    assert path.read_bytes().startswith(b"GIF89a")
    with Image.open(path) as film:
        assert (film.n_frames, film.size, film.info["duration"], film.info["loop"]) == (4, (30, 20), 250, 0)
        for k, expected in enumerate(frames(4)):
            film.seek(k)
            np.testing.assert_allclose(np.asarray(film.convert("RGB")).astype(int), expected, atol=8)


def test_a_frame_that_fails_leaves_nothing(tmp_path):
    def failing():
        yield from frames(1)
        msg = "no more"
        raise ConfigError(msg)

    with pytest.raises(ConfigError):
        write_film(failing(), tmp_path / "a.gif", 0.25)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="Cannot write"):
        write_film(frames(1), tmp_path / "no" / "a.gif", 0.25)


def test_mp4_is_piped_to_ffmpeg(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor last; do :; done\necho "$@" > "$last"\ncat >> "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    check_film(tmp_path / "a.mp4")
    write_film(frames(3), tmp_path / "a.mp4", 0.25)
    command, _, data = (tmp_path / "a.mp4").read_bytes().partition(b"\n")
    assert b"-s 30x20 -r 4.0000" in command
    assert len(data) == 3 * 20 * 30 * 3
    program.write_text("#!/bin/sh\ncat > /dev/null\necho broken >&2\nexit 3\n")
    with pytest.raises(OutputError, match="broken"):
        write_film(frames(3), tmp_path / "b.mp4", 0.25)


def test_films_that_cannot_be_made(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="ends in .gif or .mp4"):
        check_film(tmp_path / "a.png")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="needs the program ffmpeg"):
        check_film(tmp_path / "a.mp4")
