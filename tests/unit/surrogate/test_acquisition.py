"""Criteria of candidates: the range of a front that counts, and the scores that take turns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evo_moo.surrogate.acquisition import (
    TURNS,
    directions,
    end,
    gains_of_another,
    inner,
    score_instead,
    score_of,
    wide,
    worth_replicating,
)
from evo_moo.surrogate.front import MARGIN, Front, proper_range

POINTS = arrays(float, st.tuples(st.integers(1, 12), st.integers(2, 4)), elements=st.floats(-100, 100, width=32))


class Certain:
    """A posterior that knows the objectives, which are the variables, with one standard deviation for all."""

    def __init__(self, std=0.1, log_probability=0.0, extrapolates=True):
        self.std, self._log_probability, self._extrapolates = std, log_probability, extrapolates

    def objectives(self, X):
        return X, np.full_like(X, self.std)

    def log_probability(self, X):
        return np.full(len(X), self._log_probability)

    def chance(self, exploration):
        return np.full(2, 1.0 if self._extrapolates else exploration)


def sphere(n=400, seed=0):
    F = np.abs(np.random.default_rng(seed).normal(size=(n, 3)))
    return F / np.linalg.norm(F, axis=1, keepdims=True)


def dominated(f, F):
    return bool(((f >= F).all(axis=1) & (f > F).any(axis=1)).any())


def test_range_of_a_concave_front_omits_resistant_points():
    resistant = np.array([[2.5, 1e-4, 1e-4], [1e-4, 3.0, 1e-4], [2.0, 2.0, 0.0]])
    ideal, nadir = proper_range(np.concatenate([sphere(), resistant]))
    assert (ideal < 0.05).all() and (nadir > 0.9).all() and (nadir <= 1.0).all()


def test_the_range_of_a_front_without_such_points_is_its_own():
    x = np.linspace(0, 1, 50)
    ideal, nadir = proper_range(np.stack([x, 1 - x], axis=1))
    assert ideal.tolist() == [0, 0] and nadir.tolist() == [1, 1]


@given(POINTS)
def test_the_range_is_inside_that_of_the_non_dominated_points(F):
    ideal, nadir = proper_range(F)
    front = np.array([f for f in F if not dominated(f, F)])
    assert (ideal >= front.min(axis=0)).all() and (nadir <= front.max(axis=0) + 1e-11).all()
    assert (nadir > ideal).all()


@given(POINTS, st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_range_does_not_depend_on_the_units(F, factor):
    F = F.round(6)  # what differs by less than 1e-12 is one value, whatever the units
    ideal, nadir = proper_range(F)
    scaled_ideal, scaled_nadir = proper_range(F * factor)
    ends, scaled_ends = np.array([ideal, nadir]), np.array([scaled_ideal, scaled_nadir])
    assert scaled_ends == pytest.approx(ends * factor, abs=1e-6)


def test_inner_and_wide_turns_differ_beyond_the_front():
    F = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    beyond = np.array([[1.3, -0.05]])
    front = Front.of(F, np.concatenate([F, [[2.0, 2.0]]])).expecting(F)
    rng, posterior = np.random.default_rng(0), Certain(std=1e-6)
    near, far = (score_of(front, posterior, TURNS.index(function), rng, 1.0)(beyond) for function in (inner, wide))
    assert 1 + MARGIN < 1.3 and near < -40 < far


def test_each_end_takes_its_turn():
    F = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    front = Front.of(F, F).expecting(F)
    candidates = np.array([[-0.1, 1.3], [1.3, -0.1], [0.4, 0.4]])
    for objective in (0, 1):
        turn = TURNS.index(end) + objective * len(TURNS)
        scores = score_of(front, Certain(std=0.01), turn, np.random.default_rng(0), 1.0)(candidates)
        assert scores.argmax() == objective and sorted(scores)[1] < scores.max() - 10
    far_too_dear = np.array([[-0.1, 9.0]])  # a little better at its end, and bad elsewhere
    turn = TURNS.index(end)
    scores = score_of(front, Certain(std=0.01), turn, np.random.default_rng(0), 1.0)(np.concatenate([F, far_too_dear]))
    assert scores.argmax() == 0


def test_every_turn_prefers_what_dominates_more_of_the_front():
    F = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    front = Front.of(F, np.concatenate([F, [[2.0, 2.0]]])).expecting(F)
    candidates = np.array([[0.2, 0.2], [0.45, 0.45], [0.9, 0.9]])
    for turn in range(len(TURNS)):
        scores = score_of(front, Certain(std=0.01), turn, np.random.default_rng(turn), 1.0)(candidates)
        assert scores.argmax() == 0 and scores.argmin() == 2


def test_uncertainty_is_a_chance_only_as_far_as_one_explores():
    class SureOnTheLeft(Certain):
        def objectives(self, X):
            return np.full_like(X, 0.6), np.where(X[:, [0]] < 0.5, 1e-3, 0.3) * np.ones_like(X)

    F = np.array([[0.0, 1.0], [0.4, 0.4], [1.0, 0.0]])
    front, turn = Front.of(F, F), TURNS.index(directions)
    sure, unsure = np.array([[0.1, 0.0]]), np.array([[0.9, 0.0]])
    for exploration, advantage in ((1.0, True), (0.0, False)):
        score = score_of(front, SureOnTheLeft(), turn, np.random.default_rng(0), exploration)
        assert (score(unsure)[0] > score(sure)[0] + 1) == advantage


def test_row_taken_as_measured_brings_nothing_again():
    F = np.array([[0.0, 1.0], [1.0, 0.0]])
    front = Front.of(F, F)
    point, rng = np.array([[0.3, 0.3]]), np.random.default_rng(0)
    before = score_of(front, Certain(std=1e-6), TURNS.index(inner), rng, 1.0)(point)
    front = front.with_points(point)
    assert score_of(front, Certain(std=1e-6), TURNS.index(inner), rng, 1.0)(point) < before - 10


def test_only_probability_counts_while_nothing_is_feasible():
    front = Front.of(np.empty((0, 2)), np.array([[1.0, 1.0]])).expecting(np.array([[0.0, 0.0]]))
    scores = score_of(front, Certain(log_probability=-3.0), 0, np.random.default_rng(0), 1.0)(np.array([[9.0, 9.0]]))
    assert scores.tolist() == [-3.0]


def test_reached_end_leaves_the_turn_to_the_hypervolume():
    F = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    front, turn = Front.of(F, F), TURNS.index(end)
    rng = np.random.default_rng(0)
    pool = np.array([[0.4, 0.4], [0.0, 1.01], [1.2, 0.9]])
    sure, vague = Certain(std=1e-6), Certain(std=1e-6, extrapolates=False)
    scores = score_of(front, sure, turn, rng, 1.0)(pool)
    other = score_instead(scores, front, sure, turn, 1.0)
    assert scores.argmax() == 1 and other(pool).argmax() == 0
    # What averages what it saw never promises more than that: its best guess is tried.
    assert score_instead(scores, front, vague, turn, 1.0) is None
    assert score_instead(np.array([0.0]), front, sure, turn, 1.0) is None
    assert all(score_instead(scores, front, sure, other, 1.0) is None for other in range(len(TURNS)) if other != turn)


def test_averaging_model_counts_deviations_as_exploring_paid():
    F = np.array([[0.0, 1.0], [1.0, 0.0]])
    front, turn = Front.of(F, np.concatenate([F, [[3.0, 3.0]]])), TURNS.index(wide)
    rng, behind = np.random.default_rng(0), np.array([[0.5, 1.2]])
    hopeful = Certain(std=0.5)
    assert score_of(front, hopeful, turn, rng, 0.0)(behind) == score_of(front, hopeful, turn, rng, 1.0)(behind)
    averaging = Certain(std=0.5, extrapolates=False)
    assert score_of(front, averaging, turn, rng, 0.0)(behind) < score_of(front, averaging, turn, rng, 1.0)(behind) - 1


class Learning(Certain):
    """A posterior whose means one more evaluation moves by known steps, which are the last columns of the rows."""

    def lookahead(self, X):
        return X[:, :2], X[:, 2:]


def volume(F, ref_point):
    """Hypervolume of two objectives, by a sweep."""
    total, upper = 0.0, ref_point[1]
    for f in sorted(F.tolist()):
        if f[0] < ref_point[0] and f[1] < upper:
            total, upper = total + (ref_point[0] - f[0]) * (upper - f[1]), f[1]
    return total


def test_gain_of_a_replicate_is_the_mean_gain_of_a_moved_mean():
    F = np.array([[0.0, 1.0], [0.4, 0.5], [1.0, 0.0]])
    steps = np.array([[0.0, 0.0], [0.3, 0.2], [0.05, 0.0]])
    front = Front.of(F, F).expecting(F)
    gains = gains_of_another(front, np.concatenate([F, steps], axis=1), Learning())
    ref_point, rng = np.full(2, 1 + MARGIN), np.random.default_rng(0)
    for i, step in enumerate(steps):
        moved = np.repeat(F[None], 20_000, axis=0)
        moved[:, i] += step * rng.standard_normal((20_000, 2))
        volumes = np.array([volume(row, ref_point) for row in moved])
        error = 4 * volumes.std() / np.sqrt(len(volumes))
        assert gains[i] == pytest.approx(volumes.mean() - volume(F, ref_point), abs=error + 1e-9)
    assert gains[0] == pytest.approx(0, abs=1e-9) and gains[1] > gains[2] > 0


@pytest.mark.parametrize(
    ("known_step", "new", "expected"),
    [
        (0.3, [0.9, 0.9, 0.01, 0.01], 1),  # what is known badly, and nothing new is better
        (0.3, [0.1, 0.1, 0.01, 0.01], None),  # a new row gains more
        (1e-5, [0.9, 0.9, 1e-6, 1e-6], None),  # neither gains anything: rather something new
    ],
)
def test_replicate_is_worth_it_if_it_gains_more_than_new_rows(known_step, new, expected):
    F = np.array([[0.0, 1.0], [0.4, 0.5], [1.0, 0.0]])
    front = Front.of(F, F).expecting(F)
    known = np.concatenate([F, [[0, 0], [known_step, known_step], [0, 0]]], axis=1)
    assert worth_replicating(front, known, np.array([new]), Learning()) == expected


def test_front_of_one_point_has_scales():
    front = Front.of(np.array([[1.0, 2.0]]), np.array([[1.0, 2.0], [1.0, 2.0]]))
    assert (front.span > 0).all() and np.isfinite(front.scaled(np.array([[3.0, 4.0]]))).all()
