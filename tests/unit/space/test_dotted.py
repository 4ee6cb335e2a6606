import pytest

from evo_moo.errors import SpaceError
from evo_moo.space.completion import completed
from evo_moo.space.declared import declared_flat
from evo_moo.space.dotted import below_another, flat, nested
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Choice, Integer, Real

SPACE = SearchSpace(
    {
        "optimizer.name": Choice(["adam", "sgd"]),
        "optimizer.lr": Real(1e-4, 1, log=True, when={"optimizer.name": "sgd"}),
        "layers": Choice([{"a.b": 1}, {"c": 2}]),
    }
)
FLAT = {"optimizer.name": "sgd", "optimizer.lr": 0.01, "layers": {"a.b": 1}}
NESTED = {"optimizer": {"name": "sgd", "lr": 0.01}, "layers": {"a.b": 1}}


def test_tables_and_dotted_names_say_the_same():
    assert nested(FLAT) == NESTED
    assert flat(NESTED, SPACE.names) == flat(FLAT, SPACE.names) == FLAT
    assert SPACE.encode([NESTED]).tobytes() == SPACE.encode([FLAT]).tobytes()
    assert completed(SPACE, {"optimizer": {"lr": 0.01}}, 1)["optimizer.name"] == "sgd"
    assert below_another(["optimizer", "optimizer.lr", "optimizers"]) == ["optimizer.lr"]


def test_declared_tables_are_flattened_with_their_conditions():
    lr = {"real": [0, 1], "when": {"optimizer": {"name": "sgd"}}}
    declared = {"optimizer": {"name": {"choice": ["adam", "sgd"]}, "lr": lr, "nesterov": "boolean"}}
    assert declared_flat(declared) == {
        "optimizer.name": {"choice": ["adam", "sgd"]},
        "optimizer.lr": {"real": [0, 1], "when": {"optimizer.name": "sgd"}},
        "optimizer.nesterov": "boolean",
    }
    with pytest.raises(ValueError, match=r"`variables.a.b` must be declared once, but is there twice"):
        declared_flat({"a.b": "boolean", "a": {"b": "boolean"}})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a..b", "with dots between them, not a digit first, .*but is 'a..b'"),
        (".a", "but is '.a'"),
        ("a.", "but is 'a.'"),
        ("metrics.loss", "not begin as columns of tables do, but is 'metrics.loss'"),
    ],
)
def test_wrong_names_state_the_rule(name, message):
    with pytest.raises(SpaceError, match=message):
        SearchSpace({name: Integer(1, 2)})
