"""Configurations of which only some values are given."""

import pytest

from evo_moo.errors import SpaceError
from evo_moo.space.completion import completed
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real

SPACE = SearchSpace(
    {
        "n": Integer(1, 3),
        "width": Integer(4, 64, when={"n": [2, 3]}),
        "act": Choice(["relu", "gelu"]),
        "skip": Boolean(when={"act": "gelu"}),
        "lr": Real(1e-4, 1, log=True),
    }
)


@pytest.mark.parametrize("seed", range(8))
def test_given_values_stand_and_their_conditions_hold(seed):
    """Of random rows a third has no width, and half have no skip: only those with both may be taken."""
    given = {"width": 32, "skip": True}
    configuration = completed(SPACE, given, seed)
    assert given.items() <= configuration.items()
    assert configuration["n"] >= 2 and configuration["act"] == "gelu"
    assert SPACE.decode(SPACE.encode([configuration])) == [configuration]


def test_drawn_values_depend_on_the_seed_and_the_given_ones():
    given = {"act": "relu"}
    assert completed(SPACE, given, 1) == completed(SPACE, given, 1)
    assert completed(SPACE, given, 1)["lr"] != completed(SPACE, given, 2)["lr"]
    assert completed(SPACE, given, 1)["lr"] != completed(SPACE, {"act": "gelu"}, 1)["lr"]


def test_whole_configuration_stays_as_it_is():
    whole = {"n": 1, "act": "relu", "lr": 0.25}
    assert completed(SPACE, whole, 1) == whole


@pytest.mark.parametrize("given", [{"n": 9}, {"m": 1}, {"n": 1, "width": 8}, 5])
def test_values_that_cannot_stand_are_refused(given):
    with pytest.raises(SpaceError):
        completed(SPACE, given, 1)


def test_whole_configuration_out_of_range_is_refused():
    whole = {"n": 2, "width": 99, "act": "gelu", "skip": False, "lr": 0.1}
    with pytest.raises(SpaceError, match="width"):
        completed(SPACE, whole, 1)
