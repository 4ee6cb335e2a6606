import json

import numpy as np
import pytest

from evo_moo.errors import SpaceError
from evo_moo.space.completion import completed
from evo_moo.space.declared import declared_variable
from evo_moo.space.kinds.known import variable_of
from evo_moo.space.operators import SpaceCrossover, SpaceMutation
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real

SPACE = {
    "first": Integer(1, "n_layers"),
    "n_layers": Integer(1, 4),
    "low": Real(1e-4, 1e-2, log=True),
    "between": Real("low", "high", log=True),
    "high": Real(1e-2, 1.0),
    "width": Integer(16, "units", step=16),
    "units": Integer(16, 100),
    "deep": Boolean(),
    "depth": Integer(3, 9, when={"deep": True}),
    "below": Integer(0, "depth"),
}


def drawn(n=4096):
    space = SearchSpace(SPACE)
    return space, space.decode(space.sample(n, np.random.default_rng(1), "sobol"))


def test_values_lie_between_those_that_are_named():
    for config in drawn()[1]:
        assert 1 <= config["first"] <= config["n_layers"]
        assert config["low"] * (1 - 1e-11) <= config["between"] <= config["high"] * (1 + 1e-11)
        assert config["width"] <= config["units"] and config["width"] % 16 == 0
        assert config["below"] <= config.get("depth", 9)


def test_draws_are_uniform_inside_the_bounds_of_their_row():
    configurations = drawn()[1]
    for n in (2, 4):
        firsts = [config["first"] for config in configurations if config["n_layers"] == n]
        shares = np.bincount(firsts, minlength=n + 1)[1:] / len(firsts)
        assert shares == pytest.approx(1 / n, abs=0.04)
    places = [np.log(c["between"] / c["low"]) / np.log(c["high"] / c["low"]) for c in configurations]
    assert np.histogram(places, 4, (0, 1))[0] / len(places) == pytest.approx(0.25, abs=0.02)


def test_an_absent_bound_leaves_the_widest_range():
    space, configurations = drawn()
    assert {config["below"] for config in configurations if not config["deep"]} == set(range(10))
    assert (space.low[-1], space.high[-1]) == (0, 9)


def test_operators_stay_inside_and_find_other_values():
    space, rng = SearchSpace(SPACE), np.random.default_rng(1)
    X = space.sample(200, rng)
    for _ in range(10):
        children = SpaceCrossover(space).crossed(np.stack([X[:100], X[100:]]), rng).reshape(X.shape)
        mutants = SpaceMutation(space).mutated(children, rng)
        assert (mutants != children).any(axis=1).all()
        X = mutants
        assert space.encode(space.decode(X)).tobytes() == X.tobytes()
    assert len({config["first"] for config in space.decode(X)}) > 1


def test_values_outside_are_refused_and_inside_are_kept():
    space = SearchSpace({"n": Integer(1, 4), "i": Integer(1, "n")})
    assert space.decode(space.encode([{"n": 3, "i": 3}])) == [{"n": 3, "i": 3}]
    with pytest.raises(SpaceError, match=r"`i`: must lie in 1 .. n, but is 3 in {'n': 2, 'i': 3}"):
        space.encode([{"n": 2, "i": 3}])
    assert all(completed(space, {"i": 3}, seed)["n"] >= 3 for seed in range(9))
    assert space.size() == 1 + 2 + 3 + 4


def test_definitions_keep_the_names():
    kind = declared_variable({"integer": [1, "model.n_layers"]})
    assert kind == Integer(1, "model.n_layers") == variable_of(json.loads(json.dumps(kind.to_json())))
    space = SearchSpace({"model.n_layers": Integer(1, 4), "first": kind})
    assert space.describe()[1]["range"] == "1 .. model.n_layers" and space.variables["first"].span == (1, 4)


def test_bounds_of_each_other_are_never_crossed():
    chain = {"a": Integer(1, 9), "b": Integer("a", 9), "between": Integer("a", "b")}
    for config in (space := SearchSpace(chain)).decode(space.sample(200, np.random.default_rng(1))):
        assert config["a"] <= config["between"] <= config["b"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Integer(1, "x"), "high must be a number or another variable of the space, but names itself"),
        (Integer(1, "m"), "high must be a number or another variable of the space, but names 'm'"),
        (Integer(1, "r"), "high must name an Integer, but `r` is of the kind real; name another"),
        (Real("c", 1), "low must name a Real or an Integer, but `c` is of the kind choice; name another"),
        (Integer(3, "n"), "low must never be above high, but low can be 3 while high is 1"),
        (Integer("n", "k"), "low must never be above high, but low can be 9 while high is 2"),
        (Real("n", 100, step=1), "a range with steps must begin at a number, but low names a variable"),
        (Integer(1, "n", log=True, zero=True), "zero=True must stand beside bounds that are numbers"),
        (Integer(1, "bad"), "`bad`: low must be below high, but low is 3 and high is 1; swap them"),
        (Integer(1, "loop"), "bounds must not go in a circle, but"),
        (Integer(1, 9, when={"child": True}), "conditions and bounds must not go in a circle, but"),
        (Real(0, "n", log=True), "a log range must begin above 0, but low is 0"),
        (Integer(None, "n"), "low must be a whole number"),
    ],
    ids=lambda each: each.text() if isinstance(each, Integer | Real) else "",
)
def test_wrong_bounds_state_the_rule(kind, message):
    others = {"n": Integer(1, 9), "k": Integer(2, 9), "r": Real(0, 1), "c": Choice([1, 2])}
    more = {
        "bad": {"bad": Integer(3, 1)},
        "loop": {"loop": Integer(1, "x")},
    }.get(str(kind.high), {})
    if kind.when:
        more = {"child": Boolean(when={"n": {"at_least": 2}}), "n": Integer(1, "x")}
    with pytest.raises(SpaceError) as error:
        SearchSpace(others | more | {"x": kind})
    assert message in str(error.value) and len(str(error.value).splitlines()) == 1
