"""Training data from files: what is refused, what is measured, and how it is handed to the training."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.worlds import ATTRIBUTES, weather, write_world
from zssd_cli.climate.covariance import MAX_LAG, TORUS
from zssd_cli.climate.gaussian import Climate
from zssd_cli.errors import InputError
from zssd_cli.grids.latlon import LatLonGrid, Region
from zssd_cli.prior.denoiser import details
from zssd_cli.series.reading import open_source
from zssd_cli.series.timeline import UNKNOWN_TIME
from zssd_cli.static import load_static
from zssd_cli.training.data import (
    CACHED,
    SAMPLE,
    Part,
    Scales,
    SourceFields,
    check_training_source,
    check_variables,
    climatology,
    global_rows,
    sampled_times,
    scales,
)
from zssd_cli.training.lowpass import lowpass

VARIABLES = ("msl", "u10", "v10")
BOX = Region(-6, 4, 40, 48)


@pytest.fixture(scope="module")
def static():
    return load_static()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    opened = open_source(write_world(tmp_path_factory.mktemp("world") / "era5.nc", BOX), VARIABLES)
    yield opened
    opened.close()


def as_seen(values):
    """Fields (..., C, lat, lon) rounded as a training rounds them: 1 Pa and 1/128 m/s."""
    quanta = np.array([1.0, 1 / 128, 1 / 128], np.float32)[:, None, None]
    return np.rint(values / quanta) * quanta


def test_a_field_without_a_time_has_no_season_and_hour(source, static):
    part = Part(dataclasses.replace(source, times=source.times[:1]), VARIABLES)
    known = Scales(np.zeros(3), np.ones(3), np.ones((3, 3)))
    assert torch.equal(SourceFields(part, static, known)[0].time, torch.zeros(2))
    fields = SourceFields(Part(dataclasses.replace(source, times=(UNKNOWN_TIME,)), VARIABLES), static, known)
    fields._cache[0] = torch.zeros(1)
    assert fields[0].time.isnan().all()


def test_the_synthetic_wind_turns_the_right_way():
    """The world itself: anticlockwise around lows in the north, clockwise in the south, and both blow along isobars."""
    for south in (-60.0, 40.0):
        lat, lon = np.arange(south, south + 20.1, 0.25), np.arange(0, 30, 0.25)
        fields = weather(lat, lon, 1, seed=3)
        narrow = np.cos(np.deg2rad(lat))[:, None]
        dv_dx = np.gradient(fields["v10"][0], 0.25, axis=1) / narrow
        vorticity = dv_dx - np.gradient(fields["u10"][0], 0.25, axis=0)
        curvature = (
            np.gradient(np.gradient(fields["msl"][0], 0.25, axis=0), 0.25, axis=0)
            + np.gradient(np.gradient(fields["msl"][0], 0.25, axis=1), 0.25, axis=1) / narrow**2
        )
        assert np.corrcoef((vorticity * np.sign(south)).ravel(), curvature.ravel())[0, 1] > 0.8
        assert 3 < np.abs(fields["u10"]).max() < 80
    assert set(ATTRIBUTES) == set(fields)


def test_a_good_source_passes(source):
    check_training_source(source, 32)


def refused(source, match, patch=16):
    with pytest.raises(InputError, match=match) as caught:
        check_training_source(source, patch)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_trained_on(tmp_path, source):
    refused(source, "33 cells of latitude, fewer than a patch of 40", patch=40)
    winds = open_source(write_world(tmp_path / "a.nc", BOX, variables=("u10", "v10")), VARIABLES)
    with pytest.raises(InputError, match="lack msl; expected msl, u10, v10"):
        check_variables([Part(winds, VARIABLES)])
    with pytest.raises(InputError, match="msl: all files are `smooth`"):
        check_variables([Part(winds, VARIABLES), Part(source, VARIABLES, smooth=("msl",))])
    check_variables([Part(winds, VARIABLES), Part(source, VARIABLES)])
    coarse = open_source(write_world(tmp_path / "b.nc", Region(-20, 20, 30, 70), stride=2), VARIABLES)
    refused(coarse, r"steps of 0\.5")
    refused(SimpleNamespace(missing=(), grid=None), "not on a latitude-longitude grid")


@pytest.mark.parametrize(("lat", "lon", "name"), [(0.125, 0, "latitude"), (0, 0.1, "longitude")])
def test_cells_between_the_multiples_are_refused(source, lat, lon, name):
    g = source.grid
    moved = LatLonGrid(g.lat + lat, g.lon + lon, g.lat_edges + lat, g.lon_edges + lon)
    refused(SimpleNamespace(missing=(), grid=moved), f"{name} runs from")


def test_single_precision_coordinates_pass(source):
    g = source.grid
    noisy = LatLonGrid(*(a.astype(np.float32).astype(float) + 1e-5 for a in (g.lat, g.lon, g.lat_edges, g.lon_edges)))
    check_training_source(SimpleNamespace(missing=(), grid=noisy), 16)


def test_a_hole_is_named(tmp_path):
    source = open_source(write_world(tmp_path / "a.nc", BOX, holes={"v10": 1}), VARIABLES)
    part = Part(source, VARIABLES)
    part.read(0)
    with pytest.raises(InputError, match=r"a\.nc: v10 at 2020-01-01T06:00:00 has 1 missing"):
        part.read(1)
    with pytest.raises(InputError, match="v10 at 2020-01-01T06:00:00"):
        scales([part])


def test_scales_are_area_weighted(source):
    known = scales([Part(source, VARIABLES)])
    fields = as_seen(source.read(0, 3)).astype(float)
    weights = np.broadcast_to(source.grid.area, fields[:, 0].shape)
    for k in range(3):
        exact = np.average(fields[:, k], weights=weights)
        std = np.average((fields[:, k] - exact) ** 2, weights=weights) ** 0.5
        assert known.mean[k] == pytest.approx(exact, rel=1e-9, abs=1e-9)
        assert known.std[k] == pytest.approx(std, rel=1e-6)
        for band, detail in enumerate(details(torch.as_tensor(fields[:, k]), False)):
            fine = np.average(detail.numpy() ** 2, weights=weights) ** 0.5
            assert known.detail_std[band, k] == pytest.approx(fine / std, rel=1e-6)


def test_climatological_zonal_means(source, static):
    part = Part(source, VARIABLES)
    known = scales([part])
    climate = climatology([part], known, np.array([1.0, 1.0, -1.0]), static)
    rows = global_rows(source.grid.lat)
    exact = (source.read(0, 3).astype(float).mean((0, 3)) - known.mean[:, None]) / known.std[:, None]
    # the mean of single-precision pressures is known to 1e-3 of their standard deviation
    np.testing.assert_allclose(climate.zonal[0, rows], exact[0], atol=1e-3)
    assert not climate.zonal[1:].any()  # winds deviate from the balanced wind instead
    assert climate.zonal.shape == (3, 721)
    # rows without data repeat the nearest
    np.testing.assert_array_equal(climate.zonal[:, : rows[0]], climate.zonal[:, rows[:1]].repeat(rows[0], 1))
    np.testing.assert_array_equal(
        climate.zonal[:, rows[-1] + 1 :], climate.zonal[:, rows[-1:]].repeat(720 - rows[-1], 1)
    )


def test_a_variable_that_never_changes_is_refused(source, monkeypatch):
    still = source.read(0, 3)
    still[:, 1] = 3.0
    monkeypatch.setattr(Part, "read", lambda _, index: still[index])
    with pytest.raises(InputError, match="u10 .*constant"):
        scales([Part(source, VARIABLES)])


def test_a_sample_of_times_is_spread_evenly(source):
    assert sampled_times(source) == [0, 1, 2]
    many = dataclasses.replace(source, times=source.times[:1] * 1000)
    times = sampled_times(many)
    assert len(times) == SAMPLE
    assert (times[0], times[-1]) == (0, 999)
    assert set(np.diff(times)) <= {21, 22}


def test_fields_are_standardised_and_know_their_place(source, static):
    known = scales([Part(source, VARIABLES)])
    fields = SourceFields(Part(source, VARIABLES), static, known)
    assert len(fields) == 3
    assert len(list(fields)) == 3
    field = fields[1]
    back = field.values.double().numpy() * known.std[:, None, None] + known.mean[:, None, None]
    np.testing.assert_allclose(back, as_seen(source.read(1, 2)[0]), rtol=1e-5, atol=1e-3)
    assert field.values.dtype == torch.float32
    assert field.circular is False
    torch.testing.assert_close(field.time, torch.tensor([0.25 / 366, 0.25]))
    assert torch.equal(field.static, torch.as_tensor(static.channels(source.grid)))
    whole = torch.stack([f.values for f in fields])
    assert float(whole.mean().abs()) < 0.2
    assert float(whole.std()) == pytest.approx(1, abs=0.2)


UNIT = Scales(np.zeros(3), np.ones(3), np.ones((3, 3)))


def test_only_a_few_fields_stay_in_memory(source, static, monkeypatch):
    reads = []

    def read(part, index):
        reads.append(index)
        return np.zeros((3, *part.grid.shape), np.float32)

    monkeypatch.setattr(Part, "read", read)
    many = dataclasses.replace(source, times=source.times[:1] * 60)
    fields = SourceFields(Part(many, VARIABLES), static, UNIT)
    for k in (*range(60), 59, 59 - CACHED + 1, 59 - CACHED):
        fields[k]
    assert reads == [*range(60), 59 - CACHED]


def test_a_part_may_lack_variables_and_hold_smooth_ones(tmp_path, source, static):
    """A smooth variable is in the covariances, which read the part, but not in what the network sees."""
    part = Part(source, VARIABLES, smooth=("msl",))
    assert part.complete
    assert np.isfinite(part.read(0)).all()
    field = SourceFields(part, static, UNIT)[0]
    assert field.values[0].isnan().all()
    assert field.values[1:].isfinite().all()
    winds = Part(open_source(write_world(tmp_path / "a.nc", BOX, variables=("u10", "v10")), VARIABLES), VARIABLES)
    assert not winds.complete
    assert np.isnan(winds.read(0)[0]).all()
    np.testing.assert_array_equal(winds.read(0)[1:], as_seen(source.read(0, 1)[0])[1:])
    check_training_source(winds.source, 16)
    known = scales([part])
    signs = np.array([1.0, 1.0, -1.0])
    plain = climatology([Part(source, VARIABLES)], known, signs, static)
    for others in ([part], [part, winds]):  # an incomplete part adds nothing
        np.testing.assert_array_equal(climatology(others, known, signs, static).lags, plain.lags)


def test_a_part_is_filtered(source):
    rough, smooth = Part(source, VARIABLES).read(0), Part(source, VARIABLES, lowpass_km=60.0).read(0)
    np.testing.assert_array_equal(rough, as_seen(source.read(0, 1)[0]))
    filtered = lowpass(source.read(0, 1)[0], source.grid.lat, 60.0, circular=False)
    np.testing.assert_array_equal(smooth, as_seen(filtered))
    assert np.abs(np.diff(smooth[1], axis=1)).mean() < np.abs(np.diff(rough[1], axis=1)).mean()


@pytest.mark.parametrize("south", [-55, 35])
def test_the_climate_knows_that_wind_follows_pressure(tmp_path, static, south):
    """North of the equator, and mirrored south of it: northerly wind east of a high, westerly wind polewards of it."""
    source = open_source(write_world(tmp_path / "era5.nc", Region(0, 30, south, south + 20), times=2), VARIABLES)
    part, signs = Part(source, VARIABLES), np.array([1.0, 1.0, -1.0])
    known = scales([part])
    found = climatology([part], known, signs, static)
    assert found.lags.shape == (9, 3, 3, MAX_LAG + 1, 2 * MAX_LAG + 1)
    tensors = (
        torch.as_tensor(array, dtype=torch.float32) for array in (known.mean, known.std, found.zonal, found.lags)
    )
    climate = Climate(VARIABLES, *tensors, torch.as_tensor(signs), found.balance)
    (band,) = climate.bands(np.array([45.0]))
    here, own = (torch.fft.irfft2(s.covariance(), s=(TORUS, TORUS)) for s in (band.spectrum, band.own))
    # of what the balance explains, the deviations keep next to nothing: the made wind is a multiple of the gradient
    assert float(own.diagonal()[0, 0].sum()) < float(here.diagonal()[0, 0].sum())
    assert here[0, 0, 0, 0] > 0
    assert here[0, 2, 0, 8] < 0 < here[0, 2, 0, -8]
    assert here[0, 1, 8, 0] > here[1, 0, 8, 0]
