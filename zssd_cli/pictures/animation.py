"""Animations, frame by frame: GIF by Pillow with one palette, MP4 by ffmpeg where it is installed.

A GIF is written as its frames come, so that a thousand of them need no more memory than one.
"""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import GifImagePlugin, Image

from zssd_cli.errors import ConfigError, OutputError
from zssd_cli.files import atomic_path
from zssd_cli.pictures.style import Picture

GIF, MP4 = ".gif", ".mp4"
LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"


def pixels(picture: Picture, dpi: int = 100) -> np.ndarray:
    """The figure as (height, width, 3) bytes, both sides even, as films want them."""
    picture.figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(picture.figure)
    canvas.draw()
    rgb = np.asarray(canvas.buffer_rgba())[..., :3]
    return np.ascontiguousarray(rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2])


def check_film(out: Path) -> None:
    """Refuse what cannot be made; raises :class:`ConfigError`."""
    if out.suffix.lower() not in (GIF, MP4):
        msg = f"-o: an animation ends in .gif or .mp4, got {out}."
        raise ConfigError(msg)
    if out.suffix.lower() == MP4 and shutil.which("ffmpeg") is None:
        msg = f"{out}: MP4 needs the program ffmpeg, which is not on the PATH. Install it, or write a .gif."
        raise ConfigError(msg)


def write_film(frames: Iterable[np.ndarray], out: Path, seconds: float) -> None:
    """Write frames of one size, each shown for ``seconds``, whole or not at all.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    write = _gif if out.suffix.lower() == GIF else _mp4
    try:
        with atomic_path(out) as temporary:
            write(frames, temporary, seconds)
    except OSError as error:
        msg = f"Cannot write {out} ({error.strerror or error}). Check that the folder exists and has room."
        raise OutputError(msg) from error


def _gif(frames: Iterable[np.ndarray], path: Path, seconds: float) -> None:
    with path.open("wb") as file:
        palette: Image.Image | None = None
        for frame in frames:
            image = Image.fromarray(frame)
            if palette is None:
                palette = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
                header = b"".join(GifImagePlugin.getheader(palette)[0])
                file.write(b"GIF89a" + header[6:] + LOOP)
            indexed = image.quantize(palette=palette, dither=Image.Dither.NONE)
            _write(file, GifImagePlugin.getdata(indexed, duration=round(seconds * 1000)))
        file.write(b";")


def _write(file: IO[bytes], blocks: Iterable[bytes]) -> None:
    for block in blocks:
        file.write(block)


def _mp4(frames: Iterable[np.ndarray], path: Path, seconds: float) -> None:
    process: subprocess.Popen[bytes] | None = None
    try:
        for frame in frames:
            if process is None:
                height, width, _ = frame.shape
                command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
                command += ["-s", f"{width}x{height}", "-r", f"{1 / seconds:.4f}", "-i", "-", "-an", "-f", "mp4"]
                command += ["-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)]
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            _feed(process, frame.tobytes())
    finally:
        if process is not None:
            _, said = process.communicate()
    if process is not None and process.returncode:
        msg = f"ffmpeg stopped: {said.decode(errors='replace').strip().splitlines()[-1:]}"
        raise OSError(msg)


def _feed(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    if process.stdin is not None:
        process.stdin.write(data)
