"""Times with missing values: others stand in for them, too many are an error, whatever was read before."""

import itertools
from dataclasses import replace

import netCDF4
import numpy as np
import pytest
import torch

from tests.worlds import write_world
from zssd_cli.errors import BadField, EmptyField, InputError, MissingValues
from zssd_cli.grids.latlon import Region
from zssd_cli.series.coverage import check_first_fields, faults, whole_field
from zssd_cli.series.reading import open_source
from zssd_cli.static import load_static
from zssd_cli.training.data import Part, Scales, SourceFields, climatology, sampled_times, scales
from zssd_cli.training.holes import Holes, stand_ins

VARIABLES = ("msl", "u10", "v10")
BOX = Region(-6, -2, 44, 48)
UNIT = Scales(np.zeros(3), np.ones(3), np.ones((3, 3)))
BAD = {2: "empty", 3: "empty", 7: "hole", 11: "absurd"}


def spoiled(path, times=20, bad=BAD):
    """A world with times that are all NaN, lack one cell, or hold a pressure that is none."""
    write_world(path, BOX, times=times)
    with netCDF4.Dataset(path, "a") as data:
        for time, kind in bad.items():
            if kind == "empty":
                for name in VARIABLES:
                    data[name][time] = np.ma.masked
            elif kind == "hole":
                data["u10"][time, 3, 4] = np.ma.masked
            else:
                data["msl"][time] = 1e7
    return path


@pytest.fixture
def part(tmp_path):
    source = open_source(spoiled(tmp_path / "a.nc"), VARIABLES)
    yield Part(source, VARIABLES, max_missing=0.25)
    source.close()


@pytest.mark.parametrize("count", [1, 2, 3, 24, 48, 365, 2880, 8760])
def test_stand_ins_reach_every_time_once_and_those_of_a_gap_differ(count):
    for index in {0, count // 2, count - 1}:
        order = list(stand_ins(index, count))
        assert order[0] == index
        assert sorted(order) == list(range(count))
    if count > 100:
        gap = range(count // 3, count // 3 + count // 20)
        others = [next(i for i in stand_ins(index, count) if i not in gap) for index in gap]
        assert len(set(others)) == len(others)


def test_what_is_wrong_with_a_field_has_a_class(part, monkeypatch):
    for time, kind, text in (
        (2, EmptyField, "every value is missing"),
        (7, MissingValues, "has 1 missing"),
        (11, BadField, "1e"),
    ):
        with pytest.raises(InputError, match=text) as caught:
            part.read(time)
        assert type(caught.value) is kind

    def torn(*_):
        msg = "NetCDF: HDF error"
        raise OSError(msg)

    monkeypatch.setattr("zssd_cli.series.pieces._values", torn)
    with pytest.raises(InputError, match="HDF error") as caught:
        whole_field(part.source, "msl", part.source.times[0])
    assert not isinstance(caught.value, BadField)


def test_fields_do_not_depend_on_what_was_read_before(part):
    static = load_static()
    orders = [range(20), reversed(range(20)), (3, 2, 3)]
    seen = [{i: fields[i] for i in order} for order in orders for fields in [SourceFields(part, static, UNIT)]]
    for first, second in itertools.combinations(seen, 2):
        for i in first.keys() & second.keys():
            assert torch.equal(first[i].values, second[i].values)
            assert torch.equal(first[i].time, second[i].time)
    fields = seen[0]
    assert all(field.values.isfinite().all() for field in fields.values())
    for bad in BAD:
        (found,) = (i for i, field in fields.items() if i not in BAD and torch.equal(field.values, fields[bad].values))
        assert torch.equal(fields[found].time, fields[bad].time)


def test_what_is_known_to_be_bad_is_not_read_again(part, monkeypatch):
    reads, read = [], Part.read
    monkeypatch.setattr(Part, "read", lambda part, index: reads.append(index) or read(part, index))
    fields = SourceFields(part, load_static(), UNIT)
    for _ in range(3):
        fields[2]
    assert reads.count(2) == 1
    assert len(reads) == 2


def test_scales_and_climatology_are_those_of_the_good_times(tmp_path, part):
    good = [i for i in range(20) if i not in BAD]
    known, fields = scales([part]), np.stack([part.read(i) for i in good]).astype(float)
    weights = part.grid.area / part.grid.area.sum()
    mean = (fields * weights).sum((2, 3)).mean(0)
    np.testing.assert_allclose(known.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(known.std, np.sqrt(((fields**2 * weights).sum((2, 3))).mean(0) - mean**2), rtol=1e-6)
    climate = climatology([part], known, np.array([1.0, 1.0, -1.0]), load_static())
    # a file of the good times alone says the same
    source = open_source(write_world(tmp_path / "b.nc", BOX, times=20), VARIABLES)
    whole = Part(replace(source, times=tuple(source.times[i] for i in good)), VARIABLES)
    same = climatology([whole], scales([whole]), np.array([1.0, 1.0, -1.0]), load_static())
    np.testing.assert_allclose(climate.zonal, same.zonal, atol=1e-6)
    np.testing.assert_allclose(climate.lags, same.lags, atol=1e-4 * np.abs(same.lags).max())


def test_a_sample_of_many_times_takes_stand_ins(part, monkeypatch):
    many = replace(part.source, times=part.source.times * 50)
    bad = set(sampled_times(many)[5:8])

    def read(self, index):
        if index in bad:
            msg = "hole"
            raise MissingValues(msg)
        return np.full(3, index)

    monkeypatch.setattr(Part, "read", read)
    whole = dict(Part(many, VARIABLES, max_missing=0.05).sample())
    assert len(whole) == 48
    assert not whole.keys() & bad


def test_more_than_a_share_is_an_error_that_names_the_option(part):
    strict = Part(part.source, VARIABLES, max_missing=0.19)
    match = r"one of 4 bad times among 14 read of 20, more than --max-missing 0\.19 allows .* larger --max-missing"
    with pytest.raises(InputError, match=match) as caught:
        scales([strict])
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, BadField)
    scales([Part(part.source, VARIABLES, max_missing=0.2)])


def test_an_archive_of_holes_is_known_after_a_few_reads(part):
    """A tenth of the times may be bad and all are: nobody waits for a tenth of a million of them."""
    times = part.source.times[:1] * 1_000_000
    holes, error = Holes(times, 0.1), MissingValues("hole.")
    for index in range(8):
        holes.bad(index, error)
    with pytest.raises(InputError, match="one of 9 bad times among 9 read of 1000000"):
        holes.bad(8, error)
    # as many as may be are no reason to stop, in any order that draws make
    rng, holes = np.random.default_rng(0), Holes(times, 0.1)
    for index, bad in enumerate(rng.random(2000) < 0.1):
        if bad:
            holes.bad(index, error)
        else:
            holes.good(index)


def test_all_times_may_not_be_bad(tmp_path):
    source = open_source(write_world(tmp_path / "a.nc", BOX, times=1, holes={"u10": 0}), VARIABLES)
    holed = Part(source, VARIABLES, max_missing=0.999)
    with pytest.raises(InputError, match="1 bad times among 1 read of 1"):
        holed.good(0, holed.read)


def test_what_was_left_out_in_words(part):
    assert part.holes.words() == ""
    part.good(2, part.read)
    assert part.holes.words() == (
        "left out 1 of 20 times with missing values: 2020-01-01T12:00 (2 of the times were read)"
    )
    for index in range(20):
        part.good(index, part.read)
    said, _, why = part.holes.words().partition("; ")
    assert said == (
        "left out 4 of 20 times with missing or implausible values: 2020-01-01T12:00..2020-01-01T18:00 (2), "
        "2020-01-02T18:00, 2020-01-03T18:00"
    )
    assert "a.nc: msl: values 1e+07" in why


def test_the_faults_of_every_field(part, monkeypatch):
    count = []
    dates = part.source.times
    found = {name: faults(part.source, name, lambda: count.append(1)) for name in VARIABLES}
    assert len(count) == 60
    assert found["msl"].empty == found["u10"].empty == (dates[2], dates[3])
    assert (found["msl"].holed, found["u10"].holed) == ((), (dates[7],))
    assert set(found["msl"].refused) == {dates[11]}
    assert "a.nc: msl: values 1e+07" in found["msl"].refused[dates[11]]
    assert found["v10"].refused == found["v10"].unreadable == {}


def test_a_file_whose_first_field_is_bad_is_judged_by_others(tmp_path):
    first = write_world(tmp_path / "first.nc", BOX, times=1)
    for k, bad in enumerate(({0: "empty"}, {0: "absurd"}, {0: "hole", 2: "empty"}, dict.fromkeys(range(4), "empty"))):
        check_first_fields(open_source([first, later(spoiled(tmp_path / f"{k}.nc", 4, bad))], VARIABLES))
    wrong = later(spoiled(tmp_path / "wrong.nc", 4, {0: "empty"} | dict.fromkeys(range(1, 4), "absurd")))
    with pytest.raises(InputError, match=r"wrong.nc: msl: values 1e\+07"):
        check_first_fields(open_source([first, wrong], VARIABLES))


def later(path):
    with netCDF4.Dataset(path, "a") as data:
        data["time"][:] = data["time"][:] + 24
    return path
