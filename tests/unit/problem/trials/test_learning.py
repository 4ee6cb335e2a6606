"""What evaluations teach of the space of a define-by-run objective."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from evo_moo import Choice, Integer, Real, SpaceError
from evo_moo.problem.trials.learning import LearntSpace, learn_space, untried, worth_trying
from evo_moo.problem.trials.suggestion import Asked, Trace
from evo_moo.problem.trials.trial import Trial
from evo_moo.space.search_space import SearchSpace


def trace(objective: Callable[[Any], Any], given: dict[str, Any], seed: int) -> Trace:
    trial = Trial(given, seed)
    objective(trial)
    return {name: Asked(suggestion, trial.held[name]) for name, suggestion in trial.suggestions.items()}


def explored(objective: Callable[[Any], Any], seed: int = 0, n_rounds: int = 6) -> Sequence[Trace]:
    traces = [trace(objective, {}, seed + i) for i in range(8)]
    given: list[dict[str, Any]] = []
    for _ in range(n_rounds):
        new = [each for each in worth_trying(traces) if each not in given]
        given += new
        traces += [trace(objective, each, seed + len(traces) + i) for i, each in enumerate(new)]
    return traces


def models(trial: Any) -> None:
    trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    classifier = trial.suggest_categorical("classifier", ["SVC", "RandomForest", "MLP"])
    if classifier == "SVC":
        trial.suggest_float("svc_c", 1e-10, 1e10, log=True)
        if trial.suggest_categorical("kernel", ["rbf", "poly", "linear"]) == "poly":
            trial.suggest_int("degree", 2, 5)
    elif classifier == "RandomForest":
        trial.suggest_int("max_depth", 2, 32, log=True)
    else:
        for i in range(trial.suggest_int("n_layers", 1, 4)):
            trial.suggest_int(f"units_{i}", 4, 128, log=True)


@pytest.mark.parametrize("seed", [0, 100, 200])
def test_branches_and_loops_become_conditions(seed: int) -> None:
    space = learn_space(explored(models, seed))
    conditions = {name: dict(kind.when or {}) for name, kind in space.variables.items()}
    assert conditions == {
        "lr": {},
        "classifier": {},
        "svc_c": {"classifier": ["SVC"]},
        "kernel": {"classifier": ["SVC"]},
        "degree": {"kernel": ["poly"]},
        "max_depth": {"classifier": ["RandomForest"]},
        "n_layers": {"classifier": ["MLP"]},
        "units_0": {"classifier": ["MLP"]},
        "units_1": {"n_layers": {"at_least": 2}},
        "units_2": {"n_layers": {"at_least": 3}},
        "units_3": {"n_layers": {"at_least": 4}},
    }
    assert (space.variables["degree"].low, space.variables["svc_c"]) == (  # type: ignore[attr-defined]
        2,
        Real(1e-10, 1e10, log=True, when={"classifier": ["SVC"]}),
    )
    assert space.doubts == () and LearntSpace.from_json(space.to_json()) == space


def test_two_conditions_at_once_are_learnt() -> None:
    def objective(trial: Any) -> None:
        a, b = trial.suggest_categorical("a", [0, 1]), trial.suggest_categorical("b", [0, 1])
        if a and b:
            trial.suggest_float("x", 0, 1)

    assert learn_space(explored(objective, seed=3)).variables["x"].when == {"a": [1], "b": [1]}


def test_several_branches_become_alternatives() -> None:
    def objective(trial: Any) -> None:
        a, b = trial.suggest_categorical("a", [0, 1, 2, 3]), trial.suggest_categorical("b", [0, 1])
        if a == 3 and trial.suggest_categorical("c", ["no", "yes"]) == "yes":
            trial.suggest_int("depth", 1, 9)
        if a in (1, 2) or (b and a == 0) or (a == 3 and trial.params["c"] == "yes"):
            trial.suggest_float("x", 0, 1)

    traces = explored(objective)
    space = learn_space(traces)
    assert space.variables["x"].when == [{"b": [1]}, {"a": [1, 2]}, {"c": ["yes"]}]
    assert space.doubts == () and LearntSpace.from_json(space.to_json()) == space
    configurations = [space.configuration({name: value for name, (_, value) in each.items()}) for each in traces]
    SearchSpace(space.variables).encode(configurations)  # refuses what is missing, and what exists without a reason


def test_an_absence_that_no_values_tell_is_a_doubt() -> None:
    def objective(trial: Any) -> None:
        a, b = trial.suggest_float("a", 0, 1), trial.suggest_float("b", 0, 1)
        if a + b > 1:
            trial.suggest_float("x", 0, 1)

    assert "`x` was not asked for in" in learn_space(explored(objective)).doubts[0]


def test_bounds_that_are_values_have_their_names() -> None:
    def objective(trial: Any) -> None:
        n = trial.suggest_int("n layers", 1, 4)
        trial.suggest_int("skip", 1, n)
        trial.suggest_float("high", trial.suggest_float("low", 0, 0.5), 1.0)
        trial.suggest_int("inner", trial.params["skip"], n)

    space = learn_space(explored(objective))
    assert (space.variables["skip"], space.variables["high"]) == (Integer(1, "n_layers"), Real("low", 1.0))
    assert space.variables["inner"] == Integer("skip", "n_layers")
    assert [doubt for doubt in space.doubts if "is named" not in doubt] == []


def test_bounds_that_change_otherwise_are_joined() -> None:
    def objective(trial: Any) -> None:
        trial.suggest_int("second", 1, 2 * trial.suggest_int("first", 10, 100))

    space = learn_space([trace(objective, {"first": first}, 1) for first in (10, 45, 20)])
    assert space.variables["second"] == Integer(1, 90)
    assert space.doubts == (
        "`second` has bounds that change: it is searched in 1 .. 90, and a value outside is moved inside",
    )


def test_names_become_valid_and_stay_apart() -> None:
    def objective(trial: Any) -> None:
        for name in ("a b", "a.b", "a_b", "1st", "a/b", "facts.a"):
            trial.suggest_float(name, 0, 1)

    space = learn_space([trace(objective, {}, 1)])
    assert space.names == {
        "a_b_2": "a b",
        "a.b": "a.b",
        "a_b": "a_b",
        "_1st": "1st",
        "a_b_3": "a/b",
        "facts_a": "facts.a",
    }
    assert space.configuration({"a b": 1, "constant": 2, "1st": 3}) == {"a_b_2": 1, "_1st": 3}


def test_constants_are_no_variables() -> None:
    def objective(trial: Any) -> None:
        trial.suggest_int("only", 3, 3)
        trial.suggest_categorical("one", ["x"])
        trial.suggest_categorical("two", [None, 0.5])

    assert learn_space([trace(objective, {}, 1)]).variables == {"two": Choice([None, 0.5])}


def test_steps_are_kept() -> None:
    def objective(trial: Any) -> None:
        trial.suggest_int("width", 16, 70, step=16)
        trial.suggest_float("rate", 0, 0.5, step=0.1)

    space = learn_space([trace(objective, {}, 1)])
    assert space.variables == {"width": Integer(16, 64, step=16), "rate": Real(0.0, 0.5, step=0.1)}


def test_steps_are_parents_by_their_values() -> None:
    def objective(trial: Any) -> None:
        for i in range(trial.suggest_int("width", 16, 64, step=16) // 16):
            trial.suggest_float(f"rate {i}", 0, 1)

    space = learn_space([trace(objective, {"width": width}, i) for i, width in enumerate((16, 32, 48, 64))])
    assert [kind.when for kind in space.variables.values()] == [
        None,
        None,
        {"width": {"at_least": 32}},
        {"width": {"at_least": 48}},
        {"width": {"at_least": 64}},
    ]


def test_values_never_tried_are_named() -> None:
    traces = [trace(models, {"classifier": "SVC", "kernel": "rbf"}, 1)]
    assert untried(traces) == [
        "`classifier` was never 'RandomForest', 'MLP': what that leads to is not known",
        "`kernel` was never 'poly', 'linear': what that leads to is not known",
    ]


def test_disagreements_are_refused_all_at_once() -> None:
    def objective(trial: Any) -> None:
        n = trial.suggest_int("n", 1, 2)
        trial.suggest_categorical("c", [*range(n + 1)])
        trial.suggest_float("x", 0.1, 1, log=n == 1)

    with pytest.raises(SpaceError) as refused:
        learn_space([trace(objective, {"n": n}, 1) for n in (1, 2)])
    assert str(refused.value).splitlines() == [
        "`c`: choices must be the same in each call, but are [0, 1] and [0, 1, 2]; give the second another name",
        "`x`: a name must stand for one kind of value, but is log float and float",
    ]
    with pytest.raises(SpaceError, match="must ask its trial for values, but asked for none that can vary"):
        learn_space([{}])
