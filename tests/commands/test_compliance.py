"""What other tools ask of a file: compliance-checker's CF-1.8 without a complaint, ACDD-1.3 but for what nobody knows."""

import netCDF4
import numpy as np
import pytest
import xarray as xr
from compliance_checker.suite import CheckSuite

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


@pytest.fixture(scope="module")
def complaints():
    """What the checker says of a file by one of its books, less the end that all its sentences share."""
    CheckSuite.load_all_available_checkers()

    def check(path, book):
        suite = CheckSuite()
        results, failures = suite.run_all(suite.load_dataset(str(path)), [book])[book]
        assert not failures
        assert len(results) > 10
        full = [r.value[0] == r.value[1] if isinstance(r.value, tuple) else bool(r.value) for r in results]
        bad = [message for result, good in zip(results, full, strict=True) if not good for message in result.msgs]
        return {message.removeprefix("Attr ").removesuffix(" not present").removesuffix(" is") for message in bad}

    return check


def holes(values):
    """No wind east of 5 degrees at the second time."""
    values = values.copy()
    values[1, :, 1:4] = np.nan
    return values


@pytest.fixture
def written(model, zssd, tmp_path):
    """Pressure everywhere, winds in part, their speed derived."""
    pressure = model("psl.nc", cell_methods="area: mean time: point", attributes={"license": "CC BY 4.0"})
    winds, out = model("wind.nc", ("uas", "vas"), change=holes, cell_methods="area: time: mean"), tmp_path / "out.nc"
    done = zssd("downscale", pressure, winds, "--vars", "msl,u10,v10,si10", *SETTINGS, "-o", out)
    assert done.code == 0, done.err
    return out, done


def test_the_checker_is_content(written, complaints):
    out, _ = written
    with netCDF4.Dataset(out) as data:
        assert {"u10_observed", "v10_observed", "si10_observed", "height", "crs"} <= set(data.variables)
    assert complaints(out, "cf:1.8") == set()
    assert complaints(out, "acdd:1.3") <= NOBODY_KNOWS


def test_no_attribute_is_of_a_type_that_older_formats_lack(written):
    with netCDF4.Dataset(written[0]) as data:
        kinds = {np.asarray(value).dtype for one in (data, *data.variables.values()) for value in one.__dict__.values()}
    assert np.dtype("int64") not in kinds


@pytest.mark.parametrize(
    ("name", "attribute", "value"),
    [
        ("height", "units", "kg"),
        ("u10", "cell_methods", "area: mean time: avg"),
        ("u10_observed", "flag_meanings", "one"),
        ("crs", "grid_mapping_name", "globe"),
    ],
)
def test_the_checker_sees_what_is_wrong(written, complaints, name, attribute, value):
    with netCDF4.Dataset(written[0], "a") as data:
        data[name].setncattr(attribute, value)
    assert complaints(written[0], "cf:1.8")


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
    assert "have no value at the first time" not in done.err
