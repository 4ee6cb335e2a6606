import json
import tomllib

import yaml
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.problem.command.configuration_file import configuration_text, suffix_of

SCALARS = (
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
NAMES = st.text(min_size=1)
TABLES = st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(NAMES, SCALARS, max_size=3))


def same(one: object, other: object) -> bool:
    """Equal, and numbers of the same type."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(TABLES)
def test_every_format_is_read_back_the_same(table: dict[str, object]) -> None:
    assert same(json.loads(configuration_text(table, "json")), table)
    assert same(tomllib.loads(configuration_text(table, "toml")), table)
    assert same(yaml.safe_load(configuration_text(table, "yaml")), table)


def test_none_is_null_or_left_out() -> None:
    table = {"a": None, "b": {"c": None, "d": 1}, "e": [None, 2]}
    assert json.loads(configuration_text(table, "json")) == table == yaml.safe_load(configuration_text(table, "yml"))
    assert tomllib.loads(configuration_text(table, "toml")) == {"b": {"d": 1}, "e": [2]}


def test_suffixes_are_those_of_formats() -> None:
    named = ("config", "config.json", "config.toml", "config.yaml", "config.xml", "conf", "config.")
    assert [suffix_of(name) for name in named] == ["json", "json", "toml", "yaml", None, None, None]
