import numpy as np
import pytest

from evo_moo.optimizer.candidate import Candidate
from evo_moo.problem.contexts import Context
from evo_moo.problem.goals import Goals
from evo_moo.problem.learning_curve import LearningCurve
from evo_moo.run.early_stopping import MEMORY, N_SCALING, EarlyStopping, largest_gain
from tests.benchmarks.bench_early_stopping import lost_shares

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


@pytest.mark.parametrize(("n", "risk"), [(10, 0.2), (21, 0.07)])
def test_a_new_curve_leaves_the_band_no_more_often_than_the_risk(n, risk):
    rng, beyond, repeats = np.random.default_rng(3), 0, 300
    for _ in range(repeats):
        _, bounds = with_curves(n, rng, risk)
        losses, _ = drawn(rng)
        gains = bounds.gains if bounds else {}  # after bad luck nothing is stopped for a while
        beyond += any(losses[-1] - losses[e - 1] < gains[e][0] for e in gains)
    assert beyond / repeats < risk + 3 * (risk / repeats) ** 0.5
    assert beyond > 0


@pytest.mark.parametrize("risk", [0.05, 0.2, 0.5])
def test_judging_starts_with_enough_curves_for_the_risk(risk):
    decay = 1 - risk / MEMORY  # weights 1, decay, and so on must sum to the odds of staying within
    least = N_SCALING + next(n for n in range(1, 99) if (1 - decay**n) / (1 - decay) >= (1 - risk) / risk)
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
    assert sorted(stopping.bounds(22).fronts[0]) == [
        [0.5, 3.0],
        [1.0, 2.0],
    ]  # 3 with its replicate 21, and others


def test_curves_that_were_judged_count_when_they_ended():
    rng = np.random.default_rng(1)
    stopping, before = with_curves(12, rng)
    stopping.take(13, {"loss": -99.0, "size": 1.0}, curve_of([5, 5, 5, 5, 5, -99.0], judged=True))
    stopping.refresh()
    stopping.ask(asked(14))
    assert stopping.bounds(14) is None or stopping.bounds(14).gains[1][0] < before.gains[1][0]


def alike(n, rng, most=1.0):
    return rng.uniform(0, most, n)


def test_a_spared_curve_counts_for_those_that_were_stopped():
    rng = np.random.default_rng(1)
    gains, never = alike(60, rng), [False] * 60
    gains[10] = 5.0
    once, tenfold = np.ones(60), np.where(gains == 5.0, 10.0, 1.0)
    assert largest_gain(gains, once, never, 0.1) <= 1 < 5 == largest_gain(gains, tenfold, never, 0.1)


def test_recent_curves_weigh_more():
    rng = np.random.default_rng(2)
    small, large = alike(100, rng), alike(10, rng) + 1
    late, early = (np.concatenate(parts) for parts in ((small, large), (large, small)))
    count, never = np.ones(110), [False] * 110
    assert largest_gain(early, count, never, 0.1) < largest_gain(late, count, never, 0.1)


def test_stopping_is_suspended_while_curves_gain_too_much():
    rng = np.random.default_rng(3)
    drifting = np.concatenate([alike(40, rng), 2.0 ** np.arange(1, 9)])
    assert largest_gain(drifting, np.ones(48), [False] * 48, 0.1) == np.inf
    settled = np.concatenate([drifting, alike(60, rng)])
    assert largest_gain(settled, np.ones(108), [False] * 108, 0.1) < np.inf
    # Where these reached the front, of which the loss would count, it takes longer.
    assert largest_gain(settled[:90], np.ones(90), [False] * 40 + [True] * 8 + [False] * 42, 0.1) == np.inf


@pytest.mark.slow
@pytest.mark.parametrize("drift", ["slow", "strong"])
def test_under_drift_no_more_is_lost_of_the_front_than_the_risk(drift):
    each, lost = lost_shares(drift, range(3), n=250)
    assert lost <= 0.05 and sum(one.reached_front for one in each) > 60
    assert sum(one.saved for one in each) > 0


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


def test_judged_by_the_front_of_each_context_once_all_have_one():
    contexts = [Context("cpu"), Context("phone")]
    goals = Goals.declared({"loss": "min", "ms": "min"}, {"ms": {"at_most": 3}}, contexts, ["ms"])
    stopping = EarlyStopping(goals, [6], ["ms@cpu", "ms@phone"], 0.5, 1)
    for key in range(1, 21):
        stopping.ask(asked(key))
        metrics = {"loss": 1.0 + key % 3, "ms@cpu": float(key % 3), "ms@phone": 4.0}
        stopping.take(key, metrics, curve_of(np.linspace(5, 1 + key % 3, 6)))
    stopping.ask(asked(21))
    assert stopping.bounds(21) is None
    stopping.take(21, {"loss": 2.5, "ms@cpu": 9.0, "ms@phone": 1.0}, curve_of(np.linspace(5, 2.5, 6)))
    stopping.refresh()
    stopping.ask(asked(22))
    assert [np.unique(F, axis=0).tolist() for F in stopping.bounds(22).fronts] == [[[1.0, 0.0]], [[2.5, 1.0]]]
