"""Samples that are drawn together, as on a GPU: times and members stay apart."""

from dataclasses import replace

import numpy as np
import pytest

from tests.commands.conftest import BOX, toy_prior
from zssd_cli.config import DownscaleConfig
from zssd_cli.grids.latlon import parse_region
from zssd_cli.posterior.downscaling import observe, prepare, run
from zssd_cli.series.reading import open_source
from zssd_cli.static import load_static

TIMES, MEMBERS = 3, 2


@pytest.mark.parametrize("guidance", ["projection", "analysis"])
@pytest.mark.parametrize("batch", [4, 6])
def test_a_batch_of_several_times_is_its_samples_drawn_alone(model, guidance, batch):
    """Two times together and one that is left over, or all three; the days are far apart, so that seasons differ, too."""

    def hole(values):
        values[1, 32:34, 0] = np.nan  # latitude 38 to 46, longitude 0 to 5, at the second time only
        return values

    path = model(names=("psl", "sfcWind"), lon=np.arange(2.5, 360, 5), hours=(0.0, 1200.0, 4000.0), change=hole)
    static = load_static()
    config = DownscaleConfig(guidance=guidance, steps=3, members=MEMBERS, precision="float32")
    source = open_source([path], ("msl", "si10"))
    job = prepare(source, toy_prior(static.sha256), static, config, parse_region(BOX))
    alone, together = ({(r.time, r.first_member): r for r in run(replace(job, batch=size))} for size in (1, batch))
    source.close()
    assert set(together) == {(time, 0) for time in range(TIMES)}
    for (time, _), result in together.items():
        single = [alone[time, member] for member in range(MEMBERS)]
        for ours, theirs in zip(result.values, (one.values[0] for one in single), strict=True):
            np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
            for k, scale in enumerate((1188.0, 5.7, 4.7)):
                np.testing.assert_allclose(ours[k], theirs[k], atol=1e-3 * scale)
        np.testing.assert_allclose(result.residual, np.max([one.residual for one in single], 0), atol=1e-3)
    different = np.nanmax(np.abs(alone[0, 0].values - alone[2, 0].values), (0, 2, 3))
    assert (different > 0.1 * np.array([1188.0, 5.7, 4.7])).all()


class Counted:
    """A source that notes which times are read."""

    def __init__(self, source):
        self._source, self.taken = source, []

    def __getattr__(self, name):
        return getattr(self._source, name)

    def fields(self, variable, start, stop):
        self.taken += range(start, stop)
        return self._source.fields(variable, start, stop)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_every_time_is_read_once(model, batch):
    static, source = load_static(), Counted(open_source(model(hours=(0.0, 6.0, 12.0)), ("msl",)))
    config = DownscaleConfig(guidance="projection", steps=2)
    job = replace(prepare(source, toy_prior(static.sha256), static, config, parse_region(BOX)), batch=batch)
    results = list(run(job))
    assert observe(job, 0, 1).shape == (1, 1, *job.domain.coarse.shape)
    source.close()
    assert source.taken == [0, 1, 2]
    assert len(results) == 3
