import pytest

from evo_moo.optimizer.ladder import Climbs, Step
from evo_moo.optimizer.rungs import MIN_PAIRS
from evo_moo.problem.goals import Goals

GOALS = Goals.declared({"loss": "min", "size": "min"}, {})


def climbs_of(n, full):
    """As many climbed both rungs, the last one only the lowest."""
    climbs = Climbs(GOALS, [2, 6], {"size"}, continues=True)
    for candidate in range(1, n + 2):
        climbs.enter(Step(candidate, 0, 0, 0))
        climbs.take(len(climbs.steps), {"loss": float(candidate), "size": 3.0 * candidate})
    for candidate in range(1, n + 1):
        climbs.enter(Step(candidate, 1, 0, candidate))
        climbs.take(len(climbs.steps), {"loss": full(candidate), "size": 3.0 * candidate})
    return climbs


def test_estimate_follows_a_line_through_the_finished_ones():
    climbs = climbs_of(MIN_PAIRS, lambda loss: 0.5 * loss - 1 if loss != 3 else 99.0)
    expected = climbs.estimate(MIN_PAIRS + 1)
    assert expected == {"loss": pytest.approx(0.5 * (MIN_PAIRS + 1) - 1, abs=0.6), "size": 3.0 * (MIN_PAIRS + 1)}


def test_estimate_of_each_rung_follows_a_line_of_its_own():
    climbs = Climbs(GOALS, [1, 3, 9], {"size"}, continues=True)
    above = [100.0, 10.0, 0.0]

    def climb(candidate, top):
        source = 0
        for rung in range(top + 1):
            climbs.enter(Step(candidate, rung, 0, source))
            source = len(climbs.steps)
            climbs.take(source, {"loss": above[rung] + candidate, "size": 1.0})
        return source

    for candidate in range(1, MIN_PAIRS + 1):
        climb(candidate, top=2)
    for candidate, top in ((MIN_PAIRS + 1, 0), (MIN_PAIRS + 2, 1), (MIN_PAIRS + 3, 0)):
        assert climbs.estimate(climb(candidate, top))["loss"] == pytest.approx(candidate)


@pytest.mark.parametrize("n", [0, 1, MIN_PAIRS - 1])
def test_few_are_no_line_but_a_usual_change(n):
    climbs = climbs_of(n, lambda loss: loss - 1)
    assert climbs.estimate(n + 1) == {"loss": n + 1 - (n > 0), "size": 3.0 * (n + 1)}


def test_stopped_training_gives_back_its_unused_cost():
    climbs = climbs_of(3, float)
    assert climbs.units == 4 * 2 + 3 * 4
    climbs.enter(Step(4, 1, 0, 4))
    climbs.stop(8, {"loss": 7.0, "size": 12.0}, 0.25)
    assert climbs.units == 4 * 2 + 3 * 4 + 1
    assert climbs.estimate(8) == {"loss": 7.0, "size": 12.0}
    assert climbs.stopped_on(1) == [8] and 8 not in climbs.seen[1] and climbs.awaited() == []
    again = Climbs(GOALS, [2, 6], {"size"}, continues=True)
    again.load(climbs.dump(with_results=True))
    assert (again.units, again.stopped, again.results, again.seen) == (
        climbs.units,
        climbs.stopped,
        climbs.results,
        climbs.seen,
    )
