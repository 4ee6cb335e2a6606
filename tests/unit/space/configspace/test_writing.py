import ConfigSpace as CS  # noqa: N817
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo_moo.errors import SpaceError
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real

PARENTS = {
    "model.kind": Choice(["svm", "forest", "net"]),
    "depth": Integer(1, 40, when={"model.kind": ["forest", "net"]}),
    "size": Choice(["s", "m", "l"], ordered=True),
    "rate": Real(1e-4, 1.0, log=True, when=[{"model.kind": "svm"}, {"depth": {"at_least": 20}}]),
    "drop": Real(0, 0.5, step=0.1),
    "flag": Boolean(),
    "width": Integer(16, 64, step=16),
}
WANTED = {
    "model.kind": ["svm", ["forest", "net"]],
    "depth": [7, {"at_least": 1}, {"at_most": 30}, {"at_least": 3, "at_most": 33}, [1, 2, 3, 9]],
    "size": [["s", "m"], "l"],
    "rate": [{"at_least": 0.01}, {"at_most": 0.1}, {"at_least": 1e-4}, {"at_least": 0.001, "at_most": 0.1}],
    "drop": [{"at_most": 0.2}, 0.3],
    "flag": [True],
    "width": [{"at_least": 32}],
}
CONDITIONS = st.dictionaries(st.sampled_from(sorted(WANTED)), st.none(), min_size=1, max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: st.sampled_from(WANTED[name]) for name in names})
)


def are_the_same(space, cs, seed):
    assert sorted(cs) == sorted(space.names)
    for ours in space.decode(space.sample(60, np.random.default_rng(seed))):
        CS.Configuration(cs, values=ours)  # raises for a missing or an inactive value
    theirs = [{name: value.item() if hasattr(value, "item") else value for name, value in each.items()}
              for each in map(dict, cs.sample_configuration(60))]  # fmt: skip
    space.encode([each for each in theirs if is_valid(cs, each)])


def is_valid(cs, values):
    try:
        CS.Configuration(cs, values=values)
    except (CS.ForbiddenValueError, CS.InactiveHyperparameterSetError):
        return False
    return True


@given(st.lists(CONDITIONS, min_size=1, max_size=3), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_any_space_means_the_same_there_and_back(alternatives, seed):
    when = alternatives if len(alternatives) > 1 else alternatives[0]
    try:
        space = SearchSpace({**PARENTS, "child": Integer(1, 9, when=when), "grandchild": Boolean(when={"child": 5})})
    except SpaceError as fault:
        assert "must fit together" in str(fault)
        return
    cs = space.to_configspace()
    are_the_same(space, cs, seed)
    back = SearchSpace.from_configspace(cs)
    configurations = space.decode(space.sample(60, np.random.default_rng(seed)))
    assert back.decode(back.encode(configurations)) == configurations


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (Real(1e-3, 1, log=True, zero=True), "`x`: a log range must have no 0 beside it in ConfigSpace, but has"),
        (Integer(1, "n"), "`x`: bounds must be numbers in ConfigSpace, but are 1 .. n; write numbers"),
        (Integer(0, 4000, step=2), "`x`: steps must be at most 1000 in ConfigSpace, but are 2001"),
        (Choice([1, True]), "`x`: options must differ by == in ConfigSpace, but 1 and True do not"),
        (Choice([[1], 2]), r"`x`: options must be single values in ConfigSpace, but one is \[1\]; use names"),
    ],
    ids=["zero", "named", "steps", "same", "list"],
)
def test_refused_is_what_configspace_cannot_say(variable, message):
    with pytest.raises(SpaceError, match=message):
        SearchSpace({"n": Integer(1, 4), "x": variable}).to_configspace()


def test_rules_are_refused_by_name():
    space = SearchSpace({"x": Boolean()}, {"never": lambda config: False})
    with pytest.raises(SpaceError, match="no functions as rules, but there are never; drop them"):
        space.to_configspace()
