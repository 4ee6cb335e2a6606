import pytest

from evo_moo.space.declared import declared_variable
from evo_moo.space.variables import Boolean, Choice, Integer, Real


@pytest.mark.parametrize(
    ("declared", "variable"),
    [
        ({"real": [1e-4, 1], "log": True}, Real(1e-4, 1, log=True)),
        ({"integer": (1, 4)}, Integer(1, 4)),
        ({"real": [0, 1], "step": 0.1}, Real(0, 1, step=0.1)),
        ({"integer": [1, 99], "log": True, "zero": True}, Integer(1, 99, log=True, zero=True)),
        (
            {"choice": ["a", 1], "ordered": True, "when": {"n": [2, 3]}},
            Choice(["a", 1], ordered=True, when={"n": [2, 3]}),
        ),
        ("boolean", Boolean()),
        ({"boolean": True, "when": {"n": 2}}, Boolean(when={"n": 2})),
        (Real(0, 1), Real(0, 1)),
    ],
)
def test_tables_are_variables(declared: object, variable: object) -> None:
    assert declared_variable(declared) == variable


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"reel": [0, 1]}, "must be { real ="),
        ({"real": [0, 1], "integer": [0, 1]}, "must be { real ="),
        (3, "but is 3"),
        ({"real": [0, 1], "logs": True}, "did you mean `log`"),
        ({"real": [0, 1], "ordered": True}, "takes log, step, when, zero beside real"),
        ({"real": [0, 1], "log": "yes"}, "true or false as `log`"),
        ({"integer": 4}, "must be integer = [low, high]"),
        ({"boolean": False}, "boolean = true"),
        ({"choice": [1, 2], "when": "n"}, "must have a table"),
        ({"boolean": True, "when": [{"n": 2}, 3]}, "or a list of such of which one must hold"),
    ],
)
def test_faults_state_the_rule_and_the_value(declared: object, words: str) -> None:
    with pytest.raises(ValueError) as fault:
        declared_variable(declared)
    assert words in str(fault.value)
