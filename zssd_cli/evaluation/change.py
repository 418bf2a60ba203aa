"""The climate-change signal: how two periods differ in the climate model's own blocks, and after downscaling.

Three levels are compared, all over the same area and times:

* ``input``: the climate model's fields as block means (files given by the user; else the downscaled fields' own block means, which
  are held to the input's);
* ``blocks``: block means of the downscaled members;
* ``zssd``: the downscaled members on 0.25 degree, at most 2,000 cells evenly spread.

Downscaling adds variance and extremes that blocks cannot have, so values differ from level to level; what has to survive is the
change. Variance is that over times (and members) at a place, averaged over places; the percentiles are over places and times.
Intervals come from resampling years where both periods have five or more, else blocks of days, each period on its own.
"""

from collections.abc import Sequence

import cftime
import numpy as np

from zssd_cli.errors import InputError
from zssd_cli.evaluation.alignment import OutputFile, common_times, covered_blocks, extent
from zssd_cli.evaluation.change_outcome import change_outcome
from zssd_cli.evaluation.change_sums import Period, summed
from zssd_cli.evaluation.histograms import Binning
from zssd_cli.evaluation.options import Options
from zssd_cli.evaluation.resampling import Blocks, Draws, time_blocks, year_blocks
from zssd_cli.evaluation.results import Evaluation
from zssd_cli.evaluation.scenery import Tick
from zssd_cli.grids.latlon import LatLonGrid
from zssd_cli.series.protocol import CoarseSeries

FEWEST_YEARS = 5


def evaluate_change(
    historical: OutputFile,
    future: OutputFile,
    coarse: tuple[CoarseSeries | None, CoarseSeries | None] = (None, None),
    options: Options | None = None,
    on_time: Tick | None = None,
) -> Evaluation:
    """Change from one period to another.

    Parameters
    ----------
    historical, future
        Outputs on the same cells.
    coarse
        The climate model's own fields of the two periods, both or none.
    options
        Settings.
    on_time
        Called with (done, all).

    Raises
    ------
    InputError
        Outputs on other cells, of other scales, without a block, or times that the climate model's fields lack.
    """
    options = options or Options()
    blocks = _blocks(historical, future, options)
    outputs = (historical, future)
    paired = [
        common_times(o.times, c.times) if c is not None else [(k, k) for k in range(len(o.times))]
        for o, c in zip(outputs, coarse, strict=True)
    ]
    times = [[o.times[k] for k, _ in pairs] for o, pairs in zip(outputs, paired, strict=True)]
    resampled = _resampled(times, options)
    periods = [
        Period(o, c, blocks, pairs, r, Draws(options.replicates, options.seed + 1000 * k, alone=r.count < 2))
        for k, (o, c, pairs, r) in enumerate(zip(outputs, coarse, paired, resampled, strict=True))
    ]
    count, done = sum(map(len, paired)), 0
    binnings: dict[str, Binning] = {}
    for period in periods:
        for _ in summed(period, binnings):
            done += 1  # noqa: SIM113 (over both periods)
            if on_time is not None:
                on_time(done, count)
    return change_outcome(periods, blocks, options)


def _blocks(historical: OutputFile, future: OutputFile, options: Options) -> LatLonGrid:
    """Blocks within both outputs, of their common scale."""
    axes = zip((historical.grid.lat, historical.grid.lon), (future.grid.lat, future.grid.lon), strict=True)
    if not all(np.array_equal(first, second) for first, second in axes):
        msg = (
            f"{future.path} covers {extent(future.grid)}, {historical.path} {extent(historical.grid)}; a change needs the "
            "same cells. Cut them to one region."
        )
        raise InputError(msg)
    scale = options.scale if options.scale is not None else future.filter_scale
    if scale is None or (options.scale is None and historical.filter_scale != scale):
        msg = (
            f"{future.path}: filter scale {future.filter_scale}, {historical.path}: {historical.filter_scale}; expected "
            "one and the same. Pass --scale."
        )
        raise InputError(msg)
    blocks = covered_blocks(future.grid, scale)
    if blocks is None:
        msg = (
            f"{future.path} covers {extent(future.grid)}, no whole block of {scale:g} degrees. Pass a smaller --scale."
        )
        raise InputError(msg)
    return blocks


def _resampled(times: Sequence[Sequence[cftime.datetime]], options: Options) -> list[Blocks]:
    """Years where both periods have enough of them, else days."""
    years = [year_blocks(one) for one in times]
    if options.block_days is None and min(one.count for one in years) >= FEWEST_YEARS:
        return years
    return [time_blocks(one, options.block_days) for one in times]
