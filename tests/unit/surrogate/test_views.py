"""What acquisition functions see of what was measured."""

import warnings

import numpy as np
import pytest

from evo_moo.surrogate.front import worst_of_usual
from evo_moo.surrogate.views import Evaluated, turn_of


def evaluated(F):
    F = np.array(F, dtype=float)
    return Evaluated(np.zeros((len(F), 1)), F, np.zeros(len(F)))


def test_scaled_objectives_go_from_the_best_to_the_worst():
    scaled = evaluated([[0.0, 30.0], [1.0, 20.0], [4.0, 10.0]]).scaled
    assert scaled.tolist() == [[0.0, 1.0], [0.25, 0.5], [1.0, 0.0]]


def test_one_value_far_out_sets_no_scale():
    usual = np.arange(20.0)[:, None]
    scaled = evaluated(np.concatenate([usual, [[1e6]]])).scaled
    assert scaled[19] == pytest.approx(1.0) and scaled[20] > 1e4


@pytest.mark.parametrize("F", [[[-1.7e308], [0.0], [1.7e308]], [[5.0], [5.0], [5.0]]])
def test_scales_are_numbers_whatever_the_values(F):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(evaluated(F).scaled).all() and np.isfinite(worst_of_usual(np.array(F))).all()


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0, 1.0], [3.0, 1.0], [0.999, 0.001]])
def test_views_take_turns_by_their_weights(weights):
    share = np.array(weights) / sum(weights)
    turns = [turn_of(share, turn) for turn in range(400)]
    for view, part in enumerate(share):
        before = [count for number, count in turns if number == view]
        assert before == list(range(len(before)))  # each knows how many turns it had
        assert len(before) == pytest.approx(400 * part, abs=4)
    assert {view for view, _ in turns[: len(weights)]} == set(range(len(weights))) or max(share) > 0.5
