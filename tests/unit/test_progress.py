"""What a search says of itself while it goes on."""

import numpy as np
import pytest

from evo_moo.evaluation import Outcome
from evo_moo.goals import Goals
from evo_moo.progress import Progress, ShownProgress

GOALS = Goals.declared({"error": "min", "speed": "max"}, {"size": {"at_most": 5}})


def ended(key, error, speed, size=1.0, status="ok"):
    return Outcome(key, status, {"error": error, "speed": speed, "size": size} if status == "ok" else {})


def test_failures_are_counted_and_the_best_feasible_values_kept():
    progress = Progress(GOALS)
    progress.submitted(4)
    progress.evaluated([ended(1, 0.5, 10.0), ended(2, 0.1, 99.0, size=9.0), ended(3, 0, 0, status="failed")])
    assert progress.summary() == "3 evaluated, 1 failed, best error 0.5, best speed 10"
    assert progress.n_submitted - progress.n_done == 1
    progress.evaluated([ended(4, 0.4, 8.0)])
    assert progress.summary() == "4 evaluated, 1 failed, best error 0.4, best speed 10"


def test_what_ended_before_counts():
    progress = Progress(GOALS, [ended(1, 0.5, 10.0), ended(2, 0, 0, status="crashed")])
    assert (progress.n_done, progress.n_submitted) == (2, 2)
    assert progress.summary() == "2 evaluated, 1 failed, best error 0.5, best speed 10"


def test_the_hypervolume_is_measured_from_the_worst_of_the_first_generation_and_only_grows():
    progress = ShownProgress(GOALS)
    progress.evaluated([ended(1, 1.0, 0.0), ended(2, 0.0, 1.0)])
    assert "hypervolume" not in progress.summary()
    progress.generation_ended(1, 2)
    assert "hypervolume 1.21" in progress.summary()
    volumes, rng = [], np.random.default_rng(1)
    for key in range(3, 40):
        progress.evaluated([ended(key, *rng.normal(0, 2, 2))])
        volumes.append(float(progress.summary().rpartition(" ")[2]))
    assert volumes == sorted(volumes) and volumes[-1] > 1.21


def test_with_many_objectives_the_hypervolume_is_left_out():
    goals = Goals.declared({f"f{i}": "min" for i in range(6)}, {})
    progress = ShownProgress(goals)
    progress.evaluated([Outcome(1, "ok", {f"f{i}": 1.0 for i in range(6)})])
    progress.generation_ended(1, 1)
    assert "hypervolume" not in progress.summary()


@pytest.mark.parametrize("kind", [Progress, ShownProgress])
def test_nothing_feasible_is_no_error(kind):
    progress = kind(GOALS)
    progress.evaluated([ended(1, 1.0, 1.0, size=9.0)])
    progress.generation_ended(1, 1)
    assert progress.summary() == "1 evaluated"
