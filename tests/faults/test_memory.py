"""Memory that runs out: fewer samples at once and the same numbers, or one line that says what to do."""

import errno
import subprocess
import sys
import warnings
from dataclasses import replace

import netCDF4
import numpy as np
import pytest
import torch

from tests.commands.conftest import BOX, FAST, toy_prior
from zssd_cli.app import REMEDIES, explain
from zssd_cli.config import DownscaleConfig
from zssd_cli.errors import OutOfMemory, Remark
from zssd_cli.grids.latlon import parse_region
from zssd_cli.posterior import downscaling
from zssd_cli.posterior.downscaling import prepare, run
from zssd_cli.posterior.together import Batch, pieces
from zssd_cli.series.reading import open_source
from zssd_cli.static import load_static

WORDS = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
ERRORS = (
    RuntimeError(WORDS),
    MemoryError(),
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
)


@pytest.fixture
def room(monkeypatch):
    """Sets how many samples fit: with more of them the network fails with an error, after so many calls."""
    real = downscaling.windowed

    def at(most, error=ERRORS[0], after=0):
        def windowed(*given):
            network, calls = real(*given), []

            def denoise(x, sigma):
                calls.append(sigma)
                if len(x) > most and len(calls) > after:
                    raise error
                return network(x, sigma)

            return denoise

        monkeypatch.setattr(downscaling, "windowed", windowed)

    return at


@pytest.fixture
def job(model):
    """Three times and three members."""
    static = load_static()
    with_error = DownscaleConfig(guidance="projection", steps=3, members=3, precision="float32")
    source = open_source([model(hours=(0.0, 6.0, 12.0))], ("msl",))
    yield prepare(source, toy_prior(static.sha256), static, with_error, parse_region(BOX))
    source.close()


def drawn(job):
    """Results, steps that were told, and what was said."""
    steps = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        results = list(run(job, steps.append))
    return results, sum(steps), [str(one.message) for one in said if one.category is Remark]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("batch", "fit", "ends"), [(9, 3, [4]), (9, 2, [4, 1]), (6, 1, [3, 1]), (2, 1, [1])])
def test_halves_until_it_fits_and_draws_the_same(job, room, batch, fit, ends, error):
    expected, steps, said = drawn(replace(job, batch=ends[-1]))
    assert not said
    room(fit, error, after=1)
    results, told, said = drawn(replace(job, batch=batch))
    assert [int(line.partition("at most ")[2].split()[0]) for line in said] == ends
    assert told == steps == job.steps
    whole = {time: [one for one in expected if one.time == time] for time in range(3)}
    assert sum(len(result.values) for result in results) == 9
    for result in results:
        before = np.concatenate([one.values for one in whole[result.time]])
        mine = slice(result.first_member, result.first_member + len(result.values))
        np.testing.assert_allclose(result.values, before[mine], atol=0.05)
        if fit == 1:
            # each sample is drawn alone in both
            np.testing.assert_array_equal(result.values, before[mine])


def test_one_sample_that_does_not_fit_is_said(job, room):
    room(0)
    with pytest.raises(OutOfMemory, match=r"not enough memory to draw a single sample \(.*smaller --region"):
        list(run(job))


def test_another_error_is_no_reason_to_go_on(job, room):
    room(0, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        list(run(job))


def test_pieces_cover_a_batch_once_in_order():
    whole = Batch(range(2, 7), range(1, 4))
    for most in range(1, 17):
        found = list(pieces(whole, most))
        samples = [(time, member) for piece in found for time in piece.times for member in piece.members]
        assert sorted(samples) == [(time, member) for time in whole.times for member in whole.members]
        assert [time for time, _ in samples] == sorted(time for time, _ in samples)
        assert max(map(len, found)) <= most


def test_rows_of_a_piece():
    whole, values = Batch(range(2, 5), range(1, 3)), torch.arange(6)
    assert whole.cut(values, whole).tolist() == [0, 1, 2, 3, 4, 5]
    assert whole.cut(values, Batch(range(3, 5), range(2, 3))).tolist() == [3, 5]


def test_the_command_goes_on_and_says_so(zssd, model, room, monkeypatch, tmp_path):
    given = model(names=("psl", "uas", "vas"))
    for batch, name in ((1, "plain.nc"), (4, "halved.nc")):
        monkeypatch.setattr(downscaling, "plan_batch", lambda *_, batch=batch: batch)
        room(1)
        done = zssd("downscale", given, *FAST, "--members", 2, "-q", "-o", tmp_path / name)
        assert done.code == 0
        assert done.err.count("memory ran out") == (2 if batch > 1 else 0)
    with netCDF4.Dataset(tmp_path / "plain.nc") as plain, netCDF4.Dataset(tmp_path / "halved.nc") as halved:
        for name in ("msl", "u10", "v10"):
            np.testing.assert_array_equal(plain[name][:], halved[name][:])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["halved.nc", "in.nc", "plain.nc"]


def test_the_command_ends_in_one_line(zssd, model, room, tmp_path):
    room(0)
    done = zssd("downscale", model(names=("psl", "uas", "vas")), *FAST, "-q", "-o", tmp_path / "out.nc")
    assert done.code == 1
    assert done.err.startswith("zssd: error: not enough memory to draw a single sample (")
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.nc"]


@pytest.mark.parametrize(
    "error",
    [
        *ERRORS,
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
@pytest.mark.parametrize("command", [*REMEDIES, "inspect"])
def test_the_remedy_is_the_commands(error, command):
    said = explain(error, command)
    assert said.startswith("error: not enough memory (")
    assert ("--region" in said) is (command in ("downscale", "debias", "evaluate", "plot"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not keep to such a limit")
@pytest.mark.parametrize("megabytes", [100, 300, 600])
@pytest.mark.parametrize(
    "words", [["--help"], ["weights", "list"], ["inspect", "in.nc"], ["downscale", "in.nc", "-o", "out.nc"]]
)
def test_a_limit_of_address_space_is_one_line(model, tmp_path, words, megabytes):
    model()
    limited = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({megabytes} * 1024**2,) * 2)\n"
        "from zssd_cli.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=1800
    )
    if words == ["--help"] or (words[0] == "inspect" and megabytes == 600):
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert done.returncode == 1
    assert done.stderr.startswith("zssd: error: not enough memory")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.nc"]
