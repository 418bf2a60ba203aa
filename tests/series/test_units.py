"""Units: what files call them, and labels that the values contradict."""

import numpy as np
import pytest

from zssd_cli.errors import InputError
from zssd_cli.series.units import check_plausible, convert, infer_units, line
from zssd_cli.variables import VARIABLES

MSL, U10, Z500 = VARIABLES["msl"], VARIABLES["u10"], VARIABLES["z500"]


@pytest.mark.parametrize(
    ("variable", "units", "expected"),
    [
        (MSL, "Pa", 1.0),
        (MSL, "Pascals", 1.0),
        (MSL, "kg m-1 s-2", 1.0),
        (MSL, "hPa", 100.0),
        (MSL, "mbar", 100.0),
        (MSL, "millibars", 100.0),
        (MSL, "kPa", 1000.0),
        (MSL, "inHg", 3386.389),
        (U10, "m s-1", 1.0),
        (U10, "m s**-1", 1.0),
        (U10, "m/s", 1.0),
        (U10, "ms-1", 1.0),
        (U10, "m.s-1", 1.0),
        (U10, "meter/second", 1.0),
        (U10, "knots", 0.514444),
        (U10, "km/h", 1 / 3.6),
        (U10, "cm/s", 0.01),
        (Z500, "m2 s-2", 1.0),
        (Z500, "m**2 s**-2", 1.0),
        (Z500, "m^2/s^2", 1.0),
        (Z500, "J/kg", 1.0),
        (Z500, "m", 9.80665),
        (Z500, "gpm", 9.80665),
        (Z500, "dam", 98.0665),
        (Z500, "ft", 9.80665 * 0.3048),
    ],
)
def test_factor(variable, units, expected):
    assert line(units, variable) == (pytest.approx(expected, rel=2e-6), 0.0)


@pytest.mark.parametrize(
    ("variable", "units"), [(MSL, "K"), (MSL, "m s-1"), (U10, "Pa"), (Z500, "K"), (MSL, "bananas")]
)
def test_units_of_another_kind_are_refused(variable, units):
    with pytest.raises(InputError, match=f"{variable.name}: units '{units}' cannot be converted to"):
        line(units, variable)


def test_convert_keeps_precision_and_missing_values():
    out = convert(np.array([1013.25, np.nan], dtype=np.float32), "hPa", MSL)
    assert out.dtype == np.float32
    assert out[0] == pytest.approx(101325.0, abs=0.01)
    assert np.isnan(out[1])
    assert convert(np.array([500]), "dam", Z500)[0] == pytest.approx(49033.25)


def test_labelled_pascal_but_hectopascal():
    with pytest.raises(InputError) as caught:
        check_plausible(np.array([980.0, 1040.0]), "Pa", MSL)
    assert str(caught.value) == (
        "msl: values 980..1040 look like hPa but the units attribute says 'Pa'; correct the units attribute."
    )


def test_labelled_hectopascal_but_pascal():
    with pytest.raises(InputError, match="values 98000..104000 look like Pa but the units attribute says 'hPa'"):
        check_plausible(np.array([98000.0, 104000.0]) * 100, "hPa", MSL)


def test_metres_labelled_geopotential():
    with pytest.raises(InputError, match="values 5000..5900 look like m but the units attribute says 'm2 s-2'"):
        check_plausible(np.array([5000.0, 5900.0]), "m2 s-2", Z500)


def test_undeclared_fill_value_is_named_as_the_possible_cause():
    with pytest.raises(InputError, match=r"u10: values -9999..5 m s-1 are outside .* _FillValue"):
        check_plausible(np.array([-9999.0, 5.0]), "m s-1", U10)


def test_plausible_values_and_empty_fields_pass():
    check_plausible(np.array([98000.0, np.nan]), "Pa", MSL)
    check_plausible(np.array([np.nan]), "Pa", MSL)


def test_missing_units_are_inferred_only_where_one_fits():
    assert infer_units(np.array([980.0, 1040.0, np.nan]), MSL) == "hPa"
    assert infer_units(np.array([5000.0, 5900.0]), Z500) == "m"
    assert infer_units(np.array([50000.0, 57000.0]), Z500) == "m2 s-2"
    with pytest.raises(InputError, match="u10: the units attribute is missing and the values fit m s-1 or knot"):
        infer_units(np.array([-5.0, 5.0]), U10)
    with pytest.raises(InputError, match="fit no known unit"):
        infer_units(np.array([0.0, 1.0]), MSL)
    with pytest.raises(InputError, match="fit no known unit"):
        infer_units(np.array([np.nan]), MSL)
