import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo_moo.pareto import Box, pareto_rows
from evo_moo.problem.contexts import Context
from evo_moo.problem.fronts import Fronts, mean_share, true_fronts
from evo_moo.problem.goals import Goals

CONTEXTS = [Context("cpu", 3.0), Context("phone", 1.0)]
GOALS = Goals.declared({"error": "min", "ms": "min"}, {"ms": {"at_most": 8}}, CONTEXTS, ["ms"])
ROWS = st.lists(st.tuples(*[st.integers(0, 12).map(float)] * 3), max_size=12)


def metrics_of(rows):
    return [{"error": error, "ms@cpu": cpu, "ms@phone": phone} for error, cpu, phone in rows]


@given(ROWS, st.integers(0, 12))
@settings(max_examples=50)
def test_fronts_grow_to_those_of_all_rows(rows, n_first):
    metrics, fronts = metrics_of(rows), Fronts(GOALS)
    fronts.add(metrics[:n_first])
    fronts.add(metrics[n_first:])
    for view, F in zip(GOALS.views, fronts.F, strict=True):
        kept = view.F([each for each in metrics if not view.violation(each)])
        assert np.array_equal(np.unique(F, axis=0), np.unique(kept[pareto_rows(kept, np.zeros(len(kept)))], axis=0))


def test_the_share_is_the_weighted_mean_over_contexts():
    fronts, box = Fronts(GOALS), Box(np.zeros(2), np.array([10.0, 10.0]))
    fronts.add(metrics_of([(5.0, 5.0, 9.0), (9.0, 9.0, 5.0)]))
    assert fronts.share([box, box]) == pytest.approx(0.75 * 0.25 + 0.25 * 0.05)
    assert fronts.share([box, None]) == pytest.approx(0.75 * 0.25) and fronts.share([None, None]) == 0


def test_one_front_has_the_share_of_its_box():
    goals = Goals.declared({"error": "min", "ms": "min"}, {})
    F, box = np.array([[1 / 3, 2 / 7]]), Box(np.zeros(2), np.ones(2))
    assert mean_share(goals, [box], [F]) == box.share(F)


class Known:
    """Knows the front in one of its contexts."""

    def name(self):
        return "known"

    def pareto_front(self, goals):
        return [[1.0, 2.0]] if goals == GOALS.within("phone") else None


def test_true_fronts_are_those_of_each_context():
    assert true_fronts(Known(), GOALS) == {"phone": [[1.0, 2.0]]}
    assert true_fronts(Known(), GOALS.within("cpu")) is None
    assert true_fronts(Known(), GOALS.within("phone")) == [[1.0, 2.0]]
