import numpy as np
import pytest
from hypothesis import given, settings

from evo_moo.space.search_space import SearchSpace
from evo_moo.space.translation import translated
from evo_moo.space.variables import Choice, Integer, Real
from tests.property.test_space_laws import SEEDS, spaces

NEW = SearchSpace(
    {
        "lr": Real(1e-3, 1e-1, log=True),
        "depth": Integer(2, 4),
        "act": Choice(["gelu", "relu"]),
        "width": Integer(1, 64, when={"depth": [3, 4]}),
    },
    {"flat": lambda c: c["depth"] == 2 and c["act"] == "gelu"},
)


@given(spaces(), spaces(), SEEDS)
@settings(max_examples=50)
def test_any_space_translates_into_any_other(old, new, seed):
    configurations = old.decode(old.sample(10, np.random.default_rng(seed)))
    X, allowed = translated(new, configurations, seed)
    assert new.encode(new.decode(X)).tobytes() == X.tobytes()
    assert allowed.all()
    assert translated(new, configurations[::-1], seed)[0][::-1].tobytes() == X.tobytes()


@given(spaces(), SEEDS, SEEDS)
@settings(max_examples=50)
def test_into_its_own_space_nothing_changes(space, seed, drawn):
    X = space.sample(10, np.random.default_rng(drawn))
    assert translated(space, space.decode(X), seed)[0].tobytes() == X.tobytes()


@pytest.mark.parametrize("seed", range(5))
def test_values_are_kept_clipped_or_drawn(seed):
    old = [
        {"lr": 0.01, "depth": 3, "act": "relu", "old": True},
        {"lr": 0.9, "depth": 9, "act": "tanh", "old": False},
        {"lr": 1e-4, "depth": 1, "act": "relu", "old": False},
    ]
    X, allowed = translated(NEW, old, seed)
    first, second, third = NEW.decode(X)
    assert first == {"lr": 0.01, "depth": 3, "act": "relu", "width": first["width"]}
    assert (second["lr"], second["depth"]) == (0.1, 4) and second["act"] in ("gelu", "relu")
    assert third == {"lr": 0.001, "depth": 2, "act": "relu"}
    assert allowed.all()
    assert NEW.decode(translated(NEW, old[1:], seed)[0]) == [second, third]


def test_configurations_that_a_rule_forbids_are_marked():
    assert translated(NEW, [{"lr": 0.01, "depth": 2, "act": "gelu"}], 1)[1].tolist() == [False]
