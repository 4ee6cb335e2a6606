import json

import numpy as np
import pytest
from hypothesis import given

from evo_moo.errors import SpaceError
from evo_moo.space.kinds.known import variable_of
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real
from evo_moo.values import for_toml, json_key
from tests.unit.test_values import OPTIONS

DEFINITIONS = [
    Real(1e-4, 1, log=True),
    Integer(np.int64(1), 5, when={"a": [None, (1, 2)]}),
    Boolean(),
    Choice([16, 32], ordered=True),
    Choice([(3, 3), [5, (5,)], {"a": (1, None)}, None, True, 1, 1.0, "1"]),
]


@pytest.mark.parametrize("variable", DEFINITIONS, ids=lambda variable: variable.text()[:20])
def test_a_definition_is_read_back_from_json(variable):
    definition = json.loads(json.dumps(variable.to_json()))
    again = variable_of(definition)
    assert again.to_json() == definition and again.text() == variable.text()
    if isinstance(variable, Choice):
        assert repr(again.options) == repr(variable.options)


@given(OPTIONS)
def test_an_option_is_known_by_every_form_that_files_have(option):
    choice = Choice(["an option of its own", option])
    if not choice.faults():
        for form in (option, json.loads(json_key(option)), for_toml(option)):
            assert choice.code(form) == 1
        assert repr(choice.values(np.array([1.0]))) == repr([option])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([None, "none"], 'None is written as none, but "none" is both; rename it'),
        (["none", None], 'None is written as none, but "none" is both; rename it'),
        ([[1, None], [1, "none"]], "is both"),
        ([(1, 2), [1, 2]], "is there twice"),
        ([{1: 2}, "a"], r"must be JSON values, but one is \{1: 2\}"),
        ([2**64, 1], "must be JSON values, but one is 18446744073709551616"),
        ([float("nan"), 1], "must be JSON values, but one is nan"),
        (["\ud800", "a"], "must be JSON values"),
    ],
)
def test_options_that_files_would_change_are_refused(options, message):
    with pytest.raises(SpaceError, match=message):
        SearchSpace({"x": Choice(options)})


def test_bounds_of_numpy_are_plain_numbers():
    variable = Real(np.float64(0.5), np.float32(1))
    assert repr(variable) == repr(Real(0.5, 1.0))
    with pytest.raises(ValueError, match=r"must lie between 0\.5 and 1\.0, but is 2\.0"):
        variable.code(np.float64(2))
