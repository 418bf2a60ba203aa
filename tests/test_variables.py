"""The table of variables: names in, rows out."""

import pytest

from zssd_cli.errors import ConfigError
from zssd_cli.variables import VARIABLES, lookup


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("msl", "msl"),
        ("PSL", "msl"),
        ("prmsl", "msl"),
        ("uas", "u10"),
        ("10U", "u10"),
        ("vas", "v10"),
        ("V10", "v10"),
        ("sfcWind", "si10"),
        ("z500", "z500"),
        ("zg250", "z250"),
        (" msl ", "msl"),
    ],
)
def test_lookup_finds_canonical_and_other_names(name, expected):
    assert lookup(name).name == expected


def test_unknown_name_lists_the_known_ones_and_the_nearest():
    with pytest.raises(ConfigError) as caught:
        lookup("mls")
    text = str(caught.value)
    assert "'mls'" in text
    assert "msl (psl), u10 (uas), v10 (vas), si10 (sfcWind), z500 (zg), z250 (zg)" in text
    assert "Did you mean msl?" in text


def test_name_of_several_levels_asks_which():
    with pytest.raises(ConfigError, match="give z500 or z250"):
        lookup("zg")


def test_table_is_consistent():
    assert list(VARIABLES) == ["msl", "u10", "v10", "si10", "z500", "z250"]
    assert {v.units for v in VARIABLES.values()} == {"Pa", "m s-1", "m2 s-2"}
    for variable in VARIABLES.values():
        assert variable.minimum < variable.maximum
        assert variable.standard_name in variable.standard_names
        assert not set(variable.refused) & set(variable.standard_names)
    names = [name for variable in VARIABLES.values() for name in variable.own_names]
    assert len(names) == len(set(names))
