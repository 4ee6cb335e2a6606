"""What a search says of itself while it goes on."""

import io
import logging
import math
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from evo_moo.analysis.fronts.first_boxes import fixed_boxes
from evo_moo.evaluation.task import Outcome
from evo_moo.job.budget import Budget
from evo_moo.optimizer.candidate import Candidate
from evo_moo.problem.contexts import Context
from evo_moo.problem.goals import Goals
from evo_moo.run.progress import Progress, is_notebook, shown_progress
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.run_boxes import box_in_words, boxes_to_json

GOALS = Goals.declared({"error": "min", "speed": "max"}, {"size": {"at_most": 5}})


def ended(key, error, speed, size=1.0, status="ok"):
    return Outcome(key, status, {"error": error, "speed": speed, "size": size} if status == "ok" else {})


def before(outcomes, generation=1):
    """What a ledger would give of these."""
    fields = [{**outcome._asdict(), "offered": outcome.offered} for outcome in outcomes]
    return [SimpleNamespace(**each, generation=generation) for each in fields]


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


def recorded(ledger, outcomes, generation):
    """Record evaluations, and that their generation has ended."""
    candidates = [(Candidate(o.id, generation, {"x": o.id}, np.array([float(o.id)])), 1) for o in outcomes]
    ledger.record_asked(candidates)
    ledger.record_outcomes(outcomes, GOALS.violation)
    ledger.record_generation(generation, outcomes[-1].id, [], [])
    if any(boxes := fixed_boxes(ledger, GOALS)):
        ledger.set_meta(hypervolume_box=boxes_to_json(boxes, GOALS))


def test_the_hypervolume_is_a_share_of_the_first_generations_box():
    ledger = Ledger(None)
    progress = Progress(GOALS, ledger=ledger)
    first = [ended(1, 1.0, 0.0), ended(2, 0.0, 1.0), ended(3, 0.5, 9.0, size=9.0)]
    progress.evaluated(first)
    assert "hypervolume" not in progress.summary()
    recorded(ledger, first, 1)
    progress.generation_ended(1, 3)
    # From error 0 to 1.1, from speed 1 to -0.1; of the box the two points leave 0.1 + 1 squared above.
    share = (1.1 * 0.1 + 0.1 * 1.1 - 0.01 + 1.0) / 1.21
    assert f"hypervolume {share:.4g} of the first generation's box" in progress.summary()
    progress.evaluated([ended(4, 0.0, 2.2)])
    assert f"hypervolume {2.3 / 1.1:.4g} of the first generation's box" in progress.summary()


def test_hypervolume_of_a_run_that_goes_on_is_that_of_its_ledger():
    rng, ledger = np.random.default_rng(2), Ledger(None)
    parts = [[ended(5 * g + i + 1, *rng.normal(0, 2, 2).tolist()) for i in range(5)] for g in range(3)]
    whole = Progress(GOALS, ledger=ledger)
    for generation, outcomes in enumerate(parts, 1):
        for outcome in outcomes:
            whole.evaluated([outcome])
        recorded(ledger, outcomes, generation)
        whole.generation_ended(generation, outcomes[-1].id)
        resumed = Progress(GOALS, before([o for part in parts[:generation] for o in part]), ledger=ledger)
        assert resumed.summary() == whole.summary() and "hypervolume" in whole.summary()


def test_the_box_waits_for_two_feasible_points_that_differ():
    ledger = Ledger(None)
    recorded(ledger, [ended(1, 1.0, 1.0), ended(2, 5.0, 5.0, size=6.0), ended(3, 1.0, 1.0)], 1)
    assert fixed_boxes(ledger, GOALS) == (None,)
    recorded(ledger, [ended(4, 2.0, 1.0), ended(5, 0, 0, status="failed")], 2)
    (box,) = fixed_boxes(ledger, GOALS)
    assert box.generation == 2 and box_in_words(box) == "the box of the first 2 generations"
    assert box.best.tolist() == [1.0, -1.0] and box.ref.tolist() == pytest.approx([2.1, -0.9])
    recorded(ledger, [ended(6, -9.0, 99.0)], 3)
    assert fixed_boxes(ledger, GOALS)[0].ref.tolist() == box.ref.tolist()


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


def test_lines_come_soon_and_then_up_to_a_minute_apart(monkeypatch, caplog):
    clock, at_s = Clock(monkeypatch), []
    progress = Progress(GOALS, (), Budget(n_evals=100))
    progress.submitted(2)
    with caplog.at_level("INFO", "evo_moo"):
        for second in range(300):
            clock.now_s += 1
            if second == 100:
                progress.evaluated([ended(1, 0.5, 1.0)])
            n = len(caplog.messages)
            progress.recorded()
            at_s += [second + 1] * (len(caplog.messages) - n)
    assert at_s == [6, 17, 38, 79, 140, 201, 262]
    assert caplog.messages[0] == "2 running: 0 of 100 evaluated"
    assert caplog.messages[4].startswith(
        "1 running: 1 of 100 evaluated, best error 0.5, best speed 1, about 2:46:00 left"
    )


def test_lines_come_while_an_evaluation_runs_in_this_process(monkeypatch, caplog):
    monkeypatch.setattr("evo_moo.run.progress.FIRST_LINE_S", 0.0)
    is_said = threading.Event()
    monkeypatch.setattr(logging.StreamHandler, "emit", lambda self, record: is_said.set())
    monkeypatch.setattr("sys.stderr", io.StringIO())
    pool = SimpleNamespace(in_process=True)
    with caplog.at_level("INFO", "evo_moo"), shown_progress(GOALS, Budget(), (), 0.0, pool, True) as progress:
        progress.submitted(1)
        assert is_said.wait(600)
    assert caplog.messages[0] == "1 running: 0 evaluated"


def test_a_notebook_shows_a_bar_in_one_place(monkeypatch):
    clock, drawn = Clock(monkeypatch), []

    def display(data, raw, display_id=None):
        assert raw
        drawn.append(data)
        return SimpleNamespace(update=display)

    shell = SimpleNamespace(kernel=object())
    notebook = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    pool = SimpleNamespace(in_process=False, is_immediate=False, running=1, n_workers=2)
    with shown_progress(GOALS, Budget(n_evals=4), (), 0.0, pool, True) as progress:
        progress.submitted(2)
        clock.now_s += 10
        progress.evaluated([ended(1, 0.5, 10.0)])
        progress.recorded()  # at once: nothing is drawn anew
    assert [data["text/plain"] for data in drawn] == [
        "1 of 2 workers busy, 0 of 4 evaluated",
        *["0:00:30 left, 1 of 2 workers busy, 1 of 4 evaluated, best error 0.5, best speed 10"] * 2,
    ]
    assert [data["text/html"].partition("> ")[0] for data in drawn] == [
        "<progress></progress",
        *['<progress value="0.2500"></progress'] * 2,
    ]
    monkeypatch.setattr(shell, "kernel", None)
    assert not is_notebook()


def test_hypervolume_of_many_objectives_is_left_out():
    goals = Goals.declared({f"f{i}": "min" for i in range(6)}, {})
    progress = Progress(goals, ledger=Ledger(None))
    progress.evaluated([Outcome(1, "ok", {f"f{i}": 1.0 for i in range(6)})])
    progress.generation_ended(1, 1)
    assert "hypervolume" not in progress.summary()


@pytest.mark.parametrize("ledger", [None, Ledger(None)])
def test_nothing_feasible_is_no_error(ledger):
    progress = Progress(GOALS, ledger=ledger)
    progress.evaluated([ended(1, 1.0, 1.0, size=9.0)])
    progress.generation_ended(1, 1)
    assert progress.summary() == "1 evaluated"


def test_the_hypervolume_of_contexts_is_their_mean():
    contexts = [Context("cpu"), Context("phone")]
    goals = Goals.declared({"error": "min", "ms": "min"}, {"ms": {"at_most": 9}}, contexts, ["ms"])
    boxes = {"cpu": {"generation": 1, "best": [0.0, 0.0], "ref": [10.0, 10.0]}}
    ledger = Ledger(None)
    ledger.set_meta(goals=goals.to_json(), hypervolume_box={"contexts": boxes})
    progress = Progress(goals, ledger=ledger)
    progress.evaluated([Outcome(1, "ok", {"error": 5.0, "ms@cpu": 5.0, "ms@phone": 99.0})])
    assert "hypervolume 0.125 of the first generation's boxes of 2 contexts, on average" in progress.summary()
    assert progress.best == {"error": 5.0, "ms@cpu": 5.0}, "nothing keeps the limits on the phone"
    boxes["phone"] = boxes["cpu"] | {"generation": 2}
    ledger.set_meta(hypervolume_box={"contexts": boxes})
    progress.evaluated([Outcome(2, "ok", {"error": 5.0, "ms@cpu": 99.0, "ms@phone": 9.0})])
    progress.generation_ended(2, 2)
    assert f"hypervolume {(0.25 + 0.05) / 2:.4g} of the boxes of 2 contexts" in progress.summary()
