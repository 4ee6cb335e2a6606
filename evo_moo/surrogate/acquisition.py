"""What makes a candidate worth evaluating: acquisition functions that take turns.

How far the true front reaches is not known during a search, and every improvement of a hypervolume is measured
up to some point. A point far out rewards the ends of the front, where one objective is best and the others are
poor; there models are at their worst, and on concave fronts hardly anything else would be chosen. A point close
by never lets the ends grow. So the functions differ in it, and some need no such point.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from evo_moo.errors import SurrogateError
from evo_moo.surrogate.front import Front
from evo_moo.surrogate.hypervolume_improvement import Boxes, expected_gain, expected_gain_of_largest
from evo_moo.surrogate.posterior import Expected, MetricModel, Posterior
from evo_moo.surrogate.protocol import Array

Score = Callable[[Expected], Array]
"""From what is expected of ``n`` rows to what a candidate must maximise, ``(n,)``."""
MANY_OBJECTIVES = 4
"""From so many objectives on, one model learns the distance along a direction: see ``joint``."""
N_DIRECTIONS = 50
REST = 0.05
"""Weight of the other objectives where one is improved, or the sum of all beside a distance, in ranges."""
WORTHWHILE = 1e-3
"""Expected gain of an end, in ranges, below which its turn goes to the hypervolume."""
MOST_REPLICATED = 10
"""Of so many members of the front, those that are known the least, another evaluation is considered."""
LEAST_GAIN = 1e-4
"""Gain of another evaluation, in the volume up to the reference point, below which something new is tried."""
N_DRAWS = 16
"""Number of draws of the errors of a training, over which what its points gain is averaged."""
CERTAIN = 1e-3
"""Share of its standard deviation that a prediction keeps where its mean is what counts."""


class Turn(NamedTuple):
    """The occasion of a choice.

    Attributes:
        round: How often each acquisition function was used before.
        rng: Source of directions.
        exploration: Share of predicted standard deviations that counts as a chance, from 0 to 1: in ``directions`` of
            all, else of models that do not extrapolate.
        F: ``(n, n_obj)`` measured objectives, from 0, the best value, to 1, the worst that is not far out.
        learn: From ``(n,)`` values of what was measured to the model of them.
    """

    round: int
    rng: np.random.Generator
    exploration: float
    F: Array
    learn: Callable[[Array], MetricModel]


Acquisition = Callable[[Front, Posterior, Turn], Score]


def inner(front: Front, posterior: Posterior, turn: Turn) -> Score:
    """Score by the hypervolume improvement of the cautious mean, up to where trade-offs are worth their price."""
    return _improvement(front, front.inner, np.full(front.n_obj, CERTAIN), cautious=True)


def wide(front: Front, posterior: Posterior, turn: Turn) -> Score:
    """Score by the expected hypervolume improvement up to the worst values seen, so that the ends can grow."""
    return _improvement(front, front.outer, posterior.chance(turn.exploration))


def end(front: Front, posterior: Posterior, turn: Turn) -> Score:
    """Score by the expected improvement of one objective after the other, so that each of the ends grows.

    Jones, Schonlau & Welch 1998, eq. 15; the other objectives count a little.
    """
    objective, uncertainty = turn.round % front.n_obj, posterior.chance(turn.exploration)
    weights = np.full(front.n_obj, REST)
    weights[objective] = 1.0
    best = float((front.scaled(front.F) @ weights).min())

    def score(rows: Expected) -> Array:
        value = front.scaled(rows.mean) @ weights
        gain = expected_gain(best - value, (rows.std * uncertainty / front.span)[:, objective])
        return _log_score(gain, value, rows)

    return score


def direction(front: Front, posterior: Posterior, turn: Turn) -> Score:
    """Score by the distance of the cautious mean from the ideal point along one random direction.

    The augmented Tchebycheff distance (Steuer & Choo 1983), as ParEGO has it (Knowles 2006, eq. 2).
    """
    drawn = turn.rng.dirichlet(np.ones(front.n_obj))
    weights = drawn.max() / np.maximum(drawn, CERTAIN)

    def score(rows: Expected) -> Array:
        scaled = front.scaled(rows.cautious)
        return np.asarray(-(scaled * weights).max(axis=1) - REST * scaled.sum(axis=1) + rows.log_probability)

    return score


def directions(front: Front, posterior: Posterior, turn: Turn) -> Score:
    """Score by the expected improvement of the best along a random direction, averaged over many.

    That is the expected gain of the R2 indicator (Hansen & Jaszkiewicz 1998) with Tchebycheff distances.
    """
    drawn = turn.rng.dirichlet(np.ones(front.n_obj), size=N_DIRECTIONS)
    uncertainty = max(turn.exploration, CERTAIN)
    weights = 1 / np.maximum(drawn, CERTAIN)
    weights /= weights.sum(axis=1, keepdims=True)
    best = (front.scaled(front.F)[:, None, :] * weights).max(axis=2).min(axis=0)

    def score(rows: Expected) -> Array:
        scaled = front.scaled(rows.mean)
        weighted = scaled[:, None, :] * weights
        weighted_std = (rows.std * uncertainty / front.span)[:, None, :] * weights
        gain = expected_gain_of_largest(np.broadcast_to(best, weighted.shape[:2]), weighted, weighted_std).mean(axis=1)
        return _log_score(gain, scaled.sum(axis=1), rows)

    return score


def joint(front: Front, posterior: Posterior, turn: Turn) -> Score:
    """Score by the distance from the best values along one random direction, which one model learns.

    The distance is that of ParEGO (Knowles 2006, eq. 2). Models of single objectives err each on its own, and with
    many objectives there is always some place where all errors are lucky; the model of the distance has seen what one
    objective costs the others. A distance that no model can learn leaves the turn to ``directions``.
    """
    weights = turn.rng.dirichlet(np.ones(front.n_obj))
    weighted = turn.F * weights / weights.max()
    distance = weighted.max(axis=1) + REST * weighted.sum(axis=1)
    try:
        model = turn.learn(distance)
    except SurrogateError:
        return directions(front, posterior, turn)
    return lambda rows: -model.predict(posterior.features.matrix(rows.X))[0] + rows.log_probability


def feasibility(front: Front, posterior: Posterior, turn: Turn) -> Score:
    """Score by the probability to be feasible."""
    return lambda rows: rows.log_probability


TURNS = (inner, directions, direction, wide, end)
"""The acquisition functions of a few objectives, in the order of their turns."""


OF_VOLUME = (inner, wide)
"""Those whose gain is of the hypervolume: points of one training gain less together than each alone."""


def functions_for(front: Front) -> tuple[Acquisition, ...]:
    """Return the acquisition functions that take turns to improve a front."""
    if not front.exists:
        return (feasibility,)
    return TURNS if front.n_obj < MANY_OBJECTIVES else (joint,)


def score_instead(function: Acquisition, scores: Array, front: Front, posterior: Posterior, turn: Turn) -> Score | None:
    """Return the score to choose by if the function's promises next to nothing, ``(n,)`` scores; else None.

    Where an end of the front is reached, expected hypervolume improvement as far as ``inner`` takes its turn. A
    model that does not extrapolate cannot tell that: what it predicts to be the best is tried.
    """
    is_at_end = function is end and scores.max() < np.log(WORTHWHILE)
    if not is_at_end or not posterior.chance(0.0)[turn.round % front.n_obj]:
        return None
    return _improvement(front, front.inner, posterior.chance(turn.exploration))


def gains_of_offers(
    points: Expected, n_points: int, front: Front, posterior: Posterior, turn: Turn, function: Acquisition
) -> Array:
    """Return the logarithms of the hypervolume that trainings are expected to gain with all their points, ``(n,)``.

    The errors of the points of one training are taken to be the same, in standard deviations: they share its weights.

    Args:
        points: Rows of ``n * n_points`` points, training by training.
        n_points: Number of points of each training.
        front: The front.
        posterior: What the models expect.
        turn: The occasion.
        function: One of ``OF_VOLUME``.
    """
    import moocore

    is_inner = function is inner
    ref_point = front.inner if is_inner else front.outer
    mean = points.cautious if is_inner else points.mean
    share = np.full(front.n_obj, CERTAIN) if is_inner else posterior.chance(turn.exploration)
    before = moocore.hypervolume(front.F, ref=ref_point)
    draws = np.random.default_rng(turn.round).standard_normal((1 if is_inner else N_DRAWS, front.n_obj))
    values = mean[None] + draws[:, None] * (points.std * share)[None]
    values[:, ~points.are_likely] = ref_point
    sets = values.reshape(len(draws), -1, n_points, front.n_obj)
    gains = [
        np.mean([moocore.hypervolume(np.vstack([front.F, drawn]), ref=ref_point) - before for drawn in sets[:, i]])
        for i in range(sets.shape[1])
    ]
    return np.log(np.maximum(gains, 0.0) + 1e-30)


def predicted(rows: Expected, front: Front, optimism: float) -> Array:
    """Return cautious objectives, ``(n, n_obj)``, better by so many standard deviations, and worse where unlikely."""
    penalty = np.maximum(np.log(0.5) - rows.log_probability, 0.0)
    return np.asarray(rows.cautious - optimism * rows.std + 10 * penalty[:, None] * (front.worst - front.ideal))


def worth_replicating(front: Front, known: Array, new: Array, posterior: Posterior) -> int | None:
    """Return the row of the front of which another evaluation gains more than that of any new row; None: none.

    The gain is the hypervolume that the means are expected to add once they have moved by what is learnt.

    Args:
        front: The front; while it is empty, or of ``MANY_OBJECTIVES``, nothing is worth replicating.
        known: ``(n_front, n_var)`` rows of the first ``n_front`` points of the front.
        new: ``(m, n_var)`` rows that were not evaluated.
        posterior: What the models expect.
    """
    if not front.exists or front.n_obj >= MANY_OBJECTIVES:
        return None
    gains = gains_of_another(front, known, posterior)
    mean, step = posterior.lookahead(new)
    gains_of_new = Boxes(front.F, front.inner).expected_improvement(mean, step) * np.exp(posterior.log_probability(new))
    best, least = int(gains.argmax()), LEAST_GAIN * np.prod(front.inner - front.ideal)
    return best if gains[best] > max(gains_of_new.max(), least) else None


def gains_of_another(front: Front, X: Array, posterior: Posterior) -> Array:
    """Return the gain of another evaluation of rows of the front, 0 but for those that are known the least.

    A point moves for better or worse among the others; the expectation exceeds what it adds where it stands.

    Args:
        front: The front.
        X: ``(n, n_var)`` rows of its first ``n`` points.
        posterior: What the models expect.
    """
    mean, step = posterior.lookahead(X)
    gains = np.zeros(len(X))
    for i in np.argsort(-(step / front.span).sum(axis=1), kind="stable")[:MOST_REPLICATED]:
        boxes, point = Boxes(np.delete(front.F, i, axis=0), front.inner), mean[i : i + 1]
        as_it_stands = boxes.expected_improvement(point, np.zeros_like(point))
        gains[i] = (boxes.expected_improvement(point, step[i : i + 1]) - as_it_stands).item()
    return gains


def _improvement(front: Front, ref_point: Array, uncertainty: Array, cautious: bool = False) -> Score:
    """Score by the expected hypervolume improvement up to a reference point."""
    boxes = Boxes(front.F, ref_point)
    unit = np.prod(np.maximum(ref_point - front.ideal, 1e-12))

    def score(rows: Expected) -> Array:
        mean = rows.cautious if cautious else rows.mean
        gain = boxes.expected_improvement(mean, rows.std * uncertainty) / unit
        return _log_score(gain, front.scaled(mean).sum(axis=1), rows)

    return score


def _log_score(gain: Array, distance: Array, rows: Expected) -> Array:
    """Return the logarithm of the expected gain; where there is hardly any, the nearest to the ideal point is best."""
    return np.asarray(np.log(gain + 1e-30) - 1e-3 * distance * (gain < 1e-25) + rows.log_probability)
