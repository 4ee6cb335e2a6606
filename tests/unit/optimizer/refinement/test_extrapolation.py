import pytest

from evo_moo.optimizer.refinement.extrapolation import Extrapolation
from evo_moo.optimizer.refinement.ladder import Ladder, Step
from evo_moo.optimizer.refinement.rungs import MIN_PAIRS
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import numbered

GOALS = Goals.declared({"loss": "min", "size": "min"}, {})


def expected(ladder, candidate):
    """The metrics that are expected of a candidate, which has no points."""
    return Extrapolation(ladder).expected(candidate)[0].metrics


def ladder_of(n, full):
    """Return a ladder on which n candidates reached the top, and one more only the lowest rung."""
    ladder = Ladder(GOALS, [2, 6], {"size"}, continues=True)
    for candidate in range(1, n + 2):
        ladder.end(ladder.begin(Step(candidate)), numbered((), {"loss": float(candidate), "size": 3.0 * candidate}))
    for candidate in range(1, n + 1):
        key = ladder.begin(Step(candidate, 1, 0, candidate))
        ladder.end(key, numbered((), {"loss": full(candidate), "size": 3.0 * candidate}))
    return ladder


def test_estimate_follows_a_line_through_the_finished_ones():
    ladder = ladder_of(MIN_PAIRS, lambda loss: 0.5 * loss - 1 if loss != 3 else 99.0)
    assert expected(ladder, MIN_PAIRS + 1) == {
        "loss": pytest.approx(0.5 * (MIN_PAIRS + 1) - 1, abs=0.6),
        "size": 3.0 * (MIN_PAIRS + 1),
    }


def test_estimate_of_each_rung_follows_a_line_of_its_own():
    ladder = Ladder(GOALS, [1, 3, 9], {"size"}, continues=True)
    above = [100.0, 10.0, 0.0]

    def climb(candidate, top):
        source = 0
        for rung in range(top + 1):
            source = ladder.begin(Step(candidate, rung, 0, source))
            ladder.end(source, numbered((), {"loss": above[rung] + candidate, "size": 1.0}))

    for candidate in range(1, MIN_PAIRS + 1):
        climb(candidate, top=2)
    for candidate, top in ((MIN_PAIRS + 1, 0), (MIN_PAIRS + 2, 1), (MIN_PAIRS + 3, 0)):
        climb(candidate, top)
        assert expected(ladder, candidate)["loss"] == pytest.approx(candidate)


@pytest.mark.parametrize("n", [0, 1, MIN_PAIRS - 1])
def test_few_are_no_line_but_a_usual_change(n):
    ladder = ladder_of(n, lambda loss: loss - 1)
    assert expected(ladder, n + 1) == {"loss": n + 1 - (n > 0), "size": 3.0 * (n + 1)}


def test_stopped_training_is_expected_to_end_as_its_curve_says():
    ladder = ladder_of(MIN_PAIRS, float)
    ladder.stop(ladder.begin(Step(MIN_PAIRS + 1, 1, 0, MIN_PAIRS + 1)), {"loss": 7.0, "size": 12.0}, 0.25)
    assert expected(ladder, MIN_PAIRS + 1) == {"loss": 7.0, "size": 12.0}


def ladder_from(low, full):
    """Return a ladder on which pairs reached the top, and one more candidate shows 1.5 on the lowest rung."""
    ladder = Ladder(GOALS, [2, 6], {"size"}, continues=True)
    for candidate, (below, above) in enumerate(zip(low, full, strict=True), 1):
        source = ladder.begin(Step(candidate))
        ladder.end(source, numbered((), {"loss": below, "size": 1.0}))
        ladder.end(ladder.begin(Step(candidate, 1, 0, source)), numbered((), {"loss": above, "size": 1.0}))
    ladder.end(ladder.begin(Step(len(low) + 1)), numbered((), {"loss": 1.5, "size": 1.0}))
    return ladder


def test_equal_values_are_no_line_but_a_usual_change():
    ladder = ladder_from([5.0] * MIN_PAIRS, [3.0] * MIN_PAIRS)
    assert expected(ladder, MIN_PAIRS + 1)["loss"] == 1.5 - 2.0


def test_values_within_one_unit_are_a_line():
    low = [1.0 + candidate % 2 for candidate in range(MIN_PAIRS)]
    ladder = ladder_from(low, [10.0 * below for below in low])
    assert expected(ladder, MIN_PAIRS + 1)["loss"] == pytest.approx(15.0)
