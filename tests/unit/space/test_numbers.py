import numpy as np
import pytest

from evo_moo.errors import SpaceError
from evo_moo.space.numbers import last_step
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Integer, Real


def all_values(kind):
    return kind.values(np.arange(kind.span[0], kind.span[1] + 1))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Real(0, 0.5, step=0.1), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (Real(-0.3, 1.2, step=0.5), [-0.3, 0.2, 0.7, 1.2]),
        (Real(1e-5, 4e-5, step=1e-5), [1e-5, 2e-5, 3e-5, 4e-5]),
        (Integer(16, 64, step=16), [16, 32, 48, 64]),
        (Integer(3, 5, log=True, zero=True), [0, 3, 4, 5]),
    ],
    ids=["tenths", "halves", "small", "whole", "zero"],
)
def test_values_are_plain_and_have_codes(kind, values):
    assert repr(all_values(kind)) == repr(values)
    assert [kind.code(value) for value in values] == np.arange(kind.span[0], kind.span[1] + 1).tolist()


def test_sums_of_steps_are_steps():
    kind = Real(0, 1, step=0.1)
    assert kind.code(0.1 + 0.2) == 3
    with pytest.raises(ValueError, match=r"must be some steps of 0.1 above 0, but is 0.25; take 0.2 or 0.3"):
        kind.code(0.25)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Real(0, 1, step=0.3), "high must be some steps of 0.3 above 0, but is 1; take 0.9 or 1.2"),
        (Integer(1, 4, step=5), "high must be some steps of 5 above 1, but is 4; take 6"),
        (Integer(1, 4, step=0.5), "step must be a whole number above 0, but is 0.5"),
        (Real(0, 1, step="a"), "step must be a number above 0, but is 'a'"),
        (Real(0, 1, step=0), "step must be a number above 0, but is 0"),
        (Real(0, 1, step=1e-18), "step must leave at most 1000000000000 values that differ"),
        (Real(0.1, 1, step=0.1, log=True), "a log range must have no steps, but step is 0.1"),
        (Real(0.1, 1, zero=True), "zero=True must stand beside log=True"),
        (Real(0.1, 1, log=True, zero=3), "zero must be True or False, but is 3"),
        (Integer(0, 9, log=True), "but low is 0; say zero=True beside a low above 0 or drop log=True"),
    ],
    ids=["high", "short", "half", "text", "none", "many", "log", "plain", "yes", "log zero"],
)
def test_wrong_steps_and_zeros_state_the_rule(kind, message):
    with pytest.raises(SpaceError) as error:
        SearchSpace({"x": kind})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("kind", "value", "nearest"),
    [
        (Real(0, 1, step=0.1), 0.26, 0.3),
        (Real(0, 1, step=0.1), 7, 1.0),
        (Real(1e-6, 1e-2, log=True, zero=True), 4e-7, 0.0),
        (Real(1e-6, 1e-2, log=True, zero=True), 6e-7, 1e-6),
        (Integer(10, 99, log=True, zero=True), -3.5, 0),
        (Integer(10, 99), 12.6, 13),
    ],
)
def test_any_number_has_a_nearest_value(kind, value, nearest):
    assert kind.values(np.array([kind.nearest_code(value)])) == [nearest]


def test_conditions_name_steps_and_zeros():
    space = SearchSpace(
        {
            "decay": Real(1e-6, 1e-2, log=True, zero=True),
            "rate": Real(0, 1, step=0.1),
            "without": Integer(1, 2, when={"decay": 0}),
            "with": Integer(1, 2, when={"decay": {"at_least": 1e-6}}),
            "exact": Integer(1, 2, when={"rate": [0.3, 0.5]}),
        }
    )
    zero, some = {"decay": 0.0, "rate": 0.3}, {"decay": 1e-6, "rate": 0.4}
    assert space.decode(space.encode([zero | {"without": 1, "exact": 1}])) == [zero | {"without": 1, "exact": 1}]
    assert space.decode(space.encode([some | {"with": 1}])) == [some | {"with": 1}]


@pytest.mark.parametrize(("low", "high", "step", "last"), [(0.0, 1.0, 0.3, 0.9), (16, 70, 16, 64), (0, 0.3, 0.1, 0.3)])
def test_the_last_step_is_exact(low, high, step, last):
    assert repr(last_step(low, high, step)) == repr(last)
