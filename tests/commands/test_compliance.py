"""What other tools ask of a file: compliance-checker's CF-1.8 without a complaint, ACDD-1.3 but for what nobody knows."""

import json
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.commands.conftest import BOX

SETTINGS = ("--region", BOX, "--steps", 2, "--device", "cpu", "--members", 2)

NOBODY_KNOWS = {
    # who made the file and who publishes it: the user's to say
    "acknowledgment/acknowledgement", "id", "naming_authority", "creator_name", "creator_url", "creator_email", "creator_type",
    "creator_institution", "contributor_name", "contributor_role", "institution", "project", "program", "publisher_name",
    "publisher_url", "publisher_email", "publisher_type", "publisher_institution", "date_issued", "metadata_link",
    # of no meaning for model output, for one height, or for words of our own
    "platform", "platform_vocabulary", "instrument", "instrument_vocabulary", "processing_level", "keywords_vocabulary",
    "geospatial_vertical_resolution", "geospatial_bounds_vertical_crs",
}  # fmt: skip


CHECK = """
import json, sys
from compliance_checker.suite import CheckSuite

def checked(path, book):
    suite = CheckSuite()
    results, failures = suite.run_all(suite.load_dataset(path), [book])[book]
    assert len(results) > 10 and not failures, failures
    full = lambda value: value[0] == value[1] if isinstance(value, tuple) else bool(value)
    return [message for result in results if not full(result.value) for message in result.msgs]

CheckSuite.load_all_available_checkers()
json.dump([checked(path, sys.argv[1]) for path in sys.argv[2:]], sys.stdout)
"""


def complaints(book: str, *paths) -> list[set[str]]:
    """What the checker says of each file by one of its books, less the words that all its sentences share.

    In a process of its own: pyproj, which it needs, and eccodes do not go together in one.
    """
    command = [sys.executable, "-W", "ignore", "-c", CHECK, book, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [
        {message.removeprefix("Attr ").removesuffix(" not present").removesuffix(" is") for message in of_file}
        for of_file in json.loads(done.stdout)
    ]


def holes(values):
    """No wind east of 5 degrees at the second time."""
    values = values.copy()
    values[1, :, 2:4] = np.nan
    return values


@pytest.fixture
def written(model, zssd, tmp_path):
    """Pressure everywhere, winds in part, their speed derived."""
    pressure = model("psl.nc", cell_methods="area: mean time: point", attributes={"license": "CC BY 4.0"})
    means = {"cell_methods": "area: time: mean", "attributes": {"frequency": "6hr"}}
    winds, out = model("wind.nc", ("uas", "vas"), change=holes, **means), tmp_path / "out.nc"
    done = zssd("downscale", pressure, winds, "--vars", "msl,u10,v10,si10", *SETTINGS, "-o", out)
    assert done.code == 0, done.err
    return out, done


def test_the_checker_is_content(written):
    out, _ = written
    with netCDF4.Dataset(out) as data:
        assert {"u10_observed", "v10_observed", "si10_observed", "height", "crs"} <= set(data.variables)
    assert complaints("cf:1.8", out) == [set()]
    (lacking,) = complaints("acdd:1.3", out)
    assert lacking <= NOBODY_KNOWS
    with netCDF4.Dataset(out) as data:
        assert data.license == "That of the input: CC BY 4.0"


def test_no_attribute_is_of_a_type_that_older_formats_lack(written):
    with netCDF4.Dataset(written[0]) as data:
        kinds = {np.asarray(value).dtype for one in (data, *data.variables.values()) for value in one.__dict__.values()}
    assert np.dtype("int64") not in kinds


def test_the_checker_sees_what_is_wrong(written):
    wrong = (
        ("height", "units", "kg"),
        ("u10", "cell_methods", "area: mean time: avg"),
        ("u10_observed", "flag_meanings", "one"),
        ("crs", "grid_mapping_name", "globe"),
    )
    paths = [written[0].with_name(f"{name}.nc") for name, _, _ in wrong]
    for path, (name, attribute, value) in zip(paths, wrong, strict=True):
        shutil.copy(written[0], path)
        with netCDF4.Dataset(path, "a") as data:
            data[name].setncattr(attribute, value)
    assert all(complaints("cf:1.8", *paths))


def test_a_partly_observed_variable_says_so(written):
    """The mask is 0 in the cells of the blocks without wind, at that time; the attribute counts them by area."""
    out, done = written
    with xr.open_dataset(out) as data:
        assert [data[name].attrs["zssd_observed"] for name in ("msl", "u10", "v10")] == ["yes", "partly", "partly"]
        assert data["si10"].attrs["zssd_observed"] == "partly, as wind components (u10, v10)"
        assert "msl_observed" not in data
        mask = data["u10_observed"]
        assert (mask[0] == 1).all()
        east = (data["lon"] > 5).expand_dims(lat=data["lat"])
        np.testing.assert_array_equal(mask[1] == 0, east)
        area = np.cos(np.deg2rad(data["lat"])) * (mask == mask)
        share = float((area * mask).sum() / area.sum())
        assert data["u10"].attrs["zssd_observed_share"] == pytest.approx(share, abs=2e-3)
        np.testing.assert_array_equal(data["si10_observed"], mask)
        said = f"{data['u10'].attrs['zssd_observed_share']:.1%}"
    assert f"Partly     u10, v10, si10: observed in {said} of area and times; drawn where these are 0:" in done.err
    assert "           u10_observed, v10_observed, si10_observed" in done.err
    assert "are not covered by values" not in done.err


@pytest.mark.parametrize("members", [1, 3])
def test_holes_at_the_first_time_are_announced_before_sampling(zssd, model, tmp_path, members):
    """Half of the wind is missing: 2 of 4 blocks, counted also by a dry run; and no wind at all is no observation."""
    pressure, east = model("psl.nc", hours=(0.0,)), model("e.nc", ("uas",), hours=(0.0,), change=first_holes)
    none, out = model("n.nc", ("vas",), hours=(0.0,), change=none_there), tmp_path / "out.nc"
    settings = ("--region", BOX, "--steps", 2, "--device", "cpu", "--members", members)
    said = zssd("downscale", pressure, east, none, *settings, "-o", out, "--dry-run").err
    assert "Partly     u10: 2 of 4 blocks are not covered by values at the first time; drawn there" in said
    assert "Partly     v10: 4 of 4 blocks are not covered by values at the first time; drawn there" in said
    done = zssd("downscale", pressure, east, none, *settings, "-o", out)
    assert done.code == 0, done.err
    with netCDF4.Dataset(out) as data:
        assert (data["u10"].zssd_observed, data["v10"].zssd_observed) == ("partly", "no")
        assert 0.5 < data["u10"].zssd_observed_share < 0.53
        assert data["v10"].zssd_observed_share == 0
        assert not data["v10_observed"][:].any()
        assert np.isfinite(data["v10"][:].filled(np.nan)).all()


def first_holes(values):
    """No wind from 7.5 to 17.5 degrees east: of the blocks from 5 to 10 half is missing."""
    values = values.copy()
    values[0, :, 2:4] = np.nan
    return values


def none_there(values):
    """No wind from 10 west to 30 east."""
    values = values.copy()
    values[:, :, :7] = values[:, :, -3:] = np.nan
    return values
