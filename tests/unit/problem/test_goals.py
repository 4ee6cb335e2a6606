import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymoo.core.individual import Individual

from evo_moo.errors import MetricError
from evo_moo.problem.goal_faults import find_faults
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric, checked_metrics, read_returned
from evo_moo.problem.objectives import total_violation

GOALS = Goals.declared(
    {"accuracy": "max", "latency_ms": "min"},
    {"latency_ms": {"at_most": 20, "at_least": 1}, "accuracy": {"at_least": 0.5}, "bits": {"equals": 8}},
)
KNOWN = {"accuracy": Metric(), "latency_ms": Metric(), "test_accuracy": Metric(held_out=True)}
FLOATS = st.floats(-1e6, 1e6)


def test_metrics_become_rows_of_F_G_and_H_in_declaration_order():
    metrics = {"accuracy": 0.9, "latency_ms": 25.0, "bits": 6}
    assert GOALS.F([metrics]).tolist() == [[-0.9, 25.0]]
    assert GOALS.inequality_values(metrics) == [25.0 - 20, 1 - 25.0, 0.5 - 0.9]
    assert GOALS.equality_values(metrics) == [6 - 8]
    assert GOALS.metric_names == ("accuracy", "latency_ms", "bits")


def test_F_keeps_its_shape_and_is_infinite_where_unknown():
    assert GOALS.F([]).shape == (0, 2)
    F, G, H = GOALS.matrices([{"accuracy": 0.9, "latency_ms": 25.0, "bits": 6}, {"latency_ms": 25.0}])
    assert F.tolist() == [[-0.9, 25.0], [math.inf, math.inf]] and G.shape == (2, 3) and H.tolist() == [[-2], [0]]
    assert [part.shape for part in GOALS.matrices([])] == [(0, 2), (0, 3), (0, 1)]


def test_best_value_of_each_objective_is_of_any_row():
    goals = Goals.declared({"loss": "min", "gain": "max"}, {})
    rows = [{"loss": 1.0, "gain": 2.0}, {"loss": 3.0}, {"gain": 5.0, "other": 9.0}]
    assert goals.best(rows) == {"loss": 1.0, "gain": 5.0} and goals.best([]) == {}


def test_front_of_a_table_holds_only_rows_that_keep_every_limit():
    rows = [(0.9, 10, 8), (0.7, 5, 8), (0.6, 7, 8), (0.7, 5, 8), (0.99, 21, 8), (0.9, 0.5, 8), (0.4, 2, 8), (0.9, 2, 6)]
    columns = {
        name: np.array(column)
        for name, column in zip(("accuracy", "latency_ms", "bits"), np.array(rows).T, strict=True)
    }
    assert GOALS.front_of(columns).tolist() == [[-0.9, 10.0], [-0.7, 5.0]]
    assert GOALS.front_of({name: column[-4:] for name, column in columns.items()}) is None
    assert GOALS.front_of({"accuracy": columns["accuracy"]}) is None


def test_signs_turn_what_is_maximised_into_what_is_minimised():
    accuracy, latency = GOALS.objectives
    assert (accuracy.sign, latency.sign, GOALS.signs.tolist()) == (-1, 1, [-1, 1])
    assert (GOALS.sign("accuracy"), GOALS.sign("latency_ms"), GOALS.sign("bits")) == (-1, 1, 1)
    assert (accuracy.best([0.5, 0.9, 0.1]), latency.best([5.0, 9.0])) == (0.9, 5.0)
    columns = {"accuracy": np.array([0.5, 0.9]), "latency_ms": np.array([5.0, 9.0])}
    assert GOALS.F_of_columns(columns).tolist() == [[-0.5, 5.0], [-0.9, 9.0]]


def test_a_metric_that_is_not_known_yet_counts_as_feasible():
    assert GOALS.inequality_values({"latency_ms": 30}) == [10, -29, 0]
    assert GOALS.equality_values({}) == [0]


@pytest.mark.parametrize(
    ("changed", "violation"),
    [
        ({}, 0.0),
        ({"latency_ms": 20.0, "accuracy": 0.5}, 0.0),
        ({"latency_ms": 22.0}, 2 / 22),
        ({"latency_ms": 0.25, "accuracy": 0.25}, 0.25 / 0.75 + 0.75 / 1.75),
        ({"bits": 8 + 1e-4}, 0.0),
        ({"bits": 6}, 2 / 10),
        ({"bits": 10, "latency_ms": 40.0}, 2 / 10 + 1 / 2),
        ({"latency_ms": 1e308, "bits": -1e308}, 2.0),
    ],
)
def test_each_limit_counts_by_its_own_size(changed, violation):
    metrics = {"accuracy": 0.9, "latency_ms": 10.0, "bits": 8} | changed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert GOALS.violation(metrics) == pytest.approx(violation, abs=1e-5)
        _, G, H = GOALS.matrices([metrics] * 3)
        assert GOALS.violations(G, H) == pytest.approx([violation] * 3, abs=1e-5)


@given(FLOATS, FLOATS, st.sampled_from([1e-6, 1e3, 1e6]))
def test_the_unit_of_a_limit_changes_nothing(latency_ms, accuracy, factor):
    goals = Goals.declared({"f": "min"}, {"latency": {"at_most": 20.0}, "accuracy": {"at_least": 0.5}})
    other = Goals.declared({"f": "min"}, {"latency": {"at_most": 20.0 * factor}, "accuracy": {"at_least": 0.5}})
    here = goals.violation({"latency": latency_ms, "accuracy": accuracy})
    there = other.violation({"latency": latency_ms * factor, "accuracy": accuracy})
    assert here == pytest.approx(there, rel=1e-6, abs=1e-12)


def test_kept_limits_count_nothing_among_broken_ones():
    limits = Goals.declared({"a": "min"}, {"b": {"at_most": 2.0}, "c": {"at_least": 0.0}}).limits
    excess = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    assert total_violation(limits, excess).tolist() == [0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("direction", "words"), [("max", "accuracy (%), more is better"), ("min", "accuracy (%), less is better")]
)
def test_objective_says_its_unit_and_its_direction(direction, words):
    assert Goals.declared({"accuracy": direction}, {}).objectives[0].in_words("%") == words


def test_no_limit_drowns_another():
    goals = Goals.declared({"f": "min"}, {"n_params": {"at_most": 100_000}, "accuracy": {"at_least": 0.9}})
    large, wrong = {"n_params": 1_100_000, "accuracy": 0.5}, {"n_params": 1_000_000, "accuracy": 0.5}
    better = {"n_params": 1_100_000, "accuracy": 0.6}
    assert goals.violation(better) < goals.violation(wrong) < goals.violation(large)
    assert goals.violation({"n_params": 100_000, "accuracy": 0.5}) < goals.violation({"n_params": 2e6, "accuracy": 0.9})


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_limits_without_a_size_are_added_up_as_by_pymoo(values):
    goals = Goals.declared({"f": "min"}, {"g1": {"at_most": 0}, "g2": {"at_most": 0}, "h1": {"equals": 0}})
    _, G, H = goals.matrices([dict(zip(("g1", "g2", "h1"), values, strict=True))])
    individual = Individual(G=G[0], H=H[0])
    assert goals.violations(G, H)[0] == individual.cv
    assert (goals.violations(G, H)[0] == 0) == individual.feas


@pytest.mark.parametrize(("bound", "tolerance"), [(0, 1e-4), (-8, 1e-4), (100, 1e-4), (2e6, 2.0), (-3e9, 3e3)])
def test_an_equality_holds_within_the_larger_tolerance(bound, tolerance):
    goals = Goals.declared({"f": "min"}, {"f": {"equals": bound}})
    for off, kept in ((0.999, True), (-0.999, True), (1.001, False), (-1.001, False)):
        metrics = {"f": bound + off * tolerance}
        assert (goals.violation(metrics) == 0) == kept
        (((h,),),) = (goals.matrices([metrics])[2],)
        assert (abs(h) <= 1e-4) == kept  # as pymoo's survival judges it
    assert find_faults({"accuracy": "max"}, {"accuracy": {"equals": bound}}, KNOWN) == []


def test_an_equality_to_less_than_its_tolerance_is_refused():
    (fault,) = find_faults({"accuracy": "max"}, {"accuracy": {"equals": -2e-4}}, KNOWN)
    assert "`constraints.accuracy.equals` must be 0 or at least 0.001 in size, but is -0.0002" in fault


def test_everything_is_feasible_without_limits():
    assert Goals.declared({"f": "min"}, {}).violation({"f": 1e9}) == 0


@given(FLOATS, FLOATS)
def test_violation_is_positive_exactly_for_broken_limits(latency_ms, accuracy):
    goals = Goals(GOALS.objectives, GOALS.inequalities)
    metrics = {"accuracy": accuracy, "latency_ms": latency_ms}
    assert (goals.violation(metrics) > 0) == bool(goals.broken_limits(metrics))


def test_broken_limits_say_the_rule_and_the_value():
    assert GOALS.broken_limits({"latency_ms": 35.5, "accuracy": 0.25}) == [
        "`latency_ms` must be at most 20, but is 35.5",
        "`accuracy` must be at least 0.5, but is 0.25",
    ]
    assert GOALS.broken_limits({"latency_ms": 20}) == []


def test_goals_survive_json():
    assert Goals.from_json(GOALS.to_json()) == GOALS


def test_sound_goals_have_no_faults():
    assert find_faults({"accuracy": "max"}, {"latency_ms": {"at_most": 20, "at_least": 1}}, KNOWN) == []


def test_every_fault_is_listed_with_its_key():
    faults = find_faults(
        {"acuracy": "max", "latency_ms": "down", "test_accuracy": "max"},
        {"nothing_near": {"at_most": 1}, "accuracy": {"below": 1, "at_least": "high"}, "latency_ms": 20},
        KNOWN,
    )
    assert [re.match(r"`([^`]+)`", fault)[1] for fault in faults] == [
        "objectives.acuracy",
        "objectives.latency_ms",
        "objectives.test_accuracy",
        "constraints.nothing_near",
        "constraints.accuracy.below",
        "constraints.accuracy.at_least",
        "constraints.latency_ms",
    ]
    text = "\n".join(faults)
    for part in (
        "no metric `acuracy`; did you mean `accuracy`? it has accuracy, latency_ms, test_accuracy",
        "must be 'min' or 'max', but is 'down'",
        "`test_accuracy` is held out for the final report",
        "no metric `nothing_near`; it has",
        "a limit is at_most, at_least or equals",
        "must be a finite number, but is 'high'",
        "must be a limit such as {at_most = 20}, but is 20",
    ):
        assert part in text


def test_goals_need_an_objective():
    (fault,) = find_faults({}, {}, KNOWN)
    assert fault.startswith("`objectives`: name at least one metric")


def test_an_objective_may_say_what_is_good_enough():
    declared = {"accuracy": {"direction": "max", "goal": 0.9}, "latency_ms": {"direction": "min", "goal": 5}}
    assert find_faults(declared, {}, KNOWN) == []
    goals = Goals.declared(declared | {"bits": "min"}, {})
    metrics = {"accuracy": 0.5, "latency_ms": 3.0, "bits": 8}
    assert [objective.reached(metrics[objective.metric]) for objective in goals.objectives] == [False, True, True]
    assert goals.F([metrics]).tolist() == [[-0.5, 3.0, 8]] and goals.violation(metrics) == 0
    assert Goals.from_json(goals.to_json()) == goals


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"goal": 1}, "`objectives.accuracy` must be 'min' or 'max', but is {'goal': 1}"),
        ({"direction": "up"}, "`objectives.accuracy` must be 'min' or 'max', but is 'up'"),
        ({"direction": "max", "goal": math.nan}, "`objectives.accuracy.goal` must be a finite number, but is nan"),
        ({"direction": "max", "gaol": 1}, "`objectives.accuracy` takes direction and goal, but has gaol"),
    ],
)
def test_a_wrong_objective_table_is_a_fault(table, fault):
    assert find_faults({"accuracy": table}, {}, KNOWN) == [fault]


@pytest.mark.parametrize("bound", [True, math.nan, math.inf, None, "20", [20]])
def test_a_bound_must_be_a_finite_number(bound):
    (fault,) = find_faults({"accuracy": "max"}, {"latency_ms": {"at_most": bound}}, KNOWN)
    assert fault == f"`constraints.latency_ms.at_most` must be a finite number, but is {bound!r}"


@pytest.mark.parametrize("bounds", [{}, None, 20, "at_most 20"])
def test_a_limit_must_be_a_table(bounds):
    (fault,) = find_faults({"accuracy": "max"}, {"latency_ms": bounds}, KNOWN)
    assert fault.startswith("`constraints.latency_ms` must be a limit such as {at_most = 20}")


@pytest.mark.parametrize(
    ("given_value", "number"),
    [
        (0.5, 0.5),
        (3, 3),
        (True, 1),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(False), 0),
        (np.array(2.5), 2.5),
        (np.array([2.5]), 2.5),
    ],
)
def test_numbers_of_any_kind_become_plain_ones(given_value, number):
    (value,) = checked_metrics({"a": given_value}).values()
    assert value == number and type(value) in (int, float)


def test_tensors_of_one_element_are_numbers():
    torch = pytest.importorskip("torch")
    metrics = checked_metrics({"a": torch.tensor(0.5, requires_grad=True), "b": torch.tensor([3])})
    assert metrics == {"a": 0.5, "b": 3}
    with pytest.raises(MetricError, match="`a` must be a number, but is Tensor"):
        checked_metrics({"a": torch.zeros(2)}, ["a"])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"a": math.nan}, "metric `a` must be finite, but is nan"),
        ({"a": np.float32(-math.inf)}, "metric `a` must be finite, but is -inf"),
        ({"a": "0.5"}, "metric `a` must be a number, but is str '0.5'"),
        ({"a": None}, "metric `a` must be a number, but is NoneType 'None'"),
        ({"a": 1j}, "metric `a` must be a number, but is complex '1j'"),
        ({"a": [1]}, "metric `a` must be a number, but is list '[1]'"),
        ({"a": np.zeros(2)}, "metric `a` must be a number, but is ndarray '[0. 0.]'"),
        ({1: 0.5}, "a metric's name must be a string, but is int '1'"),
        (0.5, "an evaluation must return a dict of metrics, but it returned float '0.5'"),
        (None, "an evaluation must return a dict of metrics, but it returned NoneType 'None'"),
        ([("a", 1)], "an evaluation must return a dict of metrics, but it returned list"),
    ],
)
def test_metric_that_is_no_finite_number_is_refused(returned, message):
    with pytest.raises(MetricError, match=re.escape(message)):
        checked_metrics(returned, ["a"])


@pytest.mark.parametrize(
    ("value", "fact", "note"),
    [
        (math.nan, None, "no `b`: it must be finite, but is nan"),
        (None, None, "no `b`: it must be a number, but is NoneType 'None'"),
        (1j, None, "no `b`: it must be a number, but is complex '1j'"),
        ([math.inf], None, "no `b`: it must be a number, but is list '[inf]'"),
        ("x" * 20_000, None, f"no `b`: it must be a number, but is str '{'x' * 80}'"),
        ("weights/7.pt", "weights/7.pt", ""),
        (Path("weights/7.pt"), "weights/7.pt", ""),
        ([1, 2.5], [1, 2.5], ""),
        (np.zeros((1, 2)), [[0.0, 0.0]], ""),
        ({"a": [1]}, {"a": [1]}, ""),
    ],
)
def test_metrics_that_no_goal_needs_may_be_no_numbers(value, fact, note):
    returned = read_returned({"a": 1, "b": value})
    assert returned.checked(["a"]) == {"a": 1} and returned.notes() == note
    assert returned.facts == ({} if fact is None else {"b": fact})
    with pytest.raises(MetricError, match="metric `b` must be "):
        returned.checked(["a", "b"])


def test_later_values_of_a_name_count():
    early, late = read_returned({"a": None, "b": 1, "c": "x"}), read_returned({"a": 2, "b": None, "d": math.nan})
    returned = early.followed_by(late)
    assert (returned.metrics, returned.facts) == ({"a": 2, "b": 1}, {"c": "x"})
    assert returned.notes() == "no `d`: it must be finite, but is nan"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"b": 1, "c": 2}, "must return `a`, `d`, but it returned `b`, `c`"),
        ({}, "must return `a`, `b`, `d`, but it returned no number"),
    ],
)
def test_missing_metrics_are_named(returned, message):
    with pytest.raises(MetricError, match=re.escape(message)):
        checked_metrics(returned, ("a", "b", "d"))


def test_an_integer_beyond_the_floats_is_refused():
    assert find_faults({"accuracy": "max"}, {"latency_ms": {"at_most": 10**400}}, KNOWN)
    with pytest.raises(MetricError, match="metric `a` must be finite"):
        checked_metrics({"a": 10**400}, ["a"])


def test_bounds_and_goals_of_numpy_are_plain_numbers():
    objectives = {"a": {"direction": "max", "goal": np.int64(2)}}
    constraints = {"b": {"at_most": np.int64(9), "at_least": np.float32(0.5)}}
    assert find_faults(objectives, constraints, {"a": Metric(), "b": Metric()}) == []
    goals = Goals.declared(objectives, constraints)
    assert Goals.from_json(json.loads(json.dumps(goals.to_json()))) == goals
