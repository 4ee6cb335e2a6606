import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.mcdm.high_tradeoff import HighTradeoffPoints
from pymoo.mcdm.pseudo_weights import PseudoWeights

import evo_moo
from evo_moo.analysis.choice import parse_limits, pick
from evo_moo.analysis.result import Result
from evo_moo.analysis.statistics.replicates import means_and_spread
from evo_moo.analysis.weight_sweep import sweep
from evo_moo.errors import NoChoiceError, UsageError
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metric
from evo_moo.report.analysis_figures import sweep_figure
from evo_moo.storage.evaluation_row import Evaluation

NAMES = ["a", "b", "c"]
VALUES = st.integers(0, 12).map(float)
QUICK = settings(max_examples=40)


def row(key, metrics, status="ok", replicate=0, continues=None):
    fields = (
        dict.fromkeys(Evaluation._fields)
        | Evaluation._field_defaults
        | {
            "id": key,
            "generation": 1,
            "configuration_json": json.dumps({"x": key}),
            "status": status,
            "metrics": json.dumps(metrics),
            "x": b"",
            "replicate": replicate,
            "continues": continues,
            "declared": {},
        }
    )
    return tuple(fields.values())


def result_of(table, objectives, constraints=None, **facts):
    """A result of evaluations with these metrics, a list of dicts, or of finished rows."""
    rows = [each if isinstance(each, tuple) else row(i, each) for i, each in enumerate(table, 1)]
    known = {name: Metric(**facts.get(name, {})) for name in ("a", "b", "c", "size", "test")}
    goals = Goals.declared(objectives, constraints or {})
    ended = [e for e in map(Evaluation.of_row, rows) if e.status == "ok"]
    means, spread = means_and_spread(ended)
    evaluations = [*map(Evaluation.of_row, rows)]
    endings = Counter((e.status, "") for e in evaluations)
    return Result(goals, known, [], endings, means=means, spread=spread, evaluations=evaluations)


def points(n_obj, least=1):
    return st.lists(st.tuples(*[VALUES] * n_obj), min_size=least, max_size=12)


def minimising(table):
    return result_of(
        [dict(zip(NAMES, values, strict=False)) for values in table], dict.fromkeys(NAMES[: len(table[0])], "min")
    )


def front_of(table):
    """Ids and values of what nothing dominates, by the definition."""
    F = np.array(table)
    kept = [i for i in range(len(F)) if not any((f <= F[i]).all() and (f < F[i]).any() for f in F)]
    return [i + 1 for i in kept], F[kept]


def scaled(F):
    return (F - F.min(axis=0)) / np.where(np.ptp(F, axis=0) > 0, np.ptp(F, axis=0), 1)


@pytest.mark.parametrize("method", ["weighted-sum", "tchebycheff", "asf"])
@given(points(3), st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 3.0])] * 3).filter(any))
@QUICK
def test_no_member_of_the_front_has_a_better_score(method, table, weights):
    decision = pick(minimising(table), weights=dict(zip(NAMES, weights, strict=True)), method=method)
    ids, F = front_of(table)
    terms = scaled(F) * weights
    expected = terms.sum(axis=1) if method == "weighted-sum" else terms.max(axis=1)
    assert expected[ids.index(decision.chosen.id)] == pytest.approx(
        expected.min(), abs=1e-3 if method == "asf" else 1e-9
    )
    assert sorted(e.id for _, e in decision.ranking) == ids
    scores = [score for score, _ in decision.ranking]
    assert all(one <= other + 1e-12 for one, other in itertools.pairwise(scores))


@given(points(3), st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * 3))
@QUICK
def test_pseudo_weights_are_pymoos(table, weights):
    decision = pick(minimising(table), weights=dict(zip(NAMES, weights, strict=True)), method="pseudo-weights")
    ids, F = front_of(table)
    live = np.ptp(F, axis=0) > 0
    if not live.any():
        assert decision.chosen.id == ids[0]
        return
    share = np.array(weights)[live] / np.array(weights)[live].sum()
    best, own = PseudoWeights(share).do(F[:, live], return_pseudo_weights=True)
    distance = np.abs(own - share).sum(axis=1)
    assert distance[ids.index(decision.chosen.id)] == pytest.approx(distance[best])


@pytest.mark.parametrize("power", [2, 3, 5])
def test_a_knee_is_one_of_pymoos_high_tradeoff_points(power):
    x = np.linspace(0, 1, 30)
    table = [(v, (1 - v ** (1 / power)) ** power) for v in x.tolist()]
    knees = HighTradeoffPoints().do(scaled(np.array(table)))
    decision = pick(minimising([(7 * a, 100 * b) for a, b in table]), knee=True)
    assert decision.chosen.id - 1 in knees and len(decision.ranking) == 30


@given(points(2))
@QUICK
def test_a_knee_is_a_point_that_pymoo_calls_one_and_else_missing(table):
    ids, F = front_of(table)
    N = np.unique(scaled(F), axis=0)
    knees = HighTradeoffPoints().do(N) if len(N) > 2 else None
    if knees is None or not len(knees):
        with pytest.raises(NoChoiceError, match="give weights, an order or an aim"):
            pick(minimising(table), knee=True)
    else:
        chosen = pick(minimising(table), knee=True).chosen.id
        assert scaled(F)[ids.index(chosen)].tolist() in N[knees].tolist()


@given(points(3), st.permutations(NAMES), st.tuples(*[st.sampled_from([0.0, 1.0, 4.0])] * 3))
@QUICK
def test_lexicographic_order_narrows_down_step_by_step(table, order, widths):
    decision = pick(minimising(table), order=order, tolerances=dict(zip(order, widths, strict=True)))
    ids, F = front_of(table)
    left = list(zip(ids, F, strict=True))
    for name, width in zip(order, widths, strict=True):
        k = NAMES.index(name)
        best = min(f[k] for _, f in left)
        left = [(i, f) for i, f in left if f[k] <= best + width]
    assert decision.chosen.id in [i for i, _ in left]
    if not any(widths):
        assert (
            min((tuple(f[[NAMES.index(n) for n in order]]), i) for i, f in zip(ids, F, strict=True))[1]
            == decision.chosen.id
        )


@given(points(2), st.tuples(VALUES, VALUES))
@QUICK
def test_an_aim_is_missed_by_the_least_or_passed_by_the_most(table, aim):
    decision = pick(minimising(table), aim=dict(zip(NAMES, aim, strict=False)))
    ids, F = front_of(table)
    span = np.ptp(F, axis=0)
    if (span > 0).all():
        worst = ((F - aim) / span).max(axis=1)
        assert worst[ids.index(decision.chosen.id)] == pytest.approx(worst.min(), abs=1e-3)
    reached = [(f <= aim).all() for f in F]
    assert ("reaches every aim" in decision.why) == reached[ids.index(decision.chosen.id)] or len(ids) == 1
    if (span > 0).all() and any(reached):
        assert reached[ids.index(decision.chosen.id)]


@given(points(2), st.integers(-1, 12).map(float))
@QUICK
def test_the_best_under_a_limit_is_that_of_a_plain_reading(table, limit):
    kept = [(b, a, i) for i, (a, b) in enumerate(table, 1) if a <= limit]
    if kept:
        best = minimising(table).best_under(a=limit)
        assert (best.metrics["b"], best.metrics["a"], best.id) == min(kept)
    else:
        with pytest.raises(NoChoiceError) as error:
            minimising(table).best_under(a=limit)
        nearest = min(a for a, _ in table)
        assert error.value.nearest.metrics["a"] == nearest
        assert f"{nearest:g} at best" in str(error.value) and f"{nearest - limit:g} off" in str(error.value)


@given(points(2), st.sampled_from([{}, {"weights": {"a": 2, "b": 1}}, {"aim": {"a": 3.0}}, {"order": ["b", "a"]}]))
@QUICK
def test_maximising_equals_minimising_the_negative(table, rule):
    flipped = result_of([{"a": a, "b": -b} for a, b in table], {"a": "min", "b": "max"})
    one, other = pick(minimising(table), **rule), pick(flipped, **rule)
    assert one.chosen.id == other.chosen.id
    assert [t.given_up for t in one.trades] == [t.given_up for t in other.trades]
    assert [t.best for t in other.trades] == [one.trades[0].best, -one.trades[1].best]


@pytest.mark.parametrize("rule", [{}, {"weights": {"a": 1}}, {"aim": {"a": 0.5}}, {"order": "a"}])
def test_one_objective_and_one_point_need_no_rule(rule):
    table = [{"a": 3.0}, {"a": 1.0}, {"a": 1.0}, {"a": 2.0}]
    decision = pick(result_of(table, {"a": "min"}), **rule)
    assert decision.chosen.id == 2 and decision.runner_up.id == 3
    assert "its equal in every objective, and the earlier one is taken" in decision.why
    alone = pick(result_of(table[:1], {"a": "min"}), **rule)
    assert (alone.chosen.id, alone.runner_up, alone.why) == (1, None, "it is the only candidate")
    assert alone.trades[0].share is None and alone.trades[0].given_up == 0


def test_trades_are_distances_from_the_best_of_the_front():
    table = [{"a": 1.0, "b": 2.0}, {"a": 4.0, "b": 6.0}, {"a": 8.0, "b": 10.0}, {"a": 9.0, "b": 1.0}]
    a, b = pick(result_of(table, {"a": "min", "b": "max"})).trades
    assert a == ("a", "min", 4.0, 1.0, 3.0, pytest.approx(3 / 7), 1.0)
    assert b == ("b", "max", 6.0, 10.0, 4.0, 0.5, 2.0)


def test_aim_of_weight_zero_counts_nothing():
    result = minimising([(1.0, 9.0), (4.0, 5.0), (8.0, 1.0)])
    alone = pick(result, aim={"a": 4.0})
    both = pick(result, aim={"a": 4.0, "b": 1.0}, weights={"a": 1.0, "b": 0.0})
    assert [(score, e.id) for score, e in both.ranking] == [(score, e.id) for score, e in alone.ranking]
    assert both.chosen.id == 1


def test_ties_go_to_the_earlier_evaluation():
    decision = pick(result_of([{"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}], {"a": "min", "b": "min"}))
    assert decision.chosen.id == 1 and decision.why.endswith("evaluation 2 ties with it")


def test_objectives_without_limits_count_without_a_rule():
    table = [{"a": 1.0, "b": 9.0}, {"a": 4.0, "b": 5.0}, {"a": 8.0, "b": 1.0}]
    result = result_of(table, {"a": "min", "b": "min"})
    assert pick(result).chosen.id == 2
    assert pick(result, limits={"a": {"at_most": 8}}).chosen.id == 3
    assert pick(result, limits={"a": {"at_most": 8}, "b": {"at_most": 9}}).chosen.id == 2


def test_limit_on_another_metric_admits_a_dominated_evaluation():
    table = [{"a": 1.0, "b": 1.0, "size": 9.0}, {"a": 2.0, "b": 2.0, "size": 1.0}, {"a": 3.0, "b": 2.0, "size": 1.0}]
    decision = pick(result_of(table, {"a": "min", "b": "min"}), limits={"size": {"at_most": 5}})
    assert decision.chosen.id == 2 and [t.given_up for t in decision.trades] == [1.0, 1.0]


def test_the_best_under_several_limits_in_an_order():
    table = [
        {"a": 0.97, "b": 30.0, "c": 9.0},
        {"a": 0.95, "b": 15.0, "c": 8.0},
        {"a": 0.94, "b": 10.0, "c": 2.0},
        {"a": 0.80, "b": 1.0, "c": 1.0},
    ]
    result = result_of(table, {"a": "max", "b": "min", "c": "min"})
    assert result.best_under("a", b=20).id == 2
    assert result.best_under("c", b=20, at_least={"a": 0.9}).id == 3
    assert result.best_under(b=20, c=5).configuration == {"x": 3}
    with pytest.raises(UsageError, match=r"`a` must have a lowest value, as it is maximised: at_least=\{'a'"):
        result.best_under(a=0.9)
    with pytest.raises(UsageError, match=r"`limits.d`: the problem has no metric `d`"):
        result.best_under(d=1)


def test_limits_impossible_only_together_are_named_so():
    table = [{"a": 0.9, "b": 30.0}, {"a": 0.8, "b": 18.0}, {"a": 0.7, "b": 5.0}]
    limits = {"a": {"at_least": 0.85}, "b": {"at_most": 20}}
    with pytest.raises(NoChoiceError) as error:
        pick(result_of(table, {"a": "max", "b": "min"}), limits=limits)
    words = str(error.value)
    assert "each limit can be kept, but not all of them together" in words
    assert "`a >= 0.85` is kept by none of 3 with the other limits kept: 0.8 at best (evaluation 2), 0.05 off" in words
    assert "`b <= 20` is kept by none of 3 with the other limits kept: 30 at best (evaluation 1), 10 off" in words
    assert error.value.nearest.id == 2


def test_limits_that_exclude_each_other_name_the_nearest():
    table = [{"a": 0.0, "b": 9.0, "c": 9.0}, {"a": 9.0, "b": 0.0, "c": 9.0}, {"a": 3.0, "b": 9.0, "c": 0.0}]
    with pytest.raises(NoChoiceError) as error:
        pick(result_of(table, dict.fromkeys("abc", "min")), limits={name: {"at_most": 1} for name in "abc"})
    assert str(error.value).endswith(
        "not all of them together; the nearest is evaluation 3, which misses `a <= 1` by 2 and `b <= 1` by 8"
    )


def test_a_limit_that_is_impossible_alone_is_named_alone():
    with pytest.raises(
        NoChoiceError, match=r"`b <= 2` is kept by none of 2: 5 at best \(evaluation 2\), 3 off"
    ) as error:
        limits = {"a": {"at_most": 1}, "b": {"at_most": 2}}
        pick(result_of([{"a": 1.0, "b": 9.0}, {"a": 2.0, "b": 5.0}], {"a": "min", "b": "min"}), limits=limits)
    assert "`a <= 1`" not in str(error.value)


def test_a_runs_own_limits_hold_as_well():
    table = [{"a": 1.0, "b": 9.0}, {"a": 2.0, "b": 5.0}]
    assert pick(result_of(table, {"a": "min"}, {"b": {"at_most": 6}})).chosen.id == 2
    with pytest.raises(NoChoiceError, match="`b <= 4` is kept by none"):
        pick(result_of(table, {"a": "min"}, {"b": {"at_most": 4}}))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ([], "no evaluation has ended well"),
        ([row(1, {}, "failed"), row(2, {"b": 3.0}, "infeasible")], "no evaluation has ended well"),
        ([row(1, {}, "failed"), row(3, {"a": 1}, "partial")], "full fidelity, though 1 below it ended well"),
    ],
)
def test_a_run_without_results_says_why(table, why):
    with pytest.raises(NoChoiceError, match=why):
        pick(result_of(table, {"a": "min"}))


def test_repeated_trainings_count_by_their_means():
    table = [row(1, {"a": 1.0}), row(2, {"a": 2.0}), row(3, {"a": 5.0}, replicate=1, continues=1)]
    result = result_of(table, {"a": "min"})
    assert [(e.id, e.metrics["a"]) for e in result.measured] == [(1, 3.0), (2, 2.0)]
    assert result.best_under().id == 2


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"weights": {"size": 1}}, "`weights` must name objectives, a, b, but names 'size'"),
        ({"weights": {"a": 0}}, "`weights` must be at least 0 and not all 0, but are"),
        ({"weights": {}}, "`weights` must be at least 0 and not all 0, but are"),
        ({"weights": {"a": -1}}, "`weights` must hold finite numbers of at least 0, but a is -1"),
        ({"weights": {"a": math.inf}}, "`weights` must hold finite numbers of at least 0, but a is inf"),
        ({"aim": {"a": math.nan}}, "`aim` must hold finite numbers, but a is nan"),
        ({"aim": {"a": 1}, "weights": {"b": 1}}, "`weights` must name objectives of the aim, a, but names 'b'"),
        ({"aim": {"a": 1}, "method": "weighted-sum"}, "`method` must go with weights, or be asf with an aim"),
        ({"knee": True, "order": "a"}, "there must be one rule, but there are 2: order, knee"),
        ({"order": ["a", "a"]}, "`order` must name each objective once"),
        ({"order": "size"}, "`order` must name objectives, a, b, but names 'size'"),
        ({"order": "a", "tolerances": {"b": 1}}, "`tolerances` must name objectives of `order`, a, but names 'b'"),
        ({"weights": {"a": 1}, "method": "topsis"}, "`method` must be one of weighted-sum, tchebycheff"),
        ({"limits": {"siz": {"at_most": 1}}}, "`limits.siz`: the problem has no metric `siz`; did you mean `size`"),
        ({"limits": {"test": {"at_most": 1}}}, "`limits.test`: `test` is held out"),
        ({"limits": {"a": {"under": 1}}}, "`limits.a.under`: a limit is at_most, at_least or equals"),
    ],
)
def test_wrong_rules_are_refused(arguments, fault):
    table = [{"a": 1.0, "b": 2.0, "size": 3.0, "test": 1.0}, {"a": 2.0, "b": 1.0, "size": 3.0, "test": 1.0}]
    with pytest.raises(UsageError) as error:
        pick(result_of(table, {"a": "min", "b": "min"}, test={"held_out": True}), **arguments)
    assert any(each.startswith(fault) for each in error.value.faults)


def test_limits_in_words():
    words = ["latency_ms <= 20", "latency_ms<=15", "accuracy >= 0.9", "n == 3"]
    assert parse_limits(words)[0] == {"latency_ms": {"at_most": 15}, "accuracy": {"at_least": 0.9}, "n": {"equals": 3}}
    for wrong in ("latency_ms < 20", "latency_ms <= fast", "20", ""):
        assert parse_limits([wrong])[1] == [f"`--limit` must be NAME <= NUMBER, or with >= or ==, but is {wrong!r}"]


@given(
    points(3, least=2),
    st.lists(st.tuples(*[st.floats(0, 1)] * 3).filter(lambda w: sum(w) > 0.1), min_size=5, max_size=5),
)
@settings(max_examples=25)
def test_sweep_reaches_all_that_any_weights_reach(table, many_weights):
    result = minimising(table)
    found = {reach.evaluation.id: reach for reach in sweep(result)}
    assert sorted(found) == front_of(table)[0]
    for weights in many_weights:
        chosen = pick(result, weights=dict(zip(NAMES, weights, strict=True)), method="weighted-sum").chosen
        assert found[chosen.id].weights is not None
    for key, reach in found.items():
        if reach.lead > 1e-6:
            chosen = pick(result, weights=reach.weights, method="weighted-sum").chosen
            assert chosen.metrics == found[key].evaluation.metrics


def test_the_sweep_of_a_concave_front_reaches_its_ends_only():
    table = [(x, 1 - x**2) for x in np.linspace(0, 1, 9).tolist()]
    assert [reach.weights is not None for reach in sweep(minimising(table))] == [True] + [False] * 7 + [True]
    table = [(x, 1 - x**0.5) for x in np.linspace(0, 1, 9).tolist()]
    assert all(reach.weights is not None for reach in sweep(minimising(table)))


@pytest.mark.parametrize("n_obj", [1, 2, 3, 5])
def test_the_sweep_is_drawn_for_any_number_of_objectives(n_obj, tmp_path):
    table = [{str(k): float((i * (k + 1)) % 5) for k in range(n_obj)} for i in range(6)]
    goals = Goals.declared(dict.fromkeys(table[0], "min"), {})
    result = Result(
        goals,
        dict.fromkeys(table[0], Metric()),
        [],
        {},
        evaluations=[Evaluation.of_row(row(i, m)) for i, m in enumerate(table, 1)],
    )
    sweep_figure(result, sweep(result)).savefig(tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").stat().st_size > 1000


def test_a_search_in_memory_can_be_asked_at_once():
    result = evo_moo.search("pymoo:bnh", pop_size=8, termination=("n_evals", 24), surrogate="none")
    best = result.best_under(f1=50)
    assert best.metrics["f1"] <= 50 and best.feasible
