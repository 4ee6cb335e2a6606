import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo_moo.errors import MetricError
from evo_moo.evaluation.evaluate import evaluate_task
from evo_moo.evaluation.task import Task
from evo_moo.problem.contexts import Context
from evo_moo.problem.goals import Goals
from evo_moo.problem.learning_curve import MOST_METRICS, MOST_POINTS, Bounds, Report, TrainingStopped
from tests.integration.learning import Learning

GOALS = Goals.declared({"accuracy": "max", "latency_ms": "min"}, {})
BOUNDS = Bounds([[[-0.9, 2.0], [-0.5, 1.0]]], {1: [-0.4, 0.0], 2: [-0.1, 0.0]}, {1: [-0.3, 0.0], 2: [-0.05, 0.0]}, 4)


@given(st.integers(1, 1000), st.integers(1, 7))
def test_a_curve_is_bounded_and_holds_what_was_reported(n, step):
    report = Report()
    for epoch in range(step, n * step + 1, step):
        report(epoch, {"loss": 1 / epoch, "accuracy": epoch})
    curve = report.curve()
    assert min(n, MOST_POINTS) // 2 <= len(curve.epochs) <= MOST_POINTS
    assert curve.metrics == {"accuracy": curve.epochs, "loss": [1 / epoch for epoch in curve.epochs]}
    assert report.metrics == {"loss": 1 / (n * step), "accuracy": n * step}


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ([(0, {"a": 1})], "must be a whole number above 0, but is 0"),
        ([(1, {"a": 1}), (1, {"a": 1})], "above 1, but is 1"),
        ([(1.0, {"a": 1})], "but is 1.0"),
        ([(True, {"a": 1})], "but is True"),
        ([(1, {"a": float("nan")})], "metric `a` must be finite"),
        ([(1, {"a": 1}), (2, {"b": 1})], "must return `a`"),
        ([(1, {str(i): 1 for i in range(MOST_METRICS + 1)})], "at most 16 metrics, but has 17"),
    ],
)
def test_a_wrong_report_is_refused(calls, words):
    report = Report(Goals.declared({"a": "min"}, {}))
    with pytest.raises(MetricError, match=words):
        for epoch, metrics in calls:
            report(epoch, metrics)


def test_a_curve_leaves_out_what_has_no_number():
    report = Report(Goals.declared({"a": "min"}, {}))
    for epoch, side in enumerate((0.5, float("nan"), None, 0.25), 1):
        report(epoch, {"a": epoch, "side": side, "always": 1})
    assert report.curve().metrics == {"a": [1, 2, 3, 4], "always": [1] * 4}
    assert report.metrics == {"a": 4, "side": 0.25, "always": 1}


def test_training_stops_if_the_front_dominates_its_best_case():
    report = Report(GOALS, BOUNDS, {"latency_ms": 3.0})
    report(1, {"accuracy": 0.6})  # at best 1.0
    with pytest.raises(TrainingStopped, match=r"after epoch 2 of 4: at best accuracy 0\.8, latency_ms 3, which"):
        report(2, {"accuracy": 0.7})
    expected = {"latency_ms": 3.0, "accuracy": pytest.approx(0.75)}
    assert report.curve(stopped=True) == ([1, 2], {"accuracy": [0.6, 0.7]}, True, 2, 0.5, expected)


@pytest.mark.parametrize(
    ("bounds", "latency_ms", "accuracy"),
    [
        (None, 3.0, 0.1),
        (BOUNDS, 0.5, 0.1),  # faster than all of the front
        (BOUNDS, 2.0, 0.5),  # at best as good as a member of the front
        (BOUNDS._replace(spared=True), 3.0, 0.1),
        (BOUNDS._replace(gains={7: [0, 0]}), 3.0, 0.1),
    ],
)
def test_training_that_may_reach_the_front_goes_on(bounds, latency_ms, accuracy):
    report = Report(GOALS, bounds, {"latency_ms": latency_ms})
    report(1, {"accuracy": accuracy})
    assert (report.would_stop == 1) == (bounds is not None and bounds.spared)


def test_objectives_that_nobody_knows_yet_stop_nothing():
    Report(GOALS, BOUNDS)(2, {"accuracy": 0.0})


def test_an_evaluation_that_is_stopped_says_what_it_was():
    config, bounds = {"a": 0.9, "b": 0.5, "size": 40}, Bounds([[[0.1, 1.0]]], {2: [-0.1, 0]}, {2: [-0.05, 0]}, 5)
    task = pickle.loads(pickle.dumps(Task(1, config, 3, fidelity=5, bounds=bounds)))
    outcome = evaluate_task(Learning(), Learning().goals, task)
    assert outcome.status == "stopped" and "after epoch 2 of 5" in outcome.reason and not outcome.traceback
    assert outcome.metrics["size"] == 40 and outcome.metrics["loss"] == outcome.curve.metrics["loss"][1]
    assert outcome.curve.share_trained == 2 / 5
    assert outcome.curve.expected["loss"] == pytest.approx(outcome.metrics["loss"] - 0.05)
    whole = evaluate_task(Learning(), Learning().goals, task._replace(bounds=None))
    assert whole.status == "ok" and whole.curve.epochs == [1, 2, 3, 4, 5]
    assert whole.curve.metrics["loss"][:2] == outcome.curve.metrics["loss"]


def test_training_goes_on_while_a_context_is_in_reach():
    contexts = [Context("cpu"), Context("phone")]
    goals = Goals.declared({"accuracy": "max", "ms": "min"}, {}, contexts, ["ms"])
    bounds = Bounds([[[-0.9, 2.0]], [[-0.9, 5.0]]], {1: [-0.1, 0.0, 0.0]}, {1: [-0.05, 0.0, 0.0]}, 4)
    report = Report(goals, bounds, {"ms@cpu": 3.0, "ms@phone": 4.0})
    report(1, {"accuracy": 0.7})
    assert report.would_stop is None
    with pytest.raises(TrainingStopped, match="which the front of each context dominates"):
        Report(goals, bounds, {"ms@cpu": 3.0, "ms@phone": 6.0})(1, {"accuracy": 0.7})
