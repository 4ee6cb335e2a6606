import json

import pytest

from evo_moo.errors import SpaceError
from evo_moo.space.declared import declared_variable
from evo_moo.space.kinds.known import variable_of
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real

EITHER = [{"opt": "sgd"}, {"opt": "adam", "amsgrad": True}]
SPACE = {
    "opt": Choice(["adam", "sgd", "rms"]),
    "amsgrad": Boolean(when={"opt": "adam"}),
    "decay": Integer(1, 3, when=EITHER),
    "below": Boolean(when={"decay": {"at_least": 2}}),
    "joint": Boolean(when=[{"below": True, "decay": 3}, {"opt": "rms"}]),
}


@pytest.mark.parametrize(
    "configuration",
    [
        {"opt": "sgd", "decay": 1},
        {"opt": "sgd", "decay": 3, "below": True, "joint": False},
        {"opt": "adam", "amsgrad": False},
        {"opt": "adam", "amsgrad": True, "decay": 2, "below": True},
        {"opt": "rms", "joint": True},
    ],
    ids=["first", "nested", "neither", "second", "other"],
)
def test_one_alternative_is_enough_and_descendants_follow(configuration):
    space = SearchSpace(SPACE)
    assert space.decode(space.encode([configuration])) == [configuration]
    for name, value in {"amsgrad": True, "decay": 2, "below": True, "joint": True}.items():
        if name not in configuration:
            with pytest.raises(SpaceError, match=rf"`{name}`: exists only when|must be given"):
                space.encode([configuration | {name: value}])


def test_alternatives_are_counted_written_and_read_back():
    space = SearchSpace(SPACE)
    # sgd: decay 1, 2 (x 2), 3 (x 2, one of which has 2 more); adam with amsgrad likewise; rms: 2; adam without: 1
    assert space.size() == 2 * (1 + 2 + 3) + 2 + 1
    assert space.describe()[2]["condition"] == "opt = sgd or opt = adam and amsgrad = true"
    again = variable_of(json.loads(json.dumps(SPACE["decay"].to_json())))
    assert again == SPACE["decay"] == declared_variable({"integer": [1, 3], "when": EITHER})
    assert space.needed(2)[0] == ((0.0, 1.0),) and 1 not in space.needed(2)


def test_more_conditions_join_each_alternative():
    both = SPACE["decay"].only_when({"model": "net"})
    assert both.when == [{"opt": "sgd", "model": "net"}, {"opt": "adam", "amsgrad": True, "model": "net"}]
    assert Boolean().only_when({"a": 1}).when == {"a": 1} and Boolean().only_when({}).when is None


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ([], "`when` must have alternatives that each name a parent"),
        ([{"a": 1}, {}], "`when` must have alternatives that each name a parent"),
        ([{"a": 1}, "b"], "or a list of such of which one must hold"),
        ([{"a": 1}, {"z": 1}], "`when` must name variables of the space, but names 'z'"),
        ([{"a": 9}, {"b": True}], "`when` must name values that `a` can have"),
        ([{"a": 2, "b": True}, {"r": {"at_least": 0.5}}], "but they ask different values of `a`"),
    ],
    ids=["empty", "one empty", "text", "unknown", "value", "contradiction"],
)
def test_wrong_alternatives_state_the_rule(when, message):
    with pytest.raises(SpaceError, match=message):
        SearchSpace({"a": Integer(1, 3), "b": Boolean(when={"a": 1}), "r": Real(0, 1), "x": Boolean(when=when)})
