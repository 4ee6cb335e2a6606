import operator
import pickle
import subprocess
import sys
from types import SimpleNamespace

import ConfigSpace as CS  # noqa: N817
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo_moo.errors import SpaceError
from evo_moo.space.configspace.reading import variables_of
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Choice, Integer, Real


def space_of(parameters, *rules):
    cs = CS.ConfigurationSpace(seed=1)
    cs.add(list(parameters))
    for rule in rules:
        cs.add(rule)
    return cs


def roots():
    """Parameters of each kind that always exist."""
    return SimpleNamespace(
        cat=CS.CategoricalHyperparameter("cat", ["x", "y", "z"]),
        num=CS.CategoricalHyperparameter("num", [1, 2, 3], weights=[0.7, 0.2, 0.1]),
        flag=CS.CategoricalHyperparameter("flag", [True, False]),
        size=CS.OrdinalHyperparameter("model:size", ["s", "m", "l", "xl"]),
        n=CS.UniformIntegerHyperparameter("n", 1, 6),
        big=CS.UniformIntegerHyperparameter("big", 1, 4000, log=True),
        r=CS.UniformFloatHyperparameter("r", -1.0, 2.0),
        lr=CS.UniformFloatHyperparameter("lr", 1e-5, 1e-1, log=True),
        const=CS.Constant("const", "fixed"),
    )


def leaf(name="leaf"):
    return CS.UniformFloatHyperparameter(name, 0.0, 1.0)


def plain(configuration, space, cs):
    """A ConfigSpace configuration with our names, and Python's values for NumPy's scalars."""
    names = dict(zip(cs, space.names, strict=True))
    return {
        names[name]: value.item() if isinstance(value, np.generic) else value for name, value in configuration.items()
    }


def is_valid(cs, values):
    try:
        CS.Configuration(cs, values=values)
    except (CS.ForbiddenValueError, CS.InactiveHyperparameterSetError):
        return False
    return True


def assert_equivalent(cs, n=100, seed=0):
    """Each space takes the other's configurations."""
    space = SearchSpace.from_configspace(cs)
    drawn = [dict(configuration) for configuration in cs.sample_configuration(n)]
    # ConfigSpace 1.2 draws some that its own check refuses, with children of absent parents.
    theirs = [plain(values, space, cs) for values in drawn if is_valid(cs, values)]
    assert len(theirs) >= n / 2
    for before, after in zip(theirs, space.decode(space.encode(theirs)), strict=True):
        assert before.keys() == after.keys()
        for name, value in before.items():
            assert type(after[name]) is type(value)
            assert after[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)
    origins = dict(zip(space.names, cs, strict=True))
    for ours in space.decode(space.sample(n, np.random.default_rng(seed))):
        # Raises for a missing, an inactive or an illegal value, and for a forbidden clause.
        CS.Configuration(cs, values={origins[name]: value for name, value in ours.items()})
    return space


def when(condition, *parameters):
    cs = space_of([*vars(roots()).values(), leaf(), *parameters], condition)
    return assert_equivalent(cs).variables["leaf"].when


def test_each_kind_of_parameter_becomes_a_variable():
    cs = space_of(
        [
            *vars(roots()).values(),
            CS.BetaFloatHyperparameter("beta", alpha=2, beta=3, lower=1, upper=4),
            CS.BetaIntegerHyperparameter("beta_int", alpha=2, beta=3, lower=1, upper=9),
            CS.NormalFloatHyperparameter("normal", mu=1, sigma=2, lower=0.1, upper=9, log=True),
            CS.NormalIntegerHyperparameter("normal_int", mu=1, sigma=2, lower=-5, upper=9),
            CS.Constant("pair", [1, 2]),
            CS.CategoricalHyperparameter("numpy", np.array([1, 2])),
            CS.CategoricalHyperparameter("mixed", ["a", None, 2.5, 3]),
        ]
    )
    space = assert_equivalent(cs)
    assert space.variables == {
        "cat": Choice(["x", "y", "z"]),
        "num": Choice([1, 2, 3]),
        "flag": Choice([True, False]),
        "model_size": Choice(["s", "m", "l", "xl"], ordered=True),
        "n": Integer(1, 6),
        "big": Integer(1, 4000, log=True),
        "r": Real(-1.0, 2.0),
        "lr": Real(1e-5, 1e-1, log=True),
        "const": Choice(["fixed"]),
        "beta": Real(1.0, 4.0),
        "beta_int": Integer(1, 9),
        "normal": Real(0.1, 9.0, log=True),
        "normal_int": Integer(-5, 9),
        "pair": Choice([[1, 2]]),
        "numpy": Choice([1, 2]),
        "mixed": Choice(["a", None, 2.5, 3]),
    }


p = roots()
EQUALS, NOT_EQUALS, IN = CS.EqualsCondition, CS.NotEqualsCondition, CS.InCondition
LESS, GREATER = CS.LessThanCondition, CS.GreaterThanCondition
NEXT, PREVIOUS = np.nextafter(0.5, 1).item(), np.nextafter(1.5, 1).item()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda c: EQUALS(c, p.cat, "y"), {"cat": ["y"]}),
        (lambda c: EQUALS(c, p.flag, False), {"flag": [False]}),
        (lambda c: EQUALS(c, p.num, 1.0), {"num": [1]}),
        (lambda c: EQUALS(c, p.const, "fixed"), {"const": ["fixed"]}),
        (lambda c: EQUALS(c, p.n, 3), {"n": [3]}),
        (lambda c: IN(c, p.cat, ["z", "x"]), {"cat": ["x", "z"]}),
        (lambda c: IN(c, p.n, [5, 2]), {"n": [2, 5]}),
        (lambda c: IN(c, p.big, [5, 6, 7]), {"big": {"at_least": 5, "at_most": 7}}),
        (lambda c: GREATER(c, p.n, 4), {"n": {"at_least": 5, "at_most": 6}}),
        (lambda c: LESS(c, p.n, 2), {"n": [1]}),
        (lambda c: LESS(c, p.size, "l"), {"model_size": ["s", "m"]}),
        (lambda c: GREATER(c, p.size, "l"), {"model_size": ["xl"]}),
        (lambda c: GREATER(c, p.r, 0.5), {"r": {"at_least": NEXT, "at_most": 2.0}}),
        (lambda c: LESS(c, p.r, 1.5), {"r": {"at_least": -1.0, "at_most": PREVIOUS}}),
        (lambda c: NOT_EQUALS(c, p.cat, "y"), {"cat": ["x", "z"]}),
        (lambda c: NOT_EQUALS(c, p.size, "s"), {"model_size": ["m", "l", "xl"]}),
        (lambda c: NOT_EQUALS(c, p.n, 3), {"n": [1, 2, 4, 5, 6]}),
        (lambda c: NOT_EQUALS(c, p.big, 1), {"big": {"at_least": 2, "at_most": 4000}}),
        (
            lambda c: CS.AndConjunction(GREATER(c, p.r, 0.5), LESS(c, p.r, 1.5), EQUALS(c, p.cat, "x")),
            {"r": {"at_least": NEXT, "at_most": PREVIOUS}, "cat": ["x"]},
        ),
        (lambda c: CS.OrConjunction(EQUALS(c, p.cat, "x"), EQUALS(c, p.cat, "z")), {"cat": ["x", "z"]}),
        (lambda c: CS.OrConjunction(LESS(c, p.n, 2), GREATER(c, p.n, 5)), {"n": [1, 6]}),
        (
            lambda c: CS.OrConjunction(LESS(c, p.r, 1.5), GREATER(c, p.r, 0.5)),
            {"r": {"at_least": -1.0, "at_most": 2.0}},
        ),
        (
            lambda c: CS.AndConjunction(
                CS.OrConjunction(EQUALS(c, p.cat, "x"), EQUALS(c, p.cat, "z")), NOT_EQUALS(c, p.cat, "x")
            ),
            {"cat": ["z"]},
        ),
        (lambda c: CS.OrConjunction(EQUALS(c, p.n, 1), EQUALS(c, p.cat, "x")), [{"n": [1]}, {"cat": ["x"]}]),
        (
            lambda c: NOT_EQUALS(c, p.big, 9),
            [{"big": {"at_least": 1, "at_most": 8}}, {"big": {"at_least": 10, "at_most": 4000}}],
        ),
        (
            lambda c: CS.AndConjunction(CS.OrConjunction(LESS(c, p.r, 1.5), EQUALS(c, p.n, 1)), IN(c, p.cat, ["x"])),
            [{"r": {"at_least": -1.0, "at_most": PREVIOUS}, "cat": ["x"]}, {"n": [1], "cat": ["x"]}],
        ),
    ],
)
def test_a_condition_becomes_a_when(make, expected):
    assert when(make(leaf())) == expected


def test_a_strict_condition_leaves_out_its_very_value():
    cs = space_of([p.r, p.n, leaf(), leaf("other")], GREATER(leaf(), p.r, 0.5), LESS(leaf("other"), p.n, 3))
    space = SearchSpace.from_configspace(cs)
    X = space.encode([{"r": 0.5, "n": 3}, {"r": NEXT, "n": 2, "leaf": 0.0, "other": 0.0}])
    assert [sorted(configuration) for configuration in space.decode(X)] == [["n", "r"], ["leaf", "n", "other", "r"]]


def chain():
    """Conditions upon conditions, with names that are no identifiers."""
    depth = CS.UniformIntegerHyperparameter("net:depth", 1, 4)
    widths = [CS.UniformIntegerHyperparameter(f"net:width-{i}", 4, 128, log=True) for i in range(4)]
    decay = CS.UniformFloatHyperparameter("3 decay", 1e-6, 1e-2, log=True)
    return space_of(
        [p.cat, p.lr, depth, *widths, decay],
        EQUALS(depth, p.cat, "x"),
        *[GREATER(width, depth, i) for i, width in enumerate(widths[1:], 1)],
        EQUALS(widths[0], p.cat, "x"),
        CS.AndConjunction(LESS(decay, p.lr, 0.01), GREATER(decay, widths[2], 16)),
    )


def test_conditions_upon_conditions_are_the_same():
    space = assert_equivalent(chain(), n=1000)
    assert sorted(space.names) == [
        "_3_decay", "cat", "lr", "net_depth", "net_width_0", "net_width_1", "net_width_2", "net_width_3"
    ]  # fmt: skip


@st.composite
def conditions(draw, child, depth=2):
    kind = draw(st.sampled_from(["and", "or", "leaf", "leaf"] if depth else ["leaf"]))
    if kind != "leaf":
        parts = draw(st.lists(conditions(child, depth - 1), min_size=2, max_size=3))
        return (CS.AndConjunction if kind == "and" else CS.OrConjunction)(*parts)
    parent = draw(st.sampled_from([p.cat, p.size, p.n, p.r]))
    if parent is p.r:
        return draw(st.sampled_from([LESS, GREATER]))(child, parent, draw(st.sampled_from([-0.5, 0.25, 1.5])))
    values = {"cat": ["x", "y", "z"], "model:size": ["s", "m", "l", "xl"], "n": [1, 2, 3, 4, 5, 6]}[parent.name]
    ordered = [] if parent is p.cat else [LESS, GREATER]
    kind = draw(st.sampled_from([EQUALS, NOT_EQUALS, IN, *ordered]))
    if kind is IN:
        return IN(child, parent, draw(st.lists(st.sampled_from(values), min_size=1, unique=True)))
    return kind(child, parent, draw(st.sampled_from(values)))


@given(st.data())
@settings(max_examples=40)
def test_whatever_is_taken_over_means_the_same(data):
    condition = data.draw(conditions(leaf()))
    cs = space_of([p.cat, p.size, p.n, p.r, leaf()], condition)
    try:
        SearchSpace.from_configspace(cs)
    except SpaceError as fault:
        assert str(fault).startswith("`leaf`: ")
        if "never does" in str(fault):
            assert not any("leaf" in each for each in cs.sample_configuration(60))
        else:
            assert "must be about a range" in str(fault)
    else:
        assert_equivalent(cs, n=60)


def forbidding(*clauses):
    """A space with conditional parts and forbidden clauses, which its defaults pass."""
    a = CS.UniformIntegerHyperparameter("a", 0, 9, default_value=5)
    b = CS.UniformIntegerHyperparameter("b:1", 0, 9, default_value=5)
    level = CS.OrdinalHyperparameter("level", ["low", "mid", "high"], default_value="mid")
    cs = space_of([p.cat, a, b, level], NOT_EQUALS(b, p.cat, "y"), EQUALS(level, p.cat, "x"))
    cs.add([make(cs) for make in clauses])
    return cs


CLAUSES = {
    "cat == 'z'": lambda cs: CS.ForbiddenEqualsClause(cs["cat"], "z"),
    "b:1 in {1, 2, 7}": lambda cs: CS.ForbiddenInClause(cs["b:1"], [1, 2, 7]),
    "level > 'mid'": lambda cs: CS.ForbiddenGreaterThanClause(cs["level"], "mid"),
    "level >= 'high'": lambda cs: CS.ForbiddenGreaterThanEqualsClause(cs["level"], "high"),
    "level <= 'low'": lambda cs: CS.ForbiddenLessThanEqualsClause(cs["level"], "low"),
    "b:1 < 3": lambda cs: CS.ForbiddenLessThanClause(cs["b:1"], 3),
    "a < b:1": lambda cs: CS.ForbiddenLessThanRelation(cs["a"], cs["b:1"]),
    "a > b:1": lambda cs: CS.ForbiddenGreaterThanRelation(cs["a"], cs["b:1"]),
    "(cat == 'x' && b:1 in {1, 2})": lambda cs: CS.ForbiddenAndConjunction(
        CS.ForbiddenEqualsClause(cs["cat"], "x"), CS.ForbiddenInClause(cs["b:1"], [1, 2])
    ),
    "(a == 1 || (level == 'low' && b:1 == 3))": lambda cs: CS.ForbiddenOrConjunction(
        CS.ForbiddenEqualsClause(cs["a"], 1),
        CS.ForbiddenAndConjunction(
            CS.ForbiddenEqualsClause(cs["level"], "low"), CS.ForbiddenEqualsClause(cs["b:1"], 3)
        ),
    ),
}


@pytest.mark.parametrize("rule", CLAUSES)
def test_a_forbidden_clause_becomes_a_rule(rule, capsys):
    cs = forbidding(CLAUSES[rule])
    space = assert_equivalent(cs, n=300)
    assert list(space.forbidden) == [rule]
    free = SearchSpace(space.variables)
    rows = free.decode(free.sample(500, np.random.default_rng(3)))
    predicate = pickle.loads(pickle.dumps(space.forbidden[rule]))
    origins = dict(zip(space.names, cs, strict=True))
    allowed = [is_valid(cs, {origins[name]: value for name, value in row.items()}) for row in rows]
    assert [not predicate(row) for row in rows] == allowed
    assert 0 < sum(allowed) < len(rows)
    capsys.readouterr()  # ConfigSpace 1.2 prints while it checks a `>=` clause


def test_equal_values_are_forbidden_between_two_parameters():
    a, b = CS.UniformIntegerHyperparameter("a", 0, 9), CS.UniformIntegerHyperparameter("b", 1, 9)
    space = assert_equivalent(space_of([a, b], CS.ForbiddenEqualsRelation(a, b)), n=300)
    assert space.forbidden["a == b"]({"a": 3, "b": 3})
    assert not space.forbidden["a == b"]({"a": 3})


def test_several_clauses_hold_together():
    cs = forbidding(*[CLAUSES[rule] for rule in ("cat == 'z'", "a < b:1", "level > 'mid'")])
    assert_equivalent(cs, n=300)


def middle():
    """An integer that exists only for one option."""
    return CS.UniformIntegerHyperparameter("middle", 1, 9)


@pytest.mark.parametrize(
    ("parameters", "rules", "message"),
    [
        ([p.r, leaf()], [EQUALS(leaf(), p.r, 0.5)], "`leaf`: a condition on the float `r` must be about a range"),
        ([p.r, leaf()], [IN(leaf(), p.r, [0.5, 1.0])], "use GreaterThanCondition or LessThanCondition"),
        ([p.n, leaf()], [LESS(leaf(), p.n, 1)], "`leaf`: its condition must hold for some values.*drop `leaf`"),
        (
            [p.cat, middle(), leaf()],
            [EQUALS(middle(), p.cat, "x"), NOT_EQUALS(leaf(), middle(), 3)],
            "`leaf`: a NotEqualsCondition needs a parent that always exists.*list the other values",
        ),
        ([leaf("a:b"), leaf("a/b")], [], "names must differ .* both become `a_b`; rename one"),
        ([CS.UniformIntegerHyperparameter("i", 0, 10**13)], [], "`i`: high must be within"),
    ],
)
def test_unsupported_configspace_is_refused(parameters, rules, message):
    cs = space_of(parameters, *rules)
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_configspace(cs)


def test_parameters_of_other_kinds_are_refused():
    class Odd(CS.hyperparameters.Hyperparameter):
        pass

    odd = object.__new__(Odd)
    odd.__dict__.update(vars(leaf()))
    with pytest.raises(SpaceError, match=r"`leaf`: must be a float, an integer.*but is a Odd; replace it"):
        variables_of(space_of([odd]))


def test_conditions_of_other_kinds_are_refused():
    class Odd(CS.EqualsCondition.__base__):
        _OP_STR, _REQUIRES_ORDERABLE_PARENT, _OP, _VECTOR_OP = "~", False, operator.eq, operator.eq

    with pytest.raises(SpaceError, match=r"`leaf`: a condition must be one of ConfigSpace's own.*is a Odd; replace"):
        variables_of(space_of([p.n, leaf()], Odd(leaf(), p.n, 3)))


def test_missing_configspace_is_an_error_with_the_way_out():
    script = (
        "import sys; sys.modules['ConfigSpace'] = None\n"
        "from evo_moo.space import SearchSpace\n"
        "try:\n    SearchSpace.from_configspace(None)\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'ConfigSpace" in done.stdout


def test_the_space_alone_does_not_import_configspace():
    script = "import sys, evo_moo.space; print('ConfigSpace' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"
