import numpy as np
import pytest

from evo_moo.optimizer.candidate import Candidate
from evo_moo.problem.goals import Goals
from evo_moo.problem.learning_curve import LearningCurve
from evo_moo.run.early_stopping import N_SCALING, EarlyStopping

GOALS = Goals.declared({"loss": "min", "size": "min"}, {})
EPOCHS = list(range(1, 7))


def curve_of(losses, judged=False):
    return LearningCurve(EPOCHS[: len(losses)], {"loss": list(losses)}, judged)


def asked(key, fidelity=6, continues=None, replicate=0):
    return Candidate(key, 1, {}, np.zeros(2), fidelity=fidelity, continues=continues, replicate=replicate)


def drawn(rng):
    """A curve with noise that depends on its past, and a size."""
    falls = rng.exponential(rng.exponential(1.0) / np.arange(1, 7))
    return (rng.normal() - np.cumsum(falls)).tolist(), float(rng.integers(1, 9))


def with_curves(n, rng, risk=0.2):
    stopping = EarlyStopping(GOALS, [6], ["size"], risk, 1)
    for key in range(1, n + 1):
        losses, size = drawn(rng)
        stopping.ask(asked(key))
        stopping.take(key, {"loss": losses[-1], "size": size}, curve_of(losses))
    stopping.ask(asked(n + 1))
    return stopping, stopping.bounds(n + 1)


@pytest.mark.parametrize(("n", "risk"), [(9, 0.2), (19, 0.07)])
def test_a_new_curve_leaves_the_band_no_more_often_than_the_risk(n, risk):
    rng, beyond, repeats = np.random.default_rng(3), 0, 300
    for _ in range(repeats):
        _, bounds = with_curves(n, rng, risk)
        losses, _ = drawn(rng)
        beyond += any(losses[-1] - losses[e - 1] < bounds.gains[e][0] for e in bounds.gains)
    assert beyond / repeats < risk + 3 * (risk / repeats) ** 0.5
    assert beyond > 0


@pytest.mark.parametrize("risk", [0.05, 0.2, 0.5])
def test_judging_starts_with_enough_curves_for_the_risk(risk):
    least = N_SCALING + round(1 / risk) - 1
    rng = np.random.default_rng(1)
    assert with_curves(least - 1, rng, risk)[1] is None
    assert with_curves(least, rng, risk)[1] is not None


def test_judged_by_the_front_of_what_keeps_the_limits():
    goals = Goals.declared({"loss": "min", "size": "min"}, {"size": {"at_least": 2}})
    stopping = EarlyStopping(goals, [6], ["size"], 0.5, 1)
    for key in range(1, 21):
        stopping.ask(asked(key))
        stopping.take(key, {"loss": 1.0 + key % 3, "size": key % 5}, curve_of(np.linspace(5, 1 + key % 3, 6)))
    stopping.ask(asked(21, continues=3, replicate=1))
    stopping.take(21, {"loss": 0.0, "size": 3.0}, None)
    stopping.ask(asked(22))
    assert sorted(stopping.bounds(22).front) == [
        [0.5, 3.0],
        [1.0, 2.0],
    ]  # 3 with its replicate 21, and others


def test_only_curves_that_could_not_have_been_stopped_count():
    """Else the slow starters, which are stopped, would be missing among them."""
    rng = np.random.default_rng(1)
    stopping, before = with_curves(12, rng)
    stopping.take(13, {"loss": -99.0, "size": 1.0}, curve_of([5, 5, 5, 5, 5, -99.0], judged=True))
    stopping.refresh()
    stopping.ask(asked(14))
    after = stopping.bounds(14)
    assert after.gains == before.gains and after.front != before.front
    stopping.take(13, {"loss": -99.0, "size": 1.0}, curve_of([5, 5, 5, 5, 5, -99.0]))
    stopping.refresh()
    assert stopping.bounds(14).gains[1][0] < before.gains[1][0]


def test_objective_without_reports_stops_nothing():
    stopping = EarlyStopping(GOALS, [6], [], 0.5, 1)
    for key in range(1, 30):
        stopping.ask(asked(key))
        stopping.take(key, {"loss": 1.0, "size": 1.0}, curve_of(range(6)))
    assert stopping.bounds(5) is None


def test_rungs_are_judged_by_full_climbs_and_a_tenth_is_spared():
    stopping, rng = EarlyStopping(GOALS, [3, 6], ["size"], 0.5, 1), np.random.default_rng(2)
    for key in range(1, 401, 2):
        losses, size = drawn(rng)
        stopping.ask(asked(key, 3))
        stopping.ask(asked(key + 1, continues=key))
        if key < 40:
            stopping.take(key, {"loss": losses[2], "size": size}, curve_of(losses[:3]))
            stopping.take(key + 1, {"loss": losses[-1], "size": size}, curve_of(losses))
    assert set(stopping.bounds(101).gains) == {1, 2} and set(stopping.bounds(102).gains) == set(EPOCHS[:-1])
    spared = [key for key in range(41, 401, 2) if stopping.bounds(key).spared]
    assert 5 <= len(spared) <= 40
    assert [key + 1 for key in spared] == [key for key in range(42, 402, 2) if stopping.bounds(key).spared]
