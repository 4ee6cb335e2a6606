"""How far the models were right lately."""

import pytest

from evo_moo.problem.goals import Goals
from evo_moo.storage.checkpoint import from_json, to_json
from evo_moo.surrogate.track_record import RECENT, TrackRecord

GOALS = Goals.declared({"accuracy": "max", "size": "min"}, {})


def record(outcomes):
    """A record of predictions with a standard deviation of 1, and of what came."""
    made = TrackRecord(GOALS)
    for key, (expected, measured) in enumerate(outcomes):
        made.expect(key, {name: (mean, 1.0) for name, mean in expected.items()})
        made.record(key, measured)
    return made


def both(value):
    return {"accuracy": -value, "size": value}


def test_track_record_without_outcomes_trusts_the_models():
    assert record([]).rank_correlation() is None and record([]).exploration() == 1
    few = record([(both(0), both(9))] * (RECENT // 2 - 1))
    assert few.rank_correlation() is None and few.exploration() == 1


@pytest.mark.parametrize(("worse_by", "exploration"), [(-3, 1), (0, 1), (0.3, 1), (0.55, 0.5), (0.8, 0), (4, 0)])
def test_uncertainty_counts_less_after_disappointing_outcomes(worse_by, exploration):
    made = record([(both(i), both(i + worse_by)) for i in range(RECENT)])
    assert made.exploration() == pytest.approx(exploration)


def test_one_absurd_outcome_does_not_decide():
    outcomes = [(both(i), both(i)) for i in range(RECENT - 1)]
    assert record([*outcomes, (both(0), both(1e9))]).exploration() == 1


@pytest.mark.parametrize(("order", "tau"), [(1, 1), (-1, -1)])
def test_ranks_are_compared(order, tau):
    outcomes = [(both(i), both(order * i**3)) for i in range(RECENT)]
    assert record(outcomes).rank_correlation() == pytest.approx(tau)


def test_only_the_latest_outcomes_count():
    outcomes = [(both(0), both(9))] * 50 + [(both(i), both(i)) for i in range(RECENT)]
    made = record(outcomes)
    assert made.exploration() == 1 and made.rank_correlation() == 1


def test_failures_and_unpredicted_evaluations_do_not_count():
    made = record([(both(0), None)] * 30)
    made.record(100, both(5))
    assert made.rank_correlation() is None and made.exploration() == 1


def test_a_loaded_record_goes_on_alike():
    made = record([(both(i), both(i + 0.5)) for i in range(RECENT)])
    made.expect(99, {"size": (1.0, 2.0)})
    again = TrackRecord(GOALS)
    again.load(from_json(to_json(made.dump())))
    for each in (made, again):
        each.record(99, {"size": 30.0})
    assert again.exploration() == made.exploration() and again.dump() == made.dump()


@pytest.mark.parametrize(("worse_by", "caution"), [(-3, 0), (0.3, 0), (0.8, 0.5), (99, 4.7)])
def test_caution_is_what_predictions_disappointed_by(worse_by, caution):
    made = record([({"accuracy": -i, "size": i}, {"accuracy": -i, "size": i + worse_by}) for i in range(RECENT)])
    assert made.caution() == pytest.approx([0.0, caution])
    assert record([(both(0), both(9))] * (RECENT // 2 - 1)).caution().tolist() == [0, 0]
