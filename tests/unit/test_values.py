import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.values import for_toml, from_tuples, json_key, plain, value_text, with_tuples

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
) | st.text(max_size=4)
OPTIONS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
LOOK_ALIKE = st.sampled_from(
    ["1", "1.0", "true", "True", "null", "None", "NaN", "nan", "", "[1]", "-3", ".5", "1e5", "a"]
)


@given(OPTIONS)
def test_tuples_survive_json(value):
    assert repr(from_tuples(json.loads(json.dumps(with_tuples(value))))) == repr(value)


@given(OPTIONS | LOOK_ALIKE, OPTIONS | LOOK_ALIKE)
def test_different_options_are_different_texts(one, other):
    if "none" not in (one, other):
        assert (value_text(one) == value_text(other)) == (json_key(one) == json_key(other))


@given(OPTIONS)
def test_toml_keeps_all_but_none_and_tuples(value):
    def there(value):
        if isinstance(value, list | tuple):
            return [there(each) for each in value]
        if isinstance(value, dict):
            return {key: there(each) for key, each in value.items()}
        return "none" if value is None else value

    assert repr(for_toml(value)) == repr(there(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        ("none", "none"),
        (True, "true"),
        ("true", '"true"'),
        (1, "1"),
        ("1", '"1"'),
        (0.5, "0.5"),
        ("", '""'),
        ("NA", '"NA"'),
        ("None", '"None"'),
        ("relu", "relu"),
        ("größer", "größer"),
        ((3, 3), "[3, 3]"),
        ({"a": (1, None)}, '{"a": [1, null]}'),
    ],
)
def test_texts_look_like_no_other_value(value, text):
    assert value_text(value) == text


def test_numbers_of_numpy_and_pandas_become_plain():
    table = pd.DataFrame({"lr": [0.5, 0.25], "n": [1, 2], "act": ["relu", "gelu"]})
    given = {
        "real": np.float64(0.5),
        "whole": np.int64(3),
        "flag": np.bool_(True),
        "text": np.str_("a"),
        "pair": (np.int8(1), 2),
        "values": np.linspace(0, 1, 3),
        "column": table["n"],
        "row": table.loc[1],
        "none": None,
    }
    assert repr(plain(given)) == repr(
        {
            "real": 0.5,
            "whole": 3,
            "flag": True,
            "text": "a",
            "pair": (1, 2),
            "values": [0.0, 0.5, 1.0],
            "column": [1, 2],
            "row": {"lr": 0.25, "n": 2, "act": "gelu"},
            "none": None,
        }
    )


def test_other_values_stay_what_they_are():
    for value in ("a", 1.5, (1, [2]), {"a": object}, math.pi):
        assert plain(value) == value
    assert plain(pair := (1, "a")) is pair
