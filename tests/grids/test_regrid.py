"""From the source's cells to blocks: coverage, missing cells, and the global mean on the grids of real models."""

import numpy as np
import pytest
import xarray as xr

from zssd_cli.errors import ConfigError
from zssd_cli.grids.bounds import rectilinear_grid
from zssd_cli.grids.latlon import LatLonGrid, Region, block_grid
from zssd_cli.grids.regrid import separable
from zssd_cli.grids.regridders import make_regrid
from zssd_cli.series.layout import find_layout

REAL = {
    "MIROC6": ("cmip6/global/tas_day_MIROC6_ssp119_r1i1p1f1_gn_20150101.nc", "tas"),
    "MPI-ESM1-2-LR": ("cmip6/global/psl_6hrPlev_MPI-ESM1-2-LR_historical_r1i1p1f1_gn_201001010300.nc", "psl"),
    "CNRM-CM6": ("cmip6/global/uas_CNRM-CM6_sample.nc", "uas"),
    "N20": ("cmip6/stand_in/sample_data_N20.nc", "msl"),
    "FGOALS-g3": ("cmip6/global/tas_Amon_FGOALS-g3_historical_r1i1p1f1_gn_185001.nc", "tas"),
    "GFDL-ESM2M": ("cmip6/global/psl_Amon_GFDL-ESM2M_rcp45_r1i1p1_208101-208512.nc", "psl"),
}


def box(lat_edges, lon_edges):
    lat, lon = np.asarray(lat_edges, float), np.asarray(lon_edges, float)
    return LatLonGrid((lat[1:] + lat[:-1]) / 2, (lon[1:] + lon[:-1]) / 2, lat, lon)


@pytest.mark.parametrize("model", REAL)
def test_global_mean_is_kept_on_the_grids_of_real_models(shared_data, model):
    name, variable = REAL[model]
    found = sorted(shared_data.rglob(name.rsplit("/", 1)[-1]))
    if not found:
        pytest.skip(f"{name} is not here")
    with xr.open_dataset(found[0], decode_times=False) as data:
        array = data[variable] if variable in data else data[next(n for n in data.data_vars if data[n].ndim >= 3)]
        layout = find_layout(data, array)
        assert layout.grid is not None
        stack = array.transpose(..., *layout.dims).values.reshape(-1, *(array.sizes[d] for d in layout.dims))
    field = layout.arrange(stack)[0]
    assert not np.isnan(field).any()
    source = layout.grid
    assert source.area.sum() == pytest.approx(4 * np.pi, rel=1e-9)
    # the mean of a wind is near nothing: a shift makes "relative" mean something
    field = field.astype(np.float64) + (100.0 if abs(field.mean()) < 50 else 0.0)
    before = np.average(field, weights=source.area)
    for step in (5.0, 2.5):
        target = block_grid(step)
        blocks = separable(source, target)(field)
        assert not np.isnan(blocks).any()
        assert np.average(blocks, weights=target.area) == pytest.approx(before, rel=1e-6)
        assert np.average(blocks, weights=target.area) == pytest.approx(before, rel=1e-9)


def test_constants_stay_and_leading_dimensions_too():
    source, _, _ = rectilinear_grid(np.linspace(-89, 89, 90), np.arange(0, 360, 2.5))
    blocks = separable(source, block_grid(5.0))(np.full((2, 3, *source.shape), 4.5, dtype=np.float32))
    assert blocks.shape == (2, 3, 36, 72)
    assert blocks.dtype == np.float64
    np.testing.assert_allclose(blocks, 4.5, rtol=1e-12)


def test_a_missing_cell_counts_neither_as_zero_nor_at_all():
    source, target = box([0, 5], np.linspace(0, 5, 51)), box([0, 5], [0, 5])
    regrid = separable(source, target)
    values = np.full((1, 50), 20.0)
    values[0, 7] = np.nan  # a fiftieth of the block
    np.testing.assert_allclose(regrid(values), [[20.0]])
    values[0, 8] = np.nan
    assert np.isnan(regrid(values)).all()
    assert np.isnan(regrid(np.full((1, 50), np.nan))).all()


def test_a_part_does_not_stand_for_the_whole_block():
    source, target = box([-5, 5], [0, 5, 10]), box([-5, 5], [0, 10])
    assert np.isnan(separable(source, target)(np.array([[8.0, np.nan]]))).all()
    np.testing.assert_allclose(separable(source, target, 0.5)(np.array([[8.0, np.nan]])), [[8.0]])


def test_coverage_differs_between_fields_of_one_stack():
    regrid = separable(box([0, 5], [0, 1, 2, 3]), box([0, 5], [0, 3]), 0.5)
    values = np.array([[[1.0, 2, 3]], [[1, np.nan, np.nan]], [[1, 2, np.nan]]])
    np.testing.assert_allclose(regrid(values)[:, 0, 0], [2.0, np.nan, 1.5])


def test_blocks_outside_a_regional_source_are_missing():
    source = box(np.arange(0, 21, 1.0), np.arange(170, 191, 1.0))
    target = block_grid(5.0, Region(160, 205, -10, 30))
    blocks = separable(source, target)(np.full(source.shape, 3.0))
    inside = (target.lat > 0)[:, None] & (target.lat < 20)[:, None] & (target.lon > 170) & (target.lon < 190)
    np.testing.assert_allclose(blocks[inside], 3.0)
    assert np.isnan(blocks[~inside]).all()
    moved = block_grid(5.0, Region(-200, -155, -10, 30))
    np.testing.assert_array_equal(separable(source, moved)(np.full(source.shape, 3.0)), blocks)


def test_no_value_of_a_block_leaves_the_range_of_its_cells():
    source, _, _ = rectilinear_grid(
        np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(32)[0])), np.arange(0, 360, 5.625)
    )
    field = np.random.default_rng(0).normal(size=source.shape)
    field[np.random.default_rng(1).random(source.shape) < 0.2] = np.nan
    blocks = separable(source, block_grid(10.0))(field)
    assert np.nanmin(blocks) >= np.nanmin(field)
    assert np.nanmax(blocks) <= np.nanmax(field)


@pytest.mark.parametrize("choice", ["nearest", ""])
def test_unknown_regridder_is_a_one_line_error(choice):
    with pytest.raises(ConfigError, match="--regridder"):
        make_regrid(None, block_grid(5.0), choice)
