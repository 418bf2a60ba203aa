"""Numbers that bring their units along."""

import pytest
from pydantic import TypeAdapter, ValidationError

from zssd_cli.inversion.quantities import Length, PositiveVelocity, Rate, Velocity, factor


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Length, "3 ft", 0.9144),
        (Length, "-1.5e2cm", -1.5),
        (Length, "12", 12.0),
        (Length, 12, 12.0),
        (Velocity, "864 mm/d", 1e-5),
        (Velocity, "1 in/yr", 0.0254 / (365.25 * 86400)),
        (Velocity, "100 gpd/ft2", 4.715953e-5),
        (Velocity, "10 ft d-1", 3.048 / 86400),
        (Velocity, "5 m day^-1", 5 / 86400),
        (Rate, "-50 gpm", -50 * 3.785411784e-3 / 60),
        (Rate, "86.4 m3/d", 1e-3),
        (Rate, "2 cfs", 2 * 0.3048**3),
        (Rate, "3 L/s", 3e-3),
        (Rate, "1 acre ft/yr", 43560 * 0.3048**3 / (365.25 * 86400)),
    ],
)
def test_units_become_si(kind, text, value):
    assert TypeAdapter(kind).validate_python(text) == pytest.approx(value, rel=2e-5)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Length, "3 s"), (Length, "3 m2"), (Length, "about 3 m"), (Length, "3 parsnips"), (Length, "nan"), (Length, "inf m"),
        (Rate, "3 m/s"), (Velocity, "3 m3/s"), (PositiveVelocity, "-3 m/s"), (PositiveVelocity, "0 m/d"), (Length, ""),
        (Length, "3 degC"), (Length, "3 __import__('os')"), (Length, "9**9**9**9 m"), (Length, "1e999 m"),
        (Length, "3 m**9**9**9**9"), (Length, "3 m^9^9^9^9"), (Length, "3 m**99999999999"), (Length, "3 " + "m" * 1000),
    ],
)  # fmt: skip
def test_what_is_refused(kind, text):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(text)


def test_an_error_names_what_was_expected():
    with pytest.raises(ValueError, match="expected a rate such as .* got units 'm/d'"):
        factor("m/d", "m**3/s")


@pytest.mark.parametrize(
    ("kind", "value"), [(Velocity, 95), (Velocity, "95"), (PositiveVelocity, 5.0), (Rate, -50), (Length, True)]
)
def test_a_number_alone_that_cannot_be_meant_in_si_is_refused(kind, value):
    """Recharge in mm/yr, conductivity in m/d, a rate in gpm: their units were forgotten."""
    with pytest.raises(ValidationError, match="expected a (length|velocity|rate) such as"):
        TypeAdapter(kind).validate_python(value)
