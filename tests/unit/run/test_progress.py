"""What a search says of itself while it goes on."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from evo_moo.evaluation.task import Outcome
from evo_moo.job.budget import Budget
from evo_moo.problem.goals import Goals
from evo_moo.run.progress import Progress, ShownProgress

GOALS = Goals.declared({"error": "min", "speed": "max"}, {"size": {"at_most": 5}})


def ended(key, error, speed, size=1.0, status="ok"):
    return Outcome(key, status, {"error": error, "speed": speed, "size": size} if status == "ok" else {})


def before(outcomes, generation=1):
    """What a ledger would give of these."""
    return [SimpleNamespace(**outcome._asdict(), generation=generation) for outcome in outcomes]


def hypervolume_in(progress):
    (words,) = [words for words in progress.summary().split(", ") if words.startswith("hypervolume")]
    return float(words.removeprefix("hypervolume "))


def test_failures_are_counted_and_the_best_feasible_values_kept():
    progress = Progress(GOALS)
    progress.evaluated([ended(1, 0.5, 10.0), ended(2, 0.1, 99.0, size=9.0), ended(3, 0, 0, status="failed")])
    assert progress.summary() == "3 evaluated, 1 failed, best error 0.5, best speed 10"
    progress.evaluated([ended(4, 0.4, 8.0)])
    assert progress.summary() == "4 evaluated, 1 failed, best error 0.4, best speed 10"


def test_progress_counts_earlier_evaluations():
    progress = Progress(GOALS, before([ended(1, 0.5, 10.0), ended(2, 0, 0, status="crashed")]))
    assert progress.n_done == 2
    assert progress.summary() == "2 evaluated, 1 failed, best error 0.5, best speed 10"


def test_hypervolume_is_of_the_first_generation_and_only_grows():
    progress = ShownProgress(GOALS)
    progress.evaluated([ended(1, 1.0, 0.0), ended(2, 0.0, 1.0)])
    assert "hypervolume" not in progress.summary()
    progress.generation_ended(1, 2)
    assert "hypervolume 1.21" in progress.summary()
    volumes, rng = [], np.random.default_rng(1)
    for key in range(3, 40):
        progress.evaluated([ended(key, *rng.normal(0, 2, 2))])
        volumes.append(hypervolume_in(progress))
    assert volumes == sorted(volumes) and volumes[-1] > 1.21


def test_a_run_that_goes_on_measures_the_hypervolume_as_before():
    rng = np.random.default_rng(2)
    first, second, third = ([ended(i, *rng.normal(0, 2, 2)) for i in range(5)] for _ in range(3))
    whole = ShownProgress(GOALS)
    for outcome in first:
        whole.evaluated([outcome])
    whole.generation_ended(1, 5)
    whole.evaluated([*second, *third])
    resumed = ShownProgress(GOALS, [*before(first), *before(second, 2)])
    assert hypervolume_in(resumed) > 0
    resumed.evaluated(third)
    assert hypervolume_in(resumed) == hypervolume_in(whole)
    assert "hypervolume" not in ShownProgress(GOALS, before(first)).summary()


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self, monkeypatch):
        self.now_s = 1000.0
        monkeypatch.setattr("evo_moo.run.progress.time", SimpleNamespace(monotonic=lambda: self.now_s))


@pytest.mark.parametrize(
    ("budget", "left_s"),
    [
        (Budget(n_evals=20), 40.0),  # 4 in 10 s, so 16 in 40 s
        (Budget(n_gen=3), 20.0),  # 4 in a generation
        (Budget(time_s=100.0), 60.0),  # 30 s of it before
        (Budget(n_evals=20, n_gen=3, time_s=100.0), 20.0),
        (Budget(n_evals=20, time_s=41.0), 1.0),
        (Budget(n_evals=4), 0.0),
        (Budget(), math.inf),
    ],
)
def test_the_end_is_expected_at_the_first_limit(monkeypatch, budget, left_s):
    clock = Clock(monkeypatch)
    progress = Progress(GOALS, (), budget, elapsed_s=30.0)
    assert progress.left_s == (math.inf if budget.time_s is None else budget.time_s - 30)
    clock.now_s += 10
    progress.evaluated([ended(i, 1.0, 1.0) for i in range(4)])
    progress.generation_ended(1, 4)
    assert progress.left_s == pytest.approx(left_s)
    clock.now_s += 5
    assert progress.left_s == pytest.approx(max(0, left_s - 5))


def test_pace_ignores_earlier_evaluations(monkeypatch):
    clock = Clock(monkeypatch)
    progress = Progress(GOALS, before([ended(i, 1.0, 1.0) for i in range(10)]), Budget(n_evals=20))
    assert progress.left_s == math.inf
    clock.now_s += 3
    progress.evaluated([ended(11, 1.0, 1.0)])
    assert progress.left_s == pytest.approx(27)
    assert progress.summary().startswith("11 of 20 evaluated, ")


def test_a_long_generation_logs_a_line_a_minute(monkeypatch, caplog):
    clock, lines = Clock(monkeypatch), []
    progress = Progress(GOALS, (), Budget(n_evals=100))
    with caplog.at_level("INFO", "evo_moo"):
        for i in range(10):
            clock.now_s += 25
            progress.evaluated([ended(i, 0.5, 1.0)])
            lines.append(len(caplog.messages))
    assert lines == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    assert caplog.messages[0] == "so far: 3 of 100 evaluated, best error 0.5, best speed 1, about 0:40:25 left"


def test_hypervolume_of_many_objectives_is_left_out():
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
