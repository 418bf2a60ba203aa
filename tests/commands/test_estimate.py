"""The memory that a run is said to need, and the refusal of one that does not fit."""

from dataclasses import replace

import pytest

from zssd_cli.config import DownscaleConfig
from zssd_cli.grids.latlon import parse_region
from zssd_cli.posterior import estimate
from zssd_cli.posterior.downscaling import prepare
from zssd_cli.posterior.provenance import describe
from zssd_cli.prior.checkpoint import load_prior
from zssd_cli.prior.registry import locate
from zssd_cli.series.reading import open_source
from zssd_cli.static import load_static
from zssd_cli.timing import Timing

SMALL, LARGE = "0,10,40,50", "-40,40,0,80"


@pytest.fixture
def job(model):
    """A run for a region, guidance and other settings, with the prior that ships."""
    source, prior, static = open_source([model()], ("msl",)), load_prior(locate(None)[0]), load_static()

    def call(region, **settings):
        return prepare(source, prior, static, DownscaleConfig(**settings), parse_region(region))

    yield call
    source.close()


@pytest.mark.parametrize(
    ("region", "guidance", "asked", "all_cells"),
    [(LARGE, "analysis", True, 5), (SMALL, "analysis", False, 6), (LARGE, "ucg", False, 8)],
)
def test_calls_of_the_network_for_high_noise_cost_nothing(job, region, guidance, asked, all_cells):
    steps = 8 if guidance == "ucg" else None
    run = job(region, guidance=guidance, steps=steps)
    assert (run.coarse is not None) == asked
    assert run.full_calls == run.samples * all_cells
    assert run.gaussian_above == {"ucg": float("inf")}.get(guidance, 40 if asked else 10)
    recorded = describe(run, ("msl",), "name", "hash", "command", "moment")
    assert recorded.get("zssd_coarse_above") == (5.0 if asked else None)


def test_a_second_network_that_no_level_asks_is_not_there(job):
    below = job(LARGE, gaussian_above=4.0)
    assert below.coarse is None
    assert below.full_calls == below.samples * (len(below.noise_levels) - 1)
    assert "zssd_coarse_above" not in describe(below, ("msl",), "name", "hash", "command", "moment")
    run = job(LARGE)
    header = run.prior.header
    rarely = header.model_copy(update={"coarse": header.coarse.model_copy(update={"above": 50.0})})
    run = replace(run, prior=replace(run.prior, header=rarely))
    assert run.coarse is None
    assert run.gaussian_above == 10  # winds are inferred, by one network


@pytest.fixture
def needed(job):
    """Bytes that such a run takes."""
    return lambda region, **settings: estimate.memory(job(region, **settings))


@pytest.mark.parametrize("guidance", ["mmps", "ucg", "dps"])
def test_back_propagation_takes_more_memory_the_more_cells(needed, guidance):
    def beyond_the_program(region, guidance):
        # one precision for all: "auto" is another one with and without back-propagation where the machine has bfloat16
        return needed(region, guidance=guidance, precision="float32") - estimate.PROGRAM

    large = beyond_the_program(LARGE, guidance)
    assert large > 4 * beyond_the_program(SMALL, guidance)
    assert large > 2 * beyond_the_program(LARGE, "analysis")


@pytest.mark.parametrize(
    ("region", "guidance", "peak"),
    [
        (SMALL, "mmps", 0.55e9),
        ("-20,20,30,70", "mmps", 0.86e9),
        (LARGE, "mmps", 1.79e9),
        ("-80,80,-40,80", "mmps", 3.50e9),
        ("globe", "mmps", 8.51e9),
        (LARGE, "ucg", 1.62e9),
        (LARGE, "analysis", 0.64e9),
    ],
)
def test_the_estimate_is_near_the_measured_peak(needed, region, guidance, peak):
    """Largest resident memory of two steps on a processor, one thread."""
    precision = "bfloat16" if guidance == "analysis" else "float32"
    assert needed(region, guidance=guidance, steps=2, precision=precision) == pytest.approx(peak, rel=0.2)


def test_windows_bound_the_memory_only_without_back_propagation(needed):
    """What the network keeps for the gradient lies there for all windows at once, and they overlap."""
    small, large = 128 * 128, 600_000
    assert needed(LARGE, guidance="mmps", window_cells=small) > needed(LARGE, guidance="mmps", window_cells=large)
    assert needed(LARGE, window_cells=small) < needed(LARGE, window_cells=large)


def test_a_guidance_that_does_not_fit_is_refused_before_it_begins(zssd, model, tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "free_memory", lambda _: 10**6)
    source = model()
    options = ("-o", tmp_path / "out.nc", "--region", SMALL, "--steps", 2, "--device", "cpu")
    for more in ((), ("--dry-run",)):
        done = zssd("downscale", source, *options, "--guidance", "mmps", *more)
        assert done.code == 1
        assert done.err.count("\n") == 1
        assert "--guidance mmps back-propagates" in done.err
        assert "got 0.0 GB free. Ask for a smaller --region, or --guidance analysis." in done.err
    assert list(tmp_path.iterdir()) == [source]
    assert zssd("downscale", source, *options).code == 0


def test_the_time_is_a_range_of_the_timed_calls(job):
    """From the fastest call and from the median; twice the members take twice as long but for what is prepared once."""
    one, two = job(SMALL), job(SMALL, members=2)
    call, cells = Timing(fastest=0.5, usual=1.0, count=9), 128 * 128
    low, high = estimate.seconds_range(one, call, cells)
    prepared = estimate.seconds(one, 0.0)
    assert high / estimate.RULES[1] - prepared == pytest.approx(2 * (low / estimate.RULES[0] - prepared))
    sampled = [estimate.seconds(each, 0.5 / cells) - estimate.seconds(each, 0.0) for each in (one, two)]
    assert sampled[1] == pytest.approx(2 * sampled[0])
    # each of the samples is steps calls of the network on the domain and its halo at least
    assert sampled[0] > one.steps * 0.5 * 41 * 41 / cells
