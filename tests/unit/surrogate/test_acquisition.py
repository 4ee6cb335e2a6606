"""Criteria of candidates: the range of a front that counts, and the scores of acquisition functions."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evo_moo.errors import SurrogateError
from evo_moo.surrogate.acquisition import (
    N_DIRECTIONS,
    TURNS,
    Turn,
    direction,
    directions,
    end,
    feasibility,
    functions_for,
    gains_of_another,
    inner,
    joint,
    score_instead,
    wide,
    worth_replicating,
)
from evo_moo.surrogate.front import MARGIN, Front, proper_range
from evo_moo.surrogate.posterior import Expected

POINTS = arrays(float, st.tuples(st.integers(1, 12), st.integers(2, 4)), elements=st.floats(-100, 100, width=32))


def first(**facts):
    """The first occasion of a choice."""
    usual = {"round": 0, "rng": np.random.default_rng(0), "exploration": 1.0, "F": np.empty((0, 2)), "learn": None}
    return Turn(**usual | facts)


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

    def expect(self, X, caution=0.0):
        mean, std = self.objectives(X)
        return Expected(X, mean, std, mean + caution * std, self.log_probability(X)[:, None])


def scored(function, X, front, posterior, turn):
    """The scores of rows by an acquisition function."""
    return function(front, posterior, turn)(posterior.expect(X))


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
    near, far = (scored(function, beyond, front, Certain(std=1e-6), first()) for function in (inner, wide))
    assert 1 + MARGIN < 1.3 and near < -40 < far


def test_each_end_takes_its_turn():
    F = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    front = Front.of(F, F).expecting(F)
    candidates = np.array([[-0.1, 1.3], [1.3, -0.1], [0.4, 0.4]])
    for objective in (0, 1):
        scores = scored(end, candidates, front, Certain(std=0.01), first(round=objective))
        assert scores.argmax() == objective and sorted(scores)[1] < scores.max() - 10
    far_too_dear = np.array([[-0.1, 9.0]])  # a little better at its end, and bad elsewhere
    scores = scored(end, np.concatenate([F, far_too_dear]), front, Certain(std=0.01), first())
    assert scores.argmax() == 0


def test_every_function_prefers_what_dominates_more_of_the_front():
    F = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    front = Front.of(F, np.concatenate([F, [[2.0, 2.0]]])).expecting(F)
    candidates = np.array([[0.2, 0.2], [0.45, 0.45], [0.9, 0.9]])
    for function in functions_for(front):
        scores = scored(function, candidates, front, Certain(std=0.01), first())
        assert scores.argmax() == 0 and scores.argmin() == 2


def test_direction_is_the_augmented_chebyshev_distance():
    """max_j(w_j z_j) + .05 sum_j z_j, with the weights the inverse of the direction, less the log-probability."""
    F = np.array([[0.0, 4.0], [1.0, 0.0]])
    front, points = Front.of(F, F).expecting(F), np.array([[0.5, 1.0], [0.1, 3.0], [2.0, 2.0]])
    turn = first(rng=np.random.default_rng(7))
    drawn = np.random.default_rng(7).dirichlet(np.ones(2))
    z = points / (1.0, 4.0)
    distance = (z * drawn.max() / drawn).max(axis=1) + 0.05 * z.sum(axis=1)
    scores = scored(direction, points, front, Certain(log_probability=-0.25), turn)
    assert scores == pytest.approx(-distance - 0.25)


def test_uncertainty_is_a_chance_only_as_far_as_one_explores():
    class SureOnTheLeft(Certain):
        def objectives(self, X):
            return np.full_like(X, 0.6), np.where(X[:, [0]] < 0.5, 1e-3, 0.3) * np.ones_like(X)

    F = np.array([[0.0, 1.0], [0.4, 0.4], [1.0, 0.0]])
    front = Front.of(F, F)
    sure, unsure = np.array([[0.1, 0.0]]), np.array([[0.9, 0.0]])
    for exploration, advantage in ((1.0, True), (0.0, False)):
        turn = first(exploration=exploration)
        left, right = scored(directions, np.concatenate([sure, unsure]), front, SureOnTheLeft(), turn)
        assert (right > left + 1) == advantage


def test_row_taken_as_measured_brings_nothing_again():
    F = np.array([[0.0, 1.0], [1.0, 0.0]])
    front = Front.of(F, F)
    point = np.array([[0.3, 0.3]])
    before = scored(inner, point, front, Certain(std=1e-6), first())
    assert scored(inner, point, front.with_points(point), Certain(std=1e-6), first()) < before - 10


def test_only_probability_counts_while_nothing_is_feasible():
    front = Front.of(np.empty((0, 2)), np.array([[1.0, 1.0]])).expecting(np.array([[0.0, 0.0]]))
    assert functions_for(front) == (feasibility,)
    assert scored(feasibility, np.array([[9.0, 9.0]]), front, Certain(log_probability=-3.0), first()).tolist() == [-3.0]


def test_reached_end_leaves_the_turn_to_the_hypervolume():
    F = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    front = Front.of(F, F)
    pool = np.array([[0.4, 0.4], [0.0, 1.01], [1.2, 0.9]])
    sure, vague = Certain(std=1e-6), Certain(std=1e-6, extrapolates=False)
    scores = scored(end, pool, front, sure, first())
    other = score_instead(end, scores, front, sure, first())
    assert scores.argmax() == 1 and other(sure.expect(pool)).argmax() == 0
    # What averages what it saw never promises more than that: its best guess is tried.
    assert score_instead(end, scores, front, vague, first()) is None
    assert score_instead(end, np.array([0.0]), front, sure, first()) is None
    assert all(score_instead(other, scores, front, sure, first()) is None for other in set(TURNS) - {end})


def test_averaging_model_counts_deviations_as_exploring_paid():
    F = np.array([[0.0, 1.0], [1.0, 0.0]])
    front, behind = Front.of(F, np.concatenate([F, [[3.0, 3.0]]])), np.array([[0.5, 1.2]])
    cautious = first(exploration=0.0)
    hopeful, averaging = Certain(std=0.5), Certain(std=0.5, extrapolates=False)
    hoped, averaged = (
        [scored(wide, behind, front, posterior, turn) for turn in (cautious, first())]
        for posterior in (hopeful, averaging)
    )
    assert hoped[0] == hoped[1] and averaged[0] < averaged[1] - 1


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


def test_one_value_far_out_sets_no_scale():
    F = np.array([[0.0, 1.0], [1.0, 0.0]])
    usual = np.random.default_rng(1).uniform(0, 2, size=(20, 2))
    alone, beside = (Front.of(F, np.concatenate([F, usual, more])) for more in (F, [[100.0, 0.5]]))
    assert (beside.outer == alone.outer).all() and (beside.inner == alone.inner).all()


@pytest.mark.parametrize("n_obj", [2, 3, 5])
def test_directions_choose_the_best_true_gain(n_obj):
    """With deviations that differ between the objectives, beside the mean gain of many samples."""

    class Known(Certain):
        def objectives(self, X):
            return X[:, :n_obj], X[:, n_obj:]

    rng = np.random.default_rng(n_obj)
    F = rng.dirichlet(np.ones(n_obj), size=6)
    front = Front.of(F, F)
    means = rng.dirichlet(np.ones(n_obj), size=40) * rng.uniform(0.7, 1.2, size=(40, 1))
    stds = rng.choice([0.01, 0.05, 0.25], size=means.shape)
    chosen = scored(directions, np.hstack([means, stds]), front, Known(), first()).argmax()
    weights = 1 / np.maximum(np.random.default_rng(0).dirichlet(np.ones(n_obj), size=N_DIRECTIONS), 1e-3)
    weights /= weights.sum(axis=1, keepdims=True)
    best = (front.scaled(F)[:, None, :] * weights).max(axis=2).min(axis=0)
    gains = [
        np.maximum(best - (front.scaled(rng.normal(m, s, (2000, n_obj)))[:, None, :] * weights).max(axis=2), 0).mean()
        for m, s in zip(means, stds, strict=True)
    ]
    assert gains[chosen] > 0.97 * max(gains)


@pytest.mark.parametrize(("n_obj", "boxes"), [(2, True), (3, True), (4, False), (8, False)])
def test_hypervolume_is_left_out_of_many_objectives(n_obj, boxes):
    F = np.eye(n_obj)
    assert functions_for(Front.of(F, F)) == (TURNS if boxes else (joint,))


def test_joint_model_learns_the_distance_along_a_direction():
    """max_j(w_j z_j) + .05 sum_j w_j z_j, with the largest weight 1."""
    F = np.random.default_rng(1).random((20, 5))
    learnt = []

    class Model:
        def predict(self, Z):
            return Z[:, 0], np.ones(len(Z))

    class Posterior(Certain):
        features = SimpleNamespace(matrix=lambda X: X)

    def learn(values):
        learnt.append(values)
        return Model()

    turn = first(rng=np.random.default_rng(3), F=F, learn=learn)
    X = np.array([[0.7], [0.2], [0.4]])
    scores = scored(joint, X, Front.of(F, F), Posterior(log_probability=-0.5), turn)
    weights = np.random.default_rng(3).dirichlet(np.ones(5))
    weights /= weights.max()
    assert learnt[0] == pytest.approx((F * weights).max(axis=1) + 0.05 * (F * weights).sum(axis=1))
    assert scores == pytest.approx(-X[:, 0] - 0.5)


def test_distance_that_cannot_be_learnt_gives_its_turn_away():
    def learn(values):
        raise SurrogateError("as asked")

    F = np.random.default_rng(1).random((20, 4))
    front, X = Front.of(F, F), np.random.default_rng(2).random((6, 4))
    instead = scored(joint, X, front, Certain(), first(F=F, learn=learn))
    plain = scored(directions, X, front, Certain(), first(F=F))
    assert instead.argmax() == plain.argmax() and np.isfinite(instead).all()


def test_caution_counts_where_the_mean_decides():
    """Of two equal means, the one that is known better is preferred, as much as predictions disappointed."""

    class Cautious(Certain):
        def objectives(self, X):
            return np.full_like(X, 0.3), np.where(X[:, [0]] < 0.5, 1e-3, 0.3) * np.ones_like(X)

        def expect(self, X):
            return super().expect(X, caution=0.5)

    F = np.array([[0.0, 1.0], [1.0, 0.0]])
    front, sure_and_unsure = Front.of(F, F), np.array([[0.1, 0.0], [0.9, 0.0]])
    for function in (inner, direction):
        sure, unsure = scored(function, sure_and_unsure, front, Cautious(), first())
        assert sure > unsure + 0.05
    sure, unsure = scored(directions, sure_and_unsure, front, Cautious(), first())
    assert unsure > sure - 0.05  # an expected gain weighs the uncertainty itself


def test_front_of_one_point_has_scales():
    front = Front.of(np.array([[1.0, 2.0]]), np.array([[1.0, 2.0], [1.0, 2.0]]))
    assert (front.span > 0).all() and np.isfinite(front.scaled(np.array([[3.0, 4.0]]))).all()
