import numpy as np
import pytest

from evo_moo.analysis.statistics.choice_effects import change_words, choice_effects
from evo_moo.evaluation.task import Outcome
from evo_moo.optimizer.candidate import Candidate
from evo_moo.problem.points import Point
from evo_moo.storage.ledger import Ledger


def effects_of(trainings, front=()):
    """What the choices of trainings, each a list of points, gained and cost: (variable, value) to the effect."""
    ledger = Ledger()
    candidates = [Candidate(i, 1, {"x": i}, np.zeros(1), "sample", ()) for i, _ in enumerate(trainings, 1)]
    ledger.record_asked((candidate, 1) for candidate in candidates)
    outcomes = [Outcome(i, "ok", {}, points=tuple(points)) for i, points in enumerate(trainings, 1)]
    ledger.record_outcomes(outcomes, lambda metrics: 0.0)
    return {(e.variable, e.value): e for e in choice_effects(ledger.evaluations(), front)}


def point(kind, share, **metrics):
    return Point({"kind": kind, "share": share}, metrics)


def test_change_is_from_the_first_point_to_the_nearest():
    trainings = [
        [point("f", 0.0, size=4.0), point("f", 0.5, size=2.0), point("i", 0.5, size=0.5), point("i", 0.0, size=1.0)],
        [point("f", 0.0, size=8.0), point("f", 0.5, size=5.0), point("i", 0.0, size=2.0)],
        [point("f", 0.0, size=2.0), point("f", 0.5, size=1.0), point("i", 0.0, size=1.0)],
    ]
    effects = effects_of(trainings, {"1.3", "1.4", "2.2"})
    assert list(effects) == [("kind", "f"), ("kind", "i"), ("share", "0"), ("share", "0.5")]
    whole, less, half = effects["kind", "f"], effects["kind", "i"], effects["share", "0.5"]
    assert (whole.n_trainings, whole.n_first, whole.changes) == (0, 3, {})
    assert (less.n_trainings, less.n_on_front, half.n_on_front) == (3, 2, 2)
    assert (less.changes["size"].median, less.changes["size"].share) == (-3.0, -0.75)
    assert (half.changes["size"].median, half.changes["size"].share) == (-2.0, -0.5)


def test_points_that_could_not_be_made_are_counted_and_left_out():
    broken = Point({"kind": "i", "share": 0.0}, fault="no such kernel")
    effects = effects_of([[point("f", 0.0, size=4.0), broken], [broken, point("f", 0.0, size=4.0)]])
    assert (effects["kind", "i"].n_not_made, effects["kind", "i"].n_trainings) == (2, 0)
    assert effects["kind", "f"].n_trainings == 0  # nothing is compared with a first point that is not there


def test_choice_under_a_condition_is_compared_as_it_is():
    points = [Point({"kind": "f"}, {"size": 4.0}), Point({"kind": "i", "bits": 4}, {"size": 1.0})]
    effects = effects_of([points])
    assert effects["bits", "4"].changes == effects["kind", "i"].changes
    assert change_words(effects["bits", "4"].changes["size"]) == "-3 (-75 %)"


def test_metric_that_was_zero_has_no_share():
    change = effects_of([[point("f", 0.0, gap=0.0), point("i", 0.0, gap=0.1)]])["kind", "i"].changes["gap"]
    assert change.share is None and change_words(change) == "+0.1" and change_words(None) == ""


@pytest.mark.parametrize("n", [3, 100])
def test_many_numbers_stand_in_ranges(n):
    values = [i / n for i in range(n)]
    effects = effects_of([[point("f", value, size=1.0 - value) for value in values]])
    words = [value for name, value in effects if name == "share"]
    assert len(words) == min(n, 5)
    assert sum(effects["share", word].n_trainings for word in words) == len(words) - 1
    assert all(effects["share", word].n_on_front == 0 for word in words)
